"""When a payout is sent: its key, its place in the queue, and what a provider in trouble is spared. Pure.

A payout that was provably not sent waits 1 s, 2 s, 4 s, ... 60 s, or the provider's Retry-After. Five failures in a
row, or one refusal of the whole account, open the account's breaker: then one attempt is let through after 30 s,
1 min, 2 min, ... 10 min, until one of them gets an answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from models.payouts.payout import Attempt, Payout, attempt_key, attempt_reference
from models.payouts.states import DUE_STATES
from models.provider_accounts import ProviderAccount
from worker.providers.payouts.port import Answer, Declined, InDoubt, NotSent, Rules, Stopped, Submitted

CLAIM_SLACK_SECONDS = 30
"""A claim stands for the call's own time limit and this: to start the call, and to write its answer down."""
SEND_WITHIN_SECONDS = 15
"""A call that has not begun so long after its claim does not begin any more: its process may have been frozen."""
KEY_MARGIN_SECONDS = 600
"""A key is not used in the last minutes that the provider keeps it: clocks differ, and calls take time."""
NOT_SENT_SECONDS_MAX = 60
DAY_SECONDS = 86_400
DISPATCH_SECONDS = 15
"""A message that no worker has taken by then is given up, and another one is sent."""
CLOCKS_APART_SECONDS = 600
"""The clocks of two workers that give places away differ by less; what is later than that was written before the
clock was put back."""
FAILURES_MAX = 5
PROBE_SECONDS_MIN, PROBE_SECONDS_MAX = 30, 600
LOST = "lost"
"""The code of an attempt whose process died, or hangs: once lost it stays so while it lives, since a process that is
only frozen may still send it."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send this attempt; `given_up` was never sent, and its key is too old to be used."""

    attempt: Attempt
    after: Payout
    given_up: Attempt | None = None


@dataclass(frozen=True, slots=True)
class Hopeless:
    """A process may still send it, and its key is too old to be sent again: doubt, for a person to end."""

    attempt: Attempt
    claimed: Payout
    after: Payout


def is_due(payout: Payout, now: datetime) -> bool:
    return payout.state in DUE_STATES and payout.next_attempt_at is not None and payout.next_attempt_at <= now


def is_dispatched(payout: Payout, now: datetime) -> bool:
    """Has the dispatcher given it a place? Without one it would count towards nobody's limits."""
    return payout.dispatched_until is not None and payout.dispatched_until > now


def key_is_usable(attempt: Attempt, now: datetime) -> bool:
    return now < attempt.key_valid_until - timedelta(seconds=KEY_MARGIN_SECONDS)


def claim(
    payout: Payout, attempts: Sequence[Attempt], rules: Rules, timeout_seconds: float, now: datetime
) -> Send | Hopeless:
    """The attempt to send: the one that was not sent, with its key, while the provider keeps it; else the next one."""
    seconds = timeout_seconds + CLAIM_SLACK_SECONDS
    claimed = replace(
        payout,
        state="sending",
        next_attempt_at=None,
        cooldown_until=None,
        dispatched_until=None,
        claim_version=payout.claim_version + 1,
        claimed_until=now + timedelta(seconds=seconds),
    )
    live = next((one for one in attempts if one.outcome == "not_sent"), None)
    if live is None:
        return Send(_new_attempt(claimed, len(attempts) + 1, rules, now), claimed)
    if key_is_usable(live, now):
        return Send(_again(live, claimed, now), claimed)
    if live.error_code == LOST:
        doubted = replace(live, outcome="in_doubt", claim_version=claimed.claim_version)
        return Hopeless(doubted, claimed, in_doubt(claimed, now, DAY_SECONDS))
    given_up = replace(live, outcome="abandoned", finished_at=now)
    return Send(_new_attempt(claimed, len(attempts) + 1, rules, now), claimed, given_up)


def _new_attempt(payout: Payout, attempt_no: int, rules: Rules, now: datetime) -> Attempt:
    return Attempt(
        payout_id=payout.id,
        attempt_no=attempt_no,
        tenant=payout.tenant,
        provider=payout.provider,
        provider_key=attempt_key(payout.id, attempt_no),
        reference=attempt_reference(payout.id, attempt_no),
        claim_version=payout.claim_version,
        outcome="sending",
        started_at=now,
        first_used_at=now,
        key_valid_until=now + timedelta(seconds=rules.key_valid_seconds),
    )


