// Small pieces of the page's interface.

type Properties = Record<string, string | number | boolean | ((event: never) => void) | undefined>;

/** An HTML element: "class" and attributes by name, listeners as onclick, oninput and so on. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Properties = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") made.addEventListener(name.slice(2), value as EventListener);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== undefined) made.setAttribute(name, String(value));
  }
  made.append(...children);
  return made;
}

/** Give a file to whoever looks at the page. */
export function download(name: string, content: Blob): void {
  const address = URL.createObjectURL(content);
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

const ICONS = {
  home: "M4 11.5 12 5l8 6.5M6.5 10v9h11v-9",
  picture: "M4 8h4l1.5-2.5h5L16 8h4v11H4zM12 16.2a3 3 0 1 0 0-6 3 3 0 0 0 0 6",
  report: "M6 3.5h8l4 4v13H6zM9 11h6M9 14.5h6M9 18h4",
  help: "M9.2 9.2a2.9 2.9 0 1 1 4.2 2.7c-1 .5-1.4 1-1.4 2.1M12 17.4v.1",
  settings: "M4 7h8M16 7h4M4 12h3M11 12h9M4 17h9M17 17h3M14 5v4M9 10v4M15 15v4",
  close: "M6 6l12 12M18 6 6 18",
  before: "M14.5 5.5 8 12l6.5 6.5",
  after: "M9.5 5.5 16 12l-6.5 6.5",
  full: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  link: "M10 14a4 4 0 0 0 5.7 0l3-3a4 4 0 0 0-5.7-5.7l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3a4 4 0 0 0 5.7 5.7l1-1",
  play: "M8 5.5v13l10-6.5z",
  pause: "M9 5.5v13M15 5.5v13",
  theme: "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",
};

export type Icon = keyof typeof ICONS;

export function icon(name: Icon): SVGSVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

export function iconButton(name: Icon, label: string, key: string, onclick: () => void): HTMLButtonElement {
  const title = key ? `${label} (${key})` : label;
  return element("button", { class: "icon", type: "button", title, "aria-label": label, onclick }, icon(name));
}

/** One of several, as buttons in a row. */
export class Choice<T extends string> {
  readonly node: HTMLElement;
  private readonly buttons: Map<T, HTMLButtonElement>;

  constructor(label: string, options: readonly (readonly [T, string])[], private readonly chosen: (value: T) => void) {
    this.buttons = new Map(
      options.map(([value, text]) => [
        value,
        element("button", { type: "button", "aria-pressed": "false", onclick: () => this.choose(value) }, text),
      ]),
    );
    this.node = element("div", { class: "choice", role: "group", "aria-label": label }, ...this.buttons.values());
  }

  choose(value: T): void {
    for (const [each, button] of this.buttons) button.setAttribute("aria-pressed", String(each === value));
    this.chosen(value);
  }
}

export function switchRow(label: string, key: string, on: boolean, onchange: (on: boolean) => void): [HTMLElement, HTMLInputElement] {
  const box = element("input", { type: "checkbox", role: "switch", checked: on, onchange: () => onchange(box.checked) });
  const name = key ? element("span", {}, label, element("kbd", {}, key)) : element("span", {}, label);
  return [element("label", { class: "row" }, name, box), box];
}

/** A range with two ends, in parts of a whole: 0 to 1. */
export class Span {
  readonly node: HTMLElement;
  private readonly ends: [HTMLInputElement, HTMLInputElement];

  constructor(label: string, private readonly changed: () => void) {
    const end = (name: string, value: number) =>
      element("input", { type: "range", min: 0, max: 1, step: 0.005, value, "aria-label": `${label}, ${name}`, oninput: () => this.input() });
    this.ends = [end("from", 0), end("to", 1)];
    this.node = element("div", { class: "span" }, element("span", {}, label), element("div", { class: "ends" }, ...this.ends));
    this.paint();
  }

  get values(): [number, number] {
    const [a, b] = this.ends.map((end) => Number(end.value));
    return [Math.min(a, b), Math.max(a, b)];
  }

  reset(): void {
    [this.ends[0].value, this.ends[1].value] = ["0", "1"];
    this.paint();
  }

  private input(): void {
    this.paint();
    this.changed();
  }

  private paint(): void {
    const [low, high] = this.values;
    this.node.style.setProperty("--low", `${low * 100}%`);
    this.node.style.setProperty("--high", `${high * 100}%`);
  }
}
