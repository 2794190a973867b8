// Moving about: turning around a pivot or looking around, by mouse, touch and keys.

import * as THREE from "three";
import type { Stage } from "./stage";

export type Way = "orbit" | "fly";

const TURN = 0.0055; // radians a CSS pixel
const STEEPEST = 0.995; // of the upward axis in the direction of view: no turning over the top
const WHEEL = 0.0012;
const PACE = 0.5; // pivot distances a second
const KEY_TURN = 1.2; // radians a second
const GLIDE = 0.16; // seconds in which a movement that was let go falls to 1/e
const REST = 100; // milliseconds without movement after which nothing was thrown
const TWICE = 350; // milliseconds between two taps that are one double tap
const NEAR = 24; // and CSS pixels
const MOVES: Record<string, [number, number, number]> = {
  KeyW: [0, 0, -1], KeyS: [0, 0, 1], KeyA: [-1, 0, 0], KeyD: [1, 0, 0], KeyE: [0, 1, 0], KeyQ: [0, -1, 0],
};
const TURNS: Record<string, [number, number]> = {
  ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1],
};

export class Controls {
  way: Way = "orbit";
  onMove: () => void = () => {};
  onTap: (x: number, y: number) => void = () => {};
  onDouble: (x: number, y: number) => void = () => {};
  /** What the stick for thumbs asks for: to the right and ahead, -1 to 1. */
  stick = { right: 0, ahead: 0 };
  private readonly held = new Set<string>();
  private fast = false;
  private readonly touches = new Map<number, { x: number; y: number }>();
  private travelled = 0;
  private tapped = { x: 0, y: 0, at: -Infinity };
  /** What goes on by itself: pixels a second of the last drag, and the rest of a turn of the wheel (a logarithm). */
  private glide: { drag: (dx: number, dy: number) => void; x: number; y: number; at: number } | null = null;
  private wheeled = 0;
  private readonly calm = matchMedia("(prefers-reduced-motion: reduce)");

  constructor(private readonly stage: Stage) {
    const canvas = stage.canvas;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"] as const) canvas.addEventListener(end, (event) => this.up(event));
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    addEventListener("keydown", (event) => this.key(event, true));
    addEventListener("keyup", (event) => this.key(event, false));
    addEventListener("blur", () => this.held.clear());
    stage.onStep = (seconds) => this.step(seconds);
  }

  private down(event: PointerEvent): void {
    this.stage.canvas.setPointerCapture(event.pointerId);
    if (!this.touches.size) this.travelled = 0;
    this.glide = null;
    this.touches.set(event.pointerId, { x: event.clientX, y: event.clientY });
  }

  private move(event: PointerEvent): void {
    const before = this.touches.get(event.pointerId);
    if (!before) return;
    const [dx, dy] = [event.clientX - before.x, event.clientY - before.y];
    this.travelled += Math.abs(dx) + Math.abs(dy);
    if (this.travelled < 4) return;
    this.begin();
    if (this.touches.size >= 2) this.pinch(event, dx, dy);
    else this.drag(event.buttons & 6 || event.shiftKey ? this.pan : this.swing, dx, dy, event.timeStamp);
    before.x = event.clientX;
    before.y = event.clientY;
  }

  private up(event: PointerEvent): void {
    const known = this.touches.delete(event.pointerId);
    if (this.touches.size || event.timeStamp - (this.glide?.at ?? 0) > REST || this.calm.matches) this.glide = null;
    if (known && event.type === "pointerup" && !this.touches.size && this.travelled < 4 && event.button === 0) this.tap(event);
  }

  private tap({ clientX: x, clientY: y, timeStamp: at }: PointerEvent): void {
    const again = at - this.tapped.at < TWICE && Math.hypot(x - this.tapped.x, y - this.tapped.y) < NEAR;
    this.tapped = { x, y, at: again ? -Infinity : at };
    if (again) this.onDouble(x, y);
    else this.onTap(x, y);
  }

  /** Follow a drag, and remember how quick it is. */
  private drag(way: (dx: number, dy: number) => void, dx: number, dy: number, at: number): void {
    way(dx, dy);
    const seconds = Math.max(0.004, (at - (this.glide?.at ?? at - 16)) / 1000);
    const mixed = (before: number, now: number) => 0.6 * before + 0.4 * (now / seconds);
    this.glide = { drag: way, x: mixed(this.glide?.x ?? 0, dx), y: mixed(this.glide?.y ?? 0, dy), at };
  }

