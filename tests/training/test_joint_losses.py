"""What the joint network is trained by: views as it is given them, and losses of Gaussians that are known."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import mse_loss

from recon3d.data.shots import drawn
from recon3d.errors import InputError
from recon3d.metrics.lpips import NETWORKS, Lpips, load_lpips, lpips
from recon3d.models.joint.network import Joint
from recon3d.training import joint_losses, scenes
from recon3d.training.config import tiny, tiny_joint
from recon3d.training.joint_losses import as_found, depth_loss, filled, given_of, losses
from recon3d.training.loop import train
from recon3d.training.run import check
from recon3d.training.tasks import joint_pictures


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(views: int = 5, size: int = 32):
    return scenes.batch_of([drawn([3, 1], views, (size, size), 0.0)], False, [chance()])


def test_inputs_and_targets_are_the_scenes_views_in_other_units():
    """Distances between all camera centres keep their ratios, and what a pixel sees stays where it is seen."""
    whole = batch()
    given = given_of(whole, [chance()])
    world = torch.empty(5, 4, 4)
    world[0::2], world[1::2] = given.inputs.world_from_camera[0], torch.linalg.inv(given.camera_from_world[0])
    before = torch.cdist(*[torch.linalg.inv(whole.camera_from_world[0])[:, :3, 3]] * 2)
    after = torch.cdist(*[world[:, :3, 3]] * 2)
    ratio = after[0, 1] / before[0, 1]
    torch.testing.assert_close(after, before * ratio, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(given.depth[0], whole.depth[0, 0::2] * ratio, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(given.inputs.world_from_camera[0, :, :3, 3].mean(0), torch.zeros(3), rtol=0, atol=1e-4)
    assert float(given.inputs.depth.median()) == pytest.approx(1, rel=1e-4)
    assert torch.equal(given.images[0], whole.images[0, 1::2])


def test_views_are_lit_alike_where_pictures_are_the_aim():
    scene = drawn([3, 1], 5, (32, 32), 1.0)
    assert scene.shots.gains.std(1).max() > 0
    assert scenes.evenly_lit(scene).shots.gains.std(1).max() < 1e-12


def test_holes_are_filled_from_around_and_not_trusted():
    depth = torch.full((1, 16, 16), 2.0)
    depth[:, :, 8:] = 6.0
    known = torch.ones_like(depth, dtype=torch.bool)
    known[:, 4:8, 2:4] = known[:, 9, 12] = False
    assert torch.equal(filled(torch.where(known, depth, 0), known), depth)
    assert torch.equal(filled(depth, torch.zeros_like(known)), torch.ones_like(depth))
    for seed in range(8):
        found, confidence = as_found(torch.where(known, depth, 0), chance(seed))
        assert (found > 0).all() and (confidence[~known] == 0).all() and confidence.max() > 0
        assert (found / depth).log().abs().median() < 0.3


def test_depth_costs_what_gaussians_are_off_their_surface():
    """The untrained network puts them where the given depth is: a tenth too far costs the logarithm of 1.1."""
    given = given_of(batch(), [chance()])
    true = torch.where(given.depth > 0, given.depth, 1.0)
    network = Joint(tiny_joint().network)
    for factor in (1.0, 1.1):
        inputs = replace(given.inputs, depth=factor * true)
        found, anchors = network(inputs, 2)
        cost = depth_loss(found, replace(given, inputs=inputs), anchors, tiny_joint().network.step)
        assert float(cost.detach()) == pytest.approx(torch.tensor(factor).log().item(), abs=1e-4)


def test_the_gradient_behind_refinement_is_that_of_the_refined_gaussians():
    """With no step it is the plain one; with steps the picture is better, and the gradient still reaches the network."""
    given = given_of(batch(), [chance()])
    found = {}
    for steps in (0, 1, 20):
        torch.manual_seed(0)
        network = Joint(tiny_joint().network)
        cost = losses(network, given, tiny_joint().network.step, steps, 0).picture
        cost.backward()
        found[steps] = (float(cost.detach()), network.decoder.linear.weight.grad.clone())
    assert found[20][0] < found[1][0] < found[0][0]
    a, b = found[0][1].flatten(), found[1][1].flatten()
    assert float(torch.nn.functional.cosine_similarity(a, b, dim=0)) > 0.9
    assert found[20][1].abs().max() > 0


def test_pictures_are_judged_by_lpips_too_where_there_are_weights_for_it(tmp_path):
    """The loss is the squared differences and 0.05 LPIPS of the mean of the views, and its gradient reaches the network."""
    shapes = NETWORKS["vgg"].shapes()
    draw = torch.Generator().manual_seed(0)
    save_file({name: 0.1 * torch.randn(shape, generator=draw) for name, shape in shapes.items()}, tmp_path / "vgg.safetensors")
    model = load_lpips("vgg", tmp_path / "vgg.safetensors", any_weights=True)
    assert isinstance(model, Lpips)
    given, config = given_of(batch(), [chance()]), tiny_joint()
    torch.manual_seed(0)
    network = Joint(config.network)
    found, _ = network(given.inputs, 2)
    with torch.no_grad():
        pictures = joint_losses.drawn(found, 0, given.camera_from_world[0], given.K[0], given.images)
        expected = float(mse_loss(pictures, given.images[0])) + 0.05 * float(lpips(pictures, given.images[0], model).mean())
    cost = losses(network, given, config.network.step, 0, 0, model).picture
    assert float(cost.detach()) == pytest.approx(expected, rel=1e-5)
    gradients = []
    for judge in (model, None):
        network.zero_grad()
        losses(network, given, config.network.step, 0, 0, judge).picture.backward()
        gradients.append(network.decoder.linear.weight.grad.clone())
    assert torch.isfinite(gradients[0]).all() and not torch.allclose(*gradients)


def test_lpips_is_refused_where_nothing_is_drawn_or_its_file_is_another(tmp_path):
    other = tmp_path / "vgg16.pth"
    torch.save({"features.0.weight": torch.zeros(2)}, other)
    with pytest.raises(InputError, match="--perceptual: only the joint network"):
        check(replace(tiny(), perceptual=str(other)))
    with pytest.raises(InputError, match="sha256"):
        check(replace(tiny_joint(), perceptual=str(other)))


def test_a_short_training_draws_the_views_between_better_than_lift(tmp_path):
    config = replace(tiny_joint(), steps=30, validation_scenes=2)
    what = scenes.asked(replace(config, seed=99), 0, 0.0)
    given = given_of(scenes.batch_of(scenes.drawn_for(replace(config, seed=99), what, 0, 1), False, [chance()]), [chance()])

    def loss(network) -> float:
        with torch.no_grad():
            return float(losses(network, given, config.network.step, 0, 0).picture)

    torch.manual_seed(config.seed)
    before = loss(Joint(config.network))
    state = train(config, tmp_path, "cpu", tell=lambda row: None)
    assert loss(state.network) < 0.9 * before
    assert (tmp_path / "preview.png").exists() and (tmp_path / "metrics.jsonl").read_text().count("psnr_5") == 1
    drawn_again, truth = joint_pictures(state.network, config, 5, 1)[0]
    assert drawn_again.shape == truth.shape == (2, 3, 128, 128)
