"""What is said to a tenant's systems, and what their answers mean."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.notifications.delivering import Notification
from models.notifications.lanes import LaneNotes
from tasks.notifications.policy import (
    BODY_BYTES_MAX,
    JITTER,
    SCHEDULE_SECONDS,
    TRIES_MAX,
    body,
    compose,
    judge,
    lane_after,
    retry_after_seconds,
    webhook_id,
)
from worker.notifying import Answer

NOW = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)
ONE = Notification(
    id=7,
    tenant="acme",
    type="payout.paid",
    subject="payout:01a1",
    version=3,
    data={"payout_id": "01a1", "amount_minor": 500},
    tries=1,
    created_at=NOW,
)


def next_try_seconds(tries: int, answer: Answer, chance: float = 0.0) -> float | None:
    settled = judge(replace(ONE, tries=tries), answer, now=NOW, chance=chance).settled
    return None if settled.next_try_at is None else (settled.next_try_at - NOW).total_seconds()


def test_the_schedule_is_the_specification_s() -> None:
    hours = 3600
    steps = [0, 5, 5 * 60, 30 * 60, *(hours * n for n in (2, 5, 10, 14, 20, 24))]
    assert list(SCHEDULE_SECONDS) == steps


@pytest.mark.parametrize("tries", range(1, TRIES_MAX))
def test_each_failure_waits_for_the_next_step_and_at_most_a_tenth_more(tries: int) -> None:
    step = SCHEDULE_SECONDS[tries]
    assert next_try_seconds(tries, Answer(500)) == step
    assert next_try_seconds(tries, Answer(500), chance=1.0) == pytest.approx(step * (1 + JITTER))


def test_after_the_last_try_it_is_given_up_with_its_cause() -> None:
    settled = judge(replace(ONE, tries=TRIES_MAX), Answer(503), now=NOW, chance=0.5).settled
    assert (settled.state, settled.next_try_at, settled.error) == ("gave_up", None, "HTTP 503")


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_a_delivery_even_at_the_last_try(status: int) -> None:
    verdict = judge(replace(ONE, tries=TRIES_MAX), Answer(status, "60"), now=NOW, chance=0.5)
    assert (verdict.settled.state, verdict.settled.error, verdict.quiet_seconds) == ("delivered", None, 0.0)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(100), "HTTP 100"),
        (Answer(302), "HTTP 302; redirects are not followed"),
        (Answer(404), "HTTP 404"),
        (Answer(None, failure="cannot connect"), "cannot connect"),
    ],
)
def test_anything_else_is_a_failure_that_says_why(answer: Answer, error: str) -> None:
    settled = judge(ONE, answer, now=NOW, chance=0.0).settled
    assert (settled.state, settled.error, settled.next_try_at) == (
        "pending",
        error,
        NOW + timedelta(seconds=5),
    )


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_who_throttles_says_for_how_long_when_that_is_longer(status: int) -> None:
    assert next_try_seconds(1, Answer(status, "120")) == 120
    assert next_try_seconds(3, Answer(status, "120")) == 1800
    assert next_try_seconds(1, Answer(status, "9" * 30)) == 86_400
    assert judge(ONE, Answer(status, "120"), now=NOW, chance=0.0).quiet_seconds == 120


def test_another_status_has_no_say_about_the_wait() -> None:
    assert next_try_seconds(1, Answer(500, "120")) == 5


def test_410_stops_the_lane_and_loses_nothing() -> None:
    verdict = judge(ONE, Answer(410), now=NOW, chance=0.0)
    assert verdict.gone
    assert (verdict.settled.state, verdict.settled.next_try_at) == ("pending", NOW)
    assert lane_after(LaneNotes(), [verdict], now=NOW).gone


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0), ("7", 7), (" 7 ", 7), ("-7", 0), ("7.5", 0), ("soon", 0), ("", 0), ("²", 0),
        ("Sat, 14 Mar 2026 12:02:00 GMT", 120), ("Sat, 14 Mar 2026 11:00:00 GMT", 0),
        ("Sat, 14 Mar 2096 12:02:00 GMT", 86_400), ("Sat, 14 Mar 2026 12:02:00", 120),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float) -> None:
    assert retry_after_seconds(value, NOW) == seconds


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d{1,9} [A-Z][a-z]{2} \d{1,12} \d+:\d+:\d+ [+-]\d{1,9}"))
def test_no_retry_after_breaks_anything(value: str) -> None:
    assert 0 <= retry_after_seconds(value, NOW) <= 86_400


def test_a_receiver_that_fails_is_left_alone_longer_each_time_and_at_most_a_minute() -> None:
    failed = judge(ONE, Answer(500), now=NOW, chance=0.0)
    notes, waits = LaneNotes(), []
    for _ in range(2000):
        notes = lane_after(notes, [failed], now=NOW)
        assert notes.quiet_until is not None
        waits.append((notes.quiet_until - NOW).total_seconds())
    assert waits[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert set(waits[8:]) == {60}


def test_one_delivery_clears_a_lane() -> None:
    round_ = [judge(ONE, Answer(status), now=NOW, chance=0.0) for status in (500, 200)]
    assert lane_after(LaneNotes(5, NOW), round_, now=NOW) == LaneNotes()


def test_a_lane_is_quiet_as_asked_even_beside_a_delivery_but_no_longer_than_an_hour() -> None:
    def quiet(value: str) -> datetime | None:
        answers = (Answer(429, value), Answer(200))
        return lane_after(
            LaneNotes(), [judge(ONE, one, now=NOW, chance=0.0) for one in answers], now=NOW
        ).quiet_until

    assert quiet("30") == NOW + timedelta(seconds=30)
    assert quiet("80000") == NOW + timedelta(hours=1)


def test_the_body_is_type_timestamp_and_data_with_subject_and_version() -> None:
    assert json.loads(body(ONE)) == {
        "type": "payout.paid",
        "timestamp": "2026-03-14T12:00:00Z",
        "data": {"payout_id": "01a1", "amount_minor": 500, "subject": "payout:01a1", "version": 3},
    }


def test_the_letter_is_the_same_at_every_try_but_for_its_timestamp() -> None:
    first = compose(ONE, now=NOW)
    later = compose(replace(ONE, tries=5, id=99), now=NOW + timedelta(days=1))
    assert (later.webhook_id, later.body) == (first.webhook_id, first.body)
    assert (first.timestamp, later.timestamp) == (int(NOW.timestamp()), int(NOW.timestamp()) + 86_400)


def test_every_notification_has_a_webhook_id_of_its_own() -> None:
    others = [
        ONE,
        replace(ONE, tenant="globex"),
        replace(ONE, subject="payout:01a2"),
        replace(ONE, version=4),
        replace(ONE, subject="payout:01a13", version=1),
        replace(ONE, type="payout.failed"),
        replace(ONE, created_at=NOW + timedelta(microseconds=1)),
    ]
    assert len({webhook_id(one) for one in others}) == len(others)


@pytest.mark.parametrize("size", [BODY_BYTES_MAX // 2, BODY_BYTES_MAX, 10 * BODY_BYTES_MAX])
def test_no_body_is_larger_than_the_specification_allows(size: int) -> None:
    written = body(replace(ONE, data={"note": "ü" * (size // 2)}))
    assert len(written) <= BODY_BYTES_MAX
    data = json.loads(written)["data"]
    assert (data["subject"], data["version"]) == ("payout:01a1", 3)
    assert ("note" in data) == (size < BODY_BYTES_MAX)
