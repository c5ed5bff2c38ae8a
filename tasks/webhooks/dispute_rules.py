"""Chargebacks of a deposit's payments, their reversals, and second chargebacks. Pure."""

from dataclasses import replace

from tasks.webhooks.decisions import (
    CHARGEBACKS,
    SECOND,
    Decision,
    Ignore,
    Park,
    amount_of,
    moved,
    names_no_payment,
    part_id_of,
    seconds_of,
    told_again,
    was_captured,
)
from tasks.webhooks.facts import Deposit, Part
from worker.providers.port import ProviderEvent


def charged_back(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    """All of it is taken, whatever was captured: schemes add fees to a lost dispute. What the payment does not have,
    suspense bears."""
    part_id, amount = _chargeback_id(deposit, payment, event), amount_of(event)
    if part_id is None:
        return Park("awaiting_chargeback")
    known = deposit.chargebacks.get(part_id)
    if known is not None and not (event.is_total and amount > known.amount_minor):
        return Ignore("stale") if event.is_total and amount < known.amount_minor else told_again(known, event)
    if not was_captured(deposit, payment):
        return Park("awaiting_capture")
    part = Part(amount, payment) if known is None else replace(known, amount_minor=amount)
    effect = f"chargeback:{part_id}" if known is None else f"chargeback:{part_id}:{amount}"
    return moved(deposit, deposit.with_chargeback(part_id, part), CHARGEBACKS, effect)


def _chargeback_id(deposit: Deposit, payment: str, event: ProviderEvent) -> str | None:
    """A second chargeback that names the payment alone is that of a dispute that was won before: best one of its
    amount."""
    part_id = part_id_of(event)
    if event.object_id != payment or not part_id.endswith(SECOND) or not names_no_payment(event):
        return part_id
    won = {
        name: part.amount_minor - part.standing_minor
        for name, part in deposit.chargebacks.items()
        if part.object_id == payment
        and part.standing_minor < part.amount_minor
        and not name.endswith(SECOND)
        and f"{name}{SECOND}" not in deposit.chargebacks
    }
    alike = [name for name, minor in won.items() if minor == event.amount_minor]
    return f"{(alike or list(won))[0]}{SECOND}" if won else None


def chargeback_reversed(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    if event.part_id not in deposit.chargebacks:
        if event.part_id is None or names_no_payment(event):
            return _some_chargeback_reversed(deposit, payment, event)
        return Park("awaiting_chargeback")
    part_id = _part_of_dispute(deposit, event)
    part = deposit.chargebacks[part_id]
    returned = part.amount_minor if event.amount_minor is None else event.amount_minor
    if event.is_total:
        returned = max(part.returned_minor, min(returned, part.amount_minor))
        if returned == part.returned_minor or part.reversed:
            return Ignore("duplicate")
    elif went_back := part.amount_minor - part.standing_minor:
        return told_again(replace(part, amount_minor=went_back), event)
    elif returned > part.amount_minor:
        return told_again(part, event)
    effect = f"chargeback_reversed:{part_id}" + (f":{returned}" if event.is_total else "")
    back = replace(part, returned_minor=returned, reversed_at=seconds_of(event))
    return moved(deposit, deposit.with_chargeback(part_id, back), CHARGEBACKS, effect)


def _part_of_dispute(deposit: Deposit, event: ProviderEvent) -> str:
    """The chargeback of the dispute that is named; its second one, when it was reversed before and is again, later."""
    part_id = part_id_of(event)
    first, second = deposit.chargebacks[part_id], f"{part_id}{SECOND}"
    is_news = first.reversed_at is not None and (seconds_of(event) or 0) > first.reversed_at
    return second if is_news and second in deposit.chargebacks else part_id


def _some_chargeback_reversed(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    """What names no dispute is of the open one of its amount, else of one open one after the other."""
    parts = {
        name: part
        for name, part in deposit.chargebacks.items()
        if part.object_id == payment and part.standing_minor > 0 and not name.endswith(SECOND)
    }
    alike = [name for name, part in parts.items() if part.standing_minor == event.amount_minor][:1]
    standing = {name: parts[name].standing_minor for name in alike or parts}
    is_any = event.amount_minor is None and len(parts) != 1
    left = sum(standing.values()) if event.amount_minor is None else event.amount_minor
    if is_any or left > sum(standing.values()):
        return Park("awaiting_chargeback")
    after = deposit
    for name, minor in standing.items():
        back, left = min(minor, left), left - min(minor, left)
        returned = parts[name].returned_minor + back
        after = after.with_chargeback(name, replace(parts[name], returned_minor=returned))
    reversed_minor = sum(part.amount_minor - part.standing_minor for part in after.chargebacks.values())
    effect = f"chargeback_reversed:{payment}:{reversed_minor}"  # which only grows
    return moved(deposit, after, CHARGEBACKS, effect)
