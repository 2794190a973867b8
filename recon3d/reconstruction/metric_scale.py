"""How many metres a unit of an estimated world is: by a known length, by places of cameras, by depth in metres."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import torch
from scipy import stats
from torch import Tensor

from recon3d.core.similarity import Similarity, fit_points

MOST_DEVIATION = 0.1  # of the scale: what is less certain is not taken
# Standard deviation of a GPS tag by axis, and how many measurements that belief counts as beside those of the fit: phones lie
# within 4.9 m under open sky (gps.gov, after van Diggelen & Enge 2015). It is what keeps three or four tags, which happen to
# fit well, from being believed; many tags outweigh it.
USUAL_ERROR, WORTH = 2.0, 4.0
# Metres by which the errors of a receiver, which drift while it films, shift the size of what it goes around, however many
# frames there are: what tools/benchmarks/video_gps.py finds for drifts of 1.8 m that are forgotten in 20 to 600 seconds.
SHARED_ERROR = 0.75
STARTS, SAMPLE = 100, 3  # fits to a few places each
CLOSE = 4.033  # standard deviations of an axis: 999 of 1000 errors in space are shorter (chi, three degrees of freedom)
MEDIAN_LENGTH = 1.538  # of such errors
LEAST_ERROR = 1.0  # metres by axis: a tag within CLOSE of these is never called wrong
MOST_WRONG = 4  # one place in so many may be wrong: of places that mean nothing, some always fit
LEAST_USED = 4
ROUNDS = 10
COINCIDE = 1e-6  # of the spread of all centres: two closer than this are one


@dataclass(frozen=True)
class PlacesFit:
    """The similarity from a world to metres about a place, and how well it is known."""

    metres_from_world: Similarity
    deviation: float  # standard deviation of the scale, of itself
    residuals: Annotated[Tensor, "N"]  # metres, of every place
    used: Annotated[Tensor, "N"]  # bool; the others are taken to be wrong


def scale_of_length(centers: Annotated[Tensor, "N 3"], first: int, second: int, metres: float) -> float:
    """Metres for a unit of the world in which two of the centres are `metres` apart. Raises ValueError where they coincide."""
    found = float((centers[first] - centers[second]).norm())
    spread = float((centers - centers.mean(0)).norm(dim=1).max())
    if found <= COINCIDE * spread:
        raise ValueError("the two cameras stand at one place")
    return metres / found


def fit_places(centers: Annotated[Tensor, "N 3"], places: Annotated[Tensor, "N 3"]) -> PlacesFit:
    """The similarity from camera centres to measured places in metres, wrong places left out.

    The start is the fit to three places with the least median error (Rousseeuw 1984); then places within 4 standard
    deviations, the nearest ones and three quarters at least, are fitted until they stay the same. The scale's deviation is
    that of least squares, sigma / |centres from their mean, in metres|, where sigma² is the mean of the errors' squares and
    of a belief in USUAL_ERROR, worth WORTH of them.
    Raises ValueError for fewer than three places, and where they or the centres stand on a line or at one place.
    """
    starts = list(fits_of_few(centers, places))
    if not starts:
        fit_points(centers, places)  # raises where they are too few, or all on a line
        raise ValueError("the cameras or their places stand on one line")
    errors = torch.stack([errors_of(start, centers, places) for start in starts])
    medians = errors.median(1).values
    best = int(medians.argmin())
    similarity, used = starts[best], torch.ones(len(centers), dtype=torch.bool)
    least = max(min(LEAST_USED, len(centers)), len(centers) - len(centers) // MOST_WRONG)
    for _ in range(ROUNDS):
        of_all = errors_of(similarity, centers, places)
        axis = max(LEAST_ERROR, float(of_all.median()) / MEDIAN_LENGTH)
        close = of_all <= max(CLOSE * axis, float(of_all.sort().values[least - 1]))
        similarity = fit_points(centers[close], places[close])
        if torch.equal(close, used):
            break
        used = close
    residuals = errors_of(similarity, centers, places)
    spread = float(similarity.scale) * (centers[used] - centers[used].mean(0)).square().sum().sqrt()
    return PlacesFit(similarity, float(axis_error(residuals[used]) / spread), residuals, used)


def deviation_of_track(fit: PlacesFit, centers: Annotated[Tensor, "N 3"]) -> float:
    """The deviation of the scale where one receiver told all places while it moved: `fit` takes their errors to be
    independent, and the frames of a video share them."""
    used = centers[fit.used].double()
    spread = float(fit.metres_from_world.scale) * float((used - used.mean(0)).square().sum(1).mean().sqrt())
    return math.hypot(fit.deviation, SHARED_ERROR / spread)


def fits_of_few(centers: Tensor, places: Tensor) -> Iterator[Similarity]:
    """Fits to SAMPLE places at a time, always the same ones; places on a line give none."""
    count = len(centers)
    if math.comb(count, SAMPLE) <= STARTS:
        samples = [list(sample) for sample in itertools.combinations(range(count), SAMPLE)]
    else:
        generator = torch.Generator().manual_seed(42)
        samples = [torch.randperm(count, generator=generator)[:SAMPLE].tolist() for _ in range(STARTS)]
    for sample in samples:
        try:
            fit = fit_points(centers[sample], places[sample])
        except ValueError:
            continue
        if float(fit.scale) > 0:
            yield fit


def errors_of(similarity: Similarity, centers: Tensor, places: Tensor) -> Annotated[Tensor, "N"]:
    return (similarity.apply(centers.double()) - places.double()).norm(dim=1)


def axis_error(residuals: Annotated[Tensor, "N"]) -> float:
    """Standard deviation by axis, of the residuals of a similarity (7 parameters) and of what is believed of GPS.

    With one standard deviation of the normal made as likely as that of so few measurements (Student's t).
    """
    freedom = 3 * len(residuals) - 7
    variance = (WORTH * USUAL_ERROR**2 + float(residuals.square().sum())) / (WORTH + freedom)
    return math.sqrt(variance) * float(stats.t.ppf(stats.norm.cdf(1.0), WORTH + freedom))


def scale_of_ratios(ratios: Annotated[Tensor, "N"]) -> tuple[float, float]:
    """Metres for a unit of the world and the standard deviation of that (of itself), from what every view says.

    The median of their logarithms; its deviation from the spread of the views (1.25 times that of a mean). One view tells
    no spread: its deviation is infinite. Raises ValueError where no view says anything.
    """
    if not len(ratios):
        raise ValueError("no view shows known depth in both")
    logs = ratios.double().log()
    middle = logs.median()
    if len(ratios) < 2:
        return float(middle.exp()), math.inf
    spread = 1.4826 * (logs - middle).abs().median()
    return float(middle.exp()), float(1.2533 * spread / math.sqrt(len(ratios) - 1))
