"""Further photos located in a finished scene: from paths to a file of cameras and what is known of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch

from recon3d.atomic import atomic_file, make_parents, refuse_existing
from recon3d.core.cameras import centers_of
from recon3d.core.geometry import Tracks
from recon3d.core.known_camera import KnownCamera
from recon3d.core.views import Views
from recon3d.errors import InputError
from recon3d.io.cameras_json import read_origin, read_originals, write_known
from recon3d.io.detect import detect
from recon3d.io.load import Loaded, load_views
from recon3d.io.photos import pictures
from recon3d.pipeline.choices import QUALITY
from recon3d.pipeline.plan import network_device
from recon3d.progress import Progress
from recon3d.reconstruction.world_frame import origin_of
from recon3d.sfm import locating
from recon3d.sfm.locating import Located

EVERY = 10**9  # photos of the scene, and of those to locate
UNSEEN = 64  # pixels, of pictures that nobody looks at: features are taken from the files
REMEDY = "Take photos that show more of what the scene's photos show"


@dataclass(frozen=True)
class Locations:
    """Further photos in the world of a scene."""

    photos: tuple[Located, ...]
    origin: Annotated[np.ndarray, "3"]  # about which the scene's cameras.json stands in the world
    unit: Literal["metres", "arbitrary"]
    size: float  # of the scene: the largest distance between two of its cameras, world units

    @property
    def known(self) -> tuple[KnownCamera, ...]:
        """The cameras of those that were located."""
        return tuple(KnownCamera(p.name, p.lens, p.camera_from_world) for p in self.photos if p.refused is None)

    def report(self) -> dict[str, Any]:
        """What is known of every photo, as JSON takes it; places are in the world."""
        head = {"unit": self.unit, "scene_size": self.size}
        return head | {"photos": [of_photo(photo) for photo in self.photos]}


def of_photo(photo: Located) -> dict[str, Any]:
    words = asdict(photo)
    if photo.refused is not None or photo.camera_from_world is None:
        return {key: x for key, x in words.items() if key in ("name", "refused")}
    return words | {"camera_from_world": photo.camera_from_world[:3].tolist(), "center": photo.center}


def locate(scene: Path, photos: Sequence[Path], seed: int | None, progress: Progress) -> Locations:
    """The camera of each photo in the finished scene of a run folder, in that scene's world.

    A photo whose camera is not determined says why in its `refused`. Raises InputError where the scene is no folder of a
    run, no photo can be read, or no camera is determined.
    """
    found = detect((scene,))
    if found.kind != "run":
        raise InputError(scene, "it is not the folder of a run", "Give a folder that `recon3d run` made")
    with progress.stage("photos"):
        new = load_views(detect(photos), max_size=UNSEEN, max_images=EVERY, repeated=True, progress=progress)
        made = load_views(found, max_size=UNSEEN, max_images=EVERY, repeated=True, progress=progress)
        away = np.array(origin_of(made.views))
        made = made.about(away)
    with progress.stage("locating"):
        views, originals = joined(made.views, new.views), read_originals(scene / "cameras.json")
        device = "cuda" if network_device("auto") == "cuda" else "cpu"
        located = locating.locate(
            views, pictures(views), tracks_of(made), originals, matching=QUALITY["standard"].matching, device=device,
            seed=seed, progress=progress,
        )  # fmt: skip
    refused = [photo for photo in located if photo.refused is not None]
    if len(refused) == len(located):
        others = f", and none of {len(located) - 1} others is" if len(located) > 1 else ""
        raise InputError(refused[0].name, f"it is not located in {scene}: {refused[0].refused}{others}", REMEDY)
    unit = "metres" if made.in_metres else "arbitrary"
    in_world = tuple(photo.moved(away) for photo in located)
    return Locations(in_world, read_origin(scene / "cameras.json"), unit, size_of(made.views))


def write(found: Locations, path: Path, overwrite: bool) -> None:
    """The located cameras as a cameras.json, about the origin of the scene's own."""
    refuse_existing(path, overwrite)
    make_parents(path)
    with atomic_file(path) as temporary:
        write_known(temporary, found.known, unit=found.unit, source="recon3d locate", origin=found.origin)


def joined(scene: Views, photos: Views) -> Views:
    """The scene's views, then the further ones: without a pose, and cameras of their own."""
    unknown = torch.full((len(photos), 4, 4), torch.nan, dtype=torch.float64)
    assert scene.known_camera_from_world is not None
    masks = [v.masks if v.masks is not None else (None,) * len(v) for v in (scene, photos)]
    return Views(
        names=scene.names + photos.names,
        images=scene.images + photos.images,
        masks=masks[0] + masks[1],
        pixel_from_photo=torch.cat([scene.pixel_from_photo, photos.pixel_from_photo]),
        photo_sizes=torch.cat([scene.photo_sizes, photos.photo_sizes]),
        camera_index=torch.cat([scene.camera_index, int(scene.camera_index.max()) + 1 + torch.arange(len(photos))]),
        held_out=torch.cat([scene.held_out, torch.zeros(len(photos), dtype=torch.bool)]),
        sources=scene.sources + photos.sources,
        lenses=scene.lenses + photos.lenses,
        focal_priors=scene.focal_priors + photos.focal_priors,
        known_camera_from_world=torch.cat([scene.known_camera_from_world, unknown]),
    )


def tracks_of(made: Loaded) -> Tracks:
    """The observations of a scene's points by its views, pixels of the photos."""
    model = made.points
    assert model is not None
    number = {name: i for i, name in enumerate(made.views.names)}
    view = np.array([number.get(camera.name, -1) for camera in model.cameras], np.int64)[model.track_view]
    kept = view >= 0
    return Tracks(
        torch.from_numpy(view[kept]), torch.from_numpy(model.track_point[kept]), torch.from_numpy(model.track_xy[kept])
    )


def size_of(views: Views) -> float:
    """The largest distance between two cameras with a pose, world units."""
    assert views.known_camera_from_world is not None
    poses = views.known_camera_from_world[views.pose_known]
    centers = centers_of(poses)
    return float(torch.cdist(centers, centers).max())