  private pinch(event: PointerEvent, dx: number, dy: number): void {
    const other = [...this.touches].find(([id]) => id !== event.pointerId)![1];
    const before = this.touches.get(event.pointerId)!;
    const apart = Math.hypot(event.clientX - other.x, event.clientY - other.y);
    this.dolly(Math.hypot(before.x - other.x, before.y - other.y) / Math.max(1, apart));
    this.pan(dx / 2, dy / 2);
  }

  private wheel(event: WheelEvent): void {
    event.preventDefault();
    this.begin();
    const pixels = event.deltaY * (event.deltaMode === 1 ? 16 : 1);
    this.wheeled += Math.max(-300, Math.min(300, pixels)) * WHEEL;
    if (this.calm.matches) this.roll(1);
  }

  private key(event: KeyboardEvent, down: boolean): void {
    this.fast = event.shiftKey;
    const typing = event.target instanceof HTMLElement && event.target.matches("input, select, textarea, [role=slider]");
    if (!down) this.held.delete(event.code);
    else if (!typing && !event.ctrlKey && !event.metaKey && !event.altKey && (event.code in MOVES || event.code in TURNS)) {
      this.held.add(event.code);
      event.preventDefault();
    }
  }

  private step(seconds: number): boolean {
    const glides = this.coast(seconds);
    if (!this.held.size && !this.stick.right && !this.stick.ahead) return glides;
    this.begin();
    const way = new THREE.Vector3(this.stick.right, 0, -this.stick.ahead);
    for (const code of this.held) {
      if (code in MOVES) way.add(new THREE.Vector3(...MOVES[code]));
      if (code in TURNS) this.turn(TURNS[code][0] * KEY_TURN * seconds, TURNS[code][1] * KEY_TURN * seconds);
    }
    const pace = PACE * this.stage.depth * (this.fast ? 4 : 1);
    this.travel(way.applyQuaternion(this.stage.camera.quaternion).multiplyScalar(pace * seconds));
    return true;
  }

  /** Go on with what was thrown and wheeled; false once it rests. */
  private coast(seconds: number): boolean {
    if (Math.abs(this.wheeled) > 1e-3) this.roll(1 - Math.exp(-seconds / (GLIDE / 2)));
    if (!this.glide || this.touches.size) return Math.abs(this.wheeled) > 1e-3;
    const { drag, x, y } = this.glide;
    drag(x * seconds, y * seconds);
    const left = Math.exp(-seconds / GLIDE);
    [this.glide.x, this.glide.y] = [x * left, y * left];
    if (Math.hypot(this.glide.x, this.glide.y) < 4) this.glide = null;
    return true;
  }

  private roll(part: number): void {
    this.dolly(Math.exp(this.wheeled * part));
    this.wheeled *= 1 - part;
  }

  private begin(): void {
    this.stage.land();
    this.onMove();
  }

  private readonly swing = (dx: number, dy: number): void => this.turn(-dx * TURN, -dy * TURN);

  private turn(yaw: number, pitch: number): void {
    const { camera, depth } = this.stage;
    const [ahead, pivot] = [this.stage.ahead(), this.stage.pivot()];
    const right = new THREE.Vector3(1, 0, 0).applyQuaternion(camera.quaternion);
    const turn = new THREE.Quaternion().setFromAxisAngle(new THREE.Vector3(0, 1, 0), yaw);
    const tilt = new THREE.Quaternion().setFromAxisAngle(right, pitch);
    const tilted = ahead.clone().applyQuaternion(tilt).y;
    if (Math.abs(tilted) < STEEPEST || Math.abs(tilted) < Math.abs(ahead.y)) turn.multiply(tilt);
    camera.quaternion.premultiply(turn).normalize();
    if (this.way === "orbit") this.stage.orbit(pivot, depth);
    this.stage.redraw();
  }

  private readonly pan = (dx: number, dy: number): void => {
    const { camera, depth, lens } = this.stage;
    const unit = depth / ((lens.fx * this.stage.pictureFrame().width) / lens.width);
    this.travel(new THREE.Vector3(-dx * unit, dy * unit, 0).applyQuaternion(camera.quaternion));
  };

  private travel(by: THREE.Vector3): void {
    if (this.way === "orbit") this.stage.orbit(this.stage.pivot().add(by), this.stage.depth);
    else this.stage.camera.position.add(by);
    this.stage.redraw();
  }

  /** Nearer or farther: the distance to the pivot changes in orbit, the pivot travels along in flight. */
  private dolly(ratio: number): void {
    const { depth } = this.stage;
    if (this.way === "orbit") this.stage.orbit(this.stage.pivot(), depth * ratio);
    else this.travel(this.stage.ahead().multiplyScalar(depth * (1 - ratio)));
  }
}
