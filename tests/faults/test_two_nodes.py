"""Two nodes on one PostgreSQL: either takes mail in, both send, none twice; what one loses, the other finishes."""

import poplib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import LOCAL, REMOTE
from tests.faults.load import Load, names_of
from tests.faults.test_kill_9 import let_leases_run_out
from tests.host import Host, wait_until
from tests.sink import Sink

pytestmark = pytest.mark.lab


@pytest.fixture
def nodes(tmp_path: Path, postgresql_host: Host) -> Iterator[tuple[Host, Host]]:
    """Two running nodes with one database and one content folder."""
    postgresql_host.settings["content"] = str(tmp_path / "content")
    postgresql_host.write_config()
    with postgresql_host.copy(tmp_path / "second") as second:
        yield postgresql_host.start(), second.start()


def has_sent(node: Host) -> bool:
    return any(" delivered " in line and REMOTE in line for line in node.log_text().splitlines())


def test_two_nodes_send_each_mail_once(nodes: tuple[Host, Host], sink: Sink) -> None:
    first, second = nodes
    with Load(first, [LOCAL, REMOTE], clients=2) as one, Load(second, [LOCAL, REMOTE], clients=2) as other:
        one.wait_for_more(60)
        other.wait_for_more(60)
        # Whose turn it is for a mail is chance: the load goes on until both have had one.
        wait_until(lambda: all(map(has_sent, nodes)), "both nodes send", timeout=120)
    wait_until(lambda: first.queue() == [], "an empty queue", timeout=120)
    promised = Counter(one.promised) + Counter(other.promised)
    assert Counter(names_of([mail.content for mail in sink.taken])) == promised
    assert Counter(names_of(second.fetch(LOCAL))) == promised, "either node shows all mail"


def test_a_maildrop_open_on_one_node_is_in_use_on_the_other(nodes: tuple[Host, Host]) -> None:
    first, second = nodes
    session = first.maildrop(LOCAL)
    with pytest.raises(poplib.error_proto, match=r"\[IN-USE\]"):
        second.maildrop(LOCAL)
    session.quit()
    second.maildrop(LOCAL).quit()


def test_a_node_that_dies_leaves_its_work_to_the_other(nodes: tuple[Host, Host], sink: Sink) -> None:
    first, second = nodes
    with Load(first, [LOCAL, REMOTE]) as load:
        load.wait_for_more(60)
        first.kill9()
    let_leases_run_out(str(first.settings["database"]))
    wait_until(lambda: second.queue() == [], "an empty queue", timeout=120)
    assert set(load.promised) <= set(names_of([mail.content for mail in sink.taken]))
    kept = names_of(second.fetch(LOCAL))
    assert set(load.promised) <= set(kept)
    assert len(kept) == len(set(kept))
