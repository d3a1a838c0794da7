import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.templates.errors import Fault
from skerry.templates.expression import (
    MAX_DEPTH,
    MAX_LENGTH,
    Access,
    Call,
    Index,
    Literal,
    Node,
    Property,
    calls,
    escape,
    is_expression,
    parse,
    unescape,
)

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
LITERALS = st.builds(Literal, st.text(max_size=12) | st.integers(-(2**63), 2**63 - 1))


def _composed(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    names = NAMES | st.builds("{}.{}".format, NAMES, NAMES)
    called = st.builds(Call, names, st.lists(inner, max_size=3).map(tuple))
    steps = st.lists(st.builds(Property, NAMES) | st.builds(Index, inner), min_size=1, max_size=3).map(tuple)
    return called | st.builds(Access, called, steps)


NODES: st.SearchStrategy[Node] = st.recursive(LITERALS, _composed, max_leaves=15)


@given(NODES)
def test_a_printed_tree_parses_back_to_itself(node: Node) -> None:
    assert parse(f"[{node}]") == node


@given(NODES, st.sampled_from(["", " ", "\n\t "]))
def test_space_around_tokens_does_not_matter(node: Node, space: str) -> None:
    assert parse(f"[{space}{node}{space}]") == node


@given(st.text(alphabet="[]()',. ab1-+$\n") | st.text())
def test_any_text_parses_or_is_a_fault_within_it(text: str) -> None:
    whole = f"[{text}]"
    try:
        parse(whole)
    except Fault as fault:
        assert fault.offset is not None
        assert 0 <= fault.offset < len(whole)


@given(st.text())
def test_an_escaped_text_is_no_expression_and_stands_for_itself(text: str) -> None:
    if not text.startswith("[["):
        assert not is_expression(escape(text))
        assert unescape(escape(text)) == text


@pytest.mark.parametrize("text", ["plain", "[[escaped]", "[open", "closed]", "", "[a] and b"])
def test_what_is_not_an_expression(text: str) -> None:
    assert not is_expression(text)


def test_quotes_are_doubled_inside_a_string() -> None:
    assert parse("['it''s']") == Literal("it's")


def test_property_and_index_behind_a_call() -> None:
    steps = (Property("apiVersions"), Index(Literal(0)), Index(Literal("x")))
    assert parse("[providers('A').apiVersions[0]['x']]") == Access(Call("providers", (Literal("A"),)), steps)


@pytest.mark.parametrize(
    ("text", "offset", "problem"),
    [
        ("[]", 1, "found the end of the expression"),
        ("[concat('a']", 11, "expected ',' or ')', found the end of the expression"),
        ("[concat('a'))]", 12, "expected the end of the expression, found ')'"),
        ("[concat('a',)]", 12, "found ')'"),
        ("[concat('a' 'b')]", 12, "expected ',' or ')', found ''b''"),
        ("[concat('a]", 8, "The string literal is not closed"),
        ("[a ? b]", 3, "The character '?' is not expected"),
        ("[name]", 5, "expected '('"),
        ("[f()[0]", 6, "expected ']'"),
        ("[f().1]", 5, "expected 'name'"),
        ("[9223372036854775808]", 1, "does not fit into 64 bits"),
        ("['a'.b]", 4, "expected the end of the expression, found '.'"),
        ("[1.5]", 2, "expected the end of the expression, found '.'"),
    ],
)
def test_a_fault_tells_what_and_at_which_offset(text: str, offset: int, problem: str) -> None:
    with pytest.raises(Fault) as caught:
        parse(text)
    assert problem in caught.value.message
    assert caught.value.offset == offset


def test_nesting_and_length_are_bounded() -> None:
    parse("[" + "f(" * MAX_DEPTH + ")" * MAX_DEPTH + "]")
    for text in ("f(" * 4000 + ")" * 4000, "f()[" * 4000 + "f()" + "]" * 4000):
        with pytest.raises(Fault, match="nested more than"):
            parse(f"[{text}]")
    with pytest.raises(Fault, match="characters long"):
        parse("['" + "x" * MAX_LENGTH + "']")


def test_a_long_chain_of_properties_is_no_nesting() -> None:
    node = parse("[f()" + ".a" * 5000 + "]")
    assert isinstance(node, Access)
    assert len(node.steps) == 5000


def test_all_calls_are_found_outermost_first() -> None:
    assert [call.name for call in calls(parse("[a(b(c()), d()[e()].x)]"))] == ["a", "b", "c", "d", "e"]
