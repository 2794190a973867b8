"""SIFT features of upright pictures, and the COLMAP database that holds them with the cameras.

The database speaks of feature pictures: photos at up to `Matching.max_image_size` pixels. Its image id is the view's
index + 1 and its image names are made of that, so that neither the order nor the letters of file names reach COLMAP.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from recon3d.core.cameras import fitted_size
from recon3d.core.lens import Lens
from recon3d.core.views import Views
from recon3d.progress import Progress
from recon3d.sfm.pycolmap import colmap
from recon3d.sfm.settings import DEFAULT_FOCAL, UNKNOWN_LENS, Matching

# (view index, longest side) -> its upright picture, grey uint8, and where it may be used (bool; None: everywhere).
Pictures = Callable[[int, int], tuple[Annotated[np.ndarray, "H W"], Annotated[np.ndarray, "H W"] | None]]

Found = tuple[Annotated[np.ndarray, "F 2"], Annotated[np.ndarray, "F 128"]]  # xy in pixels (float32), descriptors (uint8)


@dataclass(frozen=True)
class Camera:
    """A camera of the database: the views that share it, and its lens at the size of their feature pictures."""

    views: tuple[int, ...]
    lens: Lens
    known: bool  # given, so never refined
    focal_known: bool  # given, or from EXIF


def feature_size(views: Views, view: int, longest: int) -> tuple[int, int]:
    """(height, width) of the picture that features of a view are taken from."""
    return fitted_size(int(views.photo_sizes[view, 0]), int(views.photo_sizes[view, 1]), longest)


def image_id(view: int) -> int:
    """The database's number of a view."""
    return view + 1


def image_name(view: int) -> str:
    """The database's name of a view."""
    return f"{view:06d}"


def cameras_of(views: Views, longest: int) -> tuple[Camera, ...]:
    """Views of one physical camera share a camera, where their sizes and given lenses agree too.

    A lens that is not known starts without distortion, with the focal length of EXIF or 1.2 times the longest side.
    """
    groups: dict[tuple, list[int]] = {}
    for view in range(len(views)):
        key = (int(views.camera_index[view]), views.lenses[view], feature_size(views, view, longest))
        groups.setdefault(key, []).append(view)
    cameras = []
    for (_, lens, (height, width)), members in groups.items():
        if lens is not None:
            cameras.append(Camera(tuple(members), lens.resized(height, width), True, True))
            continue
        prior = next((views.focal_priors[v] for v in members if views.focal_priors[v] is not None), None)
        scale = width / int(views.photo_sizes[members[0], 1])
        focal = DEFAULT_FOCAL * max(height, width) if prior is None else prior * scale
        start = Lens(UNKNOWN_LENS, (focal, width / 2, height / 2, 0.0), height, width)
        cameras.append(Camera(tuple(members), start, False, prior is not None))
    return tuple(cameras)


def extract(
    views: Views, pictures: Pictures, settings: Matching, threads: int, database: Path, progress: Progress
) -> tuple[int, ...]:
    """Write cameras, images and features into a new database; returns the number of features of every view.

    SIFT (Lowe 2004) in COLMAP's form; features outside of a mask are dropped. The result does not depend on `threads`.
    """
    file = colmap.Database.open(database)
    try:
        write_cameras(file, cameras_of(views, settings.max_image_size))
        counts = []
        for view, (keypoints, descriptors) in enumerate(_extracted(views, pictures, settings, threads)):
            sift = colmap.FeatureExtractorType.SIFT
            file.write_keypoints(image_id(view), keypoints)
            file.write_descriptors(image_id(view), colmap.FeatureDescriptors(type=sift, data=descriptors))
            counts.append(len(keypoints))
            progress.advance(view + 1, len(views), "features")
    finally:
        file.close()
    return tuple(counts)


