"""What one provider event does to one deposit: facts in, a decision out. Pure.

The canonical page is ops/state-machines.md, section "Deposits"; a test holds its table against `decide`.
An event adds to the facts; the ledger is moved by what that changes in the deposit's position. Captures, refunds and
chargebacks are parts, each counted once by its id in whatever order they are reported; only `failed` is a state, so
only there does a sequence number make an event stale.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from models.deposits import wait_keys
from tasks.webhooks.facts import NEVER_LEFT, Deposit, Part, Position, Release
from tasks.webhooks.refunds import RefundTotal
from worker.providers.port import ProviderEvent


@dataclass(frozen=True, slots=True)
class Apply:
    """The deposit is as `after`: the ledger goes from the position `before` to that of `after`, under `key`.

    Without a `key` there is nothing to post.
    """

    after: Deposit
    kind: str = ""
    key: str = ""
    before: Position = field(default_factory=Position)
    reason: str = ""

    @property
    def minor(self) -> int:
        """What came in (or went back, < 0)."""
        return self.after.position.total - self.before.total if self.key else 0

    @property
    def wallet_minor(self) -> int:
        """What of it is for the owner's wallet."""
        return self.after.position.wallet - self.before.wallet if self.key else 0


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
Kinds = tuple[str, str]
"""Kinds of the ledger transaction: of money that came in, and of money that went back."""

CAPTURES: Kinds = ("deposit.captured", "deposit.capture_reversed")
REFUNDS: Kinds = ("deposit.refund_reversed", "deposit.refunded")
CHARGEBACKS: Kinds = ("deposit.chargeback_reversed", "deposit.charged_back")
RETURNS: Kinds = ("deposit.captured", "deposit.returned")
SECOND = ":2"
"""Ends the part id of a second chargeback of one dispute."""


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


