"""The pace of a destination: growth, the rest after a failure as a whole, the probe after it."""

from mailstack.policy.pacing import FIRST_REST_SECONDS, LONGEST_REST_SECONDS, Pace


def test_it_starts_low_and_grows_to_its_bound():
    pace = Pace.start(10)
    assert pace.allowed(0) == 5
    for _ in range(5):
        pace = pace.after_success()
    assert pace.allowed(0) in (5, 6)
    for _ in range(100):
        pace = pace.after_success()
    assert pace.allowed(0) == 10


def test_a_small_bound_is_kept_from_the_start():
    assert Pace.start(2).allowed(0) == 2
    assert Pace.start(0).allowed(0) == 1


def test_a_failure_as_a_whole_rests_then_one_probe_then_half_the_pace():
    pace = Pace.start(10).after_failure(100, 99, 0.5)
    assert pace.rests(101)
    assert pace.allowed(101) == 0
    after = 100 + FIRST_REST_SECONDS
    assert pace.allowed(after) == 1
    assert pace.after_success().allowed(after) == 2


def test_attempts_under_way_when_the_rest_began_do_not_count_again():
    pace = Pace.start(10).after_failure(100, 99, 0.5)
    assert pace.after_failure(101, 99.5, 0.5) == pace


def test_rests_double_up_to_the_longest_and_a_success_ends_the_row():
    pace, now = Pace.start(10), 0.0
    rests = []
    for _ in range(10):
        pace = pace.after_failure(now, now, 0.5)
        rests.append(pace.until - now)
        now = pace.until
    assert rests[:3] == [30, 60, 120]
    assert rests[-1] == LONGEST_REST_SECONDS
    assert pace.after_success().after_failure(now, now, 0.5).until - now == FIRST_REST_SECONDS
