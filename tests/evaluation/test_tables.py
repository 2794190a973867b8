"""Means are of what they say: failures at their floor, both averages of poses, one protocol, the same scenes."""

import pytest
import torch

from recon3d.evaluation.figures import COLUMNS, FIGURES, columns, figure, parts_of
from recon3d.evaluation.published import published
from recon3d.evaluation.records import Angles, Record
from recon3d.evaluation.tables import Table, tables
from recon3d.metrics.poses import PairErrors, pose_figures_of_scenes
from tests.evaluation.invented import PROTOCOL, failed, record


def table(*records: Record) -> Table:
    (found,) = tables(records)
    return found


def scored(name: str, *records: Record) -> tuple[float | None, float | None]:
    (row,) = table(*records).rows
    score = row.over_scenes[name]
    return score.measured, score.with_failed


def test_a_failed_scene_counts_at_the_floor_and_in_a_mean_of_its_own_not_at_all():
    good = [record("a", figures={"psnr": 20.0, "abs_rel": 0.1}), record("b", figures={"psnr": 30.0, "abs_rel": 0.3})]
    assert scored("psnr", *good, failed("c")) == (25.0, pytest.approx(50 / 3))
    assert scored("abs_rel", *good, failed("c")) == (pytest.approx(0.2), pytest.approx(1.4 / 3))
    assert scored("psnr", *good) == (25.0, 25.0)


def test_a_figure_without_a_floor_has_no_mean_with_failures():
    assert scored("chamfer", record("a", figures={"chamfer": 0.2}), failed("b")) == (0.2, None)


def test_a_failed_scene_that_bears_a_measured_fallback_counts_that():
    assert scored("psnr", record("a", figures={"psnr": 20.0}), failed("b", figures={"psnr": 10.0})) == (20.0, 15.0)


def test_a_figure_that_no_scene_has_is_not_made_of_floors():
    lacking = record("a", unavailable={"lpips": "no weights"})
    assert scored("lpips", lacking, failed("b")) == (None, None)
    found = table(lacking, failed("b"), record("a", "other", figures={"lpips": 0.2}))
    assert any("no weights" in note for note in found.notes)


def test_a_method_that_failed_everywhere_stands_at_the_floor_of_what_others_have():
    found = table(record("a", "x", figures={"psnr": 20.0}), failed("a", "y"))
    assert [row.score("psnr", "scenes") is not None for row in found.rows] == [True, True]
    assert found.rows[1].over_scenes["psnr"].with_failed == 0.0


def test_skipped_scenes_count_nowhere():
    (row,) = table(record("a", figures={"psnr": 20.0}), record("b", status="skipped", why="no frames")).rows
    assert (row.over_scenes["psnr"].with_failed, len(row.skipped), row.total) == (20.0, 1, 3)


def poses(scene: str, views: int, **more) -> Record:
    generator = torch.Generator().manual_seed(views)
    pairs = views * (views - 1) // 2
    rotation, translation = (torch.rand(pairs, generator=generator) * 40).tolist(), (torch.rand(pairs) * 40).tolist()
    return record(scene, task="poses", total=views, pair_errors=Angles(tuple(rotation), tuple(translation)), **more)


def test_both_averages_of_pose_figures_are_those_of_the_metrics():
    records = [poses("a", 3), poses("b", 8)]  # of two sizes: else the averages would be equal
    (row,) = table(*records).rows
    pairs = [PairErrors(*(torch.tensor(v, dtype=torch.float64) for v in vars(r.pair_errors).values())) for r in records]
    true = pose_figures_of_scenes(pairs)
    for name in ("rra", "rta", "auc"):
        for limit in (5, 15, 30):
            one = f"{name}_{limit}"
            assert row.over_pairs[one].measured == pytest.approx(getattr(true.over_pairs, name)[limit])
            assert row.over_scenes[one].measured == pytest.approx(getattr(true.over_scenes, name)[limit])
    assert row.over_pairs["auc_30"].measured != pytest.approx(row.over_scenes["auc_30"].measured)


