// Written by tools/make_viewer_types.py from recon3d/viewer/messages.py. Change those.

export type Mode = "default" | "antialiased" | "2dgs";
export type Kind = "ply" | "sog" | "spz" | "splat";

export interface SplatsMessage {
  readonly version: number;
  readonly kind: "ply" | "sog" | "spz" | "splat";
  readonly bytes: number;
  readonly count: number;
  readonly degree: number;
  readonly mode: "default" | "antialiased" | "2dgs";
  readonly turn: boolean;
  readonly origin: readonly [number, number, number];
}

export interface CameraMessage {
  readonly name: string;
  readonly photo: boolean;
  readonly width: number;
  readonly height: number;
  readonly K: readonly number[];
  readonly camera_from_world: readonly number[];
  readonly depth: number;
  readonly held_out: boolean;
}

export interface FrameMessage {
  readonly center: readonly [number, number, number];
  readonly radius: number;
  readonly low: readonly [number, number, number];
  readonly high: readonly [number, number, number];
  readonly least: readonly [number, number, number];
  readonly most: readonly [number, number, number];
  readonly reach: number | null;
}

export interface ReportSection {
  readonly title: string;
  readonly rows: readonly (readonly [string, string])[];
}

export interface SceneMessage {
  readonly version: number;
  readonly title: string;
  readonly splats: SplatsMessage | null;
  readonly cameras: readonly CameraMessage[];
  readonly first_camera: number | null;
  readonly frame: FrameMessage;
  readonly report: readonly ReportSection[];
  readonly live: boolean;
}

export interface VersionMessage {
  readonly scene: number;
  readonly splats: number;
  readonly running: boolean;
  readonly text: string;
}
