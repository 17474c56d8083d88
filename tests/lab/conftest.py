"""The host that real clients speak to: one for each module, with a certificate for its name that they verify."""

from collections.abc import Iterator

import pytest

from tests.host import Host
from tests.lab.peers import make_certificate, peer_folder

ALICE, BOB = "alice@example.test", "bob@example.test"


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """alice@ and bob@example.test on `localhost`."""
    with peer_folder("clients") as folder:
        settings = {"smtp": {"check_sender_domain": False}}  # the names of these tests are in no DNS
        with Host(folder, settings=settings).init() as host:
            make_certificate(folder / "tls", "localhost")
            host.add_domain("example.test")
            for address in (ALICE, BOB):
                host.add_account(address)
            yield host.start()
