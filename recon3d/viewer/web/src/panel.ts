// The panel at the side: what is shown and how.

import { Choice, element, iconButton, Span, switchRow } from "./element";
import type { FrameMessage } from "./messages";
import type { Filter } from "./splats";
import type { Way } from "./controls";

export const BACKGROUNDS = ["theme", "black", "grey", "white"] as const;
export type Background = (typeof BACKGROUNDS)[number];

export interface Wishes {
  filter: (filter: Filter) => void;
  cameras: (shown: boolean) => void;
  background: (background: Background) => void;
  way: (way: Way) => void;
  close: () => void;
}

export class Panel {
  readonly node: HTMLElement;
  private readonly threshold: HTMLInputElement;
  private readonly thresholdText = element("output", {}, "off");
  private readonly spans: Span[];
  private readonly spansNode: HTMLElement;
  private readonly crop: HTMLInputElement;
  private readonly copy: HTMLButtonElement;
  private readonly cameras: HTMLInputElement;
  private readonly camerasRow: HTMLElement;
  private readonly look: Choice<"splats" | "points">;
  private readonly ways: Choice<Way>;
  private readonly grounds: Choice<Background>;
  private points = false;
  private way: Way = "orbit";
  private ground: Background = "theme";
  private frame: FrameMessage = { center: [0, 0, 0], radius: 1, low: [-1, -1, -1], high: [1, 1, 1] };

  constructor(private readonly wishes: Wishes) {
    this.look = new Choice("Show as", [["splats", "Splats"], ["points", "Points"]], (value) => {
      this.points = value === "points";
      this.tell();
    });
    this.threshold = element("input", { type: "range", min: 0, max: 0.98, step: 0.01, value: 0, id: "threshold", oninput: () => this.tell() });
    const [camerasRow, cameras] = switchRow("Cameras", "C", true, (on) => wishes.cameras(on));
    [this.camerasRow, this.cameras] = [camerasRow, cameras];
    const [cropRow, crop] = switchRow("Crop box", "X", false, () => this.tell());
    this.crop = crop;
    this.spans = ["x", "y", "z"].map((axis) => new Span(axis, () => this.tell()));
    this.copy = element("button", { type: "button", class: "quiet", onclick: () => void this.copyBox() }, "Copy as --crop");
    this.spansNode = element("div", { class: "spans", hidden: true }, ...this.spans.map((span) => span.node), this.copy);
    this.grounds = new Choice("Background", [["theme", "Auto"], ["black", "Black"], ["grey", "Grey"], ["white", "White"]], (value) => {
      this.ground = value;
      wishes.background(value);
    });
    this.ways = new Choice("Movement", [["orbit", "Orbit"], ["fly", "Fly"]], (value) => {
      this.way = value;
      wishes.way(value);
    });
    this.node = element(
      "aside", { class: "panel card", "aria-label": "View", hidden: true },
      element("header", {}, element("h2", {}, "View"), iconButton("close", "Close the panel", "V", wishes.close)),
      this.look.node,
      element("label", { class: "row", for: "threshold" }, element("span", {}, "Opacity above"), this.thresholdText),
      this.threshold,
      camerasRow, cropRow, this.spansNode,
      element("div", { class: "label" }, "Background"), this.grounds.node,
      element("div", { class: "label" }, "Movement"), this.ways.node,
    );
  }

  /** Take the ranges of a scene, and its cameras or their absence; tell everybody how things stand. */
  begin(frame: FrameMessage, hasCameras: boolean): void {
    this.frame = frame;
    this.camerasRow.hidden = !hasCameras;
    this.look.choose(this.points ? "points" : "splats");
    this.ways.choose(this.way);
    this.grounds.choose(this.ground);
    this.wishes.cameras(this.cameras.checked);
  }

  toggleCameras(): void {
    this.cameras.click();
  }

  toggleCrop(): void {
    this.crop.click();
  }

  toggleLook(): void {
    this.look.choose(this.points ? "splats" : "points");
  }

  toggleWay(): void {
    this.ways.choose(this.way === "orbit" ? "fly" : "orbit");
  }

  nextBackground(): void {
    this.grounds.choose(BACKGROUNDS[(BACKGROUNDS.indexOf(this.ground) + 1) % BACKGROUNDS.length]);
  }

  setBackground(background: Background): void {
    this.grounds.choose(background);
  }

  raiseThreshold(by: number): void {
    this.threshold.value = String(Number(this.threshold.value) + by);
    this.tell();
  }

  private box(): { low: number[]; high: number[] } | null {
    if (!this.crop.checked) return null;
    const { low, high } = this.frame;
    const margin = 0.02; // so that a range left at its ends still takes what lies on its border
    const at = (axis: number, part: number) => low[axis] + (high[axis] - low[axis]) * (part * (1 + 2 * margin) - margin);
    return {
      low: this.spans.map((span, axis) => at(axis, span.values[0])),
      high: this.spans.map((span, axis) => at(axis, span.values[1])),
    };
  }

  private tell(): void {
    const threshold = Number(this.threshold.value);
    this.thresholdText.textContent = threshold > 0 ? threshold.toFixed(2) : "off";
    this.spansNode.hidden = !this.crop.checked;
    this.wishes.filter({ threshold, points: this.points, box: this.box() });
  }

  private async copyBox(): Promise<void> {
    const box = this.box();
    if (!box) return;
    await navigator.clipboard.writeText(`--crop ${[...box.low, ...box.high].map((x) => x.toPrecision(5)).join(",")}`);
    this.copy.textContent = "Copied";
    setTimeout(() => (this.copy.textContent = "Copy as --crop"), 1500);
  }
}
