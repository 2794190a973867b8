"""Training: the loss falls, what is killed goes on as if it had not been, and two processes do what one does."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.multiprocessing
from PIL import Image

from recon3d.errors import InputError
from recon3d.models.checkpoints import WRITTEN
from recon3d.training import scenes
from recon3d.training.config import Phase, small_on_a_cpu, tiny
from recon3d.training.loop import begun, rate_at, step, train
from recon3d.training.run import check, trained

QUICK = replace(
    tiny(), steps=8, validate_steps=100, validation_scenes=1, save_minutes=0.0,
    phases=(Phase(1.0, 48, (2, 3), 2, (0.0, 0.0)),),
)  # fmt: skip


def quiet(row: dict) -> None:
    pass


def rows_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_the_loss_of_scenes_never_seen_falls(tmp_path):
    config = replace(tiny(), steps=40, validate_steps=40, validation_scenes=2)
    other = replace(config, seed=99)
    what = scenes.asked(other, 0, 0.0)
    drawn = scenes.drawn_for(other, what, 0, 1)
    generators = scenes.generators_of(other, what, len(drawn), 0, torch.device("cpu"))
    batch = scenes.batch_of(drawn, True, generators)

    def loss(state) -> float:
        found, _ = step(state.network, state, replace(config, ema=0.0), batch, generators, 0.0)
        return float((found.depth + found.match).detach())

    before = loss(begun(config, torch.device("cpu"), None))
    after = loss(train(config, tmp_path, "cpu", tell=quiet))
    assert after < 0.75 * before
    assert rows_of(tmp_path)[-1]["abs_rel_2"] > 0
    assert Image.open(tmp_path / "preview.png").size == (4 * 224, 2 * 224)


def script(folder: Path) -> str:
    return (
        "from pathlib import Path; import torch; torch.set_num_threads(1)\n"
        "from tests.training.test_train import QUICK, quiet\n"
        "from recon3d.training.run import trained\n"
        f"trained(QUICK, Path({str(folder)!r}), 'cpu', None, quiet)\n"
    )


def test_a_killed_training_goes_on_as_if_nothing_had_happened(tmp_path):
    """kill -9 as soon as a checkpoint is there; the end has the same bits as that of a training that was left alone."""
    killed = subprocess.Popen([sys.executable, "-c", script(tmp_path / "killed")], cwd=Path(__file__).parents[2])
    while not (tmp_path / "killed" / "training.pt").exists():
        assert killed.poll() is None
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    stood = torch.load(tmp_path / "killed" / "training.pt", weights_only=True)["step"]
    assert 1 <= stood < QUICK.steps
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for name in ("killed", "whole"):
            trained(QUICK, tmp_path / name, "cpu", None, quiet)
    finally:
        torch.set_num_threads(threads)
    one, two = (torch.load(tmp_path / name / "training.pt", weights_only=True) for name in ("killed", "whole"))
    assert one["step"] == two["step"] == QUICK.steps and one["scenes"] == two["scenes"]
    for part in ("network", "ema"):
        assert all(torch.equal(one[part][name], two[part][name]) for name in one[part])
    assert (tmp_path / "killed" / WRITTEN).read_bytes() == (tmp_path / "whole" / WRITTEN).read_bytes()


def test_other_settings_do_not_go_on_with_a_training(tmp_path):
    config = replace(QUICK, steps=1)
    train(config, tmp_path, "cpu", tell=quiet)
    with pytest.raises(InputError, match="rate"):
        train(replace(config, rate=1e-4), tmp_path, "cpu", tell=quiet)


def test_a_training_from_before_a_setting_goes_on_with_its_default(tmp_path):
    config = replace(QUICK, steps=1)
    train(config, tmp_path, "cpu", tell=quiet)
    content = torch.load(tmp_path / "training.pt", weights_only=True)
    for name in ("data", "procedural", "gap", "frozen"):
        del content["config"][name]
    torch.save(content, tmp_path / "training.pt")
    assert train(config, tmp_path, "cpu", tell=quiet).step == 1
    with pytest.raises(InputError, match="procedural"):
        train(replace(config, procedural=2.0), tmp_path, "cpu", tell=quiet)


def shared(rank: int, folder: str) -> None:
    """Three steps; the first process, and no other, is interrupted when the second one is measured."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    config = replace(QUICK, steps=3, validate_steps=2)
    with pytest.raises(KeyboardInterrupt):
        train(config, Path(folder), "cpu", tell=lambda row: os.kill(os.getpid(), signal.SIGINT))
    torch.distributed.barrier()
    assert torch.load(Path(folder) / "training.pt", weights_only=True)["step"] == 2
    train(config, Path(folder), "cpu", tell=quiet)
    torch.distributed.destroy_process_group()


def test_two_processes_do_what_one_does_and_are_interrupted_together(tmp_path):
    (tmp_path / "two").mkdir()
    torch.multiprocessing.spawn(shared, (str(tmp_path / "two"),), nprocs=2)
    train(replace(QUICK, steps=3), tmp_path / "one", "cpu", tell=quiet)
    one, two = (torch.load(tmp_path / n / "training.pt", weights_only=True)["network"] for n in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=0, atol=1e-5)


def test_weights_begin_where_others_ended(tmp_path):
    config = replace(QUICK, steps=1)
    trained(config, tmp_path / "first", "cpu", None, quiet)
    trained(replace(config, rate=1e-12), tmp_path / "second", "cpu", str(tmp_path / "first" / WRITTEN), quiet)
    from recon3d.models.loading import tensors_of

    first, second = (tensors_of(tmp_path / n / WRITTEN) for n in ("first", "second"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_rates_rise_and_fall_as_the_cosine_says():
    config = replace(small_on_a_cpu(), rate=1.0, warm_up=0.1, last_rate=0.0)
    assert rate_at(config, 0.05) == pytest.approx(0.505) and rate_at(config, 0.1) == 1.0
    assert rate_at(config, 0.55) == pytest.approx(0.5) and rate_at(config, 1.0) == pytest.approx(0.0)


def test_difficulty_grows_inside_of_its_phase():
    config = replace(tiny(), phases=(Phase(0.5, 64, (2, 2), 4, (0.0, 1.0)), Phase(1.0, 64, (2, 2), 4, (1.0, 1.0))))
    assert config.difficulty(0.25) == pytest.approx(0.5) and config.difficulty(0.7) == 1.0


def test_what_cannot_be_trained_is_said():
    for wrong in (
        {"steps": 0}, {"phases": (Phase(0.5, 64, (2, 2), 4, (0, 0)),)}, {"phases": (Phase(1, 8, (2, 2), 4, (0, 0)),)},
    ):  # fmt: skip
        with pytest.raises(InputError):
            check(replace(tiny(), **wrong))
