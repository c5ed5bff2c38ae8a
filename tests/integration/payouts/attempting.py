"""Payouts that are really sent: to a sandbox over HTTP, with every clock in the test's hand.

`from tests.integration.payouts.attempting import *` brings the fixtures `sandbox` and `till`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from models.payouts.payout import Attempt
from models.payouts.rows import attempts_of
from ops.sandbox.config import SandboxConfig
from tasks.payouts.attempts import attempt
from tasks.payouts.dispatch import ATTEMPT, dispatch, tick
from tasks.payouts.hands import Hands
from tasks.payouts.resolving import resolve
from tests.integration.payouts.cashier import Cashier
from tests.integration.sandbox.running import API_KEY, SECRET, Sandbox, running_sandbox
from worker.locks import PayoutLocks
from worker.providers.payouts.accounts import PayoutAccounts
from worker.providers.sandbox import parse
from worker.settings import ProviderSettings, TenantSettings

__all__ = ["sandbox", "till", "locks"]
ENDED = ("paid", "failed", "returned", "cancelled")
KNOWN = ("submitted", *ENDED)
NEXT = """
    SELECT coalesce(greatest(coalesce(next_attempt_at, claimed_until, next_lookup_at, approval_expires_at),
        CASE WHEN dispatched_until > :now THEN dispatched_until END), claimed_until) AS at
    FROM payouts WHERE id = ANY(CAST(:ids AS uuid[])) AND state NOT IN ('paid', 'failed', 'returned', 'cancelled')
"""
LONG = 300
"""Ticks; a payout that has not ended by then never will."""


def settings_of(
    base_url: str, tenants: Sequence[str] = ("acme", "globex"), **more: Any
) -> dict[str, TenantSettings]:
    """What the configuration would say of these tenants' accounts at one sandbox."""
    account = ProviderSettings(
        name="sandbox",
        adapter="sandbox",
        base_url=base_url,
        api_key=SecretStr(API_KEY),
        webhook_secrets=(SecretStr(SECRET),),
        **more,
    )
    return {name: TenantSettings(name=name, providers={"sandbox": account}) for name in tenants}


