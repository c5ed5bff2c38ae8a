"""The sandbox's own books, `GET /records`, and what it has told of, `GET /events`: oldest first, in pages."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, get_args
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from worker.providers.event_json import NotUnderstood, json_object
from worker.providers.payouts.reading import retry_after
from worker.providers.payouts.wire import Wire
from worker.providers.port import MalformedEvent
from worker.providers.records import cells
from worker.providers.records.asking import PAGE_BYTES_MAX, Asking, Patience, TryLater
from worker.providers.records.cells import Unreadable
from worker.providers.records.port import BadRow, Record, RecordKind, Window
from worker.providers.records.raw import shown
from worker.settings import ProviderSettings

PAGE_ROWS = 1000

# (kind, status) -> what it adds to what the provider owes us. Source: ops/sandbox/README.md, "Records".
SIGNS: Mapping[tuple[str, str], int] = {
    ("deposit", "captured"): 1,
    ("refund", "refunded"): -1,
    ("chargeback", "charged_back"): -1,
    ("chargeback", "reversed"): 1,
    ("payout", "paid"): -1,
    ("payout", "failed"): 1,
    ("payout", "returned"): 1,
    ("fee", "settled"): -1,
}
KINDS: Mapping[object, RecordKind] = {kind: kind for kind in get_args(RecordKind)}

_UTC = ZoneInfo("UTC")


class SandboxRecords:
    """One account at a sandbox. `read` and `events` connect when they are first asked for a row."""

    def __init__(self, account: ProviderSettings, base_url: str, api_key: str, patience: Patience) -> None:
        self._name = account.name
        self._wire = Wire(base_url, account.timeout_seconds, PAGE_BYTES_MAX)
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._patience = patience

    def read(self, window: Window) -> Iterator[Record | BadRow]:
        """See RecordSource."""
        for row in self._rows("/records", window):
            try:
                found: Record | BadRow = _record(row)
            except (Unreadable, NotUnderstood) as reason:
                found = BadRow(None, shown(row), str(reason))
            yield found

    def events(self, window: Window) -> Iterator[dict[str, Any]]:
        """Every event of the window, oldest first. Raises SourceFailed."""
        asking = Asking(self._name, self._patience)
        for row in self._rows("/events", window):
            if not isinstance(row, dict):
                raise asking.failed("an event is no object")
            yield row

    def _rows(self, path: str, window: Window) -> Iterator[object]:
        asking = Asking(self._name, self._patience)
        query = {"from": _instant(window.since), "to": _instant(window.until), "limit": str(PAGE_ROWS)}
        while True:
            target = f"{path}?{urlencode(query)}"
            rows, cursor = asking.page(partial(self._page, target, asking))
            ids = [row.get("id") if isinstance(row, dict) else None for row in rows]
            asking.went_on(ids, cursor)
            yield from rows
            if cursor is None:
                return
            query["cursor"] = cursor

    def _page(self, target: str, asking: Asking) -> tuple[list[object], str | None]:
        reply = self._wire.call("GET", target, self._headers)
        if reply.status == 429 or reply.status >= 500:
            raise TryLater(f"http_{reply.status}", retry_after(reply.headers))
        if reply.status != 200:
            hint = "; check its api_key" if reply.status in (401, 403) else ""
            raise asking.failed(f"http_{reply.status}{hint}")
        rows, cursor = _page(reply.body)
        if not isinstance(rows, list) or not (cursor is None or (isinstance(cursor, str) and cursor)):
            raise TryLater("unreadable_answer")
        return rows, cursor


def _page(body: bytes) -> tuple[object, object]:
    """The rows and the cursor. What one row's text holds is no reason not to read the others."""
    try:
        page = json_object(body)
        return page.get("data"), page.get("next_cursor", "")
    except (MalformedEvent, NotUnderstood):
        return None, ""


def _record(row: object) -> Record:
    if not isinstance(row, dict):
        raise Unreadable("not an object")
    amount, fee = _count(row, "amount_minor"), _count(row, "fee_minor")
    kind, status = KINDS.get(row.get("kind"), "other"), _text(row, "status")
    sign = SIGNS.get((str(row.get("kind")), status))
    if sign is None and kind != "other":
        raise Unreadable(f"the status does not say which way the money of a {kind} went")
    currency = cells.currency(_text(row, "currency"), "currency")
    return Record(
        record_id=_text(row, "id"),
        kind=kind,
        reference=None if row.get("reference") is None else _text(row, "reference"),
        object_id=None,
        amount_minor=amount if sign is None else sign * amount,
        currency=currency,
        fee_minor=fee,
        fee_currency=currency,
        status=status,
        occurred_at=cells.iso_time(_text(row, "occurred_at"), "occurred_at", _UTC),
    )


def _text(row: Mapping[str, Any], name: str) -> str:
    if not isinstance(value := row.get(name), str):
        raise Unreadable(f"{name} is missing, or not a text")
    return cells.need_text(value, name)


def _count(row: Mapping[str, Any], name: str) -> int:
    """A whole number of minor units, positive or 0: kind and status tell the direction."""
    value = row.get(name)
    if type(value) is not int or value < 0:
        raise Unreadable(f"{name} is missing, or not a whole number from 0")
    return cells.scaled(str(value), 0, name)


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
