"""Which points of a scene a further photo shows: its matches with the scene's photos, met in space by the scene's cameras."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from scipy.spatial import KDTree

from recon3d.core.geometry import Tracks
from recon3d.core.lens import Lens
from recon3d.sfm.acceptance import MAX_REPROJECTION
from recon3d.sfm.features import Camera, colmap_camera
from recon3d.sfm.held_back import ViewMatches
from recon3d.sfm.models import Model
from recon3d.sfm.pycolmap import colmap

NEAR = 1.5  # pixels of the feature picture: a feature so near to an observation of a point shows that point
MIN_ANGLE = 1.0  # degrees between two rays at least (`settings.RELAXED`): with less a point may lie anywhere on them

Seen = tuple[int, Annotated[np.ndarray, "2"]]  # a view of the scene, and where, pixels of its feature picture


@dataclass(frozen=True)
class SceneViews:
    """N photos whose cameras are held: the scene that further photos are located in. Pixels are those of feature pictures."""

    camera_from_world: Annotated[np.ndarray, "N 4 4"]
    lenses: tuple[Lens, ...]
    tracks: Tracks  # what is known of its points; may be empty

    def __len__(self) -> int:
        return len(self.lenses)


@dataclass(frozen=True)
class Sightings:
    """S points that a photo shows at `xy`, with what the scene's photos show of them."""

    xy: Annotated[np.ndarray, "S 2"]  # pixels of the photo's feature picture
    model: Model  # S points, observed by the scene's views only

    def __len__(self) -> int:
        return len(self.xy)

    def __getitem__(self, keep: Annotated[np.ndarray, "S"]) -> Sightings:
        """Those where `keep` (bool) is true."""
        model, number = self.model, np.cumsum(keep) - 1
        stays = keep[model.point]
        model = replace(
            model, points=model.points[keep], errors=model.errors[keep], view=model.view[stays],
            point=number[model.point[stays]], feature=model.feature[stays], xy=model.xy[stays],
        )  # fmt: skip
        return Sightings(self.xy[keep], model)

    def without(self, views: Annotated[np.ndarray, "k"]) -> Sightings:
        """By the other views of the scene alone: points that two of these show."""
        model = self.model
        stays = ~np.isin(model.view, views)
        keep = np.bincount(model.point[stays], minlength=len(model.points)) >= 2
        fewer = replace(
            model, view=model.view[stays], point=model.point[stays], feature=model.feature[stays], xy=model.xy[stays]
        )
        return Sightings(self.xy, fewer)[keep]

    def with_camera(self, camera_from_world: Annotated[np.ndarray, "4 4"], lens: Lens) -> Model:
        """The model with the photo as its last view, which observes every point; these observations come last."""
        model, count, photo = self.model, len(self), len(self.model.views)
        return replace(
            model,
            views=(*model.views, photo),
            camera_from_world=np.concatenate([model.camera_from_world, camera_from_world[None]]),
            lenses=(*model.lenses, lens),
            view=np.concatenate([model.view, np.full(count, photo)]),
            point=np.concatenate([model.point, np.arange(count)]),
            feature=np.concatenate([model.feature, np.arange(count)]),
            xy=np.concatenate([model.xy, self.xy]),
        )


def sightings(matches: ViewMatches, photo: int, scene: SceneViews) -> Sightings:
    """The points that a photo shows, by its matches with the scene's views (the first `len(scene)` ones).

    A point is where the rays of the scene's photos meet that match one feature of the photo, with those that are known to
    show the same point. Source: robust triangulation as COLMAP's (Schönberger & Frahm 2016, section 4.3).
    """
    seen = _by_feature(matches, photo)
    _add_tracks(seen, scene)
    cameras = [colmap_camera(Camera((i,), lens, True, True), i + 1) for i, lens in enumerate(scene.lenses)]
    poses = [colmap.Rigid3d(pose[:3]) for pose in scene.camera_from_world]
    options = colmap.EstimateTriangulationOptions()
    options.residual_type = colmap.TriangulationResidualType.REPROJECTION_ERROR
    options.min_tri_angle, options.ransac.max_error = np.radians(MIN_ANGLE), MAX_REPROJECTION
    options.ransac.random_seed = 0
    xy, points, view, point, where = [], [], [], [], []
    for at, observations in seen.items():
        if len({v for v, _ in observations}) < 2:
            continue
        rows = [v for v, _ in observations]
        pixels = np.array([p for _, p in observations])
        found = colmap.estimate_triangulation(pixels, [poses[v] for v in rows], [cameras[v] for v in rows], options)
        if found is None:
            continue
        agrees = np.flatnonzero(found["inliers"])
        view += [rows[i] for i in agrees]
        point += [len(points)] * len(agrees)
        where += [pixels[i] for i in agrees]
        points.append(found["xyz"])
        xy.append(at)
    model = Model(
        tuple(range(len(scene))), scene.camera_from_world, scene.lenses, np.array(points).reshape(-1, 3),
        np.zeros(len(points)), np.array(view, np.int64), np.array(point, np.int64), np.arange(len(view)),
        np.array(where).reshape(-1, 2),
    )  # fmt: skip
    return Sightings(np.array(xy).reshape(-1, 2), model)


def of_photo(matches: ViewMatches, photo: int) -> ViewMatches:
    """The matches of one photo."""
    return matches[(matches.first == photo) | (matches.second == photo)]


def _by_feature(matches: ViewMatches, photo: int) -> dict[tuple[float, float], list[Seen]]:
    """Where a feature of the photo is -> the observations that match it."""
    found: dict[tuple[float, float], list[Seen]] = defaultdict(list)
    for first, second, a, b in zip(matches.first, matches.second, matches.xy_first, matches.xy_second, strict=True):
        if first == photo:
            found[float(a[0]), float(a[1])].append((int(second), b))
        elif second == photo:
            found[float(b[0]), float(b[1])].append((int(first), a))
    return found


def _add_tracks(seen: dict[tuple[float, float], list[Seen]], scene: SceneViews) -> None:
    """Add to each feature's observations those of the points that one of them is known to show."""
    track_view, track_point = scene.tracks.view.numpy(), scene.tracks.point.numpy()
    track_xy = scene.tracks.xy.numpy()
    of_view = [np.flatnonzero(track_view == v) for v in range(len(scene))]
    trees = [KDTree(track_xy[rows]) if len(rows) else None for rows in of_view]
    order = np.argsort(track_point, kind="stable")
    start = np.searchsorted(track_point[order], np.arange(int(track_point.max(initial=-1)) + 2))
    for observations in seen.values():
        there = {view for view, _ in observations}
        shown = set()
        for view, xy in observations:
            tree = trees[view]
            if tree is not None:
                distance, i = tree.query(xy)
                if distance <= NEAR:
                    shown.add(int(track_point[of_view[view][i]]))
        for point in sorted(shown):
            rows = order[start[point] : start[point + 1]]
            observations += [(int(track_view[r]), track_xy[r]) for r in rows if int(track_view[r]) not in there]
