"""Everything that may happen to payouts, in any order; after each step every promise is held against the truth."""

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from threading import Thread
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from models.payouts.states import ASKED_STATES
from tasks.payouts.attempts import attempt
from tests.integration.payouts.machine.desk import Held, Payday
from tests.integration.payouts.machine.promises import OPEN, Promises, next_due

OWNERS = ("ada", "bob")
MONEY = 2_000
REQUESTERS = ("app:cashier", "ops:dana")
APPROVERS = ("ops:lee", "ops:dana", "OPS:Dana")
AMOUNTS = st.sampled_from([10, 40, 100, 350, 900])
JUMPS = st.sampled_from([1, 16, 45, 61, 301, 1000, 4000, 12 * 3600, 24 * 3600 - 500, 25 * 3600, 8 * 86_400])
COMMANDS = st.sampled_from(["approve", "reject", "cancel", "retry"])
USUAL = {"awaiting_approval": ["approve", "reject"], "approved": ["cancel"], "cooling": ["retry", "cancel"]}
POLICIES = st.fixed_dictionaries(
    {},
    optional={
        "daily_payout_limit_minor": st.sampled_from([None, 400, 1000]),
        "payout_retry_limit": st.sampled_from([0, 1, 3]),
        "payout_cooldown_seconds": st.sampled_from([60, 300]),
        "payout_backoff_factor": st.sampled_from([1, 2]),
        "approval_threshold_minor": st.sampled_from([None, 0, 90, 90]),
        "approval_expires_seconds": st.sampled_from([None, 600, 86_400]),
        "in_doubt_ladder_seconds": st.sampled_from([[5, 20, 40, 80], [30, 600], [1]]),
    },
).filter(bool)
ROUNDS_MAX = 150
SELDOM = st.sampled_from([True, False, False, False])
CLAIM_SECONDS = 41


