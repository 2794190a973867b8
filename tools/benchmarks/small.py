"""How good recon3d-small is, beside answers that cost nothing, an untrained network, and COLMAP.

    python -m tools.benchmarks.small procedural --scenes 200 --colmap 40
    python -m tools.benchmarks.small photos ../shared/data
    python -m tools.benchmarks.small depth ../shared/data

`procedural`: scenes that nothing was trained on, 2 and 4 views of 224 × 224, and one more view between the first two that is
drawn from what was found, by lift alone: the world is put onto the true first camera, its scale by the median depth of the
first view, and where nothing is drawn the pictures' mean colour stands.
"nearest": the picture of the nearest input. Where a method finds nothing, its errors are at their floor, and its picture is
the nearest input's. COLMAP gets the same pictures as files; its `auto` settings. `photos`: poses from 3, 4 and 6 photos of
scenes with a reference, the same ones as tools/benchmarks/few_views.py takes. `depth`: of the same photos, where COLMAP gives
cameras, z-depth at the sparse points that each view observes: the network's (one scale for a scene, the median ratio) and that
of plane-sweep stereo, which needs none.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from recon3d.core.cameras import Cameras
from recon3d.core.geometry import Geometry
from recon3d.core.similarity import Similarity
from recon3d.core.views import Views
from recon3d.data.batch import Batch, rendered
from recon3d.data.shots import drawn
from recon3d.data.written import write_folders
from recon3d.errors import InputError
from recon3d.io.cameras_json import read_cameras
from recon3d.io.detect import detect
from recon3d.io.load import load_views
from recon3d.io.photos import read_photo
from recon3d.metrics.image import psnr
from recon3d.metrics.poses import auc, pair_errors
from recon3d.models.checkpoints import Checkpoint, checkpoint, network
from recon3d.models.pictures import Pass
from recon3d.models.small.answer import answer
from recon3d.models.small.network import SmallNetwork
from recon3d.models.weights import table
from recon3d.progress import Progress
from recon3d.reconstruction.heads.start_depth import observed
from recon3d.reconstruction.lift import lift
from recon3d.reconstruction.seeding.plane_sweep import swept
from recon3d.rendering.render import render
from recon3d.sfm.mapping import Mapping
from recon3d.sfm.registration import assembled
from recon3d.sfm.registration import geometry as colmap_geometry
from recon3d.sfm.settings import Matching, attempts
from recon3d.training.scenes import VALIDATION
from recon3d.training.validation import abs_rel
from tools.benchmarks.more_views import views_of

SHIPPED = "recon3d-small"
SIZE = (224, 224)
GAUSSIANS = 100_000
WORKING = 512  # pixels of photos whose depth is compared
Find = Callable[[Batch], Geometry | None]


@dataclass(frozen=True)
class Outcome:
    errors: Tensor  # degrees, of all pairs
    abs_rel: float | None
    novel: float  # PSNR of the view between


def identity(batch: Batch) -> Geometry:
    """All cameras where the first is, all depth the mean."""
    count = batch.images.shape[1]
    mean = batch.depth[batch.depth > 0].mean()
    return made(batch, torch.eye(4).repeat(count, 1, 1), batch.K[0], tuple(mean.expand(SIZE) for _ in range(count)))


def by(of_network: SmallNetwork) -> Find:
    def find(batch: Batch) -> Geometry:
        pictures = [(255 * x.permute(1, 2, 0)).round().byte().numpy() for x in batch.images[0]]
        return answer(of_network, pictures, Pass()).geometry

    of_network.eval()
    return find


def colmap(batch: Batch) -> Geometry | None:
    """Structure from motion on the pictures as files; None where not all of them get a camera."""
    with tempfile.TemporaryDirectory() as folder:
        write_folders(iter([("scene", batch)]), Path(folder))
        views = load_views(detect([Path(folder) / "scene" / "images"])).views
        try:
            found = structure(views)
        except InputError:
            return None
    if len(found.registered) < len(views):
        return None
    return made(batch, found.camera_from_world, batch.K[0], None)


def structure(views: Views) -> Mapping:
    return colmap_geometry(
        views, settings=attempts(Matching(), len(views)), device="cpu", seed=0, sequence=False, where="photos",
        progress=Progress(),
    )


def made(batch: Batch, cameras: Tensor, K: Tensor, depth: tuple[Tensor, ...] | None) -> Geometry:
    count = len(cameras)
    none = torch.zeros(0, 3, dtype=torch.float64)
    sizes = torch.tensor([list(SIZE)]).repeat(count, 1)
    of = Cameras(cameras.double(), K.double(), sizes, torch.zeros(count, dtype=torch.int64))
    confidence = None if depth is None else tuple(torch.ones_like(d) for d in depth)
    return Geometry(of, none, none.to(torch.uint8), none[:, 0], depth=depth, confidence=confidence)


def judged(batch: Batch, found: Geometry | None, target: Batch) -> Outcome:
    """Of inputs, and the view that is drawn."""
    truth = batch.camera_from_world[0]
    centers = torch.linalg.inv(torch.cat([truth, target.camera_from_world[0]]))[:, :3, 3]
    nearest = int((centers[:-1] - centers[-1]).norm(dim=1).argmin())
    plain = psnr(batch.images[0, nearest], target.images[0, 0])
    pairs = len(truth) * (len(truth) - 1) // 2
    if found is None:
        return Outcome(torch.full((pairs,), 180.0), None, plain)
    errors = pair_errors(found.cameras.camera_from_world, truth).worst
    if found.depth is None:
        return Outcome(errors, None, plain)
    relative = statistics.mean(abs_rel(d, t) for d, t in zip(found.depth, batch.depth[0], strict=True))
    return Outcome(errors, relative, psnr(between(batch, found, target), target.images[0, 0]))


def between(batch: Batch, found: Geometry, target: Batch) -> Tensor:
    """The target's picture [3, H, W], drawn from what was found, the true first camera and the first view's median depth."""
    assert found.depth is not None
    known = batch.depth[0, 0] > 0
    scale = (batch.depth[0, 0] / found.depth[0])[known].median().double()
    first = found.cameras.camera_from_world[0]
    scaling = torch.diag(torch.stack([scale, scale, scale, torch.ones_like(scale)]))
    onto = torch.linalg.inv(batch.camera_from_world[0, 0].double()) @ scaling @ first
    world = found.transformed(Similarity(scale, onto[:3, :3] / scale, onto[:3, 3]))
    sizes = torch.tensor([list(SIZE)])
    views = views_of(batch.images[0], sizes.repeat(len(batch.images[0]), 1))
    gaussians = lift(views, world, GAUSSIANS)
    camera = Cameras(target.camera_from_world[0].double(), target.K[0].double(), sizes, torch.zeros(1, dtype=torch.int64))
    drawn_view = render(gaussians, camera)
    mean = batch.images.mean((0, 1, 3, 4))[:, None, None]
    return (drawn_view.rgb[0] + (1 - drawn_view.alpha) * mean).clamp(0, 1)


def procedural(scenes: int, of_colmap: int, methods: dict[str, Find]) -> None:
    print("| method | views | scenes | AUC@5 / 15 / 30 | AbsRel | view between, dB | of it nearest input, dB |")
    print("|" + " --- |" * 7)
    for views in (2, 4):
        every = [rendered(drawn([VALIDATION, i], views + 1, SIZE)) for i in range(scenes)]
        inputs = [b.views([k for k in range(views + 1) if k != 1]) for b in every]
        targets = [b.views([1]) for b in every]
        plain = [judged(b, None, t).novel for b, t in zip(inputs, targets, strict=True)]
        for name, find in methods.items():
            count = min(scenes, of_colmap) if find is colmap else scenes
            found = [judged(b, find(b), t) for b, t in list(zip(inputs, targets, strict=True))[:count]]
            errors = torch.cat([o.errors for o in found])
            depths = [o.abs_rel for o in found if o.abs_rel is not None]
            areas = " / ".join(f"{100 * auc(errors, limit):.1f}" for limit in (5, 15, 30))
            depth = f"{statistics.mean(depths):.3f}" if depths else "–"
            novel = f"{statistics.mean(o.novel for o in found):.2f}" if depths else "–"
            print(
                f"| {name} | {views} | {count} | {areas} | {depth} | {novel} | {statistics.mean(plain[:count]):.2f} |", flush=True
            )


def photos(folder: Path, of_network: SmallNetwork, counts: Sequence[int]) -> None:
    print("| scene | photos | recon3d-small: median rotation °, translation ° | AUC@30 | COLMAP: the same | AUC@30 |")
    print("|" + " --- |" * 6)
    for scene in sorted(p for p in folder.iterdir() if (p / "cameras.json").is_file()):
        files = detect([scene / "images"]).files
        reference = {c.name: c.camera_from_world for c in read_cameras(scene / "cameras.json")}
        for count in counts:
            chosen = np.round(np.linspace(0, len(files) - 1, count)).astype(int).tolist()
            views = load_views(detect([files[i] for i in chosen])).views
            if any(reference.get(name) is None for name in views.names):
                continue
            truth = torch.from_numpy(np.stack([np.asarray(reference[name]) for name in views.names])).double()
            said = answer(of_network, [read_photo(s)[0] for s in views.sources], Pass())
            ours = cells(pair_errors(said.geometry.cameras.camera_from_world, truth))
            print(f"| {scene.name} | {count} | {ours} | {of_colmap(views, truth)} |", flush=True)


def depth(folder: Path, of_network: SmallNetwork, counts: Sequence[int]) -> None:
    print("| scene | photos | points | recon3d-small: AbsRel | stereo: AbsRel | points that stereo knows |\n|" + " --- |" * 6)
    for scene in sorted(p for p in folder.iterdir() if (p / "cameras.json").is_file()):
        files = detect([scene / "images"]).files
        for count in counts:
            chosen = np.round(np.linspace(0, len(files) - 1, count)).astype(int).tolist()
            views = load_views(detect([files[i] for i in chosen])).views
            try:
                flat, known = assembled(views, structure(views), WORKING, "colmap")
            except InputError:
                print(f"| {scene.name} | {count} | – | COLMAP refuses | | |", flush=True)
                continue
            said = answer(of_network, [image.permute(1, 2, 0).numpy() for image in flat.images], Pass())
            assert said.geometry.depth is not None
            _, of_stereo = swept(flat, known)
            truth, network_says, stereo_says = [], [], []
            for i in range(len(flat)):
                (pixels,), (z,) = known.cameras[[i]].project(known.points[observed(known, i)])
                inside = known.cameras[[i]].inside(pixels[None], z[None])[0]
                pixels, z = pixels[inside], z[inside]
                moved = pixels @ said.network_from_photo[i, :2, :2].T + said.network_from_photo[i, :2, 2]
                truth.append(z)
                network_says.append(at_pixels(said.geometry.depth[i], moved))
                stereo = torch.from_numpy(of_stereo[i]) if i in of_stereo else torch.zeros(1, 1)
                shares = torch.tensor(stereo.shape[::-1]) / known.cameras.sizes[i].flip(0)
                stereo_says.append(at_pixels(stereo, pixels * shares))
            z, ours, stereo = (torch.cat(x).double() for x in (truth, network_says, stereo_says))
            by_stereo = stereo > 0
            apart = [((z / ours).median() * ours / z - 1).abs().mean(), (stereo / z - 1).abs()[by_stereo].mean()]
            share = f"{by_stereo.double().mean():.0%}"
            print(f"| {scene.name} | {count} | {len(z)} | {apart[0]:.3f} | {apart[1]:.3f} | {share} |", flush=True)


def at_pixels(values: Tensor, pixels: Tensor) -> Tensor:
    """Of the pixels that places (x, y) lie in."""
    x, y = (pixels[:, axis].long().clamp(0, values.shape[1 - axis] - 1) for axis in (0, 1))
    return values[y, x]


def of_colmap(views: Views, truth: Tensor) -> str:
    try:
        found = structure(views)
    except InputError:
        return "refused | 0.0"
    registered = torch.zeros(len(views), dtype=torch.bool)
    registered[list(found.registered)] = True
    cameras = torch.eye(4, dtype=torch.float64).repeat(len(views), 1, 1)
    cameras[registered] = found.camera_from_world
    return cells(pair_errors(cameras, truth, registered))


def cells(errors) -> str:
    return f"{errors.rotation.median():.1f}, {errors.translation.median():.1f} | {100 * auc(errors.worst, 30):.1f}"


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("what", choices=("procedural", "photos", "depth"))
    ask.add_argument("folder", type=Path, nargs="?")
    ask.add_argument("--weights", help="other weights than the shipped ones")
    ask.add_argument("--scenes", type=int, default=200)
    ask.add_argument("--colmap", type=int, default=40, help="scenes that COLMAP gets too")
    options = ask.parse_args()
    source = checkpoint(SHIPPED, table()[SHIPPED], options.weights, Progress())
    trained = network(source, 0, None)
    assert isinstance(trained, SmallNetwork)
    if options.what != "procedural":
        {"photos": photos, "depth": depth}[options.what](options.folder, trained, (3, 4, 6))
        return
    untrained = network(Checkpoint(SHIPPED, table()[SHIPPED], None, source.config), 0, None)
    assert isinstance(untrained, SmallNetwork)
    methods = {"one camera, mean depth": identity, "untrained": by(untrained), SHIPPED: by(trained)}
    methods |= {"COLMAP": colmap} if options.colmap else {}
    procedural(options.scenes, options.colmap, methods)


if __name__ == "__main__":
    main()
