// The splats: read by Spark, filtered on the graphics card by opacity and by a box, shown as they are or as points.

import * as THREE from "three";
import { dyno, SplatFileType, SplatMesh } from "@sparkjsdev/spark";
import type { SplatsMessage } from "./messages";
import { FLIP } from "./stage";

const TYPES: Record<SplatsMessage["kind"], SplatFileType> = {
  ply: SplatFileType.PLY,
  sog: SplatFileType.PCSOGSZIP,
  spz: SplatFileType.SPZ,
  splat: SplatFileType.SPLAT,
};
const POINT_FLOOR = 0.1; // splats fainter than this are no surface, and are no points
const POINT_SIZE = 1e-4; // of the scene's radius: far below a pixel, so that the screen's blur alone gives the size

export interface Filter {
  threshold: number;
  points: boolean;
  /** Corners in the scene's world; null for no box. */
  box: { low: number[]; high: number[] } | null;
}

interface Splat {
  center: THREE.Vector3;
  scales: THREE.Vector3;
  quaternion: THREE.Quaternion;
  opacity: number;
}

const CUT = 3.33; // standard deviations, where a splat of opacity 1 falls under 1/255

/** Where on a ray a splat is thickest, and what it stops of the light there; null where that is next to nothing. */
function stopped(ray: THREE.Ray, splat: Splat): [number, number] | null {
  const { center, scales, quaternion, opacity } = splat;
  const reach = CUT * Math.max(scales.x, scales.y, scales.z);
  if (ray.distanceSqToPoint(center) > reach * reach) return null;
  const inverse = quaternion.clone().invert();
  const thick = scales.clone().clampScalar(reach * 1e-4, Infinity); // surfels have none
  const from = ray.origin.clone().sub(center).applyQuaternion(inverse).divide(thick);
  const along = ray.direction.clone().applyQuaternion(inverse).divide(thick);
  const distance = -from.dot(along) / along.lengthSq();
  const alpha = Math.min(0.99, opacity) * Math.exp(-from.addScaledVector(along, distance).lengthSq() / 2);
  return distance > 0 && alpha > 1 / 255 ? [distance, alpha] : null;
}

export class SplatLayer {
  count = 0;
  private mesh: SplatMesh | null = null;
  private lod = false;
  private turned = false;
  private origin: readonly number[] = [0, 0, 0];
  private readonly threshold = dyno.dynoFloat(0);
  private readonly pointSize = dyno.dynoFloat(0);
  private readonly low = dyno.dynoVec3(new THREE.Vector3());
  private readonly high = dyno.dynoVec3(new THREE.Vector3());

  constructor(private readonly world: THREE.Group, private readonly precise: boolean) {}

  /** Read a file's bytes and put its splats in the place of those before. */
  async load(bytes: Uint8Array, message: SplatsMessage, lod: boolean): Promise<void> {
    const mesh = new SplatMesh({
      fileBytes: bytes,
      fileType: TYPES[message.kind],
      extSplats: this.precise,
      lod,
      objectModifier: this.modifier(),
    });
    await mesh.initialized;
    // A file in the world's axes lies there as it is, counted from its origin; one with y up is turned into them.
    if (!message.turn) mesh.applyMatrix4(FLIP);
    mesh.position.fromArray(message.origin);
    this.turned = message.turn;
    this.origin = message.origin;
    this.world.add(mesh);
    if (this.mesh) {
      this.world.remove(this.mesh);
      this.mesh.dispose();
    }
    this.mesh = mesh;
    this.lod = lod;
    this.count = message.count;
  }

  show(filter: Filter, radius: number): void {
    this.threshold.value = filter.points ? Math.max(filter.threshold, POINT_FLOOR) : filter.threshold;
    this.pointSize.value = filter.points ? radius * POINT_SIZE : 0;
    const far = 1e30;
    const here = (corner: number[]) => corner.map((value, axis) => value - this.origin[axis]);
    const [low, high] = filter.box ? [here(filter.box.low), here(filter.box.high)] : [[-far, -far, -far], [far, far, far]];
    if (this.turned) {
      this.low.value.fromArray(low);
      this.high.value.fromArray(high);
    } else {
      this.low.value.set(low[0], -high[1], -high[2]);
      this.high.value.set(high[0], -low[1], -low[2]);
    }
    this.mesh?.updateVersion();
  }

  /** What a ray meets, in three.js' world: where half of the light that comes along it is stopped; null where less is. */
  met(ray: THREE.Ray): THREE.Vector3 | null {
    if (!this.mesh) return null;
    const inFile = ray.clone().applyMatrix4(this.mesh.matrixWorld.clone().invert());
    const stops: [number, number][] = [];
    const inside = new THREE.Box3(this.low.value, this.high.value);
    this.each((splat) => {
      if (splat.opacity < this.threshold.value || !inside.containsPoint(splat.center)) return;
      const stop = stopped(inFile, splat);
      if (stop) stops.push(stop);
    });
    let light = 1;
    for (const [distance, alpha] of stops.sort((a, b) => a[0] - b[0])) {
      light *= 1 - alpha;
      if (light < 0.5) return inFile.at(distance, new THREE.Vector3()).applyMatrix4(this.mesh.matrixWorld);
    }
    return null;
  }

  /** Every splat; where there are levels of detail, those that are shown. The object is the same each time. */
  private each(visit: (splat: Splat) => void): void {
    const { packedSplats, extSplats, context } = this.mesh!;
    const source = packedSplats ?? extSplats!;
    const detailed = this.lod ? source.lodSplats : undefined;
    const chosen = detailed && context.enableLod.value ? context.lodIndices.value.image.data : null;
    const count = chosen ? context.numSplats.value : source.numSplats;
    for (let i = 0; i < count; i++) visit((detailed ?? source).getSplat(chosen ? Number(chosen[i]) : i));
  }

  private modifier() {
    return dyno.dynoBlock({ gsplat: dyno.Gsplat }, { gsplat: dyno.Gsplat }, ({ gsplat }) => {
      const filter = new dyno.Dyno({
        inTypes: { gsplat: dyno.Gsplat, threshold: "float", pointSize: "float", low: "vec3", high: "vec3" },
        outTypes: { gsplat: dyno.Gsplat },
        globals: () => [dyno.defineGsplat],
        statements: ({ inputs, outputs }) =>
          dyno.unindentLines(`
            ${outputs.gsplat} = ${inputs.gsplat};
            bool inside = all(greaterThanEqual(${inputs.gsplat}.center, ${inputs.low}))
              && all(lessThanEqual(${inputs.gsplat}.center, ${inputs.high}));
            if (!inside || ${inputs.gsplat}.rgba.a < ${inputs.threshold}) {
              ${outputs.gsplat}.rgba.a = 0.0;
            } else if (${inputs.pointSize} > 0.0) {
              ${outputs.gsplat}.rgba.a = 1.0;
              ${outputs.gsplat}.scales = vec3(${inputs.pointSize});
            }
          `),
      });
      const { threshold, pointSize, low, high } = this;
      return { gsplat: filter.apply({ gsplat, threshold, pointSize, low, high }).gsplat };
    });
  }
}
