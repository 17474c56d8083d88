"""Chores come at their times, also after one has failed, and end with `stop`."""

from datetime import timedelta

import pytest
from twisted.internet.task import Clock

from mailstack import maillog
from mailstack.housekeeping import Housekeeping
from mailstack.store.database import StoreTrouble


def test_a_chore_that_fails_comes_again_at_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, object]] = []
    monkeypatch.setattr(maillog, "trouble", lambda what, why: told.append((what, str(why))))
    clock, done = Clock(), []

    async def chore() -> None:
        done.append(clock.seconds())
        if len(done) == 2:
            raise StoreTrouble("the disk is full")

    house = Housekeeping(clock)
    house.each(timedelta(minutes=1), chore)
    clock.pump([60.0] * 3)
    assert done == [0, 60, 120, 180]
    assert told == [("housekeeping", "the disk is full")]
    house.stop()
    clock.advance(600)
    assert len(done) == 4
