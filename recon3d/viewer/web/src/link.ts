// The present view in the page's address, behind the #: what is seen again when the address is opened.

import * as THREE from "three";
import type { FrameMessage } from "./messages";
import { UP } from "./upright";

/** In the scene's world. */
export interface Place {
  eye: THREE.Vector3;
  target: THREE.Vector3;
  /** Which way is up on the screen. */
  top: THREE.Vector3;
  /** Degrees, vertical. */
  view: number;
}

export interface Link {
  /** Which way is up in the scene. */
  up: THREE.Vector3;
  /** A photo by its number, or a place. */
  at: number | Place;
}

export function written({ up, at }: Link, frame: FrameMessage): string {
  const digits = Math.min(12, Math.max(0, 4 - Math.floor(Math.log10(frame.radius))));
  const numbers = (values: number[], places: number) => values.map((value) => Number(value.toFixed(places))).join(",");
  const turned = up.equals(UP) ? "" : `&up=${numbers(up.toArray(), 5)}`;
  if (typeof at === "number") return `#photo=${at}${turned}`;
  const { eye, target, top, view } = at;
  return `#eye=${numbers(eye.toArray(), digits)}&target=${numbers(target.toArray(), digits)}&top=${numbers(top.toArray(), 5)}&view=${numbers([view], 2)}${turned}`;
}

/** What an address says; null where it says nothing, or nothing sensible. */
export function read(hash: string, cameras: number): Link | null {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const numbers = (name: string, count: number) => {
    const values = (given.get(name) ?? "").split(",").map((word) => (word.trim() ? Number(word) : NaN));
    return values.length === count && values.every(Number.isFinite) ? values : null;
  };
  const vector = (name: string) => {
    const values = numbers(name, 3);
    return values && new THREE.Vector3().fromArray(values);
  };
  const up = vector("up") ?? UP.clone();
  if (up.lengthSq() === 0) return null;
  up.normalize();
  const photo = numbers("photo", 1)?.[0];
  if (photo !== undefined && Number.isInteger(photo) && photo >= 0 && photo < cameras) return { up, at: photo };
  const [eye, target, top, view] = [vector("eye"), vector("target"), vector("top"), numbers("view", 1)?.[0]];
  if (!eye || !target || !top || view === undefined || view < 1 || view > 170) return null;
  const across = target.clone().sub(eye).cross(top);
  return across.lengthSq() > 0 ? { up, at: { eye, target, top, view } } : null;
}
