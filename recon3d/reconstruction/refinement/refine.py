"""Photometric refinement: Gaussians are moved until their renderings match the photos. Held-out photos are not looked at."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from recon3d.core.cameras import Cameras
from recon3d.core.following import following
from recon3d.core.gaussians import Gaussians
from recon3d.core.geometry import Geometry
from recon3d.core.views import Views
from recon3d.metrics.image import WINDOW, ssim
from recon3d.progress import Progress
from recon3d.reconstruction.refinement import densification
from recon3d.reconstruction.refinement.densification import Moment
from recon3d.reconstruction.refinement.density import bearable
from recon3d.reconstruction.refinement.distractors import Distractors
from recon3d.reconstruction.refinement.nearness import ALL_EVERY, compared, known_surface, surroundings
from recon3d.reconstruction.refinement.optimizer import Parameters
from recon3d.reconstruction.refinement.photo_parameters import CameraMotions, Exposures, pinned
from recon3d.rendering import render
from recon3d.rendering.screen import Screen

SSIM_WEIGHT = 0.2  # 3DGS, Kerbl et al. 2023, eq. 7
ADVANCE_EVERY = 10  # steps between two words to the progress

# The outcome of trials on fountain-P11 at 384 px and 1000 steps, photo 4 held out; and photos 0 and 8, of which 0 lies
# outside of the others.
DEGREE, DEGREE_AT = 1, 0.3  # harmonics, and the share of the refinement from which on they are learned; 2 over-fits
# Learning rates: of means in shares of the scene's extent, at the start, falling to MEANS_END of it; twice the usual
# ones (Kerbl et al. 2023) of the others, for there are few steps.
MEANS_RATE, MEANS_END = 3e-4, 0.05
QUATS_RATE, SCALES_RATE, OPACITY_RATE, COLOR_RATE, HARMONICS_RATE = 2e-3, 1e-2, 5e-2, 5e-3, 5e-4
# Over-fitting goes with how often each photo was seen, not with the share of the steps: without these three, 4000 steps
# on 9 photos end 0.6 dB below the best of their curve, with them 0.1.
HALF_ROUNDS = 40  # rounds through the photos after which none is looked at in half its size
SETTLED = 100  # rounds after which the rate of means has fallen to MEANS_END
FADE, FADED = 60, 0.01  # rounds over which all other rates then fall, and to which share


@dataclass(frozen=True)
class Refinement:
    """How to refine. `steps` or `seconds` ends it, whichever comes first; the clock starts when compiling is done."""

    steps: int | None = 1000
    seconds: float | None = None
    max_gaussians: int = 50_000
    density: float | None = None  # Gaussians for each pixel of the seen photos at most; None: what the scene bears
    seed: int = 0
    refine_cameras: bool = False
    exposure: bool = False
    robust: bool = True  # what stands in one photo only has no part in the loss
    strategy: str = "mcmc"
    backend: str = "cpu"
    snapshot_every: int = 0  # steps between snapshots of the Gaussians given to the progress; 0: none
    half_until: float = 0.4  # this share of it looks at pictures of half the size: four times as quick


@dataclass(frozen=True)
class Mark:
    """A point of the curve: where refinement stood after a step."""

    step: int
    seconds: float  # without compiling and without what listeners did
    gaussians: int
    loss: float  # mean since the last mark


@dataclass(frozen=True)
class Snapshot:
    """What the progress is given now and then."""

    step: int
    seconds: float
    gaussians: Gaussians


@dataclass(frozen=True)
class Refined:
    gaussians: Gaussians
    geometry: Geometry
    steps: int
    seconds: float
    interrupted: bool
    curve: tuple[Mark, ...]
    distractors: Mapping[int, float] = field(default_factory=dict)  # views of which something was left out: which share


@dataclass(frozen=True)
class Photo:
    """A seen view as the loss looks at it, at one size."""

    view: int
    rgb: Annotated[Tensor, "3 H W"]
    mask: Annotated[Tensor, "H W"] | None
    camera_from_world: Annotated[Tensor, "4 4"]
    K: Annotated[Tensor, "3 3"]
    surface: Annotated[Tensor, "H W"] | None = None  # bool: where it shows something near


class Clock:
    """Seconds of refinement, and what share of it is done."""

    def __init__(self, options: Refinement) -> None:
        self.options, self.spent, self.begun = options, 0.0, time.perf_counter()

    @property
    def seconds(self) -> float:
        return self.spent + time.perf_counter() - self.begun

    def pause(self) -> None:
        self.spent = self.seconds

    def go_on(self) -> None:
        self.begun = time.perf_counter()

    def share(self, step: int) -> float:
        by_steps = step / self.options.steps if self.options.steps else 0.0
        by_time = self.seconds / self.options.seconds if self.options.seconds else 0.0
        return min(max(by_steps, by_time), 1.0)


def refine(
    views: Views, geometry: Geometry, gaussians: Gaussians, options: Refinement, progress: Progress | None = None
) -> Refined:
    """Gaussians that look like the seen photos. Ctrl-C keeps what was reached, with `interrupted` set."""
    progress = progress or Progress()
    if options.steps is None and options.seconds is None:
        raise ValueError("refinement needs a number of steps or of seconds")
    seen = (~views.held_out).nonzero()[:, 0].tolist()
    if options.steps == 0 or not len(gaussians) or not seen:
        return Refined(gaussians, geometry, 0, 0.0, False, ())
    warm_up(options.backend)
    session = Session(views, geometry, gaussians, options)
    interrupted = False
    with one_torch_thread():
        try:
            session.work(progress)
        except KeyboardInterrupt:
            interrupted = True
    if session.distractors:
        session.distractors.settle()  # what was observed since losses last crossed
    refined, cameras = session.result()
    return Refined(
        refined, geometry.with_cameras(cameras), session.parameters.steps, session.clock.seconds, interrupted,
        tuple(session.curve), session.distractors.shares() if session.distractors else {},
    )  # fmt: skip


@contextlib.contextmanager
def one_torch_thread() -> Iterator[None]:
    """Our kernels have threads of their own; torch's wait by spinning between its small steps, which cost 3.5 times the
    processor time of a whole refinement. The number is put back."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def warm_up(backend: str = "cpu") -> None:
    """Compile every kernel that refinement runs on the backend's device, or load them from the cache."""
    render.warm_up(backend)
    tiny = Gaussians(torch.zeros(1, 3), torch.eye(4)[:1], torch.ones(1, 3), torch.full((1,), 0.5), torch.zeros(1, 1, 3))
    parameters = Parameters(tiny, 0, render.BACKENDS[backend].device)
    leaves = parameters.leaves(0)
    torch.stack([leaf.sum() for leaf in leaves.values()]).sum().backward()
    parameters.step(leaves, {name: np.zeros(4, np.float32) for name in leaves})