def test_all_pairs_of_a_failed_scene_count_as_lost_by_every_figure():
    """A lost pair is 180 degrees off, which a sign-free translation error must not take for 0."""
    (row,) = table(poses("a", 3), failed("b", task="poses", total=4)).rows
    for name, score in row.over_pairs.items():
        assert score.measured is not None and score.with_failed == pytest.approx(score.measured * 3 / 9), name
    lost = record("a", task="poses", pair_errors=Angles((180.0,), (180.0,)))
    assert all(score.with_failed == 0 for score in table(lost).rows[0].over_pairs.values())


def test_a_pose_method_that_failed_everywhere_has_a_score_over_pairs():
    (row,) = table(failed("a", task="poses")).rows
    assert (row.over_pairs["auc_30"].measured, row.over_pairs["auc_30"].with_failed) == (None, 0.0)


def test_records_of_two_protocols_share_no_mean_and_a_failure_goes_to_the_one_that_it_fits():
    a = record("a", figures={"psnr": 20.0}, protocol=PROTOCOL | {"cameras": "transferred"})
    b = record("b", figures={"psnr": 30.0}, protocol=PROTOCOL | {"cameras": "aligned"})
    found = table(a, b, failed("c", protocol={"cameras": "aligned"}))
    assert {row.variant: (len(row.ok), len(row.failed)) for row in found.rows} == {
        "cameras transferred": (1, 0),
        "cameras aligned": (1, 1),
    }
    assert found.best("psnr", "scenes") == [] and "cameras" not in found.protocol


def test_the_best_is_marked_only_among_rows_of_the_same_scenes():
    rows = [
        record(s, m, figures={"psnr": v})
        for s, m, v in (("a", "x", 20), ("b", "x", 22), ("a", "y", 25), ("b", "y", 21))
    ]
    found = table(*rows)
    assert [row.method for row in found.best("psnr", "scenes")] == ["y"] and found.notes == ()
    uneven = table(*rows[:3])
    assert uneven.best("psnr", "scenes") == [] and "not on b" in uneven.notes[0]


def test_published_rows_appear_only_under_their_data_set_views_and_whole_protocol():
    protocol = {"frames": "re10k_2ctx_3tgt", "size": "256x256", "cameras": "given", "seed": "1"}
    ours = Record("nvs", "RE10K", "s", 2, "ilrm", "ok", figures={"psnr": 28.0}, protocol=protocol)
    shown = table(ours).published
    assert {row.method for row in shown} >= {"MVSplat", "iLRM (2,F,F)"} and len(shown) == 5
    assert all(row.method not in {r.method for r in table(ours).rows} for row in shown)
    for other in (
        Record("nvs", "RE10K", "s", 3, "ilrm", "ok", protocol=protocol),
        Record("nvs", "dl3dv", "s", 2, "ilrm", "ok", protocol=protocol),
        Record("nvs", "re10k", "s", 2, "ilrm", "ok", protocol=protocol | {"cameras": "aligned"}),
        Record("nvs", "re10k", "s", 2, "ilrm", "ok"),
    ):
        assert table(other).published == ()


def test_every_published_row_has_a_source_and_figures_that_are_known():
    assert len(published()) == 12
    for row in published():
        assert "arXiv" in row.source and row.protocol.keys() == {"frames", "size", "cameras"}
        assert row.figures.keys() <= FIGURES.keys()


def test_names_of_figures_are_taken_apart():
    assert parts_of("auc_exact_sign_free_5") == ("auc_exact_sign_free", "5", "")
    assert parts_of("delta_1") == ("delta_1", "", "") and parts_of("f_score_0.05") == ("f_score", "0.05", "")
    assert parts_of("psnr_aligned") == ("psnr", "", "aligned")
    assert figure("psnr_aligned").label == "PSNR, aligned" and figure("auc_30").label == "AUC@30°"
    assert columns("nvs", {"psnr_aligned", "psnr_transferred", "mystery"}) == [
        ("psnr_transferred", "scenes"),
        ("psnr_aligned", "scenes"),
    ]
    assert {parts_of(name)[0] for row in COLUMNS.values() for name, _ in row} <= FIGURES.keys()
    assert all(known.because for known in FIGURES.values())
