"""The retry schedule, the peer's own wish, the delay notice and the end."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.config import Queue
from mailstack.mail.reply import Reply
from mailstack.policy.retry import ASKED_MOST, RetryPolicy, asked_wait

POLICY = RetryPolicy(Queue().retry, Queue().warn_after, Queue().give_up_after)
ARRIVED = datetime(2026, 1, 1, tzinfo=UTC)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def test_steps_follow_the_schedule_and_the_last_one_repeats():
    steps = [POLICY.step(attempts, 0.5) for attempts in range(1, 11)]
    assert steps == [minutes(m) for m in (2, 5, 10, 15, 30, 60, 120, 240, 240, 240)]


@given(st.integers(0, 100), st.floats(0, 1))
def test_jitter_stays_within_a_tenth(attempts, chance):
    middle = POLICY.step(attempts, 0.5)
    assert middle * 0.899 <= POLICY.step(attempts, chance) <= middle * 1.101


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Greylisted, please try again in 5 minutes", 310),
        ("4.7.1 Try again in 299 seconds", 309),
        ("Greylisting in action, please come back in 00:04:59", 309),
        ("please retry after 1 hour", 3610),
        ("Recipient address rejected: Greylisted for 60 seconds", 70),
        ("temporarily deferred, wait 90s", 100),
        ("try again in 12 hours", ASKED_MOST.total_seconds()),
        ("try again later", None),
        ("Too many connections from 192.0.2.1, try again later", None),
        ("try again, session 30m4f7a", None),
        ("mailbox has 5 minutes of fame", None),
    ],
)
def test_a_peer_that_names_a_time_is_taken_at_its_word(text, seconds):
    wait = asked_wait(Reply(450, None, text))
    assert wait == (None if seconds is None else timedelta(seconds=seconds))


def test_only_a_transient_reply_sets_the_wait():
    assert POLICY.wait_after(1, Reply(450, None, "try again in 1 hour"), 0.5) == minutes(60) + timedelta(seconds=10)
    assert POLICY.wait_after(1, Reply(550, None, "try again in 1 hour"), 0.5) == minutes(2)


def test_the_last_attempt_comes_at_the_end_of_the_time_not_hours_after_it():
    now = ARRIVED + POLICY.give_up_after - minutes(30)
    assert POLICY.next_attempt(now, ARRIVED, 20, None, 0.5) == ARRIVED + POLICY.give_up_after
    late = ARRIVED + POLICY.give_up_after + minutes(1)
    assert POLICY.next_attempt(late, ARRIVED, 20, None, 0.5) > late


def test_giving_up_and_warning_are_questions_of_age():
    assert not POLICY.gives_up(ARRIVED + timedelta(days=5, seconds=-1), ARRIVED)
    assert POLICY.gives_up(ARRIVED + timedelta(days=5), ARRIVED)
    assert not POLICY.warns(ARRIVED + timedelta(hours=3, minutes=59), ARRIVED)
    assert POLICY.warns(ARRIVED + timedelta(hours=4), ARRIVED)
    assert not replace(POLICY, warn_after=None).warns(ARRIVED + timedelta(days=4), ARRIVED)


@given(st.text())
def test_any_text_of_a_peer_gives_a_bounded_wait_or_none(text):
    wait = asked_wait(Reply(450, None, text))
    assert wait is None or timedelta(0) < wait <= ASKED_MOST
