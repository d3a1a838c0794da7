"""Printing: no control character reaches a terminal, whoever wrote it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.cli.app import _say
from skerry.cli.output import Output, printable, table
from skerry.cli.progress import Progress


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


NASTY = [
    "\x1b]0;new title\x07",
    "\x1b[2J\x1b[H\x1b[31mred",
    "\x9b31mC1 control sequence",
    "\x1bP+q544e\x1b\\",
    "\x1b]52;c;cm0gLXJm\x07",
    "line\rover",
    "back\x08space\x7f",
    "\u202egnp.exe\u2066",
    "line\u2028paragraph\u2029",
    "\u200b\ufeff\U000e0041",
    "\x00\x0e\x0f",
]


@pytest.mark.parametrize("text", NASTY, ids=ascii)
def test_what_a_guest_wrote_cannot_steer_a_terminal(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = {"message": text, text: [text]}
    Output("json").show(data, [])
    shown = capsys.readouterr()
    assert json.loads(shown.out) == data
    Output("table").show(data, [{"Name": text, text: text}])
    Output("table", "message").show(data, [])
    with Progress(text) as progress:
        progress.phase(text)
    _say(text, 1)
    everything = capsys.readouterr()
    for output in (shown.out, everything.out, everything.err):
        assert output.replace("\n", "").isprintable()
