// The page as a whole: what is where, and what follows from what.

import * as THREE from "three";
import { Compare } from "./compare";
import { Controls } from "./controls";
import { Dialog, keysDialog, Notice, reportTables } from "./dialogs";
import { element, iconButton } from "./element";
import { Frusta } from "./frusta";
import { lensOf, lensWithView } from "./lens";
import type { SceneMessage } from "./messages";
import { Panel, type Background } from "./panel";
import type { Source } from "./source";
import { SplatLayer, type Filter } from "./splats";
import { Stage, type Standpoint } from "./stage";

const NARROW = 640; // CSS pixels: below, the panel is a sheet at the bottom
const MANY = 1_500_000; // splats from which level of detail is built on any machine
const ASKED_EVERY = 1000; // milliseconds, of a run that goes on
const GROUNDS: Record<Exclude<Background, "theme">, string> = { black: "#000000", grey: "#808080", white: "#ffffff" };

export function onPhone(): boolean {
  return matchMedia("(pointer: coarse)").matches || Math.min(innerWidth, innerHeight) < 500;
}

export class Viewer {
  readonly stage: Stage;
  readonly frusta: Frusta;
  readonly splats: SplatLayer;
  readonly panel: Panel;
  readonly photo: Compare;
  readonly keys = keysDialog();
  readonly report = new Dialog("Report of the run");
  message: SceneMessage | null = null;
  /** The camera that is looked through; -1 for none. */
  current = -1;
  lod = false;
  readonly controls: Controls;
  private readonly notice: Notice;
  private readonly title = element("h1");
  private readonly facts = element("p");
  private readonly doing = element("p", { class: "doing", hidden: true });
  private readonly strip = element("nav", { class: "strip", "aria-label": "Photos", hidden: true });
  private readonly reportButton: HTMLButtonElement;
  private readonly box = new THREE.Box3Helper(new THREE.Box3(), 0xd9b26f);
  private filter: Filter = { threshold: 0, points: false, box: null };
  private background: Background = "theme";
  private splatsVersion = 0;