def _authorised(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:  # noqa: ARG001 - a rule
    """No money yet, but what follows may name the payment alone."""
    return Ignore("duplicate") if payment in deposit.object_ids else Apply(deposit)


def _captured(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    part_id, amount = event.part_id or payment, _amount(event)
    if known := deposit.captures.get(part_id):
        if known.reversed_at is not None and (_seconds(event) or 0) > known.reversed_at:
            return Reject("captured_again", {"cause": "the capture failed before it was reported once more"})
        return _told_again(known, event)
    after = deposit.with_capture(part_id, Part(amount, payment))
    return _credited(deposit, after, payment, f"capture:{part_id}")


def _capture_total(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    """All that was captured of a charge so far, which only grows: captures of one charge add up."""
    part_id, amount = _part_id(event), _amount(event)
    known, released = deposit.captures.get(part_id), _with_release(deposit, payment, event)
    grown = known is None or amount > known.amount_minor
    if not grown and released == deposit:
        return Ignore("stale" if known and amount < known.amount_minor else "duplicate")
    if not grown:  # only what its refunds contain is news
        return _moved(deposit, released, REFUNDS, _release_effect(payment, event), otherwise="stale")
    part = Part(amount, payment) if known is None else replace(known, amount_minor=amount)
    effect = f"capture:{part_id}" if known is None else f"capture:{part_id}:{amount}"
    return _credited(deposit, released.with_capture(part_id, part), payment, effect)


def _with_release(deposit: Deposit, payment: str, event: ProviderEvent) -> Deposit:
    """The least that was told counts: several captures release nothing that a refund total contains."""
    known, minor = deposit.released.get(payment), event.released_minor
    if minor is None or (known is not None and known.minor <= minor):
        return deposit
    release = Release(minor, _seconds(event) or 0)
    return replace(deposit, released={**deposit.released, payment: release})


def _release_effect(payment: str, event: ProviderEvent) -> str:
    return f"released:{payment}:{event.released_minor}"


def _credited(deposit: Deposit, after: Deposit, payment: str, effect: str) -> Decision:
    is_duplicate = after.position.duplicate > deposit.position.duplicate
    differs = after.captured_of(payment) != deposit.expected_minor
    reason = "duplicate_capture" if is_duplicate else "amount_differs" if differs else ""
    return _moved(deposit, replace(after, failed=False), CAPTURES, effect, reason)


def _failed(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    if deposit.captured_minor:
        return Ignore("impossible_move")
    if event.sequence is not None and event.sequence < deposit.sequences.get(payment, 0):
        return Ignore("stale")
    return Ignore("duplicate") if deposit.state == "failed" else Apply(replace(deposit, failed=True))


def _expired(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    """What was not captured of an authorisation will not be. One that was credited as a whole cannot expire, unless it
    was to be captured by hand."""
    own = deposit.captures.get(payment)
    if own is not None and not own.reversed and len(deposit.captures) == 1:
        return Reject(
            "expired_after_capture", {"cause": "the authorisation was credited, and was never captured"}
        )
    return _failed(deposit, payment, event)


def _refunded(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    """One that is known may tell more than before: when it was made, or that it left after all."""
    part_id, amount = _part_id(event), _amount(event)
    known = deposit.refunds.get(part_id)
    if known is None:
        part = Part(amount, payment, made_at=event.made_at)
        return _refund(deposit, deposit.with_refund(part_id, part), payment, f"refund:{part_id}", amount)
    part = replace(known, made_at=known.made_at if event.made_at is None else event.made_at)
    if known.reversed_at == NEVER_LEFT:
        part = replace(part, reversed=False, reversed_at=None)
    if part == known or known.amount_minor != amount:
        return _told_again(known, event)
    effect = f"refund:{part_id}:{part.made_at}"
    return _refund(deposit, deposit.with_refund(part_id, part), payment, effect, amount)


def _refund_total(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    """What stands refunded of a charge as its newest event has it: less than before, where a refund failed."""
    told = RefundTotal(_amount(event), _moment(event), event.released_minor or 0)
    released = _with_release(deposit, payment, event) if event.released_minor == 0 else deposit
    release, known = released.released.get(payment), deposit.totals.get(payment)
    amount = told.net_of(release.minor if release else None).minor
    if known is not None and told.newest(known) == known:
        if released == deposit:
            return Ignore("stale")
        return _moved(deposit, released, REFUNDS, _release_effect(payment, event), otherwise="stale")
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
    return _moved(deposit, after, REFUNDS, effect, otherwise="stale")


def _refund_reversed(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    part_id = _part_id(event)
    part = deposit.refunds.get(part_id) or _unseen_refund(deposit, payment, event)
    if part is None:
        return Park("awaiting_refund")
    if no := _cannot_undo(part, event):
        return no
    after = deposit.with_refund(part_id, replace(part, reversed=True, reversed_at=_seconds(event)))
    return _moved(deposit, after, REFUNDS, f"refund_reversed:{part_id}")


def _refund_voided(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    """It comes off a total that contains it, whenever that is reported."""
    part_id, amount = _part_id(event), _amount(event)
    part = deposit.refunds.get(part_id, Part(amount, payment, made_at=event.made_at))
    if part_id in deposit.refunds and (no := _cannot_undo(part, event)):
        return no
    after = deposit.with_refund(part_id, replace(part, reversed=True, reversed_at=_seconds(event)))
    return _moved(deposit, after, REFUNDS, f"refund_voided:{part_id}")


def _released(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    """Nothing was paid and nothing went back: no refund. When all of it is released, the authorisation is void."""
    part_id, amount = _part_id(event), _amount(event)
    if part_id in deposit.refunds:
        return Ignore("duplicate")
    part = Part(amount, payment, reversed=True, made_at=event.made_at, reversed_at=NEVER_LEFT)
    is_void = not deposit.captures and amount >= deposit.expected_minor
    after = replace(deposit.with_refund(part_id, part), failed=deposit.failed or is_void)
    return _moved(deposit, after, REFUNDS, f"released:{part_id}")


def _unseen_refund(deposit: Deposit, payment: str, event: ProviderEvent) -> Part | None:
    """A refund that a total may contain, or one that waits for its own reversal: beside a later one it exceeds what was
    captured."""
    if event.amount_minor is None:
        return None
    fits = deposit.refunded_of(payment) + event.amount_minor <= deposit.ever_captured_of(payment)
    if payment not in deposit.totals and (fits or not _was_captured(deposit, payment)):
        return None
    return Part(event.amount_minor, payment, made_at=event.made_at)


def _seconds(event: ProviderEvent) -> int | None:
    """When the event happened, in Unix seconds."""
    try:
        return int(datetime.fromisoformat(event.occurred_at or "").timestamp())
    except (ValueError, OverflowError):
        return None


def _charged_back(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    """All of it is taken, whatever was captured: schemes add fees to a lost dispute. What the payment does not have,
    suspense bears."""
    part_id, amount = _chargeback_id(deposit, payment, event), _amount(event)
    if part_id is None:
        return Park("awaiting_chargeback")
    known = deposit.chargebacks.get(part_id)
    if known is not None and not (event.is_total and amount > known.amount_minor):
        return (
            Ignore("stale") if event.is_total and amount < known.amount_minor else _told_again(known, event)
        )
    if not _was_captured(deposit, payment):
        return Park("awaiting_capture")
    part = Part(amount, payment) if known is None else replace(known, amount_minor=amount)
    effect = f"chargeback:{part_id}" if known is None else f"chargeback:{part_id}:{amount}"
    return _moved(deposit, deposit.with_chargeback(part_id, part), CHARGEBACKS, effect)


def _chargeback_id(deposit: Deposit, payment: str, event: ProviderEvent) -> str | None:
    """A second chargeback that names the payment alone is that of a dispute that was won before: best one of its
    amount."""
    part_id = _part_id(event)
    if event.object_id != payment or not part_id.endswith(SECOND) or not _names_no_payment(event):
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


def _was_captured(deposit: Deposit, payment: str) -> bool:
    return any(part.object_id == payment for part in deposit.captures.values())


def _chargeback_reversed(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    if event.part_id not in deposit.chargebacks:
        if event.part_id is None or _names_no_payment(event):
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
        return _told_again(replace(part, amount_minor=went_back), event)
    elif returned > part.amount_minor:
        return _told_again(part, event)
    effect = f"chargeback_reversed:{part_id}" + (f":{returned}" if event.is_total else "")
    back = replace(part, returned_minor=returned, reversed_at=_seconds(event))
    return _moved(deposit, deposit.with_chargeback(part_id, back), CHARGEBACKS, effect)


def _part_of_dispute(deposit: Deposit, event: ProviderEvent) -> str:
    """The chargeback of the dispute that is named; its second one, when it was reversed before and is again, later."""
    part_id = _part_id(event)
    first, second = deposit.chargebacks[part_id], f"{part_id}{SECOND}"
    is_news = first.reversed_at is not None and (_seconds(event) or 0) > first.reversed_at
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
    return _moved(deposit, after, CHARGEBACKS, effect)


def _capture_reversed(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    part_id = event.part_id or payment
    part = deposit.captures.get(part_id) or _unseen_capture(deposit, payment, event)
    if part is None or part.object_id != payment:
        return Park("awaiting_capture")
    if no := _cannot_undo(part, event):
        return no
    after = deposit.with_capture(part_id, replace(part, reversed=True, reversed_at=_seconds(event)))
    return _moved(deposit, after, CAPTURES, f"capture_reversed:{part_id}")


def _unseen_capture(deposit: Deposit, payment: str, event: ProviderEvent) -> Part | None:
    """A capture by hand, or none that is ever reported, of an authorisation that was credited as a whole."""
    is_credited = payment in deposit.captures and event.amount_minor is not None
    return Part(_amount(event), payment) if is_credited else None


def _returned(deposit: Deposit, payment: str, event: ProviderEvent) -> Decision:
    """Settled money that the provider took back from us, of whatever capture."""
    part_id, amount = _part_id(event), _amount(event)
    if known := deposit.returns.get(part_id):
        return _told_again(known, event)
    if not _was_captured(deposit, payment):
        return Park("awaiting_capture")
    after = deposit.with_return(part_id, Part(amount, payment))
    return _moved(deposit, after, RETURNS, f"return:{part_id}")


def _moved(
    deposit: Deposit, after: Deposit, kinds: Kinds, effect: str, reason: str = "", otherwise: str = ""
) -> Apply:
    """The ledger follows the facts; `otherwise` is the reason where they say no more than was known."""
    before, minor = deposit.position, after.position.total - deposit.position.total
    if after.position == before:
        return Apply(after, reason=reason or otherwise)
    return Apply(after, kinds[minor < 0], deposit.key(effect), before, reason)


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


def _told_again(known: Part, event: ProviderEvent) -> Decision:
    if event.amount_minor in (None, known.amount_minor):
        return Ignore("duplicate")
    cause = f"{event.amount_minor} told, {known.amount_minor} told before"
    return Reject("amount_conflict", {"cause": cause})


def _cannot_undo(part: Part, event: ProviderEvent) -> Decision | None:
    told = _told_again(part, event)
    return told if part.reversed or isinstance(told, Reject) else None


def _payment(deposit: Deposit, event: ProviderEvent) -> str:
    """The provider's payment; where the event names none, that of the chargeback it names, or the only one."""
    if event.object_id is None:
        return (deposit.object_ids or (deposit.reference,))[0]
    if not _names_no_payment(event) or _was_captured(deposit, event.object_id):
        return event.object_id
    if known := deposit.chargebacks.get(event.object_id):
        return known.object_id
    captured = {part.object_id for part in deposit.captures.values()}
    return captured.pop() if len(captured) == 1 else event.object_id


def _names_no_payment(event: ProviderEvent) -> bool:
    """An event with one id alone, which is its own or the payment's: Adyen's without `originalReference`."""
    return (
        event.move in ("chargeback", "chargeback_reversed", "capture_reversed")
        and event.part_id is not None
        and event.part_id.removesuffix(SECOND) == event.object_id
    )


def _noted(decision: Apply, payment: str, event: ProviderEvent) -> Apply:
    """What is applied teaches us the payment's id and its newest sequence number."""
    after, newest = decision.after, decision.after.sequences
    if event.object_id is not None and payment not in after.object_ids:
        after = replace(after, object_ids=(*after.object_ids, payment))
    sequence = None if event.move == "refund_total" else event.sequence
    if sequence is not None and sequence > newest.get(payment, -1):
        after = replace(after, sequences={**newest, payment: sequence})
    return replace(decision, after=after)


def _amount(event: ProviderEvent) -> int:
    assert event.amount_minor is not None  # noqa: S101 - NEEDS was checked: the type cannot say so
    return event.amount_minor


def _part_id(event: ProviderEvent) -> str:
    assert event.part_id is not None  # noqa: S101 - NEEDS was checked: the type cannot say so
    return event.part_id


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
    "authorised": _authorised,
    "captured": _captured,
    "capture_total": _capture_total,
    "failed": _failed,
    "expired": _expired,
    "refunded": _refunded,
    "refund_total": _refund_total,
    "refund_reversed": _refund_reversed,
    "refund_voided": _refund_voided,
    "released": _released,
    "chargeback": _charged_back,
    "chargeback_reversed": _chargeback_reversed,
    "capture_reversed": _capture_reversed,
    "returned": _returned,
}
"""move -> rule"""
