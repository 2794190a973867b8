"""The sample scene: what it is for (structure from motion finds every view) and what it says (its cameras are true)."""

import json
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from recon3d.core.similarity import fit_points
from recon3d.metrics.poses import pair_errors
from recon3d.sfm.mapping import Mapping, geometry
from tests.sfm.shared_views import grey_pictures, views_of
from tools.make_sample import HEIGHT, LIGHT, SOLIDS, WIDTH, cameras
from tools.raycaster import Solid, first_hits, photograph

SAMPLE = Path(__file__).parents[2] / "datasets" / "sample"
MOST_BYTES = 3_000_000


def reference() -> dict:
    return json.loads((SAMPLE / "cameras.json").read_text())


def registered() -> Mapping:
    views = views_of({file.name: np.asarray(Image.open(file)) for file in sorted((SAMPLE / "images").iterdir())})
    return geometry(views, grey_pictures(views), seed=0)


def test_every_view_of_the_sample_registers_where_it_was_taken():
    found = registered()
    truth = torch.tensor([[*image["camera_from_world"], [0, 0, 0, 1]] for image in reference()["images"]])
    assert found.registered == tuple(range(10))
    errors = pair_errors(found.camera_from_world, truth)
    assert float(errors.rotation.max()) < 0.3  # degrees
    assert float(errors.translation.max()) < 0.5
    focal = reference()["images"][0]["K"][0][0]
    assert abs(found.lenses[0].param("f") / focal - 1) < 0.01
    # One similarity takes all camera centres onto the true ones: a millimetre or two at a distance of 1.3 m.
    centers, true_centers = (
        -(m[:, :3, :3].transpose(1, 2).double() @ m[:, :3, 3:].double())[:, :, 0]
        for m in (found.camera_from_world, truth)
    )
    assert float((fit_points(centers, true_centers).apply(centers) - true_centers).norm(dim=1).max()) < 0.005


def test_the_sample_is_small_and_its_list_names_its_files_at_their_size():
    files = [file for file in SAMPLE.rglob("*") if file.is_file()]
    assert sum(os.path.getsize(file) for file in files) <= MOST_BYTES
    images = reference()["images"]
    assert [image["name"] for image in images] == sorted(file.name for file in (SAMPLE / "images").iterdir())
    for image in images:
        assert Image.open(SAMPLE / "images" / image["name"]).size == (image["width"], image["height"])


def test_the_photos_are_what_the_script_renders():
    """Four rays a pixel at an eighth of the size against the stored photo, reduced: over 25 dB, and far less for another."""
    camera = cameras()[[3]]
    small = np.diag([1 / 8, 1 / 8, 1]) @ camera.K[0].numpy()
    pose = camera.camera_from_world[0].numpy()
    rendered = photograph(SOLIDS, LIGHT, pose, small, WIDTH // 8, HEIGHT // 8, 2).astype(float)

    def psnr(name: str) -> float:
        stored = Image.open(SAMPLE / "images" / name).resize((WIDTH // 8, HEIGHT // 8), Image.Resampling.BOX)
        return float(-10 * np.log10(np.mean((rendered - np.asarray(stored, float)) ** 2) / 255**2))

    assert psnr("03.jpg") > 25
    assert psnr("04.jpg") < 20


def test_rays_meet_solids_where_algebra_says():
    """A ray along the axis z through each solid at (0, 0, 5) with half sizes 1, 1, 2; a room is left at its far wall."""
    ray, origin = np.array([[0.0, 0.0, 1.0]]), np.zeros((1, 3))
    through_tube = np.array([[0.75, 0.0, 0.0]])  # in the plane of the ring it is a circle of radius 1

    def hit(kind, start, half=(1, 1, 2), centre=(0, 0, 5)):
        return first_hits((Solid(kind, centre, half, lambda p, n: p),), start, ray)[0][0]

    assert hit("box", origin) == 3
    assert abs(hit("ball", origin) - 3) < 1e-12
    assert abs(hit("drum", origin) - 3) < 1e-12
    assert hit("room", origin, (1, 1, 2), (0, 0, 0)) == 2
    assert abs(hit("ring", through_tube, (1, 0.25, 1)) - (5 - np.sqrt(1 - 0.75**2))) < 1e-3
