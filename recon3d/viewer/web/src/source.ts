// Where the page's scene comes from: the server that `recon3d view` runs, or the page itself when it is one file.

import type { SceneMessage, VersionMessage } from "./messages";

export type OnBytes = (received: number, total: number) => void;

export interface Source {
  scene(): Promise<SceneMessage>;
  splats(version: number, total: number, onBytes: OnBytes): Promise<Uint8Array>;
  /** An address for an <img>. */
  photo(camera: number): string;
  version(): Promise<VersionMessage>;
}

export function source(): Source {
  return document.getElementById("recon3d-scene") ? new Inline() : new Served();
}

class Served implements Source {
  async scene(): Promise<SceneMessage> {
    return (await answer("scene.json")).json();
  }

  async splats(version: number, total: number, onBytes: OnBytes): Promise<Uint8Array> {
    const response = await answer(`splats/${version}`);
    const size = Number(response.headers.get("Content-Length") ?? total);
    const bytes = new Uint8Array(size);
    const reader = response.body!.getReader();
    let received = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      bytes.set(value, received);
      received += value.length;
      onBytes(received, size);
    }
    if (received !== size) throw new Error(`the scene ended after ${received} of ${size} bytes`);
    return bytes;
  }

  photo(camera: number): string {
    return `photos/${camera}.jpg`;
  }

  async version(): Promise<VersionMessage> {
    return (await answer("version.json")).json();
  }
}

async function answer(address: string): Promise<Response> {
  const response = await fetch(address, { cache: "no-store" });
  if (!response.ok) throw new Error(`${address}: the server answered ${response.status}`);
  return response;
}

const CHUNK = 4 << 20; // characters of base64 decoded at once, so that the bar can move; a multiple of 4

class Inline implements Source {
  private readonly photos: string[] = JSON.parse(text("recon3d-photos"));

  async scene(): Promise<SceneMessage> {
    return JSON.parse(text("recon3d-scene"));
  }

  async splats(_version: number, total: number, onBytes: OnBytes): Promise<Uint8Array> {
    const base64 = text("recon3d-splats").trim();
    const bytes = new Uint8Array(total);
    let received = 0;
    for (let start = 0; start < base64.length; start += CHUNK) {
      const part = atob(base64.slice(start, start + CHUNK));
      for (let i = 0; i < part.length; i++) bytes[received + i] = part.charCodeAt(i);
      received += part.length;
      onBytes(received, total);
      await new Promise((resolve) => setTimeout(resolve));
    }
    return bytes;
  }

  photo(camera: number): string {
    return this.photos[camera];
  }

  async version(): Promise<VersionMessage> {
    throw new Error("a page of one file does not change");
  }
}

function text(id: string): string {
  return document.getElementById(id)?.textContent ?? "";
}
