"""What one provider event does to one deposit: facts in, a decision out. Pure.

The canonical page is ops/state-machines.md, section "Deposits"; a test holds its table against `decide`.
Captures, refunds and chargebacks are increments, each applied once by its part id in whatever order they are
told; only `failed` is a state, so only there does a sequence number make an event stale.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from models.deposits import wait_keys
from tasks.webhooks.facts import Deposit, Part, Parts
from worker.providers.port import ProviderEvent


@dataclass(frozen=True, slots=True)
class Apply:
    """The deposit is as `after`, once `minor` has come in (or gone back, < 0) for `payment` under the ledger `key`.

    Without a `key` there is nothing to post.
    """

    after: Deposit
    kind: str = ""
    key: str = ""
    payment: str = ""
    minor: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Park:
    """Not yet: wait for one of these keys, or for the schedule."""

    reason: str
    wait_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ignore:
    """Nothing to do, for good."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reject:
    """It cannot be right: a person must look. `detail` has the `cause`."""

    code: str
    detail: Mapping[str, Any] = field(default_factory=dict)


Decision = Apply | Park | Ignore | Reject
Rule = Callable[[Deposit, str, ProviderEvent], Decision]


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


def _captured(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    part_id, amount = event.part_id or payment, _amount(event)
    if known := deposit.captures.get(part_id):
        return _told_again(known, event)
    second = deposit.is_second_payment(payment)
    after = deposit.with_capture(part_id, Part(amount, payment, duplicate=second))
    differs = after.captured_of(payment) != deposit.expected_minor
    reason = "duplicate_capture" if second else "amount_differs" if differs else ""
    key = deposit.key(f"capture:{part_id}")
    return Apply(replace(after, failed=False), "deposit.captured", key, payment, amount, reason)


def _failed(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    if deposit.captured_minor:
        return Ignore("impossible_move")
    if event.sequence is not None and event.sequence < deposit.sequences.get(payment, 0):
        return Ignore("stale")
    return Ignore("duplicate") if deposit.state == "failed" else Apply(replace(deposit, failed=True))


def _refunded(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    part_id, amount = _part_id(event), _amount(event)
    if known := deposit.refunds.get(part_id):
        return _told_again(known, event)
    after = deposit.with_refund(part_id, Part(amount, payment))
    return _refund(deposit, after, payment, f"refund:{part_id}", amount)


def _refund_total(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    total = _amount(event)
    if total <= deposit.totals.get(payment, 0):
        return Ignore("stale")
    after = replace(deposit, totals={**deposit.totals, payment: total})
    return _refund(deposit, after, payment, f"refund_total:{payment}:{total}", total)


def _refund(deposit: Deposit, after: Deposit, payment: str, effect: str, told_minor: int) -> Decision:
    """Take what this event makes the refunds larger by: nothing when another event has told it already."""
    moved = after.refunded_of(payment) - deposit.refunded_of(payment)
    if no := _beyond_capture(deposit, payment, told_minor, after.refunded_of(payment)):
        return no
    if moved == 0:
        return Apply(after, reason="stale")
    return Apply(after, "deposit.refunded", deposit.key(effect), payment, -moved)


def _refund_reversed(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    part_id = _part_id(event)
    part = deposit.refunds.get(part_id) or _unseen_refund(deposit, payment, event)
    if part is None:
        return Park("awaiting_refund")
    if no := _cannot_undo(part, event):
        return no
    after = deposit.with_refund(part_id, replace(part, reversed=True))
    back = deposit.refunded_of(part.object_id) - after.refunded_of(part.object_id)
    if back == 0:
        return Apply(after)
    key = deposit.key(f"refund_reversed:{part_id}")
    return Apply(after, "deposit.refund_reversed", key, part.object_id, back)


def _unseen_refund(deposit: Deposit, payment: str, event: ProviderEvent) -> Part | None:
    """A refund that only a total has told of so far, or one that does not fit beside a later one."""
    amount = event.amount_minor
    if amount is None or not (
        amount <= deposit.unattributed_of(payment)
        or _does_not_fit(deposit, payment, deposit.refunded_of(payment) + amount)
    ):
        return None
    return Part(amount, payment)


def _charged_back(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    part_id, amount = _part_id(event), _amount(event)
    if known := deposit.chargebacks.get(part_id):
        return _told_again(known, event)
    after = deposit.with_chargeback(part_id, Part(amount, payment))
    if no := _beyond_capture(deposit, payment, amount, after.charged_back_of(payment)):
        return no
    key = deposit.key(f"chargeback:{part_id}")
    return Apply(after, "deposit.charged_back", key, payment, -amount)


def _chargeback_reversed(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    part_id = event.part_id or _only_open(deposit.chargebacks, payment)
    if part_id is None:
        return Park("awaiting_chargeback")
    part = deposit.chargebacks.get(part_id)
    if part is None:
        return _unseen_chargeback_reversed(deposit, payment, part_id, event.amount_minor)
    if no := _cannot_undo(part, event):
        return no
    after = deposit.with_chargeback(part_id, replace(part, reversed=True))
    key = deposit.key(f"chargeback_reversed:{part_id}")
    return Apply(after, "deposit.chargeback_reversed", key, part.object_id, part.amount_minor)


def _unseen_chargeback_reversed(
    deposit: Deposit, payment: str, part_id: str, amount_minor: int | None
) -> Decision:
    if amount_minor is None or not _does_not_fit(
        deposit, payment, deposit.charged_back_of(payment) + amount_minor
    ):
        return Park("awaiting_chargeback")
    return Apply(deposit.with_chargeback(part_id, Part(amount_minor, payment, reversed=True)))


def _capture_reversed(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    part_id = event.part_id or payment
    part = deposit.captures.get(part_id)
    if part is None:
        return Park("awaiting_capture")
    if no := _cannot_undo(part, event):
        return no
    after = deposit.with_capture(part_id, replace(part, reversed=True))
    left = after.captured_of(part.object_id)
    if max(after.refunded_of(part.object_id), after.charged_back_of(part.object_id)) > left:
        return Reject(
            "exceeds_captured", {"cause": f"only {left} would be left of what has gone back already"}
        )
    key = deposit.key(f"capture_reversed:{part_id}")
    return Apply(after, "deposit.capture_reversed", key, part.object_id, -part.amount_minor)


def _beyond_capture(deposit: Deposit, payment: str, told_minor: int, total_minor: int) -> Decision | None:
    """More than was captured may go back only once a capture or a reversal that we have not heard of is told."""
    captured = deposit.captured_of(payment)
    if total_minor <= captured:
        return None
    if captured == 0:
        return Park("awaiting_capture")  # of which nobody knows how much it is
    if told_minor > max(captured, deposit.expected_minor):
        return Reject("exceeds_captured", {"cause": f"{told_minor} told, {captured} captured"})
    return Park("exceeds_captured")


def _does_not_fit(deposit: Deposit, payment: str, total_minor: int) -> bool:
    """Would a part that makes this total wait for its own reversal (`_beyond_capture`)? Then both are told at once."""
    return 0 < deposit.captured_of(payment) < total_minor


def _told_again(known: Part, event: ProviderEvent) -> Decision:
    if event.amount_minor in (None, known.amount_minor):
        return Ignore("duplicate")
    cause = f"{event.amount_minor} told, {known.amount_minor} told before"
    return Reject("amount_conflict", {"cause": cause})


def _cannot_undo(part: Part, event: ProviderEvent) -> Decision | None:
    told = _told_again(part, event)
    return told if part.reversed or isinstance(told, Reject) else None


def _only_open(parts: Parts, payment: str) -> str | None:
    names = [name for name, part in parts.items() if part.object_id == payment and not part.reversed]
    return names[0] if len(names) == 1 else None


def _payment(deposit: Deposit, event: ProviderEvent) -> str:
    """The provider's payment; where it names none, the deposit has but one."""
    return event.object_id or (deposit.object_ids or (deposit.reference,))[0]


def _noted(decision: Apply, payment: str, event: ProviderEvent) -> Apply:
    """What is applied teaches us the payment's id and its newest sequence number."""
    after, newest = decision.after, decision.after.sequences
    if payment not in after.object_ids:
        after = replace(after, object_ids=(*after.object_ids, payment))
    if event.sequence is not None and event.sequence > newest.get(payment, -1):
        after = replace(after, sequences={**newest, payment: event.sequence})
    return replace(decision, after=after)


def _amount(event: ProviderEvent) -> int:
    assert event.amount_minor is not None  # noqa: S101 - NEEDS was checked: the type cannot say so
    return event.amount_minor


def _part_id(event: ProviderEvent) -> str:
    assert event.part_id is not None  # noqa: S101 - NEEDS was checked: the type cannot say so
    return event.part_id


_MONEY: Sequence[str] = ("amount_minor", "currency")
NEEDS: Mapping[str, Sequence[str]] = {
    "captured": _MONEY,
    "failed": (),
    "refunded": (*_MONEY, "part_id"),
    "refund_total": _MONEY,
    "refund_reversed": ("part_id",),
    "chargeback": (*_MONEY, "part_id"),
    "chargeback_reversed": (),
    "capture_reversed": (),
}
"""move -> what its event must say"""

RULES: Mapping[str, Rule] = {
    "captured": _captured,
    "failed": _failed,
    "refunded": _refunded,
    "refund_total": _refund_total,
    "refund_reversed": _refund_reversed,
    "chargeback": _charged_back,
    "chargeback_reversed": _chargeback_reversed,
    "capture_reversed": _capture_reversed,
}
"""move -> rule"""
