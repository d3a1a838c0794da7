"""Who is behind a port, and health that outlives Skerry."""

from pathlib import Path

from skerry.host.guests import GuestHealth, Guests
from skerry.hostspec import VmSpec

VM = VmSpec("vm-1", "web", 1, 1 << 30, (), ("p1", "p2"), ("m1", "m2"), metadata="{}")


def guests(folder: Path | None = None) -> Guests:
    known = Guests(folder)
    known.update([VM])
    return known


def test_ports_lead_to_vms() -> None:
    known = guests()
    assert (known.vm("p2"), known.metadata("p2")) == ("vm-1", "{}")
    assert (known.vm("p3"), known.metadata("p3")) == (None, None)
    known.update([])
    assert known.vm("p2") is None


def test_health_is_kept_for_the_next_skerry(tmp_path: Path) -> None:
    (tmp_path / "vm-1").mkdir()
    guests(tmp_path).report_health("p1", "Ready", "")
    assert guests(tmp_path).health("vm-1") == GuestHealth("ready")


def test_ready_is_final_and_not_ready_is_not() -> None:
    known = guests()
    changes: list[None] = []
    known.changed = lambda: changes.append(None)
    known.report_health("p1", "NotReady", "no DHCP")
    assert known.health("vm-1") == GuestHealth("failed", "no DHCP")
    known.report_health("p1", "Ready", "")
    known.report_health("p1", "NotReady", "too late")
    assert known.health("vm-1") == GuestHealth("ready")
    assert len(changes) == 2


def test_strangers_and_forgotten_guests_leave_no_trace(tmp_path: Path) -> None:
    known = guests(tmp_path)
    known.report_health("p9", "Ready", "")
    known.report_health("p1", "Ready", "")
    assert list(tmp_path.iterdir()) == []
    known.forget("vm-1")
    assert known.health("vm-1") == GuestHealth()


def test_an_unreadable_file_counts_as_pending(tmp_path: Path) -> None:
    (tmp_path / "vm-1").mkdir()
    (tmp_path / "vm-1/health.json").write_text("?")
    assert guests(tmp_path).health("vm-1").health == "pending"


def test_what_a_guest_says_cannot_steer_a_terminal_and_is_told_once() -> None:
    known = guests()
    changes: list[None] = []
    known.changed = lambda: changes.append(None)
    for _ in range(3):
        known.report_health("p1", "NotReady", "no\x1b]0;title\x07\x9b2J\r\nERROR: \u202efake\u2028" + "x" * 5000)
    message = known.health("vm-1").message
    assert message.isprintable()
    assert len(message) == 2000
    assert len(changes) == 1
