"""`recon3d train` as it is typed: which network a recipe's flag gives, however it is written."""

from __future__ import annotations

import pytest

from recon3d.cli import train
from recon3d.cli.main import outcome
from recon3d.training import run
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
