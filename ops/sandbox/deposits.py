"""Deposits at the provider: captured or failed, refunded in parts, charged back and won again.

Each move changes the state and gives its event.
"""

from datetime import datetime

from ops.sandbox.problems import ProblemError
from ops.sandbox.requests import DepositOrder
from ops.sandbox.state import Deposit, DepositStatus, Event, Record, RecordKind, State, new_id, next_event


def receive(
    state: State, order: DepositOrder, now: datetime, fee_basis_points: int
) -> tuple[Deposit, Event | None]:
    """A payer pays. Captured at once unless the order says `fail` or `capture: false` (no event yet)."""
    amount, currency = order.amount_minor, order.currency
    deposit = Deposit(new_id("dep"), order.reference, amount, currency, now, order.fault)
    state.deposits[deposit.id] = deposit
    if order.fail:
        return deposit, fail(deposit, now)
    if order.capture:
        return deposit, capture(state, deposit, now, fee_basis_points)
    return deposit, None


def capture(state: State, deposit: Deposit, now: datetime, fee_basis_points: int) -> Event:
    """Money came in. Raises `ProblemError` 409 unless pending."""
    _require(deposit, deposit.status == "pending", "captured")
    deposit.status = "captured"
    fee_minor = deposit.amount_minor * fee_basis_points // 10_000
    state.records.append(_record(deposit, "deposit", deposit.amount_minor, fee_minor, "captured", now))
    state.truth_of_deposit(deposit.reference).captured.add(deposit.amount_minor, deposit.currency)
    return next_event(deposit, "deposit.captured", deposit.amount_minor, now)


def fail(deposit: Deposit, now: datetime) -> Event:
    """Money never came. Raises `ProblemError` 409 unless pending."""
    _require(deposit, deposit.status == "pending", "failed")
    deposit.status = "failed"
    return next_event(deposit, "deposit.failed", deposit.amount_minor, now)


def refund(state: State, deposit: Deposit, amount_minor: int | None, now: datetime) -> Event:
    """Give back a part, or all that is left. The event's amount is that of this refund.

    Raises `ProblemError` 409 when nothing can be refunded, 422 for more than is left.
    """
    amount = _part(deposit, amount_minor, "refunded")
    deposit.refunded_minor += amount
    deposit.status = _status(deposit)
    state.records.append(_record(deposit, "refund", amount, 0, "refunded", now))
    state.truth_of_deposit(deposit.reference).refunded.add(amount, deposit.currency)
    return next_event(deposit, "deposit.refunded", amount, now)


def charge_back(
    state: State, deposit: Deposit, amount_minor: int | None, now: datetime, fee_minor: int
) -> Event:
    """The payer's bank takes money back, one chargeback at a time. Raises as `refund` does."""
    _require(deposit, deposit.charged_back_minor == 0, "charged back")
    amount = _part(deposit, amount_minor, "charged back")
    deposit.charged_back_minor = amount
    deposit.status = _status(deposit)
    state.records.append(_record(deposit, "chargeback", amount, 0, "charged_back", now))
    if fee_minor:
        state.records.append(_record(deposit, "fee", fee_minor, 0, "settled", now))
    state.truth_of_deposit(deposit.reference).charged_back.add(amount, deposit.currency)
    return next_event(deposit, "deposit.chargeback", amount, now)


def reverse_chargeback(state: State, deposit: Deposit, now: datetime) -> Event:
    """The dispute is won: the whole chargeback comes back. Raises `ProblemError` 409 when there is none."""
    _require(deposit, deposit.charged_back_minor > 0, "won back")
    amount = deposit.charged_back_minor
    deposit.charged_back_minor = 0
    deposit.status = _status(deposit)
    state.records.append(_record(deposit, "chargeback", amount, 0, "reversed", now))
    state.truth_of_deposit(deposit.reference).chargeback_reversed.add(amount, deposit.currency)
    return next_event(deposit, "deposit.chargeback_reversed", amount, now)


def find(state: State, deposit_id: str) -> Deposit:
    """Raises `ProblemError` 404."""
    deposit = state.deposits.get(deposit_id)
    if deposit is None:
        raise ProblemError(404, "unknown_deposit", f"no deposit {deposit_id}")
    return deposit


def _part(deposit: Deposit, amount_minor: int | None, verb: str) -> int:
    left = deposit.amount_minor - deposit.refunded_minor - deposit.charged_back_minor
    _require(deposit, deposit.status not in ("pending", "failed") and left > 0, verb)
    amount = left if amount_minor is None else amount_minor
    if amount > left:
        raise ProblemError(
            422, "amount_too_large", f"deposit {deposit.id} has {left} left, {amount} cannot be {verb}"
        )
    return amount


def _status(deposit: Deposit) -> DepositStatus:
    if deposit.charged_back_minor:
        return "charged_back"
    if deposit.refunded_minor == 0:
        return "captured"
    return "refunded" if deposit.refunded_minor == deposit.amount_minor else "partially_refunded"


def _require(deposit: Deposit, holds: bool, verb: str) -> None:
    if not holds:
        raise ProblemError(
            409, "impossible_move", f"deposit {deposit.id} is {deposit.status}, it cannot be {verb}"
        )


def _record(deposit: Deposit, kind: RecordKind, amount: int, fee: int, status: str, now: datetime) -> Record:
    return Record(new_id("rec"), kind, deposit.reference, amount, fee, deposit.currency, status, now)
