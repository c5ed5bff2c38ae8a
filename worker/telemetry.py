"""Logs: dotted events with fields, for people or as JSON lines; no secret, no argument of a job, no SQL value."""

import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import psycopg
import structlog
from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError
from structlog.typing import EventDict, Processor

from models.errors import LedgerbeatError

ROOT = Path(__file__).resolve().parent.parent
HIDDEN = "[hidden]"
SECRET_WORDS = ("secret", "token", "password", "api_key", "authorization", "signature")
SECRET_FIELDS = {"args", "kwargs", "body", "data", "database_url", "redis_url", "broker_url"}
QUIET = {
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "alembic": logging.WARNING,
    "celery.worker.strategy": logging.WARNING,  # one line per message; our own events say what was done
    "celery.app.trace": logging.WARNING,
}
WORDY = {"celery.beat", "celery.worker.consumer.consumer"}
"""Loggers that write a stack, or all of a message that nobody takes, into theirs: the first words say what happened."""
WORDS_END = re.compile(r"\n| \[type:")


def configure_logging(log_format: Literal["console", "json"], level: int = logging.INFO) -> None:
    """Send everything that this process logs, by structlog or the standard library, to stderr in one form."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        tell_errors,
        hide_secrets,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderer(log_format)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("ledgerbeat").setLevel(min(level, logging.INFO))
    for name, threshold in QUIET.items():
        logging.getLogger(name).setLevel(threshold)


def hide_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> EventDict:
    """A processor that hides fields which are secret by their name or type, whatever they hold."""
    return {name: HIDDEN if _is_secret(name, value) else value for name, value in event.items()}


def tell_errors(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> EventDict:
    """A processor that tells an exception by describe_error(): a traceback ends in a message that may quote values."""
    if event.get("logger") in WORDY:
        event["event"] = WORDS_END.split(str(event["event"]), maxsplit=1)[0]
    given = event.pop("exc_info", None)
    error = given[1] if isinstance(given, tuple) else given
    error = sys.exception() if error is True else error
    return {**event, "error": describe_error(error)} if isinstance(error, BaseException) else dict(event)


class JsonLines:
    """Writes events to stderr as configure_logging("json") has them written, at a tenth of the cost.

    For an event per request: it asks the level of the same logger, hides the same fields, and takes nothing from
    context variables or exceptions.
    """

    def __init__(self, logger: str) -> None:
        self._logger = logging.getLogger(logger)
        self._encode = json.JSONEncoder(default=str).encode

    def info(self, event: str, **fields: object) -> None:
        if not self._logger.isEnabledFor(logging.INFO):
            return
        shown = {name: HIDDEN if _is_secret(name, value) else value for name, value in fields.items()}
        shown |= {"event": event, "level": "info", "logger": self._logger.name, "timestamp": _utc_text()}
        with suppress(OSError):  # as logging does: nobody reads the log, and nothing else may stop for that
            os.write(sys.stderr.fileno(), f"{self._encode(shown)}\n".encode())


def _utc_text() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


class TaskFailed(LedgerbeatError):
    """A task failed; the message is `describe_error()` of the cause, fit for Flower and for logs."""


@contextmanager
def reported(event: str, **fields: object) -> Iterator[None]:
    """Log whatever goes wrong inside as `event`, and raise TaskFailed in its place: its own text may quote values."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - nothing may leave with its own text
        cause = describe_error(error)
        structlog.get_logger("ledgerbeat.tasks").error(event, cause=cause, **fields)
        raise TaskFailed(cause) from None


def describe_error(error: BaseException) -> str:
    """What failed and where, with nothing that came from outside.

    A database error is its SQLSTATE and the names it concerns; our own errors keep their message, which names ids
    only; of any other the type and the line of ours are told, for its message may quote a value.
    """
    if isinstance(error, DBAPIError):
        return _database_error(error, error.orig)
    if isinstance(error, psycopg.Error):
        return _database_error(error, error)
    if isinstance(error, LedgerbeatError):
        return f"{type(error).__name__}: {error}"
    return f"{type(error).__name__} at {_place(error)}"


def _database_error(error: BaseException, cause: BaseException | None) -> str:
    diagnosis = getattr(cause, "diag", None)
    names: Mapping[str, Any] = {
        "sqlstate": getattr(cause, "sqlstate", None),
        "constraint": getattr(diagnosis, "constraint_name", None),
        "table": getattr(diagnosis, "table_name", None),
    }
    known = ", ".join(f"{name} {value}" for name, value in names.items() if value)
    return f"{type(cause).__name__} ({known or 'no answer from the database'}) at {_place(error)}"


def _place(error: BaseException) -> str:
    """The innermost line of ours: path:line in function."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if _is_ours(Path(frame.filename))] or list(frames)
    if not ours:
        return "an unknown place"
    path = Path(ours[-1].filename)
    shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name
    return f"{shown}:{ours[-1].lineno} in {ours[-1].name}"


def _is_ours(path: Path) -> bool:
    return path.is_relative_to(ROOT) and "site-packages" not in path.parts


def _is_secret(name: str, value: Any) -> bool:
    return isinstance(value, SecretStr) or _sounds_secret(name)


@lru_cache(1024)
def _sounds_secret(name: str) -> bool:
    lowered = name.lower()
    return lowered in SECRET_FIELDS or any(word in lowered for word in SECRET_WORDS)


def _renderer(log_format: Literal["console", "json"]) -> list[Processor]:
    if log_format == "json":
        return [structlog.processors.JSONRenderer(default=str)]
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
