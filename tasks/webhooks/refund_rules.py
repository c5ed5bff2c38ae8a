"""Refunds of a deposit's payments, one by one and as a total (tasks.webhooks.refunds). Pure."""

from dataclasses import replace

from tasks.webhooks.capture_rules import release_effect, with_release
from tasks.webhooks.decisions import (
    REFUNDS,
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
from tasks.webhooks.facts import NEVER_LEFT, Deposit, Part
from tasks.webhooks.refunds import RefundTotal
from worker.providers.port import ProviderEvent


def refunded(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    """One that is known may tell more than before: when it was made, or that it left after all."""
    part_id, amount = part_id_of(event), amount_of(event)
    known = deposit.refunds.get(part_id)
    if known is None:
        part = Part(amount, payment, made_at=event.made_at)
        return _refund(deposit, deposit.with_refund(part_id, part), payment, f"refund:{part_id}", amount)
    part = replace(known, made_at=known.made_at if event.made_at is None else event.made_at)
    if known.reversed_at == NEVER_LEFT:
        part = replace(part, reversed=False, reversed_at=None)
    if part == known or known.amount_minor != amount:
        return told_again(known, event)
    effect = f"refund:{part_id}:{part.made_at}"
    return _refund(deposit, deposit.with_refund(part_id, part), payment, effect, amount)


def refund_total(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    """What stands refunded of a charge as its newest event has it: less than before, where a refund failed."""
    told = RefundTotal(amount_of(event), _moment(event), event.released_minor or 0)
    released = with_release(deposit, payment, event) if event.released_minor == 0 else deposit
    release, known = released.released.get(payment), deposit.totals.get(payment)
    amount = told.net_of(release.minor if release else None).minor
    if known is not None and told.newest(known) == known:
        if released == deposit:
            return Ignore("stale")
        return moved(deposit, released, REFUNDS, release_effect(payment, event), otherwise="stale")
    after = replace(released, totals={**deposit.totals, payment: told})
    effect = f"refund_total:{payment}:{told.minor}" + (f":{told.at}" if told.at else "")
    return _refund(deposit, after, payment, effect, amount)


def _moment(event: ProviderEvent) -> int:
    """In half seconds of Unix time, as RefundTotal has it; 0 where the provider does not say."""
    return event.sequence or 0


def _refund(deposit: Deposit, after: Deposit, payment: str, effect: str, told_minor: int) -> Decision:
    """Take what this event makes the refunds larger by: nothing when another event has told it already."""
    refunds = after.refunded_of(payment)
    grows = refunds > deposit.refunded_of(payment)
    if grows and (no := _beyond_capture(deposit, payment, told_minor, refunds)):
        return no
    return moved(deposit, after, REFUNDS, effect, otherwise="stale")


def _beyond_capture(deposit: Deposit, payment: str, told_minor: int, total_minor: int) -> Decision | None:
    """More than was captured may go back only once a capture or a reversal that we have not heard of is told."""
    captured = deposit.ever_captured_of(payment)
    if total_minor <= captured:
        return None
    if captured == 0:
        return Park("awaiting_capture")  # of which nobody knows how much it is
    if told_minor > max(captured, deposit.expected_minor):
        return Reject("exceeds_captured", {"cause": f"{told_minor} told, {captured} captured"})
    return Park("exceeds_captured")


def refund_reversed(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    part_id = part_id_of(event)
    part = deposit.refunds.get(part_id) or _unseen_refund(deposit, payment, event)
    if part is None:
        return Park("awaiting_refund")
    if no := cannot_undo(part, event):
        return no
    after = deposit.with_refund(part_id, replace(part, reversed=True, reversed_at=seconds_of(event)))
    return moved(deposit, after, REFUNDS, f"refund_reversed:{part_id}")


def refund_voided(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    """It comes off a total that contains it, whenever that is reported."""
    part_id, amount = part_id_of(event), amount_of(event)
    part = deposit.refunds.get(part_id, Part(amount, payment, made_at=event.made_at))
    if part_id in deposit.refunds and (no := cannot_undo(part, event)):
        return no
    after = deposit.with_refund(part_id, replace(part, reversed=True, reversed_at=seconds_of(event)))
    return moved(deposit, after, REFUNDS, f"refund_voided:{part_id}")


def released(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    """Nothing was paid and nothing went back: no refund. When all of it is released, the authorisation is void."""
    part_id, amount = part_id_of(event), amount_of(event)
    if part_id in deposit.refunds:
        return Ignore("duplicate")
    part = Part(amount, payment, reversed=True, made_at=event.made_at, reversed_at=NEVER_LEFT)
    is_void = not deposit.captures and amount >= deposit.expected_minor
    after = replace(deposit.with_refund(part_id, part), failed=deposit.failed or is_void)
    return moved(deposit, after, REFUNDS, f"released:{part_id}")


def _unseen_refund(deposit: Deposit, payment: str, event: ProviderEvent) -> Part | None:
    """A refund that a total may contain, or one that waits for its own reversal: beside a later one it exceeds what was
    captured."""
    if event.amount_minor is None:
        return None
    fits = deposit.refunded_of(payment) + event.amount_minor <= deposit.ever_captured_of(payment)
    if payment not in deposit.totals and (fits or not was_captured(deposit, payment)):
        return None
    return Part(event.amount_minor, payment, made_at=event.made_at)
