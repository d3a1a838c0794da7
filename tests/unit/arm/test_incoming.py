"""Paths, queries, hosts and media types: what they mean, and what is refused because it can't mean one thing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.arm import incoming
from skerry.arm.errors import ArmError, BadRequest


def test_a_path_is_cut_before_it_is_decoded() -> None:
    assert incoming.segments({"raw_path": b"//a/b%20c/d%C3%A9%3F/"}) == ("a", "b c", "dé?")


def test_a_server_without_raw_paths_does_too() -> None:
    assert incoming.segments({"path": "/a/b c"}) == ("a", "b c")


@pytest.mark.parametrize(
    "path",
    [b"/a%2Fb", b"/a%2fb", b"/..", b"/%2e%2e/x", b"/./x", b"/a%00", b"/a%0a", b"/%ff", b"/" + b"x" * 600, b"/a%5Cb"],
)
def test_a_path_that_can_mean_two_things_is_refused(path: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        incoming.segments({"raw_path": path})
    assert caught.value.code == "InvalidRequestUri"


def test_query_names_match_without_case() -> None:
    assert incoming.query(b"API-Version=1&$top=2&x=&$TOP=2") == {"api-version": "1", "$top": "2", "x": ""}


@pytest.mark.parametrize(
    "text", [b"a=1&A=2", b"a=%ff", b"a=\xff", b"a=%00", b"&".join(b"a%d=1" % i for i in range(99))]
)
def test_a_query_that_can_mean_two_things_is_refused(text: bytes) -> None:
    with pytest.raises(BadRequest):
        incoming.query(text)


@pytest.mark.parametrize("host", ["localhost", "localhost:8443", "127.0.0.1:1", "[::1]:8443", "a-b.example", None])
def test_links_begin_with_the_host_that_was_asked(host: str | None) -> None:
    assert incoming.base_url("https", host) == f"https://{host or 'localhost'}"


@pytest.mark.parametrize("host", ["", "[", "a b", "a/b", "é", "x" * 300, "a:b", "a@b", "a:123456"])
def test_a_host_header_that_names_none_is_refused(host: str) -> None:
    with pytest.raises(BadRequest):
        incoming.base_url("https", host)


@pytest.mark.parametrize(
    "media",
    [
        None,
        "application/json",
        "Application/JSON; charset=utf-8",
        'text/json;charset="UTF-8"',
        "application/merge-patch+json",
    ],
)
def test_json_is_taken(media: str | None) -> None:
    incoming.check_media_type(media)


@pytest.mark.parametrize(
    "media", ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16"]
)
def test_another_media_type_is_refused(media: str) -> None:
    with pytest.raises(incoming.UnsupportedMedia) as caught:
        incoming.check_media_type(media)
    assert (caught.value.status, caught.value.code) == (415, "UnsupportedMediaType")


@given(st.binary(max_size=40), st.binary(max_size=40), st.text(max_size=20))
def test_any_bytes_are_read_or_refused(path: bytes, query: bytes, text: str) -> None:
    for read in (
        lambda: incoming.segments({"raw_path": b"/" + path}),
        lambda: incoming.query(query),
        lambda: incoming.base_url("https", text),
        lambda: incoming.check_media_type(text),
    ):
        try:
            read()
        except ArmError as error:
            assert 400 <= error.status < 500
