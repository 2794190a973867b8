"""Scenes of data sets in a training: the same for any number of processes, their depth that of the scene, bad ones
passed over."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recon3d.data.batch import Batch, rendered
from recon3d.data.shots import drawn
from recon3d.data.written import scenes as made
from recon3d.data.written import write_folders, write_test_chunks
from recon3d.errors import InputError
from recon3d.models.joint.network import Joint
from recon3d.models.small.network import SmallNetwork
from recon3d.reconstruction.seeding.posed_stereo import stereo_depth
from recon3d.training import joint_losses, posed_scenes, scenes
from recon3d.training.config import JointWeights, Phase, tiny, tiny_joint
from recon3d.training.loop import begun, step, train
from recon3d.training.posed_scenes import Taken, source_of, sources, told
from recon3d.training.run import check
from recon3d.training.small_losses import losses

SIZE = (64, 80)
SEED = 3  # of a training whose first step has a scene of each kind


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    write_folders(made(2, 4, SIZE, 5, 1), folder / "folders")
    write_test_chunks(made(2, 8, SIZE, 6, 1), folder / "chunks")
    return folder


def config(root: Path, **others):
    data = (f"{root / 'folders'}", f"{root / 'chunks' / 'test'}=2")
    known = replace(
        tiny(), data=data, procedural=1.0, aspects=(1.25,), gap=(1, 4), phases=(Phase(1.0, 80, (3, 3), 4, (1.0, 1.0)),),
        steps=2, validation_scenes=1,
    )  # fmt: skip
    return replace(known, **others)


def forgotten() -> None:
    """As in a process that has opened nothing yet."""
    posed_scenes.sources.cache_clear()
    posed_scenes._kept_open.cache_clear()


def test_three_processes_share_the_scenes_that_one_sees(root):
    """A step with a scene of each kind."""
    known = config(root, seed=SEED, phases=(Phase(1.0, 80, (2, 2), 3, (1.0, 1.0)),))
    what = scenes.asked(known, 0, 0.0)
    whole = scenes.drawn_for(known, what, 0, 1)
    forgotten()
    parts = [scene for rank in (2, 0, 1) for scene in scenes.drawn_for(known, what, rank, 3)]
    kinds = [getattr(scene, "depth_from", "rays") for scene in whole]
    assert sorted(kinds) == ["files", "rays", "stereo"]
    batch = scenes.batch_of(whole, False, scenes.generators_of(known, what, 3, 0, torch.device("cpu")))
    assert list(batch.depth_from) == kinds
    for i, (one, two) in enumerate(zip(whole, parts[1:] + parts[:1], strict=True)):
        assert type(one) is type(two)
        if isinstance(one, Taken) and isinstance(two, Taken):
            for name in ("images", "K", "depth", "camera_from_world"):
                assert np.array_equal(getattr(one, name), getattr(two, name))
            assert torch.equal((255 * batch.images[i]).round().byte(), torch.from_numpy(one.images))


def test_depth_beside_photos_is_the_scenes_in_other_units(root):
    """Of pictures at their own size: that of the ray caster, and points of one view lie where another one sees them."""
    (source,) = sources((f"{root / 'folders'}",))
    for i in range(2):
        found = posed_scenes.taken(source, (0, 0, i), 3, SIZE, 1.0, (3, 3))
        assert found.depth_from == "files"
        ratios = []
        for scene in range(2):
            truth = rendered(drawn([5, scene], 4, SIZE), 1).depth[0].numpy()
            for v in (0, 2):  # the first and the last frame
                both = (truth[(0, 3)[v // 2]] > 0) & (found.depth[v] > 0)
                ratios.append(np.ptp(np.log(truth[(0, 3)[v // 2]][both] / found.depth[v][both])))
        assert min(sum(ratios[:2]), sum(ratios[2:])) < 1e-4 < max(sum(ratios[:2]), sum(ratios[2:]))
        assert np.median(found.depth[found.depth > 0]) == pytest.approx(1, rel=1e-4)
        np.testing.assert_allclose(found.camera_from_world[0], np.eye(4), atol=1e-6)


def test_depth_is_resized_and_cropped_as_pictures_are(root):
    """At half the size, and a third cropped off: every pixel has the depth of a ray next to its own."""
    (source,) = sources((f"{root / 'folders'}",))
    found = posed_scenes.taken(source, (0, 0, 0), 2, (32, 32), 1.0, (1, 1))
    batch = scenes.photos([found], False, [torch.Generator()])
    points = batch.points_in_world()
    camera, K = batch.camera_from_world[0, 1], batch.K[0, 1]
    there = points[0, 0] @ camera[:3, :3].T + camera[:3, 3]
    pixels = there @ K.T
    pixels = pixels[..., :2] / pixels[..., 2:]
    inside = (pixels >= 0).all(-1) & (pixels < 32).all(-1) & (there[..., 2] > 0) & (batch.depth[0, 0] > 0)
    column, row = pixels[inside].long().unbind(-1)
    error = (batch.depth[0, 1, row, column] / there[..., 2][inside]).log().abs()
    assert int(inside.sum()) > 200 and float(error.median()) < 0.02


def test_stereo_finds_the_depth_of_posed_pictures():
    batch = rendered(drawn([11, 3], 5, (96, 128), 0.5))
    found = stereo_depth(batch.images[0], batch.camera_from_world[0], batch.K[0], [0, 4])
    truth = batch.depth[0, [0, 4]]
    both = (found > 0) & (truth > 0)
    error = (found[both] / truth[both]).log().abs()
    assert float((found > 0).float().mean()) > 0.2 and float(error.median()) < 0.03


def test_a_scene_that_is_damaged_is_passed_over_and_another_one_drawn(root, tmp_path):
    write_folders(made(2, 4, SIZE, 5, 1), tmp_path / "some")
    for photo in (tmp_path / "some" / "000000" / "images").iterdir():
        photo.write_bytes(photo.read_bytes()[:400])
    (source,) = sources((f"{tmp_path / 'some'}",))
    found = [posed_scenes.taken(source, (0, 0, i), 2, SIZE, 1.0, (1, 2)) for i in range(4)]
    passed = [reason for one in found for reason in one.passed_over]
    assert passed and all(reason.startswith("000000: ") for reason in passed)
    for folder in ("000000", "000001"):
        for photo in (tmp_path / "some" / folder / "images").iterdir():
            photo.write_bytes(b"")
    forgotten()
    (source,) = sources((f"{tmp_path / 'some'}",))
    with pytest.raises(InputError, match="in a row"):
        posed_scenes.taken(source, (0, 0, 0), 2, SIZE, 1.0, (1, 2))


def test_sources_are_drawn_by_their_weights(root):
    found = sources((f"{root / 'folders'}", f"{root / 'chunks' / 'test'}=2"))
    drawn_ = [source_of(found, 1.0, (0, step, 0)) for step in range(400)]
    counts = [sum(d is source for d in drawn_) for source in (None, *found)]
    assert counts == pytest.approx([100, 100, 200], abs=40)  # four standard deviations
    assert all(source_of(found, 0.0, (0, step, 0)) is not None for step in range(100))


def test_weights_stand_behind_the_last_equals_sign():
    assert told("a/b") == (Path("a/b"), 1.0) and told("a=b/c=0.5") == (Path("a=b/c"), 0.5)
    for wrong in ("a=0", "a=-1", "a=x", "=1", "a=inf"):
        with pytest.raises(InputError):
            told(wrong)


def test_what_gives_nothing_to_learn_from_is_said(root, tmp_path):
    nothing = {"procedural": 0.0, "data": ()}
    for wrong in (nothing, {"gap": (5, 2)}, {"data": (str(tmp_path),)}, {"data": ("nowhere",)}):
        with pytest.raises(InputError):
            check(config(root, **wrong))


@pytest.mark.parametrize("joint", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_step_learns_from_a_mixture(root, joint):
    """Of recon3d-small, and of the joint network from stereo's depth alone."""
    known = config(root, seed=SEED, phases=(Phase(1.0, 80, (2, 2), 3, (1.0, 1.0)),))
    if joint:
        one = (f"{root / 'chunks' / 'test'}",)
        known = config(root, data=one, procedural=0.0, gap=(4, 6), weights=JointWeights(), network=tiny_joint().network)
        known = replace(known, phases=(Phase(1.0, 64, (5, 5), 1, (1.0, 1.0)),))
    state = begun(known, torch.device("cpu"), None)
    before = {name: x.clone() for name, x in state.network.state_dict().items()}
    what = scenes.asked(known, 0, 0.0)
    found = scenes.drawn_for(known, what, 0, 1)
    chance = scenes.generators_of(known, what, len(found), 0, torch.device("cpu"))
    _, norm = step(state.network, state, known, scenes.batch_of(found, not joint, chance), chance, 1e-3)
    after = state.network.state_dict()
    assert 0 < norm < float("inf") and all(bool(x.isfinite().all()) for x in after.values())
    assert any(not torch.equal(before[name], x) for name, x in after.items())


