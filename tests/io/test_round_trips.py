"""Random scenes through chains of formats: what is lost is what the formats' steps add up to."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recon3d.core.harmonics import C0
from recon3d.core.splats import Splats
from recon3d.io.splat_files import FORMATS, function, read_splats
from tests.io.test_splat_files import turn_of_three, turns

ROUNDING = 1e-5  # float32, with logarithms and logits taken and undone
FILES = [name for name, row in FORMATS.items() if row.write]


@dataclass(frozen=True)
class Steps:
    """The greatest errors of a format: relative to the farthest coordinate, then absolute; rotations in radians.

    Where numbers go through a codebook of 256 entries the error is that of an even one, half a step of their range, and
    holds for the root of the mean square.
    """

    means: float = ROUNDING
    log_scales: float = ROUNDING
    opacities: float = ROUNDING
    color: float = ROUNDING
    harmonics: float = ROUNDING
    turn: float = ROUNDING


def steps_of(name: str, scene: Splats) -> Steps:
    """By the formats' descriptions; see each codec."""
    reach = float(np.abs(scene.means).max())

    def entry(values: np.ndarray) -> float:
        return ROUNDING + float(np.ptp(values)) / 255 / 2 if values.size else 0.0

    return {
        "ply": Steps(),
        "glb": Steps(),
        # All four parts are stored, half a step off each: a step of 1/128 together.
        "splat": Steps(opacities=0.51 / 255, color=0.51 / 255 / C0, turn=4 * np.arcsin(1.02 / 128 / 2)),
        "spz": Steps(
            means=max(2**-21, 2**-24 / reach), log_scales=0.51 / 16, opacities=0.51 / 255, color=0.51 / 38.25,
            harmonics=0.51 / 128, turn=turn_of_three(0.51 * np.sqrt(0.5) / 511),
        ),
        "sog": Steps(
            means=2 * np.log1p(reach) / 65535 * (1 + reach) / reach, log_scales=entry(np.log(scene.scales)),
            opacities=0.51 / 255, color=entry(scene.sh[:, 0]), harmonics=entry(scene.sh[:, 1:]),
            turn=turn_of_three(0.51 * np.sqrt(2) / 255),
        ),
        # One chunk holds all of so few splats: 10 bits at the least between the ends of each axis.
        "compressed ply": Steps(
            means=0.51 * np.ptp(scene.means, axis=0).max() / 1023 / reach,
            log_scales=0.51 * float(np.ptp(np.log(scene.scales))) / 1023, opacities=0.51 / 255,
            color=0.51 * float(np.ptp(scene.sh[:, 0])) / 255 + ROUNDING, harmonics=1.01 / 64,
            turn=turn_of_three(0.51 * np.sqrt(2) / 1023),
        ),
    }[name]  # fmt: skip


def random_scene(seed: int, degree: int, scale: float) -> Splats:
    """Colours and harmonics that every format has room for; means far apart beside what formats move them."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(6)] * 3), -1).reshape(-1, 3)
    means = ((grid - 2.5) / 2.5 + rng.uniform(-0.1, 0.1, (216, 3))) * scale
    quats = rng.normal(size=(216, 4))
    # 64 different rows of harmonics: SOG's palette has room for 128 of so few splats.
    sh = rng.uniform(-0.9, 0.9, (64, (degree + 1) ** 2, 3))[rng.integers(0, 64, 216)]
    sh[:, 0] = (rng.uniform(0, 1, (216, 3)) - 0.5) / C0
    fields = (
        means, quats / np.linalg.norm(quats, axis=1, keepdims=True), scale * np.exp(rng.uniform(-4, -1, (216, 3))),
        rng.uniform(0, 1, 216), sh,
    )  # fmt: skip
    return Splats(*(field.astype(np.float32) for field in fields))


def through(scene: Splats, chain: list[str], folder: Path) -> Splats:
    for i, name in enumerate(chain):
        path = folder / f"{i}{FORMATS[name].suffix}"
        function(str(FORMATS[name].write))(path, scene.with_degree(min(scene.degree, FORMATS[name].degree)))
        scene = read_splats(path).splats
    return scene


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1, 2, 3]),
    st.sampled_from([0.01, 1.0, 1000.0]),
    st.lists(st.sampled_from(FILES), min_size=1, max_size=4),
)
@example(250, 0, 0.01, ["sog"])
def test_a_chain_of_formats_loses_what_their_steps_add_up_to(seed, degree, scale, chain):
    scene = random_scene(seed, degree, scale)
    with TemporaryDirectory() as folder:
        back = through(scene, chain, Path(folder))
    assert back.degree == min([degree, *(FORMATS[name].degree for name in chain)])
    order = np.linalg.norm(back.means[:, None] - scene.means[None], axis=2).argmin(1)
    assert sorted(order.tolist()) == list(range(216))  # SOG and .splat put splats in an order of their own
    meant = scene[order]
    steps = [steps_of(name, scene) for name in chain]
    whole = back.sh.shape[1]
    reach = float(np.abs(scene.means).max())
    errors = {
        "means": np.abs(back.means - meant.means) / reach,
        "log_scales": np.abs(np.log(back.scales) - np.log(meant.scales)),
        "opacities": np.abs(back.opacities - meant.opacities),
        "color": np.abs(back.sh[:, 0] - meant.sh[:, 0]),
        "harmonics": np.abs(back.sh[:, 1:] - meant.sh[:, 1:whole]),
        "turn": turns(back.quats, meant.quats),
    }
    for name, error in errors.items():
        if not error.size:
            continue
        bound = sum(getattr(step, name) for step in steps)
        by_codebook = "sog" in chain and name in ("log_scales", "color", "harmonics")
        found = float(np.sqrt(np.square(error).mean())) if by_codebook else float(error.max(initial=0))
        assert found <= bound, f"{chain}: {name} off by {found:.3g}, allowed {bound:.3g}"
