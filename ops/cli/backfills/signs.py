"""Since when nobody has given a sign of a run that is running: its worker was killed, or cannot reach the database.

A worker that is alive renews its claim of CLAIM_SECONDS every RENEW_SECONDS; a run that is only handed over is kept for
less. So the claim's end tells when the last sign was given, also of a batch that takes minutes. Pure.
"""

from datetime import datetime, timedelta

from models.backfills.runs import Run
from tasks.backfills.claims import CLAIM_SECONDS, RENEW_SECONDS

SILENT_SECONDS = RENEW_SECONDS + 5
"""After so many the next sign is overdue."""
CLAIM = timedelta(seconds=CLAIM_SECONDS)


def silence(run: Run, now: datetime) -> int | None:
    """For how many seconds, at least, nobody has given a sign; None while one need not be due."""
    if run.state != "running" or run.next_batch_at > now:
        return None
    seconds = int((now - max(_signs(run, now), default=now)).total_seconds())
    return seconds if seconds >= SILENT_SECONDS else None


def silence_words(run: Run, now: datetime) -> str:
    """`no sign of its worker for at least 42 s`, or nothing."""
    seconds = silence(run, now)
    return "" if seconds is None else f"no sign of its worker for at least {seconds:,} s"


def sign_words(run: Run, now: datetime) -> str:
    """When the last batch was, and where the next sign is overdue, when another takes the run over."""
    at = run.last_batch_at
    last = "no batch yet" if at is None else f"last batch {max((now - at).total_seconds(), 0):,.0f} s ago"
    if not (silent := silence_words(run, now)):
        return last
    until = run.claimed_until
    if until is not None and until > now:
        return f"{last}; {silent}: another takes it over from {until:%H:%M:%S}Z on"
    return (
        f"{last}; {silent}: another takes it over now, if Beat runs and a worker takes the queue 'backfills'"
    )


def _signs(run: Run, now: datetime) -> list[datetime]:
    """Each batch is one, and the last renewal of a claim. A turn that is offered to whoever takes it is shorter than a
    claim, and taken for one here: the sign is older then than it seems, never younger."""
    signs = [at for at in (run.started_at, run.last_batch_at) if at is not None]
    if run.claimed_until is not None and run.claimed_until - CLAIM <= now:
        signs.append(run.claimed_until - CLAIM)
    return signs
