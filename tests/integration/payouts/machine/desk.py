"""One tenant's payouts beside a provider, step by step: claims held and lost, late answers, time that jumps."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from models.jobs.claim import wake_due
from models.payouts.attempts import find_place
from models.tenants import load_tenant, set_paused
from tasks.intake.routing import ROUTING
from tasks.intake.service import drain
from tasks.payouts import attempts, resolving
from tasks.payouts.dispatch import ATTEMPT, dispatch, dispatch_lookups, sweep_expired, sweep_lost
from tasks.payouts.hands import Hands
from tests.integration.payouts.cashier import Cashier
from tests.integration.payouts.machine.psp import Thing
from worker.locks import PayoutLocks
from worker.providers.payouts.accounts import PayoutAccount
from worker.providers.payouts.port import Answer, Instruction, ObjectStatus, Sighting
from worker.providers.port import ProviderEvent

CLEARING = "provider:sandbox:clearing"
ZOMBIE_HOURS = 23
"""A process that was frozen for longer than the provider keeps a key would find its connection closed."""


class World(Protocol):
    """What is beyond the port."""

    def plan(self, behaviours: Sequence[str]) -> None: ...
    def advance(self, seconds: float) -> None: ...
    def settle(self, object_id: str, status: ObjectStatus) -> None: ...
    def events(self) -> list[ProviderEvent]: ...
    def objects(self) -> list[Thing]: ...
    def may_still_arrive(self, payout_id: UUID) -> bool: ...
    @property
    def calls(self) -> int: ...
    @property
    def keys(self) -> dict[UUID, dict[str, datetime]]: ...


@dataclass
class Held:
    """A claim in the hands of a worker that is slow, frozen or about to die; and the answer, once it has called."""

    claim: attempts.Claim
    at: datetime
    answer: Answer | None = None


@dataclass
class Asked:
    """A look-up whose answer is on its way."""

    question: resolving.Question
    sighting: Sighting
    account: PayoutAccount


@dataclass
class OneOfMany(Cashier):
    """A cashier who does not mind what other tenants of the database have left undone."""

    def drain(self) -> None:
        drain(self.transaction, self.tenant, routing=ROUTING, clock=lambda: self.now, seconds_max=60)
        failed = self.rows(
            "SELECT id, last_error FROM jobs WHERE tenant = :tenant "
            "AND (state IN ('queued', 'cooling', 'dead') OR last_error LIKE 'failed%')"
        )
        assert failed == [], f"a job failed: {failed}"


@dataclass
class Payday:
    """Acts for `desk.tenant`; `hands` publish to `messages`, and find `account`."""

    desk: Cashier
    world: World
    account: PayoutAccount
    hands: Hands
    messages: list[tuple[str, UUID]]
    held: list[Held] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    told: set[str] = field(default_factory=set)

    @property
    def now(self) -> datetime:
        return self.desk.now

    @property
    def place(self) -> tuple[str, str]:
        return self.desk.tenant, "sandbox"

    def request(self, amounts: Sequence[int], owner: str, by: str) -> list[dict[str, Any]]:
        """Accepted one after another, so that the order of their ids is that of the amounts; decided together."""
        asked = [self.desk.asking(amount, owner, requested_by=by) for amount in amounts]
        ids = [job_id for one in asked for job_id in self.desk.hand_in("payouts.request", one)]
        self.desk.drain()
        return [self.desk.outcome(one) for one in ids]

    def later(self, seconds: float) -> None:
        """Time passes here and there; jobs that have waited long enough are tried again."""
        self.desk.now += timedelta(seconds=seconds)
        self.world.advance(seconds)
        with self.desk.transaction() as session:
            wake_due(session, now=self.now, limit=1000)
        self.desk.drain()
        self.neighbour.drain()

    def tick(self) -> list[UUID]:
        """Sweeps and places; the payouts that got a place to be sent."""
        self.messages.clear()
        sweep_lost(self.hands)
        sweep_expired(self.hands)
        dispatched = dispatch(self.hands, [self.place])
        dispatch_lookups(self.hands)
        return dispatched

    def work(self) -> None:
        """A tick, and every message of it handled by a worker that is well."""
        self.tick()
        for task, payout_id in list(self.messages):
            (attempts.attempt if task == ATTEMPT else resolving.resolve)(self.hands, payout_id)

    def claim(self, payout_id: UUID) -> None:
        """A worker takes it, and has not called yet."""
        claimed = attempts.claim(self.hands, payout_id)
        if claimed is not None:
            self.held.append(Held(claimed, self.now))

    def call(self, one: Held) -> None:
        """The worker calls, if it still dares."""
        with self.hands.locks.held(one.claim.payout.id, 40) as lock:
            assert lock is not None
            one.answer = attempts.call(self.hands, one.claim, lock)

    def call_late(self, one: Held) -> None:
        """It was frozen between looking at the clock and sending."""
        if self.now - one.at > timedelta(hours=ZOMBIE_HOURS):
            self.held.remove(one)
            return
        sent, payout = one.claim.attempt, one.claim.payout
        instruction = Instruction(
            sent.provider_key, sent.reference, payout.amount_minor, payout.currency, payout.destination
        )
        one.answer = self.account.provider.send(instruction)

    def record(self, one: Held) -> None:
        self.held.remove(one)
        assert one.answer is not None
        attempts.record(self.hands, one.claim, one.answer)

    def ask(self, payout_id: UUID) -> None:
        """A look-up is answered, and what was learnt not written down yet."""
        question = resolving.ask(self.hands, self._place_of(payout_id))
        if question is not None:
            sighting = self.account.provider.look_up(
                question.attempt.reference,
                since=question.attempt.first_used_at,
                destination=question.payout.destination,
                object_id=question.attempt.object_id,
            )
            self.asked.append(Asked(question, sighting, self.account))

    def learn(self, one: Asked) -> None:
        self.asked.remove(one)
        resolving.learn(self.hands, one.question, one.sighting, one.account)

    def hear(self, *events: ProviderEvent) -> None:
        self.told.update(event.event_key for event in events)
        self.desk.hear(*events)

    def pause_tenant(self, paused: bool) -> None:
        with self.desk.transaction() as session:
            set_paused(session, self.desk.tenant, self.now if paused else None)

    def is_certain(self, payout_id: UUID) -> bool:
        """Could a person find out for certain what became of it? Not while something may still be sent or arrive."""
        frozen = any(one.claim.payout.id == payout_id for one in self.held)
        return not frozen and not self.world.may_still_arrive(payout_id)

    def left(self, payout_id: UUID) -> tuple[int, int]:
        """How often its money left, and how often it came back."""
        things = [thing for thing in self.world.objects() if thing.payout == payout_id]
        return len(things), sum(thing.is_back for thing in things)

    def payouts(self) -> list[dict[str, Any]]:
        return self.desk.rows("SELECT * FROM payouts WHERE tenant = :tenant ORDER BY id")

    def in_state(self, *states: str) -> list[UUID]:
        return [row["id"] for row in self.payouts() if row["state"] in states]

    def policy(self) -> Any:
        with self.desk.transaction() as session:
            return load_tenant(session, self.desk.tenant).policy

    @property
    def neighbour(self) -> Cashier:
        """Another tenant, who has no payouts."""
        return replace(self.desk, tenant=f"{self.desk.tenant}-next")

    def _place_of(self, payout_id: UUID) -> Any:
        with self.desk.transaction() as session:
            place = find_place(session, payout_id)
        assert place is not None
        return place


@dataclass(frozen=True)
class OneAccount:
    """Every tenant's account is this one."""

    account: PayoutAccount

    def find(self, tenant: str, provider: str) -> PayoutAccount | None:  # noqa: ARG002 - whosever it is
        return self.account


def open_payday(desk: Cashier, world: World, account: PayoutAccount, locks: PayoutLocks) -> Payday:
    """Nothing is sent yet; every clock is the desk's."""
    messages: list[tuple[str, UUID]] = []
    hands = Hands(
        desk.transaction,
        OneAccount(account),
        locks,
        lambda task, payout_id: messages.append((task, payout_id)),
        clock=lambda: desk.now,
        ticks=lambda: desk.now.timestamp(),  # noqa: PLW0108 - of the `now` at that moment
        sleep=lambda _seconds: None,
        chance=lambda: 0.0,
    )
    return Payday(desk, world, account, hands, messages)
