// The pinhole that the page looks through, in pixels of a picture, and how that picture lies in the window.

import { Matrix4 } from "three";

export interface Lens {
  fx: number;
  fy: number;
  cx: number;
  cy: number;
  width: number;
  height: number;
}

/** A rectangle of the window in CSS pixels. */
export interface Frame {
  left: number;
  top: number;
  width: number;
  height: number;
}

export function lensOf(K: readonly number[], width: number, height: number): Lens {
  return { fx: K[0], fy: K[4], cx: K[2], cy: K[5], width, height };
}

/** A lens of a vertical field of view in degrees, for scenes without cameras. */
export function lensWithView(degrees: number): Lens {
  const f = 500 / Math.tan((degrees * Math.PI) / 360);
  return { fx: f, fy: f, cx: 500, cy: 500, width: 1000, height: 1000 };
}

export function between(a: Lens, b: Lens, t: number): Lens {
  const scale = b.height / a.height; // both in pixels of b, so that the zoom changes smoothly
  const mix = (x: number, y: number) => x * scale * (1 - t) + y * t;
  return {
    fx: mix(a.fx, b.fx),
    fy: mix(a.fy, b.fy),
    cx: mix(a.cx, b.cx),
    cy: mix(a.cy, b.cy),
    width: mix(a.width, b.width),
    height: b.height,
  };
}

/**
 * Where the lens's picture lies when it is centred in `area`: whole for fill = 0, covering the area for fill = 1,
 * between the two (by ratio) otherwise.
 */
export function placed(lens: Lens, area: Frame, fill: number): Frame {
  const ratios = [area.width / lens.width, area.height / lens.height];
  const scale = Math.min(...ratios) ** (1 - fill) * Math.max(...ratios) ** fill;
  const [width, height] = [lens.width * scale, lens.height * scale];
  return { left: area.left + (area.width - width) / 2, top: area.top + (area.height - height) / 2, width, height };
}

/** OpenGL's projection of a window [width, height] in which the lens's picture lies at `frame`. Pixel (0, 0) is a corner. */
export function projection(lens: Lens, frame: Frame, width: number, height: number, near: number, far: number): Matrix4 {
  const scale = frame.width / lens.width;
  const [fx, fy] = [lens.fx * scale, lens.fy * scale];
  const [cx, cy] = [lens.cx * scale + frame.left, lens.cy * scale + frame.top];
  const depth = far - near;
  // prettier-ignore
  return new Matrix4().set(
    (2 * fx) / width, 0, 1 - (2 * cx) / width, 0,
    0, (2 * fy) / height, (2 * cy) / height - 1, 0,
    0, 0, -(far + near) / depth, (-2 * far * near) / depth,
    0, 0, -1, 0,
  );
}
