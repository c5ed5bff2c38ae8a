"""Retry-After, however a provider writes it: a bounded number of seconds, or none. Nothing raises."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.providers.payouts.reading import RETRY_AFTER_SECONDS_MAX, retry_after

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
HUGE = "9" * 25


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("1.5", 1.5),
        ("999999999", RETRY_AFTER_SECONDS_MAX),
        ("Sat, 14 Mar 2026 12:00:30 GMT", 30.0),
        ("Sat, 14 Mar 2026 11:00:00 GMT", 0.0),
        ("Sat, 14 Mar 2126 12:00:00 GMT", RETRY_AFTER_SECONDS_MAX),
        ("-1", None),
        ("nan", None),
        ("1e3", None),
        ("soon", None),
        (f"Sat, 14 Mar {HUGE} 12:00:00 GMT", None),
        (f"Sat, 14 Mar 2026 {HUGE}:00:00 GMT", None),
        (f"Sat, 14 Mar 2026 12:00:00 +{HUGE}", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": value}, NOON) == seconds


@given(
    st.one_of(st.text(), st.from_regex(r"[A-Z][a-z]{2}, \d+ Mar \d+ \d+:\d+:\d+ [+-]?\w*", fullmatch=True))
)
def test_no_retry_after_breaks_anything(value: str) -> None:
    assert 0 <= (retry_after({"retry-after": value}, NOON) or 0) <= RETRY_AFTER_SECONDS_MAX
