"""cameras.json, our own file of cameras (version 1): pinholes of pictures, with the lens of the original beside.

The file keeps the world, the axes (OpenCV) and the pixels (first centre at 0.5) that recon3d has inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from recon3d.core.known_camera import KnownCamera, TakenPhoto
from recon3d.core.lens import MODELS, Lens
from recon3d.errors import InputError
from recon3d.io import json_input
from recon3d.io.json_input import REMEDY

if TYPE_CHECKING:
    from recon3d.core.cameras import Cameras

VERSION = 1
UNITS = {"metres": "metre", "arbitrary": "arbitrary"}  # Geometry.scale -> the file's word
FOCAL_AND_CENTER = ("f", "fx", "fy", "cx", "cy")


def read_cameras(path: Path | str) -> tuple[KnownCamera, ...]:
    """The cameras of the file, in its order. `K` or `camera_from_world` may be absent or null: that part is unknown. An
    `origin`, the place in the world of the frame that the file stands in, is added.

    The size of every lens is the file's `width` and `height`: whoever opens the picture refuses another size.
    """
    path = Path(path)
    document = json_input.read_object(path)
    if document.get("version") != VERSION:
        raise InputError(path, f"its version is {document.get('version')!r:.40}, not {VERSION}", REMEDY)
    if document.get("convention") != "opencv":
        raise InputError(path, f"its convention is {document.get('convention')!r:.40}, not 'opencv'", REMEDY)
    origin = _origin(document, path)
    cameras: dict[str, KnownCamera] = {}
    for i, entry in enumerate(json_input.entries(document, "images", path)):
        name = json_input.text(entry, "name", path, f"images[{i}]")
        if name in cameras:
            raise InputError(path, f"it lists {name} twice", REMEDY)
        pose = json_input.matrix(entry, "camera_from_world", [(3, 4), (4, 4)], path, name)
        camera = KnownCamera(
            name=name,
            lens=_lens(entry, path, name),
            camera_from_world=None if pose is None else json_input.rigid_about_center(pose, path, name),
            held_out=entry.get("held_out") is True,
            in_metres=document.get("unit") == UNITS["metres"],
            photo=_photo(entry, path, f"images[{i}].original", name),
        )
        cameras[name] = camera.moved(origin) if origin.any() else camera
    return tuple(cameras.values())


def read_origin(path: Path) -> Annotated[np.ndarray, "3"]:
    """Where in the world the frame of a file stands; (0, 0, 0) where it does not say."""
    return _origin(json_input.read_object(path), path)


def read_originals(path: Path) -> tuple[Lens, ...]:
    """The lenses of the upright full-size photos that the pictures of a file were made of, where it tells them."""
    images = json_input.entries(json_input.read_object(path), "images", path)
    photos = (_photo(entry, path, f"images[{i}].original", "") for i, entry in enumerate(images))
    return tuple(photo.lens for photo in photos if photo is not None)


def _photo(entry: dict[str, Any], path: Path, place: str, name: str) -> TakenPhoto | None:
    """What a picture was made of, where its entry tells; under the picture's `name` where it tells no other."""
    told = entry.get("original")
    if not isinstance(told, dict):
        return None
    height, width = (json_input.side(told, key, path, place) for key in ("height", "width"))
    model, params = told.get("model"), told.get("params")
    known = MODELS.get(model) if isinstance(model, str) else None
    if height is None or width is None or known is None or not isinstance(params, list) or len(params) != len(known[1]):
        raise InputError(path, f"{place} is no lens", REMEDY)
    values = dict(zip(known[1], params, strict=True))
    lens = Lens(str(model), tuple(json_input.number(values, n, path, place) or 0.0 for n in values), height, width)
    return TakenPhoto(json_input.text(told, "name", path, place) if "name" in told else name, lens)


def _origin(document: dict[str, Any], path: Path) -> Annotated[np.ndarray, "3"]:
    given = json_input.matrix({"origin": [document.get("origin", [0, 0, 0])]}, "origin", [(1, 3)], path, "the file")
    return np.zeros(3) if given is None else given[0]