class Session:
    """A refinement under way, all of it on the device of its backend: nothing crosses but, now and then, losses and
    snapshots. `work` may be interrupted at any point: `result` is the state after the last whole step."""

    def __init__(self, views: Views, geometry: Geometry, gaussians: Gaussians, options: Refinement) -> None:
        self.options, self.cameras = options, geometry.cameras
        self.device = render.BACKENDS[options.backend].device
        self.seen = ~views.held_out
        chosen = self.seen.nonzero()[:, 0].tolist()
        full = [photo_of(views, geometry.cameras, i, self.device) for i in chosen]
        self.sizes = (full, [halved(photo) for photo in full])
        self.extent = scene_extent(geometry.cameras)
        self.parameters = Parameters(gaussians, DEGREE, self.device)
        self.strategy = densification.STRATEGIES[options.strategy]()
        self.generator = torch.Generator(self.device).manual_seed(options.seed)
        self.motions = CameraMotions(len(views), self.extent, self.device) if options.refine_cameras else None
        self.exposures = Exposures(len(views), self.device) if options.exposure else None
        self.distractors = Distractors(geometry.cameras, chosen, self.device) if options.robust else None
        self.near = surroundings(geometry[chosen], self.parameters.values["means"])
        if self.near:
            self.sizes = tuple([self.with_surface(photo) for photo in photos] for photos in self.sizes)
        self.numbers = self.seen.nonzero()[:, 0].to(self.device)
        pixels = sum(photo.rgb[0].numel() for photo in full)
        density = bearable(geometry[chosen]) if options.density is None else options.density
        self.cap = min(options.max_gaussians, int(density * pixels))
        self.curve: list[Mark] = []
        self.losses: list[Tensor] = []  # on the device, until the next mark
        self.order: list[int] = []
        self.clock = Clock(options)

    @torch.no_grad()
    def with_surface(self, photo: Photo) -> Photo:
        """The photo, and where it shows something near, by the first Gaussians; without where it does so nowhere."""
        assert self.near
        values, scales = self.parameters.values, self.parameters.scales
        opacities = self.parameters.opacities * self.near.hold(values["means"])
        height, width = photo.rgb.shape[1:]
        _, _, alpha = render.rasterize(
            values["means"], values["quats"], scales, opacities, values["sh"][:, :1], photo.camera_from_world[None],
            photo.K[None], width, height, backend=self.options.backend,
        )  # fmt: skip
        surface = known_surface(alpha[0], photo.rgb)
        return replace(photo, surface=surface) if bool(surface.any()) else photo

    def work(self, progress: Progress) -> None:
        options, step = self.options, 0
        while (share := self.clock.share(step)) < 1:
            self.step(share)
            step += 1
            if step % ADVANCE_EVERY == 0:
                self.mark(step)
                self.clock.pause()
                if options.seconds and (not options.steps or self.clock.share(step) > step / options.steps):
                    progress.advance(min(self.clock.spent, options.seconds), options.seconds, "seconds")
                else:
                    progress.advance(step, options.steps or step, "steps")
                self.clock.go_on()
            if options.snapshot_every and step % options.snapshot_every == 0:
                self.clock.pause()
                progress.snapshot(Snapshot(step, self.clock.spent, self.result()[0]))
                self.clock.go_on()
        self.clock.pause()

    def mark(self, step: int) -> None:
        loss = sum(torch.stack(self.losses).tolist()) / len(self.losses)
        self.curve.append(Mark(step, self.clock.seconds, len(self.parameters), loss))
        self.losses.clear()
        if self.distractors:
            self.distractors.settle()

    @property
    def rounds(self) -> float:
        """How often every photo was seen."""
        return self.parameters.steps / len(self.sizes[0])

    def step(self, share: float) -> None:
        """One photo: render, compare, move, and let the strategy add and remove."""
        photo = self.next_photo(share)
        degree = DEGREE if share >= DEGREE_AT else 0
        leaves, screen = self.parameters.leaves(degree), Screen()
        loss = self.loss(photo, leaves, screen)
        loss.backward()
        self.losses.append(loss.detach())
        rates = self.rates(share)
        self.parameters.step(leaves, rates)
        if self.motions:
            self.motions.step(1 - share)
        if self.exposures:
            self.exposures.step(self.numbers)
        height, width = photo.rgb.shape[1:]
        self.strategy.observe(screen, width, height)
        moment = Moment(self.parameters.steps, share, self.extent, self.cap, float(rates["means"][0]), self.generator)
        self.strategy.adjust(self.parameters, moment)

    def next_photo(self, share: float) -> Photo:
        """Every photo once, in random order, then again; at half size in the first part."""
        half = share < self.options.half_until and self.rounds < HALF_ROUNDS
        photos = self.sizes[1 if half else 0]
        if not self.order:
            self.order = torch.randperm(len(photos), generator=self.generator, device=self.device).tolist()
        return photos[self.order.pop()]

    def loss(self, photo: Photo, leaves: dict[str, Tensor], screen: Screen) -> Tensor:
        options = self.options
        camera = photo.camera_from_world
        if self.motions:
            camera = self.motions.moved(camera, photo.view)
        height, width = photo.rgb.shape[1:]
        scales, opacities = leaves["log_scales"].exp(), torch.sigmoid(leaves["logits"])
        surface = photo.surface if self.parameters.steps % ALL_EVERY else None
        drawn = opacities if surface is None or self.near is None else opacities * self.near.hold(leaves["means"].detach())
        rgb, depth, alpha = render.rasterize(
            leaves["means"], leaves["quats"], scales, drawn, leaves["sh"], camera[None], photo.K[None], width, height, screen,
            backend=options.backend,
        )  # fmt: skip
        rgb = rgb[0]
        if self.exposures:
            rgb = self.exposures.applied(rgb, photo.view)
        if self.distractors and surface is None:
            self.distractors.observe(photo.view, rgb.detach(), photo.rgb, photo.mask, depth[0].detach(), alpha[0].detach())
        if self.distractors:
            photo = replace(photo, mask=self.distractors.allowed(photo.view, photo.mask, (height, width)))
        if surface is not None:
            rgb = rgb + (1 - alpha[0]) * torch.rand(3, 1, 1, generator=self.generator, device=self.device)
            photo = replace(photo, mask=compared(alpha[0].detach(), surface, photo.mask))
        total = photometric_loss(rgb, photo)
        opacity_penalty, scale_penalty = self.strategy.opacity_penalty, self.strategy.scale_penalty
        if opacity_penalty or scale_penalty:
            # Adam moves what has any gradient by its full rate: what this photo does not show is left alone.
            assert screen.radii is not None
            shown = (screen.radii[0] > 0).all(1)
            total = total + opacity_penalty * (opacities * shown).mean()
            total = total + scale_penalty * ((scales.mean(1) * shown).mean() / self.extent)
        return total

    def rates(self, share: float) -> dict[str, np.ndarray]:
        """Learning rates of the columns of every group."""
        settled = max(share, min(self.rounds / SETTLED, 1))
        late = FADED ** min(max(self.rounds - SETTLED, 0) / FADE, 1)
        color = np.full((DEGREE + 1) ** 2 * 3, HARMONICS_RATE * late, np.float32)
        color[:3] = COLOR_RATE * late
        return {
            "means": np.full(3, MEANS_RATE * self.extent * MEANS_END**settled, np.float32),
            "quats": np.full(4, QUATS_RATE * late, np.float32),
            "log_scales": np.full(3, SCALES_RATE * late, np.float32),
            "logits": np.full(1, OPACITY_RATE * late, np.float32),
            "sh": color,
        }

    def result(self) -> tuple[Gaussians, Cameras]:
        gaussians = self.parameters.gaussians()
        if self.motions is None:
            return gaussians, self.cameras
        splats, moved = pinned(gaussians, self.motions.applied(self.cameras), self.cameras, self.seen)
        return splats, following(self.cameras, moved, self.seen)


