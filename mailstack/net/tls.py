"""TLS contexts: ours as a server, read anew when the certificate changes, and as a client (RFC 8314, RFC 7435).

Neighbours: `smtp_server` and `pop3_server` hand `ServerTls` to `startTLS`, `smtp_client` what `client_options` gives.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator
from twisted.internet.ssl import CertificateOptions, TLSVersion, optionsForClientTLS
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer


class TlsFilesError(Exception):
    """The certificate or its key cannot be used; the message says what, why and the mend."""


@implementer(IOpenSSLServerConnectionCreator)
class ServerTls:
    """Our certificate and key, TLS 1.2 and later. `reload` takes new files for the connections that follow."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._context = _load(certificate, key)

    def reload(self, certificate: Path, key: Path) -> None:
        """Read the files again, or others; on an error the old certificate stays in use.

        Raises:
            TlsFilesError: the files cannot be read or do not belong together.
        """
        self._context = _load(certificate, key)

    def ends_at(self) -> datetime:
        """When the certificate in use ends, UTC."""
        certificate = SSL.Connection(self._context, None).get_certificate()
        assert certificate is not None  # noqa: S101  # `_load` gave it one
        return certificate.to_cryptography().not_valid_after_utc

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """The connection object for one more client."""
        return SSL.Connection(self._context, None)


def _load(certificate: Path, key: Path) -> SSL.Context:
    context = CertificateOptions(raiseMinimumTo=TLSVersion.TLSv1_2).getContext()
    try:
        for path in (certificate, key):
            path.read_bytes()  # an OSError names the file, OpenSSL's own error does not
        context.use_certificate_chain_file(str(certificate))
        context.use_privatekey_file(str(key))
        context.check_privatekey()
    except OSError as error:
        raise TlsFilesError(
            f"{error.filename} cannot be read ({error.strerror}); let our user read it, or start again as root"
        ) from None
    except SSL.Error:
        raise TlsFilesError(
            f"{certificate} and {key} are no certificate and its key in PEM form; name the right pair"
        ) from None
    return context


@implementer(IOpenSSLClientConnectionCreator)
class OpportunisticTls:
    """TLS to whoever is there: better than none, so the certificate is not looked at (RFC 7435)."""

    def __init__(self, hostname: str) -> None:
        self._hostname = hostname.encode("ascii", "ignore")
        self._context = CertificateOptions(verify=False, raiseMinimumTo=TLSVersion.TLSv1_2).getContext()

    def clientConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """The connection object, with the server's name for SNI unless it is an address."""
        connection = SSL.Connection(self._context, None)
        if self._hostname and b":" not in self._hostname and not self._hostname.rpartition(b".")[2].isdigit():
            connection.set_tlsext_host_name(self._hostname)
        return connection


def server_options(certificate: Path, key: Path) -> ServerTls:
    """The TLS side of our listening ports, from PEM files (the chain, and its key); raises TlsFilesError."""
    return ServerTls(certificate, key)


def client_options(hostname: str, *, verify: bool) -> Any:
    """The TLS side of a connection that we open.

    Args:
        hostname: of the server, for SNI and, if `verify`, its certificate.
        verify: check the certificate against the system's authorities; False for opportunistic TLS.
    """
    return optionsForClientTLS(hostname) if verify else OpportunisticTls(hostname)


def describe(transport: Any) -> str:
    """Version and cipher of a transport on which TLS is on: `TLSv1.3 TLS_AES_256_GCM_SHA384`."""
    handle = transport.getHandle()
    return f"{handle.get_protocol_version_name()} {handle.get_cipher_name()}"
