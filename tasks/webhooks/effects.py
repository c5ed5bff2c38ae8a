"""What one provider event does to one deposit: facts in, a decision out. Pure.

The canonical page is ops/state-machines.md, section "Deposits"; a test holds its table against `decide`.
An event adds to the facts; the ledger is moved by what that changes in the deposit's position. Captures, refunds and
chargebacks are parts, each counted once by its id in whatever order they are reported; only `failed` is a state, so
only there does a sequence number make an event stale.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from models.deposits import wait_keys
from tasks.webhooks import capture_rules, dispute_rules, refund_rules
from tasks.webhooks.decisions import (
    Apply,
    Decision,
    Ignore,
    Park,
    Reject,
    Rule,
    names_no_payment,
    was_captured,
)
from tasks.webhooks.facts import Deposit
from worker.providers.port import ProviderEvent


def decide(deposit: Deposit | None, provider: str, event: ProviderEvent) -> Decision:
    """The effect of `event` of `provider` on its deposit, or on none when none is known."""
    if event.refusal == "unknown_event_type":
        return Park(event.refusal)
    if event.problem is not None:
        return Reject(event.refusal or "malformed_event", {"cause": event.problem})
    if event.move is None:
        return Ignore("unhandled_type")
    if missing := [name for name in NEEDS[event.move] if getattr(event, name) is None]:
        return Reject("malformed_event", {"cause": f"{event.move} without {', '.join(missing)}"})
    if deposit is None:
        return Park("unknown_reference", wait_keys(provider, event.reference, event.object_id))
    if event.currency not in (None, deposit.currency):
        return Reject(
            "currency_mismatch", {"cause": f"{deposit.currency} was expected, {event.currency} told"}
        )
    payment = _payment(deposit, event)
    decision = RULES[event.move](deposit, payment, event)
    if isinstance(decision, Park):
        own = wait_keys(provider, event.reference, event.object_id)
        return Park(decision.reason, tuple(dict.fromkeys(deposit.wait_keys + own)))
    return _noted(decision, payment, event) if isinstance(decision, Apply) else decision


def _payment(deposit: Deposit, event: ProviderEvent) -> str:
    """The provider's payment; where the event names none, that of the chargeback it names, or the only one."""
    if event.object_id is None:
        return (deposit.object_ids or (deposit.reference,))[0]
    if not names_no_payment(event) or was_captured(deposit, event.object_id):
        return event.object_id
    if known := deposit.chargebacks.get(event.object_id):
        return known.object_id
    captured = {part.object_id for part in deposit.captures.values()}
    return captured.pop() if len(captured) == 1 else event.object_id


def _noted(decision: Apply, payment: str, event: ProviderEvent) -> Apply:
    """What is applied teaches us the payment's id and its newest sequence number."""
    after, newest = decision.after, decision.after.sequences
    if event.object_id is not None and payment not in after.object_ids:
        after = replace(after, object_ids=(*after.object_ids, payment))
    sequence = None if event.move == "refund_total" else event.sequence
    if sequence is not None and sequence > newest.get(payment, -1):
        after = replace(after, sequences={**newest, payment: sequence})
    return replace(decision, after=after)


_MONEY: Sequence[str] = ("amount_minor", "currency")
NEEDS: Mapping[str, Sequence[str]] = {
    "authorised": (),
    "captured": _MONEY,
    "capture_total": (*_MONEY, "part_id"),
    "failed": (),
    "expired": (),
    "refunded": (*_MONEY, "part_id"),
    "refund_total": _MONEY,
    "refund_reversed": ("part_id",),
    "refund_voided": (*_MONEY, "part_id"),
    "released": (*_MONEY, "part_id"),
    "chargeback": (*_MONEY, "part_id"),
    "chargeback_reversed": (),
    "capture_reversed": (),
    "returned": (*_MONEY, "part_id"),
}
"""move -> what its event must say"""

RULES: Mapping[str, Rule] = {
    "authorised": capture_rules.authorised,
    "captured": capture_rules.captured,
    "capture_total": capture_rules.capture_total,
    "failed": capture_rules.failed,
    "expired": capture_rules.expired,
    "refunded": refund_rules.refunded,
    "refund_total": refund_rules.refund_total,
    "refund_reversed": refund_rules.refund_reversed,
    "refund_voided": refund_rules.refund_voided,
    "released": refund_rules.released,
    "chargeback": dispute_rules.charged_back,
    "chargeback_reversed": dispute_rules.chargeback_reversed,
    "capture_reversed": capture_rules.capture_reversed,
    "returned": capture_rules.returned,
}
"""move -> rule"""
