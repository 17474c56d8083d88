"""A silent DNS is asked once, then left alone for a while."""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailstack.mail.lookup import SenderDomain
from mailstack.reception.sender_domains import PATIENCE_SECONDS, PAUSE_SECONDS, SenderDomains


def test_silence_is_not_known_and_then_not_asked() -> None:
    clock, asked = Clock(), list[str]()

    def ask(domain: str) -> Deferred[SenderDomain]:
        asked.append(domain)
        return Deferred()

    domains = SenderDomains(ask, clock)
    found = list[SenderDomain]()
    Deferred.fromCoroutine(domains.find("a.test")).addCallback(found.append)
    clock.advance(PATIENCE_SECONDS)
    Deferred.fromCoroutine(domains.find("b.test")).addCallback(found.append)
    assert found == [SenderDomain.UNKNOWN] * 2
    assert asked == ["a.test"]
    clock.advance(PAUSE_SECONDS)
    Deferred.fromCoroutine(domains.find("c.test"))
    assert asked == ["a.test", "c.test"]
    clock.advance(PATIENCE_SECONDS)


def test_an_answer_is_passed_on() -> None:
    async def ask(domain: str) -> SenderDomain:
        return SenderDomain.NULL_MX

    found = list[SenderDomain]()
    Deferred.fromCoroutine(SenderDomains(ask, Clock()).find("a.test")).addCallback(found.append)
    assert found == [SenderDomain.NULL_MX]
