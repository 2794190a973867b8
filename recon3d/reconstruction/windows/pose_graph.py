"""A graph of similarities: worlds of windows as nodes, joins between them as edges, brought to agree by least squares.

The graph is that of Strasdat, Montiel and Davison 2010 ("Scale drift-aware large scale monocular SLAM"). What is minimised is
written in place of their logarithm: turn, shift and scale of an edge's error where the edge was measured, each in the
deviation that is expected of it. Both vanish together, and a join knows its similarity only about the views that it saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch

from recon3d.core.similarity import Similarity
from recon3d.reconstruction.windows.join import Join

# What a window bends by itself besides the error of its joins, and what an edge may be off by.
DEGREES, SHIFT, SCALE = 0.5, 0.01, 0.01  # SHIFT in median depths
WEAK = 100.0  # times these, of a join that nothing determines: whatever else ties its windows decides
MOST_STEPS = 100
ENOUGH = 1e-9  # of a step: radians, units, log scale
DIFFERENCE = 1e-5  # a step of the same, for slopes

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]  # rotations [N,3,3], translations [N,3], scales [N]


@dataclass(frozen=True)
class Edge:
    """`join.similarity` is the world of node `first` of that of node `second`."""

    first: int
    second: int
    join: Join


@dataclass(frozen=True)
class Error:
    """By how much two nodes contradict an edge, where it was measured."""

    degrees: float
    shift: float  # in median depths
    scale: float  # in shares


def chained(nodes: int, edges: Sequence[Edge]) -> list[Similarity]:
    """The world of node 0 of each node's, along a tree of edges: determined ones first, then those with more shared views.

    Raises ValueError where the edges do not reach all nodes.
    """
    worth = lambda edge: (edge.join.why is None, len(edge.join.agreeing))  # noqa: E731
    found: dict[int, Similarity] = {0: Similarity.identity()}
    while len(found) < nodes:
        ready = [edge for edge in edges if (edge.first in found) != (edge.second in found)]
        if not ready:
            raise ValueError(f"{nodes - len(found)} windows share no view with the others")
        edge = max(ready, key=worth)
        if edge.first in found:
            found[edge.second] = found[edge.first] @ edge.join.similarity
        else:
            found[edge.first] = found[edge.second] @ edge.join.similarity.inverse()
    return [found[node] for node in range(nodes)]


def error_of(edge: Edge, nodes: Sequence[Similarity]) -> Error:
    graph = _Graph([edge], nodes)
    none = np.zeros((1, 7))
    turn, shift, scale = np.split(graph.errors(none, none)[0], (3, 6))
    return Error(
        float(np.rad2deg(np.linalg.norm(turn))), float(np.linalg.norm(shift)), float(np.expm1(np.abs(scale)).item())
    )


def optimised(start: Sequence[Similarity], edges: Sequence[Edge]) -> list[Similarity]:
    """The nodes that contradict the edges least; node 0 stays. By Gauss-Newton steps, damped where one would do worse
    (Levenberg-Marquardt, Nocedal & Wright 2006, section 10.3)."""
    from scipy.sparse import eye_array
    from scipy.sparse.linalg import spsolve

    graph = _Graph(edges, start)
    steps = np.zeros((len(start), 7))
    residuals = graph.residuals(steps)
    damping = 1e-6
    for _ in range(MOST_STEPS):
        jacobian = graph.jacobian(steps)
        normal, gradient = (jacobian.T @ jacobian).tocsc(), jacobian.T @ residuals
        step = np.zeros_like(steps)
        step[1:] = -spsolve(normal + damping * eye_array(len(gradient), format="csc"), gradient).reshape(-1, 7)
        tried = graph.residuals(steps + step)
        better = tried @ tried < residuals @ residuals
        damping = damping / 10 if better else damping * 10
        if better:
            steps, residuals = steps + step, tried
        if np.abs(step).max() < ENOUGH or damping > 1e6:
            break
    return graph.similarities(steps)


class _Graph:
    """Nodes and edges as arrays, so that all errors come of one expression."""

    def __init__(self, edges: Sequence[Edge], nodes: Sequence[Similarity]) -> None:
        self.first, self.second = (np.array([getattr(edge, name) for edge in edges]) for name in ("first", "second"))
        self.rotations, self.translations, self.scales = arrays(nodes)
        self.turns, self.moves, self.ratios = arrays([edge.join.similarity for edge in edges])
        self.centers = np.array([edge.join.center.numpy() for edge in edges])
        self.units = np.array([edge.join.unit for edge in edges])
        self.reach = np.ones(len(nodes))  # a node's step in translation: the unit of an edge, in the world of node 0
        self.reach[self.second] = self.units * self.scales[self.second]
        weak = np.array([1.0 if edge.join.why is None else WEAK for edge in edges])
        self.expected = weak[:, None] * np.array([np.deg2rad(DEGREES)] * 3 + [SHIFT] * 3 + [SCALE])

    def moved(self, steps: Annotated[np.ndarray, "N 7"], nodes: Annotated[np.ndarray, "E"]) -> Arrays:
        """Some nodes, each turned in its own world, moved and scaled by its seven steps."""
        from scipy.spatial.transform import Rotation

        rotations = self.rotations[nodes] @ Rotation.from_rotvec(steps[:, :3]).as_matrix()
        translations = self.translations[nodes] + steps[:, 3:6] * self.reach[nodes, None]
        return rotations, translations, self.scales[nodes] * np.exp(steps[:, 6])

    def similarities(self, steps: Annotated[np.ndarray, "N 7"]) -> list[Similarity]:
        found = zip(*self.moved(steps, np.arange(len(steps))), strict=True)
        return [Similarity.of(float(s), torch.from_numpy(R), torch.from_numpy(t)) for R, t, s in found]

    def residuals(self, steps: Annotated[np.ndarray, "N 7"]) -> Annotated[np.ndarray, "7E"]:
        """Errors in the deviations that are expected of them, edge by edge."""
        return (self.errors(steps[self.first], steps[self.second]) / self.expected).ravel()

    def jacobian(self, steps: Annotated[np.ndarray, "N 7"]):
        """Of the residuals by the steps of nodes 1 and on, sparse; by central differences, for all edges at once."""
        from scipy.sparse import coo_array

        rows, columns, values = [], [], []
        ends = [steps[self.first], steps[self.second]]
        for end, nodes in enumerate((self.first, self.second)):
            for k in range(7):
                beyond, before = list(ends), list(ends)
                delta = np.zeros(7)
                delta[k] = DIFFERENCE
                beyond[end], before[end] = ends[end] + delta, ends[end] - delta
                slopes = (self.errors(*beyond) - self.errors(*before)) / (2 * DIFFERENCE) / self.expected
                free = nodes > 0
                rows.append((7 * np.arange(len(nodes))[:, None] + np.arange(7))[free].ravel())
                columns.append(np.repeat(7 * (nodes[free] - 1) + k, 7))
                values.append(slopes[free].ravel())
        shape = (7 * len(self.first), 7 * (len(steps) - 1))
        return coo_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape).tocsr()

    def errors(
        self, of_first: Annotated[np.ndarray, "E 7"], of_second: Annotated[np.ndarray, "E 7"]
    ) -> Annotated[np.ndarray, "E 7"]:
        """Turn (radians), shift (units) and log scale of edge⁻¹ · first⁻¹ · second, about each edge's centre, where its ends
        have made these steps."""
        from scipy.spatial.transform import Rotation

        (Ra, ta, sa), (Rb, tb, sb) = self.moved(of_first, self.first), self.moved(of_second, self.second)
        in_world = sb[:, None] * _turned(Rb, self.centers) + tb
        in_first = _turned_back(Ra, in_world - ta) / sa[:, None]
        back = _turned_back(self.turns, in_first - self.moves) / self.ratios[:, None]
        turn = self.turns.transpose(0, 2, 1) @ Ra.transpose(0, 2, 1) @ Rb
        shift = (back - self.centers) / self.units[:, None]
        return np.concatenate((Rotation.from_matrix(turn).as_rotvec(), shift, np.log(sb / sa / self.ratios)[:, None]), 1)


def arrays(similarities: Sequence[Similarity]) -> Arrays:
    return (
        np.array([x.rotation.numpy() for x in similarities]),
        np.array([x.translation.numpy() for x in similarities]),
        np.array([float(x.scale) for x in similarities]),
    )


def _turned(rotations: np.ndarray, points: np.ndarray) -> np.ndarray:
    return (rotations @ points[:, :, None])[:, :, 0]


def _turned_back(rotations: np.ndarray, points: np.ndarray) -> np.ndarray:
    return (rotations.transpose(0, 2, 1) @ points[:, :, None])[:, :, 0]
