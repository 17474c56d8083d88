"""Copies of a message by the directory, with the DSN wishes they carry on (RFC 3461 section 5.2.7)."""

import pytest

from mailstack.mail.address import parse_address
from mailstack.mail.envelope import Envelope, Notify, Recipient
from mailstack.mail.outcome import Delivered, Failed
from mailstack.reception.recipients import address_copies, expand
from mailstack.store.directory import Account, AccountState, Directory, Domain, DomainKind

HOME = Domain(1, "example.org", DomainKind.LOCAL, None, None, None)
SENDER = parse_address("sender@far.example")
ANN = Account(7, parse_address("ann@example.org"), HOME, AccountState.ACTIVE, None)
ALIASES = {
    "info@example.org": ("ann@example.org",),
    "away@example.org": ("x@far.example",),
    "list@example.org": ("ann@example.org", "x@far.example", "y@far.example"),
}
DIRECTORY = Directory(
    domains=[HOME], accounts=[ANN], aliases={key: tuple(map(parse_address, to)) for key, to in ALIASES.items()}
)
ALL = Notify.SUCCESS | Notify.FAILURE | Notify.DELAY
ORCPT = "rfc822;someone@example.org"


def recipient(address: str, notify: Notify | None = None) -> Recipient:
    return Recipient(parse_address(address), notify, ORCPT)


@pytest.mark.parametrize(
    ("address", "by_queue"),
    [("ann@example.org", True), ("info@example.org", True), ("list@example.org", True), ("away@example.org", False)],
)
def test_a_report_of_success_that_we_owe_is_made_by_the_queue(address: str, by_queue: bool) -> None:
    (addressed,) = address_copies(DIRECTORY, Envelope(SENDER, [recipient(address, Notify.SUCCESS)]))
    assert (addressed.remote == (addressed.as_held,)) is by_queue
    (addressed,) = address_copies(DIRECTORY, Envelope(SENDER, [recipient(address, Notify.FAILURE)]))
    assert addressed.remote != (addressed.as_held,), "nothing is owed, so nothing waits"


@pytest.mark.parametrize(
    ("address", "is_expanded", "dsn_relayed", "passed_on"),
    [
        ("ann@example.org", False, False, None),
        ("info@example.org", False, False, None),
        ("away@example.org", False, True, ALL),
        ("list@example.org", True, False, Notify.FAILURE | Notify.DELAY),
    ],
)
def test_expansion(address: str, is_expanded: bool, dsn_relayed: bool, passed_on: Notify | None) -> None:
    outcome, expansion = expand(DIRECTORY, SENDER, recipient(address, ALL))
    assert isinstance(outcome, Delivered)
    assert (outcome.is_expanded, outcome.dsn_relayed) == (is_expanded, dsn_relayed)
    assert {copy.notify for copy in expansion.remote} == ({passed_on.value} if passed_on else set())
    assert {copy.orcpt for copy in expansion.remote} == ({ORCPT} if passed_on else set())


def test_who_wished_for_success_only_is_told_of_no_failure_of_a_target() -> None:
    _, expansion = expand(DIRECTORY, SENDER, recipient("list@example.org", Notify.SUCCESS))
    assert [copy.notify for copy in expansion.remote] == [Notify.NEVER.value] * 2


def test_no_wish_stays_no_wish() -> None:
    _, expansion = expand(DIRECTORY, SENDER, Recipient(parse_address("list@example.org")))
    assert [(copy.notify, copy.orcpt) for copy in expansion.remote] == [(None, None)] * 2


@pytest.mark.parametrize("address", ["gone@example.org", "x@not-ours.example"])
def test_who_is_gone_meanwhile_fails(address: str) -> None:
    outcome, expansion = expand(DIRECTORY, SENDER, recipient(address))
    assert isinstance(outcome, Failed)
    assert not expansion.local
    assert not expansion.remote
