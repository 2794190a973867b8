"""How a network is trained: recipes are functions that return a frozen config. Every field is a flag of `recon3d train`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from recon3d.models.da3.config import BASE, SMALL, Da3Config
from recon3d.models.joint.config import SHIPPED, JointConfig
from recon3d.models.small.config import SmallConfig
from recon3d.models.vggt.config import VGGT_1B_GEOMETRY, VggtConfig


@dataclass(frozen=True)
class Phase:
    """A part of the training, up to a share of it."""

    until: float
    size: int  # pixels of the longest side
    views: tuple[int, int]  # from, to; of the joint network every second one is an input, the others are what it is judged by
    scenes: int  # in a step, over all processes
    difficulty: tuple[float, float]  # of procedural scenes, at its begin and at its end


@dataclass(frozen=True)
class Weights:
    """Of the losses (small_losses.Losses)."""

    camera: float = 5.0
    depth: float = 1.0
    match: float = 0.2
    coarse: float = 3.0
    around: float = 0.2
    place: float = 3.0
    visible: float = 0.1


@dataclass(frozen=True)
class JointWeights:
    """Of the losses (joint_losses.Losses)."""

    picture: float = 1.0
    depth: float = 0.05


@dataclass(frozen=True)
class Da3Weights:
    """Of the losses (published_losses.Da3Losses); the paper's."""

    camera: float = 1.0
    depth: float = 1.0
    rays: float = 1.0
    points: float = 1.0


@dataclass(frozen=True)
class VggtWeights:
    """Of the losses (published_losses.VggtLosses); the released ones."""

    camera: float = 5.0
    depth: float = 1.0
    points: float = 1.0


LossWeights = Weights | JointWeights | Da3Weights | VggtWeights
NetworkConfig = SmallConfig | JointConfig | Da3Config | VggtConfig


@dataclass(frozen=True)
class Training:
    seed: int = 0
    steps: int = 10_000
    minutes: float = 0.0  # of wall time; 0: by steps
    rate: float = 8e-4
    warm_up: float = 0.03  # share of the training
    last_rate: float = 0.01  # of the rate, at the end
    weight_decay: float = 0.05
    clip: float = 1.0
    ema: float = 0.999
    bf16: bool = True
    weights: LossWeights = field(default=Weights())
    frozen: tuple[str, ...] = ()  # beginnings of the names of parameters that stay as they are, as backbone.
    perceptual: str = ""  # a file, torchvision's VGG16: pictures of heads are judged by LPIPS over it too
    refined_steps: int = 0  # of refinement that the Gaussians of a head have behind them when they are judged
    save_minutes: float = 5.0  # between checkpoints
    validate_steps: int = 1500
    validation_scenes: int = 64
    aspects: tuple[float, ...] = (1.0, 1.33, 0.75, 1.5)  # width over height, one for each step
    data: tuple[str, ...] = ()  # folders of data sets to learn from too: PATH=WEIGHT, or PATH of weight 1
    procedural: float = 1.0  # weight of procedural scenes beside them
    gap: tuple[int, int] = (0, 0)  # frames from the first to the last view, least and most; 0 0: by the kind of the data set
    phases: tuple[Phase, ...] = ()
    network: NetworkConfig = field(default=SmallConfig())

    def phase(self, share: float) -> Phase:
        return next((p for p in self.phases if share < p.until), self.phases[-1])

    def difficulty(self, share: float) -> float:
        """Of the scenes at a share of the training."""
        begin = 0.0
        for p in self.phases:
            if share < p.until:
                along = (share - begin) / (p.until - begin)
                return p.difficulty[0] + (p.difficulty[1] - p.difficulty[0]) * along
            begin = p.until
        return self.phases[-1].difficulty[1]


def small_on_a_cpu() -> Training:
    """recon3d-small in an hour or two on two cores: small pictures and easy scenes first."""
    return Training(
        phases=(
            Phase(0.6, 160, (2, 2), 6, (0.0, 1.0)), Phase(0.85, 160, (2, 4), 4, (1.0, 1.0)),
            Phase(1.0, 224, (2, 4), 3, (1.0, 1.0)),
        ),
    )  # fmt: skip


