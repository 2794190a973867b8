"""Splats as files hold them: the fields of `Gaussians` in numpy, so that reading, converting and showing need no torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import numpy as np

from recon3d.core.harmonics import DEGREES, turning
from recon3d.core.origin import local_origin
from recon3d.core.shapes import check_shapes

Mode = Literal["default", "antialiased", "2dgs"]
FIELDS = ("means", "quats", "scales", "opacities", "sh")


@dataclass(frozen=True)
class Splats:
    """G anisotropic Gaussians, float32 arrays of physical values, in a frame at `origin` of the world."""

    means: Annotated[np.ndarray, "G 3"]  # from the origin
    quats: Annotated[np.ndarray, "G 4"]  # wxyz, unit: world_from_gaussian
    scales: Annotated[np.ndarray, "G 3"]  # > 0, standard deviations in world units
    opacities: Annotated[np.ndarray, "G"]  # 0 to 1
    sh: Annotated[np.ndarray, "G S 3"]  # S = (degree + 1)^2
    mode: Mode = "default"
    origin: Annotated[np.ndarray, "3"] = field(default_factory=lambda: np.zeros(3))  # float64, of a scene far from zero

    def __post_init__(self) -> None:
        check_shapes(self)
        if self.sh.shape[1] not in DEGREES:
            raise ValueError(f"{type(self).__name__}.sh has {self.sh.shape[1]} coefficients, expected 1, 4, 9 or 16")

    def __len__(self) -> int:
        return len(self.means)

    def __getitem__(self, index: np.ndarray | slice) -> Splats:
        return replace(self, **{name: getattr(self, name)[index] for name in FIELDS})

    @property
    def degree(self) -> int:
        return DEGREES[self.sh.shape[1]]

    @property
    def positions(self) -> Annotated[np.ndarray, "G 3"]:
        """Centres in the world, float64."""
        return self.means.astype(np.float64) + self.origin

    def placed(self, positions: Annotated[np.ndarray, "G 3"]) -> Splats:
        """The same splats with their centres at `positions` of the world, about an origin where these are far."""
        origin = local_origin(positions)
        return replace(self, means=(positions - origin).astype(np.float32), origin=origin)

    def with_degree(self, degree: int) -> Splats:
        """The same splats without the harmonics above `degree`."""
        return replace(self, sh=np.ascontiguousarray(self.sh[:, : (degree + 1) ** 2]))

    def by_weight(self) -> Annotated[np.ndarray, "G"]:
        """Indices, those of the greatest opacity times area of the two longer axes first, ties by order."""
        longer = np.sort(self.scales, axis=1)[:, 1:].astype(np.float64)
        return np.argsort(-self.opacities * longer.prod(1), kind="stable")

    def moved(
        self,
        turn: Annotated[np.ndarray, "3 3"],
        scale: float = 1.0,
        translation: Annotated[np.ndarray, "3"] | None = None,
    ) -> Splats:
        """The scene in the world x -> scale * turn @ x + translation, harmonics with it; `turn` is orthogonal.

        A turn that mirrors (determinant -1) keeps rotations proper: a Gaussian is its own mirror image.
        """
        turn = np.asarray(turn, np.float64)
        proper = turn * np.sign(np.linalg.det(turn))
        means = scale * (self.means.astype(np.float64) @ turn.T)
        origin = scale * (turn @ self.origin)
        sh = np.einsum("ij,gjc->gic", turning(turn, self.degree), self.sh, optimize=True)
        turned = replace(
            self,
            means=means.astype(self.means.dtype),
            origin=origin,
            quats=turned_quats(proper, self.quats),
            scales=(self.scales * scale).astype(self.scales.dtype),
            sh=sh.astype(self.sh.dtype),
        )
        return turned if translation is None or not np.any(translation) else turned.placed(means + origin + translation)

    def check(self, stage: str) -> None:
        """Raise ValueError naming the stage, the Gaussian and the number where a value cannot be rendered."""
        for name in FIELDS:
            bad = ~np.isfinite(getattr(self, name)).reshape(len(self), -1).all(1)
            if bad.any():
                first, count = int(bad.nonzero()[0][0]), int(bad.sum())
                raise ValueError(f"{stage}: {name} of Gaussian {first} are not finite ({count} in all)")
        if not len(self):
            return
        length = np.linalg.norm(self.quats, axis=1)
        off = np.abs(length - 1)
        if off.max() > 1e-3:
            worst = int(off.argmax())
            raise ValueError(f"{stage}: the quaternion of Gaussian {worst} has length {length[worst]:.4g}")
        if self.scales.min() <= 0:
            worst = int(self.scales.min(1).argmin())
            raise ValueError(f"{stage}: a scale of Gaussian {worst} is {self.scales.min():.4g}")
        if self.opacities.min() < 0 or self.opacities.max() > 1:
            raise ValueError(f"{stage}: opacities reach from {self.opacities.min():.4g} to {self.opacities.max():.4g}")


def turned_quats(
    turn: Annotated[np.ndarray, "3 3"], quats: Annotated[np.ndarray, "G 4"]
) -> Annotated[np.ndarray, "G 4"]:
    """wxyz of turn @ R for every rotation R, of a proper rotation `turn`."""
    # The unit quaternion q of a rotation is the eigenvector (of the eigenvalue 3) of this matrix (Bar-Itzhack 2000).
    (a, b, c), (d, e, f), (g, h, i) = turn
    symmetric = np.array(
        [
            [a + e + i, h - f, c - g, d - b],
            [h - f, a - e - i, b + d, c + g],
            [c - g, b + d, e - a - i, f + h],
            [d - b, c + g, f + h, i - a - e],
        ]
    )
    w, x, y, z = np.linalg.eigh(symmetric)[1][:, -1]
    left = np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])
    return (quats.astype(np.float64) @ left.T).astype(quats.dtype)
