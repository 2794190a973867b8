"""iLRM's optimisation after prediction: a few steps of Adam on the input views, in the units of its checkpoint."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.core.similarity import Similarity
from recon3d.core.views import Views
from recon3d.rendering.render import rasterize

STEPS = 10
RATES = {"means": 6e-4, "quats": 1e-3, "scales": 1e-3, "opacities": 1e-3, "sh": 1e-3}  # of logs and logits, as published
EPSILON = 1e-15
FURTHEST_OPACITY = 1e-6  # from 0 and 1: beyond it a logit has no gradient


def optimised(
    gaussians: Gaussians, views: Views, geometry: Geometry, similarity: Similarity, backend: str,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> Gaussians:  # fmt: skip
    """Gaussians whose pictures are nearer to the (seen) views: every step draws all of them and takes one squared error.

    Source: iLRM (arXiv 2507.23277), its wide-coverage evaluation: constant rates, on a white ground. `similarity` takes the
    world to the head's units, in which the rates were chosen.
    """
    start = gaussians.transformed(similarity)
    opacities = start.opacities.clamp(FURTHEST_OPACITY, 1 - FURTHEST_OPACITY)
    values = {
        "means": start.means, "quats": start.quats, "scales": start.scales.log(), "opacities": opacities.logit(),
        "sh": start.sh,
    }  # fmt: skip
    parameters = {name: value.clone().requires_grad_() for name, value in values.items()}
    groups = [{"params": [parameters[name]], "lr": rate} for name, rate in RATES.items()]
    optimiser = torch.optim.Adam(groups, eps=EPSILON)
    cameras = geometry.cameras.transformed(similarity)
    pixels = sum(3 * views.images[i].shape[1] * views.images[i].shape[2] for i in range(len(views)))
    for step in range(STEPS):
        optimiser.zero_grad()
        for i in range(len(views)):  # one picture's graph at a time; the sum of their gradients is that of one error
            error = (drawn(parameters, cameras[[i]], views.images[i].shape[1:], backend) - views.rgb(i)).square().sum()
            (error / pixels).backward()
        optimiser.step()
        advance(step + 1, STEPS)
    p = {name: value.detach() for name, value in parameters.items()}
    quats = p["quats"] / p["quats"].norm(dim=1, keepdim=True)
    found = Gaussians(p["means"], quats, p["scales"].exp(), p["opacities"].sigmoid(), p["sh"], start.mode)
    return found.transformed(similarity.inverse())


def drawn(parameters: dict[str, Tensor], camera, size: torch.Size, backend: str) -> Tensor:
    """One view's picture on white, [3, H, W]."""
    p = parameters
    rgb, _, alpha = rasterize(
        p["means"], p["quats"], p["scales"].exp(), p["opacities"].sigmoid(), p["sh"], camera.camera_from_world.float(),
        camera.K.float(), size[1], size[0], backend=backend,
    )  # fmt: skip
    return rgb[0] + 1 - alpha[0]