def _again(attempt: Attempt, claimed: Payout, now: datetime) -> Attempt:
    return replace(
        attempt,
        outcome="sending",
        claim_version=claimed.claim_version,
        sends=attempt.sends + 1,
        started_at=now,
    )


def in_doubt(payout: Payout, now: datetime, seconds: int) -> Payout:
    """The payout in doubt, first asked about after so many seconds."""
    return replace(
        payout,
        state="in_doubt",
        claimed_until=None,
        dispatched_until=None,
        in_doubt_since=now,
        lookups_made=0,
        next_lookup_at=now + timedelta(seconds=seconds),
    )


def not_sent_seconds(sends: int) -> float:
    """1, 2, 4, ... 60."""
    return float(min(2 ** min(sends - 1, 10), NOT_SENT_SECONDS_MAX))


def may_claim(account: ProviderAccount | None, payout: Payout, now: datetime) -> bool:
    """Is it due, has it a place, and may money leave through the account at this moment?"""
    open_ = account is None or account.breaker == "open" or not account.is_usable
    return not open_ and is_due(payout, now) and is_dispatched(payout, now)


def free_places(account: ProviderAccount, under_way: int, now: datetime) -> int:
    """How many more of the account's payouts may be sent now; one alone while its breaker is not closed."""
    if not account.is_usable:
        return 0
    tokens = int(refilled(account, now).allowance) if account.per_second else account.max_in_flight
    if account.breaker == "closed":
        return max(min(account.max_in_flight - under_way, tokens), 0)
    is_time = account.probe_at is not None and account.probe_at <= now
    return min(tokens, 1) if is_time and under_way == 0 else 0


def refilled(account: ProviderAccount, now: datetime) -> ProviderAccount:
    """Its token bucket as of now: `per_second` flow in, at most a second's worth is kept, and never less than one."""
    if account.per_second is None:
        return account
    full = max(account.per_second, 1.0)
    since = account.allowance_at
    if since is None or since > now + timedelta(seconds=CLOCKS_APART_SECONDS):
        return replace(account, allowance=full, allowance_at=now)
    seconds = max((now - since).total_seconds(), 0.0)
    allowance = min(full, account.allowance + seconds * account.per_second)
    return replace(account, allowance=allowance, allowance_at=max(now, since))


def after_dispatch(account: ProviderAccount, taken: int, now: datetime) -> ProviderAccount:
    """So many places were given away. Of a breaker that is not closed it was the probe."""
    spent = refilled(account, now)
    if account.per_second is not None:
        spent = replace(spent, allowance=spent.allowance - taken)
    if taken and account.breaker != "closed":
        probe_at = now + timedelta(seconds=DISPATCH_SECONDS)
        return replace(spent, breaker="half_open", probe_at=probe_at)
    return spent


def after_answer(account: ProviderAccount, answer: Answer, now: datetime) -> ProviderAccount:
    """What the answer says of the provider itself: the account, with its breaker as it is now."""
    match answer:
        case Submitted() | Declined():
            return _closed(account)
        case Stopped(code):
            return account if account.breaker == "open" else _opened(account, code, now)
        case InDoubt(code) | NotSent(code, down=True):
            return _after_failure(account, code, now)
        case NotSent():
            probed = account.breaker == "half_open"
            return replace(account, probe_at=now) if probed else account


def _after_failure(account: ProviderAccount, code: str, now: datetime) -> ProviderAccount:
    """What was under way when the breaker opened opens it no further."""
    failed = replace(account, failures_in_a_row=account.failures_in_a_row + 1)
    if account.breaker == "open":
        return account
    if account.breaker == "half_open" or failed.failures_in_a_row >= FAILURES_MAX:
        return _opened(failed, code, now)
    return failed


def _opened(account: ProviderAccount, code: str, now: datetime) -> ProviderAccount:
    seconds = min(PROBE_SECONDS_MIN * 2 ** min(account.opens_in_a_row, 10), PROBE_SECONDS_MAX)
    return replace(
        account,
        breaker="open",
        breaker_code=code,
        opens_in_a_row=account.opens_in_a_row + 1,
        probe_at=now + timedelta(seconds=seconds),
    )


def _closed(account: ProviderAccount) -> ProviderAccount:
    return replace(
        account, breaker="closed", failures_in_a_row=0, opens_in_a_row=0, breaker_code=None, probe_at=None
    )
