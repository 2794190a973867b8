// The row of photos at the lower edge: it shows where it goes on, and the wheel moves it.

import { element, icon } from "./element";
import type { CameraMessage } from "./messages";

const PAGE = 0.8; // of its width that a press on an arrow moves it

export class Strip {
  readonly node: HTMLElement;
  private readonly row = element("div", { class: "photos" });

  constructor(private readonly chosen: (camera: number) => void) {
    const arrow = (side: "before" | "after", label: string, by: number) =>
      element("button", { type: "button", class: `more ${side} card`, "aria-label": label, tabindex: "-1", onclick: () => this.move(by) }, icon(side));
    const arrows = [arrow("before", "Photos before", -PAGE), arrow("after", "More photos", PAGE)];
    this.node = element("nav", { class: "strip", "aria-label": "Photos", hidden: true }, this.row, ...arrows);
    this.row.addEventListener("scroll", () => this.measure(), { passive: true });
    this.row.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    new ResizeObserver(() => this.measure()).observe(this.row);
  }

  /** The height that it takes from the window. */
  get height(): number {
    return this.node.hidden ? 0 : this.node.offsetHeight + 12;
  }

  fill(cameras: readonly CameraMessage[], photo: (camera: number) => string): void {
    const photos = cameras.map((camera, i) => ({ camera, i })).filter(({ camera }) => camera.photo);
    this.row.replaceChildren(
      ...photos.map(({ camera, i }) =>
        element(
          "button",
          { type: "button", title: camera.name, "aria-label": camera.name, "data-camera": i, onclick: () => this.chosen(i) },
          element("img", { src: photo(i), alt: "", loading: "lazy", draggable: "false", onload: () => this.measure() }),
        ),
      ),
    );
    this.node.hidden = photos.length === 0;
    this.measure();
  }

  /** Mark a camera's photo, -1 for none, and bring it into view. */
  mark(camera: number): void {
    for (const button of this.row.querySelectorAll("button")) {
      const here = button.dataset.camera === String(camera);
      button.setAttribute("aria-current", String(here));
      if (here) button.scrollIntoView({ block: "nearest", inline: "center", behavior: "smooth" });
    }
  }

  private move(pages: number): void {
    this.row.scrollBy({ left: pages * this.row.clientWidth, behavior: "smooth" });
  }

  private wheel(event: WheelEvent): void {
    if (Math.abs(event.deltaY) <= Math.abs(event.deltaX)) return;
    event.preventDefault();
    this.row.scrollLeft += event.deltaY * (event.deltaMode === 1 ? 16 : 1);
  }

  private measure(): void {
    const { scrollLeft, clientWidth, scrollWidth } = this.row;
    this.node.classList.toggle("more-before", scrollLeft > 2);
    this.node.classList.toggle("more-after", scrollLeft + clientWidth < scrollWidth - 2);
  }
}
