// The row of tools at the upper edge.

import { element, icon, iconButton } from "./element";

export interface Tools {
  home: () => void;
  tour: () => void;
  link: () => void;
  picture: () => void;
  report: () => void;
  theme: () => void;
  keys: () => void;
  panel: () => void;
}

export class Toolbar {
  readonly node: HTMLElement;
  private readonly tour: HTMLButtonElement;
  private readonly report: HTMLButtonElement;

  constructor(tools: Tools) {
    this.tour = iconButton("play", "Fly along the cameras", "Space", tools.tour);
    this.report = iconButton("report", "Report of the run", "R", tools.report);
    const full = iconButton("full", "Full screen", "F", () => void toggleFullScreen());
    full.hidden = !document.fullscreenEnabled; // as on iPhones
    this.node = element(
      "div", { class: "tools card", role: "toolbar", "aria-label": "Tools" },
      iconButton("home", "First view", "H", tools.home),
      this.tour,
      full,
      iconButton("link", "Copy a link to this view", "K", tools.link),
      iconButton("picture", "Take a picture", "T", tools.picture),
      this.report,
      iconButton("theme", "Light or dark", "L", tools.theme),
      iconButton("help", "Keys and gestures", "?", tools.keys),
      iconButton("settings", "View", "V", tools.panel),
    );
  }

  /** Leave out the tools that a scene gives nothing to. */
  offer({ tour, report }: { tour: boolean; report: boolean }): void {
    [this.tour.hidden, this.report.hidden] = [!tour, !report];
  }

  showTouring(touring: boolean): void {
    this.tour.replaceChildren(icon(touring ? "pause" : "play"));
    this.tour.setAttribute("aria-pressed", String(touring));
  }
}

export async function toggleFullScreen(): Promise<void> {
  if (document.fullscreenElement) await document.exitFullscreen();
  else await document.documentElement.requestFullscreen();
}
