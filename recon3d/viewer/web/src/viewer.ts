// The page as a whole: what is where, and what follows from what.

import * as THREE from "three";
import { Compare } from "./compare";
import { Controls } from "./controls";
import { Dialog, keysDialog, Notice, reportTables, Toast } from "./dialogs";
import { download, element } from "./element";
import { facts, megabytes } from "./facts";
import { Frusta } from "./frusta";
import { Ground } from "./ground";
import { read, written, type Place } from "./link";
import type { SceneMessage } from "./messages";
import { Panel } from "./panel";
import type { Source } from "./source";
import { SplatLayer, type Filter } from "./splats";
import { Stage } from "./stage";
import { Stick } from "./stick";
import { Strip } from "./strip";
import { Toolbar } from "./toolbar";
import { smooth, visited } from "./tour";
import { transformFile, UP } from "./upright";
import { Whereabouts } from "./whereabouts";

const NARROW = 640; // CSS pixels: below, the panel is a sheet at the bottom
const MANY = 1_500_000; // splats from which level of detail is built on any machine
const A_PHOTO = 1400; // milliseconds of a flight along the cameras
const NEARER = 0.6; // of the way to what was double-clicked
const ASKED_EVERY = 1000; // milliseconds, of a run that goes on

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
  private readonly where: Whereabouts;
  private readonly strip = new Strip((camera) => void this.goTo(camera));
  private readonly stick: Stick;
  private readonly toast = new Toast();
  private readonly tools = new Toolbar({
    home: () => void this.home(),
    tour: () => void this.flyThrough(),
    link: () => void this.copyLink(),
    picture: () => void this.takePicture(),
    report: () => this.report.toggle(),
    theme: () => this.ground.toggleTheme(),
    keys: () => this.keys.toggle(),
    panel: () => this.togglePanel(),
  });
  private touring = false;
  private readonly notice: Notice;
  private readonly title = element("h1");
  private readonly facts = element("p");
  private readonly doing = element("p", { class: "doing", hidden: true });
  private readonly box = new THREE.Box3Helper(new THREE.Box3(), 0xd9b26f);
  private filter: Filter = { threshold: 0, points: false, box: null };
  readonly ground = new Ground((color) => this.stage.background(color));
  private splatsVersion = 0;

  constructor(private readonly source: Source, canvas: HTMLCanvasElement, notice: Notice) {
    this.notice = notice;
    const precise = !onPhone();
    this.stage = new Stage(canvas, precise);
    this.where = new Whereabouts(this.stage);
    this.splats = new SplatLayer(this.stage.world, precise);
    this.frusta = new Frusta(() => this.stage.redraw());
    this.stage.world.add(this.frusta.group, this.box);
    this.box.visible = false;
    this.controls = new Controls(this.stage);
    this.controls.onMove = () => this.leavePhoto();
    this.controls.onTap = (x, y) => this.tap(x, y);
    this.controls.onDouble = (x, y) => this.focus(x, y);
    this.stick = new Stick((right, ahead) => (this.controls.stick = { right, ahead }));
    canvas.addEventListener("pointermove", (event) => this.hover(event));
    this.panel = new Panel({
      filter: (filter) => this.applyFilter(filter),
      cameras: (shown) => this.showCameras(shown),
      background: (background) => this.ground.paint(background),
      way: (way) => {
        this.controls.way = way;
        this.stick.node.hidden = way !== "fly" || !matchMedia("(pointer: coarse)").matches;
      },
      view: (degrees) => this.zoom(degrees),
      up: (axis) => void this.turn(axis),
      saveUp: () => download("transform.json", new Blob([transformFile(this.where.up)], { type: "application/json" })),
      close: () => this.togglePanel(),
    });
    this.photo = new Compare((by) => this.stepPhoto(by), () => void this.freeView());
    this.build();
    this.stage.beforeDrawn = (eye) => this.frusta.clear(eye);
    this.stage.onDrawn = () => {
      this.photo.place(this.stage.pictureFrame());
      this.panel.showView(this.stage.view);
    };
    addEventListener("resize", () => this.arrange());
  }

  /** Fetch the scene and show it; resolves when the first picture stands. */
  async load(): Promise<void> {
    this.notice.progress("Loading the scene", null);
    await this.takeScene(true);
    await this.takeSplats();
    this.stage.redraw();
    await this.stage.drawn();
    const link = this.linked();
    if (typeof link?.at === "number") void this.goTo(link.at);
    if (this.message!.live) void this.follow();
  }

  private build(): void {
    const head = element("header", { class: "title card" }, this.title, this.facts, this.doing);
    document.body.append(
      this.photo.node, head, this.tools.node, this.photo.caption, this.panel.node, this.strip.node, this.stick.node,
      this.toast.node, this.keys.node, this.report.node,
    );
    this.panel.node.hidden = innerWidth < NARROW || matchMedia("(pointer: coarse)").matches;
  }

  // ---- the scene and its parts

  private async takeScene(first: boolean): Promise<void> {
    const message = await this.source.scene();
    this.message = message;
    document.title = `${message.title} · recon3d`;
    this.title.textContent = message.title;
    this.facts.textContent = facts(message);
    if (first) this.where.up = this.linked()?.up ?? this.where.up;
    if (first) this.where.lay(message);
    else this.where.layAnew(message);
    this.panel.showUp(this.where.axis, this.where.up.equals(UP));
    this.tools.offer({ tour: message.cameras.length > 1, report: message.report.length > 0 });
    this.report.fill(...reportTables(message.report));
    this.frusta.set(message.cameras, (camera) => this.source.photo(camera));
    this.strip.fill(message.cameras, (camera) => this.source.photo(camera));
    this.panel.begin(message.frame, message.cameras.length > 0);
    this.arrange();
    const at = this.linked()?.at;
    if (first) this.stage.stand(at === undefined || typeof at === "number" ? this.where.first(message) : this.where.at(at));
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

  // ---- where one stands

  async home(): Promise<void> {
    this.leavePhoto();
    await this.stage.fly(this.where.first(this.message!));
  }

  /** Fly to a camera and lay its photo over the render; the two are parted when both are there. */
  async goTo(camera: number): Promise<void> {
    const { name, photo, held_out } = this.message!.cameras[camera];
    this.current = camera;
    this.frusta.group.visible = false; // one stands in the middle of one's own
    this.photo.announce(name, held_out);
    this.strip.mark(camera);
    document.body.classList.add("looking");
    this.arrange();
    await this.stage.fly(this.where.ofCamera(this.message!.cameras[camera]));
    if (this.current !== camera) return;
    if (photo) this.photo.cover(this.source.photo(camera));
    this.stage.redraw();
    await this.stage.drawn();
    if (this.current === camera) this.photo.part();
  }

  /** Fly along all cameras, or stop. */
  async flyThrough(): Promise<void> {
    if (this.touring) return this.stage.land();
    const cameras = this.message?.cameras ?? [];
    if (cameras.length < 2) return;
    this.leavePhoto();
    const all = cameras.map((camera) => this.stage.freeStandpoint(this.where.ofCamera(camera)));
    const stops = visited(all.map(({ position }) => position)).map((i) => all[i]);
    this.setTouring(true);
    if (await this.stage.fly(stops[0])) await this.stage.follow(smooth(stops), A_PHOTO * (stops.length - 1));
    this.setTouring(false);
  }

  private setTouring(touring: boolean): void {
    this.touring = touring;
    this.tools.showTouring(touring);
    this.showCameras(this.camerasWanted);
  }

  /** Bring what is seen at a place of the window into the middle, nearer, and turn about it from then on. */
  private focus(x: number, y: number): void {
    const point = this.splats.met(this.stage.ray(x, y));
    if (!point) return;
    const here = this.stage.standpoint();
    const at = this.current >= 0 ? this.stage.freeStandpoint(here) : here;
    this.leavePhoto();
    const depth = at.position.distanceTo(point) * NEARER;
    void this.stage.fly({ ...at, depth, position: point.addScaledVector(this.stage.ahead(), -depth) });
  }

  private zoom(degrees: number): void {
    this.leavePhoto();
    this.stage.zoom(degrees);
  }

  /** Take another way of the scene as up: an axis, or "view" for that of this view. */
  async turn(axis: string): Promise<void> {
    this.leavePhoto();
    const to = this.where.turn(axis, this.message!);
    this.panel.showUp(this.where.axis, this.where.up.equals(UP));
    await this.stage.fly(to);
  }

  // ---- the present view as a link

  place(): Place {
    return this.where.place();
  }

  link(): string {
    const at = this.current >= 0 ? this.current : this.where.place();
    return written({ up: this.where.up, at }, this.message!.frame);
  }

  private linked() {
    return read(location.hash, this.message!.cameras.length);
  }

  async openLink(): Promise<void> {
    const link = this.message && this.linked();
    if (!link) return;
    this.where.layAnew(this.message!, link.up);
    this.panel.showUp(this.where.axis, this.where.up.equals(UP));
    if (typeof link.at === "number") return this.goTo(link.at);
    this.leavePhoto();
    await this.stage.fly(this.where.at(link.at));
  }

  async copyLink(): Promise<void> {
    history.replaceState(null, "", this.link());
    try {
      await navigator.clipboard.writeText(location.href);
      this.toast.say("A link to this view is copied");
    } catch {
      this.toast.say("The address bar holds a link to this view"); // no clipboard without https
    }
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
    this.strip.mark(-1);
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
    return this.frusta.at(this.stage.ray(x, y));
  }

  /** The middle of a frustum's photo in the window, CSS pixels; null where another, or nothing, is met there. */
  placeInWindow(camera: number): [number, number] | null {
    const { x, y, ahead } = this.stage.inWindow(this.frusta.middle(camera));
    return ahead && this.cameraAt(x, y) === camera ? [x, y] : null;
  }

  /** Where a point of the scene's world lies in the window, CSS pixels. */
  inWindow(point: THREE.Vector3): [number, number] {
    const { x, y } = this.stage.inWindow(this.stage.world.localToWorld(point));
    return [x, y];
  }

  // ---- how it is shown

  private camerasWanted = true;

  showCameras(shown: boolean): void {
    this.camerasWanted = shown;
    this.frusta.group.visible = shown && this.current < 0 && !this.touring;
    this.stage.redraw();
  }

  applyFilter(filter: Filter): void {
    this.filter = filter;
    this.splats.show(filter, this.message?.frame.radius ?? 1);
    this.stage.look(this.message?.splats?.mode ?? "default", filter.points);
    this.box.visible = filter.box !== null;
    if (filter.box) this.box.box.set(new THREE.Vector3(...filter.box.low), new THREE.Vector3(...filter.box.high));
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
    download(`${this.message?.title ?? "scene"}.png`, await picture);
  }

  /** Keep the middle of the view clear of panels. */
  private arrange(): void {
    const narrow = innerWidth < NARROW;
    const open = !this.panel.node.hidden;
    document.body.classList.toggle("panel-open", open);
    const looking = this.current >= 0;
    const heads = [this.photo.caption, this.title.parentElement!].map((head) => head.getBoundingClientRect().bottom);
    const sheet = open && narrow ? this.panel.node.offsetHeight + 8 : 0;
    this.stick.node.style.bottom = `${this.strip.height + 20}px`;
    this.stage.insets = {
      left: 0,
      top: looking ? Math.max(...heads) + 8 : 0,
      right: open && !narrow ? this.panel.node.offsetWidth + 16 : 0,
      bottom: Math.max(sheet, looking || !narrow ? this.strip.height : 0),
    };
    this.stage.redraw();
  }
}
