"""Where weights come from: files, folders, random ones, and what the command about them says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from recon3d.cli.main import outcome
from recon3d.errors import InputError
from recon3d.models.checkpoints import SIZES, STANDS, WRITTEN, checkpoint, network
from recon3d.models.config import values_of
from recon3d.models.small.config import SmallConfig
from recon3d.models.small.network import SmallNetwork
from recon3d.models.weights import table
from recon3d.progress import Progress
from tests.models.tiny import TINY_VGGT, tiny_vggt

ROW = table()["vggt-1b"]


def found(place):
    return checkpoint("vggt-1b", ROW, str(place), Progress())


def test_a_folder_gives_its_published_file_and_the_sizes_beside_it(tmp_path):
    save_file(tiny_vggt()[1], tmp_path / "model.safetensors")
    save_file({"other": torch.zeros(1)}, tmp_path / "other.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(values_of(TINY_VGGT)))
    assert found(tmp_path).path == tmp_path / "model.safetensors"
    assert found(tmp_path).config == TINY_VGGT
    assert found(tmp_path / "model.safetensors").config == TINY_VGGT
    assert found(tmp_path / "other.safetensors").config == ROW.config  # the sizes are those of the file that the folder means


def test_the_hubs_own_config_means_the_published_size(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "anything.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"img_size": 518, "patch_size": 14, "embed_dim": 1024}))
    assert found(tmp_path).config == ROW.config
    (tmp_path / "config.json").write_text(json.dumps({"model_name": "da3-base"}))
    assert checkpoint("da3-small", table()["da3-small"], str(tmp_path), Progress()).config == table()["da3-base"].config


def test_a_folder_that_a_training_wrote_means_its_weights_whatever_lies_beside_them(tmp_path):
    row, config = table()["recon3d-small"], replace(SmallConfig(), dim=64, heads=2, before=1, after=1)
    torch.save({"step": 3}, tmp_path / STANDS)
    with pytest.raises(InputError, match="has not ended"):
        checkpoint("recon3d-small", row, str(tmp_path), Progress())
    with torch.random.fork_rng(devices=[]):
        state = SmallNetwork(config).state_dict()
    save_file(state, tmp_path / WRITTEN)
    (tmp_path / SIZES).write_text(json.dumps(values_of(config)))
    for place in (tmp_path, tmp_path / WRITTEN):
        told = checkpoint("recon3d-small", row, str(place), Progress())
        assert (told.path, told.config) == (tmp_path / WRITTEN, config)
        made = network(told, 0, None).state_dict()
        assert all(torch.equal(made[name], value) for name, value in state.items())
    assert outcome(["weights", "verify", str(tmp_path)]) == 0


@pytest.mark.parametrize("key", ["recon3d-small", "vggt-1b", "da3-small"])
def test_a_config_beside_a_named_file_is_not_taken_for_the_files(key, tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "mine.safetensors")
    (tmp_path / SIZES).write_text(json.dumps({"architectures": ["x"], "model_type": "y"}))
    row = table()[key]
    assert checkpoint(key, row, str(tmp_path / "mine.safetensors"), Progress()).config == row.config


WRONG = {
    "no checkpoint": ({}, None, "no checkpoint lies in it"),
    "two": ({"a.pt": 1, "b.pt": 1}, None, "2 checkpoints lie in it"),
    "no JSON": ({"a.pt": 1}, "{", "no JSON"),
    "a list": ({"a.pt": 1}, "[1]", "no JSON object"),
    "an unknown size": ({"a.pt": 1}, '{"embed_dims": 3}', "VggtConfig has no embed_dims"),
    "a word for a number": ({"a.pt": 1}, '{"embed_dim": "wide"}', "'wide' is no value"),
}


@pytest.mark.parametrize(("files", "config", "said"), WRONG.values(), ids=WRONG)
def test_a_folder_that_says_too_little_is_one_line(files, config, said, tmp_path):
    for name in files:
        torch.save({"a": torch.zeros(1)}, tmp_path / name)
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(InputError, match=said) as error:
        found(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_verify_tells_a_tiny_network_by_its_names_and_explains_what_is_missing(tmp_path, capsys):
    tensors = tiny_vggt()[1]
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(values_of(TINY_VGGT)))
    assert outcome(["weights", "verify", str(tmp_path), "--network", "vggt-1b"]) == 0
    assert "missing    0" in capsys.readouterr().out
    outcome(["weights", "verify", str(tmp_path), "--network", "vggt-1b", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert list(told["layouts"]) == ["vggt-1b", "vggt-1b-commercial", "stream-vggt"]
    assert told["licence"].startswith("not told by the file") and "VGGT License v1" in told["licence"]
    del tensors["camera_head.token_norm.bias"]
    save_file(tensors | {"extra": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(SystemExit) as stop:
        outcome(["weights", "verify", str(tmp_path), "--network", "vggt-1b", "--explain"])
    assert stop.value.code == 2
    lines = capsys.readouterr().out.splitlines()
    assert "| extra | [2] | float32 | unknown |" in lines
    assert "| camera_head.token_norm.bias | [] |  | missing |" in lines
    assert "| aggregator.patch_embed.mask_token | [1, 16] | float32 | dropped |" in lines


def test_the_licence_of_a_file_is_a_fact_where_its_bytes_are_the_published_ones(tmp_path, capsys):
    assert outcome(["weights", "verify", "recon3d-small", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["licence"] == table()["recon3d-small"].licence
    copy = shutil.copy(str(table()["recon3d-small"].shipped_file), tmp_path)
    assert outcome(["weights", "verify", copy, "--network", "recon3d-small", "--json"]) == 0
    assert "if it is recon3d-small" in json.loads(capsys.readouterr().out)["licence"]


def test_the_list_is_whole_and_loads_no_torch():
    run = "from recon3d.cli.main import outcome; outcome(['weights', 'list', '--json'])"
    code = f"import sys; {run}; assert 'torch' not in sys.modules"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    rows = json.loads(printed)["weights"]
    assert [row["key"] for row in rows] == list(table())
    assert all(row["licence"] and row["repository"] for row in rows)


def test_offline_a_file_that_is_not_here_is_one_line(tmp_path):
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "recon3d.cli", "weights", "pull", "da3-small"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("recon3d: error: da3-small: its weights are not here") and "--weights" in last


def test_converting_keeps_every_tensor_and_writes_a_shared_one_once(tmp_path):
    shared = torch.arange(12.0).reshape(3, 4)
    torch.save({"model": {"a": shared, "b": shared, "c": shared[1:].clone()}, "epoch": 1}, tmp_path / "in.pth")
    target = tmp_path / "out.safetensors"
    assert outcome(["weights", "convert", str(tmp_path / "in.pth"), str(target)]) == 0
    with safe_open(target, "pt") as file:
        assert sorted(file.keys()) == ["a", "c"] and file.metadata()["b"] == "a"
        assert torch.equal(file.get_tensor("a"), shared) and torch.equal(file.get_tensor("c"), shared[1:])
    assert outcome(["weights", "convert", str(tmp_path / "in.pth"), str(target)]) == 2  # nothing is overwritten
    assert outcome(["weights", "convert", str(tmp_path / "in.pth"), str(tmp_path / "out.pt")]) == 2
