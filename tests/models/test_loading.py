"""Checkpoints as people have them: wrapped, prefixed, averaged, in low precision, cut off, foreign, and hostile."""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from recon3d.errors import InputError
from recon3d.models.loading import filled_from_file, tensors_of
from recon3d.models.meta import on_meta
from recon3d.models.vggt.network import Vggt
from recon3d.models.vggt.published import LAYOUT
from tests.models.tiny import TINY_VGGT, tiny_vggt

NETWORK, TENSORS = tiny_vggt()
IMAGES = torch.rand(1, 2, 3, 42, 56, generator=torch.Generator().manual_seed(0))


def loaded(path: Path) -> Vggt:
    return filled_from_file(on_meta(lambda: Vggt(TINY_VGGT)), path, LAYOUT, None)


def saved(content, tmp_path: Path, name: str = "model.pt") -> Path:
    torch.save(content, tmp_path / name)
    return tmp_path / name


def assert_same_network(network: Vggt) -> None:
    with torch.inference_mode():
        ours, theirs = network(IMAGES), NETWORK(IMAGES)
    torch.testing.assert_close(ours.depth, theirs.depth)
    torch.testing.assert_close(ours.pose_encodings, theirs.pose_encodings)


WRAPPED = {
    "plain": lambda t: t,
    "state_dict": lambda t: {"state_dict": t, "epoch": 3},
    "model with an optimizer": lambda t: {"model": t, "optimizer": {"state": {}}, "args": argparse.Namespace(lr=1e-4)},
    "module.": lambda t: {f"module.{k}": v for k, v in t.items()},
    "model. inside of module.": lambda t: {"state_dict": {f"module.model.{k}": v for k, v in t.items()}},
    "an average beside it": lambda t: {"model": t, "model_ema": {k: v + 1 for k, v in t.items()}},
    "an average only": lambda t: {"ema": t},
    "an averaged twin of every tensor": lambda t: t | {f"ema.{k}": v + 1 for k, v in t.items()},
    "compiled": lambda t: {f"_orig_mod.{k}": v for k, v in t.items()},
    "a count and a word": lambda t: {"step": 10, "name": "x", "model": t},
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_a_checkpoint_loads_however_it_is_wrapped(wrap, tmp_path):
    assert_same_network(loaded(saved(wrap(TENSORS), tmp_path)))


def test_safetensors_and_the_old_form_of_torch_files_load(tmp_path):
    save_file(TENSORS, tmp_path / "model.safetensors")
    assert_same_network(loaded(tmp_path / "model.safetensors"))
    torch.save(TENSORS, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert_same_network(loaded(tmp_path / "old.pth"))


def test_weights_in_bfloat16_load_as_float32(tmp_path):
    network = loaded(saved({k: v.bfloat16() for k, v in TENSORS.items()}, tmp_path))
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    torch.testing.assert_close(network.camera_head.embed_pose.weight, NETWORK.camera_head.embed_pose.weight.bfloat16().float())


def test_low_precision_is_for_the_linear_layers_that_the_network_names(tmp_path):
    path = saved(TENSORS, tmp_path)
    network = filled_from_file(on_meta(lambda: Vggt(TINY_VGGT)), path, LAYOUT, torch.bfloat16)
    block = network.aggregator.global_blocks[0]
    assert block.attn.qkv.weight.dtype == block.mlp.fc1.bias.dtype == torch.bfloat16
    assert block.norm1.weight.dtype == network.camera_head.trunk[0].attn.qkv.weight.dtype == torch.float32
    with torch.inference_mode():
        depth, exact = network(IMAGES).depth, NETWORK(IMAGES).depth
    assert 0 < float((depth - exact).abs().max()) < 0.05 * float(exact.max())


def without(name: str) -> dict[str, Tensor]:
    return {k: v for k, v in TENSORS.items() if k != name}


BROKEN = {
    "an extra tensor": (TENSORS | {"aggregator.extra": torch.zeros(3)}, "aggregator.extra belongs to no part"),
    "one is missing": (without("camera_head.token_norm.weight"), "nothing fills camera_head.token_norm.weight"),
    "one of another shape": (TENSORS | {"camera_head.token_norm.weight": torch.zeros(7)}, "is [7] where [32] is needed"),
    "another network": ({"conv1.weight": torch.zeros(64, 3, 7, 7)}, "looks like no network here: 1 tensors"),
    "no tensors": ({"a": 1}, "the file holds no tensors"),
}


@pytest.mark.parametrize(("tensors", "said"), BROKEN.values(), ids=BROKEN)
def test_a_file_that_does_not_fit_is_explained_in_one_line(tensors, said, tmp_path):
    with pytest.raises(InputError) as error:
        loaded(saved(tensors, tmp_path))
    assert said in str(error.value) and str(tmp_path / "model.pt") in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 600


@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_a_file_that_was_cut_off_is_refused_in_one_line(name, tmp_path):
    path = tmp_path / name
    save_file(TENSORS, path) if name.endswith("safetensors") else torch.save(TENSORS, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="whole") as error:
        loaded(path)
    assert "\n" not in str(error.value)


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return (Path.write_text, (self.canary, "it ran"))


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_does_not_run(zipped, tmp_path):
    canary = tmp_path / "canary"
    path = tmp_path / "evil.pt"
    content = TENSORS | {"extra": Evil(canary)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError) as error:
        tensors_of(path)
    assert str(path) in str(error.value) and "nothing in it was run" in str(error.value)
    assert not canary.exists()
    pickle.loads(pickle.dumps(Evil(canary)))  # the canary works: plain unpickling does run it
    assert canary.exists()
    assert_same_network(loaded(saved(TENSORS, tmp_path)))


def test_a_plain_pickle_and_a_text_file_are_refused(tmp_path):
    for name, content in (("a.pt", pickle.dumps({"a": [1, 2]})), ("b.pt", b"version https://git-lfs.github.com/spec/v1\n")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError) as error:
            loaded(tmp_path / name)
        assert "\n" not in str(error.value)
