"""The intake against a reference of a page: whatever comes by whichever door, whoever dies on the way, they agree."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import Engine, TextClause, text
from sqlalchemy.orm import Session

from models.jobs.outcomes import Outcome
from models.jobs.repair import Order, Selection, cancel, pick, redrive
from models.ledger.verify import verify
from models.tenants import set_paused, sync_tenants
from tasks.intake.port import Handler, Work
from tasks.intake.routing import ROUTING
from tasks.intake.service import drain, sweep
from tests.factories import job_rows
from tests.integration.crashes.points import Died, statements
from tests.integration.http.requests import captured, signed
from tests.integration.http.serving import serving
from tests.integration.intake.doors import DOORS, Caller, tenant_settings
from tests.integration.intake.reference import Ask, Kind, Reference
from tests.waiting import until
from worker.database import Transaction, transactions
from worker.settings import Settings

TENANTS = [f"tenant-{number}" for number in range(1000)]
NAMES: dict[Kind, str] = {
    "credit": "wallets.credit",
    "fragile": "wallets.credit",
    "debit": "wallets.debit",
    "expect": "deposits.expect",
    "wrong": "wallets.burn",
}
DEPOSIT = 10
OWNERS, ORDERS, AMOUNTS = (
    st.sampled_from(some) for some in (["ada", "bob"], ["order-1", "order-2"], [1, 5, 20])
)
WALLET = st.builds(Ask, st.sampled_from(["credit", "credit", "debit"]), OWNERS, AMOUNTS)
OTHER = st.builds(Ask, st.sampled_from(["fragile", "wrong"]), st.just("eve"), AMOUNTS)
EXPECT = st.builds(Ask, st.just("expect"), ORDERS, st.just(DEPOSIT))
ASKED = st.tuples(st.sampled_from([f"key-{number}" for number in range(12)]), WALLET | OTHER | EXPECT)
DEATHS = st.none() | st.integers(1, 80)
WAITS = st.sampled_from(
    [timedelta(seconds=11), timedelta(seconds=90), timedelta(minutes=40), timedelta(days=2)]
)
WAITING = ("parked", "cooling")
NUMBERS = count()

POSTINGS = text("SELECT job_id, count(*) FROM ledger_transactions WHERE tenant = :tenant GROUP BY job_id")
WALLETS = text("""
    SELECT split_part(code, ':', 2), balance_minor FROM accounts
    WHERE tenant = :tenant AND code LIKE 'wallet:%' AND balance_minor <> 0
""")
ACCEPTED = text("""
    SELECT coalesce(sum(total), 0) FROM job_outcomes WHERE tenant = :tenant AND outcome = 'accepted'
