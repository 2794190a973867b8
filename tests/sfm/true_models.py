"""Models of true cameras and points."""

import numpy as np

from recon3d.core.geometry import Geometry
from recon3d.core.lens import Lens
from recon3d.sfm.models import Model


def true_model(geometry: Geometry) -> Model:
    """The true cameras, points and tracks as a model with COLMAP's lens for unknown cameras."""
    assert geometry.tracks is not None
    lenses = []
    for K, (height, width) in zip(geometry.cameras.K.numpy(), geometry.cameras.sizes.tolist(), strict=True):
        lenses.append(Lens("SIMPLE_RADIAL", (float(K[0, 0]), float(K[0, 2]), float(K[1, 2]), 0.0), height, width))
    view, point = geometry.tracks.view.numpy(), geometry.tracks.point.numpy()
    return Model(
        tuple(range(len(geometry))), geometry.cameras.camera_from_world.numpy(), tuple(lenses), geometry.points.numpy(),
        geometry.errors.numpy(), view, point, np.arange(len(view)), geometry.tracks.xy.numpy(),
    )  # fmt: skip
