"""Postings for the tests of the ledger, and what the ledger says of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session

from models.invariants import ask
from models.ledger.codes import house_code, wallet_code
from models.ledger.outcomes import Created, Leg, Posting, PostingOutcome, Refused, Replayed
from models.ledger.posting import post
from models.ledger.reads import balance
from models.ledger.verify import LEDGER_INVARIANTS
from worker.database import Transaction

NOON = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)


def move(from_code: str, to_code: str, amount_minor: int, key: str, **others: Any) -> Posting:
    """`amount_minor` EUR from one account to another, for acme, at noon."""
    currency = others.pop("currency", "EUR")
    legs = (Leg(from_code, currency, -amount_minor), Leg(to_code, currency, amount_minor))
    defaults: dict[str, Any] = {"tenant": "acme", "kind": "test", "occurred_at": NOON}
    return Posting(**(defaults | {"key": key, "legs": legs} | others))


def credit(owner: str, amount_minor: int, key: str, **others: Any) -> Posting:
    return move(house_code("promo"), wallet_code(owner), amount_minor, key, **others)


def debit(owner: str, amount_minor: int, key: str, **others: Any) -> Posting:
    return move(wallet_code(owner), house_code("promo"), amount_minor, key, **others)


def transfer(from_owner: str, to_owner: str, amount_minor: int, key: str, **others: Any) -> Posting:
    return move(wallet_code(from_owner), wallet_code(to_owner), amount_minor, key, **others)


def taken_back(owner: str, amount_minor: int, key: str, **others: Any) -> Posting:
    """A refund: the wallet gives what it has, `suspense:refunds` the rest."""
    posting = debit(owner, amount_minor, key, **others)
    taken, given = posting.legs
    return replace(posting, legs=(taken._replace(cover="suspense:refunds"), given))


def posted(transaction: Transaction, *postings: Posting, shadow: bool = False) -> list[PostingOutcome]:
    """Post and commit, at noon."""
    with transaction() as session:
        return post(session, postings, now=NOON, shadow=shadow)


def words(outcomes: Sequence[PostingOutcome]) -> list[str]:
    """`created`, `replayed` or the code of the refusal, one per outcome."""
    return [outcome.code if isinstance(outcome, Refused) else NAMES[type(outcome)] for outcome in outcomes]


NAMES: dict[type, str] = {Created: "created", Replayed: "replayed"}


def available(transaction: Transaction, owner: str, *, tenant: str = "acme", currency: str = "EUR") -> int:
    return balance_of(transaction, wallet_code(owner), tenant=tenant, currency=currency)


def balance_of(transaction: Transaction, code: str, *, tenant: str = "acme", currency: str = "EUR") -> int:
    with transaction() as session:
        return balance(session, (tenant, code, currency))


def rows_of(transaction: Transaction, table: str) -> int:
    """How many rows the table has."""
    with transaction() as session:
        return int(session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())  # noqa: S608


def broken(session: Session, tenant: str | None = None) -> dict[str, list[tuple[str, str]]]:
    """Check name -> (tenant, subject) of what breaks it; empty when the books are in order."""
    return {
        check.name: [(found.tenant, found.subject) for found in check.broken]
        for check in ask(session, LEDGER_INVARIANTS, tenant)
        if check.broken
    }


def assert_books_in_order(transaction: Transaction) -> None:
    with transaction() as session:
        assert broken(session) == {}


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """The statements that the engine's connections execute meanwhile."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)
