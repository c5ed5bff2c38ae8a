"""What each kind of backfill calls what it counts: rows are posted, webhooks accepted, balances repaired."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from models.backfills.runs import Run


@dataclass(frozen=True, slots=True)
class Words:
    """Of a run. `done` is what became of `rows`, `name` the same in one word; without `again` it repeats nothing."""

    rows: str
    name: str
    done: str
    again: str
    aside: str
    unchanged: str
    end: str


ROWS = Words(
    rows="rows",
    name="posted",
    done="posted",
    again="stood already",
    aside="set aside",
    unchanged="had nothing to do",
    end="done: every row that was read is accounted for",
)
OF_KIND: Mapping[str, Words] = {
    "provider_events": replace(
        ROWS, rows="events", name="accepted", done="accepted", again="were known already",
        end="done: every event that was listed is accounted for",
    ),
    "wallet_recalc": replace(
        ROWS, rows="accounts", name="repaired", done="repaired", again="", unchanged="agree with their entries",
        end="done: every account was held against its entries",
    ),
}  # fmt: skip
"""As in `ledgerbeat wallets recalc`; all others have ROWS."""


def words_of(run: Run) -> Words:
    """In a dry run what would be."""
    words = OF_KIND.get(run.kind, ROWS)
    if not run.dry_run:
        return words
    return replace(words, done=f"would be {words.done}", aside=f"would be {words.aside}")
