// A photo over the render from its camera, parted by a line that can be moved.

import { element, iconButton } from "./element";
import type { Frame } from "./lens";

export class Compare {
  readonly node: HTMLElement;
  readonly caption: HTMLElement;
  private readonly image = element("img", { alt: "", draggable: "false" });
  private readonly name = element("span", { class: "name" });
  private readonly line: HTMLElement;
  private share = 0.5;

  constructor(step: (by: number) => void, close: () => void) {
    this.line = element(
      "div",
      {
        class: "line", role: "slider", tabindex: "0", "aria-label": "Line between photo and render",
        "aria-valuemin": "0", "aria-valuemax": "100",
        onkeydown: (event: KeyboardEvent) => this.key(event),
      },
      element("div", { class: "grip" }),
    );
    this.line.addEventListener("pointerdown", (event) => this.line.setPointerCapture(event.pointerId));
    this.line.addEventListener("pointermove", (event) => {
      if (!this.line.hasPointerCapture(event.pointerId)) return;
      const box = this.node.getBoundingClientRect();
      this.move((event.clientX - box.left) / box.width);
    });
    this.image.addEventListener("load", () => this.node.classList.add("loaded"));
    const labels = [element("span", { class: "side photo" }, "photo"), element("span", { class: "side render" }, "render")];
    this.node = element("div", { class: "compare", hidden: true }, this.image, this.line, ...labels);
    this.caption = element(
      "div", { class: "caption card", hidden: true },
      iconButton("before", "Photo before", ",", () => step(-1)),
      this.name,
      iconButton("after", "Next photo", ".", () => step(1)),
      iconButton("close", "Leave the photo", "Esc", close),
    );
    this.move(0.5);
  }

  /** Say whose photo is flown to. */
  announce(name: string, heldOut: boolean): void {
    this.name.textContent = heldOut ? `${name} · held out` : name;
    this.caption.hidden = false;
    this.node.hidden = true;
  }

  /** Lay the whole photo over the window, while what is behind it is not yet drawn. */
  cover(photo: string): void {
    this.node.classList.remove("loaded");
    this.node.classList.add("whole");
    this.image.src = photo;
    this.node.hidden = false;
  }

  /** Part photo and render. */
  part(): void {
    this.node.classList.remove("whole");
  }

  hide(): void {
    this.node.hidden = this.caption.hidden = true;
  }

  place(frame: Frame): void {
    const { style } = this.node;
    [style.left, style.top] = [`${frame.left}px`, `${frame.top}px`];
    [style.width, style.height] = [`${frame.width}px`, `${frame.height}px`];
  }

  private key(event: KeyboardEvent): void {
    const by = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
    if (by) this.move(this.share + by);
  }

  private move(share: number): void {
    this.share = Math.min(1, Math.max(0, share));
    this.node.style.setProperty("--part", `${this.share * 100}%`);
    this.node.classList.toggle("all-photo", this.share > 0.85);
    this.node.classList.toggle("all-render", this.share < 0.15);
    this.line.setAttribute("aria-valuenow", String(Math.round(this.share * 100)));
  }
}
