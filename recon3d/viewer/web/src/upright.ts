// Which way of a scene is up, and the turn that lays it as recon3d does: up is -y.

import * as THREE from "three";

export const UP = new THREE.Vector3(0, -1, 0);
export const AXES: Record<string, [number, number, number]> = {
  "−y": [0, -1, 0], y: [0, 1, 0], z: [0, 0, 1], "−z": [0, 0, -1], x: [1, 0, 0], "−x": [-1, 0, 0],
};

/** The least turn that brings `up` to -y; half a turn about x where it points the other way. */
export function turnFrom(up: THREE.Vector3): THREE.Quaternion {
  if (up.distanceTo(UP) > 1.999999) return new THREE.Quaternion(1, 0, 0, 0);
  return new THREE.Quaternion().setFromUnitVectors(up, UP);
}

/** The turn as what `recon3d export --transform` reads: a 4x4 matrix, row by row. */
export function transformFile(up: THREE.Vector3): string {
  const columns = new THREE.Matrix4().makeRotationFromQuaternion(turnFrom(up)).elements;
  const rows = [0, 1, 2, 3].map((row) => [0, 1, 2, 3].map((column) => Number(columns[column * 4 + row].toFixed(9)) + 0));
  return `[${rows.map((row) => JSON.stringify(row)).join(",\n ")}]\n`;
}

/** Looking the same way, but level: what is up stands up on the screen. */
export function level(rotation: THREE.Quaternion): THREE.Quaternion {
  const ahead = new THREE.Vector3(0, 0, -1).applyQuaternion(rotation);
  const pitch = Math.asin(THREE.MathUtils.clamp(ahead.y, -0.98, 0.98));
  const side = Math.hypot(ahead.x, ahead.z) > 1e-3 ? ahead : new THREE.Vector3(0, 1, 0).applyQuaternion(rotation);
  return new THREE.Quaternion().setFromEuler(new THREE.Euler(pitch, Math.atan2(-side.x, -side.z), 0, "YXZ"));
}