""")


class IntakeMachine(RuleBasedStateMachine):
    """Does the same with the intake and with the reference, in a tenant of its own."""

    def __init__(self, engine: Engine, client: httpx.Client, now: datetime) -> None:
        super().__init__()
        self.engine, self.client, self.now = engine, client, now
        self.transaction: Transaction = transactions(engine)
        self.tenant = TENANTS[next(NUMBERS) % len(TENANTS)]
        self.reference = Reference()
        self.caller = Caller(self.tenant, client, self.transaction, now)
        credit = ROUTING["wallets.credit"]
        self.routing = {
            **ROUTING,
            "wallets.credit": replace(credit, handler=partial(self.credit, credit.handler)),
        }

    @rule(
        asked=st.lists(ASKED, min_size=1, max_size=4),
        door=st.sampled_from(sorted(DOORS)),
        death=DEATHS,
    )
    def hand_in(self, asked: list[tuple[str, Ask]], door: str, death: int | None) -> None:
        """The sender of whom the intake died asks again, and may then be a duplicate of itself."""
        for key, ask in asked:
            call = partial(DOORS[door], self.caller, NAMES[ask.kind], key, args_of(ask))
            if death:
                with self.dying(death):
                    call()
            said = call()
            if door == "http" and ask.kind == "wrong":
                assert said == "unknown_job"
            else:
                expected = self.reference.accept(key, ask)
                assert said == expected or (death and (said, expected) == ("duplicate", "accepted"))

    @rule(number=st.integers(1, 3), order=ORDERS)
    def tell(self, number: int, order: str) -> None:
        event_id = f"evt-{number}-{order}"
        body = captured(event_id, order, DEPOSIT)
        answer = self.client.post(
            f"/v1/webhooks/{self.tenant}/sandbox", content=body, headers=signed(body, event_id)
        )
        assert answer.status_code == 202
        said = "duplicate" if answer.json()["duplicate"] else "accepted"
        assert said == self.reference.accept(event_id, Ask("captured", order, DEPOSIT))

    @rule(death=DEATHS)
    def drain(self, death: int | None) -> None:
        with self.dying(death):
            self.drain_once()
        self.drain_once()
        self.reference.drain(self.now)

    @rule(wait=WAITS, death=DEATHS)
    def sweep(self, wait: timedelta, death: int | None) -> None:
        self.now += wait
        with self.dying(death):
            sweep(self.transaction, now=self.now)
        lanes = sweep(self.transaction, now=self.now)
        self.reference.sweep(self.now)
        assert (self.tenant in lanes) == bool(self.reference.of("queued"))

    @rule(states=st.sets(st.sampled_from(["dead", *WAITING]), min_size=1), death=DEATHS)
    def redrive(self, states: set[str], death: int | None) -> None:
        self.repair(redrive, sorted(states), death, self.reference.redrive(*states))

    @rule(states=st.sets(st.sampled_from(["queued", *WAITING]), min_size=1), death=DEATHS)
    def cancel(self, states: set[str], death: int | None) -> None:
        self.repair(cancel, sorted(states), death, self.reference.cancel(*states))

    @rule()
    def pause_or_resume(self) -> None:
        self.reference.paused = not self.reference.paused
        with self.transaction() as session:
            assert set_paused(session, self.tenant, self.now if self.reference.paused else None)

    @rule()
    def break_or_mend(self) -> None:
        self.reference.broken = not self.reference.broken

    @invariant()
    def every_job_is_where_the_reference_has_it(self) -> None:
        rows = job_rows(self.transaction, self.tenant)
        found = {key_of(row["idempotency_key"]): (row["state"], row["attempts"]) for row in rows}
        assert len(rows) == len(found)
        assert found == {key: (job.state, job.attempts) for key, job in self.reference.jobs.items()}
        assert list(found) == list(self.reference.jobs)

    @invariant()
    def every_effect_has_happened_once(self) -> None:
        ids = {row["id"]: key_of(row["idempotency_key"]) for row in job_rows(self.transaction, self.tenant)}
        posted = {ids[job_id]: postings for job_id, postings in self.rows(POSTINGS)}
        assert posted == {key: job.postings for key, job in self.reference.jobs.items() if job.postings}

    @invariant()
    def balances_and_counters_are_the_same(self) -> None:
        wallets = {owner: int(minor) for owner, minor in self.rows(WALLETS)}
        balances = self.reference.balances.items()
        assert wallets == {payer(what): minor for what, minor in balances if minor}
        assert self.rows(ACCEPTED) == [(sum(job.tried for job in self.reference.jobs.values()),)]

    @invariant()
    def the_books_are_in_order(self) -> None:
        with self.transaction() as session:
            assert [check for check in verify(session, self.tenant) if check.broken] == []

    def credit(
        self, handler: Handler[Any], session: Session, work: Sequence[Work[Any]], **known: Any
    ) -> list[Outcome]:
        """The handler of `wallets.credit`, which has a bug for some jobs until it is mended."""
        if self.reference.broken and any(one.args.reason == "fragile" for one in work):
            raise ZeroDivisionError
        return handler(session, work, **known)

    def repair(
        self, act: Callable[..., list[UUID]], states: list[str], death: int | None, expected: int
    ) -> None:
        """Order it, die, order it again: together they change what is to be changed, and a third time nothing."""
        changed = 0
        with self.dying(death):
            changed = self.order(act, states)
        again = self.order(act, states)
        assert {changed, again} == {0, expected} or (death and changed + again == 0)
        assert self.order(act, states) == 0

    def order(self, act: Callable[..., list[UUID]], states: list[str]) -> int:
        order = Order("a person", "the cause is gone", uuid4(), {})
        with self.transaction() as session:
            picked = pick(session, Selection(states, tenant=self.tenant), rows=1000)
            return len(act(session, self.tenant, picked, states, order, now=self.now))

    def drain_once(self) -> None:
        drain(
            self.transaction,
            self.tenant,
            routing=self.routing,
            clock=lambda: self.now,
            sleep=lambda _: None,
            seconds_max=60,
        )

    @contextmanager
    def dying(self, death: int | None) -> Iterator[None]:
        """Whoever works inside dies at the `death`-th statement, commit, or moment after one."""
        points = count(1)

        def reach(_: str) -> None:
            if next(points) == death:
                raise Died

        with suppress(Died), statements(self.engine, reach):
            yield

    def rows(self, query: TextClause) -> list[tuple[Any, ...]]:
        with self.transaction() as session:
            return [tuple(row) for row in session.execute(query, {"tenant": self.tenant})]


def args_of(ask: Ask) -> dict[str, Any]:
    owner = payer(ask.what)
    if ask.kind == "expect":
        paid = {"provider": "sandbox", "reference": ask.what}
    else:
        paid = {"reason": "fragile" if ask.kind == "fragile" else "promo"}
    return {**paid, "owner": owner, "amount_minor": ask.amount, "currency": "EUR"}


def payer(what: str) -> str:
    return f"payer-of-{what}" if what.startswith("order") else what


def key_of(idempotency_key: str) -> str:
    """As the reference names it: an event's job by the event's id."""
    return idempotency_key.split(":")[1] if ":" in idempotency_key else idempotency_key


@pytest.fixture
def client(database_url: str) -> Iterator[httpx.Client]:
    """Of a shim that serves TENANTS."""
    tenants = {tenant: tenant_settings(tenant) for tenant in TENANTS}
    configured = Settings.model_validate({"database_url": database_url, "tenants": tenants})
    with serving(configured) as address, httpx.Client(base_url=address, timeout=20) as client:
        until(lambda: client.get("/readyz").status_code == 200)
        yield client


def test_the_intake_does_what_the_reference_does(
    engine: Engine, transaction: Transaction, client: httpx.Client, now: datetime
) -> None:
    with transaction() as session:
        sync_tenants(session, dict.fromkeys(TENANTS, "UTC"))
    run_state_machine_as_test(
        partial(IntakeMachine, engine, client, now),  # type: ignore[arg-type] # a factory will do, as its own docs say
        settings=settings(
            max_examples=20,
            stateful_step_count=30,
            deadline=None,
            derandomize="CI" in os.environ,
            database=None,
            phases=[Phase.generate] if "CI" in os.environ else [Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
