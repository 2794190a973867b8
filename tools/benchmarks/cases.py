"""The three scenes on which rasterizers are timed, and the maker of such scenes. Seeded; float32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Case:
    """The arguments of `recon3d.rendering.render.rasterize`, for one camera."""

    means: Tensor
    quats: Tensor
    scales: Tensor
    opacities: Tensor
    sh: Tensor
    camera_from_world: Tensor  # [1,4,4]
    K: Tensor  # [1,3,3]
    width: int
    height: int

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What gradients are taken of."""
        return self.means, self.quats, self.scales, self.opacities, self.sh, self.camera_from_world

    def with_inputs(self, *inputs: Tensor) -> Case:
        names = ("means", "quats", "scales", "opacities", "sh", "camera_from_world")
        return replace(self, **dict(zip(names, inputs, strict=True)))


def scene(count: int, size_px: float, width: int, height: int, seed: int, degree: int = 3) -> Case:
    """A cloud before one camera: depths 2 to 10, log-normal sizes around `size_px` on the screen, mixed opacities.

    The draws are those of the development prototype's cases, in its order.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    def uniform() -> Tensor:
        return torch.rand(count, generator=generator)

    focal = 0.9 * width
    z = 2 + 8 * uniform() ** 1.5
    x = (uniform() * 1.3 - 0.65) * width / focal * z
    y = (uniform() * 1.3 - 0.65) * height / focal * z
    scales = (size_px / focal) * z[:, None] * torch.exp(0.6 * normal(count, 3))
    opacities = torch.sigmoid(1.5 * normal(count))
    coefficients = (degree + 1) ** 2
    sh = normal(count, coefficients, 3) * torch.tensor([0.8] + [0.1] * (coefficients - 1))[:, None]
    quats = torch.nn.functional.normalize(normal(count, 4), dim=-1)
    K = torch.tensor([[[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]]])
    return Case(torch.stack([x, y, z], -1), quats, scales, opacities, sh, torch.eye(4)[None], K, width, height)


CASES: dict[str, Callable[[], Case]] = {
    "small": lambda: scene(20_000, 1.2, 256, 256, seed=0),  # many little splats: projection and sorting count
    "medium": lambda: scene(100_000, 1.0, 384, 256, seed=1),  # like a refined scene of real photos
    "heavy": lambda: scene(50_000, 4.0, 512, 384, seed=2),  # large overlapping splats: compositing counts
}