def photometric_loss(rgb: Annotated[Tensor, "3 H W"], photo: Photo) -> Tensor:
    """0.8 L1 + 0.2 (1 - SSIM) over what the mask allows (3DGS, eq. 7)."""
    difference = (rgb - photo.rgb).abs().mean(0)
    # A product, since choosing pixels would stop the device until it has counted them.
    absolute = difference.mean() if photo.mask is None else (difference * photo.mask).sum() / photo.mask.sum()
    return (1 - SSIM_WEIGHT) * absolute + SSIM_WEIGHT * (1 - ssim(rgb, photo.rgb, photo.mask))


def photo_of(views: Views, cameras: Cameras, i: int, device: str) -> Photo:
    mask = views.mask(i)
    return Photo(
        i, views.rgb(i).to(device), None if mask is None else mask.to(device), cameras.camera_from_world[i].to(device),
        cameras.K[i].to(device),
    )  # fmt: skip


def halved(photo: Photo) -> Photo:
    """At half the size, an odd last row or column left out; masked pixels have no part in their neighbours' mean."""
    height, width = (n // 2 * 2 for n in photo.rgb.shape[1:])
    if min(height, width) // 2 < WINDOW:
        return photo
    rgb = torch.nn.functional.avg_pool2d(photo.rgb[:, :height, :width], 2)
    mask = None
    if photo.mask is not None:
        mask = torch.nn.functional.avg_pool2d(photo.mask[None, :height, :width].float(), 2)[0] == 1
    K = photo.K.clone()
    K[:2] *= 0.5
    return Photo(photo.view, rgb, mask, photo.camera_from_world, K)


def scene_extent(cameras: Cameras) -> float:
    """World units: 1.1 times the furthest a camera stands from their middle (3DGS's cameras_extent)."""
    centers = cameras.centers_in_world
    return max(1.1 * float((centers - centers.mean(0)).norm(dim=1).max()), 1e-6)
