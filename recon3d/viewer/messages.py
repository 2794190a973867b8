"""What travels from Python to the page, as JSON. tools/make_viewer_types.py writes the page's types from these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mode = Literal["default", "antialiased", "2dgs"]
Kind = Literal["ply", "sog", "spz", "splat"]


@dataclass(frozen=True)
class SplatsMessage:
    """A file of splats that the page's renderer opens."""

    version: int  # grows when the splats of a run that goes on are replaced
    kind: Kind
    bytes: int
    count: int
    degree: int
    mode: Mode
    turn: bool  # the numbers are in the scene's world (x right, y down, z forward); else y is up and z backward
    origin: tuple[float, float, float]  # what centres are counted from, in the scene's world


@dataclass(frozen=True)
class CameraMessage:
    """A pinhole in OpenCV's axes; the centre of its first pixel is (0.5, 0.5)."""

    name: str
    photo: bool  # whether there is a picture to show
    width: int
    height: int
    K: tuple[float, ...]  # 9, row by row, pixels
    camera_from_world: tuple[float, ...]  # 16, row by row
    depth: float  # z-depth of what it looks at, world units
    held_out: bool


@dataclass(frozen=True)
class FrameMessage:
    """Where the opaque splats lie, world units: what the first view is framed on, and the range of the crop box."""

    center: tuple[float, float, float]
    radius: float
    low: tuple[float, float, float]  # corners of what lies close together
    high: tuple[float, float, float]
    least: tuple[float, float, float]  # corners of everything, but for a few
    most: tuple[float, float, float]
    reach: float | None  # how far from the center the backdrop begins; None where there is none


@dataclass(frozen=True)
class ReportSection:
    title: str
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class SceneMessage:
    version: int  # grows when anything but the splats changes
    title: str
    splats: SplatsMessage | None  # None while a run has none yet
    cameras: tuple[CameraMessage, ...]
    first_camera: int | None  # the one to begin at; None where there are no cameras
    frame: FrameMessage
    report: tuple[ReportSection, ...]
    live: bool  # a run goes on: ask for VersionMessage again and again


@dataclass(frozen=True)
class VersionMessage:
    scene: int
    splats: int
    running: bool
    text: str  # what the run is doing
