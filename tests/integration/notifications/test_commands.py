"""`ledgerbeat notifications`: what an operator sees and sends again."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.integration.notifications.conftest import Office
from tests.integration.notifications.receiver import Receiver, Reply
from tests.integration.repair.commands import Run, runner

SIGNED = ("--actor", "ops:ada", "--reason", "receiver repaired")


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, database_url: str
) -> Run:
    return runner(monkeypatch, capsys, tmp_path, database_url=database_url)


@pytest.fixture
def given_up(office: Office, receiver: Receiver) -> Office:
    """payout:1 was given up, payout:2 was delivered."""
    office.announce(("payout:1", 1), ("payout:2", 1))
    with office.transaction() as session:
        session.execute(text("UPDATE notifications SET tries = 9 WHERE subject = 'payout:1'"))
    receiver.answer = lambda one: Reply(500 if one.subject[0] == "payout:1" else 204)
    office.tick()
    receiver.deliveries.clear()
    receiver.answer = lambda _: Reply()
    return office


def audits(office: Office) -> list[Any]:
    with office.transaction() as session:
        return list(session.execute(text("SELECT * FROM audit_events ORDER BY id")))


def test_the_list_says_what_was_told_and_why_not(run: Run, given_up: Office) -> None:
    found = run("notifications", "list", "--json").json
    assert [(one["subject"], one["state"], one["last_error"]) for one in found] == [
        ("payout:2", "delivered", None), ("payout:1", "gave_up", "HTTP 500")
    ]  # fmt: skip
    table = run("notifications", "list", "--state", "gave_up").out
    assert "payout:1" in table
    assert "HTTP 500" in table
    assert "payout:2" not in table
    assert run("notifications", "list", "--tenant", "globex").out == "no notifications fit\n"


def test_pages_of_the_list_follow_each_other(run: Run, given_up: Office) -> None:
    [newest] = run("notifications", "list", "--limit", "1", "--json").json
    [oldest] = run("notifications", "list", "--before", newest["id"], "--json").json
    assert (newest["subject"], oldest["subject"]) == ("payout:2", "payout:1")


def test_what_was_given_up_is_sent_again_under_its_id(run: Run, given_up: Office, receiver: Receiver) -> None:
    ran = run("notifications", "redeliver", "--tenant", "acme", *SIGNED)
    assert (ran.code, "1 are sent again" in ran.out) == (0, True)
    [row] = given_up.rows("pending")
    given_up.now = row["next_try_at"]
    given_up.tick()
    assert receiver.subjects() == [("payout:1", 1)]
    assert given_up.rows("gave_up") == []
    [event] = audits(given_up)
    assert (event.actor, event.action, event.reason) == (
        "ops:ada",
        "notifications.redelivered",
        "receiver repaired",
    )
    assert event.detail == {
        "filter": {"tenant": "acme", "limit": 1000},
        "notifications": 1,
        "ids": [row["id"]],
    }


def test_a_dry_run_changes_nothing(run: Run, given_up: Office) -> None:
    ran = run("notifications", "redeliver", "--tenant", "acme", "--dry-run", "--json")
    assert ran.json == {"dry_run": True, "notifications": 1, "ids": {"acme": [given_up.rows()[0]["id"]]}}
    assert given_up.rows("pending") == []
    assert audits(given_up) == []


def test_what_was_delivered_is_sent_again_only_when_it_is_named(run: Run, given_up: Office) -> None:
    delivered = given_up.rows("delivered")[0]["id"]
    assert run("notifications", "redeliver", "--id", delivered, *SIGNED, "--json").json["notifications"] == 1
    assert given_up.rows("delivered") == []


def test_a_receiver_that_was_gone_is_spoken_to_again(run: Run, office: Office, receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(410)
    office.announce(("payout:1", 1))
    office.tick()
    assert office.after(3600) == []
    receiver.answer = lambda _: Reply()
    run("notifications", "redeliver", "--tenant", "acme", "--state", "pending", *SIGNED)
    office.now = office.rows()[0]["next_try_at"]
    assert office.tick() == ["acme"]
    assert len(office.rows("delivered")) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "say which notifications"),
        (("--tenant", "acme", "--reason", " "), "must not be blank"),
        (("--state", "lost"), "'lost' is not one of"),
    ],
)
def test_a_command_that_says_too_little_is_refused(
    run: Run, given_up: Office, arguments: tuple[str, ...], sentence: str
) -> None:
    ran = run("notifications", "redeliver", *arguments)
    assert ran.code == 2
    assert sentence in ran.err
    assert given_up.rows("pending") == []
