// What lies over the scene when it is asked for: the run's report and the list of keys. And what is said while loading.

import { element, iconButton } from "./element";
import type { ReportSection } from "./messages";

const KEYS: [string, [string, string][]][] = [
  ["Moving", [
    ["drag", "turn around the scene (orbit), look around (fly)"],
    ["double click", "bring what is there into the middle, and nearer"],
    ["wheel, pinch", "nearer, farther"],
    ["right button, two fingers", "move sideways"],
    ["W A S D", "ahead, left, back, right; Shift is faster"],
    ["E Q", "up, down"],
    ["arrows", "turn"],
    ["O", "orbit or fly"],
    ["H", "first view"],
    ["Space", "fly along the cameras, or stop"],
  ]],
  ["Showing", [
    ["P", "points or splats"],
    ["C", "cameras"],
    [", .", "photo before, next photo"],
    ["[ ]", "lower, raise the opacity threshold"],
    ["X", "crop box"],
    ["B", "next background"],
    ["L", "light or dark"],
    ["V", "panel"],
    ["F", "full screen"],
  ]],
  ["More", [
    ["T", "take a picture"],
    ["K", "copy a link to this view"],
    ["R", "report of the run"],
    ["?", "these keys"],
    ["Esc", "close, leave the photo"],
  ]],
];

export class Dialog {
  readonly node: HTMLDialogElement;
  private readonly body = element("div", { class: "body" });

  constructor(title: string) {
    const head = element("header", {}, element("h2", {}, title), iconButton("close", "Close", "Esc", () => this.node.close()));
    this.node = element("dialog", { class: "card", "aria-label": title }, head, this.body);
    this.node.addEventListener("click", (event) => {
      if (event.target === this.node) this.node.close(); // beside the dialog
    });
  }

  fill(...content: Node[]): void {
    this.body.replaceChildren(...content);
  }

  toggle(): void {
    if (this.node.open) this.node.close();
    else this.node.showModal();
  }
}

export function keysDialog(): Dialog {
  const dialog = new Dialog("Keys and gestures");
  dialog.fill(...KEYS.map(([title, rows]) => table(title, rows)));
  return dialog;
}

export function reportTables(report: readonly ReportSection[]): Node[] {
  return report.map(({ title, rows }) => table(title, rows, false));
}

function table(title: string, rows: readonly (readonly [string, string])[], keys = true): HTMLElement {
  const list = rows.flatMap(([name, text]) => [
    element("dt", {}, ...(keys && !/^[a-z]{2}/.test(name) ? name.split(" ").map((key) => element("kbd", {}, key)) : [name])),
    element("dd", {}, text),
  ]);
  return element("section", {}, element("h3", {}, title), element("dl", {}, ...list));
}

/** A few words that go by themselves. */
export class Toast {
  readonly node = element("p", { class: "toast card", role: "status", hidden: true });
  private timer = 0;

  say(text: string): void {
    this.node.textContent = text;
    this.node.hidden = false;
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => (this.node.hidden = true), 2500);
  }
}

/** The card in the middle: a bar while the scene comes, or a sentence about what is in the way. */
export class Notice {
  readonly node = element("div", { class: "notice card", role: "status", hidden: true });
  private readonly text = element("p");
  private readonly bar = element("progress", { max: 1, "aria-label": "Loading" });

  constructor() {
    this.node.append(this.text, this.bar);
  }

  progress(text: string, part: number | null): void {
    this.node.hidden = this.bar.hidden = false;
    this.node.classList.remove("trouble");
    this.text.textContent = text;
    if (part === null) this.bar.removeAttribute("value");
    else this.bar.value = part;
  }

  trouble(text: string): void {
    this.node.hidden = false;
    this.bar.hidden = true;
    this.node.classList.add("trouble");
    this.text.textContent = text;
  }

  hide(): void {
    this.node.hidden = true;
  }
}
