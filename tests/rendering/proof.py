"""Small scenes on which every backend is held against float64 autograd of the reference."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from recon3d.rendering.render import rasterize
from tests.compare import flips, gradient_differences
from tools.benchmarks.cases import Case, scene

INPUTS = ("means", "quats", "scales", "opacities", "sh", "camera_from_world")


def turn(*generator: float) -> Tensor:
    """A rigid motion [4,4] from a rotation vector and a translation."""
    x, y, z, *t = generator
    return torch.linalg.matrix_exp(torch.tensor([[0, -z, y, t[0]], [z, 0, -x, t[1]], [-y, x, 0, t[2]], [0, 0, 0, 0.0]]))


def needles(case: Case) -> Case:
    return replace(case, scales=case.scales * torch.tensor([20.0, 0.3, 0.3]))


def opaque(case: Case) -> Case:
    return replace(case, opacities=0.9 + 0.1 * case.opacities)


def seen_from(case: Case, *cameras: Tensor) -> Case:
    n = len(cameras)
    return replace(case, camera_from_world=torch.stack(cameras), K=case.K.expand(n, 3, 3))


TURNED = turn(-0.2, 0.1, 0.3, 0.2, -0.3, 0.4)
CASES = {
    "mixed": lambda: scene(300, 3.0, 61, 45, 0),
    "large": lambda: scene(60, 9.0, 40, 70, 1),
    "many": lambda: scene(900, 1.0, 48, 40, 2),
    "thinner than a pixel": lambda: scene(900, 0.3, 48, 40, 10),
    "needles": lambda: needles(scene(100, 2.0, 64, 48, 3)),
    "opaque": lambda: opaque(scene(400, 4.0, 64, 48, 4)),
    "turned camera, degree 1": lambda: seen_from(scene(300, 2.0, 50, 50, 5, degree=1), TURNED),
    "degree 0": lambda: scene(200, 3.0, 48, 33, 6, degree=0),
    "degree 2": lambda: seen_from(scene(200, 3.0, 33, 48, 7, degree=2), turn(0.1, -0.2, 0.1, 0, 0.1, 0.2)),
    "three cameras": lambda: seen_from(
        scene(300, 3.0, 47, 40, 8), torch.eye(4), TURNED, turn(0.1, 0.3, -0.2, -0.4, 0.2, 1.0)
    ),
}


def drawn(case: Case, backend: str, dtype: torch.dtype, device: str, antialiased: bool) -> tuple[list[Tensor], list[Tensor]]:
    """Copies of the case's inputs that ask for gradients, and its pictures."""
    leaves = [x.detach().clone().to(device, dtype).requires_grad_() for x in case.inputs]
    view = case.K.to(device, dtype), case.width, case.height
    return leaves, list(rasterize(*leaves, *view, antialiased=antialiased, backend=backend))


def gradients(leaves: list[Tensor], pictures: list[Tensor], weights: tuple[Tensor, ...]) -> list[Tensor]:
    """Of the weighted sum of the pictures, float64 on the CPU."""
    loss = sum((x * w.to(x)).sum() for x, w in zip(pictures, weights, strict=True))
    return [g.double().cpu() for g in torch.autograd.grad(loss, leaves)]


def weights_for(exact, flipped: Tensor, seed: int = 9) -> tuple[Tensor, ...]:
    """Random weights of rgb, depth and alpha, 0 in flipped pixels."""
    generator = torch.Generator().manual_seed(seed)
    rgb, depth, alpha = (torch.randn(x.shape, generator=generator) for x in exact)
    kept = ~flipped
    return rgb * kept[:, None], 0.2 * depth * kept, alpha * kept


@dataclass(frozen=True)
class Compared:
    ours: list[Tensor]
    exact: list[Tensor]
    flipped: Tensor
    gradients: list[Tensor]
    exact_gradients: list[Tensor]

    @property
    def worst_gradient(self) -> dict[str, float]:
        """Each measure's worst over the inputs."""
        each = [gradient_differences(a, b) for a, b in zip(self.gradients, self.exact_gradients, strict=True)]
        return {name: max(one[name] for one in each) for name in each[0]}


def compared(case: Case, backend: str = "cpu", device: str = "cpu", antialiased: bool = False) -> Compared:
    """A backend in float32 and the reference in float64: pictures, and gradients of the same loss without the flips."""
    leaves, pictures = drawn(case, backend, torch.float32, device, antialiased)
    exact_leaves, exact_pictures = drawn(case, "reference", torch.float64, "cpu", antialiased)
    ours, exact = ([x.detach().double().cpu() for x in group] for group in (pictures, exact_pictures))
    flipped = flips(ours[0], exact[0], ours[2], exact[2])
    weights = weights_for(exact, flipped)
    found, known = gradients(leaves, pictures, weights), gradients(exact_leaves, exact_pictures, weights)
    return Compared(ours, exact, flipped, found, known)
