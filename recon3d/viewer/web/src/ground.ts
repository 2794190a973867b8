// The color behind the scene, and whether the page is light or dark.

import type { Background } from "./panel";

const COLORS: Record<Exclude<Background, "theme">, string> = { black: "#000000", grey: "#808080", white: "#ffffff" };

export class Ground {
  private background: Background = "theme";
  private readonly dark = matchMedia("(prefers-color-scheme: dark)");

  constructor(private readonly painted: (color: string) => void) {
    this.dark.addEventListener("change", () => this.paint(this.background));
  }

  paint(background: Background): void {
    this.background = background;
    const theme = getComputedStyle(document.documentElement).getPropertyValue("--ground").trim();
    this.painted(background === "theme" ? theme : COLORS[background]);
  }

  toggleTheme(): void {
    const root = document.documentElement;
    const dark = (root.dataset.theme ?? (this.dark.matches ? "dark" : "light")) === "dark";
    root.dataset.theme = dark ? "light" : "dark";
    this.paint(this.background);
  }
}
