"""Printing: no control character reaches a terminal, whoever wrote it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.cli.output import Output, printable, table


@given(st.text())
def test_printable_text_keeps_lines_and_loses_controls(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert not any(c < " " and c not in "\n\t" for c in shown)
    assert not set(shown) & {"\x7f", "\x9b", "\u202e", "\ufeff"}


def test_a_table_has_a_line_per_row() -> None:
    rows: list[dict[str, object]] = [{"Name": "a\nb", "Big": True}, {"Name": None, "Size": 3, "More": {"x": [1]}}]
    assert table(rows).splitlines() == [
        "Name  Big  Size  More",
        "----  ---  ----  ----------",
        "a b   yes",
        '           3     {"x": [1]}',
    ]


def test_json_is_the_data_and_a_query_its_part(capsys: pytest.CaptureFixture[str]) -> None:
    Output("json").show({"a": "é"}, [])
    Output("json", "a").show({"a": "é"}, [])
    assert capsys.readouterr().out == '{\n  "a": "é"\n}\n"é"\n'


def test_an_empty_table_prints_nothing_and_an_empty_list_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    Output("table").show([], [])
    Output("table", "[?x]").show([], [])
    assert capsys.readouterr().out == ""
    Output("json").show([], [])
    assert json.loads(capsys.readouterr().out) == []
