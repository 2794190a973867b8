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
