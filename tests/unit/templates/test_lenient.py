import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.templates.errors import TemplateError
from skerry.templates.lenient import MAX_BYTES, MAX_DEPTH, loads

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def refused(text: str) -> str:
    with pytest.raises(TemplateError) as caught:
        loads(text.encode())
    assert caught.value.code == "InvalidRequestContent"
    return caught.value.message


def test_a_deployment_as_az_sends_it() -> None:
    text = """{"properties": {"mode":"Incremental", template: {
        // the user's file, verbatim
        "$schema": "x", /* a comment
        over lines */ 'single': 'it\\'s',
        "url": "http://not-a-comment/*neither*/",
        "multi": "[concat('a',
            'b')]",
        "list": [1, -2.5e3, true, null,],
    }}}"""
    assert loads(text.encode())["properties"] == {
        "mode": "Incremental",
        "template": {
            "$schema": "x",
            "single": "it's",
            "url": "http://not-a-comment/*neither*/",
            "multi": "[concat('a',\n            'b')]",
            "list": [1, -2500.0, True, None],
        },
    }


@given(JSON)
def test_strict_json_reads_as_it_was_written(value: Any) -> None:
    assert loads(json.dumps(value).encode()) == value


@given(JSON)
def test_the_lenient_reader_agrees_with_the_strict_one(value: Any) -> None:
    assert loads(b"// forces the lenient reader\n" + json.dumps(value, indent=1).encode()) == value


@given(st.text(alphabet="{}[]\",:\\/*\n 01eu-.atrue'x") | st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        loads(text.encode())
    except TemplateError as error:
        assert error.code == "InvalidRequestContent"


@given(st.binary(max_size=50))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        loads(data)
    except TemplateError as error:
        assert error.code == "InvalidRequestContent"


def test_a_byte_order_mark_is_skipped() -> None:
    assert loads(b"\xef\xbb\xbf{}") == {}


def test_surrogate_pairs_are_joined_and_lone_ones_refused() -> None:
    assert loads(rb'"\ud83d\ude00"') == "\U0001f600"
    assert "surrogate" in refused(r'"\ud83d"')
    assert "surrogate" in refused(r'["\ude00x"]')


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a": 1,\n "a": 2}', "the key 'a' is there twice, at line 2 and column 2"),
        ('{"a": NaN}', "expected a value, found 'N', at line 1 and column 7"),
        ("[1e999]", "number beyond a double, at line 1 and column 2"),
        ("[9223372036854775808]", "integer beyond 64 bits, at line 1 and column 2"),
        ("[" + "9" * 5000 + "]", "integer beyond 64 bits"),
        ('{"a" 1}', "expected ':' after a key, found '1', at line 1 and column 6"),
        ('{"a": [1 2]}', "expected ',' or ']', found '2', at line 1 and column 10"),
        ('{"a": "x', "a string is not closed, at line 1 and column 7"),
        ("{} {}", "unexpected '{' after the end"),
        ("[1, /* x", "a comment is not closed, at line 1 and column 5"),
        ("[,]", "expected a value, found ','"),
        ('["\\x"]', "the escape '\\x' is not known"),
        ('["\\u12"]', "four hexadecimal digits"),
        ('["\x00"]', "a control character in a string"),
        ("", "found end of text"),
        ("{1: 2}", "expected a key, found '1'"),
    ],
)
def test_a_refusal_says_what_and_where(text: str, problem: str) -> None:
    assert problem in refused(text)


def test_depth_is_bounded() -> None:
    deepest = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    loads(deepest.encode())
    loads(b"/**/" + deepest.encode())
    assert f"more than {MAX_DEPTH} deep, at line 1 and column {MAX_DEPTH + 1}" in refused(f"[{deepest}]")
    assert "deep" in refused('{"a":' * 100_000)


def test_size_and_encoding_are_checked() -> None:
    assert "bytes long" in refused('"' + "x" * MAX_BYTES + '"')
    with pytest.raises(TemplateError, match="byte 1 is not UTF-8"):
        loads(b'"\xff"')
