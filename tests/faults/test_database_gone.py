"""PostgreSQL stops and comes back under load: 4yz meanwhile, nothing acknowledged is lost, and mail flows again."""

import poplib
import smtplib

import pytest

from tests.faults.conftest import LOCAL, REMOTE
from tests.faults.load import Load, names_of
from tests.host import PASSWORD, Host, wait_until
from tests.postgres import PostgresServer
from tests.sink import Sink

pytestmark = pytest.mark.lab


def test_the_database_goes_and_comes_back(
    postgresql_host: Host, sink: Sink, stoppable_postgres: PostgresServer
) -> None:
    with postgresql_host.start() as host:
        with Load(host, [LOCAL, REMOTE]) as load:
            load.wait_for_more(30)
            stoppable_postgres.stop()
            load.refusals.clear()
            wait_until(lambda: len(load.refusals) >= 5, "refusals", timeout=60)
            with host.mx() as session:
                assert session.docmd("NOOP")[0] == 250, "the host itself goes on"
            with pytest.raises(poplib.error_proto, match=r"\[SYS/TEMP\]"):
                host.maildrop(LOCAL)
            assert "the database" in host.command("queue", "list", expect=1)
            stoppable_postgres.start()
            load.wait_for_more(30)
        assert all(words.startswith((b"4.", b"450", b"451")) for words in load.refusals), set(load.refusals)
        host.command("queue", "retry", "--all")
        wait_until(lambda: host.queue() == [], f"an empty queue\n{host.log_text()[-2000:]}", timeout=120)
        kept = names_of(host.fetch(LOCAL))
        assert set(load.promised) <= set(kept)
        assert len(kept) == len(set(kept))
        assert set(load.promised) <= set(names_of([mail.content for mail in sink.taken]))
        host.submit(LOCAL, [LOCAL])
        assert " bug " not in host.log_text()
        assert host.stop() == 0


def test_submission_while_the_database_is_away_is_put_off(
    postgresql_host: Host, stoppable_postgres: PostgresServer
) -> None:
    with postgresql_host.start() as host:
        with host.submission(LOCAL) as session:
            stoppable_postgres.stop()
            with pytest.raises(smtplib.SMTPException) as refused:
                session.sendmail(LOCAL, [LOCAL], "From: bob@example.test\r\n\r\nhello\r\n")
            assert "451" in str(refused.value)
        with pytest.raises(smtplib.SMTPAuthenticationError, match="454"):
            host.submission(LOCAL, PASSWORD + " from before")
        assert host.stop() == 0, "it ends in order though its database is away"
