"""Small books of any kind with discrepancies seeded: a night finds those and no others, adds up, and finds nothing new
when it runs again; mended upstream, everything closes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.money import BIGINT_MAX
from tests.integration.reconciliation.books import NOON, Books, record
from worker.providers.records.port import Record

FINDINGS = {
    "right": {},
    "missing_at_provider": {"missing_at_provider": 1},
    "missing_in_ledger": {"missing_in_ledger": 1},
    "amount": {"amount_mismatch": 1},
    "currency": {"currency_mismatch": 1},
    "duplicate": {"duplicate_at_provider": 1},
    "booked_twice": {"missing_at_provider": 1},
    "told_twice": {},
    "corrected": {"duplicate_record": 1},
    "in_parts": {},
    "twice_on_both_sides": {},
    "moved": {"duplicate_record": 1},
}
OTHER = {"EUR": "JPY", "JPY": "EUR"}
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
PROVIDERS = count()


@dataclass(frozen=True)
class Movement:
    """One movement, and what is wrong with it. `name` is no reference yet: two may have the same."""

    name: str
    kind: str
    minor: int
    currency: str
    fault: str
    hours: int


MOVEMENTS = st.builds(
    Movement,
    name=TEXTS,
    kind=st.sampled_from(["deposit", "refund", "chargeback"]),
    minor=st.integers(2, 10**6) | st.sampled_from([2, 500, BIGINT_MAX // 1000]),
    currency=st.sampled_from(["EUR", "JPY"]),
    fault=st.sampled_from(sorted(FINDINGS)),
    hours=st.integers(-40, 8),
)


@dataclass
class Side:
    """What is to be booked and told of one movement; `mended` is what the provider tells once all is
    put right, and `late` what is booked then."""

    ours: list[tuple[str, int, str]]
    told: list[Record]
    mended: list[Record]
    late: Sequence[tuple[str, int, str]] = ()


def sides(movement: Movement, number: int) -> Side:
    """Its reference is its own: what is wrong with one says nothing about another."""
    ref, currency = f"{movement.name}#{number}", movement.currency
    sign = 1 if movement.kind == "deposit" else -1
    minor, at = sign * movement.minor, NOON + timedelta(hours=movement.hours)

    def told(amount: int = minor, name: str = "", **others: object) -> Record:
        values = {"record_id": f"{name}{ref}", "currency": currency, "at": at} | others
        return record(ref, amount, movement.kind, **values)  # type: ignore[arg-type]

    row, right, again = (ref, minor, currency), told(), told(name="again")
    parts = [(ref, sign, currency), (ref, minor - sign, currency)]
    earlier, later = told(at=at - timedelta(hours=30)), told(at=at + timedelta(hours=1))
    return {
        "right": Side([row], [right], [right]),
        "missing_at_provider": Side([row], [], [right]),
        "missing_in_ledger": Side([], [right], [right], [row]),
        "amount": Side([row], [told(minor + sign)], [right]),
        "currency": Side([row], [told(currency=OTHER[currency])], [right]),
        "duplicate": Side([row], [right, again], [right]),
        "booked_twice": Side([row, row], [right, right], [right, again]),
        "told_twice": Side([row], [right, right], [right]),
        "corrected": Side([row], [told(minor + sign), right], [right]),
        "in_parts": Side(parts, [right], [right]),
        "twice_on_both_sides": Side([row, row], [right, again], [right, again]),
        "moved": Side([row], [earlier, later], [right]),
    }[movement.fault]


def book(books: Books, movement: Movement, rows: Sequence[tuple[str, int, str]]) -> None:
    for ref, minor, currency in rows:
        books.moved(ref, minor, movement.kind, NOON + timedelta(hours=movement.hours), currency)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)
@given(st.lists(MOVEMENTS, max_size=9))
def test_a_night_finds_what_was_seeded(books: Books, movements: list[Movement]) -> None:
    books = replace(books, provider=f"p{next(PROVIDERS)}")
    made = [(one, sides(one, number)) for number, one in enumerate(movements)]
    for movement, side in made:
        book(books, movement, side.ours)
    told = [one for _, side in made for one in side.told]
    seeded = sum((Counter(FINDINGS[one.fault]) for one in movements), Counter[str]())

    first, second = books.run(*told), books.run(*told)
    assert first.findings == second.findings == seeded
    assert (first.opened, second.opened, second.reopened, second.closed) == (seeded.total(), 0, 0, 0)
    assert first.totals == second.totals
    assert first.adds_up

    for movement, side in made:
        book(books, movement, side.late)
    mended = books.run(*(one for _, side in made for one in side.mended))
    assert (mended.findings, mended.closed, mended.findings_open) == ({}, seeded.total(), 0)
    assert mended.adds_up
