// A stick for the thumb: how one flies ahead and sideways where there are no keys.

import { element } from "./element";

const REACH = 38; // CSS pixels from its middle at which it asks for all

export class Stick {
  readonly node: HTMLElement;
  private readonly knob = element("div", { class: "knob" });
  private middle: { x: number; y: number } | null = null;

  constructor(private readonly pushed: (right: number, ahead: number) => void) {
    this.node = element("div", { class: "stick card", "aria-label": "Push to fly", hidden: true }, this.knob);
    this.node.addEventListener("pointerdown", (event) => this.take(event));
    this.node.addEventListener("pointermove", (event) => this.push(event));
    for (const end of ["pointerup", "pointercancel"] as const) this.node.addEventListener(end, () => this.release());
  }

  private take(event: PointerEvent): void {
    this.node.setPointerCapture(event.pointerId);
    const { left, top, width, height } = this.node.getBoundingClientRect();
    this.middle = { x: left + width / 2, y: top + height / 2 };
    this.push(event);
  }

  private push(event: PointerEvent): void {
    if (!this.middle) return;
    const [x, y] = [event.clientX - this.middle.x, event.clientY - this.middle.y];
    const scale = 1 / Math.max(REACH, Math.hypot(x, y));
    this.show(x * scale, -y * scale);
  }

  private release(): void {
    this.middle = null;
    this.show(0, 0);
  }

  private show(right: number, ahead: number): void {
    this.knob.style.transform = `translate(${right * REACH}px, ${-ahead * REACH}px)`;
    this.pushed(right, ahead);
  }
}
