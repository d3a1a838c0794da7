"""A fresh Ready counts once the guest greets on port 22; an old one, and one without a network, at once."""

import threading

import pytest

from skerry.host import login
from skerry.host.login import LoginWatch


class Guest:
    """Greets once told to."""

    def __init__(self) -> None:
        self.greeting = False
        self.asked = threading.Event()
        self.changed = threading.Event()

    def greets(self, port: str, tcp_port: int) -> bool:
        assert (port, tcp_port) == ("nic", 22)
        self.asked.set()
        return self.greeting


def test_a_fresh_ready_waits_for_the_greeting() -> None:
    guest = Guest()
    watch = LoginWatch(guest.greets, guest.changed.set)
    assert watch.health("vm", "nic", "pending") == "pending"
    assert watch.health("vm", "nic", "ready") == "pending"
    assert guest.asked.wait(10)
    assert watch.health("vm", "nic", "ready") == "pending"
    guest.greeting = True
    assert guest.changed.wait(10)
    assert watch.health("vm", "nic", "ready") == "ready"


def test_a_guest_that_was_ready_before_stays_so() -> None:
    guest = Guest()
    assert LoginWatch(guest.greets, guest.changed.set).health("vm", "nic", "ready") == "ready"
    assert not guest.asked.is_set()


def test_a_failure_and_a_guest_without_network_do_not_wait() -> None:
    guest = Guest()
    watch = LoginWatch(guest.greets, guest.changed.set)
    watch.health("vm", None, "pending")
    assert watch.health("vm", "nic", "failed") == "failed"
    assert watch.health("vm", None, "ready") == "ready"


def test_a_guest_without_ssh_is_ready_after_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "WAIT_SECONDS", 0.05)
    guest = Guest()
    watch = LoginWatch(guest.greets, guest.changed.set)
    watch.health("vm", "nic", "pending")
    watch.health("vm", "nic", "ready")
    assert guest.changed.wait(10)
    assert watch.health("vm", "nic", "ready") == "ready"


def test_a_guest_that_is_known_to_let_people_in_is_ready_at_once() -> None:
    guest = Guest()
    watch = LoginWatch(guest.greets, guest.changed.set)
    watch.health("vm", "nic", "pending")
    watch.trust("vm")
    assert watch.health("vm", "nic", "ready") == "ready"
    assert not guest.asked.is_set()
