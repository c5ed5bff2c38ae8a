"""From decisions to outcomes: what was created, and what a replay was told the first time."""

from collections.abc import Mapping, Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.ledger.deciding import Batch, Decision, Replay, TransactionKey, Write
from models.ledger.outcomes import Created, PostingOutcome, Refused, Replayed

Balances = tuple[tuple[str, str, int], ...]

ENTRIES_OF = text("""
    SELECT e.transaction_id, a.code, a.currency, e.balance_after_minor
    FROM ledger_entries e JOIN accounts a ON a.id = e.account_id
    WHERE e.transaction_id = ANY(CAST(:ids AS bigint[]))
    ORDER BY e.id
""")


def outcomes_of(session: Session, decisions: Sequence[Decision], batch: Batch) -> list[PostingOutcome]:
    """One outcome per decision. What has no id, because it was only rehearsed, is told as transaction 0; a replay of
    it knows no balances."""
    replayed = {_id_of(batch, decision.key) for decision in decisions if isinstance(decision, Replay)}
    balances = _balances_then(session, sorted(replayed - {0}))
    return [_outcome(decision, batch, balances) for decision in decisions]


def _balances_then(session: Session, ids: Sequence[int]) -> Mapping[int, Balances]:
    found: dict[int, Balances] = {}
    if ids:
        for row_id, code, currency, balance in session.execute(ENTRIES_OF, {"ids": list(ids)}):
            found[row_id] = (*found.get(row_id, ()), (code, currency, balance))
    return found


def _outcome(decision: Decision, batch: Batch, balances: Mapping[int, Balances]) -> PostingOutcome:
    match decision:
        case Write(_, standing, entries):
            after = tuple([(code, currency, balance) for _, code, currency, _, balance, _ in entries])
            return Created(standing.id or 0, after)
        case Replay(key):
            row_id = _id_of(batch, key)
            return Replayed(row_id, balances[row_id] if row_id else ())
        case Refused():
            return decision


def _id_of(batch: Batch, key: TransactionKey) -> int:
    return batch.standing[key].id or 0
