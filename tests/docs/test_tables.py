"""The tables that are made from the code are those of today's code, and have no empty cell."""

from __future__ import annotations

import pytest

from tests.docs.markdown import table
from tests.docs.tables import TABLES, Table


@pytest.mark.parametrize("one", TABLES, ids=lambda each: each.name)
def test_a_table_is_as_its_command_writes_it(one: Table) -> None:
    text = one.page.read_text()
    assert text == one.written(text), "run python -m tests.docs.tables"
    empty = [row for row in table(text, one.columns[0]) if not all(row.values())]
    assert empty == []
