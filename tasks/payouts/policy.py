"""Which requests are admitted, what people may do to a payout, and how long a failed one waits. Pure.

The waits, with the defaults of a tenant (cooldown 300 s, factor 1): each 5 min to 5 min 30 s. With a factor of 2:
5 min, 10 min, 20 min, 40 min, each up to a tenth longer, and never past a week.
"""

import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from models.jobs.outcomes import Refused
from models.payouts.payout import Attempt, Payout
from models.payouts.states import State
from models.tenants import Policy
from tasks.payouts.pacing import LOST

KYC_VERIFIED = "verified"
LONGEST_COOLDOWN_SECONDS = 7 * 86_400
"""No backoff grows past it, and no Retry-After is obeyed beyond it; a tenant's own cooldown may be longer."""
JITTER = 0.1
"""A cooldown is longer by up to this part of it, so that payouts which failed together are not sent together."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a request meets. `adapter` is None where the provider is not configured, or not any more;
    `unrepresentable` says why the provider cannot pay this amount."""

    adapter: str | None
    kyc_status: str = "unverified"
    unrepresentable: str | None = None


def refuse_request(policy: Policy, provider: str, standing: Standing) -> Refused | None:
    """Why the request becomes no payout, before any limit or hold is asked. A paused provider is no reason."""
    if standing.adapter is None:
        return Refused("provider_not_configured", {"provider": provider})
    if standing.unrepresentable is not None:
        return Refused("amount_not_representable", {"provider": provider, "cause": standing.unrepresentable})
    if policy.kyc_required and standing.kyc_status != KYC_VERIFIED:
        return Refused("kyc_required", {"kyc_status": standing.kyc_status})
    return None


def needs_approval(policy: Policy, amount_minor: int) -> bool:
    """Above the threshold; a threshold of 0 is every payout, none is no payout."""
    threshold = policy.approval_threshold_minor
    return threshold is not None and amount_minor > threshold


def admit(asked: Payout, policy: Policy, now: datetime) -> Payout:
    """The payout as it begins: due at once, or waiting for a person until its approval expires."""
    if not needs_approval(policy, asked.amount_minor):
        return replace(asked, state="approved", next_attempt_at=now)
    seconds = policy.approval_expires_seconds
    expires_at = None if seconds is None else now + timedelta(seconds=seconds)
    return replace(asked, state="awaiting_approval", approval_expires_at=expires_at)


def has_expired(payout: Payout, now: datetime) -> bool:
    """Nobody may approve it any more. The sweep cancels it."""
    return payout.approval_expires_at is not None and now >= payout.approval_expires_at


def approve(payout: Payout, actor: str, now: datetime) -> Payout | Refused:
    """Four eyes: whoever asked for it may not approve it."""
    if refused := _unless(payout, "awaiting_approval"):
        return refused
    if payout.approval_expires_at is not None and has_expired(payout, now):
        return Refused("approval_expired", {"expired_at": payout.approval_expires_at.isoformat()})
    if is_same_person(actor, payout.requested_by):
        return Refused("same_person")
    return replace(payout, state="approved", approved_by=actor, next_attempt_at=now)


def is_same_person(one: str, other: str) -> bool:
    """Names that differ only in case, in white space or in how Unicode writes them are one person's."""
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def reject(payout: Payout) -> Payout | Refused:
    """The answer of a person who was asked to approve."""
    refused = _unless(payout, "awaiting_approval")
    return refused or replace(payout, state="cancelled", failure_code="rejected")


def cancel(payout: Payout, live: Attempt | None) -> Payout | Refused:
    """Before it is sent, or between two attempts. `live` is the attempt that may still pay: only one that was
    proven not to be sent can be given up. Its sender may only be frozen (`lost`): see mark_failed."""
    if refused := _unless(payout, "awaiting_approval", "approved", "cooling"):
        return refused
    if live is not None and live.error_code == LOST:
        return Refused("attempt_lost", {"attempt_no": live.attempt_no})
    if live is not None and live.outcome != "not_sent":
        return Refused("wrong_state", {"state": payout.state, "attempt": live.outcome})
    return replace(payout, state="cancelled", failure_code="cancelled", next_attempt_at=None)


