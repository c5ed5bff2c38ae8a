"""The ledger against a reference of a dozen lines: whatever is asked of both, they say and hold the same."""

import os
from collections import defaultdict
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from itertools import count, groupby
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from models.ledger import holds
from models.ledger.outcomes import Posting
from models.ledger.posting import post
from models.money import BIGINT_MAX
from tests.integration.ledger.postings import NOON, broken, credit, debit, taken_back, transfer, words
from worker.database import Transaction

OWNERS = ("ada", "bob", "eve")
OWNER = st.sampled_from(OWNERS)
AMOUNT = st.sampled_from([1, 10, 25, 50, BIGINT_MAX - 60])
HOLDS = st.sampled_from([("h1", "ada", 10), ("h2", "ada", 10), ("h3", "bob", 60)])
STEPS = st.sampled_from(
    [
        partial(holds.place, occurred_at=NOON),
        partial(holds.release, occurred_at=NOON),
        partial(holds.capture, occurred_at=NOON, to_code="provider:x:clearing"),
    ]
)
Move = Callable[[str, str], Posting]


def move_of_one(ask: Callable[..., Posting], owner: str, amount: int) -> Move:
    return lambda key, tenant: ask(owner, amount, key, tenant=tenant)


def move_between(owner: str, other: str, amount: int) -> Move:
    return lambda key, tenant: transfer(owner, other, amount, key, tenant=tenant)


MOVES = st.builds(move_of_one, st.sampled_from([credit, debit, taken_back]), OWNER, AMOUNT) | st.builds(
    move_between, OWNER, OWNER, AMOUNT
)
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
            if max(abs(after[leg.code]), abs(after[leg.cover or leg.code])) > BIGINT_MAX:
                return "amount_out_of_range"
        if any(minor < 0 and self.never_negative(code) for code, minor in after.items()):
            return "insufficient_funds"
        self.balances, self.keys[posting.key] = after, payload
        return "created"

    def say_all(self, postings: list[Posting]) -> list[str]:
        said: list[str] = []
        for group, unit in groupby(postings, key=lambda posting: posting.group):
            members, before = list(unit), deepcopy((self.balances, self.keys))
            answers = [self.say(posting) for posting in members]
            if group and not set(answers) <= {"created", "replayed"}:
                self.balances, self.keys = before
                answers = [self.fall(*pair) for pair in zip(members, answers, strict=True)]
            said += answers
        return said

    def fall(self, posting: Posting, answer: str) -> str:
        stood_before = posting.key in self.keys or answer not in {"created", "replayed"}
        return answer if stood_before else "group_refused"

    def never_negative(self, code: str) -> bool:
        return code.startswith("wallet:") and code not in self.overdrafts


class LedgerMachine(RuleBasedStateMachine):
    """Asks the ledger and the reference the same, one committed transaction a step, in a tenant of its own."""

    def __init__(self, transaction: Transaction) -> None:
        super().__init__()
        self.transaction = transaction
        self.tenant = f"tenant-{next(TENANTS)}"
        self.reference = Reference()
        self.asked: list[Posting] = []
        self.numbers = count()

    def ask(self, *postings: Posting) -> None:
        with self.transaction() as session:
            said = words(post(session, postings, now=NOON))
        assert said == self.reference.say_all(list(postings))
        self.asked += postings

    @initialize()
    def begin(self) -> None:
        self.ask(*(credit(owner, 50, f"begin:{owner}", tenant=self.tenant) for owner in OWNERS))

    @rule(data=st.data(), size=st.integers(1, 8), grouped=st.booleans())
    def batch(self, data: st.DataObject, size: int, grouped: bool) -> None:
        group, postings = 0, list[Posting]()
        for _ in range(size):
            group += data.draw(st.sampled_from([0, 0, 1]))
            named = f"g{group}" if grouped and group % 2 == 0 else None
            twice = data.draw(st.sampled_from([1, 1, 1, 2]))
            postings += [replace(self.posting(data), group=named)] * twice
        self.ask(*postings)

    @rule(steps=st.lists(st.tuples(STEPS, HOLDS), min_size=1, max_size=4))
    def hold(self, steps: list[tuple[Callable[[holds.Hold], Posting], tuple[str, str, int]]]) -> None:
        self.ask(
            *(
                step(holds.Hold(self.tenant, hold_id, owner, "EUR", amount))
                for step, (hold_id, owner, amount) in steps
            )
        )

    @precondition(lambda self: not self.reference.overdrafts)
    @rule(owner=OWNER)
    def allow_overdraft(self, owner: str) -> None:
        code = f"wallet:{owner}:available"
        with self.transaction() as session:
            session.execute(
                ALLOW_OVERDRAFT, {"tenant": self.tenant, "owner": owner, "code": code, "now": NOON}
            )
        self.reference.overdrafts.add(code)

    def posting(self, data: st.DataObject) -> Posting:
        """Something new, or what was asked before: as it was, or something else under its key."""
        what = data.draw(st.sampled_from(["new"] * 6 + ["again", "conflict"]))
        if what == "again":
            return replace(data.draw(st.sampled_from(self.asked)), group=None)
        fresh = f"k{next(self.numbers)}"
        key = fresh if what == "new" else data.draw(st.sampled_from(self.asked)).key
        return data.draw(MOVES)(key, self.tenant)

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
            phases=[Phase.generate],  # shrinking against a database takes minutes, and 25 steps can be read
            suppress_health_check=list(HealthCheck),
        ),
    )
