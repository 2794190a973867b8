// What a program that drives the page can ask of it: window.recon3d.

import { Vector3 } from "three";
import type { Background } from "./panel";
import { lensOf } from "./lens";
import type { Viewer } from "./viewer";

export class Hooks {
  constructor(private readonly viewer: Viewer, readonly ready: Promise<void>) {}

  /** Show what a camera sees, pixel for pixel in a picture of its size: matrices row by row, OpenCV's axes. */
  setCamera(cameraFromWorld: number[], K: number[], width: number, height: number): void {
    this.viewer.leavePhoto();
    const { stage } = this.viewer;
    stage.showExactly({ ...stage.placeOf(cameraFromWorld), lens: lensOf(K, width, height), fill: 0, depth: stage.depth });
  }

  show(wish: { cameras?: boolean; background?: Background }): void {
    if (wish.cameras !== undefined) this.viewer.showCameras(wish.cameras);
    if (wish.background !== undefined) this.viewer.panel.setBackground(wish.background);
  }

  /** Resolves when nothing in the picture changes any more. */
  drawn(): Promise<void> {
    return this.viewer.stage.drawn();
  }

  /** The picture as a data address of a PNG. */
  async picture(): Promise<string> {
    const blob = await this.viewer.stage.picture();
    return new Promise((resolve) => {
      const reader = new FileReader();
      reader.onload = () => resolve(String(reader.result));
      reader.readAsDataURL(blob);
    });
  }

  /** Where the middle of a frustum's photo lies in the window, CSS pixels; null where it is not seen. */
  frustum(camera: number): [number, number] | null {
    return this.viewer.placeInWindow(camera);
  }

  /** Where one stands and looks, in the scene's world. */
  view(): { eye: number[]; target: number[]; top: number[]; view: number } {
    const { eye, target, top, view } = this.viewer.place();
    return { eye: eye.toArray(), target: target.toArray(), top: top.toArray(), view };
  }

  /** Where a point of the scene's world lies in the window, CSS pixels. */
  inWindow(x: number, y: number, z: number): [number, number] {
    return this.viewer.inWindow(new Vector3(x, y, z));
  }

  /** A link to the present view. */
  link(): string {
    return this.viewer.link();
  }

  counts() {
    const { splats, frusta, current, lod, stage } = this.viewer;
    return { splats: splats.count, active: stage.spark.activeSplats, frusta: frusta.count, current, lod };
  }
}

declare global {
  interface Window {
    recon3d: Hooks;
  }
}
