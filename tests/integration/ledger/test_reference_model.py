"""The ledger against a reference of a dozen lines: whatever is asked of both, they say and hold the same."""

import os
from collections import defaultdict
from copy import deepcopy
from functools import partial
from itertools import count, groupby
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import text

from models.ledger import holds
from models.ledger.outcomes import Posting
from models.ledger.posting import post
from models.money import BIGINT_MAX
from tests.integration.ledger.postings import NOON, broken, credit, debit, taken_back, transfer, words
from worker.database import Transaction

OWNERS = st.sampled_from(["ada", "bob", "eve"])
KEYS = st.integers(0, 15).map(lambda number: f"k{number}")
AMOUNTS = st.integers(1, 60)
HOLDS = st.sampled_from([("h1", "ada", 10), ("h2", "bob", 25), ("h3", "ada", 3), ("h4", "eve", 40)])
TENANTS = count()

BALANCES = text("SELECT code, balance_minor FROM accounts WHERE tenant = :tenant AND balance_minor <> 0")
ALLOW_OVERDRAFT = text("""
    WITH told AS (
        INSERT INTO wallet_owners VALUES (:tenant, :owner, 'unverified', true, :now) ON CONFLICT DO NOTHING
    )
    UPDATE accounts SET allow_overdraft = true WHERE tenant = :tenant AND code = :code
""")


class Reference:
    """What the ledger means: a dict of balances and a dict of keys."""

    def __init__(self) -> None:
        self.balances: dict[str, int] = defaultdict(int)
        self.keys: dict[str, Any] = {}
        self.overdrafts: set[str] = set()

    def say(self, posting: Posting) -> str:
        payload = (posting.kind, posting.subject, posting.legs)
        if posting.key in self.keys:
            return "replayed" if self.keys[posting.key] == payload else "idempotency_conflict"
        if posting.requires and posting.requires not in self.keys:
            return "requirement_missing"
        after = self.balances.copy()
        for leg in posting.legs:
            borne = leg.amount_minor
            if leg.cover and self.never_negative(leg.code):
                borne = -min(after[leg.code], -leg.amount_minor)
                after[leg.cover] += leg.amount_minor - borne
            after[leg.code] += borne
            if abs(after[leg.code]) > BIGINT_MAX:
                return "amount_out_of_range"
        if any(minor < 0 and self.never_negative(code) for code, minor in after.items()):
            return "insufficient_funds"
        self.balances, self.keys[posting.key] = after, payload
        return "created"

    def say_all(self, postings: list[Posting]) -> list[str]:
        said: list[str] = []
        for group, members in groupby(postings, key=lambda posting: posting.group):
            before = deepcopy((self.balances, self.keys))
            answers = [self.say(posting) for posting in members]
            if group and not set(answers) <= {"created", "replayed"}:
                self.balances, self.keys = before
                answers = ["group_refused" if answer == "created" else answer for answer in answers]
            said += answers
        return said

    def never_negative(self, code: str) -> bool:
        return code.startswith("wallet:") and code not in self.overdrafts


class LedgerMachine(RuleBasedStateMachine):
    """Asks the ledger and the reference the same, one committed transaction a step, in a tenant of its own."""

    def __init__(self, transaction: Transaction) -> None:
        super().__init__()
        self.transaction = transaction
        self.tenant = f"tenant-{next(TENANTS)}"
        self.reference = Reference()

    def ask(self, *postings: Posting) -> None:
        with self.transaction() as session:
            said = words(post(session, postings, now=NOON))
        assert said == self.reference.say_all(list(postings))

    @rule(owner=OWNERS, amount=AMOUNTS, key=KEYS)
    def credit(self, owner: str, amount: int, key: str) -> None:
        self.ask(credit(owner, amount, key, tenant=self.tenant))

    @rule(owner=OWNERS, amount=AMOUNTS, key=KEYS)
    def debit(self, owner: str, amount: int, key: str) -> None:
        self.ask(debit(owner, amount, key, tenant=self.tenant))

    @rule(owners=st.tuples(OWNERS, OWNERS), amount=AMOUNTS, key=KEYS)
    def transfer(self, owners: tuple[str, str], amount: int, key: str) -> None:
        self.ask(transfer(*owners, amount, key, tenant=self.tenant))

    @rule(owner=OWNERS, amount=AMOUNTS, key=KEYS)
    def take_back(self, owner: str, amount: int, key: str) -> None:
        self.ask(taken_back(owner, amount, key, tenant=self.tenant))

    @rule(hold=HOLDS)
    def place(self, hold: tuple[str, str, int]) -> None:
        self.ask(holds.place(self.hold(hold), occurred_at=NOON))

    @rule(hold=HOLDS)
    def capture(self, hold: tuple[str, str, int]) -> None:
        self.ask(holds.capture(self.hold(hold), to_code="provider:x:clearing", occurred_at=NOON))

    @rule(hold=HOLDS)
    def release(self, hold: tuple[str, str, int]) -> None:
        self.ask(holds.release(self.hold(hold), occurred_at=NOON))

    @rule(owner=OWNERS)
    def overflow(self, owner: str) -> None:
        self.ask(
            credit(owner, BIGINT_MAX, "huge", tenant=self.tenant),
            debit(owner, BIGINT_MAX, "huge back", tenant=self.tenant),
        )

    @rule(owner=OWNERS)
    def allow_overdraft(self, owner: str) -> None:
        code = f"wallet:{owner}:available"
        with self.transaction() as session:
            session.execute(
                ALLOW_OVERDRAFT, {"tenant": self.tenant, "owner": owner, "code": code, "now": NOON}
            )
        self.reference.overdrafts.add(code)

    @rule(data=st.data(), size=st.integers(1, 8))
    def batch(self, data: st.DataObject, size: int) -> None:
        postings: list[Posting] = []
        group = 0
        for _ in range(size):
            ask, owner, amount, key = data.draw(
                st.tuples(st.sampled_from([credit, debit, taken_back]), OWNERS, AMOUNTS, KEYS)
            )
            group += data.draw(st.booleans())
            named = f"g{group}" if group % 2 else None
            postings.append(ask(owner, amount, key, tenant=self.tenant, group=named))
        self.ask(*postings)

    @invariant()
    def balances_are_the_same(self) -> None:
        with self.transaction() as session:
            rows = session.execute(BALANCES, {"tenant": self.tenant})
            found = {str(code): int(minor) for code, minor in rows}
        assert found == {code: minor for code, minor in self.reference.balances.items() if minor}

    @invariant()
    def the_books_are_in_order(self) -> None:
        with self.transaction() as session:
            assert broken(session, self.tenant) == {}

    def hold(self, hold: tuple[str, str, int]) -> holds.Hold:
        hold_id, owner, amount = hold
        return holds.Hold(self.tenant, hold_id, owner, "EUR", amount)


@pytest.mark.usefixtures("tenant")
def test_the_ledger_says_and_holds_what_the_reference_does(transaction: Transaction) -> None:
    run_state_machine_as_test(
        partial(LedgerMachine, transaction),  # type: ignore[arg-type] # a factory will do, as its own docs say
        settings=settings(
            max_examples=30,
            stateful_step_count=25,
            deadline=None,
            derandomize="CI" in os.environ,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
