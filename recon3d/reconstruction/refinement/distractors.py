"""What stands in one photo only (people, cars) is found from the residuals of refinement and has no part in its loss.

A photo is compared with its rendering in cells of a few pixels. A cell is left out where it differs far more than its photo
does elsewhere, while other photos that show the same place of the scene are met well: then the photo is at fault, not the
scene. Trimming by residuals with a vote of neighbours is RobustNeRF's (Sabour et al., CVPR 2023, section 4); that masks come
from the residuals while splats grow is SpotLessSplats' (Sabour et al. 2024, section 4). Asking the other photos at the rendered
depth is ours: what is hard to fit is so in all photos, and stays. Where no region is found the loss is untouched, to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, interpolate, max_pool2d

from recon3d.core.cameras import Cameras, resize_map

CELLS = 48  # along the longer side of a picture
# By tools/benchmarks/moving.py on five scenes: static ones must stay as they are. Looser limits find no more that matters, and
# take 0.1 to 0.4 dB from photos with thin leaves or mirrors.
EVERY = 2  # visits of a photo: between two looks at it
LEAST = 0.08  # of values 0 to 1: a cell whose mean colour is off by less is believed
ABOVE = 2.5  # times the median of its photo: a cell that is off by less is believed
MET, OTHER = 0.5, 0.5  # of a cell's residual: another photo with less meets the place; colours that differ by more do not agree
WITNESSES, MAJORITY = 2, 0.6  # other photos that must speak against a cell: at least, and of those that show its place
CORE, VOTE = 7, 0.45  # a square of so many cells across, of which such a share must be wrong: smaller regions are left alone
BESIDE, MET_BESIDE = 0.4, 0.7  # beside a core: of the limits of a cell, and in place of MET, without asking for colours
RINGS = 12  # cells that a region may grow about its core at a time
RIM = 3  # cells across of the square about a cell that goes with it: borders are mixed, and SSIM looks around
MOST = 0.5  # of a photo: where more is wrong, so is its camera or the scene
SAME_DEPTH = 0.1  # relative difference of depths at which two photos show one place
ASKED = 8  # other photos at most, the nearest that look the same way
LIT = 0.05  # values of cells whose ratio tells of the photo's gain
CLIPPED, SOME = 0.98, 0.1  # where such a share of a cell has a channel above, it is not judged: overexposed, it says nothing
OPAQUE = 0.5  # alpha of a cell whose depth is believed


@dataclass(frozen=True)
class Cells:
    """How a photo is parted."""

    rows: int
    columns: int
    rays: Annotated[Tensor, "rows*columns 3"]  # (x, y, 1) of the middle of each cell in its camera
    others: Annotated[Tensor, "k"]  # indices of the photos that are asked


@dataclass(frozen=True)
class Off:
    """How far the cells of a photo are off."""

    residual: Annotated[Tensor, "rows columns"]  # mean of a cell and its neighbours, 0 where unknown
    known: Annotated[Tensor, "rows columns"]  # bool
    high: Annotated[Tensor, "rows columns"]  # bool: above the limit
    limit: Annotated[Tensor, ""]


class Distractors:
    """Residuals and depths of every photo as it was last rendered, and what follows from them. All on one device."""

    def __init__(self, cameras: Cameras, seen: list[int], device: str) -> None:
        cells = {i: parted(cameras, i, seen) for i in seen}
        rows, columns = max(c.rows for c in cells.values()), max(c.columns for c in cells.values())
        self.cells = {i: Cells(c.rows, c.columns, c.rays.to(device), c.others.to(device)) for i, c in cells.items()}
        self.residuals = torch.full((len(cameras), rows, columns), torch.inf, device=device)  # inf: unknown
        self.depths = torch.zeros(len(cameras), rows, columns, device=device)  # 0: unknown
        self.camera_from_world = cameras.camera_from_world.float().to(device)
        self.world_from_camera = cameras.world_from_camera.float().to(device)
        shapes = [(cells[i].rows, cells[i].columns) if i in cells else (0, 0) for i in range(len(cameras))]
        self.shapes = torch.tensor(shapes, device=device)
        maps = torch.stack([resize_map(cameras.size(i), shape) for i, shape in enumerate(shapes)])
        self.K = (maps.to(cameras.K) @ cameras.K).float().to(device)  # to cells in place of pixels
        self.colors = torch.zeros(len(cameras), 3, rows, columns, device=device)  # of the photos
        self.lowest, self.highest = (torch.zeros_like(self.colors) for _ in range(2))  # among a cell and its neighbours
        self.photos: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}  # of a view at a height: see `pooled_photo`
        self.visits = dict.fromkeys(seen, 0)
        self.at_once = device == "cpu"  # elsewhere what was observed waits for `settle`: asking stops the device
        self.waiting: list[int] = []
        self.found: dict[int, Annotated[Tensor, "rows columns"]] = {}  # bool, of photos in which there is something

    def observe(
        self, i: int, rgb: Annotated[Tensor, "3 H W"], photo: Annotated[Tensor, "3 H W"], mask: Annotated[Tensor, "H W"] | None,
        depth: Annotated[Tensor, "H W"], alpha: Annotated[Tensor, "H W"],
    ) -> None:  # fmt: skip
        """A rendering of photo i: its colours, its sums of w z and its alpha. Nothing may ask for gradients.

        Colours are compared but for a gain that is common to the photo, so that its exposure says nothing. Only on a CPU
        the photo is judged at once.
        """
        self.visits[i] += 1
        if self.visits[i] % EVERY:
            return
        size = (self.cells[i].rows, self.cells[i].columns)
        at_size = (i, photo.shape[1])
        if at_size not in self.photos:
            self.photos[at_size] = pooled_photo(photo, mask, size)
        colors, usable = self.photos[at_size]
        shown = rgb if mask is None else rgb * mask
        pooled = adaptive_avg_pool2d(torch.cat([shown, depth[None], alpha[None]]), size)
        drawn, z, alpha = pooled[:3], pooled[3], pooled[4]
        gains = torch.where((drawn > LIT) & (colors > LIT), colors / drawn, torch.nan).flatten(1).nanmedian(1).values
        difference = drawn * gains.nan_to_num(1.0)[:, None, None] - colors
        residual = torch.where(usable, difference.abs().mean(0), torch.inf)
        self.colors[i, :, : size[0], : size[1]] = colors
        self.highest[i, :, : size[0], : size[1]] = max_pool2d(colors, 3, 1, 1)
        self.lowest[i, :, : size[0], : size[1]] = -max_pool2d(-colors, 3, 1, 1)
        self.residuals[i, : size[0], : size[1]] = residual
        self.depths[i, : size[0], : size[1]] = torch.where(alpha > OPAQUE, z / alpha.clamp_min(OPAQUE), 0)
        self.waiting.append(i)
        if self.at_once:
            self.settle()

    def settle(self) -> None:
        """Judge the photos that were observed since the last time. The device is asked once, where nothing is in any."""
        waiting, self.waiting = list(dict.fromkeys(self.waiting)), []
        if not waiting:
            return
        off = [self.off(i) for i in waiting]
        begins = torch.stack([(box(cells.high.float(), CORE) > VOTE).any() for cells in off]).tolist()
        for i, cells, some in zip(waiting, off, begins, strict=True):
            found = self.judged(i, cells) if some or i in self.found else None
            if found is None:
                self.found.pop(i, None)
            else:
                self.found[i] = found

    def off(self, i: int) -> Off:
        residual = self.residuals[i, : self.cells[i].rows, : self.cells[i].columns]
        known = torch.isfinite(residual)
        smooth = box(torch.where(known, residual, 0), 3)
        limit = (ABOVE * torch.where(known, smooth, torch.nan).nanmedian()).clamp_min(LEAST)
        return Off(smooth, known, known & (smooth > limit), limit)

    def judged(self, i: int, cells: Off) -> Annotated[Tensor, "rows columns"] | None:
        """The cells of photo i that show what the other photos do not (bool); None where there is no region of them."""
        known = cells.known
        off = known & (cells.residual > BESIDE * cells.limit)
        strange, unmet = self.contradicted(i, cells.residual, known)
        region = box((strange & cells.high).float(), CORE) > VOTE
        if i in self.found:  # until others have made the scene what this photo shows
            region = region | (self.found[i] & off)
        if not bool(region.any()):
            return None
        for _ in range(RINGS):
            region = region | (widened(region, 3) & unmet & off)
        return region if int((widened(region, RIM) & known).sum()) <= MOST * int(known.sum()) else None

    def contradicted(
        self, i: int, residual: Annotated[Tensor, "rows columns"], asked: Annotated[Tensor, "rows columns"]
    ) -> tuple[Annotated[Tensor, "rows columns"], Annotated[Tensor, "rows columns"]]:
        """Which of the cells that are asked for lie in a place of the scene that most other photos meet better: so much
        better, and in other colours, that they begin a region; and those that may belong to one (both bool).

        A colour agrees with another photo's where it lies among those of a cell and its neighbours there.
        """
        mine = self.cells[i]
        at = asked.flatten().nonzero()[:, 0]
        depth = self.depths[i, : mine.rows, : mine.columns].flatten()[at]
        pose = self.world_from_camera[i]
        points = (mine.rays[at] * depth[:, None]) @ pose[:3, :3].T + pose[:3, 3]
        poses = self.camera_from_world[mine.others]
        in_others = points @ poses[:, :3, :3].transpose(1, 2) + poses[:, None, :3, 3]
        z = in_others[..., 2]
        there = (in_others @ self.K[mine.others].transpose(1, 2))[..., :2] / z.clamp_min(1e-9)[..., None]
        inside = (depth > 0) & (z > 0) & (there >= 0).all(-1) & (there < self.shapes[mine.others].flip(1)[:, None]).all(-1)
        column, row = torch.where(inside[..., None], there, 0).long().unbind(-1)
        views = mine.others[:, None]
        theirs = self.residuals[views, row, column]
        show = inside & torch.isfinite(theirs) & ((self.depths[views, row, column] - z).abs() <= SAME_DEPTH * z)
        color = self.colors[i, :, : mine.rows, : mine.columns].flatten(1)[:, at].T
        theirs_colors = self.colors[views, :, row[:, ::4], column[:, ::4]]
        ratios = torch.where(show[:, ::4, None], color[::4].clamp_min(LIT) / theirs_colors.clamp_min(LIT), torch.nan)
        gains = ratios.nanmedian(1, keepdim=True).values  # between the two photos, whatever their exposures
        high, low = gains * self.highest[views, :, row, column], gains * self.lowest[views, :, row, column]
        other = ((color - high).clamp_min(0) + (low - color).clamp_min(0)).mean(-1) > OTHER * residual.flatten()[at]
        share = theirs / residual.flatten()[at].clamp_min(1e-9)
        enough = (MAJORITY * show.sum(0)).clamp_min(WITNESSES)
        unmet, strange = torch.zeros(2, asked.numel(), dtype=torch.bool, device=asked.device)
        unmet[at] = (show & (share < MET_BESIDE)).sum(0) >= enough
        strange[at] = (show & other & (share < MET)).sum(0) >= enough
        return strange.reshape(asked.shape), unmet.reshape(asked.shape)

    def allowed(
        self, i: int, mask: Annotated[Tensor, "H W"] | None, size: tuple[int, int]
    ) -> Annotated[Tensor, "H W"] | None:
        """The mask of photo i at (height, width) `size` without what was found in it."""
        if i not in self.found:
            return mask
        kept = interpolate(widened(self.found[i], RIM)[None, None].float(), size)[0, 0] == 0
        return kept if mask is None else mask & kept

    def shares(self) -> dict[int, float]:
        """Of the photos in which something is left out: which share of the picture."""
        return {i: float(widened(cells, RIM).float().mean()) for i, cells in sorted(self.found.items())}


def parted(cameras: Cameras, i: int, seen: list[int]) -> Cells:
    height, width = cameras.size(i)
    rows, columns = (max(1, round(n * CELLS / max(height, width))) for n in (height, width))
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    middles = torch.stack([(x + 0.5) * width / columns, (y + 0.5) * height / rows, torch.ones_like(x)], -1).to(cameras.K)
    rays = middles.reshape(-1, 3) @ torch.linalg.inv(cameras.K[i]).T
    ahead = cameras.camera_from_world[:, 2, :3]
    same_way = [j for j in seen if j != i and float(ahead[i] @ ahead[j]) > 0]
    centers = cameras.centers_in_world
    others = sorted(same_way, key=lambda j: float((centers[j] - centers[i]).norm()))[:ASKED]
    return Cells(rows, columns, rays.float(), torch.tensor(others, dtype=torch.int64))


def pooled_photo(
    photo: Annotated[Tensor, "3 H W"], mask: Annotated[Tensor, "H W"] | None, size: tuple[int, int]
) -> tuple[Annotated[Tensor, "3 rows columns"], Annotated[Tensor, "rows columns"]]:
    """Mean colours of a photo's cells, those of masked pixels 0; and which cells may be judged (bool)."""
    usable = adaptive_avg_pool2d((photo.amax(0, keepdim=True) > CLIPPED).float(), size)[0] < SOME
    if mask is None:
        return adaptive_avg_pool2d(photo, size), usable
    return adaptive_avg_pool2d(photo * mask, size), usable & (adaptive_avg_pool2d(mask[None].float(), size)[0] > 0.5)


def box(x: Annotated[Tensor, "H W"], side: int) -> Annotated[Tensor, "H W"]:
    """The mean over a square, of what of it lies in the picture."""
    return avg_pool2d(x[None], side, 1, side // 2, count_include_pad=False)[0]


def widened(x: Annotated[Tensor, "H W"], side: int) -> Annotated[Tensor, "H W"]:
    """True wherever a square holds anything true."""
    return max_pool2d(x[None].float(), side, 1, side // 2)[0] > 0
