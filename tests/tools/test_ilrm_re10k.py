"""The script that repeats iLRM's figure, on the sample chunk of RealEstate10K's format."""

import math

import torch

from recon3d.data.dataset import opened
from recon3d.data.frames import read_frames
from recon3d.models.ilrm.config import IlrmConfig
from recon3d.models.ilrm.network import Ilrm
from recon3d.models.ilrm.rays import unit_rays
from tests.shared_folder import shared
from tools.reproduce.ilrm_re10k import clips, measured


def sample():
    folder = shared("protocol/samples/re10k")
    return opened(folder), read_frames(folder / "evaluation_index.json")


def test_clips_are_read_and_skipped_by_the_published_rules():
    from collections import Counter

    found, frames = sample()
    skipped: Counter = Counter()
    (clip,) = clips(found, frames, skipped)
    assert skipped == {"its authors found no frames for it": 1, "its field of view is N degrees, over N": 1}
    assert clip.contexts == 2 and clip.images.shape == (5, 3, 256, 256)
    stored = torch.load(found.root / "000000.torch", weights_only=True)[0]
    fx = float(stored["cameras"][0, 0]) * round(640 * 256 / 360)
    assert math.isclose(float(clip.K[0, 0, 0]), fx, rel_tol=1e-5)
    assert abs(float(clip.K[0, 0, 2]) - 128) <= 0.5
    torch.testing.assert_close(torch.linalg.inv(clip.world_from_camera[0])[:3].flatten().float(), stored["cameras"][0, 6:])


def test_a_clip_is_measured_and_rays_of_its_cameras_meet():
    """Its two context cameras look at one place: the network's rays through the middles come near to each other."""
    from collections import Counter

    found, frames = sample()
    (clip,) = clips(found, frames, Counter())
    torch.manual_seed(0)
    value = measured(Ilrm(IlrmConfig("re10k", 1, 8, 32, 16, 2)).eval(), clip, "cpu")
    assert 3 < value < 40
    rays = unit_rays(clip.K, clip.world_from_camera.float(), (1, 1), 256)[:, 0, 0]
    assert float(rays[0] @ rays[1]) > 0.5
