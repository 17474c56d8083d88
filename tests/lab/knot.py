"""A real DNS server as a private copy on loopback: Knot, authoritative for the zones that a test writes."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import dns.exception
import dns.message
import dns.query

from tests.host import HostError, free_ports, wait_until

ZONE = """\
$ORIGIN {name}.
$TTL 60
@ SOA ns hostmaster 1 60 60 3600 60
  NS ns
ns A 127.0.0.1
"""
CONFIG = """\
server:
    rundir: "{folder}"
    listen: 127.0.0.1@{port}
log:
  - target: "{folder}/log"
    any: info
database:
    storage: "{folder}"
template:
  - id: default
    storage: "{folder}"
    file: "%s.zone"
    zonefile-sync: -1
    journal-content: none
zone:
"""


class Knot:
    """Serves `zones`: the name of each and its records below SOA and NS; None = a zone that cannot be loaded."""

    def __init__(self, folder: Path, zones: Mapping[str, str | None]) -> None:
        self.folder = folder / "knot"
        self.zones = zones
        self.port = free_ports(1)[0]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def nameserver(self) -> str:
        """As `outbound.nameservers` has it."""
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> "Knot":
        self.folder.mkdir()
        config = self.folder / "knot.conf"
        config.write_text(
            CONFIG.format(folder=self.folder, port=self.port) + "".join(f"  - domain: {name}\n" for name in self.zones)
        )
        for name, records in self.zones.items():
            if records is not None:
                (self.folder / f"{name}.zone").write_text(ZONE.format(name=name) + records)
        with (self.folder / "out").open("wb") as out:
            self._process = subprocess.Popen(
                ["knotd", "-c", str(config)], stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        try:
            wait_until(self._answers, f"Knot answers\n{(self.folder / 'out').read_text()}")
        except HostError:
            self._end()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        name = next(name for name, records in self.zones.items() if records is not None)
        question = dns.message.make_query(name, "SOA")
        try:
            return bool(dns.query.udp(question, "127.0.0.1", timeout=1, port=self.port).answer)
        except (dns.exception.Timeout, OSError):
            return False
