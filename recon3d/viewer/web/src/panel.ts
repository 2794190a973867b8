// The panel at the side: what is shown and how.

import { Choice, element, iconButton, Span, switchRow } from "./element";
import type { FrameMessage } from "./messages";
import type { Filter } from "./splats";
import type { Way } from "./controls";
import { AXES } from "./upright";

export const BACKGROUNDS = ["theme", "black", "grey", "white"] as const;
export type Background = (typeof BACKGROUNDS)[number];

export interface Wishes {
  filter: (filter: Filter) => void;
  cameras: (shown: boolean) => void;
  background: (background: Background) => void;
  way: (way: Way) => void;
  view: (degrees: number) => void;
  /** One of AXES, or "view": as this view stands. */
  up: (axis: string) => void;
  saveUp: () => void;
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
  private readonly view: HTMLInputElement;
  private readonly viewText = element("output");
  private readonly up: HTMLSelectElement;
  private readonly saveUp: HTMLButtonElement;
  private points = false;
  private way: Way = "orbit";
  private ground: Background = "theme";
  private frame: FrameMessage | null = null;

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
    this.view = element("input", { type: "range", min: 10, max: 110, step: 1, id: "view", oninput: () => wishes.view(Number(this.view.value)) });
    const options = [...Object.keys(AXES), "view"].map((axis) => element("option", { value: axis }, axis === "view" ? "as in this view" : axis));
    this.up = element("select", { id: "up", onchange: () => wishes.up(this.up.value) }, ...options);
    this.saveUp = element("button", {
      type: "button", class: "quiet", hidden: true, title: "recon3d export IN OUT --transform transform.json", onclick: wishes.saveUp,
    }, "Save transform.json for export");
    this.node = element(
      "aside", { class: "panel card", "aria-label": "View", hidden: true },
      element("header", {}, element("h2", {}, "View"), iconButton("close", "Close the panel", "V", wishes.close)),
      this.look.node,
      element("label", { class: "row", for: "threshold" }, element("span", {}, "Opacity above"), this.thresholdText),
      this.threshold,
      camerasRow, cropRow, this.spansNode,
      element("div", { class: "label" }, "Background"), this.grounds.node,
      element("div", { class: "label" }, "Movement"), this.ways.node,
      element("label", { class: "row", for: "view" }, element("span", {}, "Field of view"), this.viewText), this.view,
      element("label", { class: "row", for: "up" }, element("span", {}, "Up is"), this.up), this.saveUp,
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

  showView(degrees: number): void {
    this.viewText.textContent = `${Math.round(degrees)}°`;
    if (document.activeElement !== this.view || Math.abs(Number(this.view.value) - degrees) > 1) this.view.value = String(degrees);
  }

  /** Show which way is up, by its name in AXES or as "view"; what is not as files have it can be kept. */
  showUp(axis: string, kept: boolean): void {
    this.up.value = axis;
    this.saveUp.hidden = kept;
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
    if (!this.crop.checked || !this.frame) return null;
    const frame = this.frame;
    return {
      low: this.spans.map((span, axis) => alongAxis(frame, axis, span.values[0])),
      high: this.spans.map((span, axis) => alongAxis(frame, axis, span.values[1])),
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
    const digits = Math.min(12, Math.max(0, 4 - Math.floor(Math.log10(this.frame!.radius)))); // also far from the origin
    await navigator.clipboard.writeText(`--crop ${[...box.low, ...box.high].map((x) => Number(x.toFixed(digits))).join(",")}`);
    this.copy.textContent = "Copied";
    setTimeout(() => (this.copy.textContent = "Copy as --crop"), 1500);
  }
}

const OUTER = 0.15; // of a range, at each end, goes over what lies outside of the subject
const MARGIN = 0.02; // of everything, so that a range left at its ends still takes what lies on its border

/** A part of the way along an axis, 0 to 1: most of it goes over the subject, however far the backdrop is. */
function alongAxis({ low, high, least, most }: FrameMessage, axis: number, part: number): number {
  const margin = MARGIN * (most[axis] - least[axis]);
  const stops = [[0, least[axis] - margin], [OUTER, low[axis]], [1 - OUTER, high[axis]], [1, most[axis] + margin]];
  const i = stops.findIndex(([at], k) => k > 0 && part <= at);
  const [[from, a], [to, b]] = [stops[i - 1], stops[i]];
  return a + ((b - a) * (part - from)) / (to - from);
}
