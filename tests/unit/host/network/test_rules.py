import pytest

from skerry.host.network.rules import render
from skerry.hostspec import NsgSpec, PortSpec, SecurityRule, SubnetSpec, VnetSpec

RULE = SecurityRule(
    "web", 100, "Inbound", "Allow", "Tcp", ("Internet",), ((0, 65535),), ("10.0.0.4",), ((80, 80), (443, 444))
)


def port(number: int, nsg: str | None = None) -> PortSpec:
    return PortSpec(f"{number:08x}aa", "vm", f"52-54-00-00-00-{number:02X}", f"10.0.0.{number}", "s", "h", nsg)


def vnet(*ports: PortSpec, rules: tuple[SecurityRule, ...] = (RULE,), subnet_nsg: str | None = None) -> VnetSpec:
    subnets = (SubnetSpec("s", "10.0.0.0/24", subnet_nsg),)
    return VnetSpec("0123456789", ("10.0.0.0/16",), subnets, (NsgSpec("n", rules),), ports)


def line(text: str, containing: str) -> str:
    return next(line.strip() for line in text.splitlines() if containing in line)


def test_one_chain_per_group_and_direction_however_many_nics_use_it() -> None:
    one, many = (render(vnet(*(port(n, nsg="n") for n in range(4, last))))[1] for last in (5, 50))
    assert one.count("chain g_") == many.count("chain g_") == 2
    assert many.count("jump g_") == 2 * 46


def test_a_rule_becomes_one_line() -> None:
    _, text = render(vnet(port(4)))
    wanted = line(text, "ip daddr 10.0.0.4 ")
    assert wanted.startswith("meta l4proto { 6 } ip saddr @a_")
    assert wanted.endswith(" return")
    assert "elements = { 80, 443-444 }" in text
    internet = (
        "0.0.0.0-9.255.255.255, 10.1.0.0-168.63.129.15, 168.63.129.17-169.253.255.255, 169.255.0.0-255.255.255.255"
    )
    assert internet in text


def test_ports_are_known_by_name_mac_and_address() -> None:
    _, text = render(vnet(port(4)))
    assert '"t-00000004" . 52:54:00:00:00:04 . 10.0.0.4' in line(text, "set senders")
    assert '"t-00000004" . 0x525400000004' in line(text, "set hardware")


def test_a_missing_group_drops() -> None:
    _, text = render(vnet(port(4, nsg="gone"), subnet_nsg="n"))
    assert '"t-00000004" : drop' in line(text, "map nic_in")
    assert '"t-00000004" : jump g_' in line(text, "map subnet_out")


def test_a_rule_that_matches_nothing_is_left_out() -> None:
    unknown = SecurityRule("x", 1, "Inbound", "Allow", "Tcp", ("Storage",), ((0, 65535),), ("*",), ((22, 22),))
    _, text = render(vnet(port(4), rules=(unknown,)))
    assert "th dport 22" not in text


def test_the_fingerprint_is_of_the_content() -> None:
    first, again = render(vnet(port(4)))[0], render(vnet(port(4)))[0]
    assert first == again
    assert first != render(vnet(port(5)))[0]
    assert f"chain {first} " in render(vnet(port(4)))[1]


@pytest.mark.parametrize(
    "field", [{"mac": "52:54"}, {"mac": "x } drop"}, {"address": "1.2.3.4 . x"}, {"address": "::1"}]
)
def test_what_is_no_address_never_reaches_nft(field: dict[str, str]) -> None:
    values = {"mac": "52:54:00:00:00:01", "address": "10.0.0.4", **field}
    bad = PortSpec("0000000400", "vm", values["mac"], values["address"], "s", "h")
    with pytest.raises(ValueError, match=r"."):
        render(vnet(bad))
