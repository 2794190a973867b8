// The cameras as frusta, each with its photo on its picture plane.

import * as THREE from "three";
import type { CameraMessage } from "./messages";

const THUMBNAIL = 192; // pixels of a photo's longest side on the graphics card
const OF_DEPTH = 0.16; // a frustum's length, of the median depth that cameras look at
const OF_SPACING = 0.45; // and of the median distance between neighbours, whichever is less
const NEAR = 1.5; // lengths around one's own eye in which a frustum would only cover the view
const SEEN = 0x6fc2b0;
const HELD_OUT = 0xd9b26f;
const MARKED = 0xffffff;

interface Frustum {
  lines: THREE.LineSegments<THREE.BufferGeometry, THREE.LineBasicMaterial>;
  plane: THREE.Mesh<THREE.BufferGeometry, THREE.MeshBasicMaterial>;
  color: number;
  /** In the scene's world. */
  eye: THREE.Vector3;
}

export class Frusta {
  readonly group = new THREE.Group();
  private readonly frusta: Frustum[] = [];
  private marked = -1;
  private length = 0;
  private readonly raycaster = new THREE.Raycaster();

  constructor(private readonly changed: () => void) {}

  /** Draw these cameras in the place of those before. */
  set(cameras: readonly CameraMessage[], photo: (camera: number) => string): void {
    for (const { lines, plane } of this.frusta) {
      for (const part of [lines, plane]) part.geometry.dispose();
      plane.material.map?.dispose();
      plane.material.dispose();
      lines.material.dispose();
    }
    this.frusta.length = 0;
    this.marked = -1;
    this.group.clear();
    this.length = frustumLength(cameras);
    cameras.forEach((camera, i) => {
      const frustum = made(camera, this.length);
      this.frusta.push(frustum);
      this.group.add(frustum.lines, frustum.plane);
      if (camera.photo) void this.picture(frustum, photo(i));
    });
    this.changed();
  }

  get count(): number {
    return this.group.visible ? this.frusta.length : 0;
  }

  /** Which camera a ray meets; -1 for none. */
  at(ray: THREE.Ray): number {
    if (!this.group.visible) return -1;
    this.raycaster.ray.copy(ray);
    const planes = this.frusta.map(({ plane }) => plane).filter((plane) => plane.visible);
    const met = this.raycaster.intersectObjects(planes, false)[0];
    return met ? this.frusta.findIndex(({ plane }) => plane === met.object) : -1;
  }

  /** The middle of a camera's picture plane, in three.js' world. */
  middle(camera: number): THREE.Vector3 {
    const { plane } = this.frusta[camera];
    plane.geometry.computeBoundingSphere();
    return plane.localToWorld(plane.geometry.boundingSphere!.center.clone());
  }

  /** Leave out those that one stands in. */
  clear(eye: THREE.Vector3): void {
    const here = this.group.worldToLocal(eye.clone());
    for (const frustum of this.frusta) {
      frustum.lines.visible = frustum.plane.visible = frustum.eye.distanceTo(here) > NEAR * this.length;
    }
  }

  mark(camera: number): void {
    if (camera === this.marked) return;
    this.marked = camera;
    this.frusta.forEach(({ lines, color }, i) => lines.material.color.set(i === camera ? MARKED : color));
    this.changed();
  }

  private async picture({ plane }: Frustum, address: string): Promise<void> {
    const image = new Image();
    image.src = address;
    try {
      await image.decode();
    } catch {
      return; // a photo that cannot be read leaves its frustum empty
    }
    const scale = Math.min(1, THUMBNAIL / Math.max(image.width, image.height));
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [Math.ceil(image.width * scale), Math.ceil(image.height * scale)];
    canvas.getContext("2d")!.drawImage(image, 0, 0, canvas.width, canvas.height);
    const texture = new THREE.CanvasTexture(canvas);
    texture.colorSpace = THREE.SRGBColorSpace;
    plane.material.map = texture;
    plane.material.color.set(0xffffff);
    plane.material.opacity = 0.85;
    plane.material.needsUpdate = true;
    this.changed();
  }
}

function made(camera: CameraMessage, length: number): Frustum {
  const [fx, , cx, , fy, cy] = camera.K;
  const corner = (u: number, v: number) => [((u - cx) / fx) * length, ((v - cy) / fy) * length, length];
  const corners = [corner(0, 0), corner(camera.width, 0), corner(camera.width, camera.height), corner(0, camera.height)];
  const rays = corners.flatMap((end, i) => [[0, 0, 0], end, end, corners[(i + 1) % 4]]);
  const middle = (corners[0][0] + corners[1][0]) / 2;
  const reach = (corners[1][0] - corners[0][0]) * 0.1;
  const top = corners[0][1]; // a tick that tells up
  const tick = [[middle - reach, top, length], [middle, top - reach, length], [middle, top - reach, length], [middle + reach, top, length]];
  const color = camera.held_out ? HELD_OUT : SEEN;
  const lines = new THREE.LineSegments(
    new THREE.BufferGeometry().setAttribute("position", floats([...rays, ...tick])),
    new THREE.LineBasicMaterial({ color }),
  );
  const surface = new THREE.BufferGeometry().setAttribute("position", floats(corners));
  surface.setAttribute("uv", new THREE.Float32BufferAttribute([0, 1, 1, 1, 1, 0, 0, 0], 2));
  surface.setIndex([0, 1, 2, 0, 2, 3]);
  const plane = new THREE.Mesh(
    surface,
    new THREE.MeshBasicMaterial({ color, transparent: true, opacity: 0.15, side: THREE.DoubleSide, depthWrite: false }),
  );
  const worldFromCamera = new THREE.Matrix4().fromArray([...camera.camera_from_world]).transpose().invert();
  for (const part of [lines, plane]) part.applyMatrix4(worldFromCamera);
  return { lines, plane, color, eye: new THREE.Vector3().setFromMatrixPosition(worldFromCamera) };
}

function floats(points: number[][]): THREE.Float32BufferAttribute {
  return new THREE.Float32BufferAttribute(points.flat(), 3);
}

/** Long enough to see, short enough that neighbours do not run into each other. */
function frustumLength(cameras: readonly CameraMessage[]): number {
  const depth = OF_DEPTH * median(cameras.map((camera) => camera.depth));
  const centers = cameras.map(({ camera_from_world: m }) => new THREE.Vector3().setFromMatrixPosition(
    new THREE.Matrix4().fromArray([...m]).transpose().invert(),
  ));
  const sample = centers.slice(0, 300);
  const nearest = sample.map((a) => Math.min(...sample.filter((b) => b !== a).map((b) => a.distanceTo(b))));
  const spacing = OF_SPACING * median(nearest.filter((distance) => Number.isFinite(distance) && distance > 0));
  return spacing > 0 ? Math.min(depth, Math.max(spacing, depth / 5)) : depth;
}

function median(values: number[]): number {
  return values.length ? [...values].sort((a, b) => a - b)[values.length >> 1] : 0;
}
