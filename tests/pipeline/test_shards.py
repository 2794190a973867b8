"""Parts of a list, and Ray's side of them."""

import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recon3d.errors import InputError
from recon3d.pipeline.ray_tasks import check_answers, claim, on_ray
from recon3d.pipeline.shards import Shard


@given(st.lists(st.integers(), max_size=40), st.integers(1, 50))
def test_shards_have_each_item_once_and_differ_by_one_at_most(items, of):
    parts = [Shard.parsed(f"{i + 1}/{of}").part(items) for i in range(of)]
    assert sorted(item for part in parts for item in part) == sorted(items)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_shard_has_every_nth_item():
    assert Shard.parsed("2/3").part("abcdefgh") == ["b", "e", "h"]
    assert Shard().part("abc") == ["a", "b", "c"]


@pytest.mark.parametrize("text", ["", "2", "0/3", "4/3", "1/0", "-1/3", "1/3/5", "1.5/3", "a/b", "1/" + "9" * 5000])
def test_what_is_no_part_of_a_whole_is_refused_at_its_flag(text):
    with pytest.raises(InputError, match=r"^--shard: "):
        Shard.parsed(text)


def test_without_ray_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"^--ray: Ray is not installed\. .*recon3d-toolkit\[ray\]"):
        on_ray("auto", 2, Shard.part, "abc")


@pytest.mark.parametrize("address", ["localhost:1", "localhost", "", "localhost:99999", "ray://localhost:1", "local"])
def test_an_address_at_which_nothing_listens_is_refused_at_once(address):
    with pytest.raises(InputError, match=r"^--ray: no cluster answers at '"):
        check_answers(address)


def machine(alive: bool = True, **resources: float) -> dict:
    return {"Alive": alive, "Resources": {"memory": 1e9, **resources}}


def test_a_task_claims_a_gpu_or_a_whole_machine():
    assert claim([machine(CPU=8), machine(CPU=64, GPU=2)]) == {"num_gpus": 1}
    assert claim([machine(CPU=64), machine(CPU=8), machine(), machine(alive=False, CPU=2, GPU=1)]) == {"num_cpus": 8}


@pytest.mark.slow
def test_ray_runs_a_task_again_whose_worker_died_and_hands_on_what_it_raises(tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed: pip install ray")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *sys.path]))  # workers load this file
    assert on_ray("auto", 3, _dies_once, "marks") == [["marks", "1of3"], ["marks", "2of3"], ["marks", "3of3"]]
    with pytest.raises(InputError, match=r"^photos: none\. Take some\.$"):
        on_ray("auto", 2, _refuses)
    with pytest.raises(InputError, match=r"^--ray: 1 of 2 tasks were given up, .* the same command goes on"):
        on_ray("auto", 2, _always_dies)
    assert (tmp_path / "2of2").exists()


def _dies_once(shard: Shard, folder: str) -> list[str]:
    mark = Path(folder) / str(shard)
    mark.parent.mkdir(exist_ok=True)
    if not mark.exists():
        mark.touch()
        if shard.number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
    return [folder, mark.name]


def _always_dies(shard: Shard) -> None:
    if shard.number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    Path(str(shard)).touch()


def _refuses(shard: Shard) -> None:
    raise InputError("photos", "none", "Take some")