def retry(payout: Payout, policy: Policy, now: datetime) -> Payout | Refused:
    """Sooner than planned, never sooner than the cooldown and never more often than the limit allows."""
    limit_reached = is_exhausted(policy, payout.attempts_made)
    if limit_reached and payout.state in ("cooling", "failed"):
        limit = policy.payout_retry_limit
        return Refused("retry_limit_reached", {"attempts_made": payout.attempts_made, "limit": limit})
    if refused := _unless(payout, "cooling"):
        return refused
    if payout.cooldown_until is not None and now < payout.cooldown_until:
        left = payout.cooldown_until - now
        seconds = -(-left // timedelta(seconds=1))
        detail = {"seconds_left": seconds, "retry_at": payout.cooldown_until.isoformat()}
        return Refused("cooldown_active", detail)
    return replace(payout, next_attempt_at=now)


def mark_paid(payout: Payout, live: Attempt | None = None) -> Payout | Refused:
    """A person knows that the money left."""
    refused = None if _is_lost(payout, live) else _unless(payout, "in_doubt")
    return refused or _decided(payout, "paid")


def mark_failed(payout: Payout, live: Attempt | None = None) -> Payout | Refused:
    """A person knows that the money did not leave, and will not. What waits to be sent again is cancelled."""
    lost = _is_lost(payout, live)
    refused = None if lost else _unless(payout, "in_doubt")
    return refused or replace(
        _decided(payout, "cancelled" if lost else "failed"), failure_code="marked_failed"
    )


def _is_lost(payout: Payout, live: Attempt | None) -> bool:
    """Does it wait to send an attempt again of which nobody knows? Its provider may be gone for good."""
    return payout.state == "cooling" and live is not None and live.error_code == LOST


def _decided(payout: Payout, state: State) -> Payout:
    return replace(
        payout,
        state=state,
        next_attempt_at=None,
        cooldown_until=None,
        in_doubt_since=None,
        next_lookup_at=None,
    )


def _unless(payout: Payout, *states: State) -> Refused | None:
    return None if payout.state in states else Refused("wrong_state", {"state": payout.state})


def is_exhausted(policy: Policy, attempts_made: int) -> bool:
    """The limit counts the attempts after the first: with 3, the fourth is the last."""
    return attempts_made > policy.payout_retry_limit


@dataclass(frozen=True, slots=True)
class Cooldown:
    """How long a failed payout waits: for the next attempt, and until a person may send it sooner than that."""

    next_attempt_at: datetime
    until: datetime


def cooldown(
    policy: Policy, failures: int, now: datetime, *, chance: float, retry_after_seconds: float | None = None
) -> Cooldown:
    """After the `failures`-th proven failure, from 1: the tenant's cooldown * factor ^ (failures - 1), at most a week,
    plus 0 to 10 % by `chance` (0 to 1); or the provider's Retry-After when longer.

    A person may retry after the tenant's own cooldown (or Retry-After), whatever the backoff has made of it.
    """
    asked = min(max(retry_after_seconds or 0.0, 0.0), LONGEST_COOLDOWN_SECONDS)
    own = policy.payout_cooldown_seconds
    planned = backoff_seconds(policy, failures) * (1 + JITTER * chance)
    return Cooldown(
        next_attempt_at=now + timedelta(seconds=max(planned, asked)),
        until=now + timedelta(seconds=max(own, asked)),
    )


def backoff_seconds(policy: Policy, failures: int) -> float:
    """The cooldown after so many failures, without jitter; not less than the tenant's own."""
    own = policy.payout_cooldown_seconds
    grown = own * policy.payout_backoff_factor ** min(max(failures - 1, 0), 100)
    return max(own, min(grown, LONGEST_COOLDOWN_SECONDS))
