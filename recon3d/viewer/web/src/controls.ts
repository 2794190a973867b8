// Moving about: turning around a pivot or looking around, by mouse, touch and keys.

import * as THREE from "three";
import type { Stage } from "./stage";

export type Way = "orbit" | "fly";

const TURN = 0.0055; // radians a CSS pixel
const STEEPEST = 0.995; // of the upward axis in the direction of view: no turning over the top
const WHEEL = 0.0012;
const PACE = 0.5; // pivot distances a second
const KEY_TURN = 1.2; // radians a second
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
  private readonly held = new Set<string>();
  private fast = false;
  private readonly touches = new Map<number, { x: number; y: number }>();
  private travelled = 0;

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
    else if (event.buttons & 6 || event.shiftKey) this.pan(dx, dy);
    else this.turn(-dx * TURN, -dy * TURN);
    before.x = event.clientX;
    before.y = event.clientY;
  }

  private up(event: PointerEvent): void {
    const known = this.touches.delete(event.pointerId);
    if (known && event.type === "pointerup" && !this.touches.size && this.travelled < 4 && event.button === 0) {
      this.onTap(event.clientX, event.clientY);
    }
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
    this.dolly(Math.exp(Math.max(-300, Math.min(300, pixels)) * WHEEL));
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
    if (!this.held.size) return false;
    this.begin();
    const way = new THREE.Vector3();
    for (const code of this.held) {
      if (code in MOVES) way.add(new THREE.Vector3(...MOVES[code]));
      if (code in TURNS) this.turn(TURNS[code][0] * KEY_TURN * seconds, TURNS[code][1] * KEY_TURN * seconds);
    }
    const pace = PACE * this.stage.depth * (this.fast ? 4 : 1);
    this.stage.camera.position.addScaledVector(way.applyQuaternion(this.stage.camera.quaternion), pace * seconds);
    return true;
  }

  private begin(): void {
    this.stage.land();
    this.onMove();
  }

  private turn(yaw: number, pitch: number): void {
    const { camera, depth } = this.stage;
    const ahead = new THREE.Vector3(0, 0, -1).applyQuaternion(camera.quaternion);
    const right = new THREE.Vector3(1, 0, 0).applyQuaternion(camera.quaternion);
    const pivot = camera.position.clone().addScaledVector(ahead, depth);
    const turn = new THREE.Quaternion().setFromAxisAngle(new THREE.Vector3(0, 1, 0), yaw);
    const tilt = new THREE.Quaternion().setFromAxisAngle(right, pitch);
    const tilted = ahead.clone().applyQuaternion(tilt).y;
    if (Math.abs(tilted) < STEEPEST || Math.abs(tilted) < Math.abs(ahead.y)) turn.multiply(tilt);
    camera.quaternion.premultiply(turn).normalize();
    if (this.way === "orbit") {
      camera.position.copy(pivot).addScaledVector(new THREE.Vector3(0, 0, 1).applyQuaternion(camera.quaternion), depth);
    }
    this.stage.redraw();
  }

  private pan(dx: number, dy: number): void {
    const { camera, depth, lens } = this.stage;
    const unit = depth / ((lens.fx * this.stage.pictureFrame().width) / lens.width);
    camera.position.add(new THREE.Vector3(-dx * unit, dy * unit, 0).applyQuaternion(camera.quaternion));
    this.stage.redraw();
  }

  /** Nearer or farther: the distance to the pivot changes in orbit, the pivot travels along in flight. */
  private dolly(ratio: number): void {
    const { camera, depth, radius } = this.stage;
    const next = this.way === "orbit" ? Math.min(radius * 50, Math.max(radius * 5e-3, depth * ratio)) : depth * ratio;
    camera.position.add(new THREE.Vector3(0, 0, next - depth).applyQuaternion(camera.quaternion));
    if (this.way === "orbit") this.stage.depth = next;
    this.stage.redraw();
  }
}
