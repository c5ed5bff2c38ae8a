"""What is said, and what an answer means. Pure: facts in, a frozen value out.

The schedule and the meaning of 410, 429, 502 and 504 are those of the Standard Webhooks specification 1.0.0.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from models.notifications.delivering import Notification, Settled
from models.notifications.lanes import LaneNotes
from worker.notifying import Answer, Letter

SCHEDULE_SECONDS = (0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
"""Before the 1st, 2nd, ... try, counted from the one before; together some three days."""
TRIES_MAX = len(SCHEDULE_SECONDS)
JITTER = 0.1
RETRY_AFTER_SECONDS_MAX = 86_400
BACKOFF_SECONDS_MAX = 60
QUIET_SECONDS_MAX = 3600
THROTTLED = (429, 502, 503, 504)
GONE = 410
BODY_BYTES_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one answer means: for the notification, and for its tenant's lane."""

    settled: Settled
    gone: bool = False
    quiet_seconds: float = 0.0
    """The receiver asked to be left alone for so long."""


def compose(notification: Notification, *, now: datetime) -> Letter:
    """The letter, the same at every try but for its timestamp."""
    return Letter(webhook_id(notification), int(now.timestamp()), body(notification))


def webhook_id(notification: Notification) -> str:
    """The receiver's key against doubles. Not the row's id: a database restored from a backup counts anew from there,
    and another notification of the same number would be taken for a double."""
    created = notification.created_at.astimezone(UTC).isoformat()
    parts = (notification.tenant, notification.subject, str(notification.version), notification.type, created)
    return f"msg_{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]}"


def body(notification: Notification) -> bytes:
    """`{type, timestamp, data}`; `data` names subject and version. Details that would make it larger than
    BODY_BYTES_MAX are left out, and it says so."""
    identity = {"subject": notification.subject, "version": notification.version}
    whole = _written(notification, {**notification.data, **identity})
    if len(whole) <= BODY_BYTES_MAX:
        return whole
    return _written(notification, {**identity, "details": "left out: too large"})


def judge(notification: Notification, answer: Answer, *, now: datetime, chance: float) -> Verdict:
    """Delivered, again later, or given up after TRIES_MAX. `chance` in 0..1 spreads the next try over JITTER more."""
    if answer.status is not None and 200 <= answer.status < 300:
        return Verdict(Settled(notification, "delivered"))
    error = describe(answer)
    if answer.status == GONE:
        return Verdict(Settled(notification, "pending", now, error), gone=True)
    asked = retry_after_seconds(answer.retry_after, now) if answer.status in THROTTLED else 0.0
    if notification.tries >= TRIES_MAX:
        return Verdict(Settled(notification, "gave_up", None, error), quiet_seconds=asked)
    seconds = max(SCHEDULE_SECONDS[max(1, notification.tries)] * (1 + JITTER * chance), asked)
    return Verdict(
        Settled(notification, "pending", now + timedelta(seconds=seconds), error), quiet_seconds=asked
    )


def lane_after(notes: LaneNotes, verdicts: Sequence[Verdict], *, now: datetime) -> LaneNotes:
    """What a round has taught of the receiver: quiet for 1, 2, 4, ... 60 s while nothing gets through, and for as
    long as it asked for, up to an hour."""
    delivered = any(verdict.settled.state == "delivered" for verdict in verdicts)
    failures = 0 if delivered else notes.failures_in_a_row + 1
    backoff = min(2.0 ** min(failures - 1, 10), BACKOFF_SECONDS_MAX) if failures else 0.0
    asked = max(verdict.quiet_seconds for verdict in verdicts)
    quiet = max(backoff, min(asked, QUIET_SECONDS_MAX))
    return LaneNotes(
        failures,
        now + timedelta(seconds=quiet) if quiet else None,
        any(verdict.gone for verdict in verdicts),
    )


def retry_after_seconds(value: str, now: datetime) -> float:
    """Retry-After (RFC 9110, 10.2.3), seconds or a date, at most a day; 0 when it says nothing usable."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:9]), RETRY_AFTER_SECONDS_MAX))
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError, IndexError, TypeError):
        return 0.0
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(0.0, (at - now).total_seconds()), RETRY_AFTER_SECONDS_MAX)


def describe(answer: Answer) -> str:
    """Why it was not delivered, in our words: what a receiver says may hold anything."""
    if answer.status is None:
        return answer.failure
    if answer.status == GONE:
        return "HTTP 410: gone; nothing is sent until the address changes or someone redelivers"
    redirect = "; redirects are not followed" if 300 <= answer.status < 400 else ""
    return f"HTTP {answer.status}{redirect}"


def _written(notification: Notification, data: object) -> bytes:
    timestamp = notification.created_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    whole = {"type": notification.type, "timestamp": timestamp, "data": data}
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode()
