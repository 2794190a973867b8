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

export class SplatLayer {
  count = 0;
  private mesh: SplatMesh | null = null;
  private turned = false;
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
    // A file in the world's axes lies there as it is; one with y up is turned into them.
    if (!message.turn) mesh.applyMatrix4(FLIP);
    this.turned = message.turn;
    this.world.add(mesh);
    if (this.mesh) {
      this.world.remove(this.mesh);
      this.mesh.dispose();
    }
    this.mesh = mesh;
    this.count = message.count;
  }

  show(filter: Filter, radius: number): void {
    this.threshold.value = filter.points ? Math.max(filter.threshold, POINT_FLOOR) : filter.threshold;
    this.pointSize.value = filter.points ? radius * POINT_SIZE : 0;
    const far = 1e30;
    const [low, high] = filter.box ? [filter.box.low, filter.box.high] : [[-far, -far, -far], [far, far, far]];
    if (this.turned) {
      this.low.value.fromArray(low);
      this.high.value.fromArray(high);
    } else {
      this.low.value.set(low[0], -high[1], -high[2]);
      this.high.value.set(high[0], -low[1], -low[2]);
    }
    this.mesh?.updateVersion();
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
