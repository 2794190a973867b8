// What the page says of a scene in a few words.

import type { SceneMessage } from "./messages";

export function facts({ splats, cameras }: SceneMessage): string {
  const parts = [];
  if (splats) parts.push(`${splats.count.toLocaleString("en")} splats`);
  if (cameras.length) parts.push(`${cameras.length} ${cameras.length === 1 ? "photo" : "photos"}`);
  return parts.join(" · ");
}

export function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
