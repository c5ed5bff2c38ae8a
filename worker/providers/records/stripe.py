"""Stripe's balance transactions, through its SDK, and the events it keeps for 30 days.

A transaction counts in the balance's currency; where it was exchanged, the amount is taken from its source, in the
currency of the charge, as our ledger has it. The fee stays in the balance's currency. Stripe's `source_account` is the
connected account that is asked about; its automatic payouts go to that account's bank, not to ours, unless the
settings say so with `bank_account`.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import stripe

from worker.providers.event_json import NotUnderstood, json_object
from worker.providers.payouts.reading import child, retry_after, safe_code
from worker.providers.payouts.stripe_objects import rows_of
from worker.providers.payouts.wire import Wire
from worker.providers.port import MalformedEvent
from worker.providers.records.asking import PAGE_BYTES_MAX, Asking, Patience, TryLater
from worker.providers.records.cells import Unreadable
from worker.providers.records.port import BadRow, Record, Window
from worker.providers.records.raw import shown
from worker.providers.records.stripe_rows import record
from worker.providers.stripe_client import stripe_client
from worker.settings import ProviderSettings

PAGE_ROWS = 100
EXPANDED = ["data.source", "data.source.charge"]
"""The charge of a refund or dispute has our reference; these do not inherit its metadata."""


class StripeRecords:
    """One account at Stripe. `read` and `events` connect when they are first asked for a row."""

    def __init__(self, account: ProviderSettings, base_url: str, api_key: str, patience: Patience) -> None:
        self._name = account.name
        self._client = stripe_client(
            api_key, Wire(base_url, account.timeout_seconds, PAGE_BYTES_MAX), base_url
        )
        connected = account.source_account
        self._options: dict[str, Any] = {"stripe_account": connected} if connected else {}
        self._settles_to_us = connected is None or account.bank_account is not None
        self._patience = patience

    def read(self, window: Window) -> Iterator[Record | BadRow]:
        """See RecordSource. Newest first."""
        asking = Asking(self._name, self._patience)
        params = {"created": _created(window), "limit": PAGE_ROWS, "expand": EXPANDED}
        while True:
            page = asking.page(partial(self._list, "balance_transactions", params, asking))
            rows, more = rows_of(page), page["has_more"]
            asking.went_on([row.get("id") for row in rows], rows[-1].get("id") if more and rows else None)
            for row in rows:
                yield self._made(row, asking)
            if not more:
                return
            params = params | {"starting_after": _id(rows, -1, asking)}

    def _made(self, row: Mapping[str, Any], asking: Asking) -> Record | BadRow:
        try:
            return record(row, self._reversed_transfer(row, asking), settles_to_us=self._settles_to_us)
        except Unreadable as reason:
            return BadRow(None, shown(row), str(reason))

    def _reversed_transfer(self, row: Mapping[str, Any], asking: Asking) -> Mapping[str, Any]:
        """The transfer that came back: a reversal does not have its metadata."""
        source = child(row, "source")
        transfer = source.get("transfer")
        if source.get("object") != "transfer_reversal" or not isinstance(transfer, str):
            return {}
        return asking.page(partial(self._call, partial(self._transfer, transfer), asking))

    def _transfer(self, transfer: str) -> dict[str, Any]:
        options: Any = self._options
        return self._client.v1.transfers.retrieve(transfer, options=options).to_dict()

    def events(self, window: Window, types: list[str]) -> Iterator[dict[str, Any]]:
        """Events of up to 20 types, oldest first. Raises SourceFailed.

        The list is walked down without keeping it, to find its oldest page, then up from there.
        """
        down = Asking(self._name, self._patience)
        params = {"created": _created(window), "limit": PAGE_ROWS, "types": types}
        page = self._event_page(params, down)
        while page["has_more"]:
            page = self._event_page(params | {"starting_after": _id(page["data"], -1, down)}, down)
        up = Asking(self._name, self._patience)
        while rows := page["data"]:
            up.went_on([row.get("id") for row in rows], None)
            yield from reversed(rows)
            page = self._event_page(params | {"ending_before": _id(rows, 0, up)}, up)

    def _event_page(self, params: dict[str, Any], asking: Asking) -> dict[str, Any]:
        page = asking.page(partial(self._events_as_sent, params, asking))
        rows = rows_of(page)
        if "ending_before" not in params:
            asking.went_on([row.get("id") for row in rows], rows[-1].get("id") if page["has_more"] else None)
        return page | {"data": rows}

    def _list(self, name: str, params: Any, asking: Asking) -> dict[str, Any]:
        service: Any = getattr(self._client.v1, name)
        return self._call(lambda: _page(service.list(params, self._options).to_dict(for_json=True)), asking)

    def _events_as_sent(self, params: Any, asking: Asking) -> dict[str, Any]:
        """The page as its webhooks are read: the SDK would choose between two values of one key."""

        def call() -> dict[str, Any]:
            answer: Any = self._client.v1.events.list(params, self._options)  # type: ignore[arg-type]
            return _page(json_object(answer.last_response.body.encode()))

        try:
            return self._call(call, asking)
        except (MalformedEvent, NotUnderstood):
            raise TryLater("unreadable_answer") from None

    def _call(self, call: Callable[[], dict[str, Any]], asking: Asking) -> dict[str, Any]:
        try:
            return call()
        except stripe.StripeError as error:
            raise _meaning(error, asking) from None


def _page(page: dict[str, Any]) -> dict[str, Any]:
    try:
        rows = rows_of(page)
    except TypeError:
        raise TryLater("unreadable_answer") from None
    if page["has_more"] and not rows:
        raise TryLater("unreadable_answer")
    return page


def _meaning(error: stripe.StripeError, asking: Asking) -> Exception:
    status = error.http_status or 0
    if status in (0, 200, 409, 429) or status >= 500:
        return TryLater(
            f"http_{status}" if status > 200 else "unreadable_answer", retry_after(error.headers or {})
        )
    told = child(error.json_body, "error")
    code = safe_code(told.get("code") or told.get("type"), "")
    hint = "; check its api_key" if status in (401, 403) else ""
    return asking.failed(f"http_{status} {code}".strip() + hint)


def _created(window: Window) -> dict[str, int]:
    """Stripe counts whole seconds."""
    return {"gte": math.ceil(window.since.timestamp()), "lt": math.ceil(window.until.timestamp())}


def _id(rows: list[dict[str, Any]], at: int, asking: Asking) -> str:
    if not isinstance(found := rows[at].get("id"), str):
        raise asking.failed("a row has no id to go on from")
    return found
