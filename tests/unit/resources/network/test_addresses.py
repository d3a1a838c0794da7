"""Addresses and prefixes."""

from ipaddress import IPv4Address, IPv4Network
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.arm.errors import BadRequest
from skerry.resources.network import addresses
from skerry.resources.network.addresses import PUBLIC_POOL, capacity, free_addresses, free_public_address, is_reserved


@given(st.integers(0, 255), st.integers(26, 29), st.sets(st.integers(0, 63)))
def test_free_addresses_are_those_that_are_neither_reserved_nor_taken(third: int, length: int, taken: set[int]) -> None:
    subnet = IPv4Network(f"10.0.{third}.0/{length}")
    used = {f"10.0.{third}.{number}" for number in taken}
    found = list(free_addresses(subnet, used))
    assert found == [str(a) for a in subnet if not is_reserved(a, subnet) and str(a) not in used]
    assert len(list(free_addresses(subnet, set()))) == capacity(subnet)


def test_the_largest_subnet_is_not_listed_to_find_one_address() -> None:
    assert list(islice(free_addresses(IPv4Network("10.0.0.0/8"), {"10.0.0.4"}), 2)) == ["10.0.0.5", "10.0.0.6"]


def test_public_addresses_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "PUBLIC_POOL", IPv4Network("127.64.0.0/30"))
    taken: set[str] = set()
    for _ in range(3):
        taken.add(free_public_address(taken.__contains__, "sub"))
    assert taken == {"127.64.0.1", "127.64.0.2", "127.64.0.3"}
    with pytest.raises(BadRequest) as caught:
        free_public_address(taken.__contains__, "sub")
    assert caught.value.code == "PublicIPAddressPoolExhausted"


@given(st.sets(st.integers(0, 20)), st.integers(0, 12))
def test_a_free_public_address_is_found_with_few_questions(holes: set[int], many: int) -> None:
    first = int(IPv4Address(free_public_address(lambda _: False, "sub")))
    taken = {str(IPv4Address(first + number)) for number in range(1 << many) if number not in holes}
    asked: list[str] = []
    found = free_public_address(lambda address: asked.append(address) or address in taken, "sub")  # type: ignore[func-returns-value]
    assert found not in taken
    assert int(IPv4Address(found)) <= first + (1 << many)
    assert len(asked) <= 2 * many + 3


def test_two_installations_begin_elsewhere() -> None:
    assert free_public_address(set[str]().__contains__, "one") != free_public_address(set[str]().__contains__, "other")


def test_the_pool_is_loopback() -> None:
    assert all(address.is_loopback for address in (PUBLIC_POOL[0], PUBLIC_POOL[-1]))
    assert IPv4Address("127.0.0.1") not in PUBLIC_POOL
