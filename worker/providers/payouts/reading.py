"""Reading a provider's answer: what is there in the shape it should have, and nothing that is unsafe to log."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from worker.providers.strict_json import StrictJsonError, loads_strict

RETRY_AFTER_SECONDS_MAX = 24 * 3600.0

_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_ID = re.compile(r"[!-~]{1,200}")


def json_answer(body: bytes) -> dict[str, Any]:
    """The JSON object in the body; empty when it is anything else."""
    try:
        value = loads_strict(body)
    except StrictJsonError:
        return {}
    return value if isinstance(value, dict) else {}


def child(record: object, name: str) -> Mapping[str, Any]:
    """The object at `name`; empty when it is missing or something else, or `record` is no object."""
    value = record.get(name) if isinstance(record, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def safe_code(value: object, otherwise: str) -> str:
    """A vendor's error code, safe to log and to store; `otherwise` for anything else."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else otherwise


def safe_id(value: object) -> str | None:
    """A vendor's id: 1 to 200 printable ASCII characters; None for anything else."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds of the header Retry-After (a number or a date, RFC 9110 10.2.3), at most a day; None without one."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value, re.ASCII):
        return min(float(value), RETRY_AFTER_SECONDS_MAX)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    seconds = (at - (now or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0.0), RETRY_AFTER_SECONDS_MAX)
