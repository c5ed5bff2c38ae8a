"""Provider events and deposits for the tests: one payment `pay-1` of 100 EUR unless said otherwise."""

from dataclasses import replace
from typing import Any

from tasks.webhooks.decisions import Apply
from tasks.webhooks.effects import decide
from tasks.webhooks.facts import Deposit
from worker.providers.fields import NEEDS_AMOUNT
from worker.providers.port import Move, ProviderEvent

PROVIDER = "sandbox"


def event(
    move: Move | None, amount_minor: int | None = None, part: str | None = None, **others: Any
) -> ProviderEvent:
    """An event of our one deposit; moves that carry money carry 100 EUR."""
    amount = 100 if amount_minor is None and move in NEEDS_AMOUNT else amount_minor
    plain = ProviderEvent(
        event_key=f"evt:{move}:{part}:{amount}",
        type=f"deposit.{move}",
        move=move,
        reference="ref-1",
        object_id="pay-1",
        part_id=part,
        amount_minor=amount,
        currency=None if amount is None else "EUR",
        sequence=None,
        occurred_at="2026-03-14T11:59:00+00:00",
    )
    return replace(plain, **others)


def expected(**others: Any) -> Deposit:
    """A deposit of 100 EUR that was announced."""
    return replace(Deposit(PROVIDER, "ref-1", "ada", "EUR", 100), **others)


def after(*events: ProviderEvent, deposit: Deposit | None = None) -> Deposit:
    """The deposit after these events, each of which must apply."""
    facts = deposit or expected()
    for one in events:
        decision = decide(facts, PROVIDER, one)
        assert isinstance(decision, Apply), (one, decision)
        facts = decision.after
    return facts


CAPTURED = event("captured", 100, "cap-1")
