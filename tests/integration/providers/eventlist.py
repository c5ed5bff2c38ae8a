"""Stripe's `GET /v1/events` on a free port, as its reference documents it: newest first, by cursors, in pages.

https://docs.stripe.com/api/events/list and /pagination, read in November 2026: `limit` up to 100, `starting_after` for
what is older, `ending_before` for what is newer, `created[gte]` and `created[lt]`, up to 20 `types`.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.integration.providers.replaying import Replaying, Reply, Seen

LIMIT_MAX = 100
LIMIT = 10
TYPES_MAX = 20


class EventList(Replaying):
    """`rows` are the account's events in any order. `faults` answer in place of the list, by the number of the call;
    `before` is told each number before it is answered."""

    def __init__(self, api_key: str) -> None:
        super().__init__()
        self.rows: list[dict[str, Any]] = []
        self.faults: dict[int, Reply] = {}
        self.before: Callable[[int], object] = lambda _number: None
        self._api_key = api_key

    def asked(self) -> list[dict[str, str]]:
        """The parameters of each call so far."""
        return [_query(seen) for seen in self.seen]

    def _decide(self, seen: Seen) -> Reply:
        self.seen.append(seen)
        number = len(self.seen)
        self.before(number)
        if number in self.faults:
            return self.faults[number]
        if seen.headers.get("authorization") != f"Bearer {self._api_key}":
            return _refused(401, "Invalid API Key provided")
        if urlsplit(seen.target).path != "/v1/events":
            return _refused(404, "Unrecognized request URL")
        return self._page(_query(seen))

    def _page(self, query: Mapping[str, str]) -> Reply:
        types = {value for name, value in query.items() if name.startswith("types[")}
        limit = int(query.get("limit", LIMIT))
        if len(types) > TYPES_MAX or not 1 <= limit <= LIMIT_MAX:
            return _refused(400, "Invalid types or limit")
        rows = sorted(filter(lambda row: _fits(row, types, query), self.rows), key=_newest_first)
        ids = [row.get("id") for row in rows]
        if "ending_before" in query:
            end = ids.index(query["ending_before"])
            return _list(rows[max(end - limit, 0) : end], more=end > limit)
        start = ids.index(query["starting_after"]) + 1 if "starting_after" in query else 0
        return _list(rows[start : start + limit], more=start + limit < len(rows))


def _query(seen: Seen) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(seen.target).query).items()}


def _fits(row: Mapping[str, Any], types: set[str], query: Mapping[str, str]) -> bool:
    since, until = int(query.get("created[gte]", 0)), int(query.get("created[lt]", 2**62))
    return since <= int(row["created"]) < until and (not types or row["type"] in types)


def _newest_first(row: Mapping[str, Any]) -> tuple[int, str]:
    return -int(row["created"]), str(row.get("id"))


def _list(rows: list[dict[str, Any]], *, more: bool) -> Reply:
    return Reply(200, {"object": "list", "url": "/v1/events", "has_more": more, "data": rows})


def _refused(status: int, message: str) -> Reply:
    return Reply(status, {"error": {"type": "invalid_request_error", "message": message}})