@pytest.mark.slow
def test_a_training_on_a_mixture_goes_through_and_tells_what_it_passed_over(root, tmp_path):
    write_folders(made(2, 4, SIZE, 5, 1), tmp_path / "some")
    for photo in (tmp_path / "some" / "000000" / "images").iterdir():
        photo.write_bytes(photo.read_bytes()[:400])
    known = config(root, steps=20, data=(f"{tmp_path / 'some'}",), procedural=0.0, gap=(1, 2))
    train(known, tmp_path / "out", "cpu", tell=lambda row: None)
    rows = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert rows[0]["passed_over"] > 10 and rows[0]["the_last"].startswith("000000: ")
    assert rows[-1]["step"] == 20 and rows[-1]["abs_rel_2"] > 0


def blind(batch: Batch, views: list[int], source) -> Batch:
    depth = batch.depth.clone()
    depth[:, views] = 0
    return replace(batch, depth=depth, depth_from=(source,) * len(depth))


def test_losses_survive_views_of_which_no_depth_is_known():
    batch = rendered(drawn(4, 3, (64, 64)))
    torch.manual_seed(0)
    network = SmallNetwork(tiny().network)
    for views in ([0], [1], [0, 1, 2]):
        network.zero_grad()
        some = blind(batch, views, "stereo")
        found = losses(network(some.images), some, 16)
        sum(vars(found).values()).backward()
        assert all(bool(p.grad.isfinite().all()) for p in network.parameters() if p.grad is not None)
        if len(views) == 3:
            assert float(found.visible.detach()) == 0 == float(found.depth.detach())


