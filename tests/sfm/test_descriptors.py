"""Descriptors matched as COLMAP's brute force matches them, whatever the blocks they are compared in."""

import numpy as np
import pycolmap
import pytest
import torch

from recon3d.sfm import descriptors
from recon3d.sfm.descriptors import mutual_matches


def bytes_of(directions: np.ndarray) -> np.ndarray:
    """Unit vectors as COLMAP's bytes."""
    return np.clip(np.round(512 * directions / np.linalg.norm(directions, axis=1, keepdims=True)), 0, 255).astype(np.uint8)


def two_pictures(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """300 and 260 descriptors, of which half are the same places with noise of several sizes, and some come twice."""
    random = np.random.default_rng(seed)
    first = random.random((300, 128)) ** 4
    noise = random.choice([0.0, 0.02, 0.1, 0.3], (150, 1)) * random.random((150, 128))
    second = np.concatenate([first[:150] + noise, random.random((110, 128)) ** 4])
    second[200:210] = second[:10] + 0.05 * random.random((10, 128))
    return bytes_of(first), bytes_of(random.permutation(second))


def colmaps(first: np.ndarray, second: np.ndarray, max_ratio: float) -> np.ndarray:
    options = pycolmap.FeatureMatchingOptions()
    options.use_gpu, options.num_threads = False, 1
    options.sift.cpu_brute_force_matcher = True
    options.sift.max_ratio = max_ratio
    sift = pycolmap.FeatureExtractorType.SIFT
    sides = []
    for data in (first, second):
        keypoints = pycolmap.keypoints_from_matrix(np.zeros((len(data), 4), np.float32))
        sides += [keypoints, pycolmap.FeatureDescriptors(type=sift, data=data)]
    return np.asarray(pycolmap.FeatureMatcher.create(options).match(*sides)).reshape(-1, 2)


@pytest.mark.parametrize("as_bytes", [True, False])
@pytest.mark.parametrize("max_ratio", [0.8, 0.5])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_matches_are_those_of_colmaps_brute_force(seed: int, max_ratio: float, as_bytes: bool, monkeypatch) -> None:
    if as_bytes and not descriptors.bytes_multiply_exactly():
        pytest.skip("this processor does not multiply bytes exactly")
    monkeypatch.setattr(descriptors, "bytes_multiply_exactly", lambda: as_bytes)
    first, second = two_pictures(seed)
    expected = colmaps(first, second, max_ratio)
    found = mutual_matches(torch.from_numpy(first), torch.from_numpy(second), max_ratio)
    assert 60 < len(expected) < 150  # noise and doubles cost some
    assert found.tolist() == sorted(expected.tolist())


def test_blocks_and_the_order_of_features_change_nothing(monkeypatch) -> None:
    first, second = (torch.from_numpy(x) for x in two_pictures(3))
    expected = mutual_matches(first, second, 0.8)
    monkeypatch.setattr(descriptors, "BLOCK", 7)
    assert torch.equal(mutual_matches(first, second, 0.8), expected)
    order = torch.randperm(len(second), generator=torch.Generator().manual_seed(0))
    turned = mutual_matches(first, second[order], 0.8)
    assert torch.equal(torch.stack((turned[:, 0], order[turned[:, 1]]), 1), expected)
    assert sorted(mutual_matches(second, first, 0.8).flip(1).tolist()) == expected.tolist()


def test_equals_are_told_apart_by_nobody_and_nothing_matches_nothing() -> None:
    one = torch.from_numpy(bytes_of(np.random.default_rng(0).random((1, 128))))
    assert mutual_matches(one, one, 0.8).tolist() == [[0, 0]]
    assert len(mutual_matches(one, one.repeat(2, 1), 0.8)) == 0
    assert len(mutual_matches(one[:0], one, 0.8)) == 0 == len(mutual_matches(one, one[:0], 0.8))


@pytest.mark.gpu
def test_a_gpu_finds_the_same_matches() -> None:
    first, second = (torch.from_numpy(x) for x in two_pictures(4))
    assert torch.equal(mutual_matches(first.cuda(), second.cuda(), 0.8), mutual_matches(first, second, 0.8))
