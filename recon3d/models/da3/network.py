"""Depth Anything 3 (Lin et al. 2025, arXiv 2511.10647): depth, rays and cameras of any number of views in one pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from recon3d.models.da3.backbone import Backbone, Encoded
from recon3d.models.da3.cameras import CameraDecoder, CameraEncoder, cameras_from_encoding, encoding_from_cameras
from recon3d.models.da3.config import Da3Config
from recon3d.models.da3.dense_heads import VIEWS_AT_A_TIME, DualHead


@dataclass(frozen=True)
class Prediction:
    """What the heads gave. Shapes [B, S, ...]; the world is about that of the reference view, its scale arbitrary."""

    depth: Tensor  # [B, S, H, W], z
    depth_confidence: Tensor  # [B, S, H, W], from 1
    pose_encodings: Tensor  # [B, S, 9], world_from_camera
    camera_from_world: Tensor  # [B, S, 3, 4]
    K: Tensor  # [B, S, 3, 3], pixels of the images
    rays: Tensor | None = None  # [B, S, 8h, 8w, 6]: direction, origin, in the world
    ray_confidence: Tensor | None = None  # [B, S, 8h, 8w], from 1
    features: Mapping[int, Tensor] = field(default_factory=dict)  # of the config's export_layers, [B, S, h, w, C]


class Da3(nn.Module):
    """The any-view network."""

    low_precision = ("backbone.",)

    def __init__(self, config: Da3Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config)
        self.head = DualHead(config.head_dim, config.patch_size, config.head)
        self.cam_dec = CameraDecoder(config.head_dim)
        self.cam_enc = CameraEncoder(config.embed_dim, config.cam_enc) if config.cam_enc else None

    def forward(
        self, images: Tensor, known: tuple[Tensor, Tensor] | None = None, rays: bool = False,
        chunk: int = VIEWS_AT_A_TIME,
    ) -> Prediction:  # fmt: skip
        """Normalised images [B, S, 3, H, W], sides multiples of the patch -> what the heads make of them.

        `known`: camera_from_world [B, S, 4, 4], normalised (known_cameras.normalise_poses), and K [B, S, 3, 3]; cameras are
        predicted all the same. `chunk`: views at a time in the dense heads.
        """
        return self.read(self.encode(images, known), rays, chunk)

    def encode(self, images: Tensor, known: tuple[Tensor, Tensor] | None = None) -> Encoded:
        if known is None:
            return self.backbone(images)
        return self.backbone(images, self.condition(*known, (images.shape[-2], images.shape[-1])))

    def condition(self, camera_from_world: Tensor, K: Tensor, size: tuple[int, int]) -> Tensor:
        """Tokens of known cameras [B, S, C]."""
        if self.cam_enc is None:
            raise ValueError("this network takes no known cameras: its configuration has no cam_enc")
        return self.cam_enc(encoding_from_cameras(camera_from_world[..., :3, :], K, size))

    def read(self, encoded: Encoded, rays: bool, chunk: int = VIEWS_AT_A_TIME) -> Prediction:
        """What the heads make of the backbone's layers."""
        depth, confidence, *more = self.head(encoded.patches, encoded.grid, rays, chunk)
        encodings = self.cam_dec(encoded.camera_tokens)
        cameras = cameras_from_encoding(encodings, (depth.shape[-2], depth.shape[-1]))
        return Prediction(depth, confidence, encodings, *cameras, *more, features=encoded.features)
