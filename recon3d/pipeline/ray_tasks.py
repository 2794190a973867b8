"""Shards as tasks of Ray, an existing engine: it places them, and runs one again whose worker died. Nothing here schedules."""

from __future__ import annotations

import importlib
import os
import socket
from collections.abc import Callable
from typing import Any, TypeVar

from recon3d.errors import InputError
from recon3d.pipeline.shards import Shard

T = TypeVar("T")
RETRIES = 3  # Ray's own default, written down because work that resumes relies on it
ANSWERS_WITHIN = 10.0  # seconds


def on_ray(address: str, count: int, function: Callable[..., T], *arguments: Any) -> list[T]:
    """`function(shard, *arguments)` for each of `count` shards, in their order.

    `auto` is the cluster that this machine belongs to, else this machine alone. The machines share a file system. What
    `function` raises is raised here. Raises InputError at --ray where Ray is absent, does not answer, or gives a task up;
    the other tasks are then finished first.
    """
    try:
        ray = importlib.import_module("ray")
    except ImportError:
        remedy = "Run: pip install 'recon3d-toolkit[ray]', on every machine of the cluster"
        raise InputError("--ray", "Ray is not installed", remedy) from None
    if address != "auto":
        check_answers(address)
    try:
        cluster = ray.init(address=None if address == "auto" else address, logging_level="warning")
    except ConnectionError as error:  # Ray tells on stderr why, as where a token is wrong
        what = f"the cluster at '{address}' does not take us ({str(error).splitlines()[0]})"
        raise InputError("--ray", what, "See `ray status`; `ray stop` forgets one that is gone") from error
    lost, results = [], []
    with cluster:
        task = ray.remote(_in_folder).options(max_retries=RETRIES, **claim(ray.nodes()))
        pending = [task.remote(os.getcwd(), function, Shard(i + 1, count), arguments) for i in range(count)]
        for running in pending:
            try:
                results.append(ray.get(running))
            except ray.exceptions.RayError as error:
                cause = error.cause if isinstance(error, ray.exceptions.RayTaskError) else error
                if not isinstance(cause, ray.exceptions.RayError):
                    raise cause from None
                lost.append(str(cause).splitlines()[0])
    if lost:
        what = f"{len(lost)} of {count} tasks were given up, one of them for this: {lost[0]}"
        raise InputError("--ray", what, "What is finished is kept: the same command goes on from there")
    return results


def check_answers(address: str) -> None:
    """Raise InputError at --ray where nothing listens at HOST:PORT or ray://HOST:PORT: Ray itself would try for many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=ANSWERS_WITHIN).close()
    except (OSError, ValueError, OverflowError) as error:
        remedy = "Give auto, or HOST:PORT as `ray start --head` prints it"
        raise InputError("--ray", f"no cluster answers at '{address}' ({error})", remedy) from error


def claim(machines: list[dict[str, Any]]) -> dict[str, Any]:
    """What a task has to itself: a GPU where the cluster has any, else all cores of its smallest machine.

    Each item of the work takes every core that it finds, so two of them on one machine would only wait for each other.
    """
    owned = [machine["Resources"] for machine in machines if machine["Alive"]]
    if any(has.get("GPU", 0) >= 1 for has in owned):
        return {"num_gpus": 1}
    return {"num_cpus": min((int(has["CPU"]) for has in owned if has.get("CPU", 0) >= 1), default=1)}


def _in_folder(folder: str, function: Callable[..., T], shard: Shard, arguments: tuple[Any, ...]) -> T:
    """Relative paths mean on a worker what they mean to the user."""
    os.chdir(folder)
    return function(shard, *arguments)
