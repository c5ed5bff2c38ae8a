"""Routes for tests and people, all under `/_`: faults, truth, webhooks, settings, clock, waiting."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ops.sandbox.faults import FaultError
from ops.sandbox.problems import ProblemError, respond
from ops.sandbox.records import page
from ops.sandbox.requests import ClockChange, FaultOrder, RawEvent, SettingsChange, Wait, checked
from ops.sandbox.state import Answer, DepositTruth, Event, PayoutTruth, Scope, State, new_id, rfc3339
from ops.sandbox.wire import opened, provider_of


async def script_fault(request: Request) -> Response:
    provider, body = await opened(request)
    order = checked(FaultOrder, body)
    try:
        scripted = provider.faults.add(order.fault, order.scope, order.count)
    except FaultError as exc:
        raise ProblemError(422, "bad_fault", str(exc)) from None
    return respond(Answer(201, scripted.view()))


async def list_faults(request: Request) -> Response:
    scripted = provider_of(request).faults.scripted.values()
    return respond(Answer(200, {"data": [fault.view() for fault in scripted]}))


async def remove_faults(request: Request) -> Response:
    """One by its id, or all."""
    removed = provider_of(request).faults.remove(request.path_params.get("id"))
    if removed == 0 and "id" in request.path_params:
        raise ProblemError(404, "unknown_fault", "no such fault")
    return respond(Answer(200, {"removed": removed}))


async def show_truth(request: Request) -> Response:
    """Per reference, how often money really moved; `?reference=` for one."""
    state, reference = provider_of(request).state, request.query_params.get("reference")
    truth = {
        "payouts": _flows(state.payout_truth, reference),
        "deposits": _flows(state.deposit_truth, reference),
    }
    return respond(Answer(200, truth))


async def list_webhooks(request: Request) -> Response:
    """Every event and how its webhook fared; `?state=` for one state, in pages."""
    wanted = request.query_params.get("state")
    events = [e for e in provider_of(request).state.events.values() if wanted in (None, e.state)]
    return respond(Answer(200, page(events, request, _webhook)))


async def redeliver(request: Request) -> Response:
    """Send one event's webhook again, now. 409 when there is no `webhook_url` to send it to."""
    provider = provider_of(request)
    event = _event(provider.state, request.path_params["id"])
    if provider.config.webhook_url is None:
        raise ProblemError(409, "no_endpoint", "set webhook_url first")
    provider.courier.send(event)
    return respond(Answer(202, _webhook(event)))


async def inject_event(request: Request) -> Response:
    """Send any event at all, signed as ours: for what a sound provider would never send."""
    provider, body = await opened(request)
    order = checked(RawEvent, body)
    scope: Scope = "payouts" if order.type.startswith("payout.") else "deposits"
    object_id = str(order.data.get("id", ""))
    event = Event(new_id("evt"), order.type, object_id, scope, provider.now(), order.data)
    provider.emit(event)
    return respond(Answer(201, _webhook(event)))


async def flush(request: Request) -> Response:
    """Wait until nothing is pending: no settlement, no webhook, no retry. 200 with `idle` and `pending`."""
    provider, body = await opened(request)
    idle = await provider.courier.idle(checked(Wait, body).timeout_seconds)
    return respond(Answer(200, {"idle": idle, "pending": provider.courier.pending}))


async def show_idle(request: Request) -> Response:
    """As `/_flush`, without waiting and without sending what is held back."""
    pending = provider_of(request).courier.pending
    return respond(Answer(200, {"idle": pending == 0, "pending": pending}))


async def change_settings(request: Request) -> Response:
    provider, body = await opened(request)
    provider.change_settings(checked(SettingsChange, body))
    return await show_settings(request)


async def show_settings(request: Request) -> Response:
    config = provider_of(request).config
    return respond(Answer(200, {name: getattr(config, name) for name in SettingsChange.model_fields}))


async def move_clock(request: Request) -> Response:
    """Business time jumps ahead: keys expire, payouts become visible. Waits keep to the real clock."""
    provider, body = await opened(request)
    provider.state.clock_offset += timedelta(seconds=checked(ClockChange, body).advance_seconds)
    return respond(Answer(200, {"now": rfc3339(provider.now())}))


CONTROL_ROUTES = [
    Route("/_faults", script_fault, methods=["POST"]),
    Route("/_faults", list_faults),
    Route("/_faults", remove_faults, methods=["DELETE"]),
    Route("/_faults/{id}", remove_faults, methods=["DELETE"]),
    Route("/_truth", show_truth),
    Route("/_webhooks", list_webhooks),
    Route("/_webhooks/{id}/redeliver", redeliver, methods=["POST"]),
    Route("/_events", inject_event, methods=["POST"]),
    Route("/_flush", flush, methods=["POST"]),
    Route("/_idle", show_idle),
    Route("/_settings", change_settings, methods=["POST"]),
    Route("/_settings", show_settings),
    Route("/_clock", move_clock, methods=["POST"]),
]


def _flows(truth: Mapping[str, PayoutTruth | DepositTruth], reference: str | None) -> dict[str, Any]:
    if reference is None:
        return {ref: asdict(flows) for ref, flows in truth.items()}
    return {reference: asdict(truth[reference])} if reference in truth else {}


def _event(state: State, event_id: str) -> Event:
    event = state.events.get(event_id)
    if event is None:
        raise ProblemError(404, "unknown_webhook", f"no webhook {event_id}")
    return event


def _webhook(event: Event) -> dict[str, Any]:
    fared = ("state", "tries", "copies_pending", "copies_delivered", "last_status", "last_error")
    return event.public() | {name: getattr(event, name) for name in fared}
