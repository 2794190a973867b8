"""Published networks in training: a perfect answer costs nothing, the loss of one batch falls, files come and go."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.multiprocessing
from safetensors.torch import save_file

from recon3d.data.batch import Batch, rendered
from recon3d.data.shots import drawn, stacked
from recon3d.models.checkpoints import WRITTEN, checkpoint, network
from recon3d.models.da3.network import Da3, Prediction
from recon3d.models.da3.reference_view import order_of, reordered
from recon3d.models.loading import tensors_of
from recon3d.models.pose_encoding import encoding_from_matrices, inverse_of
from recon3d.models.vggt.config import DptConfig
from recon3d.models.vggt.network import Prediction as VggtPrediction
from recon3d.models.vggt.network import Vggt
from recon3d.models.weights import table
from recon3d.progress import Progress
from recon3d.training.config import Phase, Training, da3_small, vggt_1b
from recon3d.training.loop import begun, step, train
from recon3d.training.losses import Truth, normalised, truth_encodings
from recon3d.training.published_losses import da3_losses, vggt_losses
from recon3d.training.run import beginning, trained
from recon3d.training.small_losses import truth_of
from recon3d.training.tasks import total
from tests.models.tiny import TINY_DA3, TINY_VGGT, tiny_vggt

SIZE = 56
TINY_POINTS = replace(TINY_VGGT, point_head=DptConfig(8, (8, 8, 8, 8), (0, 1, 2, 3), output_dim=4, activation="inv_log"))


def tiny(config: Training, network, **others) -> Training:
    known = replace(
        config, network=network, steps=1, validation_scenes=1, aspects=(1.0,), bf16=False, ema=0.0, warm_up=0.0,
        phases=(Phase(1.0, SIZE, (2, 3), 1, (0.0, 0.0)),),
    )  # fmt: skip
    return replace(known, **others)


def batch(views: int = 3, scenes: int = 2) -> Batch:
    return rendered(stacked([drawn([4, i], views, (SIZE, SIZE), 0.0) for i in range(scenes)]))


def rays_of(truth: Truth, K: torch.Tensor) -> torch.Tensor:
    """By hand: a ray through the middle of each cell of a grid of 32 × 32 cells over the picture."""
    found = torch.zeros(*truth.depth.shape[:2], 32, 32, 6)
    world_from_camera = inverse_of(truth.camera_from_world)
    for row in range(32):
        for column in range(32):
            pixel = torch.tensor([(column + 0.5) * SIZE / 32, (row + 0.5) * SIZE / 32, 1.0])
            direction = world_from_camera[..., :3] @ (torch.linalg.inv(K) @ pixel)[..., None]
            found[:, :, row, column] = torch.cat((direction[..., 0], world_from_camera[..., 3]), -1)
    return found


@pytest.mark.parametrize("reference", [None, 0, 2])
def test_a_perfect_answer_of_da3_costs_nothing_whichever_view_is_the_world(reference):
    known = batch()
    order = torch.arange(3).expand(2, 3) if reference is None else order_of(torch.tensor([reference, reference]), 3)
    there = Batch(*(reordered(x, order) for x in (known.images, known.camera_from_world, known.K, known.depth)), known.depth_from)
    truth = normalised(truth_of(there), there.depth > 0)
    encodings = encoding_from_matrices(inverse_of(truth.camera_from_world), there.K, there.size)
    ordered = (truth.depth, torch.ones_like(truth.depth), encodings, truth.camera_from_world, there.K, rays_of(truth, there.K))
    depth, confidence, encodings, cameras, K, rays = (reordered(x, order.argsort(1)) for x in ordered)
    told = None if reference is None else torch.tensor([reference, reference])
    said = Prediction(depth, confidence, encodings, cameras, K, rays=rays, reference=told)
    found = da3_losses(lambda images, wanted: said, known, False)  # type: ignore[arg-type]
    assert all(float(value) < 1e-5 for value in vars(found).values())
    if reference == 2:
        wrong = da3_losses(lambda images, wanted: replace(said, reference=None), known, False)  # type: ignore[arg-type]
        assert min(float(wrong.camera), float(wrong.rays), float(wrong.points)) > 0.05


def test_a_perfect_answer_of_vggt_costs_nothing_and_a_wrong_one_what_vggt_says():
    known = batch()
    truth = normalised(truth_of(known), known.depth > 0)
    encodings, ones = truth_encodings(truth, known.K), torch.ones_like(truth.depth)
    said = VggtPrediction(
        torch.stack([encodings] * 2), truth.depth[..., None], ones, points_in_world=truth.points_in_world, points_confidence=ones
    )
    found = vggt_losses(lambda images, heads: said, known, False)  # type: ignore[arg-type]
    assert all(abs(float(value)) < 1e-4 for value in vars(found).values())
    moved = replace(said, pose_encodings=said.pose_encodings + torch.tensor([0.1, 0.1, 0.1, 0, 0, 0, 0, 0, 0]))  # type: ignore[operator]
    wrong = vggt_losses(lambda images, heads: moved, known, False)  # type: ignore[arg-type]
    assert float(wrong.camera) == pytest.approx(0.1 * (0.6 + 1) / 2, rel=1e-4)


@pytest.mark.parametrize("config", [
    tiny(da3_small(), TINY_DA3, rate=6e-3), tiny(vggt_1b(), TINY_POINTS, rate=6e-3, frozen=("aggregator.patch_embed.",)),
])  # fmt: skip
def test_the_loss_of_one_batch_falls_and_what_is_frozen_stays(config):
    known = batch(2, 1)
    state = begun(config, torch.device("cpu"), None)
    before = {name: x.clone() for name, x in state.network.state_dict().items()}
    losses = []
    for _ in range(12):
        found, _ = step(state.network, state, config, known, [torch.Generator()], config.rate)
        losses.append(float(total(found, config.weights).detach()))
    assert losses[-1] < 0.8 * losses[0]
    still = {name for name, x in state.network.state_dict().items() if torch.equal(x, before[name])}
    kept = tuple(name for name, p in state.network.named_parameters() if not p.requires_grad)
    assert set(kept) <= still
    assert any(n.startswith(("cam_enc.", "aggregator.patch_embed.")) for n in kept)
    assert any(n.startswith(("backbone.blocks", "aggregator.global_blocks")) for n in set(before) - still)


SHARED = tiny(da3_small(), TINY_DA3, steps=2, rate=1e-3, phases=(Phase(1.0, SIZE, (3, 3), 2, (0.0, 0.0)),))


def shared(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    train(SHARED, Path(folder), "cpu", tell=lambda row: None)
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_train_da3_as_one_does(tmp_path):
    """Every parameter that is trained is reached, else processes would wait for its gradient; scenes have means of their own."""
    (tmp_path / "two").mkdir()
    torch.multiprocessing.spawn(shared, (str(tmp_path / "two"),), nprocs=2)  # type: ignore[attr-defined]
    train(SHARED, tmp_path / "one", "cpu", tell=lambda row: None)
    one, two = (torch.load(tmp_path / n / "training.pt", weights_only=True)["network"] for n in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=0, atol=1e-4)


def test_autocast_leaves_the_heads_as_precise_as_they_are_run():
    config = tiny(da3_small(), TINY_DA3)
    state, known = begun(config, torch.device("cpu"), None), batch(2, 1)
    kinds = {}
    state.network.head.output_conv1.register_forward_hook(lambda m, i, o: kinds.update(head=o.dtype))
    state.network.backbone.blocks[2].mlp.fc1.register_forward_hook(lambda m, i, o: kinds.update(block=o.dtype))
    found = da3_losses(state.network, known, True)
    assert kinds == {"head": torch.float32, "block": torch.bfloat16}
    sum(vars(found).values()).backward()
    assert all(bool(p.grad.isfinite().all()) for p in state.network.parameters() if p.grad is not None)


def test_a_published_file_of_vggt_is_where_training_begins_and_what_it_writes_is_read_again(tmp_path):
    whole, tensors = tiny_vggt()
    save_file(tensors, tmp_path / "published.safetensors")
    config = tiny(vggt_1b(), TINY_VGGT, rate=1e-12)
    trained(config, tmp_path / "out", "cpu", str(tmp_path / "published.safetensors"), lambda row: None)
    again = network(checkpoint("vggt-1b", table()["vggt-1b"], str(tmp_path / "out"), Progress()), 0, None)
    assert isinstance(again, Vggt) and again.config == TINY_VGGT
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=1e-3, atol=1e-6)


def test_what_training_writes_of_da3_gives_the_cameras_that_it_gave(tmp_path):
    """Through its folder, with sizes of its own; and another training begins there."""
    config = tiny(da3_small(), TINY_DA3, steps=2, rate=1e-3)
    trained(config, tmp_path / "out", "cpu", None, lambda row: None)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["embed_dim"] == 16
    again = network(checkpoint("da3-small", table()["da3-small"], str(tmp_path / "out"), Progress()), 0, None)
    assert isinstance(again, Da3) and again.config == TINY_DA3
    start = beginning(str(tmp_path / "out"), config)
    assert all(torch.equal(start[n], x.float()) for n, x in tensors_of(tmp_path / "out" / WRITTEN).items())
    state = begun(config, torch.device("cpu"), start)
    images = batch(3, 1).images
    with torch.no_grad():
        one, two = state.network(images), again(images)
    torch.testing.assert_close(one.camera_from_world, two.camera_from_world, rtol=0, atol=1e-4)
    torch.testing.assert_close(one.depth, two.depth, rtol=1e-4, atol=1e-5)
    rows = [json.loads(line) for line in Path(tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["abs_rel_2"] > 0 and (tmp_path / "out" / "preview.png").exists()