def colmap_camera(camera: Camera, number: int):
    """The pycolmap camera of a database's camera, numbered from 1."""
    lens = camera.lens
    made = colmap.Camera(
        camera_id=number, model=getattr(colmap.CameraModelId, lens.model), width=lens.width, height=lens.height,
        params=np.array(lens.params),
    )  # fmt: skip
    made.has_prior_focal_length = camera.focal_known
    return made


def write_cameras(file, cameras: tuple[Camera, ...]) -> None:
    """Cameras and the images of their views, into an open database."""
    owner = {}
    for number, camera in enumerate(cameras, 1):
        file.write_camera(colmap_camera(camera, number), use_camera_id=True)
        owner |= dict.fromkeys(camera.views, number)
    for view in sorted(owner):
        image = colmap.Image(name=image_name(view), camera_id=owner[view], image_id=image_id(view))
        file.write_image(image, use_image_id=True)


def _extracted(
    views: Views, pictures: Pictures, settings: Matching, threads: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Keypoints (xy) and descriptors of every view in order; at most `threads` + 1 pictures are in memory."""
    sift = colmap_sift if settings.affine_shape or settings.domain_size_pooling else opencv_sift

    def features(view: int) -> tuple[np.ndarray, np.ndarray]:
        grey, mask = pictures(view, settings.max_image_size)
        size = feature_size(views, view, settings.max_image_size)
        if grey.shape != size:
            raise ValueError(f"{views.names[view]}: a picture of {grey.shape}, expected {size}")
        xy, descriptors = sift(np.ascontiguousarray(grey), settings)
        if mask is not None and len(xy):
            column = np.clip(xy[:, 0].astype(int), 0, mask.shape[1] - 1)
            row = np.clip(xy[:, 1].astype(int), 0, mask.shape[0] - 1)
            xy, descriptors = xy[mask[row, column]], descriptors[mask[row, column]]
        return xy, descriptors

    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future] = deque()
        for view in range(len(views)):
            waiting.append(pool.submit(features, view))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def opencv_sift(grey: Annotated[np.ndarray, "H W"], settings: Matching) -> Found:
    """OpenCV's SIFT, three to four times as quick as COLMAP's, with COLMAP's thresholds and square roots of descriptors.

    The largest features are kept, as COLMAP does: of kitchen's 25 photos the 4096 largest join 23, the strongest 21.
    """
    import cv2

    detector = cv2.SIFT.create(contrastThreshold=3 * settings.peak_threshold, enable_precise_upscale=True)
    found, values = detector.detectAndCompute(grey, None)
    if not found:
        return np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8)
    kept = np.argsort([-point.size for point in found], kind="stable")[: settings.max_num_features]
    # OpenCV counts from the middle of the first pixel, COLMAP from its corner.
    xy = np.array([found[i].pt for i in kept], np.float32) + 0.5
    rooted = np.sqrt(values[kept] / np.maximum(values[kept].sum(1, keepdims=True), 1e-9))  # Arandjelovic, Zisserman 2012
    return xy, np.clip(np.round(512 * rooted), 0, 255).astype(np.uint8)


def colmap_sift(grey: Annotated[np.ndarray, "H W"], settings: Matching) -> Found:
    """COLMAP's SIFT, which knows affine shapes and domain pooling."""
    options = colmap.FeatureExtractionOptions()
    options.num_threads, options.use_gpu = 1, False
    options.sift.estimate_affine_shape = settings.affine_shape
    options.sift.domain_size_pooling = settings.domain_size_pooling
    options.sift.peak_threshold = settings.peak_threshold
    options.sift.max_num_features = settings.max_num_features
    extractor = colmap.FeatureExtractor.create(options)  # one for each call: they are not safe to share
    found, descriptors = extractor.extract_from_uint8_array(grey)
    xy = np.asarray(colmap.keypoints_to_matrix(found), np.float32).reshape(-1, 4)[:, :2]
    return xy, np.asarray(descriptors.data, np.uint8).reshape(-1, 128)
