"""A rehearsal says what posting then says, and the ledger does not notice it."""

from collections.abc import Callable
from dataclasses import replace
from itertools import chain, count
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from models.ledger import holds
from models.ledger.outcomes import Created, Posting, PostingOutcome, Refused, Replayed
from models.ledger.posting import post
from models.ledger.rehearsing import forget_rehearsal, rehearse
from models.money import BIGINT_MAX
from tests.integration.ledger.postings import (
    NOON,
    available,
    credit,
    debit,
    posted,
    rows_of,
    taken_back,
    transfer,
    words,
)
from worker.database import Transaction

pytestmark = pytest.mark.usefixtures("tenant")

RUN = UUID("6a2f9d43-3c1c-4c58-9f43-7d6f7a8f6c11")
OWNERS = st.sampled_from(["ada", "bob", "eve"])
AMOUNTS = st.sampled_from([1, 10, 25, 50, BIGINT_MAX - 60])
KEYS = st.integers(0, 11).map("k{}".format)
HOLD = holds.Hold("acme", "h1", "ada", "EUR", 10)
Ask = Callable[..., Posting]


def one_sided(ask: Ask, owner: str, amount: int, key: str, currency: str) -> Posting:
    return ask(owner, amount, key, currency=currency)


CURRENCIES = st.sampled_from(["EUR", "EUR", "EUR", "USD"])
POSTINGS = (
    st.builds(one_sided, st.sampled_from([credit, credit, debit, taken_back]), OWNERS, AMOUNTS, KEYS, CURRENCIES)
    | st.builds(transfer, OWNERS, OWNERS, AMOUNTS, KEYS)
    | st.builds(lambda asked, needs: replace(asked, requires=needs), st.builds(credit, OWNERS, AMOUNTS, KEYS), KEYS)
    | st.sampled_from([holds.place(HOLD, occurred_at=NOON), holds.release(HOLD, occurred_at=NOON)])
)  # fmt: skip


def grouped(postings: list[Posting], cut: int) -> list[Posting]:
    """The first few stand or fall together."""
    return [replace(posting, group="g") for posting in postings[:cut]] + postings[cut:]


BATCHES = st.lists(
    st.builds(grouped, st.lists(POSTINGS, min_size=1, max_size=8), st.sampled_from([0, 0, 2, 3])), max_size=4
)
TENANTS = count()


def said(outcome: PostingOutcome) -> object:
    """Without the transaction's id, and without the balances of a replay: a rehearsed posting has neither."""
    match outcome:
        case Created(_, balances):
            return ("created", balances)
        case Replayed():
            return "replayed"
        case Refused(code, detail):
            return (code, detail)