def small_on_a_gpu() -> Training:
    """recon3d-small where thousands of scenes go by in a minute."""
    return Training(
        ema=0.9995,
        phases=(
            Phase(0.4, 160, (2, 4), 64, (0.3, 1.0)), Phase(0.8, 224, (2, 6), 48, (1.0, 1.0)),
            Phase(1.0, 224, (2, 12), 24, (1.0, 1.0)),
        ),
    )  # fmt: skip


def tiny() -> Training:
    """For tests: a minute on two cores, and the loss falls."""
    return Training(
        steps=60, rate=2e-3, validate_steps=30, validation_scenes=8, aspects=(1.0,), bf16=False, ema=0.9,
        phases=(Phase(1.0, 64, (2, 3), 4, (0.0, 0.0)),),
        network=SmallConfig(dim=64, heads=2, stem=(8, 16, 32), before=1, after=1, match_dim=32),
    )  # fmt: skip


def joint_on_a_cpu() -> Training:
    """The joint network that is shipped, in less than an hour on two cores; docs/joint_ablation.md says why it is so."""
    return Training(
        rate=1e-3, bf16=False, aspects=(1.0, 1.33), validate_steps=1000, weights=JointWeights(), network=SHIPPED,
        phases=(Phase(0.7, 96, (5, 9), 1, (0.3, 1.0)), Phase(1.0, 128, (5, 11), 1, (1.0, 1.0))),
    )  # fmt: skip


def joint_on_a_gpu() -> Training:
    return Training(
        bf16=False, aspects=(1.0, 1.33), validate_steps=1000, weights=JointWeights(), network=SHIPPED, ema=0.9995,
        phases=(Phase(0.5, 128, (5, 11), 8, (0.3, 1.0)), Phase(1.0, 256, (5, 23), 4, (1.0, 1.0))),
    )  # fmt: skip


def tiny_joint() -> Training:
    """For tests."""
    return Training(
        steps=40, rate=2e-3, bf16=False, validate_steps=40, validation_scenes=2, aspects=(1.0,), ema=0.9,
        weights=JointWeights(), phases=(Phase(1.0, 32, (5, 5), 1, (0.0, 0.0)),),
        network=JointConfig(dim=64, image_patch=8, scene_patch=4, encoder_blocks=1, zpressor_layers=1, blocks=2),
    )  # fmt: skip


def da3_small() -> Training:
    """Depth Anything 3 goes on from published weights (--from da3-small): a hundredth of the rate for nothing, all of it."""
    return Training(
        rate=2e-5, warm_up=0.05, validate_steps=500, validation_scenes=16, weights=Da3Weights(), network=SMALL,
        phases=(Phase(0.6, 252, (2, 8), 4, (0.5, 1.0)), Phase(1.0, 504, (2, 8), 2, (1.0, 1.0))),
    )  # fmt: skip


def da3_base() -> Training:
    return replace(da3_small(), network=BASE)


def vggt_1b() -> Training:
    """VGGT goes on as its repository fine-tunes it: encoder and blocks stay, the heads learn. For a GPU of 80 GB."""
    return Training(
        rate=5e-5, warm_up=0.05, last_rate=0.001, validate_steps=500, validation_scenes=16, weights=VggtWeights(),
        network=VGGT_1B_GEOMETRY, frozen=("aggregator.",), phases=(Phase(1.0, 518, (2, 12), 4, (1.0, 1.0)),),
    )  # fmt: skip


RECIPES = {
    "small-cpu": small_on_a_cpu, "small-gpu": small_on_a_gpu, "tiny": tiny,
    "joint-cpu": joint_on_a_cpu, "joint-gpu": joint_on_a_gpu, "tiny-joint": tiny_joint,
    "da3-small": da3_small, "da3-base": da3_base, "vggt-1b": vggt_1b,
}  # fmt: skip
