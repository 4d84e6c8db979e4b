"""What finding one's way costs by symbols and outline, beside search and read, on a package that is installed."""

from pathlib import Path

import textual.css

from benchmarks.navigation import GOAL, asked, members, ratio, what, where_of, who


async def test_symbols_and_outline_take_far_fewer_tokens_than_search_and_read_for_the_same_answers(tmp_path: Path) -> None:
    questions = (
        who("DeclarationError", "."),
        where_of("Stylesheet", "read_all", "."),
        what("has_source", "."),
        members("Styles", "."),
    )
    rows = await asked(Path(textual.css.__file__).parent, questions, tmp_path)
    assert ratio(rows) <= GOAL
    assert all(row.by_symbols < row.by_search and row.calls_by_symbols <= row.calls_by_search for row in rows)
