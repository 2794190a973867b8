"""Photos to cameras and depth by recon3d-small, 224 pixels on the longer side as it was trained."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from recon3d.models.cost import Cost
from recon3d.models.da3.preprocessing import preprocessed
from recon3d.models.pictures import Answer, Pass, geometry_in_network
from recon3d.models.small.config import SmallConfig
from recon3d.models.small.network import SmallNetwork
from recon3d.models.small.poses import cameras

SIZE = 224


@torch.inference_mode()
def answer(network: SmallNetwork, photos: Iterable[Annotated[np.ndarray, "h w 3"]], how: Pass) -> Answer:
    """Upright RGB uint8 photos -> cameras and depth; the world is the first camera's frame, its scale arbitrary."""
    pictures = preprocessed(photos, size=how.size or SIZE, patch=network.config.patch)
    said = network(pictures.images[None].to(how.device))
    camera_from_world, K, _ = cameras(said, network.config.patch)
    found = geometry_in_network(camera_from_world, K, said.depth[0], said.confidence[0], source="recon3d-small")
    features: Tensor | None = said.features[0] if how.features else None
    return Answer(found, pictures.network_from_photo, pictures.photo_rects, features=features)


def cost(config: SmallConfig, parameters: int) -> Cost:
    return Cost(parameters, config.patch, config.dim, 1 + config.registers, config.dim, config.stem[1], SIZE)
