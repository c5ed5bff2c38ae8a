"""What is known of the payouts by which a provider was to fetch a paid payout's money back. Pure.

At Stripe a reversal is a payout of its own, with an end of its own: paid, or failed, also after it was paid
(docs.stripe.com/connect/payout-reversals). Its events have times of their own, so they are ordered among themselves,
and not with those of the payout that it is to bring back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from worker.providers.port import ProviderEvent

REVERSAL_MOVES = frozenset({"payout_reversed", "payout_reversal_failed"})
BOUNCED_MOVES = frozenset({"payout_failed", "payout_returned"})


@dataclass(frozen=True, slots=True)
class Reversals:
    """Of one payout. `newest`: the last sequence heard of each reversal, by its id. `brought_back_by`: the reversal by
    which it is `returned`, None for any other cause. `bounced`: it has failed or come back by itself as well."""

    newest: Mapping[str, int] = field(default_factory=dict)
    brought_back_by: str | None = None
    bounced: bool = False

    def is_stale(self, event: ProviderEvent) -> bool:
        """Was something newer of the same reversal heard?"""
        return (event.sequence or 0) < self.newest.get(event.part_id or "", 0)

    def is_undone_by(self, event: ProviderEvent) -> bool:
        """Did this very reversal bring the money back, and nothing else?"""
        return self.brought_back_by is not None and self.brought_back_by == event.part_id and not self.bounced

    def heard(self, detail: Mapping[str, Any], to_state: str | None) -> Self:
        """With one more line of the payout's history: `detail_of` an event, and the state that it led to."""
        move, reversal = detail.get("move"), detail.get("reversal")
        known = replace(self, bounced=True) if move in BOUNCED_MOVES else self
        if reversal is not None:
            last = max(known.newest.get(reversal, 0), detail.get("sequence") or 0)
            known = replace(known, newest={**known.newest, reversal: last})
        if to_state is not None:
            known = replace(known, brought_back_by=reversal if to_state == "returned" else None)
        return known


NONE = Reversals()


def detail_of(event: ProviderEvent) -> dict[str, Any]:
    """What the payout's history keeps of an event."""
    about = {"event": event.event_key, "type": event.type, "move": event.move, "sequence": event.sequence}
    return about | ({"reversal": event.part_id} if event.move in REVERSAL_MOVES else {})
