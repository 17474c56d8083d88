"""Tells an account and its postmaster of a limit nearly or wholly used up, once a window, and of a freeze.

After the commit that counted, off its path: nothing is read or written where no rule is near. Neighbours:
`notice_words` has the words, `store/notices` knows who was told, `intake` takes the message in.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial

from mailstack import maillog
from mailstack.mail.address import NULL_SENDER, Address
from mailstack.mail.envelope import Body, Envelope, Notify, Recipient
from mailstack.reception.notice_words import Notice, freeze_notice, limit_notice, notice_message
from mailstack.store.claims import read_address
from mailstack.store.database import Database
from mailstack.store.directory import POSTMASTER
from mailstack.store.notices import claim_notice
from mailstack.store.schema import micros
from mailstack.store.submissions import Near, Submitter

MAX_REMEMBERED = 10_000


class Notices:
    """One for the host.

    Args:
        database: where it stands who was told.
        accept_report: takes a message in and gives its queue ID.
        hostname: ours.
        now: the time, aware, UTC.
        token: random letters and digits.
    """

    def __init__(
        self,
        database: Database,
        accept_report: Callable[[Envelope, bytes], Awaitable[str]],
        *,
        hostname: str,
        now: Callable[[], datetime],
        token: Callable[[], str],
    ) -> None:
        self._database = database
        self._accept_report = accept_report
        self._hostname = hostname
        self._now = now
        self._token = token
        self._told: dict[tuple[int, str, str, int], float] = {}

    def untold(self, who: Submitter, near: tuple[Near, ...]) -> list[Near]:
        """Those of the rules that we have not looked at in this window; they are taken for told from now on."""
        now = self._now().timestamp()
        found = []
        for each in near:
            key = (who.account_id, each.rule.scope, each.rule.per.value, each.percent)
            if self._told.get(key, 0.0) <= now - each.rule.per.seconds:
                found.append(each)
                if len(self._told) >= MAX_REMEMBERED:
                    self._told.clear()
                self._told[key] = now
        return found

    async def tell_near(self, who: Submitter, near: Near) -> None:
        """Send one notice, unless it was sent already. StoreTrouble when the store does not work for now."""
        now = self._now()
        claim = partial(
            claim_notice,
            rule=near.rule,
            account_id=who.account_id,
            domain_id=who.domain_id,
            percent=near.percent,
            now=micros(now),
        )
        due = await self._database.write(claim)
        if due is not None:
            account = read_address(who.address)
            postmaster = Address(POSTMASTER, account.domain)
            await self._send(limit_notice(near.rule, near.used, near.percent, due.frees_at, account, postmaster), now)

    async def tell_frozen(self, account: Address, why: str) -> None:
        """Tell the postmaster and the owner; StoreTrouble when the store does not work for now."""
        await self._send(freeze_notice(account, why, Address(POSTMASTER, account.domain)), self._now())

    async def _send(self, notice: Notice, now: datetime) -> None:
        content = notice_message(notice, self._hostname, now, self._token())
        envelope = Envelope(
            NULL_SENDER,
            [Recipient(address, notify=Notify.NEVER) for address in notice.to],
            body=Body.SEVEN_BIT if content.isascii() else Body.EIGHT_BIT,
            smtputf8=any(address.needs_smtputf8 for address in notice.to),
            size_octets=len(content),
        )
        queue_id = await self._accept_report(envelope, content)
        maillog.noticed(queue_id, notice.subject, ",".join(map(str, notice.to)))
