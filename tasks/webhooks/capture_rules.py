"""Captures of a deposit's payments, and how they end: released, expired, failed, returned. Pure."""

from dataclasses import replace

from tasks.webhooks.decisions import (
    CAPTURES,
    REFUNDS,
    RETURNS,
    Apply,
    Decision,
    Ignore,
    Park,
    Reject,
    amount_of,
    cannot_undo,
    moved,
    part_id_of,
    seconds_of,
    told_again,
    was_captured,
)
from tasks.webhooks.facts import Deposit, Part, Release
from worker.providers.port import ProviderEvent


def authorised(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:  # noqa: ARG001 - a rule
    """No money yet, but what follows may name the payment alone."""
    return Ignore("duplicate") if payment in deposit.object_ids else Apply(deposit)


def captured(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    part_id, amount = event.part_id or payment, amount_of(event)
    if known := deposit.captures.get(part_id):
        if known.reversed_at is not None and (seconds_of(event) or 0) > known.reversed_at:
            return Reject("captured_again", {"cause": "the capture failed before it was reported once more"})
        return told_again(known, event)
    after = deposit.with_capture(part_id, Part(amount, payment))
    return _credited(deposit, after, payment, f"capture:{part_id}")


def capture_total(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    """All that was captured of a charge so far, which only grows: captures of one charge add up."""
    part_id, amount = part_id_of(event), amount_of(event)
    known, released = deposit.captures.get(part_id), with_release(deposit, payment, event)
    grown = known is None or amount > known.amount_minor
    if not grown and released == deposit:
        return Ignore("stale" if known and amount < known.amount_minor else "duplicate")
    if not grown:  # only what its refunds contain is news
        return moved(deposit, released, REFUNDS, release_effect(payment, event), otherwise="stale")
    part = Part(amount, payment) if known is None else replace(known, amount_minor=amount)
    effect = f"capture:{part_id}" if known is None else f"capture:{part_id}:{amount}"
    return _credited(deposit, released.with_capture(part_id, part), payment, effect)


def with_release(deposit: Deposit, payment: str, event: ProviderEvent) -> Deposit:
    """The least that was told counts: several captures release nothing that a refund total contains."""
    known, minor = deposit.released.get(payment), event.released_minor
    if minor is None or (known is not None and known.minor <= minor):
        return deposit
    release = Release(minor, seconds_of(event) or 0)
    return replace(deposit, released={**deposit.released, payment: release})


def release_effect(payment: str, event: ProviderEvent) -> str:
    return f"released:{payment}:{event.released_minor}"


def _credited(deposit: Deposit, after: Deposit, payment: str, effect: str) -> Decision:
    is_duplicate = after.position.duplicate > deposit.position.duplicate
    differs = after.captured_of(payment) != deposit.expected_minor
    reason = "duplicate_capture" if is_duplicate else "amount_differs" if differs else ""
    return moved(deposit, replace(after, failed=False), CAPTURES, effect, reason)


def failed(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    if deposit.captured_minor:
        return Ignore("impossible_move")
    if event.sequence is not None and event.sequence < deposit.sequences.get(payment, 0):
        return Ignore("stale")
    return Ignore("duplicate") if deposit.state == "failed" else Apply(replace(deposit, failed=True))


def expired(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    """What was not captured of an authorisation will not be. One that was credited as a whole cannot expire, unless it
    was to be captured by hand."""
    own = deposit.captures.get(payment)
    if own is not None and not own.reversed and len(deposit.captures) == 1:
        return Reject(
            "expired_after_capture", {"cause": "the authorisation was credited, and was never captured"}
        )
    return failed(deposit, payment, event)


def capture_reversed(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    part_id = event.part_id or payment
    part = deposit.captures.get(part_id) or _unseen_capture(deposit, payment, event)
    if part is None or part.object_id != payment:
        return Park("awaiting_capture")
    if no := cannot_undo(part, event):
        return no
    after = deposit.with_capture(part_id, replace(part, reversed=True, reversed_at=seconds_of(event)))
    return moved(deposit, after, CAPTURES, f"capture_reversed:{part_id}")


def _unseen_capture(deposit: Deposit, payment: str, event: ProviderEvent) -> Part | None:
    """A capture by hand, or none that is ever reported, of an authorisation that was credited as a whole."""
    is_credited = payment in deposit.captures and event.amount_minor is not None
    return Part(amount_of(event), payment) if is_credited else None


def returned(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    """Settled money that the provider took back from us, of whatever capture."""
    part_id, amount = part_id_of(event), amount_of(event)
    if known := deposit.returns.get(part_id):
        return told_again(known, event)
    if not was_captured(deposit, payment):
        return Park("awaiting_capture")
    after = deposit.with_return(part_id, Part(amount, payment))
    return moved(deposit, after, RETURNS, f"return:{part_id}")
