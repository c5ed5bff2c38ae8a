"""The provider's own routes: payouts, deposits, settled records, events."""

from collections.abc import Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ops.sandbox import deposits, payouts
from ops.sandbox.faults import without_attempt
from ops.sandbox.problems import ProblemError, respond
from ops.sandbox.provider import Provider
from ops.sandbox.records import page
from ops.sandbox.requests import (
    Body,
    DepositOrder,
    Nothing,
    Part,
    PayoutOrder,
    Settlement,
    checked,
    idempotency_key,
)
from ops.sandbox.state import Answer, Deposit, Event, object_view, record_view
from ops.sandbox.wire import at_edge, keyed, opened, provider_of

B = TypeVar("B", bound=Body)


async def healthz(_: Request) -> Response:
    return respond(Answer(200, {"status": "ok"}))


async def create_payout(request: Request) -> Response:
    """One payout per key: 201, or 402 `{code, retryable}` when declined."""
    provider, body = await opened(request)
    key = idempotency_key(request, required=True)
    order = checked(PayoutOrder, body)

    def process() -> Answer:
        return keyed(request, key, body, lambda: provider.pay_out(order))

    return await at_edge(request, "payouts", process, order.fault, without_attempt(order.reference))


async def look_up_payouts(request: Request) -> Response:
    """Payouts under one reference. An empty list proves nothing within 10 s of the call."""
    provider = provider_of(request)
    reference = request.query_params.get("reference")
    if not reference:
        raise ProblemError(400, "missing_reference", "ask with ?reference=")

    def process() -> Answer:
        return Answer(200, {"data": provider.look_up(reference), "next_cursor": None})

    return await at_edge(request, "lookups", process)


async def show_payout(request: Request) -> Response:
    payout = payouts.find(provider_of(request).state, request.path_params["id"])
    return respond(Answer(200, object_view(payout)))


async def settle_payout(request: Request) -> Response:
    """Settle by hand: paid, failed or returned."""
    provider, body = await opened(request)
    payout = payouts.find(provider.state, request.path_params["id"])
    event = payouts.settle(provider.state, payout, checked(Settlement, body).status, provider.now())
    provider.emit(event)
    return respond(Answer(200, object_view(payout) | {"event_id": event.id}))


async def create_deposit(request: Request) -> Response:
    provider, body = await opened(request)
    key = idempotency_key(request, required=False)
    order = checked(DepositOrder, body)

    def process() -> Answer:
        return keyed(request, key, body, lambda: provider.take_deposit(order))

    return await at_edge(request, "deposits", process, order.fault, order.reference)


async def show_deposit(request: Request) -> Response:
    deposit = deposits.find(provider_of(request).state, request.path_params["id"])
    return respond(Answer(200, object_view(deposit)))


async def capture_deposit(request: Request) -> Response:
    def move(provider: Provider, deposit: Deposit, _: Nothing) -> Event:
        return deposits.capture(
            provider.state, deposit, provider.now(), provider.config.deposit_fee_basis_points
        )

    return await _move_deposit(request, Nothing, move)


async def fail_deposit(request: Request) -> Response:
    def move(provider: Provider, deposit: Deposit, _: Nothing) -> Event:
        return deposits.fail(deposit, provider.now())

    return await _move_deposit(request, Nothing, move)


async def refund_deposit(request: Request) -> Response:
    def move(provider: Provider, deposit: Deposit, part: Part) -> Event:
        return deposits.refund(provider.state, deposit, part.amount_minor, provider.now())

    return await _move_deposit(request, Part, move)


async def charge_deposit_back(request: Request) -> Response:
    def move(provider: Provider, deposit: Deposit, part: Part) -> Event:
        fee_minor = provider.config.chargeback_fee_minor
        return deposits.charge_back(provider.state, deposit, part.amount_minor, provider.now(), fee_minor)

    return await _move_deposit(request, Part, move)


async def reverse_chargeback(request: Request) -> Response:
    def move(provider: Provider, deposit: Deposit, _: Nothing) -> Event:
        return deposits.reverse_chargeback(provider.state, deposit, provider.now())

    return await _move_deposit(request, Nothing, move)


async def list_records(request: Request) -> Response:
    records = provider_of(request).state.records
    return await at_edge(request, "records", lambda: Answer(200, page(records, request, record_view)))


async def list_events(request: Request) -> Response:
    """Every event, whatever became of its webhook."""
    events = list(provider_of(request).state.events.values())
    return respond(Answer(200, page(events, request, Event.public)))


ROUTES = [
    Route("/healthz", healthz),
    Route("/payouts", create_payout, methods=["POST"]),
    Route("/payouts", look_up_payouts),
    Route("/payouts/{id}", show_payout),
    Route("/payouts/{id}/settle", settle_payout, methods=["POST"]),
    Route("/deposits", create_deposit, methods=["POST"]),
    Route("/deposits/{id}", show_deposit),
    Route("/deposits/{id}/capture", capture_deposit, methods=["POST"]),
    Route("/deposits/{id}/fail", fail_deposit, methods=["POST"]),
    Route("/deposits/{id}/refunds", refund_deposit, methods=["POST"]),
    Route("/deposits/{id}/chargebacks", charge_deposit_back, methods=["POST"]),
    Route("/deposits/{id}/chargeback_reversals", reverse_chargeback, methods=["POST"]),
    Route("/records", list_records),
    Route("/events", list_events),
]


async def _move_deposit(
    request: Request, model: type[B], move: Callable[[Provider, Deposit, B], Event]
) -> Response:
    """Move one deposit on and send its event; 201 with the deposit and the event's id. A key is optional."""
    provider, body = await opened(request)
    key = idempotency_key(request, required=False)
    order = checked(model, body)

    def process() -> Answer:
        deposit = deposits.find(provider.state, request.path_params["id"])
        event = move(provider, deposit, order)
        provider.emit(event)
        return Answer(201, object_view(deposit) | {"event_id": event.id})

    return respond(keyed(request, key, body, process))
