"""The joint network: views of known cameras and depth, read by a few anchor views, to Gaussians.

Every view becomes tokens (pixels, rays, depth, then a geometry network's features where it gave them, else an encoder of its
own); ZPressor lets A anchors read the others; scene tokens of the anchors, rays only, read them layer by layer as in iLRM;
each pixel of an anchor's scene grid becomes a Gaussian that starts where `lift` would put it and departs from there.
Sources: ZPressor (arXiv 2505.23734), iLRM (arXiv 2507.23277); what differs from them is said where it stands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recon3d.core.harmonics import C0
from recon3d.models.ilrm.network import HeadGaussians, ReadBlock, SelfBlock, TokenDecoder, Tokenizer, over_views
from recon3d.models.ilrm.rays import directions_in_camera, ray_channels, turned
from recon3d.models.joint.config import JointConfig
from recon3d.models.vit import Linear
from recon3d.models.zpressor.anchors import picked
from recon3d.models.zpressor.config import ZPressorConfig
from recon3d.models.zpressor.network import ZPressor

IMAGE_CHANNELS = 11  # of a pixel in an image token: colour, moment and direction of its ray, log of its depth, its confidence
RAY_CHANNELS = 6  # of a pixel in a scene token: moment and direction
# What the decoder gives for a scene pixel, in this order. Zeros are the Gaussian that `lift` makes.
CHANNELS = {"offset": 2, "distance": 1, "scales": 3, "quats": 4, "opacities": 1, "colors": 3}
SIZE = 0.6  # standard deviation of a Gaussian in gaps between scene pixels, as in `lift`
OPACITY = 0.5  # as in `lift`
LARGEST = math.log(20.0)  # times its start that a Gaussian can grow
VIEWS_AT_A_TIME = 8  # made into tokens together: the pixels of all would take more memory than their tokens


@dataclass(frozen=True)
class JointViews:
    """What the network sees of N views of B scenes, in a world whose median depth is about 1 (`normalised_from_world`)."""

    images: Annotated[Tensor, "B N 3 H W"]  # sRGB 0 to 1
    K: Annotated[Tensor, "B N 3 3"]  # pixels
    world_from_camera: Annotated[Tensor, "B N 4 4"]
    depth: Annotated[Tensor, "B N H W"]  # z-depth, known everywhere: what nobody measured is filled, with confidence 0
    confidence: Annotated[Tensor, "B N H W"]  # 0 to 1
    features: Annotated[Tensor, "B N C h w"] | None = None  # of the same pictures, at any resolution

    def part(self, some: slice) -> JointViews:
        """The same views of every scene."""
        parts = (x[:, some] for x in (self.images, self.K, self.world_from_camera, self.depth, self.confidence))
        return JointViews(*parts, features=None if self.features is None else self.features[:, some])

    def chosen(self, views: Annotated[Tensor, "B A"]) -> JointViews:
        """Some views of each scene, without features."""
        names = ("images", "K", "world_from_camera", "depth", "confidence")
        return JointViews(*(picked(getattr(self, name), views) for name in names))


class Joint(nn.Module):
    """Tensors of N views in, A·H·W/s² Gaussians out."""

    def __init__(self, config: JointConfig) -> None:
        super().__init__()
        self.config = config
        dim, head_dim = config.dim, config.head_dim
        self.image_tokens = Tokenizer(IMAGE_CHANNELS, config.image_patch, dim)
        self.encoder = nn.ModuleList(SelfBlock(dim, head_dim) for _ in range(config.encoder_blocks))
        if config.feature_width is not None:
            self.from_features = Linear(config.feature_width, dim)
        self.zpressor = ZPressor(ZPressorConfig((dim,), dim // head_dim, config.zpressor_layers))
        self.scene_tokens = Tokenizer(RAY_CHANNELS, config.scene_patch, dim)
        self.blocks = nn.ModuleList((SelfBlock if i % 2 else ReadBlock)(dim, head_dim) for i in range(config.blocks))
        self.decoder = TokenDecoder(dim, config.scene_patch, sum(CHANNELS.values()))
        nn.init.zeros_(self.decoder.linear.weight)  # the untrained network is `lift`

    def forward(self, views: JointViews, anchors: int) -> tuple[HeadGaussians, Annotated[Tensor, "B A"]]:
        """A·H·W/s² Gaussians, anchor by anchor, each in reading order, and which views the anchors are: `anchors` of each
        scene, by farthest point sampling, or all where there are no more. Raises ValueError where the patches do not divide
        the pictures."""
        decoded, chosen = self.decoded(views, anchors)
        return gaussians_on_depth(decoded, views.chosen(chosen), self.config.step), chosen

    def decoded(
        self, views: JointViews, anchors: int
    ) -> tuple[Annotated[Tensor, "B A h w O"], Annotated[Tensor, "B A"]]:
        """The channels of every scene pixel, and the anchors."""
        height, width = grid_of(views)
        if height % self.config.multiple or width % self.config.multiple:
            raise ValueError(f"pictures of {width}x{height} are not divisible by {self.config.multiple}")
        tokens = torch.cat([self.encoded(views.part(some)) for some in in_runs(views.images.shape[1])], 1)
        maps = tokens.transpose(-1, -2).unflatten(-1, self.tokens_of(views))  # B N C h w
        pressed = self.zpressor([maps], views.world_from_camera, min(anchors, maps.shape[1]))
        images = pressed.features[0].flatten(-2).transpose(-1, -2)  # B A L C
        scene = (height // self.config.step, width // self.config.step)
        x = self.scene_tokens(rays_of(views.chosen(pressed.anchors), scene, self.config.step))
        for block in self.blocks:
            x = block(x, images) if isinstance(block, ReadBlock) else over_views(block, x)
        return self.decoder(x, scene), pressed.anchors

    def tokens_of(self, views: JointViews) -> tuple[int, int]:
        """Rows and columns of a picture's image tokens."""
        height, width = grid_of(views)
        return height // self.config.image_patch, width // self.config.image_patch

    def encoded(self, views: JointViews) -> Annotated[Tensor, "B N L C"]:
        """Image tokens, joined with what a geometry network saw, or else with what the encoder sees."""
        tokens = self.image_tokens(image_channels(views))
        if views.features is not None:
            features = F.interpolate(views.features.flatten(0, 1), self.tokens_of(views), mode="bilinear")
            return tokens + self.from_features(features.flatten(2).transpose(1, 2)).view_as(tokens)
        x = tokens.flatten(0, 1)
        for block in self.encoder:
            x = block(x)
        return x.view_as(tokens)


