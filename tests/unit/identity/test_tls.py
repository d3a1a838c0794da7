"""Certificates: strict clients accept them, they are kept while good and renewed when due."""

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from cryptography import x509

from skerry.identity import BrokenState, TlsFiles, ensure_tls, tls


def _shake_hands(files: TlsFiles, name: str) -> str | None:
    """Serve one handshake and connect to it as `name`, with OpenSSL's strictest checks; the protocol agreed on."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(files.cert, files.key)
    client = ssl.create_default_context(cafile=str(files.ca))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            connection, _ = listener.accept()
            try:
                server.wrap_socket(connection, server_side=True).close()
            except OSError:
                connection.close()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            with (
                socket.create_connection(listener.getsockname()) as raw,
                client.wrap_socket(raw, server_hostname=name) as secure,
            ):
                return secure.version()
        finally:
            thread.join()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "skerry.example"])
def test_a_strict_client_accepts_every_name(tmp_path: Path, name: str) -> None:
    assert _shake_hands(ensure_tls(tmp_path, ["skerry.example"]), name) == "TLSv1.3"


def test_a_strict_client_refuses_another_name(tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"other\.example"):
        _shake_hands(ensure_tls(tmp_path), "other.example")


def test_nothing_is_made_anew_without_need(tmp_path: Path) -> None:
    files = ensure_tls(tmp_path)
    before = {path: path.read_bytes() for path in (tmp_path / "tls").iterdir()}
    ensure_tls(tmp_path)
    assert {path: path.read_bytes() for path in (tmp_path / "tls").iterdir()} == before
    assert files.cert in before


def test_keys_are_private(tmp_path: Path) -> None:
    files = ensure_tls(tmp_path)
    assert [oct(path.stat().st_mode & 0o777) for path in (files.key, tmp_path / "tls" / "ca-key.pem")] == ["0o600"] * 2


def test_other_names_make_a_new_leaf_under_the_same_ca(tmp_path: Path) -> None:
    first = ensure_tls(tmp_path)
    ca, cert = first.ca.read_bytes(), first.cert.read_bytes()
    second = ensure_tls(tmp_path, ["10.1.2.3"])
    assert second.ca.read_bytes() == ca
    assert second.cert.read_bytes() != cert
    assert _shake_hands(second, "10.1.2.3")


@pytest.mark.parametrize("damaged", ["cert.pem", "key.pem"])
@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nMIIB", None])
def test_a_damaged_leaf_is_made_anew(tmp_path: Path, damaged: str, content: bytes | None) -> None:
    ensure_tls(tmp_path)
    path = tmp_path / "tls" / damaged
    path.unlink() if content is None else path.write_bytes(content)
    assert _shake_hands(ensure_tls(tmp_path), "localhost")


@pytest.mark.parametrize("damaged", ["ca.pem", "ca-key.pem"])
@pytest.mark.parametrize("content", [b"-----BEGIN", None])
def test_a_damaged_ca_is_never_replaced(tmp_path: Path, damaged: str, content: bytes | None) -> None:
    ensure_tls(tmp_path)
    path = tmp_path / "tls" / damaged
    path.unlink() if content is None else path.write_bytes(content)
    before = {path: path.read_bytes() for path in (tmp_path / "tls").iterdir()}
    with pytest.raises(BrokenState, match=r"ca\.pem"):
        ensure_tls(tmp_path)
    assert {path: path.read_bytes() for path in (tmp_path / "tls").iterdir()} == before


class _Clock(datetime):
    """A datetime whose now() lies `ahead` of the real one."""

    ahead = timedelta()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "_Clock":
        moment = datetime.now(tz) + cls.ahead
        return cls.fromtimestamp(moment.timestamp(), tz)


@pytest.mark.parametrize(("days", "renewed"), [(200, False), (263, False), (266, True), (500, True)])
def test_the_leaf_is_renewed_with_a_third_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, renewed: bool
) -> None:
    before = ensure_tls(tmp_path).cert.read_bytes()
    monkeypatch.setattr(_Clock, "ahead", timedelta(days=days))
    monkeypatch.setattr(tls, "datetime", _Clock)
    assert (ensure_tls(tmp_path).cert.read_bytes() != before) is renewed


def test_certificates_from_after_the_clock_was_set_back_are_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Clock, "ahead", timedelta(days=2))
    with monkeypatch.context() as patch:
        patch.setattr(tls, "datetime", _Clock)
        early = ensure_tls(tmp_path)
        old = x509.load_pem_x509_certificate(early.ca.read_bytes())
    files = ensure_tls(tmp_path)
    authority, leaf = (x509.load_pem_x509_certificate(path.read_bytes()) for path in (files.ca, files.cert))
    assert max(authority.not_valid_before_utc, leaf.not_valid_before_utc) < datetime.now(UTC)
    assert authority.public_key() == old.public_key()
    leaf.verify_directly_issued_by(authority)


def test_the_ca_is_renewed_with_its_key_before_a_leaf_would_outlive_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = x509.load_pem_x509_certificate(ensure_tls(tmp_path).ca.read_bytes())
    monkeypatch.setattr(_Clock, "ahead", timedelta(days=tls.CA_DAYS - tls.LEAF_DAYS + 1))
    monkeypatch.setattr(tls, "datetime", _Clock)
    files = ensure_tls(tmp_path)
    new = x509.load_pem_x509_certificate(files.ca.read_bytes())
    leaf = x509.load_pem_x509_certificate(files.cert.read_bytes())
    assert new.not_valid_after_utc > old.not_valid_after_utc
    assert new.public_key() == old.public_key()
    assert leaf.not_valid_after_utc < new.not_valid_after_utc


def test_the_bundle_is_the_systems_and_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = tmp_path / "system.crt"
    system.write_text("SYSTEM")
    monkeypatch.setattr(tls, "SYSTEM_BUNDLE", system)
    files = ensure_tls(tmp_path / "state")
    assert files.bundle.read_bytes() == b"SYSTEM\n" + files.ca.read_bytes()
    system.unlink()
    assert ensure_tls(tmp_path / "state").bundle.read_bytes() == files.ca.read_bytes()
