// What is drawn and through which lens: renderer, world, camera. Frames are drawn only when something has changed.

import * as THREE from "three";
import { SparkRenderer } from "@sparkjsdev/spark";
import { between, lensWithView, placed, projection, type Frame, type Lens } from "./lens";
import type { Mode } from "./messages";

const BLUR = 0.3; // pixels², what recon3d's rasterizer adds to every splat on the screen (eps2d)
const DEVIATIONS = 3.33; // a splat of opacity 1 falls under 1/255 here
const MIN_ALPHA = 1 / 255;
const FREE_FILL = 0.35; // between showing a photo's whole view and covering the window with it
const FLIGHT = 800; // milliseconds
const SMALLEST = 5e-3; // of the scene's radius, from what one turns about
const POINT_RADIUS = 1.2; // pixels
const SIZE = 10; // of the scene's radius in three.js' world: Spark sorts anew when one has moved by 0.001 of its units
export const FLIP = new THREE.Matrix4().makeScale(1, -1, -1); // OpenCV's axes (y down, z ahead) <-> OpenGL's

/** Where one is on the way from 0 to 1. */
export type Path = (part: number) => Standpoint;

export interface Standpoint {
  position: THREE.Vector3;
  rotation: THREE.Quaternion;
  lens: Lens;
  fill: number;
  /** Distance of what is looked at, about which the view turns. */
  depth: number;
}

/** How far it is from a place within a ball about the middle to its surface. */
function wayOut(from: THREE.Vector3, way: THREE.Vector3, radius: number): number {
  const along = from.dot(way);
  return Math.sqrt(Math.max(0, along ** 2 + radius ** 2 - from.lengthSq())) - along;
}

/** A standpoint on the straight way between two. */
export function on(from: Standpoint, to: Standpoint, t: number): Standpoint {
  return {
    position: from.position.clone().lerp(to.position, t),
    rotation: from.rotation.clone().slerp(to.rotation, t),
    lens: between(from.lens, to.lens, t),
    fill: from.fill * (1 - t) + to.fill * t,
    depth: from.depth * (1 - t) + to.depth * t,
  };
}

export class Stage {
  readonly renderer: THREE.WebGLRenderer;
  readonly scene = new THREE.Scene();
  /** The scene's own world (y down, anywhere, any scale) in three.js' (y up, about its middle, one size): everything of the
   * scene hangs here. */
  readonly world = new THREE.Group();
  readonly camera = new THREE.PerspectiveCamera();
  readonly spark: SparkRenderer;
  lens: Lens = lensWithView(50);
  fill = FREE_FILL;
  depth = SIZE;
  readonly radius = SIZE;
  /** Units of three.js' world for one of the scene's. */
  scale = 1;
  /** Free part of the window, in CSS pixels from each side: panels lie outside of it. */
  insets = { left: 0, top: 0, right: 0, bottom: 0 };
  /** How far from the middle an orbit may lead; behind it one would see the back of the backdrop. */
  limit = Infinity;
  onStep: (seconds: number) => boolean = () => false;
  beforeDrawn: (eye: THREE.Vector3) => void = () => {};
  onDrawn: () => void = () => {};
  private dirty = true;
  /** Spark has something new to show; while it sorts, that is not the last of it. */
  private renewed = false;
  private last = 0;
  private moving = false;
  private flight: { path: Path; start: number; milliseconds: number; ended: (arrived: boolean) => void } | null = null;
  private exact: { width: number; height: number } | null = null;

  constructor(readonly canvas: HTMLCanvasElement, precise: boolean) {
    const context = canvas.getContext("webgl2", { antialias: false, powerPreference: "high-performance" });
    if (!context) throw new Error("no WebGL2");
    this.renderer = new THREE.WebGLRenderer({ canvas, context, antialias: false });
    this.spark = new SparkRenderer({
      renderer: this.renderer,
      onDirty: () => (this.renewed = true),
      maxStdDev: DEVIATIONS,
      minAlpha: MIN_ALPHA,
      maxPixelRadius: 4096,
      sortRadial: false, // by depth, as splats are trained
      accumExtSplats: precise,
    });
    this.scene.add(this.spark, this.world);
    this.camera.matrixAutoUpdate = true;
    this.look("default", false);
    new ResizeObserver(() => this.resize()).observe(canvas);
    requestAnimationFrame((now) => this.frame(now));
  }

