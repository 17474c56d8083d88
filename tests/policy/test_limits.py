"""Sending limits against a plain model, and the cases that people meet."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from mailstack.policy.limits import UNLIMITED, Count, Over, Per, Rule, allowance, frees_at, rules_for, used

NOW = 1_800_000_000


def rule(scope: str = "*", per: Per = Per.HOUR, messages: int | None = None, recipients: int | None = 10) -> Rule:
    return Rule(scope, per, messages, recipients, Over.REFUSE)


def test_rules_of_account_domain_and_each_stack() -> None:
    rules = [rule("a@x.test"), rule("each@x.test"), rule("x.test"), rule("y.test"), rule("b@x.test")]
    assert [r.scope for r in rules_for(rules, "a@x.test", "x.test")] == ["a@x.test", "each@x.test", "x.test"]


def test_default_steps_back_for_the_same_window_only() -> None:
    rules = [rule("*", Per.HOUR), rule("*", Per.DAY), rule("each@x.test", Per.HOUR)]
    found = rules_for(rules, "a@x.test", "x.test")
    assert [(r.scope, r.per) for r in found] == [("each@x.test", Per.HOUR), ("*", Per.DAY)]


def test_domain_rule_does_not_replace_the_default() -> None:
    rules = [rule("*"), rule("x.test")]
    assert {r.scope for r in rules_for(rules, "a@x.test", "x.test")} == {"*", "x.test"}


def test_a_count_leaves_when_all_of_its_second_is_a_window_old() -> None:
    counts = [Count(NOW - 3600, 1, 10)]
    assert used(rule(), counts, NOW) == (1, 10)
    assert used(rule(), counts, NOW + 1) == (0, 0)
    assert frees_at(rule(), counts, NOW) == datetime.fromtimestamp(NOW + 1, UTC)


def test_the_tightest_rule_is_named() -> None:
    tight, wide = rule(recipients=3), rule(per=Per.DAY, recipients=100)
    found = allowance([(wide, []), (tight, [Count(NOW, 1, 1)])], NOW, new_message=True)
    assert (found.recipients, found.rule) == (2, tight)


def test_message_cap_stops_new_messages_but_not_counted_ones() -> None:
    capped = rule(messages=1, recipients=None)
    counts = [Count(NOW, 1, 5)]
    assert allowance([(capped, counts)], NOW, new_message=True).recipients == 0
    assert allowance([(capped, counts)], NOW, new_message=False).recipients == UNLIMITED


def test_a_cap_of_zero_never_frees() -> None:
    assert frees_at(rule(recipients=0), [], NOW) is None
    assert allowance([(rule(recipients=0), [])], NOW, new_message=True).recipients == 0


@given(
    st.lists(st.builds(Count, st.integers(NOW - 4000, NOW), st.integers(0, 3), st.integers(0, 9)), max_size=30),
    st.integers(0, 40),
)
def test_frees_at_is_the_first_moment_that_allows(counts: list[Count], cap: int) -> None:
    limit = rule(recipients=cap)
    when = frees_at(limit, counts, NOW)
    if when is None:
        assert cap == 0 or allowance([(limit, counts)], NOW, new_message=True).recipients > 0
        return
    second = int(when.timestamp())
    assert allowance([(limit, counts)], second, new_message=True).recipients > 0
    assert allowance([(limit, counts)], second - 1, new_message=True).recipients == 0
