"""Cameras of further photos in a finished scene: features, matches with the scene's photos, a camera each, and its test."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch

from recon3d.core.geometry import Tracks
from recon3d.core.lens import Lens
from recon3d.core.origin import center_of, moved_pose
from recon3d.core.views import Views
from recon3d.progress import Progress
from recon3d.sfm.acceptance import (
    MIN_POINTS,
    agreement,
    lens_refusal,
)
from recon3d.sfm.adjustment import distances
from recon3d.sfm.features import Pictures, cameras_of, extract, feature_size
from recon3d.sfm.held_back import ViewMatches, hold_back, view_matches
from recon3d.sfm.matching import match, read_keypoints, read_matches
from recon3d.sfm.placing import Placed, Start, better, placed
from recon3d.sfm.settings import MIN_MATCHES, Matching
from recon3d.sfm.sightings import SceneViews, of_photo, sightings

# Of the held-back matches of one photo. Right ones had 0.89 or more (`tools/benchmarks/locate.py`); of a model, `acceptance` asks
# for 0.9 of more matches, and those joined by chance had 0.75 or less.
MIN_SHARE = 0.8
EXIF_DEVIATION = 0.1  # of a focal length from EXIF, as a share: that of beach-drone is 18 % from what its photos show
MAX_CENTER_DEVIATION = 0.1  # of the distance to what the photo shows, as for focal lengths
EXIF_RANGE = 0.3  # how far a focal length that the scene was given may be from EXIF, as a share, to be that of the photo


@dataclass(frozen=True)
class Located:
    """A further photo's camera in the scene's world, or what speaks against it."""

    name: str
    refused: str | None  # None: located
    camera_from_world: Annotated[np.ndarray, "4 4"] | None = None
    lens: Lens | None = None  # of the full-size photo
    lens_source: str = ""  # "the scene's", "EXIF" or "estimated"
    matches: int = 0  # points of the scene that the camera was adjusted to
    photos: int = 0  # of the scene, that show these
    error: float = 0.0  # median distance to their projections, pixels of the photo
    center_deviation: float = 0.0  # standard deviation of the camera's centre, world units
    distance: float = 0.0  # from the camera to what it shows, median, world units
    focal_deviation: float = 0.0  # of the focal length, as a share of it
    held_back: int = 0  # matches that the camera has not seen
    agreement: float = 0.0  # share of them that agree with it
    spread: float = 0.0  # share of the photo within the hull of the matches

    @property
    def center(self) -> tuple[float, float, float]:
        """Of the camera, in the world."""
        pose = self.camera_from_world
        assert pose is not None
        x, y, z = center_of(pose).tolist()
        return x, y, z

    def moved(self, shift: Annotated[np.ndarray, "3"]) -> Located:
        """The same in a world whose points are moved by `shift`."""
        pose = self.camera_from_world
        return self if pose is None else replace(self, camera_from_world=moved_pose(pose, shift))


def locate(
    views: Views, pictures: Pictures, tracks: Tracks, originals: Sequence[Lens], *, matching: Matching, device: str,
    seed: int | None = None, progress: Progress | None = None,
) -> tuple[Located, ...]:  # fmt: skip
    """Cameras of the views without a given pose among those with one, in their order. Each photo is located for itself.

    Views with a pose come first and have a lens; `tracks` are the points of theirs that are known, in pixels of their
    photos; `originals` the lenses of the photos that the scene was made of, which a further photo may share.
    """
    known, progress = int(views.pose_known.sum()), progress or Progress()
    threads = 1 if seed is not None else os.cpu_count() or 1
    pairs = [(i, j) for j in range(known, len(views)) for i in range(known)]
    with tempfile.TemporaryDirectory(prefix="recon3d-locate-", ignore_cleanup_errors=True) as folder:
        database, rest = Path(folder) / "all.db", Path(folder) / "rest.db"
        extract(views, pictures, matching, threads, database, progress)
        match(database, pairs, matching, device, threads, seed or 0, progress)
        held = hold_back(database, rest, len(views), seed or 0)
        used = view_matches([p for p in read_matches(rest) if len(p.verified)], read_keypoints(rest, len(views)))
    scene = scene_views(views, tracks, known, matching.max_image_size)
    return tuple(
        located(views, photo, scene, of_photo(used, photo), of_photo(held, photo), originals, matching, seed or 0)
        for photo in range(known, len(views))
    )


def scene_views(views: Views, tracks: Tracks, known: int, longest: int) -> SceneViews:
    """The views with a pose, and their tracks, in pixels of the feature pictures."""
    poses = views.known_camera_from_world
    assert poses is not None
    lenses, scales = [], []
    for i in range(known):
        lens, (height, width) = views.lenses[i], feature_size(views, i, longest)
        assert lens is not None
        lenses.append(lens.resized(height, width))
        scales.append([width / lens.width, height / lens.height])
    xy = tracks.xy * torch.tensor(scales, dtype=torch.float64)[tracks.view]
    return SceneViews(poses[:known].numpy(), tuple(lenses), replace(tracks, xy=xy))


def located(
    views: Views, photo: int, scene: SceneViews, used: ViewMatches, held: ViewMatches, originals: Sequence[Lens],
    matching: Matching, seed: int,
) -> Located:  # fmt: skip
    """One photo, by matches that are used and others that test what comes out."""
    name = views.names[photo]
    overlapping = len({*used.first.tolist(), *used.second.tolist()} - {photo})
    if not overlapping:
        return Located(name, f"none of the scene's {len(scene)} photos has {MIN_MATCHES} matches with it")
    found = sightings(used, photo, scene)
    if len(found) < MIN_POINTS:
        return Located(name, f"it shows {len(found)} points of the scene, where {MIN_POINTS} are needed")
    own, shared = starts(views, photo, originals, matching.max_image_size)
    tried = [placed(found, start, seed) for start in shared]
    scenes = max((p for p in tried if p is not None), key=lambda p: int(p.agrees.sum()), default=None)
    of_its_own = placed(found, own, seed)
    best = better(of_its_own, scenes)
    if best is None:
        return Located(name, f"no camera agrees with the {len(found)} points of the scene that it seems to show")
    measured = measure(views, photo, best, held)
    if best is scenes and of_its_own is not None and views.focal_priors[photo] is None:
        # That it is the scene's lens is then a guess: what another one would change counts (a plane fits any focal length).
        guessed = float(np.linalg.norm(best.center - of_its_own.center))
        measured = replace(measured, center_deviation=max(measured.center_deviation, guessed))
    return replace(measured, refused=refusal(measured, best))


def starts(views: Views, photo: int, originals: Sequence[Lens], longest: int) -> tuple[Start, list[Start]]:
    """The lens of the photo's own to begin with, and those of the scene's photos that it may have been taken with: of its
    size, and of the focal length that EXIF tells, where it tells one."""
    height, width = feature_size(views, photo, longest)
    given, prior = views.lenses[photo], views.focal_priors[photo]
    if given is not None:
        return Start("given", given.resized(height, width), True), []
    size = tuple(int(x) for x in views.photo_sizes[photo])
    own = next(c.lens for c in cameras_of(views, longest) if photo in c.views)
    start = Start("estimated", own, False) if prior is None else Start("EXIF", own, False, EXIF_DEVIATION)
    same = [lens for lens in dict.fromkeys(originals) if (lens.height, lens.width) == size]
    if prior is not None:
        same = [lens for lens in same if abs(np.log(lens.param("fx") / prior)) < EXIF_RANGE]
    return start, [Start("the scene's", lens.resized(height, width), True) for lens in same]


def measure(views: Views, photo: int, best: Placed, held: ViewMatches) -> Located:
    """What was found of a photo, in pixels of the full-size photo."""
    height, width = (int(x) for x in views.photo_sizes[photo])
    count, views_of_scene = len(best.model.points), len(best.model.views) - 1
    off = best.model
    agrees, _, _ = agreement(replace(off, views=(*range(views_of_scene), photo)), held)
    xy = best.sightings.xy[best.agrees]
    hull = cv2.contourArea(cv2.convexHull(xy.astype(np.float32))) if count else 0.0
    return Located(
        name=views.names[photo],
        refused=None,
        camera_from_world=best.camera_from_world,
        lens=best.lens.resized(height, width),
        lens_source=best.start.source,
        matches=count,
        photos=len(np.unique(off.view)) - 1,
        error=float(np.median(errors(best))) * width / best.lens.width,
        center_deviation=best.center_deviation,
        distance=float(np.median(off.points @ best.camera_from_world[2, :3] + best.camera_from_world[2, 3])),
        focal_deviation=best.focal_deviation,
        held_back=len(agrees),
        agreement=float(agrees.mean()) if len(agrees) else 0.0,
        spread=float(hull) / (best.lens.height * best.lens.width),
    )


def errors(best: Placed) -> Annotated[np.ndarray, "S"]:
    """Pixels of the feature picture, of the photo's own observations."""
    return distances(best.model)[-len(best.model.points) :]


def refusal(found: Located, best: Placed) -> str | None:
    """What speaks against a photo's camera, measured against its limit; None where nothing does."""
    if found.matches < MIN_POINTS:
        return f"its camera agrees with {found.matches} points of the scene, where {MIN_POINTS} are needed"
    if found.agreement < MIN_SHARE:
        return f"{found.agreement:.0%} of {found.held_back} held-back matches agree, where {MIN_SHARE:.0%} are needed"
    if best.start.source == "estimated":
        doubt = lens_refusal(best.lens, best.focal_deviation)
        if doubt is not None:
            return doubt
    sure = found.center_deviation / found.distance
    if sure > MAX_CENTER_DEVIATION:
        return f"its place is known to {sure:.0%} of its distance, where {MAX_CENTER_DEVIATION:.0%} are needed"
    return None