class PayoutMachine(RuleBasedStateMachine):
    """In a tenant of its own. `begin(stack)` gives its Payday; `behaviours` are what its provider can do."""

    def __init__(self, begin: Callable[[ExitStack], Payday], behaviours: Sequence[str]) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.payday = begin(self.stack)
        self.promises = Promises(self.payday)
        self.plans = st.lists(st.sampled_from(behaviours), max_size=3)
        self.rows: list[dict[str, Any]] = []
        self.paused = self.tenant_paused = False

    @initialize(policy=POLICIES)
    def open(self, policy: dict[str, object]) -> None:
        for owner in OWNERS:
            self.payday.desk.fund(owner, MONEY)
        self.set_policy(policy)

    @rule(policy=POLICIES)
    def set_policy(self, policy: dict[str, object]) -> None:
        if not self.tenant_paused:
            self.payday.desk.policy(**policy)
        self.promises.note_policy()

    @precondition(lambda self: not self.tenant_paused)
    @rule(
        owner=st.sampled_from(OWNERS),
        amounts=st.lists(AMOUNTS, min_size=1, max_size=3),
        by=st.sampled_from(REQUESTERS),
    )
    def request(self, owner: str, amounts: list[int], by: str) -> None:
        for outcome in self.payday.request(amounts, owner, by):
            if "payout_id" in outcome:
                self.promises.note_request(UUID(outcome["payout_id"]))
            else:
                assert outcome["code"] in ("limit_exceeded", "insufficient_funds"), outcome

    @precondition(lambda self: not self.tenant_paused and self.rows)
    @rule(data=st.data(), name=COMMANDS, actor=st.sampled_from(APPROVERS))
    def command(self, data: st.DataObject, name: str, actor: str) -> None:
        payout_id = data.draw(st.sampled_from([row["id"] for row in self.rows]))
        self.payday.desk.command(name, payout_id, actor=actor)

    @precondition(lambda self: not self.tenant_paused and any(row["state"] in USUAL for row in self.rows))
    @rule(data=st.data(), actor=st.sampled_from(APPROVERS))
    def decide(self, data: st.DataObject, actor: str) -> None:
        """A person does what may be done."""
        row = data.draw(st.sampled_from([row for row in self.rows if row["state"] in USUAL]))
        self.payday.desk.command(data.draw(st.sampled_from(USUAL[row["state"]])), row["id"], actor=actor)

    @precondition(lambda self: not self.tenant_paused and self.certain())
    @rule(data=st.data())
    def mark(self, data: st.DataObject) -> None:
        """A person has asked the provider, and waited until nothing could arrive any more."""
        self.mark_truly(data.draw(st.sampled_from(self.certain())))

    def mark_truly(self, payout_id: UUID) -> None:
        left, back = self.payday.left(payout_id)
        self.payday.desk.command("mark_paid" if left > back else "mark_failed", payout_id, actor="ops:lee")

    def in_state(self, *states: str) -> list[UUID]:
        return [row["id"] for row in self.rows if row["state"] in states]

    def certain(self) -> list[UUID]:
        return [one for one in self.in_state("in_doubt") if self.payday.is_certain(one)]

    @precondition(lambda self: not self.tenant_paused)
    @rule(pause=SELDOM)
    def pause_or_resume(self, pause: bool) -> None:
        if pause or self.paused:
            self.turn_provider()

    def turn_provider(self) -> None:
        self.paused = not self.paused
        name = "providers.pause" if self.paused else "providers.resume"
        [outcome] = self.payday.desk.do(name, {"provider": "sandbox", "actor": "ops:lee", "reason": "so"})
        assert outcome["state"] == "done"

    @rule(pause=SELDOM)
    def pause_or_resume_tenant(self, pause: bool) -> None:
        if pause or self.tenant_paused:
            self.turn_tenant()

    def turn_tenant(self) -> None:
        self.tenant_paused = not self.tenant_paused
        self.payday.pause_tenant(self.tenant_paused)

    @rule(data=st.data())
    def work(self, data: st.DataObject) -> None:
        self.payday.world.plan(data.draw(self.plans))
        calls = self.payday.world.calls
        self.payday.work()
        if self.paused or self.tenant_paused:
            assert self.payday.world.calls == calls, "sent through a provider that is paused"

    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        """A worker takes one of those that have a place, and gets no further for now."""
        if dispatched := self.payday.tick():
            self.payday.claim(data.draw(st.sampled_from(sorted(dispatched))))

    @rule(data=st.data())
    def freeze(self, data: st.DataObject) -> None:
        """A worker takes one, and is frozen until its claim has run out; it may wake up later."""
        if dispatched := self.payday.tick():
            self.payday.claim(data.draw(st.sampled_from(sorted(dispatched))))
            self.payday.later(CLAIM_SECONDS)
            self.payday.tick()

    @rule(data=st.data())
    def race(self, data: st.DataObject) -> None:
        """Two workers have a message for the same payout, and no lock keeps them apart."""
        dispatched = self.payday.tick()
        if not dispatched:
            return
        payout_id = data.draw(st.sampled_from(sorted(dispatched)))
        self.payday.world.plan(data.draw(self.plans)[:1])
        failures: list[BaseException] = []

        def run() -> None:
            try:
                attempt(self.payday.hands, payout_id)
            except BaseException as error:  # noqa: BLE001 - told by the main thread
                failures.append(error)

        threads = [Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not failures, failures

    @precondition(lambda self: any(one.answer is None for one in self.payday.held))
    @rule(data=st.data(), frozen=st.booleans())
    def call(self, data: st.DataObject, frozen: bool) -> None:
        """A worker goes on; `frozen` was it after it had looked at the clock for the last time."""
        one = self.held(data, called=False)
        self.payday.world.plan(data.draw(self.plans)[:1])
        (self.payday.call_late if frozen else self.payday.call)(one)

    @precondition(lambda self: any(one.answer is not None for one in self.payday.held))
    @rule(data=st.data())
    def record(self, data: st.DataObject) -> None:
        self.payday.record(self.held(data, called=True))

    @precondition(lambda self: any(one.answer is None for one in self.payday.held))
    @rule(data=st.data(), frozen=st.booleans())
    def wake(self, data: st.DataObject, frozen: bool) -> None:
        """The same, and it writes down what it was told."""
        self.call(data, frozen)
        for one in [one for one in self.payday.held if one.answer is not None]:
            self.payday.record(one)

    @precondition(lambda self: self.payday.held)
    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        """A worker dies with its claim, and its answer if it had one."""
        self.payday.held.remove(data.draw(st.sampled_from(self.payday.held)))

    def held(self, data: st.DataObject, *, called: bool) -> Held:
        held: Held = data.draw(
            st.sampled_from([one for one in self.payday.held if (one.answer is not None) == called])
        )
        return held

    @precondition(lambda self: self.in_state(*ASKED_STATES))
    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        self.payday.world.plan(data.draw(self.plans))
        self.payday.ask(data.draw(st.sampled_from(self.in_state(*ASKED_STATES))))

    @precondition(lambda self: self.payday.asked)
    @rule(data=st.data())
    def learn(self, data: st.DataObject) -> None:
        self.payday.learn(data.draw(st.sampled_from(self.payday.asked)))

    @precondition(lambda self: self.movable())
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        """The provider goes on with one, and may take back what it has paid."""
        object_id, status = data.draw(st.sampled_from(self.movable()))
        statuses = ["paid", "paid", "failed", "returned"] if status == "submitted" else ["failed", "returned"]
        self.payday.world.settle(object_id, data.draw(st.sampled_from(statuses)))

    def movable(self) -> list[tuple[str, str]]:
        return [(one.object_id, one.status) for one in self.payday.world.objects() if not one.is_back]

    @precondition(lambda self: self.payday.world.events())
    @rule(data=st.data())
    def hear(self, data: st.DataObject) -> None:
        """Any events, some of them again, in any order."""
        events = self.payday.world.events()
        numbers = st.lists(st.integers(0, len(events) - 1), min_size=1, max_size=4)
        self.payday.hear(*(events[number] for number in data.draw(numbers)))

    @precondition(lambda self: self.payday.world.events())
    @rule(data=st.data())
    def forge(self, data: st.DataObject) -> None:
        """Another tenant's provider, or another provider, tells of a payout that is none of its own."""
        event = data.draw(st.sampled_from(self.payday.world.events()))
        before = self.payday.payouts()
        if data.draw(st.booleans()):
            self.payday.neighbour.hear(event)
        else:
            self.payday.desk.hear(event, provider="stripe")
        assert self.payday.payouts() == before, "a payout moved by what another provider tells"

    @rule(seconds=JUMPS)
    def later(self, seconds: int) -> None:
        self.payday.later(seconds)

    @rule(data=st.data())
    def go_on(self, data: st.DataObject) -> None:
        """What is next, when it is due."""
        self.payday.later(next_due(self.payday, self.payday.now))
        self.work(data)

    @invariant()
    def every_promise_holds(self) -> None:
        self.rows = self.promises.check()

    def teardown(self) -> None:
        with self.stack:
            if sys.exc_info()[0] is None and self.rows:
                self.end()

    def end(self) -> None:
        """All goes well from here on: everything settles."""
        self.payday.held.clear()
        self.payday.asked.clear()
        self.payday.world.plan([])
        if self.tenant_paused:
            self.turn_tenant()
        if self.paused:
            self.turn_provider()
        for round_ in range(ROUNDS_MAX):
            self._go_on(patient=round_ < ROUNDS_MAX // 2)
            self.rows = self.promises.check()
            if not any(row["state"] in OPEN for row in self.rows):
                break
            self.payday.later(next_due(self.payday, self.payday.now))
        self.promises.check_end()

    def _go_on(self, *, patient: bool) -> None:
        for payout_id in self.payday.in_state("awaiting_approval"):
            self.payday.desk.command("reject", payout_id)
        if not patient:
            for payout_id in self.certain():
                self.mark_truly(payout_id)
        self.payday.work()
        for object_id, status in self.movable():
            if status == "submitted":
                self.payday.world.settle(object_id, "paid")
        self.payday.hear(
            *(one for one in self.payday.world.events() if one.event_key not in self.payday.told)
        )
