// What is drawn and through which lens: renderer, world, camera. Frames are drawn only when something has changed.

import * as THREE from "three";
import { SparkRenderer } from "@sparkjsdev/spark";
import { between, lensWithView, placed, projection, type Frame, type Lens } from "./lens";
import type { Mode } from "./messages";

const BLUR = 0.3; // pixels², what recon3d's rasterizer adds to every splat on the screen (eps2d)
const DEVIATIONS = 3.33; // a splat of opacity 1 falls under 1/255 here
const MIN_ALPHA = 1 / 255;
const FREE_FILL = 0.75; // between showing a photo's whole view and covering the window with it
const FLIGHT = 800; // milliseconds
const POINT_RADIUS = 1.2; // pixels
const SIZE = 10; // of the scene's radius in three.js' world: Spark sorts anew when one has moved by 0.001 of its units
export const FLIP = new THREE.Matrix4().makeScale(1, -1, -1); // OpenCV's axes (y down, z ahead) <-> OpenGL's

export interface Standpoint {
  position: THREE.Vector3;
  rotation: THREE.Quaternion;
  lens: Lens;
  fill: number;
  /** Distance of what is looked at, about which the view turns. */
  depth: number;
}

export class Stage {
  readonly renderer: THREE.WebGLRenderer;
  readonly scene = new THREE.Scene();
  /** The scene's own world (y down, any scale) in three.js' (y up, one size): everything of the scene hangs here. */
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
  onStep: (seconds: number) => boolean = () => false;
  beforeDrawn: (eye: THREE.Vector3) => void = () => {};
  onDrawn: () => void = () => {};
  private dirty = true;
  /** Spark has something new to show; while it sorts, that is not the last of it. */
  private renewed = false;
  private last = 0;
  private flight: { from: Standpoint; to: Standpoint; start: number; arrived: () => void } | null = null;
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
    this.measure(SIZE);
    this.scene.add(this.spark, this.world);
    this.camera.matrixAutoUpdate = true;
    this.look("default", false);
    new ResizeObserver(() => this.resize()).observe(canvas);
    requestAnimationFrame((now) => this.frame(now));
  }

  /** Give the scene its size, from where most of it lies. */
  measure(radius: number): void {
    this.scale = SIZE / radius;
    FLIP.clone().scale(new THREE.Vector3(this.scale, this.scale, this.scale)).decompose(
      this.world.position, this.world.quaternion, this.world.scale,
    );
    this.world.updateMatrixWorld();
    this.redraw();
  }

  /** Where a camera stands: camera_from_world row by row, OpenCV's axes, the scene's world. */
  placeOf(cameraFromWorld: readonly number[]): { position: THREE.Vector3; rotation: THREE.Quaternion } {
    const worldFromCamera = new THREE.Matrix4().fromArray([...cameraFromWorld]).transpose().invert();
    const turned = FLIP.clone().multiply(worldFromCamera).multiply(FLIP);
    const [position, rotation] = [new THREE.Vector3(), new THREE.Quaternion()];
    turned.decompose(position, rotation, new THREE.Vector3());
    return { position: position.multiplyScalar(this.scale), rotation };
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

  /** Fly to a standpoint; resolves on arrival, also where another flight takes over. */
  fly(to: Standpoint): Promise<void> {
    this.land();
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.stand(to);
      return Promise.resolve();
    }
    return new Promise((arrived) => {
      this.flight = { from: this.standpoint(), to, start: performance.now(), arrived };
    });
  }

  /** End a flight where it is, as when somebody takes the controls. */
  land(): void {
    this.flight?.arrived();
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
      const { sorting, sortDirty, lodDirty } = this.spark;
      still = sorting || sortDirty || lodDirty || this.renewed || this.dirty || this.flight ? 0 : still + 1;
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
    if (this.onStep(seconds) || this.dirty || (this.renewed && !this.spark.sorting)) this.draw();
  }

  private advance(now: number): void {
    const { from, to, start, arrived } = this.flight!;
    const part = Math.min(1, Math.max(0, (now - start) / FLIGHT));
    const t = part * part * (3 - 2 * part);
    this.stand({
      position: from.position.clone().lerp(to.position, t),
      rotation: from.rotation.clone().slerp(to.rotation, t),
      lens: between(from.lens, to.lens, t),
      fill: from.fill * (1 - t) + to.fill * t,
      depth: from.depth * (1 - t) + to.depth * t,
    });
    if (part < 1) return;
    this.stand(to);
    this.flight = null;
    arrived();
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
