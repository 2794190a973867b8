// Begins: looks for WebGL2, finds the scene, shows it, listens to the keys.

import "./style.css";
import { Notice } from "./dialogs";
import { element } from "./element";
import { Hooks } from "./hooks";
import { source } from "./source";
import { toggleFullScreen } from "./toolbar";
import { Viewer } from "./viewer";

const NO_WEBGL2 =
  "This browser cannot draw the scene: WebGL2 is missing or turned off. " +
  "Try a current Chrome, Edge, Firefox or Safari, with hardware acceleration turned on.";

function begin(): void {
  const canvas = element("canvas", { class: "stage", "aria-label": "3D scene", tabindex: "0" });
  const notice = new Notice();
  document.body.append(canvas, notice.node);
  if (!document.createElement("canvas").getContext("webgl2")) {
    notice.trouble(NO_WEBGL2);
    return;
  }
  const viewer = new Viewer(source(), canvas, notice);
  const ready = viewer.load();
  ready.catch((error: unknown) => {
    notice.trouble(`The scene could not be shown: ${error instanceof Error ? error.message : String(error)}`);
  });
  window.recon3d = new Hooks(viewer, ready);
  addEventListener("keydown", (event) => key(viewer, event));
  addEventListener("hashchange", () => void viewer.openLink());
}

function key(viewer: Viewer, event: KeyboardEvent): void {
  const typing =
    event.target instanceof HTMLSelectElement ||
    (event.target instanceof HTMLInputElement && event.target.type !== "checkbox" && event.target.type !== "range");
  const pressing = event.key === " " && event.target instanceof HTMLElement && event.target.matches("button, input, select");
  if (typing || pressing || event.ctrlKey || event.metaKey || event.altKey) return;
  const open = viewer.keys.node.open || viewer.report.node.open;
  const actions: Record<string, () => void> = {
    "?": () => viewer.keys.toggle(),
    r: () => viewer.message?.report.length && viewer.report.toggle(),
    h: () => void viewer.home(),
    o: () => viewer.panel.toggleWay(),
    p: () => viewer.panel.toggleLook(),
    c: () => viewer.panel.toggleCameras(),
    x: () => viewer.panel.toggleCrop(),
    b: () => viewer.panel.nextBackground(),
    l: () => viewer.ground.toggleTheme(),
    v: () => viewer.togglePanel(),
    t: () => void viewer.takePicture(),
    " ": () => void viewer.flyThrough(),
    f: () => void toggleFullScreen(),
    k: () => void viewer.copyLink(),
    ",": () => viewer.stepPhoto(-1),
    ".": () => viewer.stepPhoto(1),
    "[": () => viewer.panel.raiseThreshold(-0.05),
    "]": () => viewer.panel.raiseThreshold(0.05),
    Escape: () => viewer.current >= 0 && void viewer.freeView(),
  };
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (open && name !== "?" && name !== "r") return;
  if (!(name in actions)) return;
  event.preventDefault();
  actions[name]();
}

begin();
