"""Codebooks and palettes of SOG against closed forms, plain loops and another k-means."""

import numpy as np
import pytest
from scipy.cluster.vq import kmeans2

from recon3d.io.sog_codebooks import codebook, morton_order, nearest, palette, palette_size


def mean_square(values: np.ndarray, stand_ins: np.ndarray) -> float:
    return float(np.square(values.astype(np.float64) - stand_ins).mean())


def test_a_codebook_of_a_normal_distribution_is_as_good_as_theory_allows():
    """Panter and Dite: with n entries the least squared error of a unit normal is sqrt(3) pi / (2 n^2). Measured: 1.05."""
    values = np.random.default_rng(0).normal(size=300_000)
    entries = codebook(values)
    assert entries.shape == (256,) and (np.diff(entries) > 0).all()
    assert mean_square(values, entries[nearest(entries, values)]) < 1.1 * np.sqrt(3) * np.pi / 2 / 256**2


@pytest.mark.parametrize("name", ["uniform", "two far atoms and a spread", "heavy tails"])
def test_a_codebook_is_never_worse_than_equal_steps(name):
    rng = np.random.default_rng(1)
    values = {
        "uniform": rng.random(50_000),
        "two far atoms and a spread": np.concatenate([np.full(9000, -40.0), np.full(9000, 3.0), rng.normal(size=900)]),
        "heavy tails": rng.standard_t(1.5, size=50_000),
    }[name]
    entries = codebook(values)
    step = np.ptp(values) / 255
    steps = np.rint((values - values.min()) / step) * step + values.min()
    assert (np.diff(entries) >= 0).all()
    assert mean_square(values, entries[nearest(entries, values)]) <= mean_square(values, steps)


@pytest.mark.parametrize("distinct", [1, 2, 255, 256])
def test_up_to_256_distinct_numbers_are_kept_exactly(distinct):
    values = np.random.default_rng(2).normal(size=distinct)[np.arange(1000) % distinct]
    entries = codebook(values)
    np.testing.assert_array_equal(entries[nearest(entries, values)], values)


def test_the_nearest_entry_is_the_one_that_a_search_of_all_finds():
    rng = np.random.default_rng(3)
    entries, values = np.sort(rng.normal(size=256)), rng.normal(size=(40, 5))
    np.testing.assert_array_equal(nearest(entries, values), np.abs(values[..., None] - entries).argmin(-1))


def test_the_order_of_cells_is_that_of_their_interleaved_bits():
    cells = np.random.default_rng(4).integers(0, 1 << 16, (500, 3)).astype(np.uint16)
    codes = [int("".join(f"{z:016b}"[i] + f"{y:016b}"[i] + f"{x:016b}"[i] for i in range(16)), 2) for x, y, z in cells]
    assert [codes[i] for i in morton_order(cells)] == sorted(codes)


def test_the_palette_has_the_largest_power_of_two_that_there_are_splats():
    """As the format's own converter sizes it: min(64, 2^floor(log2(G / 1024))) * 1024."""
    for count in (1, 2, 3, 300, 1023, 1024, 50_000, 65_535, 65_536, 10**6):
        assert palette_size(count) == min(64, 2 ** np.floor(np.log2(count / 1024))) * 1024


@pytest.mark.parametrize("columns", [9, 45])
def test_a_palette_is_exact_where_there_are_few_distinct_rows(columns):
    rng = np.random.default_rng(5)
    few = rng.normal(size=(64, columns)).astype(np.float32)
    few[0], few[1] = 0.0, -0.0
    rows = few[rng.integers(0, 64, 5000)]
    entries, labels = palette(rows, 63)
    assert len(entries) == 63
    np.testing.assert_array_equal(entries[labels], rows)


@pytest.mark.parametrize(("columns", "size"), [(9, 512), (24, 1024), (45, 256)])
def test_a_palette_is_as_good_as_another_k_means(columns, size):
    """SciPy's, over all rows at once, begun well and run for 20 rounds. Measured: 0.82 to 1.04 of its error."""
    rng = np.random.default_rng(6)
    mixing = rng.normal(size=(columns, columns)) * 0.7 ** np.arange(columns)[:, None]
    spread = np.exp(rng.normal(size=(6000, 1)))
    rows = (rng.normal(size=(6000, columns)) * spread @ mixing).astype(np.float32)
    entries, labels = palette(rows, size)
    assert len(entries) <= size and labels.min() >= 0 and labels.max() < len(entries)
    others, theirs = kmeans2(rows.astype(np.float64), size, iter=20, minit="points", seed=0)
    assert mean_square(rows, entries[labels]) < 1.1 * mean_square(rows, others[theirs])


def test_a_palette_of_rows_mostly_alike_spends_its_entries_on_the_others():
    rng = np.random.default_rng(7)
    rows = np.zeros((20_000, 9), np.float32)
    rows[:3000] = rng.normal(size=(3000, 9))
    entries, labels = palette(rows, 2048)
    assert np.abs(entries[labels[3000:]]).max() < 1e-3
    assert mean_square(rows[:3000], entries[labels[:3000]]) < 0.2


def test_the_same_rows_give_the_same_palette():
    rows = np.random.default_rng(8).normal(size=(9000, 9)).astype(np.float32)
    (a, a_labels), (b, b_labels) = palette(rows, 1024), palette(rows, 1024)
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(a_labels, b_labels)
