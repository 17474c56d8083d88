"""Self-signed certificates for a new host, and what is to be said about any certificate (RFC 5280, RFC 6125).

Ours are ECDSA P-256: a TLS 1.3 handshake costs less than with RSA. Neighbours: `new_host` makes one, `inspection`
looks at the one in use, `net/tls` serves it.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALIDITY = timedelta(days=3650)
"""A self-signed certificate is trusted by hand, once; it should not end by surprise."""
CLOCK_SKEW = timedelta(hours=1)
MAX_COMMON_NAME = 64


class CertificateError(Exception):
    """A certificate or key that cannot be used; the message says what, why and the mend."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a certificate says of itself."""

    names: tuple[str, ...]
    """DNS names and addresses of subjectAltName."""
    not_before: datetime
    not_after: datetime
    is_self_signed: bool

    def covers(self, hostname: str) -> bool:
        """Whether a client that looks for this host name takes the certificate (RFC 6125 section 6.4)."""
        _, dot, parent = hostname.lower().partition(".")
        wanted = {hostname.lower(), f"*.{parent}"} if dot else {hostname.lower()}
        return any(name.lower() in wanted for name in self.names)


def make_self_signed(names: Sequence[str], now: datetime) -> tuple[bytes, bytes]:
    """A new key and a certificate by itself, valid for ten years.

    Args:
        names: DNS names (A-label form) and IP addresses, the host's own name first.
        now: the present, aware.

    Returns:
        The certificate and the key (PKCS #8, unencrypted), both PEM.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:MAX_COMMON_NAME])])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        # A CA of length 0: OpenSSL, GnuTLS and Java then take the file as its own trust anchor.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    certificate = builder.sign(key, hashes.SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM), private


def write_certificate(certificate_path: Path, key_path: Path, certificate: bytes, key: bytes) -> None:
    """Write both files, the key for its owner only; makes the folders.

    Raises:
        FileExistsError: one of them is there; nothing was written over.
    """
    for path, text, mode in ((key_path, key, 0o600), (certificate_path, certificate, 0o644)):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(text)


def inspect_certificate(certificate_path: Path, key_path: Path) -> CertificateFacts:
    """Read a certificate and its key.

    Raises:
        CertificateError: a file cannot be read or parsed, or the key belongs to another certificate.
    """
    try:
        certificate = x509.load_pem_x509_certificates(_read(certificate_path))[0]
    except (ValueError, IndexError):
        raise CertificateError(f"{certificate_path} holds no certificate in PEM form; name another file") from None
    try:
        key = serialization.load_pem_private_key(_read(key_path), None)
    except (ValueError, TypeError):
        raise CertificateError(f"{key_path} holds no unencrypted private key in PEM form; name another file") from None
    if key.public_key() != certificate.public_key():
        raise CertificateError(f"{key_path} is not the key of {certificate_path}; name the pair that belongs together")
    return CertificateFacts(
        names=_names(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        is_self_signed=certificate.issuer == certificate.subject,
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(f"{path} cannot be read ({error.strerror}); check its path, owner and mode") from None


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = (str(address) for address in names.get_values_for_type(x509.IPAddress))
    return (*names.get_values_for_type(x509.DNSName), *addresses)
