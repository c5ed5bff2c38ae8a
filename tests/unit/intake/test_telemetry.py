"""Logs and causes: what happened and where, never what a caller sent."""

import json
import logging
from collections.abc import Iterator
from datetime import datetime
from uuid import uuid4

import pytest
import structlog
from pydantic import SecretStr

from models.errors import NotFound
from worker.requests import redact
from worker.telemetry import JsonLines, TaskFailed, configure_logging, describe_error, hide_secrets, reported


def raised(error: Exception) -> Exception:
    """The error with a traceback of its own."""
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


def test_the_cause_of_a_foreign_error_is_its_type_and_place() -> None:
    told = describe_error(raised(ValueError("owner very-private")))
    assert told.startswith("ValueError at tests/unit/intake/test_telemetry.py:")
    assert told.endswith(" in raised")


def test_our_own_errors_keep_their_message() -> None:
    assert describe_error(raised(NotFound("no job 7"))) == "NotFound: no job 7"


def test_an_error_without_a_traceback_is_told_too() -> None:
    assert describe_error(KeyError("ada")) == "KeyError at an unknown place"


@pytest.mark.parametrize("name", ["api_key", "WebhookSecret", "access_token", "args", "body", "database_url"])
def test_secret_fields_are_hidden(name: str) -> None:
    assert hide_secrets(None, "info", {name: "x", "job_id": "7"}) == {name: "[hidden]", "job_id": "7"}


def test_secret_values_are_hidden_under_any_name() -> None:
    assert hide_secrets(None, "info", {"given": SecretStr("x")}) == {"given": "[hidden]"}


@pytest.fixture
def logs() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def break_something(facts: dict[str, str], name: str) -> str:
    return facts[name]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_neither_form_prints_what_an_exception_says(
    logs: None, capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    configure_logging(log_format)  # type: ignore[arg-type]
    try:
        break_something({}, "ada-private")
    except KeyError:
        structlog.get_logger("ledgerbeat.test").exception("thing.broke", job_id=7)
        logging.getLogger("someone.else").exception("It broke")
    printed = capsys.readouterr().err
    assert "thing.broke" in printed
    assert "It broke" in printed
    assert printed.count("KeyError at tests/unit/intake/test_telemetry.py") == 2
    assert "private" not in printed


def test_json_lines_have_fields(logs: None, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", logging.WARNING)
    structlog.get_logger("ledgerbeat.test").info("job.done", job_id=7)
    logging.getLogger("someone.else").info("not told")
    [line] = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["event"], told["level"], told["logger"], told["job_id"]) == (
        "job.done",
        "info",
        "ledgerbeat.test",
        7,
    )
    assert told["timestamp"].endswith("Z")


def test_the_cheap_line_is_the_same_line(logs: None, capfd: pytest.CaptureFixture[str]) -> None:
    configure_logging("json")
    fields = {
        "status": 202,
        "tenant": "acme",
        "job_id": uuid4(),
        "api_key": "ada-private",
        "body": "ada-private",
        "shown": SecretStr("ada-private"),
        "Signature": 7,
        "odd": 'quote " and \n line end, \u00e9',
    }
    structlog.get_logger("ledgerbeat.http").info("http.request", **fields)
    JsonLines("ledgerbeat.http").info("http.request", **fields)
    printed = capfd.readouterr().err
    first, second = printed.splitlines()
    dear, cheap = json.loads(first), json.loads(second)
    assert datetime.fromisoformat(cheap.pop("timestamp")) >= datetime.fromisoformat(dear.pop("timestamp"))
    assert list(cheap.items()) == list(dear.items())
    assert "private" not in printed


def test_the_cheap_line_keeps_to_the_level(logs: None, capfd: pytest.CaptureFixture[str]) -> None:
    configure_logging("json")
    logging.getLogger("ledgerbeat.http").setLevel(logging.WARNING)
    try:
        JsonLines("ledgerbeat.http").info("http.request", status=202)
    finally:
        logging.getLogger("ledgerbeat.http").setLevel(logging.NOTSET)
    assert capfd.readouterr().err == ""


def test_a_task_fails_with_the_cause_only() -> None:
    with (
        pytest.raises(TaskFailed, match=r"^ZeroDivisionError at ") as failed,
        reported("x.failed", tenant="acme"),
    ):
        raise ZeroDivisionError("very-private")
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (["acme", "wallets.credit", "k1", {"owner": "private"}, "private"], {}),
        (
            [],
            {
                "tenant": "acme",
                "name": "wallets.credit",
                "idempotency_key": "k1",
                "args": "private",
                "x": "private",
            },
        ),
        (["acme"], {"name": "wallets.credit", "idempotency_key": "k1", "args": {"owner": "private"}}),
    ],
)
def test_a_door_message_shows_its_names_and_key(args: list[object], kwargs: dict[str, object]) -> None:
    assert redact(args, kwargs) == {"tenant": "acme", "name": "wallets.credit", "idempotency_key": "k1"}


def test_a_door_message_that_is_wrong_shows_little() -> None:
    assert redact([{"owner": "private"}, "n" * 100], {}) == {"tenant": "dict", "name": "n" * 64}
