// Where one can stand in a scene: at its cameras, before all of it, at a place that a link names, the other way up.

import * as THREE from "three";
import { lensOf, lensWithView } from "./lens";
import type { Place } from "./link";
import type { CameraMessage, SceneMessage } from "./messages";
import type { Stage, Standpoint } from "./stage";
import { AXES, level, turnFrom, UP } from "./upright";

const VIEW = 50; // degrees, of a first view without a camera
const WIDEST = 80; // of one that a backdrop allows no step back
const FROM = new THREE.Euler(-0.25, 0.45, 0, "YXZ"); // from above, aside
const FILLED = 0.88; // of the window by what the first view is framed on
const BEFORE = 0.95; // of the way to the backdrop
const FARTHEST = 20; // radii of the subject, where there is no backdrop
const AROUND = 1.05; // of the farthest camera's distance

export class Whereabouts {
  /** Which way is up in the scene, a unit vector. */
  up = UP.clone();

  constructor(private readonly stage: Stage) {}

  /** Lay a scene into the middle, with `up` up, and keep orbits before its backdrop, yet around all cameras. */
  lay({ frame, cameras }: SceneMessage): void {
    this.stage.lay(new THREE.Vector3(...frame.center), frame.radius, turnFrom(this.up));
    const behind = frame.reach === null ? frame.radius * FARTHEST : frame.reach * BEFORE;
    const eyes = cameras.map((camera) => this.stage.placeOf(camera.camera_from_world).position.length());
    this.stage.limit = eyes.reduce((limit, eye) => Math.max(limit, eye * AROUND), behind * this.stage.scale);
  }

  /** Lay a scene that has changed, or whose `up` has; one stays where one is in it. */
  layAnew(message: SceneMessage, up = this.up): void {
    const place = this.place();
    const { lens, fill } = this.stage;
    this.up = up;
    this.lay(message);
    this.stage.stand({ ...this.at(place), lens, fill });
  }

  ofCamera({ camera_from_world, K, width, height, depth }: CameraMessage): Standpoint {
    const { scale } = this.stage;
    return { ...this.stage.placeOf(camera_from_world), lens: lensOf(K, width, height), fill: 0, depth: depth * scale };
  }

  first(message: SceneMessage): Standpoint {
    if (message.first_camera === null) return this.beforeAll(message);
    const at = this.stage.freeStandpoint(this.ofCamera(message.cameras[message.first_camera]));
    return this.up.equals(UP) ? at : this.leveled(at);
  }

  /** As near as the whole box of what is dense and opaque fits into the window. */
  private beforeAll({ frame: { low, high } }: SceneMessage): Standpoint {
    const rotation = new THREE.Quaternion().setFromEuler(FROM);
    const corners = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => {
      const corner = new THREE.Vector3(i & 1 ? high[0] : low[0], i & 2 ? high[1] : low[1], i & 4 ? high[2] : low[2]);
      return this.stage.world.localToWorld(corner).applyQuaternion(rotation.clone().invert());
    });
    const { width, height } = this.stage.area();
    const tangent = Math.tan((VIEW * Math.PI) / 360) * FILLED;
    const [across, upward] = [(tangent * width) / Math.min(width, height), (tangent * height) / Math.min(width, height)];
    const needed = Math.max(...corners.map(({ x, y, z }) => z + Math.max(Math.abs(x) / across, Math.abs(y) / upward)));
    const depth = Math.min(needed, this.stage.limit);
    const view = Math.min(WIDEST, (Math.atan((Math.tan((VIEW * Math.PI) / 360) * needed) / depth) * 360) / Math.PI);
    return { position: new THREE.Vector3(0, 0, depth).applyQuaternion(rotation), rotation, lens: lensWithView(view), fill: 0, depth };
  }

  /** Where one stands and looks, in the scene's world. */
  place(): Place {
    const { world, camera, view } = this.stage;
    const turn = world.quaternion.clone().invert();
    const top = new THREE.Vector3(0, 1, 0).applyQuaternion(camera.quaternion).applyQuaternion(turn);
    return { eye: world.worldToLocal(camera.position.clone()), target: world.worldToLocal(this.stage.pivot()), top, view };
  }

  at({ eye, target, top, view }: Place): Standpoint {
    const { world } = this.stage;
    const [position, pivot] = [world.localToWorld(eye.clone()), world.localToWorld(target.clone())];
    const upward = top.clone().applyQuaternion(world.quaternion);
    const rotation = new THREE.Quaternion().setFromRotationMatrix(new THREE.Matrix4().lookAt(position, pivot, upward));
    const { width, height } = this.stage.area();
    const square = lensWithView(view);
    const lens = { ...square, width: (square.height * width) / height, cx: (square.cx * width) / height };
    return { position, rotation, lens, fill: 0, depth: position.distanceTo(pivot) };
  }

  /** Turn the scene so that `axis` is up; returns where to stand then: as before, but level. */
  turn(axis: string, message: SceneMessage): Standpoint {
    this.layAnew(message, (axis === "view" ? this.place().top : new THREE.Vector3(...AXES[axis])).normalize());
    return message.first_camera === null ? this.first(message) : this.leveled(this.stage.standpoint());
  }

  /** The name of what is up. */
  get axis(): string {
    return Object.keys(AXES).find((name) => this.up.distanceTo(new THREE.Vector3(...AXES[name])) < 1e-4) ?? "view";
  }

  private leveled(at: Standpoint): Standpoint {
    const rotation = level(at.rotation);
    const back = (turn: THREE.Quaternion) => new THREE.Vector3(0, 0, at.depth).applyQuaternion(turn);
    return { ...at, rotation, position: at.position.clone().sub(back(at.rotation)).add(back(rotation)) };
  }
}
