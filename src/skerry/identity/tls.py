"""Certificates: a CA of this Skerry's own and the server certificate that it signs.

STATE/tls/ca.pem, ca-key.pem   the CA, P-256, 10 years; made once, so that clients keep trusting it
STATE/tls/cert.pem, key.pem    the leaf, P-256, 397 days; made anew when under a third of its time is left, when
                               the names change or when it is damaged
STATE/tls/ca-bundle.pem        the system's CAs and ours: one file for clients that talk to others as well

Extensions follow RFC 5280 strictly (SKI, AKI, keyUsage, criticality): Python 3.13 and OpenSSL's strict mode,
which az and the SDKs run under, refuse a certificate without them.
"""

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from skerry.identity import files
from skerry.identity.errors import BrokenState

CA_DAYS = 3650
LEAF_DAYS = 397
SYSTEM_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True)
class TlsFiles:
    """Where the PEM files are. `bundle`: what REQUESTS_CA_BUNDLE is set to."""

    ca: Path
    cert: Path
    key: Path
    bundle: Path


@dataclass(frozen=True)
class _Pair:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def ensure_tls(state: Path, names: Sequence[str] = ()) -> TlsFiles:
    """Make or renew what is missing or due under `state`/tls and say where it is. Safe to call at any time.

    `names`: DNS names and IP addresses beyond localhost, 127.0.0.1, ::1 and this machine's host name.
    Raises BrokenState when the CA is damaged: every client trusts it, so it is never replaced unasked.
    """
    folder = state / "tls"
    found = TlsFiles(folder / "ca.pem", folder / "cert.pem", folder / "key.pem", folder / "ca-bundle.pem")
    now = datetime.now(UTC)
    authority = _ensure_ca(found.ca, folder / "ca-key.pem", now)
    wanted = _subject_names(names)
    if not _leaf_serves(found, authority, wanted, now):
        leaf = _make_leaf(authority, wanted, now)
        files.write(found.key, _key_pem(leaf.key))
        files.write(found.cert, _pem(leaf.certificate), 0o644)
    _ensure_bundle(found)
    return found


def _subject_names(names: Sequence[str]) -> tuple[str, ...]:
    host = socket.gethostname().lower()
    return tuple(dict.fromkeys(["localhost", "127.0.0.1", "::1", *([host] if host else []), *names]))


def _ensure_ca(certificate: Path, key: Path, now: datetime) -> _Pair:
    content, key_content = files.read(certificate), files.read(key)
    if content is None and key_content is None:
        return _store_ca(_make_ca(ec.generate_private_key(ec.SECP256R1()), now), certificate, key)
    if content is None or key_content is None:
        missing, kept = (certificate, key) if content is None else (key, certificate)
        raise BrokenState(f"{missing} is missing while {kept} is there. Bring it back, or remove both for a new CA.")
    try:
        pair = _Pair(x509.load_pem_x509_certificate(content), _load_key(key_content))
    except ValueError as error:
        raise BrokenState(
            f"The CA in {certificate.parent} is damaged ({error}). Bring back ca.pem and ca-key.pem, or remove both "
            "for a new CA that every client then has to be told of (`skerry env`)."
        ) from error
    begins, ends = pair.certificate.not_valid_before_utc, pair.certificate.not_valid_after_utc
    if ends - now < timedelta(days=LEAF_DAYS) or begins > now:
        return _store_ca(_make_ca(pair.key, now), certificate, key)
    return pair


def _store_ca(pair: _Pair, certificate: Path, key: Path) -> _Pair:
    files.write(key, _key_pem(pair.key))
    files.write(certificate, _pem(pair.certificate), 0o644)
    return pair


def _leaf_serves(found: TlsFiles, authority: _Pair, wanted: tuple[str, ...], now: datetime) -> bool:
    try:
        leaf = x509.load_pem_x509_certificate(files.read(found.cert) or b"")
        key = _load_key(files.read(found.key) or b"")
        leaf.verify_directly_issued_by(authority.certificate)
        alternative = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, InvalidSignature, x509.ExtensionNotFound):
        return False
    remaining = min(leaf.not_valid_after_utc, authority.certificate.not_valid_after_utc) - now
    return (
        key.public_key() == leaf.public_key()
        and list(alternative) == _general_names(wanted)
        and leaf.not_valid_before_utc <= now
        and remaining >= timedelta(days=LEAF_DAYS) / 3
    )


def _make_ca(key: ec.EllipticCurvePrivateKey, now: datetime) -> _Pair:
    # A serial in the name keeps the CAs of several Skerries apart in a browser's or system's trust store.
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Skerry"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Skerry CA {x509.random_serial_number() % 16**8:08x}"),
        ]
    )
    builder = (
        _builder(name, name, key, now, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
    )
    return _Pair(builder.sign(key, hashes.SHA256()), key)


def _make_leaf(authority: _Pair, names: tuple[str, ...], now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    issuer_key = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        _builder(subject, authority.certificate.subject, key, now, LEAF_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_general_names(names)), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key), critical=False)
    )
    return _Pair(builder.sign(authority.key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    # A day back: nobody must refuse a fresh certificate whose clock is late, or is set back.
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days - 1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_names(names: Sequence[str]) -> list[x509.GeneralName]:
    return [_general_name(name) for name in names]


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _ensure_bundle(found: TlsFiles) -> None:
    system = SYSTEM_BUNDLE.read_bytes() if SYSTEM_BUNDLE.is_file() else b""
    content = system + (b"" if not system or system.endswith(b"\n") else b"\n") + found.ca.read_bytes()
    if files.read(found.bundle) != content:
        files.write(found.bundle, content, 0o644)


def _load_key(content: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(content, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("it is no elliptic-curve key")
    return key


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