def in_runs(views: int) -> list[slice]:
    return [slice(start, start + VIEWS_AT_A_TIME) for start in range(0, views, VIEWS_AT_A_TIME)]


def rays_of(views: JointViews, grid: tuple[int, int], step: int = 1) -> Annotated[Tensor, "B N h w 6"]:
    """Moment and direction of the ray through each pixel of a grid."""
    return ray_channels(("moment", "direction"), views.K, views.world_from_camera, grid, step)


def image_channels(views: JointViews) -> Annotated[Tensor, "B N H W 11"]:
    """What an image token holds of each pixel."""
    rays = rays_of(views, grid_of(views))
    known = torch.stack((views.depth.log(), views.confidence), -1)
    return torch.cat((2 * views.images.movedim(2, -1) - 1, rays, known), -1)


def gaussians_on_depth(
    decoded: Annotated[Tensor, "B A h w 14"], anchors: JointViews, step: int
) -> HeadGaussians:
    """Zeros give a round Gaussian at the depth of each scene pixel's middle, in the mean colour of its pixels.

    iLRM draws the distance from a sigmoid of 0 to 500 and all else from nothing; here every channel changes a value that
    the geometry gave. Scales, distances and colours change as there are units of them: by factors, and by sums.
    """
    out = dict(zip(CHANNELS, decoded.float().split(tuple(CHANNELS.values()), -1), strict=True))
    grid = (decoded.shape[2], decoded.shape[3])
    depth = anchors.depth[..., step // 2 :: step, step // 2 :: step, None]  # no mean, which would lie between surfaces
    depth = depth * out["distance"].exp()
    in_camera = directions_in_camera(anchors.K, grid, step, out["offset"].sigmoid() - 0.5) * depth
    centers = anchors.world_from_camera[..., None, None, :3, 3]
    focal = anchors.K[..., [0, 1], [0, 1]].mean(-1)[..., None, None, None]
    colors = F.avg_pool2d(anchors.images.flatten(0, 1), step).unflatten(0, anchors.images.shape[:2]).movedim(2, -1)
    opacities = (out["opacities"] + math.log(OPACITY / (1 - OPACITY))).sigmoid()
    first = decoded.new_tensor([1.0, 0, 0, 0], dtype=torch.float32)
    gaussians = {
        "means": turned(anchors.world_from_camera[..., :3, :3], in_camera) + centers,
        "quats": F.normalize(out["quats"] + first, dim=-1),
        "scales": SIZE * step * depth / focal * out["scales"].clamp(max=LARGEST).exp(),
        "opacities": opacities[..., 0],
        "sh": ((colors - 0.5) / C0 + out["colors"])[..., None, :],
    }
    return HeadGaussians(**{name: x.flatten(1, 3) for name, x in gaussians.items()})


def grid_of(views: JointViews) -> tuple[int, int]:
    return (views.images.shape[-2], views.images.shape[-1])