def _lens(entry: dict[str, Any], path: Path, name: str) -> Lens | None:
    height, width = (json_input.side(entry, key, path, name) for key in ("height", "width"))
    K = json_input.matrix(entry, "K", [(3, 3)], path, name)
    if K is None:
        return None
    if height is None or width is None:
        raise InputError(path, f"{name}: it has a K without width and height", REMEDY)
    if (K[2] != [0, 0, 1]).any() or K[1, 0] != 0 or K[0, 1] != 0:
        raise InputError(path, f"{name}: its K is not [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]", REMEDY)
    model, bends = _distortion(entry.get("distortion"), path, name)
    return json_input.lens_of(model, (K[0, 0], K[1, 1]), (K[0, 2], K[1, 2]), bends, (height, width), path, name)


def _distortion(found: Any, path: Path, name: str) -> tuple[str, dict[str, float]]:
    """COLMAP's model and its distortion parameters by name, from {"model", "params"} or null."""
    if found is None:
        return "PINHOLE", {}
    model = found.get("model") if isinstance(found, dict) else None
    if not isinstance(model, str) or model not in MODELS:
        known = ", ".join(MODELS)
        raise InputError(path, f"{name}: its distortion has the model {model!r:.40}", f"Models that are read: {known}")
    names = [n for n in MODELS[model][1] if n not in FOCAL_AND_CENTER]
    params = found.get("params")
    if not isinstance(params, list) or len(params) != len(names):
        raise InputError(path, f"{name}: the distortion {model} needs the {len(names)} numbers {names}", REMEDY)
    values = dict(zip(names, params, strict=True))
    return model, {n: json_input.number(values, n, path, f"{name}: distortion") or 0.0 for n in names}


def write_cameras(
    path: Path | str,
    names: Sequence[str],
    cameras: Cameras,
    *,
    lenses: Sequence[Lens | None] | None = None,
    pixel_from_photo: Annotated[np.ndarray, "N 3 3"] | None = None,
    held_out: Sequence[bool] | None = None,
    unit: Literal["metres", "arbitrary"] = "arbitrary",
    source: str = "colmap",
    original_names: Sequence[str] | None = None,
    origin: Sequence[float] = (0.0, 0.0, 0.0),
) -> None:
    """Write the cameras of undistorted pictures `names`. `lenses` are those of the upright photos that they were made
    from, `original_names` the photos' names where they differ, `pixel_from_photo` the affine map from the undistorted
    photo to the picture (the identity where it is not given), `origin` the place in the world that the cameras stand about.
    """
    images = []
    for i, name in enumerate(names):
        height, width = cameras.size(i)
        image: dict[str, Any] = {
            "name": name,
            "width": width,
            "height": height,
            "K": cameras.K[i].tolist(),
            "camera_from_world": cameras.camera_from_world[i, :3].tolist(),
            "distortion": None,
        }
        if held_out is not None and bool(held_out[i]):
            image["held_out"] = True
        lens = None if lenses is None else lenses[i]
        if lens is not None:
            image["original"] = {
                "name": name if original_names is None else original_names[i],
                "width": lens.width,
                "height": lens.height,
                "model": lens.model,
                "params": list(lens.params),
                "pixel_from_photo": np.asarray(np.eye(3) if pixel_from_photo is None else pixel_from_photo[i]).tolist(),
            }
        images.append(image)
    head: dict[str, Any] = {"version": VERSION, "convention": "opencv", "unit": UNITS[unit], "source": source}
    if any(origin):
        head["origin"] = list(origin)
    json_input.write_document(path, {**head, "images": images}, rows="images")


def write_known(
    path: Path | str, cameras: Sequence[KnownCamera], *, unit: Literal["metres", "arbitrary"], source: str,
    origin: Annotated[np.ndarray, "3"],
) -> None:  # fmt: skip
    """Write cameras of photos as they were taken, lens and all: what `read_cameras` reads. Every camera has a pose and a lens;
    they stand in the world, the file about `origin`."""
    images = []
    for camera in (one.moved(-origin) if origin.any() else one for one in cameras):
        lens, pose = camera.lens, camera.camera_from_world
        assert lens is not None and pose is not None
        bends = [v for n, v in zip(MODELS[lens.model][1], lens.params, strict=True) if n not in FOCAL_AND_CENTER]
        images.append({
            "name": camera.name, "width": lens.width, "height": lens.height, "K": lens.K.tolist(),
            "camera_from_world": pose[:3].tolist(),
            "distortion": {"model": lens.model, "params": bends} if bends else None,
        })  # fmt: skip
    head: dict[str, Any] = {"version": VERSION, "convention": "opencv", "unit": UNITS[unit], "source": source}
    if origin.any():
        head["origin"] = origin.tolist()
    json_input.write_document(path, {**head, "images": images}, rows="images")
