"""What can be chosen by name exists."""

from dataclasses import fields, is_dataclass

import pytest

from recon3d.pipeline import choices

TABLES = {name: table for name, table in vars(choices).items() if name.isupper() and isinstance(table, dict)}
ROWS = [
    pytest.param(row, id=f"{table}-{key}")
    for table, rows in TABLES.items()
    for key, row in rows.items()
    if isinstance(row, choices.Row)
]


def test_the_tables_have_rows():
    assert {"GEOMETRY", "SPLATS"} <= set(TABLES) and len(ROWS) >= 2


@pytest.mark.parametrize("row", ROWS)
def test_every_row_that_can_run_here_resolves_and_the_others_say_why(row: choices.Row):
    reason = row.why_not()
    if reason is not None:
        assert "\n" not in reason and len(reason) > 20
    assert callable(row.load())


@pytest.mark.parametrize("row", ROWS)
def test_every_row_states_a_licence_and_says_what_it_is(row: choices.Row):
    assert is_dataclass(row)
    assert row.licence and row.about
    assert all(getattr(row, field.name) != "" for field in fields(row))


def test_rows_of_networks_state_the_licence_of_their_weights():
    from recon3d.models.weights import table

    rows = [row for t in (choices.GEOMETRY, choices.SPLATS) for row in t.values() if row.weights is not None]
    assert len(rows) >= 15
    for row in rows:
        weights = table()[row.weights]
        assert (row.licence, row.commercial) == (weights.licence, weights.commercial)


def test_published_weights_resolve_and_say_what_they_are():
    from recon3d.models.weights import table

    for key, row in table().items():
        assert callable(row.resolve("network")), key
        assert (row.answer is None) == (row.cost is None)
        for name in ("answer", "cost") if row.answer is not None else ():
            assert callable(row.resolve(name)), key
        assert row.read_config is None or callable(row.resolve("read_config"))
        assert row.repository.count("/") == 1 and row.file and row.licence and row.about


def test_auto_takes_no_weights_that_forbid_commercial_use_unless_it_may():
    from recon3d.pipeline.request import Request, chosen_geometry

    name, rule = chosen_geometry(Request())
    assert choices.GEOMETRY[name].commercial and "any use" in rule
    assert "any use" not in chosen_geometry(Request(allow_noncommercial=True))[1]
