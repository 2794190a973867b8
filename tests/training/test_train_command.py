"""`recon3d train` as it is typed: which network a recipe's flag gives, and what is left where it is interrupted."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

from recon3d.cli import train
from recon3d.cli.main import outcome
from recon3d.models.checkpoints import STANDS, WRITTEN
from recon3d.training import loop, run
from recon3d.training.config import RECIPES, Training


def asked(monkeypatch, *words: str) -> Training:
    """What a command would train."""
    seen = []
    monkeypatch.setattr(run, "trained", lambda config, *rest: seen.append(config))
    train.main(["out", *words])
    return seen[0]


@pytest.mark.parametrize(
    "words",
    [("--recipe=tiny",), ("--recipe", "tiny"), ("--recipe", "joint-cpu", "--recipe=tiny"), ("--data", "x", "--recipe=tiny")],
)
def test_a_recipe_is_the_one_that_was_named_last_in_either_spelling(monkeypatch, words):
    config = asked(monkeypatch, *words, "--seed", "5")
    tiny = RECIPES["tiny"]()
    assert (config.network, config.steps, config.phases, config.seed) == (tiny.network, tiny.steps, tiny.phases, 5)


def test_without_a_recipe_it_is_the_one_that_the_help_page_names(monkeypatch):
    assert asked(monkeypatch) == RECIPES["small-cpu"]()


@pytest.mark.parametrize(("words", "said"), [(("--recipe=big",), "'big' is no recipe"), (("--recipe",), "--recipe")])
def test_a_recipe_that_is_none_is_one_line(tmp_path, capsys, words, said):
    assert outcome(["train", str(tmp_path / "out"), *words]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1 and not (tmp_path / "out").exists()


QUICK = ("--recipe=tiny", "--steps=4", "--validation-scenes=1", "--phases.0.size=32", "--phases.0.scenes=1")


def trained(folder: Path, *words: str) -> int:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return outcome(["train", str(folder), *QUICK, *words])
    finally:
        torch.set_num_threads(threads)


def step_of(folder: Path) -> int:
    return torch.load(folder / STANDS, weights_only=True)["step"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "whole"
    assert trained(folder) == 0
    return folder


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM for a process itself")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_training_saves_its_steps_and_ends_in_the_bits_of_one_that_was_left_alone(
    whole, tmp_path, monkeypatch, capsys, number, code
):
    """The signal comes in the middle of the third step, after its optimiser and before its running mean."""
    stepped = torch.optim.AdamW.step

    def interrupted(optimiser):
        stepped(optimiser)
        if next(iter(optimiser.state.values()))["step"] == 3:
            os.kill(os.getpid(), number)

    with monkeypatch.context() as patched:
        patched.setattr(torch.optim.AdamW, "step", interrupted)
        assert trained(tmp_path, "--save-minutes=1000") == code
    told = capsys.readouterr()
    assert told.err == "recon3d: interrupted; the same command goes on from the steps that training.pt in its folder holds\n"
    assert "'saved': 'training.pt'" in told.out and step_of(tmp_path) == 3 and not (tmp_path / WRITTEN).exists()
    assert trained(tmp_path, "--save-minutes=7") == 0 and step_of(tmp_path) == 4
    assert (tmp_path / WRITTEN).read_bytes() == (whole / WRITTEN).read_bytes()


def test_outside_of_a_step_an_interruption_does_not_wait(tmp_path, monkeypatch):
    def validated(*words):
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("the figures are not waited for")

    monkeypatch.setattr(loop, "validated", validated)
    assert trained(tmp_path, "--steps=1") == 130 and step_of(tmp_path) == 1


def test_more_steps_go_on_and_are_told_and_other_rates_are_refused(whole, tmp_path, capsys):
    assert trained(tmp_path, "--steps=1") == 0
    capsys.readouterr()
    assert trained(tmp_path, "--steps=2", "--validate-steps=1") == 0 and step_of(tmp_path) == 2
    assert "steps was 1 and is 2 from here on" in capsys.readouterr().out
    assert trained(tmp_path, "--steps=2", "--rate=1") == 2 and "other settings: rate" in capsys.readouterr().err


def test_the_same_weights_are_the_same_however_their_path_is_told(whole, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(whole.parent)
    assert trained(tmp_path, "--steps=1", "--from", whole.name) == 0
    monkeypatch.chdir(tmp_path)
    for told in (str(whole), os.path.relpath(whole), f"{whole}/../{whole.name}"):
        assert trained(tmp_path, "--steps=1", "--from", told) == 0
    capsys.readouterr()
    assert trained(tmp_path, "--steps=1", "--from", whole.name) == 2  # here it names nothing of the kind
    assert f"began with {whole.resolve()}, not with {tmp_path.resolve() / whole.name}" in capsys.readouterr().err


def test_a_training_that_stands_began_with_what_it_began_with(whole, tmp_path, capsys):
    command = ("--steps=1", "--from", str(whole))
    assert trained(tmp_path, *command) == 0
    assert trained(tmp_path, *command) == 0 and trained(tmp_path, "--steps=1") == 0  # goes on, or rather has ended
    capsys.readouterr()
    assert trained(tmp_path, "--steps=1", "--from", "recon3d-small") == 2
    assert f"began with {whole.resolve()}, not with recon3d-small" in capsys.readouterr().err
    assert trained(whole, *command) == 2 and "began with random weights" in capsys.readouterr().err
