"""The Celery door: what an app sends by `jobs.accept` becomes a row, or is refused with the contract's code.

Wrong arguments and unknown names are recorded too; the drain dead-letters them, so that the caller finds them in
`jobs` with the reason. Card numbers and IBANs are not kept. What is refused here could not be recorded: no tenant, no
key, or a key used otherwise.
"""

import json
import random
import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError

from models.errors import DoorError, IdempotencyKeyInvalid, InvalidArguments, UnknownJob, UnknownTenant
from models.jobs.accept import Accepted, JobRequest, Rejected, accept
from models.jobs.outcomes import count
from worker.catalogue import JOBS
from worker.catalogue.redaction import redact
from worker.database import Transaction
from worker.telemetry import describe_error

BYTES_MAX = 1_048_576
NAME_LENGTH_MAX = 100
TRIES_MAX = 6
WAIT_SECONDS = (1.0, 4.0)
NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
BAD_DATA = ("22", "54")
"""SQLSTATE classes of what PostgreSQL can never hold: data exceptions and exceeded limits."""

log = structlog.get_logger("ledgerbeat.door")


class NotAccepted(DoorError):
    """The task's failure: the contract's code, then a sentence without values."""


def submit(
    transaction: Transaction, *, tenant: object, name: object, key: object, args: object, now: datetime
) -> Accepted:
    """Record the job and commit. Raises NotAccepted, counted as `rejected`; a database error as it is."""
    try:
        request = _request(tenant, name, key, args)
    except DoorError as error:
        raise _refused(error) from None
    with transaction() as session:
        [answer] = accept(session, [request], now=now)
        if isinstance(answer, Rejected):
            known = "" if isinstance(answer.error, UnknownTenant) else request.tenant
            shown = request.name if request.name in JOBS else ""
            count(session, {(known, shown, "rejected", answer.error.code): 1})
    if isinstance(answer, Rejected):
        raise _refused(answer.error)
    return answer


def submit_patiently(
    submit: Callable[[], Accepted], *, sleep: Callable[[float], None] = time.sleep
) -> Accepted | None:
    """Submit, and again every 1 to 4 s while the database does not take it; None after TRIES_MAX times.

    Raises NotAccepted. Never loses a request for any other reason: the caller keeps the message then.
    """
    for _ in range(TRIES_MAX):
        try:
            return submit()
        except DoorError:
            raise
        except Exception as error:  # noqa: BLE001 - a bug of ours may delay a job, not lose it
            if _never_fits(error):
                raise _refused(InvalidArguments("these arguments cannot be stored")) from None
            log.warning("door.waiting", cause=describe_error(error))
        sleep(random.uniform(*WAIT_SECONDS))  # noqa: S311 - spreads retries, guards nothing
    return None


def _request(tenant: object, name: object, key: object, args: object) -> JobRequest:
    if not isinstance(tenant, str):
        raise UnknownTenant("a tenant's name was expected")
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= NAME_LENGTH_MAX:
        raise UnknownJob("the name of a job was expected")
    if not isinstance(key, str):
        raise IdempotencyKeyInvalid("an idempotency key of 1 to 255 printable ASCII characters was expected")
    return JobRequest(tenant, name, "app", key, redact(name, _storable(args)))


def _storable(args: object) -> dict[str, Any]:
    """The arguments as they are, or, when jsonb cannot hold them, their text: to be dead-lettered with it."""
    written = json.dumps(args)
    if len(written) > BYTES_MAX:
        raise InvalidArguments(f"at most {BYTES_MAX} bytes of arguments were expected")
    try:
        json.dumps(args, allow_nan=False, ensure_ascii=False).encode()
    except ValueError:  # NaN, Infinity, half a surrogate pair
        return {"unstorable": written}
    return args if isinstance(args, dict) and not NUL.search(written) else {"unstorable": written}


def _never_fits(error: BaseException) -> bool:
    """Data that PostgreSQL refuses, or that nests too deeply to be written down: another try would end the same."""
    if isinstance(error, RecursionError):
        return True
    sqlstate = getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None
    return (sqlstate or "")[:2] in BAD_DATA


def _refused(error: DoorError) -> NotAccepted:
    log.warning("door.refused", code=error.code)
    return NotAccepted(f"{error.code}: {error}")
