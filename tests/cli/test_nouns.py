"""Every noun and verb: what it does, what it prints, what a script reads."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert, select

from mailstack.cli.root import NOUNS
from mailstack.store import open_mail, schema
from mailstack.store.passwords import verify_hash
from tests.cli.conftest import Shell
from tests.store.spooled import put_message

PASSWORD = "correct horse\n"


@pytest.fixture
def host(shell: Shell) -> Shell:
    shell.run("domain", "add", "example.test")
    shell.run("account", "add", "ann@example.test", "--password-stdin", "--quota", "1G", stdin=PASSWORD)
    return shell


def hash_of(shell: Shell, table: Any) -> str:
    database = shell.database()
    try:
        return str(database.read_now(lambda connection: connection.scalar(select(table.c.hash))))
    finally:
        database.close()


def test_domains(shell: Shell) -> None:
    assert "bücher.test" in shell.says("domain", "add", "bücher.test")
    shell.run("domain", "add", "relay.test", "--kind", "relay", "--next-hop", "mail.example.net")
    listed = shell.json("domain", "list")
    assert [(row["name"], row["unicode"], row["kind"], row["next_hop"]) for row in listed] == [
        ("relay.test", "relay.test", "relay", "mail.example.net:25"),
        ("xn--bcher-kva.test", "bücher.test", "local", None),
    ]
    assert shell.json("domain", "show", "BÜCHER.test") == listed[1]
    table = shell.says("domain", "list").splitlines()
    assert table[0].split() == ["DOMAIN", "KIND", "ACCOUNTS", "ALIASES", "NEXT", "HOP"]
    assert table[2].split()[0] == "bücher.test"
    assert len({line.index("local") if "local" in line else line.index("relay ") for line in table[1:]}) == 1
    shell.run("domain", "remove", "bücher.test")
    assert len(shell.json("domain", "list")) == 1
    assert "not a domain of this host" in shell.refusal("domain", "show", "bücher.test")


def test_accounts(host: Shell) -> None:
    [account] = host.json("account", "list")
    assert account == host.json("account", "show", "Ann@example.test")
    assert account.pop("created_at").endswith("Z")
    assert account == {
        "address": "ann@example.test",
        "unicode": "ann@example.test",
        "state": "active",
        "frozen": None,
        "quota": 1 << 30,
        "used": 0,
        "messages": 0,
        "last_login_at": None,
    }
    host.run("account", "passwd", "ann@example.test", "--password-stdin", stdin="another password\n")
    assert verify_hash("another password", hash_of(host, schema.credential))
    host.run("account", "suspend", "ann@example.test")
    assert host.json("account", "show", "ann@example.test")["state"] == "suspended"
    host.run("account", "resume", "ann@example.test")
    host.run("account", "quota", "ann@example.test", "none")
    assert host.json("account", "list", "--domain", "example.test", "--search", "an")[0]["quota"] is None
    assert host.json("account", "list", "--search", "nobody") == []
    assert "would go" in host.says("account", "remove", "ann@example.test", "--dry-run")
    host.run("account", "remove", "ann@example.test")
    assert host.json("account", "list") == []


def test_aliases(host: Shell) -> None:
    host.run("alias", "add", "info@example.test", "ann@example.test", "b@example.net")
    host.run("alias", "add", "@example.test", "ann@example.test")
    assert host.json("alias", "list", "--domain", "example.test") == [
        {"address": "@example.test", "unicode": "@example.test", "targets": ["ann@example.test"]},
        {
            "address": "info@example.test",
            "unicode": "info@example.test",
            "targets": ["ann@example.test", "b@example.net"],
        },
    ]
    host.run("alias", "remove", "info@example.test", "b@example.net")
    host.run("alias", "remove", "@example.test")
    assert [row["targets"] for row in host.json("alias", "list")] == [["ann@example.test"]]


def test_limits(host: Shell) -> None:
    default = host.json("limit", "show", "*")
    assert [(row["per"], row["recipients"], row["first_time"], row["over"]) for row in default] == [
        ("hour", 200, None, "refuse"),
        ("day", 1000, 200, "refuse"),
    ]
    host.run("limit", "set", "*", "--per", "message", "--recipients", "50")
    assert host.json("limit", "show", "*")[0]["per"] == "message"
    host.run("limit", "clear", "*", "--per", "message")
    host.run("limit", "set", "ann@example.test", "--per", "minute", "--recipients", "3", "--over", "hold")
    assert host.json("limit", "show", "ann@example.test") == [
        {
            "scope": "ann@example.test",
            "per": "minute",
            "messages": None,
            "recipients": 3,
            "first_time": None,
            "used_messages": 0,
            "used_recipients": 0,
            "used_first_time": 0,
            "frees_at": None,
            "over": "hold",
        }
    ]
    shown = host.says("limit", "show", "ann@example.test")
    assert "0 of 3" in shown
    assert "also applies: at most 200 recipients per hour" in shown
    host.run("limit", "clear", "ann@example.test")
    assert host.json("limit", "show", "ann@example.test") == []
    assert len(host.json("limit", "list")) == 2


def test_an_account_is_frozen_and_let_go(host: Shell) -> None:
    assert "is frozen" in host.says("account", "freeze", "ann@example.test", "--why", "a burst")
    assert host.json("account", "show", "ann@example.test")["frozen"] == "a burst"
    assert "may send again" in host.says("account", "unfreeze", "ann@example.test", "--drop")
    assert host.json("account", "show", "ann@example.test")["frozen"] is None


def test_administrators(host: Shell) -> None:
    host.run("admin", "add", "root", "--password-stdin", stdin=PASSWORD)
    host.run("admin", "add", "olga", "--domain", "example.test", "--password-stdin", stdin=PASSWORD)
    listed = host.json("admin", "list")
    assert [(row["name"], row["all_domains"], row["domains"]) for row in listed] == [
        ("olga", False, ["example.test"]),
        ("root", True, []),
    ]
    assert "hash" not in listed[0]
    host.run("admin", "remove", "olga")
    host.run("admin", "passwd", "root", "--password-stdin", stdin="another password\n")
    assert verify_hash("another password", hash_of(host, schema.administrator))


# --- queue and trace ---


def spool(shell: Shell) -> list[int]:
    """One message to two domains, waiting; the numbers of its deliveries."""
    now = schema.micros(datetime.now(UTC))
    common = {"message_id": "M0000000000000A", "next_attempt_at": now + 10**9, "created_at": now}
    database = shell.database()

    def write(connection: Any) -> list[int]:
        connection.execute(insert(schema.content).values(id=1, size_octets=3, body=b"abc"))
        connection.execute(
            insert(schema.message).values(
                id="M0000000000000A",
                origin="submission",
                reverse_path="ann@example.test",
                content_id=1,
                size_octets=3,
                header_message_id="one@example.test",
                body="7BIT",
                smtputf8=False,
                created_at=now,
            )
        )
        for domain in ("example.com", "example.net"):
            words = "451 \x1b[2Jnot now"
            row = {"recipient": f"ben@{domain}", "domain": domain, "last_reply": words}
            connection.execute(insert(schema.delivery).values(**common, **row))
        row = {"message_id": "M0000000000000A", "at": now, "recipient": "", "detail": "from 192.0.2.1"}
        connection.execute(insert(schema.event).values(event="accepted", **row))
        return list(connection.scalars(select(schema.delivery.c.id).order_by(schema.delivery.c.id)))

    try:
        return database.write_now(write)
    finally:
        database.close()


def test_the_queue_as_a_script_reads_it(host: Shell) -> None:
    numbers = spool(host)
    rows = host.json("queue", "list")
    assert [row["id"] for row in rows] == [str(number) for number in numbers]
    expected = {
        "message": "M0000000000000A",
        "reverse_path": "ann@example.test",
        "recipient": "ben@example.com",
        "state": "waiting",
        "attempts": 0,
        "size": 3,
    }
    assert expected.items() <= rows[0].items()
    assert {"next_attempt_at", "last_reply", "created_at"} <= rows[0].keys()
    assert datetime.fromisoformat(rows[0]["created_at"]).utcoffset() is not None
    assert [row["recipient"] for row in host.json("queue", "list", "--domain", "Example.NET")] == ["ben@example.net"]
    assert "\x1b" not in host.says("queue", "list")


def test_a_long_queue_is_listed_and_moved_page_by_page(host: Shell) -> None:
    recipients = [f"u{number}@example.com" for number in range(2 * open_mail.BATCH + 1)]
    database = host.database()
    database.write_now(lambda connection: put_message(connection, "M1", recipients))
    database.close()
    assert [row["recipient"] for row in host.json("queue", "list")] == recipients
    assert host.says("queue", "hold", "--all").startswith(f"{len(recipients)} deliveries")


def test_the_queue_moves(host: Shell) -> None:
    first, second = (str(number) for number in spool(host))

    def states() -> list[str]:
        return [row["state"] for row in host.json("queue", "list")]

    host.run("queue", "hold", first)
    assert states() == ["held", "waiting"]
    assert "release" in host.refusal("queue", "retry", first)
    host.run("queue", "hold", "--domain", "example.net")
    assert states() == ["held", "held"]
    assert "2 deliveries" in host.says("queue", "release", "m0000000000000a")
    assert states() == ["waiting", "waiting"]
    assert "retry" in host.refusal("queue", "release", second)
    host.run("queue", "retry", "--all")
    due = host.json("queue", "show", second)
    assert due["message"] == "M0000000000000A"
    assert [row["id"] for row in due["deliveries"]] == [second]
    host.run("queue", "drop", first, second)
    assert states() == []
    assert "0 deliveries" in host.says("queue", "retry", "--all")
    assert "nothing of that name" in host.refusal("queue", "drop", first)
    assert "nothing of that name" in host.refusal("queue", "show", "M0000000000000A")
    [traced] = host.json("trace", "M0000000000000A")
    assert [event["event"] for event in traced["events"]].count("failed") == 2


@pytest.mark.parametrize(
    "what", ["M0000000000000A", "<one@example.test>", "ann@example.test", "BEN@example.com", "one@example.test"]
)
def test_trace_finds_by_each_name(host: Shell, what: str) -> None:
    spool(host)
    [message] = host.json("trace", what)
    assert (message["message"], message["size"]) == ("M0000000000000A", 3)
    assert message["events"][0]["event"] == "accepted"
    assert {"at", "event", "recipient", "detail"} == message["events"][0].keys()
    assert "accepted" in host.says("trace", what)


def test_trace_of_nothing(host: Shell) -> None:
    assert host.json("trace", "nobody@example.org") == []
    result = host.run("trace", "nobody@example.org")
    assert (result.stdout, "no message is known" in result.stderr) == ("", True)


def test_the_database_is_at_its_version(shell: Shell) -> None:
    version = shell.says("db", "current").strip()
    assert version
    assert f"at {version} already" in shell.says("db", "upgrade")


def test_check(host: Shell) -> None:
    assert all(not finding["wrong"] for finding in host.json("check"))
    host.run("alias", "add", "info@example.test", "gone@example.test")
    (host.folder / "tls" / "key.pem").unlink()
    result = host.run("check", expect=1)
    assert "tls:" in result.stdout
    assert "the alias info@example.test points to gone@example.test" in result.stdout
    assert "2 things are wrong" in result.stderr


@pytest.mark.parametrize("noun", NOUNS)
def test_help_is_there_for_each_noun_and_verb(shell: Shell, noun: str) -> None:
    from mailstack.cli.root import cli

    assert "Usage:" in shell.says(noun, "--help")
    command = cli.get_command(None, noun)  # type: ignore[arg-type]
    for verb, under in getattr(command, "commands", {}).items():
        assert under.help, f"{noun} {verb} has no help"
        assert shell.says(noun, verb, "--help").startswith("Usage:")


def test_the_services_of_an_account(host: Shell) -> None:
    password = host.says("account", "app-password", "add", "ann@example.test", "phone").strip()
    assert len(password) == 23
    assert [row["name"] for row in host.json("account", "app-password", "list", "ann@example.test")] == ["phone"]
    assert "phone" in host.says("account", "app-password", "revoke", "ann@example.test", "phone")
    assert "no app password" in host.refusal("account", "app-password", "revoke", "ann@example.test", "phone")
    said = host.says("account", "forward", "ann@example.test", "sam@far.test", "--no-copy")
    assert said == "ann@example.test forwards to sam@far.test and keeps no copy\n"
    assert host.json("account", "forward", "ann@example.test") == {"targets": ["sam@far.test"], "keeps_copy": False}
    assert "forwards nothing" in host.says("account", "forward", "ann@example.test", "--off")
    host.refusal("account", "forward", "ann@example.test", "sam@far.test", "--off", expect=2)
    until = ("--until", "2030-01-04")
    host.run("account", "vacation", "ann@example.test", "--text-stdin", *until, stdin="Away.\n")
    assert host.json("account", "vacation", "ann@example.test") == {
        "subject": "",
        "text": "Away.",
        "from": None,
        "until": "2030-01-04T00:00:00Z",
    }
    assert "answers nothing" in host.says("account", "vacation", "ann@example.test", "--off")


def test_accounts_by_csv(host: Shell) -> None:
    people = host.folder / "people.csv"
    people.write_text("ben@example.test,correct horse,1G\nann@example.test,correct horse\n")
    tried = host.run("account", "import", str(people), "--dry-run", expect=1)
    assert tried.stdout == "1 of 2 accounts would be made\n"
    assert tried.stderr.startswith("line 2: ann@example.test: ann@example.test is an account already")
    assert host.run("account", "import", str(people), expect=1).stdout == "1 of 2 accounts are made\n"
    assert len(host.json("account", "list")) == 2
    people.write_bytes(b"b\xfcr@example.test,correct horse\n")
    assert "UTF-8" in host.refusal("account", "import", str(people))


def test_a_next_hop_means_a_relay_domain(shell: Shell) -> None:
    shell.run("domain", "add", "relay.test", "--next-hop", "mail.example.net")
    assert shell.json("domain", "show", "relay.test")["kind"] == "relay"
    told = shell.refusal("domain", "add", "local.test", "--kind", "local", "--next-hop", "mail.example.net")
    assert "a local domain keeps its mail here" in told
    shell.run("domain", "change", "relay.test", "--kind", "local")
    assert shell.json("domain", "show", "relay.test")["next_hop"] is None


def test_a_domain_is_changed_and_goes_with_its_accounts(host: Shell) -> None:
    host.run("domain", "change", "example.test", "--expire-days", "30", "--login-delay", "60")
    host.run("domain", "change", "example.test", "--login-delay", "none")
    shown = host.json("domain", "show", "example.test")
    assert (shown["expire_days"], shown["login_delay_seconds"], shown["kind"]) == (30, None, "local")
    host.refusal("domain", "change", "example.test", "--expire-days", "-1", expect=2)
    assert "1 accounts" in host.says("domain", "remove", "example.test", "--dry-run")
    assert "still has 1 accounts" in host.refusal("domain", "remove", "example.test")
    host.run("domain", "remove", "example.test", "--with-accounts")
    assert host.json("account", "list") == host.json("domain", "list") == []
