"""Whose fault it is that a batch failed, and so what helps: to try again, fewer rows, or a person. Pure."""

from typing import Literal

from sqlalchemy.exc import DBAPIError

from models.errors import PostingRaced
from worker.retrying import may_pass

TIMEOUTS = {"57014", "25P03"}
"""Of a statement, and of an idle transaction: half a minute or more each, so no batch is run into them twice."""
CONTENTION = {"40001", "40P01", "55P03", "53200"} | TIMEOUTS
"""Those, serialization, deadlock, locks, memory: fewer rows may get through."""
OUTAGES = {"53100", "58030", "25006", "42P01", "42703", "42883", "42501"}
"""Disk full, input/output error, read-only standby; no such table, column or function, no such right."""

Fault = Literal["away", "refuses", "contention", "row"]
"""The database is away; it cannot write, whatever the row; others are in the way; one of the rows."""


def fault_of(error: BaseException) -> Fault:
    """Of a batch that failed although it was tried again."""
    if _sqlstate(error) in OUTAGES:
        return "refuses"
    if isinstance(error, PostingRaced) or _sqlstate(error) in CONTENTION:
        return "contention"
    return "away" if may_pass(error) else "row"


def passes_soon(error: BaseException) -> bool:
    """Is it worth to try the same batch again at once?"""
    return may_pass(error) and _sqlstate(error) not in TIMEOUTS | OUTAGES


def _sqlstate(error: BaseException) -> str | None:
    return getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None
