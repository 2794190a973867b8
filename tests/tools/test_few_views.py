"""The tables of the benchmark of few photos, from rows as it finds them."""

from tools.benchmarks.few_views import Row, line, short_table

FOUND = [
    Row("flower", 3, "default", False, 0, None, "–", "the mapper found nothing to start from", None),
    Row("flower", 3, "relaxed", True, 3, (0.441, 1.799), "1.000 of 416", None, 7.2),
    Row("flower", 6, "default", True, 6, (0.06, 0.2), "1.000 of 3100", None, 21.0),
    Row("room", 3, "–", False, 0, None, "–", "no two images overlap", None),
    Row("room", 6, "relaxed", True, 3, None, "1.000 of 86", None, None),
    Row("room", 6, "few views", False, 3, None, "0.987 of 154", None, 25.0),
]


def test_every_attempt_has_a_line_and_a_star_marks_what_a_run_takes():
    assert [line(row) for row in FOUND] == [
        "| flower | 3 | default | 0/3 | – | – | – | refused: the mapper found nothing to start from |  |",
        "| flower | 3 | relaxed * | 3/3 | 0.44 | 1.80 | 1.000 of 416 | accepted | 7 |",
        "| flower | 6 | default * | 6/6 | 0.06 | 0.20 | 1.000 of 3100 | accepted | 21 |",
        "| room | 3 | – | 0/3 | – | – | – | refused: no two images overlap |  |",
        "| room | 6 | relaxed * | 3/6 | no reference | – | 1.000 of 86 | accepted |  |",
        "| room | 6 | few views | 3/6 | no reference | – | 0.987 of 154 | accepted | 25 |",
    ]


def test_the_short_table_has_a_row_for_each_scene_with_what_a_run_takes():
    assert short_table(FOUND).splitlines() == [
        "| scene | 3 photos | 6 photos |",
        "| --- | --- | --- |",
        "| flower | relaxed 3/3, 0.44° / 1.80° | default 6/6, 0.06° / 0.20° |",
        "| room | refused | relaxed 3/6, no reference |",
    ]
