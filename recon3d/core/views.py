"""Views: the photos of one scene at working size, with what is known about their cameras before anything is estimated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

import torch
from torch import Tensor

from recon3d.core.cameras import Cameras, as_index
from recon3d.core.lens import Lens, undistorted
from recon3d.core.shapes import check_shapes

SAME_K = 1e-9  # of the focal length: what rounding leaves


@dataclass(frozen=True)
class Views:
    """N pictures. A *photo* is the upright picture at full size; `images` are resized from it by one affine map."""

    names: tuple[str, ...]  # unique, relative to the input folder, sorted: the names that every output uses
    images: Annotated[tuple[Tensor, ...], "N × 3 H W"]  # uint8 sRGB
    masks: Annotated[tuple[Tensor | None, ...], "N × H W"] | None  # bool, true = use; None: all of them
    pixel_from_photo: Annotated[Tensor, "N 3 3"]  # float64
    photo_sizes: Annotated[Tensor, "N 2"]  # (height, width), int64
    camera_index: Annotated[Tensor, "N"]  # photos of one camera (same maker, lens and size) share a number
    held_out: Annotated[Tensor, "N"]  # bool: may give a camera, never a pixel
    sources: tuple[Any, ...]  # opaque, opened by io.photos only, so that the full-size photo can be read again
    lenses: tuple[Lens | None, ...]  # known lens of the upright photo, or None; after the geometry stage all are known
    focal_priors: tuple[float | None, ...]  # pixels of the full-size photo, from EXIF; used only where the lens is None
    known_camera_from_world: Annotated[Tensor, "N 4 4"] | None = None  # float64; NaN where the pose is unknown
    undistorted: bool = False  # images, photos and pixel_from_photo are those of the undistorted photo

    def __post_init__(self) -> None:
        check_shapes(self)
        for field in ("names", "sources", "lenses", "focal_priors"):
            if len(getattr(self, field)) != len(self.images):
                raise ValueError(f"Views.{field} has {len(getattr(self, field))} entries for {len(self.images)} images")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index) -> Views:
        index = as_index(index, len(self))
        rows = index.tolist()

        def pick(items):
            return tuple(items[i] for i in rows)

        return replace(
            self,
            names=pick(self.names),
            images=pick(self.images),
            masks=None if self.masks is None else pick(self.masks),
            pixel_from_photo=self.pixel_from_photo[index],
            photo_sizes=self.photo_sizes[index],
            camera_index=self.camera_index[index],
            held_out=self.held_out[index],
            sources=pick(self.sources),
            lenses=pick(self.lenses),
            focal_priors=pick(self.focal_priors),
            known_camera_from_world=None
            if self.known_camera_from_world is None
            else self.known_camera_from_world[index],
        )

    def rgb(self, i: int) -> Annotated[Tensor, "3 H W"]:
        """Image i as float32 0 to 1."""
        return self.images[i].float() / 255

    def mask(self, i: int) -> Annotated[Tensor, "H W"] | None:
        return None if self.masks is None else self.masks[i]

    def seen_by(self, cameras: Cameras) -> Views:
        """The undistorted views with pinholes for lenses where `cameras` (of the images) have another K than these."""
        K = torch.linalg.inv(self.pixel_from_photo) @ cameras.K
        lenses = []
        for lens, k, size in zip(self.lenses, K.numpy(), self.photo_sizes.tolist(), strict=True):
            same = lens is not None and abs(undistorted(lens).K - k).max() <= SAME_K * k[0, 0]
            lenses.append(lens if same else Lens.pinhole(k, *size))
        return replace(self, lenses=tuple(lenses))

    @property
    def pose_known(self) -> Annotated[Tensor, "N"]:
        """bool: whose camera_from_world was given."""
        if self.known_camera_from_world is None:
            return torch.zeros(len(self), dtype=torch.bool)
        return torch.isfinite(self.known_camera_from_world).all(2).all(1)