  /** Lay the scene's middle into that of three.js' world, at one size; `turn` comes first, where up is not -y. */
  lay(center: THREE.Vector3, radius: number, turn: THREE.Quaternion): void {
    this.scale = SIZE / radius;
    FLIP.clone()
      .scale(new THREE.Vector3(this.scale, this.scale, this.scale))
      .multiply(new THREE.Matrix4().makeRotationFromQuaternion(turn))
      .multiply(new THREE.Matrix4().makeTranslation(center.clone().negate()))
      .decompose(this.world.position, this.world.quaternion, this.world.scale);
    this.world.updateMatrixWorld();
    this.redraw();
  }

  /** Where a camera stands: camera_from_world row by row, OpenCV's axes, the scene's world. */
  placeOf(cameraFromWorld: readonly number[]): { position: THREE.Vector3; rotation: THREE.Quaternion } {
    const worldFromCamera = new THREE.Matrix4().fromArray([...cameraFromWorld]).transpose().invert();
    const turned = this.world.matrixWorld.clone().multiply(worldFromCamera).multiply(FLIP);
    const [position, rotation] = [new THREE.Vector3(), new THREE.Quaternion()];
    turned.decompose(position, rotation, new THREE.Vector3());
    return { position, rotation };
  }

  /** How splats become pixels: as they were trained, or as points of one size on the screen. */
  look(mode: Mode, points: boolean): void {
    const antialiased = mode === "antialiased" && !points;
    this.spark.preBlurAmount = points ? (POINT_RADIUS / DEVIATIONS) ** 2 * 4 : antialiased ? 0 : BLUR;
    this.spark.blurAmount = antialiased ? BLUR : 0;
    this.spark.falloff = points ? 0 : 1;
    this.redraw();
  }

  background(color: string): void {
    this.scene.background = new THREE.Color(color);
    this.redraw();
  }

  redraw(): void {
    this.dirty = true;
  }

  /** The window without its panels. */
  area(): Frame {
    const { clientWidth, clientHeight } = this.canvas;
    if (this.exact) return { left: 0, top: 0, width: this.exact.width, height: this.exact.height };
    const { left, top, right, bottom } = this.insets;
    return { left, top, width: Math.max(1, clientWidth - left - right), height: Math.max(1, clientHeight - top - bottom) };
  }

  /** Where the picture of the lens lies in the window, CSS pixels. */
  pictureFrame(): Frame {
    return placed(this.lens, this.area(), this.fill);
  }

  /** The vertical field of view of the window without its panels, in degrees. */
  get view(): number {
    return (Math.atan(this.area().height / 2 / this.focal()) * 360) / Math.PI;
  }

  zoom(degrees: number): void {
    const factor = this.area().height / 2 / Math.tan((degrees * Math.PI) / 360) / this.focal();
    this.lens = { ...this.lens, fx: this.lens.fx * factor, fy: this.lens.fy * factor };
    this.redraw();
  }

  /** The focal length on the screen, CSS pixels. */
  private focal(): number {
    return (this.lens.fy * this.pictureFrame().height) / this.lens.height;
  }

  standpoint(): Standpoint {
    return {
      position: this.camera.position.clone(),
      rotation: this.camera.quaternion.clone(),
      lens: { ...this.lens },
      fill: this.fill,
      depth: this.depth,
    };
  }

  stand(at: Standpoint): void {
    this.camera.position.copy(at.position);
    this.camera.quaternion.copy(at.rotation);
    [this.lens, this.fill, this.depth] = [at.lens, at.fill, at.depth];
    this.redraw();
  }

  /** Fly to a standpoint; resolves when it ends: true on arrival, false where something else takes over. */
  fly(to: Standpoint): Promise<boolean> {
    const from = this.standpoint();
    const milliseconds = matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : FLIGHT;
    return this.follow((part) => (part < 1 ? on(from, to, part * part * (3 - 2 * part)) : to), milliseconds);
  }

  follow(path: Path, milliseconds: number): Promise<boolean> {
    this.land();
    if (milliseconds <= 0) {
      this.stand(path(1));
      return Promise.resolve(true);
    }
    return new Promise((ended) => {
      this.flight = { path, start: performance.now(), milliseconds, ended };
    });
  }

  /** End a flight where it is, as when somebody takes the controls. */
  land(): void {
    this.flight?.ended(false);
    this.flight = null;
  }

  freeStandpoint(at: Standpoint): Standpoint {
    return { ...at, fill: FREE_FILL };
  }

  /** Show exactly what a camera sees, in a picture of its size whatever the window is. */
  showExactly(at: Standpoint): void {
    this.land();
    this.exact = { width: at.lens.width, height: at.lens.height };
    this.stand({ ...at, fill: 0 });
    this.resize();
  }