@settings(
    deadline=None,
    max_examples=80,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(
    before=BATCHES,
    batches=BATCHES.filter(bool),
    shadow=st.booleans(),
    shadow_before=st.booleans(),
    overdraft=st.booleans(),
)
def test_posting_then_says_what_the_rehearsal_said(
    transaction: Transaction,
    before: list[list[Posting]],
    batches: list[list[Posting]],
    shadow: bool,
    shadow_before: bool,
    overdraft: bool,
) -> None:
    tenant = f"tenant-{next(TENANTS)}"
    run = uuid4()
    with transaction() as session:
        session.execute(
            text("INSERT INTO wallet_owners VALUES (:tenant, 'eve', 'verified', :overdraft, :now)"),
            {"tenant": tenant, "overdraft": overdraft, "now": NOON},
        )
    for batch in before:
        posted(transaction, *of_tenant(tenant, batch), shadow=shadow_before)
    stood = ledger(transaction)
    rehearsed: list[list[PostingOutcome]] = []
    for batch in batches:
        with transaction() as session:
            rehearsed.append(rehearse(session, of_tenant(tenant, batch), backfill_id=run, shadow=shadow))
    assert ledger(transaction) == stood
    really = [posted(transaction, *of_tenant(tenant, batch), shadow=shadow) for batch in batches]
    assert [list(map(said, batch)) for batch in rehearsed] == [list(map(said, batch)) for batch in really]
    for one, other in zip(chain(*rehearsed), chain(*really), strict=True):
        if isinstance(one, Replayed) and one.transaction_id:
            assert one == other


def of_tenant(tenant: str, postings: list[Posting]) -> list[Posting]:
    return [replace(posting, tenant=tenant) for posting in postings]


def ledger(transaction: Transaction) -> list[object]:
    """All that post() may write."""
    tables = ("accounts", "ledger_transactions", "ledger_entries", "ledger_mismatches")
    with transaction() as session:
        return [
            session.execute(text(f"SELECT count(*), sum(hashtext({one}::text)) FROM {one}")).one()  # noqa: S608
            for one in tables
        ]


def rehearsed(transaction: Transaction, *postings: Posting, run: UUID = RUN) -> list[PostingOutcome]:
    with transaction() as session:
        return rehearse(session, postings, backfill_id=run)


def test_a_rehearsal_sees_the_ledger_and_what_it_rehearsed_before(transaction: Transaction) -> None:
    (stands,) = posted(transaction, credit("ada", 10, "k1"))
    assert isinstance(stands, Created)
    assert rehearsed(transaction, credit("ada", 10, "k1"), debit("ada", 8, "k2")) == [
        Replayed(stands.transaction_id, stands.balances),
        Created(0, (("wallet:ada:available", "EUR", 2), ("house:promo", "EUR", -2))),
    ]
    again = rehearsed(transaction, debit("ada", 8, "k2"), debit("ada", 9, "k2"), debit("ada", 3, "k3"))
    assert again[0] == Replayed(0, ())
    assert words(again) == ["replayed", "idempotency_conflict", "insufficient_funds"]


@pytest.mark.parametrize(("shadow", "expected"), [(True, "created"), (False, "insufficient_funds")])
def test_a_wallet_that_is_yet_to_open_opens_in_the_mode_that_is_asked_for(
    transaction: Transaction, shadow: bool, expected: str
) -> None:
    for _ in range(2):
        with transaction() as session:
            asked = [debit("ada", 10, f"k{uuid4()}")]
            assert words(rehearse(session, asked, backfill_id=RUN, shadow=shadow)) == [expected]


def test_rehearsals_know_nothing_of_each_other(transaction: Transaction) -> None:
    rehearsed(transaction, credit("ada", 10, "k1"))
    other = rehearsed(transaction, debit("ada", 10, "k2"), credit("ada", 5, "k1"), run=uuid4())
    assert words(other) == ["insufficient_funds", "created"]


def test_a_forgotten_rehearsal_begins_anew_and_others_stay(transaction: Transaction) -> None:
    other = uuid4()
    for run in (RUN, other):
        rehearsed(transaction, credit("ada", 10, "k1"), run=run)
    with transaction() as session:
        forget_rehearsal(session, RUN)
    assert words(rehearsed(transaction, debit("ada", 10, "k2"))) == ["insufficient_funds"]
    assert words(rehearsed(transaction, debit("ada", 10, "k2"), run=other)) == ["created"]
    with transaction() as session:
        forget_rehearsal(session, other)
    assert rows_of(transaction, "backfill_rehearsed_accounts") == 0
    assert rows_of(transaction, "backfill_rehearsed_keys") == 0


def test_what_is_rolled_back_was_not_rehearsed(transaction: Transaction) -> None:
    with transaction() as session:
        rehearse(session, [credit("ada", 10, "k1")], backfill_id=RUN)
        session.rollback()
    assert words(rehearsed(transaction, credit("ada", 10, "k1"))) == ["created"]


def test_what_was_posted_meanwhile_is_a_replay(transaction: Transaction) -> None:
    rehearsed(transaction, credit("ada", 10, "k1"))
    (stands,) = posted(transaction, credit("ada", 10, "k1"))
    assert isinstance(stands, Created)
    assert rehearsed(transaction, credit("ada", 10, "k1")) == [
        Replayed(stands.transaction_id, stands.balances)
    ]


def test_nobody_waits_for_a_rehearsal_and_it_waits_for_nobody(transaction: Transaction) -> None:
    posted(transaction, credit("ada", 10, "k1"))
    with transaction() as live:
        live.execute(text("SELECT FROM accounts FOR UPDATE"))
        with transaction() as session:
            session.execute(text("SET LOCAL lock_timeout = '1ms'"))
            batch = [debit("ada", 10, "k2"), credit("new", 1, "k3")]
            assert words(rehearse(session, batch, backfill_id=RUN)) == ["created", "created"]
    with transaction() as session:
        rehearse(session, [debit("ada", 5, "k4"), credit("bob", 1, "k5")], backfill_id=uuid4())
        with transaction() as live:
            live.execute(text("SET LOCAL lock_timeout = '1ms'"))
            outcomes = post(live, [debit("ada", 10, "k6"), credit("bob", 1, "k5")], now=NOON)
    assert words(outcomes) == ["created", "created"]
    assert available(transaction, "ada") == 0


def test_a_rehearsal_is_of_one_tenant(transaction: Transaction) -> None:
    with pytest.raises(ValueError, match="one tenant, 2 were given"):
        rehearsed(transaction, credit("ada", 1, "k1"), credit("ada", 1, "k1", tenant="globex"))


def test_nothing_is_rehearsed_as_nothing(transaction: Transaction) -> None:
    assert rehearsed(transaction) == []
