"""Long lists in pages: settled records, and events. A cursor is a position: later rows come later."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

from starlette.requests import Request

from ops.sandbox.problems import ProblemError
from ops.sandbox.requests import instant

PAGE_ROWS = 100
PAGE_ROWS_MAX = 1000
_CURSOR = re.compile(r"c(\d{1,12})")


class Dated(Protocol):
    @property
    def occurred_at(self) -> datetime: ...


R = TypeVar("R", bound=Dated)


def page(rows: Sequence[R], request: Request, view: Callable[[R], dict[str, Any]]) -> dict[str, Any]:
    """`{data, next_cursor}` for `?from=&to=&cursor=&limit=`, oldest first.

    Rows have from <= occurred_at < to; `next_cursor` is null on the last page. Raises `ProblemError` 400.
    """
    since, until = instant(request, "from"), instant(request, "to")
    start, limit = _start(request), _limit(request)
    found: list[dict[str, Any]] = []
    for at in range(start, len(rows)):
        row = rows[at]
        if (since is not None and row.occurred_at < since) or (
            until is not None and row.occurred_at >= until
        ):
            continue
        if len(found) == limit:
            return {"data": found, "next_cursor": f"c{at}"}
        found.append(view(row))
    return {"data": found, "next_cursor": None}


def _start(request: Request) -> int:
    cursor = request.query_params.get("cursor")
    if not cursor:
        return 0
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise ProblemError(400, "bad_cursor", "cursor is not one that this provider gave")
    return int(match[1])


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(PAGE_ROWS))
    if not re.fullmatch(r"[1-9]\d{0,3}", text) or int(text) > PAGE_ROWS_MAX:
        raise ProblemError(400, "bad_limit", f"limit is a whole number from 1 to {PAGE_ROWS_MAX}")
    return int(text)
