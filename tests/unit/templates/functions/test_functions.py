"""Every function by its example: the right-hand sides are those of Azure's reference where that has one."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skerry.templates.errors import Fault, TemplateError
from skerry.templates.evaluate import evaluate_text
from skerry.templates.expression import Literal
from skerry.templates.frame import Clock, Frame
from skerry.templates.functions.registry import _TABLE
from skerry.templates.names import TemplateNames
from skerry.templates.scope import Scope
from skerry.templates.template import load_template
from skerry.templates.values import same

Value = Callable[..., Any]
GROUP = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg1"
ABC = "createArray('a', 'b', 'c')"
UNITED = {"One": 1, "two": {"b": [True], "c": 2}, "three": 3}
OBJECT = """json('{"One": 1, "two": {"b": [true]}}')"""

EXAMPLES: list[tuple[str, Any]] = [
    # logical
    ("if(true(), 'yes', div(1, 0))", "yes"),
    ("if(false(), div(1, 0), 'no')", "no"),
    ("and(true(), true(), false())", False),
    ("or(false(), true())", True),
    ("not(equals(1, 2))", True),
    ("null()", None),
    ("coalesce(null(), 'x', div(1, 0))", "x"),
    ("coalesce(null())", None),
    ("bool('True')", True),
    ("bool(0)", False),
    ("bool(' 1 ')", True),
    ("equals('a', 'A')", False),
    ("equals(1, '1')", False),
    ("equals(1, true())", False),
    (f"equals({ABC}, {ABC})", True),
    (f"equals({OBJECT}, json('{{\"two\": {{\"b\": [true]}}, \"One\": 1}}'))", True),
    (f"equals({OBJECT}, json('{{\"one\": 1, \"two\": {{\"b\": [true]}}}}'))", False),
    ("less(1, 2)", True),
    ("lessOrEquals(2, 2)", True),
    ("greater('b', 'a')", True),
    ("greaterOrEquals(1, 2)", False),
    # numeric
    ("add(1, -3)", -2),
    ("sub(1, 3)", -2),
    ("mul(4, 5)", 20),
    ("div(-7, 2)", -3),
    ("mod(-7, 2)", -1),
    ("mod(7, -2)", 1),
    ("int('-42')", -42),
    ("int(json('7.0'))", 7),
    ("min(3, 1, 2)", 1),
    ("max(createArray(3, 1, 2))", 3),
    # collections
    ("concat('a', 1, true())", "a1True"),
    ("concat('x')", "x"),
    ("concat(createArray(1), createArray('b', 3))", [1, "b", 3]),
    ("array('x')", ["x"]),
    (f"array({ABC})", ["a", "b", "c"]),
    ("createArray()", []),
    ("createObject('a', 1, 'b', null())", {"a": 1, "b": None}),
    ("range(5, 3)", [5, 6, 7]),
    ("range(5, 0)", []),
    ("length('abc')", 3),
    (f"length({OBJECT})", 2),
    ("empty('')", True),
    ("empty(null())", True),
    ("empty(createArray(1))", False),
    ("contains('abc', 'B')", False),
    ("contains('a1c', 1)", True),
    (f"contains({ABC}, 'b')", True),
    (f"contains({ABC}, 'B')", False),
    (f"contains({OBJECT}, 'ONE')", True),
    ("first('abc')", "a"),
    ("first('')", ""),
    ("last(createArray(1, 2))", 2),
    ("last(createArray())", None),
    (f"skip({ABC}, 2)", ["c"]),
    ("skip('abc', -1)", "abc"),
    ("take('abc', 9)", "abc"),
    (f"take({ABC}, 1)", ["a"]),
    ("indexOf('test', 'T')", 0),
    ("indexOf('abc', 'x')", -1),
    (f"indexOf({ABC}, 'c')", 2),
    ("lastIndexOf('test', 'T')", 3),
    ("lastIndexOf(createArray(1, 2, 1), 1)", 2),
    ("union(createArray(1, 'a', 1), createArray('a', true(), 2))", [1, "a", True, 2]),
    ("union(createArray(createArray(1)), createArray(createArray(1), createArray(2)))", [[1], [2]]),
    (f"union({OBJECT}, json('{{\"two\": {{\"c\": 2}}, \"three\": 3}}'))", UNITED),
    ("intersection(createArray(1, 2, 3), createArray(3, 2))", [2, 3]),
    (f"intersection({OBJECT}, json('{{\"One\": 1, \"two\": {{\"b\": []}}}}'))", {"One": 1, "two": {}}),
    ("items(createObject('b', 1, 'a', 2))", [{"key": "a", "value": 2}, {"key": "b", "value": 1}]),
    ("objectKeys(createObject('b', 1, 'a', 2))", ["a", "b"]),
    ("flatten(createArray(createArray(1), createArray(), createArray(2, 3)))", [1, 2, 3]),
    (f"tryGet({OBJECT}, 'TWO', 'b', 0)", True),
    (f"tryGet({OBJECT}, 'three', 'b')", None),
    (f"tryGet({ABC}, 3)", None),
    # strings
    ("string(createArray(1, 'é', createObject('a', null())))", '[1,"é",{"a":null}]'),
    ("string(12)", "12"),
    ("string(false())", "False"),
    ("toLower('AbC')", "abc"),
    ("toUpper('AbC')", "ABC"),
    ("trim('  a b ')", "a b"),
    ("startsWith('abcdef', 'AB')", True),
    ("endsWith('abcdef', 'EF')", True),
    ("substring('one two three', 4, 3)", "two"),
    ("substring('abc', 1)", "bc"),
    ("substring('abc', 3, 0)", ""),
    ("replace('123-123', '-', '')", "123123"),
    ("split('one,two', ',')", ["one", "two"]),
    ("split('a;b,c', createArray(';', ','))", ["a", "b", "c"]),
    ("split('a.b', '.')", ["a", "b"]),
    ("split('ab', '')", ["ab"]),
    ("join(createArray('a', 1, true()), '-')", "a-1-True"),
    ("padLeft('123', 10, '0')", "0000000123"),
    ("padLeft(7, 3)", "  7"),
    ("padLeft('long', 2, '0')", "long"),
    ("uniqueString('tyeth')", "zcztcwvu6iyg6"),
    ("uniqueString('hello', 'world')", "a7wkljktk6wne"),
    ("uniqueString('test')", "rbgf3xv4ufgzg"),
    ("uniqueString('/subscriptions/00000000-0000-0000-0000-000000000000', 'resource-id')", "cwvxuqg24sifi"),
    ("guid('a', 'b')", str(uuid.uuid5(uuid.UUID("11fb06fb-712d-4ddd-98c7-e71bbd588830"), "a-b"))),
    # format
    ("format('Hello, {0}. {1}', 'user', true())", "Hello, user. True"),
    ("format('{{{0}}}', 1)", "{1}"),
    ("format('{0:00}/{0:D4}/{0:X}/{0:x4}/{0:N0}', 1234)", "1234/1234/4D2/04d2/1,234"),
    ("format('{0:00}', 7)", "07"),
    ("format('{0:000}', -7)", "-007"),
    ("format('{0,5}|{0,-5}|', 'ab')", "   ab|ab   |"),
    ("format('{0:0.##}', json('1.5'))", "1.5"),
    ("format('{0:#,##0.00}', json('1234567.891'))", "1,234,567.89"),
    ("format('{0:F1}', json('2.25'))", "2.3"),
    ("format('{0:#}', 0)", ""),
    ("format('{0:N}', -1234)", "-1,234.00"),
    ("format('{0:X}', -1)", "FFFFFFFF"),
    ("format('{0:00}', 'text')", "text"),
    # encoding
    ("json('{\"a\": [1, 2.5, null]}')", {"a": [1, 2.5, None]}),
    ("base64('one, two')", "b25lLCB0d28="),
    ("base64ToString('b25lLCB0d28=')", "one, two"),
    ("base64ToJson(base64('{\"a\": 1}'))", {"a": 1}),
    ("dataUri('Hello')", "data:text/plain;charset=utf8;base64,SGVsbG8="),
    ("dataUriToString('data:;base64,SGVsbG8sIFdvcmxkIQ==')", "Hello, World!"),
    ("dataUriToString('data:,a%20b')", "a b"),
    ("uri('http://contoso.org/firstpath', 'myscript.sh')", "http://contoso.org/myscript.sh"),
    ("uri('http://contoso.org/firstpath/', 'myscript.sh')", "http://contoso.org/firstpath/myscript.sh"),
    ("uriComponent('http://a/b c?d')", "http%3A%2F%2Fa%2Fb%20c%3Fd"),
    ("uriComponentToString('http%3A%2F%2Fa')", "http://a"),
    # dates
    ("dateTimeAdd('2020-04-07 14:53:14Z', 'P3Y')", "4/7/2023 2:53:14 PM"),
    ("dateTimeAdd('2020-04-07 14:53:14Z', '-P9D', 'yyyy-MM-dd')", "2020-03-29"),
    ("dateTimeAdd('2020-04-07T14:53:14+02:00', 'PT1H', 'yyyyMMddTHHmmssZ')", "20200407T135314Z"),
    ("dateTimeAdd('2020-04-07 14:53:14Z', 'PT0S', 'ddd d MMM yy ''at'' h.m.s tt ff')", "Tue 7 Apr 20 at 2.53.14 PM 00"),
    ("dateTimeToEpoch('1970-01-02T00:00:00Z')", 86400),
    ("dateTimeFromEpoch(86400)", "1970-01-02T00:00:00Z"),
    # resources
    ("resourceId('My.X/a', 'n')", f"{GROUP}/providers/My.X/a/n"),
    ("resourceId('My.X/a/b', 'n', 'm')", f"{GROUP}/providers/My.X/a/n/b/m"),
    ("resourceId('other', 'My.X/a', 'n')", f"{GROUP[:-3]}other/providers/My.X/a/n"),
    ("resourceId('sub2', 'other', 'My.X/a', 'n')", "/subscriptions/sub2/resourceGroups/other/providers/My.X/a/n"),
    ("resourceId('My.X/a', 'with/slash')", f"{GROUP}/providers/My.X/a/with/slash"),
    ("subscriptionResourceId('My.X/a', 'n')", f"{GROUP[:-19]}/providers/My.X/a/n"),
    ("subscriptionResourceId('sub2', 'My.X/a', 'n')", "/subscriptions/sub2/providers/My.X/a/n"),
    ("tenantResourceId('My.X/a/b', 'n', 'm')", "/providers/My.X/a/n/b/m"),
    ("extensionResourceId('/x/', 'My.Y/lock', 'l')", "/x/providers/My.Y/lock/l"),
    ("resourceGroup().ID", GROUP),
    ("resourceGroup().tags['owner']", "me"),
    ("subscription().tenantId", "22222222-2222-2222-2222-222222222222"),
    ("tenant().tenantId", "22222222-2222-2222-2222-222222222222"),
    ("environment().name", "Skerry"),
    ("providers('Microsoft.Compute', 'disks').apiVersions[0]", "2024-03-02"),
    ("providers('Microsoft.Compute').resourceTypes[0].locations[0]", "local"),
    ("deployment().name", "dep1"),
    ("deployment().properties.mode", "Incremental"),
    ("deployment().properties.template.contentVersion", "1.0.0.0"),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "expected"), EXAMPLES, ids=[expression for expression, _ in EXAMPLES])
def test_example(value: Value, expression: str, expected: Any) -> None:
    result = value(expression)
    assert result == expected
    assert type(result) is type(expected)


REFUSALS: list[tuple[str, str]] = [
    ("if('true', 1, 2)", "expects a boolean"),
    ("bool('maybe')", "neither 'true' nor 'false'"),
    ("less(1, 'a')", "compares two integers or two strings"),
    ("add(1, true())", "expects an integer"),
    ("add(9223372036854775807, 1)", "does not fit into 64 bits"),
    ("div(sub(-9223372036854775807, 1), -1)", "does not fit into 64 bits"),
    ("div(1, 0)", "divides by zero"),
    ("mod(1, 0)", "divides by zero"),
    ("int('1.5')", "is not an integer"),
    ("int(json('1.5'))", "expects a string or an integer"),
    ("min()", "takes at least 1 argument"),
    ("min(createArray())", "at least one integer"),
    ("concat('a', createArray(1))", "either arrays only or strings"),
    ("concat('a', null())", "either arrays only or strings"),
    ("createObject('a')", "the last key has no value"),
    ("range(0, 10001)", "between 0 and 10000"),
    ("range(2147483647, 1)", "fit into 32 bits"),
    ("length(1)", "expects a string, an array or an object"),
    ("contains(1, 1)", "expects a string, an array or an object"),
    ("union(createArray(), createObject())", "either arrays only or objects only"),
    ("substring('abc', 2, 2)", "must lie within the string"),
    ("substring('abc', -1)", "must lie within the string"),
    ("split('a', split(padLeft('', 200, ','), ','))", "at most 100 delimiters"),
    ("replace('a', '', 'b')", "to be replaced is empty"),
    ("padLeft('a', 2, '')", "must be one character"),
    ("padLeft('a', 1048577)", "characters long"),
    ("format('{0} {1}', 1)", "asks for argument 1"),
    ("format('{', 1)", "stray brace"),
    ("format('{0:yyyy}', 1)", "number format 'yyyy' is not supported"),
    ("format('{0,99999999}', 1)", "characters long"),
    ("json('{')", "not valid JSON"),
    ("base64ToString('%')", "not the base 64"),
    ("uri('relative', 'x')", "not absolute"),
    ("dateTimeAdd('yesterday', 'P1D')", "not a time in ISO 8601"),
    ("dateTimeAdd('2020-01-01', 'P')", "not a duration in ISO 8601"),
    ("dateTimeAdd('2020-01-01', 'P9999Y')", "beyond the year 9999"),
    ("resourceId('My.X/a/b', 'n')", "the type 'My.X/a/b' requires '2' resource name argument(s)"),
    ("resourceId('a', 'n')", "no argument is a fully qualified resource type"),
    ("providers('My.Nothing', 'x')", "'My.Nothing/x' is not known here"),
    ("reference('t')", "is not expected here"),
    ("copyIndex()", "where a copy loop is specified"),
    ("copyIndex('loop')", "the copy loop 'loop' is not around"),
    ("utcNow()", "only in the default value of a parameter"),
    ("newGuid()", "only in the default value of a parameter"),
    ("nosuch('a')", "The template function 'nosuch' is not valid"),
    ("my.nosuch('a')", "The template function 'my.nosuch' is not valid"),
    ("map(createArray(1), 1)", "The template function 'map' is not valid"),
    ("listKeys('a', '2024-01-01')", "The template function 'listKeys' is not supported"),
    ("variables('v')", "the template variable 'v' is not found"),
    ("parameters('p')", "the template parameter 'p' is not found"),
    ("createObject('a', 1).b", "property 'b' doesn't exist, available properties are 'a'"),
    ("createArray(1)[1]", "array index '1' is out of bounds"),
    ("string(1).a", "property 'a' cannot be taken from a value of type 'String'"),
    ("toLower('a', 'b')", "takes 1 argument(s), and 2 were given"),
]


@pytest.mark.parametrize(("expression", "problem"), REFUSALS, ids=[expression for expression, _ in REFUSALS])
def test_refusal(value: Value, expression: str, problem: str) -> None:
    with pytest.raises(TemplateError) as caught:
        value(expression)
    assert caught.value.code == "InvalidTemplate"
    assert problem in caught.value.message
    assert f"'[{expression}]' in 'resources[0].kind' at offset" in caught.value.message
    assert caught.value.target == "resources[0].kind"


def test_names_of_functions_and_of_what_they_look_up_have_no_case(value: Value) -> None:
    assert value("TOLOWER(Variables('V').Name)", variables={"v": {"nAME": "X"}}) == "x"


def test_secrets_are_not_in_messages(value: Value) -> None:
    secret = {"p": {"value": "S3cret-pa55word"}}
    for call in ("int(parameters('p'))", "json(parameters('p'))", "parameters('p').x", "bool(parameters('p'))"):
        with pytest.raises(TemplateError) as caught:
            value(call, secret, parameters={"p": {"type": "securestring"}})
        assert "S3cret" not in caught.value.message


INTEGERS = st.integers(-(2**63), 2**63 - 1)


def _expected(name: str, left: int, right: int) -> int | None:
    if name in ("div", "mod") and right == 0:
        return None
    quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1) if right else 0
    result = {
        "add": left + right,
        "sub": left - right,
        "mul": left * right,
        "div": quotient,
        "mod": left - quotient * right,
    }[name]
    return result if -(2**63) <= result < 2**63 else None


@given(
    st.sampled_from(["add", "sub", "mul", "div", "mod"]), INTEGERS | st.integers(-9, 9), INTEGERS | st.integers(-9, 9)
)
def test_arithmetic_agrees_with_python(name: str, left: int, right: int) -> None:
    expected = _expected(name, left, right)
    try:
        assert _TABLE[name].call(left, right) == expected
    except Fault:
        assert expected is None


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False).map(lambda x: x + 0.0)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def _frame(scope: Scope, values: list[Any]) -> Frame:
    """A frame in which `parameters('0')`, `parameters('1')`, … are the values."""
    kinds = {str: "string", bool: "bool", int: "int", list: "array", dict: "object"}
    named = {str(index): value for index, value in enumerate(values) if type(value) in kinds}
    template = {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1",
        "parameters": {name: {"type": kinds[type(value)]} for name, value in named.items()},
        "variables": {str(index): value for index, value in enumerate(values) if str(index) not in named},
        "resources": [],
    }
    clock = Clock()
    names = TemplateNames(
        load_template(template), {name: {"value": value} for name, value in named.items()}, scope, clock
    )
    return Frame(scope, names, clock)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400)
@given(st.sampled_from(sorted(_TABLE)), st.lists(ANYTHING, max_size=4))
def test_any_call_gives_a_value_or_a_template_error(scope: Scope, name: str, values: list[Any]) -> None:
    frame = _frame(scope, values)
    known = {str(index) for index, value in enumerate(values) if value is not None and not isinstance(value, float)}
    words = [f"parameters('{i}')" if str(i) in known else f"variables('{i}')" for i in range(len(values))]
    text = f"[{name}({', '.join(words)})]"
    try:
        evaluate_text(text, frame, "here")
    except TemplateError as error:
        assert error.target == "here"
        assert text in error.message


@given(st.text(alphabet="{}0123,:DNXFG#.- a", max_size=20), st.lists(ANYTHING, max_size=3))
def test_any_format_gives_text_or_a_fault(pattern: str, values: list[Any]) -> None:
    try:
        assert isinstance(_TABLE["format"].call(pattern, *values), str)
    except Fault as fault:
        assert fault.message


def test_a_printed_literal_evaluates_to_itself(value: Value) -> None:
    for text in ("it's", "", "[x]", "{0}"):
        assert value(str(Literal(text))) == text


@given(st.lists(ANYTHING, max_size=6), st.lists(ANYTHING, max_size=6))
def test_sets_of_values_agree_with_sameness(left: list[Any], right: list[Any]) -> None:
    united = _TABLE["union"].call(left, right)
    assert all(any(same(item, other) for other in united) for item in left + right)
    assert not any(same(item, other) for index, item in enumerate(united) for other in united[:index])
    common = _TABLE["intersection"].call(left, right)
    assert all(contained(common, item) == contained(right, item) for item in left)


def contained(items: list[Any], sought: Any) -> bool:
    return any(same(item, sought) for item in items)
