"""How good what a method found is: the figures of one record, for each task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor

from recon3d.core.cameras import Cameras, fit_cameras
from recon3d.core.gaussians import Gaussians
from recon3d.evaluation.inputs import PictureSize, Subset, target_cameras, target_picture
from recon3d.evaluation.records import Angles, Pictures, ViewFigures
from recon3d.evaluation.target_views import aligned, transferred
from recon3d.io.pictures import write_picture
from recon3d.metrics.depth import Alignment, depth_figures
from recon3d.metrics.lpips import Lpips, Unavailable, lpips
from recon3d.metrics.pictures import picture_figures
from recon3d.metrics.points import point_figures
from recon3d.metrics.poses import pair_errors, pose_figures
from recon3d.metrics.trajectory import trajectory_figures
from recon3d.rendering.render import render

NEAR = (0.01, 0.02, 0.05)  # of the median true depth: thresholds of precision, recall and F-score
MOST_POINTS = 200_000  # on each side, evenly drawn


class NotMeasured(ValueError):
    """Why there is no figure: one line for people."""


@dataclass(frozen=True)
class Judged:
    """Parts of a record."""

    figures: dict[str, float]
    unavailable: dict[str, str] = field(default_factory=dict)
    pair_errors: Angles | None = None
    of_views: tuple[ViewFigures, ...] = ()
    pictures: tuple[Pictures, ...] = ()
    protocol: dict[str, str] = field(default_factory=dict)


def poses(of: Subset, names: Sequence[str], camera_from_world: Annotated[Tensor, "R 4 4"]) -> Judged:
    """Cameras of the views that have one, against all input views; a pair with a view that has none is off by 180°."""
    truth = of.scene.cameras.camera_from_world[list(of.context)]
    at = {name: i for i, name in enumerate(of.names)}
    estimated, registered = torch.eye(4, dtype=torch.float64).repeat(len(truth), 1, 1), torch.zeros(len(truth), dtype=torch.bool)
    for name, pose in zip(names, camera_from_world, strict=True):
        estimated[at[name]], registered[at[name]] = pose.double(), True
    errors = pair_errors(estimated, truth, registered)
    found = pose_figures(errors)
    figures = {
        f"{name}_{limit}": value for name, by_limit in asdict(found).items() for limit, value in by_limit.items()
    }
    unavailable = {}
    try:
        path = trajectory_figures(estimated, truth, registered)
        figures |= {name: getattr(path, name) for name in ("ate", "rpe_translation", "rpe_rotation")}
    except ValueError as error:
        unavailable = {name: str(error) for name in ("ate", "rpe_translation", "rpe_rotation")}
    angles = Angles(tuple(errors.rotation.tolist()), tuple(errors.translation.tolist()))
    return Judged(figures, unavailable, angles)


def compared(
    renders: Sequence[Annotated[Tensor, "3 H W"]], photos: Sequence[Annotated[Tensor, "3 H W"]], with_lpips: Lpips | Unavailable
) -> tuple[list[dict[str, float]], dict[str, str]]:
    """PSNR, SSIM and, where there are weights for it, LPIPS of each picture; and why a figure is missing."""
    rows = []
    for picture, photo in zip(renders, photos, strict=True):
        found = picture_figures(picture[None], photo[None])
        row = {"psnr": float(found.psnr[0]), "ssim": float(found.ssim[0])}
        if isinstance(with_lpips, Lpips):
            row["lpips"] = float(lpips(picture[None].clamp(0, 1), photo[None], with_lpips)[0])
        rows.append(row)
    return rows, {"lpips": with_lpips.reason} if isinstance(with_lpips, Unavailable) else {}


def mean_of(rows: Sequence[dict[str, float]], suffix: str = "") -> dict[str, float]:
    return {name + suffix: sum(row[name] for row in rows) / len(rows) for name in rows[0]}


def novel_views(
    of: Subset, names: Sequence[str], cameras: Cameras, gaussians: Gaussians, posed: bool, size: PictureSize,
    with_lpips: Lpips | Unavailable, device: str, folder: Path, place: str,
) -> Judged:  # fmt: skip
    """Target views drawn: at their true cameras where the inputs had theirs (`posed`), else transferred, then aligned.

    The first target's pictures are written to FOLDER/place. Raises ValueError where no similarity fits the cameras.
    """
    photos = [target_picture(of, size, i) for i in of.target]
    wanted = target_cameras(of, size, of.target)
    if posed:
        return of_renders(of, drawn(gaussians, wanted, device), photos, with_lpips, folder, place)
    context = target_cameras(of, size, [of.context[of.names.index(name)] for name in names])
    at = transferred(wanted, context, cameras, own_K=True)
    pulled = aligned(gaussians, at, photos, cameras, device)
    one = of_renders(of, drawn(gaussians, at, device), photos, with_lpips, folder, place)
    two, _ = compared(drawn(gaussians, pulled.cameras, device), photos, with_lpips)
    figures = {f"{name}_transferred": value for name, value in one.figures.items()} | mean_of(two, "_aligned")
    figures |= {"alignment_turned": pulled.turned, "alignment_moved": pulled.moved}
    missing = {f"{name}_{way}": why for name, why in one.unavailable.items() for way in ("transferred", "aligned")}
    return Judged(figures, missing, of_views=one.of_views, pictures=one.pictures)


def drawn(gaussians: Gaussians, cameras: Cameras, device: str) -> list[Annotated[Tensor, "3 H W"]]:
    with torch.no_grad():
        return [render(gaussians, cameras[[i]], device=device).rgb[0].cpu() for i in range(len(cameras))]


def of_renders(
    of: Subset, renders: Sequence[Annotated[Tensor, "3 H W"]], photos: Sequence[Annotated[Tensor, "3 H W"]],
    with_lpips: Lpips | Unavailable, folder: Path, place: str,
) -> Judged:  # fmt: skip
    """Pictures that stand for the targets, with the worst of them written beside its photo."""
    rows, missing = compared(renders, photos, with_lpips)
    names = [of.scene.names[i] for i in of.target]
    worst = min(range(len(rows)), key=lambda i: rows[i]["psnr"])
    shown = written(renders[worst], photos[worst], names[worst], rows[worst]["psnr"], folder, place)
    views = tuple(ViewFigures(name, row) for name, row in zip(names, rows, strict=True))
    return Judged(mean_of(rows), missing, of_views=views, pictures=(shown,))


def written(
    render_of: Annotated[Tensor, "3 H W"], photo: Annotated[Tensor, "3 H W"], name: str, psnr: float, folder: Path, place: str
) -> Pictures:
    """Photo, drawing and their difference (twice as bright) as PNG files."""
    error = (2 * (render_of.clamp(0, 1) - photo).abs()).clamp(0, 1)
    paths = {}
    for kind, picture in (("truth", photo), ("render", render_of.clamp(0, 1)), ("error", error)):
        path = folder / place / f"{Path(name).stem}.{kind}.png"
        write_picture(path, (255 * picture).round().byte().permute(1, 2, 0).numpy())
        paths[kind] = path.relative_to(folder).as_posix()
    return Pictures(name, paths["truth"], paths["render"], paths["error"], psnr)


def depths(
    found: Sequence[Annotated[Tensor, "H W"]], truth: Sequence[Annotated[Tensor, "H W"]], alignment: Alignment
) -> Judged:
    """All views of the scene share one alignment."""
    one, two = (torch.cat([d.flatten().double() for d in maps]) for maps in (found, truth))
    figures = asdict(depth_figures(one, two, alignment))
    return Judged({name: value for name, value in figures.items() if name not in ("alignment", "scale", "shift")})


def clouds(
    found: Annotated[Tensor, "P 3"], context: Cameras, truth: Annotated[Tensor, "Q 3"], true_context: Cameras, unit: float
) -> Judged:
    """Points moved by the similarity of their cameras to the true ones; `unit`: the median true depth. Raises ValueError
    where there are no points, or no similarity fits."""
    if not len(found):
        raise NotMeasured("it has no points")
    moved = fit_cameras(context, true_context).apply(found.double())
    figures = point_figures(thinned(moved), thinned(truth.double()), thresholds=[unit * near for near in NEAR])
    names = ("accuracy_mean", "accuracy_median", "completeness_mean", "completeness_median", "chamfer")
    row = {name: float(getattr(figures, name)) for name in names}
    for near, at in zip(NEAR, figures.at.values(), strict=True):
        row |= {f"precision_{near}": at.precision, f"recall_{near}": at.recall, f"f_score_{near}": at.f_score}
    return Judged(row, protocol={"thresholds": "shares of the median true depth"})


def thinned(points: Annotated[Tensor, "P 3"]) -> Annotated[Tensor, "P 3"]:
    return points if len(points) <= MOST_POINTS else points[torch.linspace(0, len(points) - 1, MOST_POINTS).long()]