  constructor(private readonly source: Source, canvas: HTMLCanvasElement, notice: Notice) {
    this.notice = notice;
    const precise = !onPhone();
    this.stage = new Stage(canvas, precise);
    this.splats = new SplatLayer(this.stage.world, precise);
    this.frusta = new Frusta(() => this.stage.redraw());
    this.stage.world.add(this.frusta.group, this.box);
    this.box.visible = false;
    this.controls = new Controls(this.stage);
    this.controls.onMove = () => this.leavePhoto();
    this.controls.onTap = (x, y) => this.tap(x, y);
    canvas.addEventListener("pointermove", (event) => this.hover(event));
    this.panel = new Panel({
      filter: (filter) => this.applyFilter(filter),
      cameras: (shown) => this.showCameras(shown),
      background: (background) => this.setBackground(background),
      way: (way) => (this.controls.way = way),
      close: () => this.togglePanel(),
    });
    this.photo = new Compare((by) => this.stepPhoto(by), () => void this.freeView());
    this.reportButton = iconButton("report", "Report of the run", "R", () => this.report.toggle());
    this.build();
    this.stage.beforeDrawn = (eye) => this.frusta.clear(eye);
    this.stage.onDrawn = () => this.photo.place(this.stage.pictureFrame());
    addEventListener("resize", () => this.arrange());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.setBackground(this.background));
  }

  /** Fetch the scene and show it; resolves when the first picture stands. */
  async load(): Promise<void> {
    this.notice.progress("Loading the scene", null);
    await this.takeScene(true);
    await this.takeSplats();
    this.stage.redraw();
    await this.stage.drawn();
    if (this.message!.live) void this.follow();
  }

  private build(): void {
    const tools = element(
      "div", { class: "tools card", role: "toolbar", "aria-label": "Tools" },
      iconButton("home", "First view", "H", () => void this.home()),
      iconButton("picture", "Take a picture", "T", () => void this.takePicture()),
      this.reportButton,
      iconButton("theme", "Light or dark", "L", () => this.toggleTheme()),
      iconButton("help", "Keys and gestures", "?", () => this.keys.toggle()),
      iconButton("settings", "View", "V", () => this.togglePanel()),
    );
    const head = element("header", { class: "title card" }, this.title, this.facts, this.doing);
    document.body.append(
      this.photo.node, head, tools, this.photo.caption, this.panel.node, this.strip, this.keys.node, this.report.node,
    );
    this.panel.node.hidden = innerWidth < 900;
  }

  // ---- the scene and its parts

  private async takeScene(first: boolean): Promise<void> {
    const message = await this.source.scene();
    this.message = message;
    document.title = `${message.title} · recon3d`;
    this.title.textContent = message.title;
    this.facts.textContent = facts(message);
    this.stage.measure(message.frame.radius);
    this.reportButton.hidden = message.report.length === 0;
    this.report.fill(...reportTables(message.report));
    this.frusta.set(message.cameras, (camera) => this.source.photo(camera));
    this.fillStrip();
    this.panel.begin(message.frame, message.cameras.length > 0);
    this.arrange();
    if (first) this.stage.stand(this.firstView());
  }

  private async takeSplats(): Promise<void> {
    const splats = this.message!.splats;
    if (!splats) {
      this.notice.progress("Waiting for the first splats", null);
      return;
    }
    const quiet = this.splatsVersion > 0;
    const onBytes = (received: number, total: number) => {
      if (!quiet) this.notice.progress(`Loading the scene · ${megabytes(received)} of ${megabytes(total)} MB`, received / total);
    };
    const bytes = await this.source.splats(splats.version, splats.bytes, onBytes);
    if (!quiet) this.notice.progress(`Preparing ${splats.count.toLocaleString("en")} splats`, null);
    this.lod = !this.message!.live && (onPhone() || splats.count > MANY);
    await this.splats.load(bytes, splats, this.lod);
    this.splatsVersion = splats.version;
    this.facts.textContent = facts(this.message!);
    this.applyFilter(this.filter);
    this.notice.hide();
  }

  /** Ask a run that goes on for what is new, until it ends. */
  private async follow(): Promise<void> {
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, ASKED_EVERY));
      try {
        const news = await this.source.version();
        this.doing.textContent = news.text;
        this.doing.hidden = !news.text;
        const newCameras = news.scene !== this.message!.version;
        const newSplats = news.splats !== this.splatsVersion;
        if (newCameras) await this.takeScene(this.splatsVersion === 0 && this.current < 0);
        else if (newSplats) this.message = await this.source.scene();
        if (newSplats) await this.takeSplats();
        if (!news.running) break;
      } catch {
        this.doing.textContent = "the run has ended";
        this.doing.hidden = false;
        return;
      }
    }
  }

  private fillStrip(): void {
    const { cameras } = this.message!;
    const photos = cameras.map((camera, i) => ({ camera, i })).filter(({ camera }) => camera.photo);
    this.strip.replaceChildren(
      ...photos.map(({ camera, i }) =>
        element(
          "button",
          { type: "button", title: camera.name, "aria-label": camera.name, "data-camera": i, onclick: () => void this.goTo(i) },
          element("img", { src: this.source.photo(i), alt: "", loading: "lazy", draggable: "false" }),
        ),
      ),
    );
    this.strip.hidden = photos.length === 0;
  }

  // ---- where one stands

  standpointOf(camera: number): Standpoint {
    const { camera_from_world, K, width, height, depth } = this.message!.cameras[camera];
    const { scale } = this.stage;
    return { ...this.stage.placeOf(camera_from_world), lens: lensOf(K, width, height), fill: 0, depth: depth * scale };
  }

  private firstView(): Standpoint {
    const { first_camera, frame } = this.message!;
    if (first_camera !== null) return this.stage.freeStandpoint(this.standpointOf(first_camera));
    const lens = lensWithView(50);
    const depth = this.stage.radius / Math.tan((25 * Math.PI) / 180);
    const center = this.stage.world.localToWorld(new THREE.Vector3(...frame.center));
    const rotation = new THREE.Quaternion().setFromEuler(new THREE.Euler(-0.25, 0.45, 0, "YXZ")); // from above, aside
    const position = new THREE.Vector3(0, 0, depth).applyQuaternion(rotation).add(center);
    return { position, rotation, lens, fill: 0.3, depth };
  }

  async home(): Promise<void> {
    this.leavePhoto();
    await this.stage.fly(this.firstView());
  }

  /** Fly to a camera and lay its photo over the render. */
  async goTo(camera: number): Promise<void> {
    const { name, photo, held_out } = this.message!.cameras[camera];
    this.current = camera;
    this.photo.hide();
    this.frusta.group.visible = false; // one stands in the middle of one's own
    for (const button of this.strip.querySelectorAll("button")) {
      const here = button.dataset.camera === String(camera);
      button.setAttribute("aria-current", String(here));
      if (here) button.scrollIntoView({ block: "nearest", inline: "center", behavior: "smooth" });
    }
    document.body.classList.add("looking");
    this.arrange();
    await this.stage.fly(this.standpointOf(camera));
    if (this.current !== camera) return;
    this.photo.show(name, photo ? this.source.photo(camera) : null, held_out);
    this.stage.redraw();
  }

  stepPhoto(by: number): void {
    const count = this.message?.cameras.length ?? 0;
    if (count) void this.goTo((Math.max(this.current, by > 0 ? -1 : 0) + by + count) % count);
  }

  /** Put the photo away and stay where it was taken. */
  leavePhoto(): void {
    if (this.current < 0) return;
    this.current = -1;
    this.photo.hide();
    document.body.classList.remove("looking");
    for (const button of this.strip.querySelectorAll("[aria-current=true]")) button.setAttribute("aria-current", "false");
    this.showCameras(this.camerasWanted);
    this.arrange();
  }

  async freeView(): Promise<void> {
    this.leavePhoto();
    await this.stage.fly(this.stage.freeStandpoint(this.stage.standpoint()));
  }

  private tap(x: number, y: number): void {
    const camera = this.cameraAt(x, y);
    if (camera >= 0) void this.goTo(camera);
  }

  private hover(event: PointerEvent): void {
    if (event.buttons || event.pointerType === "touch") return;
    const camera = this.cameraAt(event.clientX, event.clientY);
    this.frusta.mark(camera);
    this.stage.canvas.style.cursor = camera >= 0 ? "pointer" : "";
    this.stage.canvas.title = camera >= 0 ? this.message!.cameras[camera].name : "";
  }

  private cameraAt(x: number, y: number): number {
    const { clientWidth, clientHeight } = this.stage.canvas;
    return this.frusta.at((x / clientWidth) * 2 - 1, 1 - (y / clientHeight) * 2, this.stage.camera);
  }

  /** The middle of a frustum's photo in the window, CSS pixels; null where another, or nothing, is met there. */
  placeInWindow(camera: number): [number, number] | null {
    const { clientWidth, clientHeight } = this.stage.canvas;
    const middle = this.frusta.middle(camera).project(this.stage.camera);
    const [x, y] = [((middle.x + 1) / 2) * clientWidth, ((1 - middle.y) / 2) * clientHeight];
    return Math.abs(middle.z) < 1 && this.cameraAt(x, y) === camera ? [x, y] : null;
  }

  // ---- how it is shown

  private camerasWanted = true;

  showCameras(shown: boolean): void {
    this.camerasWanted = shown;
    this.frusta.group.visible = shown && this.current < 0;
    this.stage.redraw();
  }

  applyFilter(filter: Filter): void {
    this.filter = filter;
    this.splats.show(filter, this.message?.frame.radius ?? 1);
    this.stage.look(this.message?.splats?.mode ?? "default", filter.points);
    this.box.visible = filter.box !== null;
    if (filter.box) this.box.box.set(new THREE.Vector3(...filter.box.low), new THREE.Vector3(...filter.box.high));
  }

  private setBackground(background: Background): void {
    this.background = background;
    const theme = getComputedStyle(document.documentElement).getPropertyValue("--ground").trim();
    this.stage.background(background === "theme" ? theme : GROUNDS[background]);
  }

  toggleTheme(): void {
    const root = document.documentElement;
    const dark = (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
    root.dataset.theme = dark ? "light" : "dark";
    this.setBackground(this.background);
  }

  togglePanel(): void {
    this.panel.node.hidden = !this.panel.node.hidden;
    this.arrange();
  }

  async takePicture(): Promise<void> {
    const [cameras, box] = [this.frusta.group.visible, this.box.visible];
    this.frusta.group.visible = this.box.visible = false;
    const picture = this.stage.picture();
    [this.frusta.group.visible, this.box.visible] = [cameras, box];
    this.stage.redraw();
    const address = URL.createObjectURL(await picture);
    element("a", { href: address, download: `${this.message?.title ?? "scene"}.png` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }

  /** Keep the middle of the view clear of panels. */
  private arrange(): void {
    const narrow = innerWidth < NARROW;
    const open = !this.panel.node.hidden;
    document.body.classList.toggle("panel-open", open);
    const bottom = this.strip.hidden ? 0 : this.strip.offsetHeight + 12;
    this.stage.insets = {
      left: 0,
      top: this.current >= 0 ? (narrow ? 116 : this.title.parentElement!.getBoundingClientRect().bottom + 8) : 0,
      right: open && !narrow ? this.panel.node.offsetWidth + 16 : 0,
      bottom: this.current >= 0 || !narrow ? bottom : 0,
    };
    this.stage.redraw();
  }
}

function facts({ splats, cameras }: SceneMessage): string {
  const parts = [];
  if (splats) parts.push(`${splats.count.toLocaleString("en")} splats`);
  if (cameras.length) parts.push(`${cameras.length} ${cameras.length === 1 ? "photo" : "photos"}`);
  return parts.join(" · ");
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