def test_what_is_unknown_of_a_data_set_teaches_no_place_to_be_hidden():
    """A drawn scene's 0 is sky, which is not seen elsewhere; the same 0 of stereo is nothing."""
    batch = rendered(drawn(4, 2, (64, 64)))
    said = SmallNetwork(tiny().network)(batch.images)
    said = replace(said, visible=torch.arange(said.visible.numel()).view_as(said.visible) / 10 - 1)
    apart = [float(losses(said, blind(batch, [1], source), 16).visible) for source in ("rays", "stereo")]
    known = replace(batch, depth_from=("files",))
    whole = [float(losses(said, b, 16).visible) for b in (batch, known)]
    assert apart[0] != apart[1] and (batch.depth > 0).all() and whole[0] == whole[1]


def test_depth_of_stereo_is_not_made_worse_for_the_joint_network():
    batch = rendered(drawn([3, 1], 5, (32, 32), 0.0))
    chance = [torch.Generator().manual_seed(0)]
    given = joint_losses.given_of(replace(batch, depth_from=("stereo",)), chance)
    ratio = given.inputs.depth / given.depth
    known = given.depth > 0
    torch.testing.assert_close(ratio[known], torch.ones_like(ratio[known]))
    assert set(given.inputs.confidence[known].tolist()) == {joint_losses.STEREO}
    found = joint_losses.losses(Joint(tiny_joint().network), given, tiny_joint().network.step, 0, 0)
    assert bool(found.picture.isfinite()) and bool(found.depth.isfinite())