@dataclass
class Till:
    """A cashier whose payouts go out: dispatches, sends and looks up, one step at a time, at the cashier's `now`."""

    cashier: Cashier
    sandbox: Sandbox
    hands: Hands
    published: list[tuple[str, UUID]] = field(default_factory=list)
    heard: set[str] = field(default_factory=set)
    settled: set[str] = field(default_factory=set)

    def opened(self, amount_minor: int = 10, destination: str = "ba_ada", **others: Any) -> UUID:
        return self.cashier.opened(amount_minor, destination=destination, **others)

    def later(self, seconds: float) -> None:
        """Time passes, here and at the provider."""
        self.cashier.now += timedelta(seconds=seconds)
        assert self.sandbox.post("/_clock", json={"advance_seconds": seconds}).status_code == 200

    def dispatched(self) -> list[UUID]:
        """Who is given a place now."""
        self.published.clear()
        return dispatch(self.hands)

    def send(self, payout_id: UUID) -> str:
        """Dispatch, and send this one; its state."""
        assert payout_id in self.dispatched()
        attempt(self.hands, payout_id)
        return self.state(payout_id)

    def look_up(self, payout_id: UUID) -> str:
        resolve(self.hands, payout_id)
        return self.state(payout_id)

    def work(self) -> int:
        """A tick, and all messages that it sends. How many."""
        self.published.clear()
        tick(self.hands)
        messages = list(self.published)
        for task, payout_id in messages:
            (attempt if task == ATTEMPT else resolve)(self.hands, payout_id)
        return len(messages)

    def settle(self, *, late: bool = False) -> None:
        """The provider pays whatever it has taken, and tells us; `late`: not before we know that it was taken."""
        for event in self.events():
            if event["type"] == "payout.submitted" and event["data"]["id"] not in self.settled:
                self.settled.add(event["data"]["id"])
                self.sandbox.post(f"/payouts/{event['data']['id']}/settle", json={"status": "paid"})
        self.hear(late=late)

    def hear(self, *, late: bool = False) -> None:
        """Every event of the provider that was not told yet comes to its tenant."""
        new = [event for event in self.events() if event["id"] not in self.heard]
        if late:
            new = [event for event in new if self.state(UUID(event["data"]["reference"][:32])) in KNOWN]
        self.heard.update(event["id"] for event in new)
        told = [self.sandbox.build_request("POST", "/", json=event).content for event in new]
        if told:
            parsed = [parse(body, {"webhook-id": event["id"]}) for body, event in zip(told, new, strict=True)]
            self.cashier.hear(*(event for events in parsed for event in events))

    def events(self) -> list[dict[str, Any]]:
        """All that the provider has told, or would tell, of."""
        found: list[dict[str, Any]] = []
        page: dict[str, Any] = {"next_cursor": ""}
        while page["next_cursor"] is not None:
            cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else {}
            page = self.sandbox.get("/events", params={"limit": "100", **cursor}).json()
            found += page["data"]
        return found

    def finish(self, *payout_ids: UUID, forgiving: bool = False) -> None:
        """Everything goes on until these have ended, however much time that takes.

        `forgiving`: no breaker opens, and no webhook helps before an answer or a look-up has told.
        """
        for _ in range(LONG):
            worked = self.work()
            self.settle(late=forgiving)
            if not (left := self.unended(payout_ids)):
                return
            if forgiving:
                self.account(breaker="closed", failures_in_a_row=0, opens_in_a_row=0, probe_at=None)
            self.later(left if worked else max(left, 15))
        raise AssertionError([self.payout(one) for one in payout_ids if self.state(one) not in ENDED][:3])

    def unended(self, payout_ids: Sequence[UUID]) -> float:
        """In how many seconds something happens to those that have not ended; 0 when all have."""
        rows = self.cashier.rows(NEXT, ids=list(payout_ids), now=self.cashier.now)
        times = [row["at"] or self.cashier.now for row in rows]
        return max((min(times) - self.cashier.now).total_seconds(), 0.5) if times else 0.0

    def state(self, payout_id: UUID) -> str:
        return self.cashier.state(payout_id)

    def payout(self, payout_id: UUID) -> dict[str, Any]:
        return self.cashier.payout(payout_id)

    def attempts(self, payout_id: UUID) -> list[Attempt]:
        with self.cashier.transaction() as session:
            return attempts_of(session, [payout_id])[payout_id]

    def outcomes(self, payout_id: UUID) -> list[str]:
        return [one.outcome for one in self.attempts(payout_id)]

    def account(self, **values: Any) -> dict[str, Any]:
        """The account at the sandbox, after setting these columns."""
        if values:
            columns = ", ".join(f"{name} = :{name}" for name in values)
            where = "WHERE (tenant, provider) = ('acme', 'sandbox')"
            with self.cashier.transaction() as session:
                session.execute(text(f"UPDATE provider_accounts SET {columns} {where}"), values)  # noqa: S608
        [row] = self.cashier.rows(
            "SELECT * FROM provider_accounts WHERE (tenant, provider) = (:tenant, 'sandbox')"
        )
        return row

    def left(self, payout_id: UUID) -> tuple[int, int]:
        """How often money left for the payout at the provider, over all its attempts, and how often it came back."""
        return self.truth()(payout_id)

    def truth(self) -> Callable[[UUID], tuple[int, int]]:
        """The same for any payout, as of now."""
        truth = self.sandbox.get("/_truth").json()["payouts"]

        def left(payout_id: UUID) -> tuple[int, int]:
            ours = [flows for reference, flows in truth.items() if reference.startswith(payout_id.hex)]
            return sum(one["left"]["times"] for one in ours), sum(one["back"]["times"] for one in ours)

        return left

    def findings(self) -> list[str]:
        rows = self.cashier.rows(
            "SELECT kind FROM reconciliation_findings WHERE tenant = :tenant ORDER BY id"
        )
        return [row["kind"] for row in rows]

    def with_hands(self, **others: Any) -> Hands:
        return replace(self.hands, **others)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Settles by hand; a call that times out is answered 504 at once."""
    config = SandboxConfig(api_key=API_KEY, settle_seconds=None, hang_seconds=0.01)
    with running_sandbox(config) as client:
        yield client


@pytest.fixture
def locks(redis_url: str) -> Iterator[PayoutLocks]:
    locks = PayoutLocks(redis_url)
    yield locks
    locks.close()


@pytest.fixture
def till(cashier: Cashier, sandbox: Sandbox, locks: PayoutLocks) -> Iterator[Till]:
    """At "acme" and "globex", with 100,000 in ada's wallet."""
    published: list[tuple[str, UUID]] = []
    accounts = PayoutAccounts(settings_of(str(sandbox.base_url)))
    hands = Hands(
        cashier.transaction,
        accounts,
        locks,
        lambda task, payout_id: published.append((task, payout_id)),
        clock=lambda: cashier.now,
        sleep=lambda _seconds: None,
        chance=lambda: 0.0,
    )
    cashier.fund("ada", 99_000)
    yield Till(cashier, sandbox, hands, published)
    accounts.close()
