"""How long a failed payout waits: the formula by examples, and its bounds for whatever a tenant may set."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.tenants import Policy
from tasks.payouts.policy import LONGEST_COOLDOWN_SECONDS, backoff_seconds, cooldown, is_exhausted
from tests.unit.payouts.payouts import NOON

DAY = 86_400
WEEK = 7 * DAY


def waits(
    cooldown_seconds: int = 300,
    factor: float = 1.0,
    failures: int = 1,
    chance: float = 0.0,
    retry_after: float | None = None,
) -> tuple[float, float]:
    """Seconds until the next attempt, and until a person may retry."""
    policy = Policy(payout_cooldown_seconds=cooldown_seconds, payout_backoff_factor=factor)
    found = cooldown(policy, failures, NOON, chance=chance, retry_after_seconds=retry_after)
    return (found.next_attempt_at - NOON).total_seconds(), (found.until - NOON).total_seconds()


@pytest.mark.parametrize(
    ("cooldown_seconds", "factor", "failures", "chance", "retry_after", "expected"),
    [
        (300, 1.0, 1, 0.0, None, (300, 300)),
        (300, 1.0, 4, 0.0, None, (300, 300)),
        (300, 1.0, 1, 1.0, None, (330, 300)),
        (300, 2.0, 1, 0.0, None, (300, 300)),
        (300, 2.0, 3, 0.0, None, (1200, 300)),
        (300, 2.0, 3, 0.5, None, (1260, 300)),
        (300, 1.5, 2, 0.0, None, (450, 300)),
        (300, 10.0, 9, 0.0, None, (WEEK, 300)),
        (300, 10.0, 101, 1.0, None, (WEEK * 1.1, 300)),
        (300, 1.0, 1, 0.0, 301.0, (301, 301)),
        (300, 1.0, 1, 0.0, 299.0, (300, 300)),
        (300, 1.0, 1, 1.0, 320.0, (330, 320)),
        (300, 1.0, 1, 0.0, 1e18, (WEEK, WEEK)),
        (300, 1.0, 1, 0.0, float("inf"), (WEEK, WEEK)),
        (300, 1.0, 1, 0.0, -5.0, (300, 300)),
        (300, 1.0, 1, 0.0, float("nan"), (300, 300)),
        (0, 5.0, 3, 1.0, None, (0, 0)),
        (0, 1.0, 1, 0.0, 30.0, (30, 30)),
        (30 * DAY, 2.0, 2, 0.0, None, (30 * DAY, 30 * DAY)),
    ],
)
def test_the_wait_after_a_failure(
    cooldown_seconds: int,
    factor: float,
    failures: int,
    chance: float,
    retry_after: float | None,
    expected: tuple[float, float],
) -> None:
    found = waits(cooldown_seconds, factor, failures, chance, retry_after)
    assert found == pytest.approx(expected, abs=1e-6)


@given(
    st.integers(0, 30 * DAY),
    st.floats(1, 10),
    st.integers(1, 101),
    st.floats(0, 1),
    st.none() | st.floats(allow_nan=True),
)
def test_a_wait_is_never_less_than_the_cooldown_and_is_bounded(
    cooldown_seconds: int, factor: float, failures: int, chance: float, retry_after: float | None
) -> None:
    planned, person = waits(cooldown_seconds, factor, failures, chance, retry_after)
    assert (
        cooldown_seconds <= person <= planned <= 1.1 * max(cooldown_seconds, LONGEST_COOLDOWN_SECONDS) + 1e-6
    )


@given(st.integers(0, 30 * DAY), st.floats(1, 10), st.integers(1, 100))
def test_the_wait_never_shrinks_with_the_failures(
    cooldown_seconds: int, factor: float, failures: int
) -> None:
    policy = Policy(payout_cooldown_seconds=cooldown_seconds, payout_backoff_factor=factor)
    assert backoff_seconds(policy, failures) <= backoff_seconds(policy, failures + 1)


@pytest.mark.parametrize(
    ("limit", "attempts_made", "exhausted"),
    [(3, 3, False), (3, 4, True), (0, 0, False), (0, 1, True), (100, 100, False), (100, 101, True)],
)
def test_the_limit_counts_the_attempts_after_the_first(
    limit: int, attempts_made: int, exhausted: bool
) -> None:
    assert is_exhausted(Policy(payout_retry_limit=limit), attempts_made) is exhausted


def test_waits_are_spread_by_the_jitter() -> None:
    together = {waits(chance=chance / 10)[0] for chance in range(11)}
    assert (min(together), max(together), len(together)) == (300, 330, 11)
    assert timedelta(seconds=min(together)) == timedelta(minutes=5)
