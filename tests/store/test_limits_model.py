"""Submissions and releases against a plain model: the same verdicts, the same counts, and no window past a cap."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from mailstack.policy.limits import Over, Per, Rule
from mailstack.store import schema
from mailstack.store.acceptance import accept_many
from mailstack.store.database import Database
from mailstack.store.submissions import Kept, Submitter
from tests.store.letters import NOW, SECOND, add_account, letter, release, remote


@dataclass
class Model:
    """What a person with paper and pencil would write down."""

    rules: list[Rule]
    sent: list[tuple[int, int, int, int, int]] = field(default_factory=list)  # second, account, counts of each kind
    known: set[tuple[int, str]] = field(default_factory=set)
    held: list[tuple[int, str, str]] = field(default_factory=list)  # account, message, recipient
    counted: set[str] = field(default_factory=set)

    def new_among(self, account: int, recipients: list[str]) -> int:
        return len({(account, recipient) for recipient in recipients} - self.known)

    def fits(self, rules: list[Rule], account: int, message: str, recipients: list[str], now: int) -> bool:
        for rule in rules:
            rows = [x for x in self.sent if x[0] >= now - rule.per.seconds and (rule.is_shared or x[1] == account)]
            used = [sum(row[place] for row in rows) for place in (2, 3, 4)]
            wanted = [0 if message in self.counted else 1, len(recipients), self.new_among(account, recipients)]
            caps = (rule.messages, rule.recipients, rule.first_time)
            if any(cap is not None and u + w > cap for cap, u, w in zip(caps, used, wanted, strict=True)):
                return False
        return True

    def count(self, account: int, message: str, recipients: list[str], now: int) -> None:
        if recipients:
            is_new = 0 if message in self.counted else 1
            self.sent.append((now, account, is_new, len(recipients), self.new_among(account, recipients)))
            self.counted.add(message)
            self.known |= {(account, recipient) for recipient in recipients}

    def longest(self, rules: list[Rule], account: int, message: str, recipients: list[str], now: int) -> int:
        fitting = [n for n in range(1, len(recipients) + 1) if self.fits(rules, account, message, recipients[:n], now)]
        return max(fitting, default=0)

    def submit(self, account: int, message: str, recipients: list[str], now: int) -> int | None:
        """How many go at once; None = refused."""
        refusing = [rule for rule in self.rules if rule.over is Over.REFUSE]
        holding = [rule for rule in self.rules if rule.over is Over.HOLD]
        if not self.fits(refusing, account, message, recipients, now):
            return None
        going = len(recipients)
        if holding:
            waits = any(row[0] == account for row in self.held)
            going = 0 if waits else self.longest(holding, account, message, recipients, now)
        self.count(account, message, recipients[:going], now)
        self.held += [(account, message, recipient) for recipient in recipients[going:]]
        return going

    def release(self, now: int) -> list[str]:
        released: list[str] = []
        for account in sorted({row[0] for row in self.held}):
            mine = [row for row in self.held if row[0] == account]
            for message in dict.fromkeys(row[1] for row in mine):
                recipients = [row[2] for row in mine if row[1] == message]
                going = self.longest(self.rules, account, message, recipients, now)
                self.count(account, message, recipients[:going], now)
                for recipient in recipients[:going]:
                    self.held.remove((account, message, recipient))
                released += recipients[:going]
                if going < len(recipients):
                    break
        return released


CAP = st.one_of(st.none(), st.integers(0, 6))
RULE = st.builds(
    Rule,
    st.sampled_from(["*", "example.test"]),
    st.sampled_from([Per.MINUTE, Per.HOUR]),
    CAP,
    CAP,
    st.sampled_from(list(Over)),
    CAP,
)
RECIPIENTS = st.lists(st.sampled_from([f"r{number}@far.test" for number in range(8)]), min_size=1, max_size=5)
STEP = st.tuples(st.integers(0, 1), st.sampled_from([0, 1, 30, 61, 1800, 3601]), RECIPIENTS)


def clear(connection: Connection) -> None:
    for name in ("delivery", "event", "message", "usage", "known_recipient", "account", "domain"):
        connection.execute(schema.metadata.tables[name].delete())


def total(connection: Connection, column: Any) -> int:
    return connection.scalar(select(func.coalesce(func.sum(column), 0))) or 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rules=st.lists(RULE, max_size=4), steps=st.lists(STEP, min_size=1, max_size=12))
def test_the_store_and_the_model_agree(
    database: Database, rules: list[Rule], steps: list[tuple[int, int, list[str]]]
) -> None:
    def work(connection: Connection) -> None:
        clear(connection)
        accounts = [add_account(connection, f"{name}@example.test") for name in ("ann", "bob")]
        domain_id = connection.scalar(select(schema.domain.c.id)) or 0
        model, now = Model(rules), NOW
        for number, (who, pause, recipients) in enumerate(steps):
            now += pause * SECOND
            released = release(connection, lambda _: rules, now)
            assert sorted(x.recipient for x in released) == sorted(model.release(now // SECOND))
            submitter = Submitter(accounts[who], domain_id, "ann@example.test", tuple(rules))
            mail = letter(f"M{number}", *map(remote, recipients), submitter=submitter, created_at=now)
            (verdict,) = accept_many(connection, [mail])
            expected = model.submit(accounts[who], f"M{number}", recipients, now // SECOND)
            going = len(recipients) - len(verdict.held) if isinstance(verdict, Kept) else None
            assert going == expected
        assert total(connection, schema.usage.c.messages) == len(model.counted)
        assert total(connection, schema.usage.c.recipients) == sum(row[3] for row in model.sent)
        assert total(connection, schema.usage.c.first_time) == len(model.known)
        assert connection.scalar(select(func.count()).select_from(schema.known_recipient)) == len(model.known)

    database.write_now(work)
