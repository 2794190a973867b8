"""The cameras.xml of Agisoft Metashape (File > Export > Export Cameras, "Agisoft XML").

A camera's transform is chunk_from_camera with OpenCV axes, a component's or the chunk's world_from_chunk. Lenses as in the
manual's appendix "Camera models": offsets of the principal point from the middle, first pixel centre at 0.5, and p1 and p2
in the other order than OpenCV's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from recon3d.core.known_camera import KnownCamera
from recon3d.core.lens import Lens
from recon3d.errors import InputError
from recon3d.io import json_input
from recon3d.io.json_input import REMEDY

UNDISTORT = "Export undistorted photos with their cameras instead"
# Type of a sensor -> COLMAP's model, and which of Metashape's coefficients have no place in it.
SENSORS = {
    "frame": ("FULL_OPENCV", ("k4", "p3", "p4", "b2")),
    "fisheye": ("OPENCV_FISHEYE", ("p1", "p2", "p3", "p4", "b2")),
}


def read_metashape(path: Path | str) -> tuple[KnownCamera, ...]:
    """The cameras of the file's first chunk, in its order, named by their labels, which may lack the photo's suffix.

    Cameras that were not aligned have no pose. InputError where the file is none, or has a lens that ours cannot be.
    """
    path = Path(path)
    chunk = _document(path).find("chunk")
    if chunk is None:
        raise InputError(path, "it holds no chunk of cameras", REMEDY)
    worlds = {c.get("id"): _world_from_chunk(c, path) for c in chunk.iterfind("components/component")}
    whole = _world_from_chunk(chunk, path)
    sensors = {sensor.get("id"): sensor for sensor in chunk.iterfind("sensors/sensor")}
    cameras: dict[str, KnownCamera] = {}
    for camera in chunk.iterfind("cameras//camera"):
        label = (camera.get("label") or "").replace("\\", "/")
        if not label or label in cameras:
            what = f"it has two cameras labelled {label}" if label else "it has a camera without a label"
            raise InputError(path, what, "Rename them in Metashape and export again")
        sensor = sensors.get(camera.get("sensor_id"))
        world = worlds.get(camera.get("component_id"), whole)
        lens = None if sensor is None else _lens(sensor, path, label)
        cameras[label] = KnownCamera(label, lens, _pose(camera, world, path, label))
    if not cameras:
        raise InputError(path, "it holds no cameras", REMEDY)
    return tuple(cameras.values())


def _document(path: Path) -> Element:
    try:
        if path.stat().st_size > json_input.MAX_BYTES:
            raise InputError(path, f"it is larger than {json_input.MAX_BYTES >> 20} MB", "Give a file of cameras")
        data = path.read_bytes()
        if b"<!ENTITY" in data or b"<!DOCTYPE" in data:  # Metashape writes none, and they can unfold without end
            raise InputError(path, "it declares entities, which no file of cameras does", REMEDY)
        return ElementTree.fromstring(data)
    except OSError as error:
        raise InputError(path, f"it cannot be read ({error.strerror})", "Give the path of a file of cameras") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(path, f"it is not XML ({str(error)[:80]})", REMEDY) from error


def _numbers(element: Element | None, count: int, path: Path, place: str) -> Annotated[np.ndarray, "count"] | None:
    """The finite numbers in an element's text, None where there is no such element."""
    if element is None:
        return None
    try:
        values = np.array([float(word) for word in (element.text or "").split()])
    except ValueError:
        values = np.zeros(0)
    if len(values) != count or not np.isfinite(values).all():
        raise InputError(path, f"{place}: its {element.tag} is not {count} finite numbers", REMEDY)
    return values


def _world_from_chunk(element: Element, path: Path) -> tuple[float, Annotated[np.ndarray, "4 4"]]:
    """Scale, and the rigid motion after it, of a chunk or component; the identity where it has none."""
    place = f"{element.tag} {element.get('id', '')}".strip()
    rotation = _numbers(element.find("transform/rotation"), 9, path, place)
    translation = _numbers(element.find("transform/translation"), 3, path, place)
    scale = _numbers(element.find("transform/scale"), 1, path, place)
    motion = np.eye(4)
    motion[:3, :3] = np.eye(3) if rotation is None else rotation.reshape(3, 3)
    motion[:3, 3] = 0 if translation is None else translation
    if scale is not None and scale[0] <= 0:
        raise InputError(path, f"{place}: its scale is not positive", REMEDY)
    return 1.0 if scale is None else float(scale[0]), json_input.rigid(motion, path, place)


def _pose(
    camera: Element, world: tuple[float, np.ndarray], path: Path, label: str
) -> Annotated[np.ndarray, "4 4"] | None:
    values = _numbers(camera.find("transform"), 16, path, label)
    if values is None:
        return None
    chunk_from_camera = json_input.rigid(values.reshape(4, 4), path, label)
    scale, world_from_chunk = world
    chunk_from_camera[:3, 3] *= scale
    return json_input.inverse_motion(world_from_chunk @ chunk_from_camera)


def _lens(sensor: Element, path: Path, label: str) -> Lens | None:
    """The lens as adjusted, else as it was at first; None where the sensor was never calibrated."""
    calibrations = sensor.findall("calibration")
    found = next((c for c in calibrations if c.get("class") == "adjusted"), next(iter(calibrations), None))
    if found is None:
        return None
    kind = found.get("type") or sensor.get("type") or "frame"
    if kind not in SENSORS:
        raise InputError(path, f"{label}: a sensor of the type {kind:.40} is not read", UNDISTORT)
    if found.find("f") is None:
        what = f"{label}: its calibration has no f (PhotoScan before 1.2 wrote it otherwise)"
        raise InputError(path, what, "Export the cameras with a newer Metashape")
    names = ("f", "cx", "cy", "b1", "b2", "k1", "k2", "k3", "k4", "p1", "p2", "p3", "p4")
    given = {name: _numbers(found.find(name), 1, path, label) for name in names}
    values = {name: 0.0 if value is None else float(value[0]) for name, value in given.items()}
    model, foreign = SENSORS[kind]
    bad = [name for name in foreign if values[name] != 0]
    if bad:
        raise InputError(path, f"{label}: a {kind} lens with {', '.join(bad)} is not one that others have", UNDISTORT)
    resolution = found.find("resolution")
    resolution = sensor.find("resolution") if resolution is None else resolution
    size = {} if resolution is None else {k: int(v) for k, v in resolution.attrib.items() if v.isdecimal() and len(v) < 9}
    height, width = (json_input.side(size, side, path, label) for side in ("height", "width"))
    if height is None or width is None:
        raise InputError(path, f"{label}: its sensor has no resolution", REMEDY)
    bends = {name: values[name] for name in ("k1", "k2", "k3", "k4")} | {"p1": values["p2"], "p2": values["p1"]}
    focal, center = (values["f"] + values["b1"], values["f"]), (width / 2 + values["cx"], height / 2 + values["cy"])
    return json_input.lens_of(model, focal, center, bends, (height, width), path, label)
