"""Depth Anything 3 (Lin et al. 2025, arXiv 2511.10647): depth, rays and cameras of any number of views in one pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor, nn

from recon3d.models.da3.backbone import Backbone, Encoded
from recon3d.models.da3.cameras import CameraDecoder, CameraEncoder, cameras_from_encoding, encoding_from_cameras
from recon3d.models.da3.config import Da3Config
from recon3d.models.da3.dense_heads import VIEWS_AT_A_TIME, DualHead
from recon3d.models.da3.gaussians import GaussianHead, PixelGaussians, pixel_gaussians
from recon3d.models.da3.ray_cameras import cameras_from_rays


@dataclass(frozen=True)
class Wanted:
    """What a pass is asked for besides depth and cameras, and how its heads run."""

    rays: bool = False
    gaussians: bool = False
    cameras_of_rays: bool = False  # cameras from the rays (ray_cameras), not from the camera decoder
    seed: int = 0  # of the samples that cameras of rays are found by
    chunk: int = VIEWS_AT_A_TIME  # views at a time in the dense heads


DEPTH_AND_CAMERAS = Wanted()


@dataclass(frozen=True)
class Prediction:
    """What the heads gave. Shapes [B, S, ...]; the world is about that of the reference view, its scale arbitrary."""

    depth: Tensor  # [B, S, H, W], z
    depth_confidence: Tensor  # [B, S, H, W], from 1
    pose_encodings: Tensor  # [B, S, 9], world_from_camera, of the camera decoder
    camera_from_world: Tensor  # [B, S, 3, 4]
    K: Tensor  # [B, S, 3, 3], pixels of the images
    rays: Tensor | None = None  # [B, S, 8h, 8w, 6]: direction, origin, in the world
    ray_confidence: Tensor | None = None  # [B, S, 8h, 8w], from 1
    gaussians: PixelGaussians | None = None
    tokens: Tensor | None = None  # [B, S, h·w, D], of the last layer that the heads read
    features: Mapping[int, Tensor] = field(default_factory=dict)  # of the config's export_layers, [B, S, h, w, C]
    reference: Tensor | None = None  # [B], int64: the reference view, where one was chosen; else the first


class Da3(nn.Module):
    """The any-view network."""

    low_precision = ("backbone.",)

    def __init__(self, config: Da3Config) -> None:
        super().__init__()
        self.config = config
        width, patch = config.transformer.embed_dim, config.transformer.patch_size
        self.backbone = Backbone(config)
        self.head = DualHead(config.head_dim, patch, config.head)
        self.cam_dec = CameraDecoder(config.head_dim)
        self.cam_enc = CameraEncoder(width, config.cam_enc) if config.cam_enc else None
        self.gs_head = GaussianHead(config.head_dim, patch, config.head, config.gs_head) if config.gs_head else None

    def forward(
        self, images: Tensor, known: tuple[Tensor, Tensor] | None = None, wanted: Wanted = DEPTH_AND_CAMERAS
    ) -> Prediction:
        """Normalised images [B, S, 3, H, W], sides multiples of the patch -> what the heads make of them.

        `known`: camera_from_world [B, S, 4, 4], normalised (known_cameras.normalise_poses), and K [B, S, 3, 3]; cameras are
        predicted all the same.
        """
        encoded = self.encode(images, known)
        found = self.read(encoded, wanted)
        if not wanted.gaussians:
            return found
        return replace(found, gaussians=self.gaussians(encoded, images, found, known, wanted.chunk))

    def encode(self, images: Tensor, known: tuple[Tensor, Tensor] | None = None) -> Encoded:
        if known is None:
            return self.backbone(images)
        return self.backbone(images, self.condition(*known, (images.shape[-2], images.shape[-1])))

    def condition(self, camera_from_world: Tensor, K: Tensor, size: tuple[int, int]) -> Tensor:
        """Tokens of known cameras [B, S, C]."""
        if self.cam_enc is None:
            raise ValueError("this network takes no known cameras: its configuration has no cam_enc")
        return self.cam_enc(encoding_from_cameras(camera_from_world[..., :3, :], K, size))

    def read(self, encoded: Encoded, wanted: Wanted = DEPTH_AND_CAMERAS) -> Prediction:
        """What the heads make of the backbone's layers."""
        rays = wanted.rays or wanted.cameras_of_rays
        depth, confidence, *more = self.head(encoded.patches, encoded.grid, rays, wanted.chunk)
        size = (depth.shape[-2], depth.shape[-1])
        encodings = self.cam_dec(encoded.camera_tokens)
        cameras = cameras_from_encoding(encodings, size)
        found = Prediction(
            depth, confidence, encodings, *cameras, *more, tokens=encoded.patches[-1], features=encoded.features,
            reference=encoded.reference,
        )  # fmt: skip
        if not wanted.cameras_of_rays:
            return found
        of_rays = cameras_from_rays(more[0], more[1], size, wanted.seed)
        return replace(found, camera_from_world=of_rays.camera_from_world, K=of_rays.K)

    def gaussians(
        self, encoded: Encoded, images: Tensor, found: Prediction, known: tuple[Tensor, Tensor] | None, chunk: int
    ) -> PixelGaussians:
        """Gaussians of the predicted depth and cameras."""
        if self.gs_head is None:
            raise ValueError("this network gives no Gaussians: its configuration has no gs_head")
        raw = self.gs_head(encoded.patches, images, encoded.grid, chunk)
        cameras = None if known is None else known[0]
        return pixel_gaussians(raw, found.depth, found.camera_from_world, found.K, self.gs_head.config, cameras)
