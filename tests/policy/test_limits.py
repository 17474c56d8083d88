"""Sending limits against a plain model, and the cases that people meet."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from mailstack.policy.limits import (
    UNLIMITED,
    Allowance,
    Count,
    Over,
    Per,
    Rule,
    Used,
    allowance,
    begins_to_free,
    frees_at,
    how_many,
    message_cap,
    percent_used,
    rules_for,
    sum_used,
    used,
    window_rules,
)

NOW = 1_800_000_000


def rule(
    scope: str = "*",
    per: Per = Per.HOUR,
    messages: int | None = None,
    recipients: int | None = 10,
    first_time: int | None = None,
) -> Rule:
    return Rule(scope, per, messages, recipients, Over.REFUSE, first_time)


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


def test_the_cap_of_a_message_is_no_window() -> None:
    rules = [rule(per=Per.MESSAGE, recipients=50), rule("x.test", Per.MESSAGE, recipients=20), rule()]
    assert window_rules(rules) == [rule()]
    assert window_rules(rules, Over.HOLD) == []
    assert message_cap(rules) == rules[1]
    assert message_cap([rule()]) is None


def test_a_count_leaves_when_all_of_its_second_is_a_window_old() -> None:
    counts = [Count(NOW - 3600, Used(1, 10))]
    assert used(rule(), counts, NOW) == Used(1, 10)
    assert used(rule(), counts, NOW + 1) == Used()
    assert frees_at(rule(), counts, NOW) == datetime.fromtimestamp(NOW + 1, UTC)


def test_the_tightest_rule_is_named() -> None:
    tight, wide = rule(recipients=3), rule(per=Per.DAY, recipients=100)
    allowances = [allowance(wide, Used(), new_message=True), allowance(tight, Used(1, 1), new_message=True)]
    assert how_many(allowances, [False] * 5) == (2, tight)
    assert how_many(allowances, [False] * 2) == (2, None)


def test_message_cap_stops_new_messages_but_not_counted_ones() -> None:
    capped = rule(messages=1, recipients=None)
    assert allowance(capped, Used(1, 5), new_message=True).recipients == 0
    assert allowance(capped, Used(1, 5), new_message=False) == Allowance(capped, UNLIMITED, UNLIMITED)


def test_first_time_recipients_stop_a_message_where_one_is_too_many() -> None:
    capped = rule(recipients=None, first_time=2)
    allowances = [allowance(capped, Used(9, 9, 1), new_message=True)]
    assert how_many(allowances, [False, True, False, True, False]) == (3, capped)
    assert how_many(allowances, [False, True, False]) == (3, None)
    assert str(capped) == "2 first-time recipients per hour for every account"


def test_a_cap_of_zero_never_frees() -> None:
    assert frees_at(rule(recipients=0), [], NOW) is None
    assert allowance(rule(recipients=0), Used(), new_message=True).recipients == 0


def test_more_than_the_cap_never_goes_at_once() -> None:
    counts = [Count(NOW, Used(1, 4))]
    assert frees_at(rule(recipients=5), counts, NOW, recipients=6) is None
    assert frees_at(rule(recipients=5), counts, NOW, recipients=2) == datetime.fromtimestamp(NOW + 3601, UTC)


def test_percent_is_that_of_the_nearest_cap_and_100_means_all() -> None:
    assert percent_used(rule(messages=2, recipients=1000), Used(1, 999)) == 99
    assert percent_used(rule(recipients=1000, first_time=4), Used(1, 5, 4)) == 100
    assert percent_used(rule(recipients=0), Used()) == 100


def test_what_was_sent_first_frees_first() -> None:
    counts = [Count(NOW - 10, Used(1, 1)), Count(NOW - 5000, Used(1, 9)), Count(NOW, Used(1, 1))]
    assert begins_to_free(rule(), counts, NOW) == datetime.fromtimestamp(NOW - 10 + 3601, UTC)
    assert begins_to_free(rule(), [], NOW) is None


COUNTS = st.lists(
    st.builds(Count, st.integers(NOW - 4000, NOW), st.builds(Used, *[st.integers(0, 9)] * 3)), max_size=30
)
CAP = st.one_of(st.none(), st.integers(0, 40))


@given(COUNTS, CAP, CAP, CAP, st.integers(1, 12), st.integers(0, 12))
def test_frees_at_is_the_first_moment_that_allows(
    counts: list[Count], messages: int | None, recipients: int | None, first_time: int | None, many: int, first: int
) -> None:
    limit = rule(messages=messages, recipients=recipients, first_time=first_time)

    def allows(second: int) -> bool:
        return allowance(limit, used(limit, counts, second), new_message=True).allows(many, first)

    when = frees_at(limit, counts, NOW, many, first)
    if when is None:
        assert allows(NOW) or not allows(NOW + 100_000)
        return
    second = int(when.timestamp())
    assert allows(second)
    assert not allows(second - 1)


@given(st.lists(st.tuples(CAP, CAP, st.integers(0, 40), st.integers(0, 40))), st.lists(st.booleans(), max_size=30))
def test_how_many_is_the_longest_beginning_that_all_rules_allow(
    caps: list[tuple[int | None, int | None, int, int]], firsts: list[bool]
) -> None:
    allowances = [
        allowance(rule(recipients=recipients, first_time=first_time), Used(1, sent, new), new_message=True)
        for recipients, first_time, sent, new in caps
    ]

    def fits(number: int) -> bool:
        return all(each.allows(number, sum(firsts[:number])) for each in allowances)

    going, stops = how_many(allowances, firsts)
    assert going == max(number for number in range(len(firsts) + 1) if fits(number))
    assert (stops is None) == (going == len(firsts))


@given(COUNTS)
def test_sums_are_sums(counts: list[Count]) -> None:
    whole = sum_used(counts)
    assert whole.recipients == sum(count.used.recipients for count in counts)
    assert whole - whole == Used()