  /** Resolves when the picture is final: splats are sorted, their detail is chosen, nothing moves. */
  async drawn(): Promise<void> {
    for (let still = 0; still < 3; ) {
      await new Promise(requestAnimationFrame);
      const { sorting, sortDirty, lodDirty, lastLod, currentLod } = this.spark;
      const choosing = lodDirty || lastLod !== currentLod; // a worker is at the levels of detail
      still = sorting || sortDirty || choosing || this.renewed || this.dirty || this.flight || this.moving ? 0 : still + 1;
    }
  }

  /** A PNG of what is seen now. */
  picture(): Promise<Blob> {
    this.draw(); // the buffer is only kept until this task ends
    return new Promise((resolve, reject) => {
      this.canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no picture could be made"))), "image/png");
    });
  }

  resize(): void {
    const { clientWidth, clientHeight } = this.canvas;
    const [width, height] = this.exact ? [this.exact.width, this.exact.height] : [clientWidth, clientHeight];
    this.renderer.setPixelRatio(this.exact ? 1 : Math.min(devicePixelRatio, 2));
    this.renderer.setSize(Math.max(1, width), Math.max(1, height), false);
    this.draw();
  }

  private frame(now: number): void {
    requestAnimationFrame((next) => this.frame(next));
    const seconds = Math.min(0.1, (now - this.last) / 1000);
    this.last = now;
    if (this.flight) this.advance(now);
    this.moving = this.onStep(seconds);
    if (this.moving || this.dirty || (this.renewed && !this.spark.sorting)) this.draw();
  }

  private advance(now: number): void {
    const { path, start, milliseconds, ended } = this.flight!;
    const part = Math.min(1, Math.max(0, (now - start) / milliseconds));
    this.stand(path(part));
    if (part < 1) return;
    this.flight = null;
    ended(true);
  }

  /** What is seen at a place of the window, CSS pixels. */
  ray(x: number, y: number): THREE.Ray {
    const caster = new THREE.Raycaster();
    const { clientWidth, clientHeight } = this.canvas;
    caster.setFromCamera(new THREE.Vector2((x / clientWidth) * 2 - 1, 1 - (y / clientHeight) * 2), this.camera);
    return caster.ray;
  }

  /** Where a point of three.js' world lies in the window, CSS pixels, and whether it is ahead. */
  inWindow(point: THREE.Vector3): { x: number; y: number; ahead: boolean } {
    const { x, y, z } = point.clone().project(this.camera);
    return { x: ((x + 1) / 2) * this.canvas.clientWidth, y: ((1 - y) / 2) * this.canvas.clientHeight, ahead: Math.abs(z) < 1 };
  }

  ahead(): THREE.Vector3 {
    return new THREE.Vector3(0, 0, -1).applyQuaternion(this.camera.quaternion);
  }

  /** What one turns about; a camera that looks at the backdrop turns about something before it. */
  pivot(): THREE.Vector3 {
    const { position } = this.camera;
    this.depth = Math.min(this.depth, wayOut(position, this.ahead(), this.bound()) * (1 - SMALLEST));
    return position.clone().addScaledVector(this.ahead(), this.depth);
  }

  /** Stand so far from a pivot, looking at it, but within the bound: there, nearer to it. */
  orbit(pivot: THREE.Vector3, depth: number): void {
    const bound = this.bound();
    pivot.clampLength(0, bound * (1 - SMALLEST));
    const back = this.ahead().negate();
    this.depth = Math.min(wayOut(pivot, back, bound), Math.max(this.radius * SMALLEST, depth));
    this.camera.position.copy(pivot).addScaledVector(back, this.depth);
    this.redraw();
  }

  /** The limit; one who stands beyond it is not pulled in, but goes no farther. */
  private bound(): number {
    return Math.max(this.limit, this.camera.position.length());
  }

  private draw(): void {
    this.dirty = this.renewed = false;
    const { width, height } = this.exact ?? { width: this.canvas.clientWidth, height: this.canvas.clientHeight };
    const [near, far] = [Math.min(this.radius, this.depth) * 2e-3, this.radius * 200];
    this.camera.projectionMatrix = projection(this.lens, this.pictureFrame(), Math.max(1, width), Math.max(1, height), near, far);
    this.camera.fov = 2 * Math.atan(1 / this.camera.projectionMatrix.elements[5]) * (180 / Math.PI); // for level of detail
    this.camera.projectionMatrixInverse.copy(this.camera.projectionMatrix).invert();
    this.camera.updateMatrixWorld();
    this.beforeDrawn(this.camera.position);
    this.renderer.render(this.scene, this.camera);
    this.onDrawn();
  }
}
