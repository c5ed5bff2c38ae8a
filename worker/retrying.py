"""Running a transaction again, while what went wrong may pass."""

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

import structlog
from sqlalchemy.exc import TimeoutError as PoolTimeout

from models.errors import PayoutRaced, PostingRaced
from worker.database import is_transient
from worker.telemetry import describe_error

Result = TypeVar("Result")
log = structlog.get_logger("ledgerbeat.database")


def may_pass(error: BaseException) -> bool:
    """Transient, or lost against another transaction, or no connection was free: the same work may succeed."""
    return isinstance(error, (PostingRaced, PayoutRaced, PoolTimeout)) or is_transient(error)


def retrying(
    work: Callable[[], Result], pauses: Iterable[float], sleep: Callable[[float], object] = time.sleep
) -> Result:
    """Run `work`, and again after each of the pauses while its error may pass; the last error is raised."""
    for seconds in pauses:
        try:
            return work()
        except Exception as error:
            if not may_pass(error):
                raise
            log.info("transaction.retried", cause=describe_error(error), seconds=round(seconds, 3))
        sleep(seconds)
    return work()
