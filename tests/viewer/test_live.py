"""A scene that grows."""

from dataclasses import replace

import torch

from recon3d.core.synthetic import Synthetic, synthetic_gaussians, synthetic_geometry
from recon3d.io.cameras_json import read_cameras
from recon3d.io.photos import Source
from recon3d.pipeline.method import Located
from recon3d.progress import Progress
from recon3d.reconstruction.refinement.refine import Snapshot
from recon3d.viewer.live import Live
from recon3d.viewer.scene_data import open_scene
from tests.reconstruction.scenes import views_of
from tests.viewer.small_scene import run_folder, some_splats


def test_cameras_come_first_then_splats_each_with_a_new_version(tmp_path):
    folder = run_folder(tmp_path / "out")
    live = Live("out")
    assert live.scene().message.splats is None and live.scene().message.cameras == ()
    start = live.version()
    assert (start.splats, start.running) == (0, True)

    live.show_cameras(read_cameras(folder / "cameras.json"), [folder / "images" / "a.jpg", None, None])
    assert live.version().scene > start.scene and live.version().splats == 0
    assert [camera.photo for camera in live.scene().message.cameras] == [True, False, False]

    live.show_text("refinement 10 of 20")
    live.show_splats(some_splats(20))
    first = live.version()
    live.show_splats(some_splats(30))
    second = live.version()
    assert (first.splats, second.splats) == (1, 2) and second.text == "refinement 10 of 20"
    assert first.scene == second.scene  # the cameras are not drawn anew each time
    message = live.scene().message
    assert message.live and message.splats and (message.splats.count, message.splats.version) == (30, 2)
    assert isinstance(live.scene().splats, bytes) and len(message.cameras) == 3

    live.show_finished(open_scene(folder)[0])
    last = live.version()
    assert not last.running and last.splats == 3 and last.scene > second.scene
    assert live.scene().message.report and live.scene().splats == folder / "scene.ply"


def test_a_run_tells_of_its_cameras_and_splats_by_its_progress(tmp_path):
    live = Live("out")
    progress = Progress(live.listen)
    geometry = synthetic_geometry(Synthetic(views=3, points=20, height=24, width=32))
    views = views_of(torch.zeros(3, 3, 24, 32))
    views = replace(views, sources=tuple(Source(tmp_path / name) for name in views.names))
    with progress.stage("refinement"):
        assert live.version().text == "refinement"
        progress.snapshot(Located(views, geometry))
        progress.advance(3, 10, "steps")
        assert live.version().text == "steps 3 of 10"
        message = live.scene().message
        assert [c.name for c in message.cameras] == list(views.names) and message.splats is None
        assert tuple(geometry.cameras.K[1].flatten().tolist()) == message.cameras[1].K
        assert message.cameras[2].camera_from_world == tuple(geometry.cameras.camera_from_world[2].flatten().tolist())
        progress.snapshot(Snapshot(3, 0.1, synthetic_gaussians(40)))
    splats = live.scene().message.splats
    assert splats and splats.count == 40
    live.show_finished(None)
    assert not live.version().running and live.scene().message.splats
