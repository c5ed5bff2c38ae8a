"""The provider itself: takes orders, moves its state, and says so by webhook. No HTTP in here."""

import asyncio
import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from ops.sandbox import deposits, payouts
from ops.sandbox.config import ConfigError, SandboxConfig
from ops.sandbox.faults import Fault, FaultScript, without_attempt
from ops.sandbox.problems import ProblemError, problem_answer
from ops.sandbox.requests import DepositOrder, PayoutOrder, SettingsChange
from ops.sandbox.state import Answer, Event, Payout, PayoutStatus, State, load, object_view, save
from ops.sandbox.webhooks import Courier

Clock = Callable[[], datetime]


def utc_clock() -> datetime:
    return datetime.now(UTC)


class Provider:
    """One account at the sandbox provider. Only the event loop that serves it may call it."""

    def __init__(self, config: SandboxConfig, clock: Clock = utc_clock) -> None:
        self.config = config
        self.clock = clock
        self.state = load(config.state_file) if config.state_file else State()
        self.faults = FaultScript()
        self.courier = Courier(lambda: self.config, clock)

    def now(self) -> datetime:
        """Business time, which `/_clock` can move. Signatures and waits keep to the real clock."""
        return self.clock() + self.state.clock_offset

    def pay_out(self, order: PayoutOrder) -> Answer:
        """201 with the payout, or 402 when a fault declines it."""
        fault = self.faults.take("processing", "payouts", order.fault, without_attempt(order.reference))
        if fault is not None and fault.name != "paid_then_failed":
            return declined(fault)
        payout, event = payouts.submit(self.state, order, self.now())
        answer = Answer(201, object_view(payout))
        self.emit(event)
        self._settle_later(payout, ("paid", "failed") if fault else ("paid",))
        return answer

    def take_deposit(self, order: DepositOrder) -> Answer:
        """201 with the deposit, or 402 when a fault declines it."""
        fault = self.faults.take("processing", "deposits", order.fault, order.reference)
        if fault is not None and fault.name != "paid_then_failed":
            return declined(fault)
        fee = self.config.deposit_fee_basis_points
        deposit, event = deposits.receive(self.state, order, self.now(), fee)
        answer = Answer(201, object_view(deposit))
        if event is not None:
            self.emit(event)
        return answer

    def emit(self, event: Event) -> None:
        """Record an event and send its webhook, as the faults demand."""
        self.state.events[event.id] = event
        self.courier.take(event, self.faults.take("webhook", event.scope, event.fault, event.object_id))

    def look_up(self, reference: str) -> list[dict[str, Any]]:
        """Payouts under a reference, without those so new that they are not visible yet."""
        seen_until = self.now() - timedelta(seconds=self.config.visibility_seconds)
        found = (self.state.payouts[payout_id] for payout_id in self.state.payout_ids.get(reference, ()))
        return [object_view(payout) for payout in found if payout.created_at <= seen_until]

    def change_settings(self, change: SettingsChange) -> None:
        """Raises `ProblemError` 422."""
        try:
            self.config = dataclasses.replace(self.config, **change.model_dump(exclude_unset=True))
        except ConfigError as exc:
            raise ProblemError(422, "invalid_request", str(exc)) from None

    def resume(self) -> None:
        """Send what an earlier run left unsent, and settle what it left submitted."""
        for event in self.state.events.values():
            if event.state in ("pending", "held"):
                event.copies_pending = 0
                self.courier.send(event)
        for payout in self.state.payouts.values():
            if payout.status == "submitted":
                self._settle_later(payout, ("paid",))

    async def close(self) -> None:
        await self.courier.close()
        if self.config.state_file:
            save(self.state, self.config.state_file)

    def _settle_later(self, payout: Payout, path: tuple[PayoutStatus, ...]) -> None:
        if self.config.settle_seconds is not None:
            self.courier.spawn(self._settle(payout, path, self.config.settle_seconds))
        elif len(path) > 1:
            self.courier.spawn(self._settle(payout, path, 0.0))

    async def _settle(self, payout: Payout, path: tuple[PayoutStatus, ...], wait_seconds: float) -> None:
        expected = payout.status
        for status in path:
            await asyncio.sleep(wait_seconds)
            if payout.status != expected:
                return
            self.emit(payouts.settle(self.state, payout, status, self.now()))
            expected = status


def declined(fault: Fault) -> Answer:
    """402 `{code, retryable}`: the bank was busy (retryable), or the account is closed (final)."""
    if fault.name == "decline_retryable":
        return problem_answer(402, "bank_unavailable", "declined; it may succeed later", retryable=True)
    return problem_answer(402, "account_closed", "declined for good", retryable=False)
