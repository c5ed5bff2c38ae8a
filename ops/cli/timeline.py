"""A payout's story as a timeline: every recorded fact one dated sentence, in order, and what comes next. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from models.money import format_minor
from models.payouts.payout import Payout
from models.payouts.story import Row, Story

ORDER = ("job", "webhook", "attempt", "move", "note", "ledger", "limit", "audit", "news", "finding")
"""Of what happened at the same instant: causes before effects."""
UNITS = ((120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h"))
DAYS = (86_400, "d")


@dataclass(frozen=True, slots=True)
class Moment:
    """`kind` is one of ORDER; `facts` is the recorded row, for scripts."""

    at: datetime
    kind: str
    said: str
    facts: Row


def timeline(story: Story) -> list[Moment]:
    """Everything that happened, oldest first."""
    moments = [
        *_request(story), *_commands(story), *_webhooks(story), *_attempts(story), *_events(story), *_ledger(story),
        *_limit(story), *_audit(story), *_news(story), *_findings(story),
    ]  # fmt: skip
    return sorted(moments, key=lambda one: (one.at, ORDER.index(one.kind)))


def what_next(story: Story, now: datetime) -> str:
    """What the payout waits for, in one sentence; with the time left."""
    payout = story.payout
    match payout.state:
        case "awaiting_approval":
            return f"somebody other than {payout.requested_by} must approve it" + _expiry(payout, now)
        case "approved" | "cooling":
            return _next_attempt(story, now)
        case "sending":
            return f"the provider's answer, until {_when(payout.claimed_until, now)}"
        case "in_doubt":
            return f"{_next_lookup(story, now)}; a webhook or a person may end it before"
        case "submitted":
            return f"{payout.provider} has it and will tell by webhook; if it does not, {_next_lookup(story, now)}"
        case "paid":
            return "nothing, unless the provider brings it back"
        case _:
            return "nothing: it has ended"


def left(seconds: float) -> str:
    """in 40 s, in 4 min, in 3 h, in 2 d; 40 s ago."""
    size = abs(seconds)
    fits = [(unit, name) for most, unit, name in UNITS if size < most]
    unit, name = fits[0] if fits else DAYS
    shown = f"{size / unit:.0f} {name}"
    return f"in {shown}" if seconds >= 0 else f"{shown} ago"


def _when(at: datetime | None, now: datetime) -> str:
    if at is None:
        return "an unknown time"
    return f"{at:%Y-%m-%d %H:%M:%S}Z ({left((at - now).total_seconds())})"


def _expiry(payout: Payout, now: datetime) -> str:
    at = payout.approval_expires_at
    return "" if at is None else f", or it is cancelled at {_when(at, now)}"


def _next_lookup(story: Story, now: datetime) -> str:
    """A pause does not keep anyone from asking."""
    payout = story.payout
    said = f"look-up {payout.lookups_made + 1} at {_when(payout.next_lookup_at, now)}"
    unasked = f"; but {payout.provider} is not configured to pay out, and cannot be asked"
    return said if story.road.get("enabled") else said + unasked


def _next_attempt(story: Story, now: datetime) -> str:
    payout = story.payout
    said = f"next attempt at {_when(payout.next_attempt_at, now)}"
    if payout.state == "cooling":
        limit = story.road.get("payout_retry_limit")
        said += f", {payout.attempts_made} made" + ("" if limit is None else f" of {limit + 1} at most")
        if payout.cooldown_until is not None and payout.cooldown_until > now:
            said += f"; a person may retry it from {_when(payout.cooldown_until, now)}"
    obstacle = _obstacle(story.payout.provider, story.road)
    return f"{said}; but {obstacle}" if obstacle else said


def _obstacle(provider: str, road: Mapping[str, Any]) -> str | None:
    """What keeps money from leaving."""
    if road.get("tenant_paused_at") is not None:
        return "the tenant is paused"
    if not road.get("enabled"):
        return f"{provider} is not configured to pay out"
    if road.get("paused_at") is not None:
        return f"{provider} is paused by {road['paused_by']}"
    if road.get("breaker") != "closed":
        return f"the breaker of {provider} is {road['breaker']} ({road['breaker_code']})"
    return None


def _request(story: Story) -> Iterator[Moment]:
    payout, job = story.payout, story.request
    said = (
        f"asked for by {payout.requested_by}: {format_minor(payout.amount_minor, payout.currency)} "
        f"of {payout.owner} to {payout.destination} by {payout.provider}"
    )
    if job is not None:
        said += f" (job {job['idempotency_key']}, {job['origin']})"
    yield Moment(job["accepted_at"] if job else payout.requested_at, "job", said, job or {})


def _commands(story: Story) -> Iterator[Moment]:
    for job in story.commands:
        said = f"{job['name']} by {job['actor']}: {job['state']}{_code(job)} - {job['reason']}"
        yield Moment(job["finished_at"] or job["accepted_at"], "job", said, job)


def _webhooks(story: Story) -> Iterator[Moment]:
    for job in story.webhooks:
        sequence = "" if job["sequence"] is None else f", sequence {job['sequence']}"
        said = f"webhook {job['type']} ({job['event_key']}{sequence}): {job['state']}{_code(job)}"
        yield Moment(job["accepted_at"], "webhook", said, job)


def _code(job: Row) -> str:
    """Why a job is what it is."""
    result = job["result"] or {}
    why = [str(result[name]) for name in ("effect", "code", "cause", "reason") if result.get(name)]
    why += [f"{result['seconds_left']} s left"] if "seconds_left" in result else []
    why += [str(job["last_error"])] if job["last_error"] else []
    return f" ({', '.join(dict.fromkeys(why))})" if why else ""


def _attempts(story: Story) -> Iterator[Moment]:
    for one in story.attempts:
        said = f"attempt {one['attempt_no']}: key {one['provider_key']}, reference {one['reference']}"
        yield Moment(one["first_used_at"], "attempt", said, one)
        if one["finished_at"] is not None:
            code = f" {one['error_code']}" if one["error_code"] else ""
            known = f", at the provider {one['object_id']}" if one["object_id"] else ""
            lasted = (one["finished_at"] - one["started_at"]).total_seconds()
            said = (
                f"attempt {one['attempt_no']} {one['outcome']}{code} after {lasted:.1f} s{_sends(one)}{known}"
            )
            yield Moment(one["finished_at"], "attempt", said, one)


def _sends(attempt: Row) -> str:
    return f", sent {attempt['sends']} times under one key" if attempt["sends"] > 1 else ""


def _events(story: Story) -> Iterator[Moment]:
    for event in story.events:
        moved = event["to_state"] is not None
        said = f"{event['from_state']} -> {event['to_state']}" if event["from_state"] else event["to_state"]
        words = [said if moved else "unchanged", f"by {event['cause']}"]
        words += [f"attempt {event['attempt_no']}"] if event["attempt_no"] is not None else []
        words += [str(event[name]) for name in ("code", "actor", "reason") if event[name]]
        words += [f"{name} {value}" for name, value in event["detail"].items() if value is not None]
        yield Moment(event["at"], "move" if moved else "note", ", ".join(words), event)


def _ledger(story: Story) -> Iterator[Moment]:
    """Each ledger transaction where the history says that it was made."""
    made_at = {one["transaction_id"]: one["at"] for one in story.events}
    for transaction_id, lines in groupby(story.ledger, key=lambda line: line["transaction_id"]):
        entries = list(lines)
        moved = ", ".join(
            f"{line['code']} {line['amount_minor']:+d} -> {line['balance_after_minor']}" for line in entries
        )
        first = entries[0]
        said = f"{first['kind']} (transaction {transaction_id}, {first['currency']}): {moved}"
        at: datetime = made_at.get(transaction_id) or first["occurred_at"]
        yield Moment(at, "ledger", said, {**first, "entries": entries})


def _limit(story: Story) -> Iterator[Moment]:
    one = story.reservation
    if one is None:
        return
    said = f"{one['amount_minor']} {one['currency']} of the owner's limit of {one['business_date']}"
    yield Moment(one["reserved_at"], "limit", f"reserved: {said}", one)
    if one["released_at"] is not None:
        yield Moment(one["released_at"], "limit", f"given back: {said}", one)


def _audit(story: Story) -> Iterator[Moment]:
    for event in story.audit:
        yield Moment(event["at"], "audit", f"{event['action']} by {event['actor']}: {event['reason']}", event)


def _news(story: Story) -> Iterator[Moment]:
    for one in story.notifications:
        said = f"{one['type']} (version {one['version']}) is {one['state']}, {one['tries']} tries"
        said += f", last error {one['last_error']}" if one["last_error"] else ""
        yield Moment(one["created_at"], "news", said, one)


def _findings(story: Story) -> Iterator[Moment]:
    for one in story.findings:
        seen = f", seen {one['times_seen']} times" if one["times_seen"] > 1 else ""
        cause = (one["detail"] or {}).get("cause")
        kind = f"{one['kind']} ({cause})" if cause else one["kind"]
        yield Moment(one["first_seen_at"], "finding", f"{kind} is {one['state']}{seen}", one)
