"""The scripts that repeat published figures: whose frames they take, and what they compare."""

import torch

from recon3d.core.cameras import Cameras
from recon3d.data.dataset import opened
from recon3d.data.frames import read_frames
from recon3d.evaluation.records import Angles
from recon3d.models.ilrm.config import IlrmConfig
from recon3d.models.ilrm.network import Ilrm
from tests.evaluation.invented import failed, record
from tests.shared_folder import shared
from tools.reproduce.ilrm_dl3dv import EVERY, Figure, chosen_inputs, measured
from tools.reproduce.poses import FIGURES, compared, drawn_frames


def test_random_frames_follow_from_the_seed_and_the_name_and_no_frame_comes_twice(tmp_path):
    sample = shared("protocol/samples/re10k")
    first, again = (read_frames(drawn_frames(sample, 4, 3, tmp_path / place)) for place in "ab")
    other = read_frames(drawn_frames(sample, 4, 4, tmp_path / "c"))
    assert first == again != other
    for choice in first.choices:
        assert len(set(choice.context)) == 4 and max(choice.context) < 6 and choice.target == ()
    assert first.choices[0].context != first.choices[1].context  # not the same numbers in every scene


def test_only_a_whole_run_with_published_weights_is_compared(capsys):
    figure = FIGURES["da3-base-spatialbench"]  # 56.6, no number of scenes of its own
    exact = record("a", "da3-base", 3, "poses", pair_errors=Angles((0.0,) * 3, (0.0,) * 3))
    assert compared(figure, [exact], None) == 1  # 100 is not 56.6
    assert compared(figure, [exact], "random") == 0
    assert compared(FIGURES["vggt-1b-re10k"], [exact], None) == 0 and "1800 scenes" in capsys.readouterr().out
    lost = failed("b", "da3-base", 3, "poses")
    assert compared(figure, [exact, lost], None) == 1 and "AUC@30 50.00" in capsys.readouterr().out
    assert compared(figure, [], None) == 2


def test_inputs_are_spread_by_place_and_direction_and_are_no_targets():
    """Forty cameras in five places, each of which looks in its own direction: one input of each."""
    generator = torch.Generator().manual_seed(0)
    world_from_camera = torch.eye(4, dtype=torch.float64).repeat(40, 1, 1)
    for i in range(40):
        angle = torch.tensor(2 * torch.pi * (i // 8) / 5, dtype=torch.float64)
        c, s = angle.cos(), angle.sin()
        world_from_camera[i, :3, :3] = torch.stack((c, 0 * c, s, 0 * c, 1 + 0 * c, 0 * c, -s, 0 * c, c)).reshape(3, 3)
        place = 10 * torch.stack((c, 0 * c, s)) + 0.01 * torch.randn(3, generator=generator, dtype=torch.float64)
        world_from_camera[i, :3, 3] = place
    K = torch.eye(3, dtype=torch.float64).repeat(40, 1, 1)
    cameras = Cameras(torch.linalg.inv(world_from_camera), K, torch.full((40, 2), 8), torch.arange(40))
    for seed in range(3):
        inputs = chosen_inputs(cameras, 5, seed)
        assert sorted(i // 8 for i in inputs) == [0, 1, 2, 3, 4] and all(i % EVERY for i in inputs)


def test_a_scene_is_measured_with_a_tiny_network():
    (scene,) = opened(shared("protocol/samples/dl3dv_folder")).scenes(size=(540, 960))
    torch.manual_seed(0)
    tiny = Ilrm(IlrmConfig("wide", 4, 8, 16, 16, 2)).eval()
    assert 3 < measured(tiny, scene, Figure("ilrm-dl3dv-16v", 2, 22.91), 0, "cpu") < 40
