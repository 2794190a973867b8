"""A scene that grows."""

from recon3d.io.cameras_json import read_cameras
from recon3d.viewer.live import Live
from recon3d.viewer.scene_data import open_scene
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
