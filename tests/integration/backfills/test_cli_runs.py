"""`ledgerbeat backfill status | pause | resume | cancel`, and Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from models.backfills.tables import backfills
from tests.integration.backfills.office import Office, row

ROWS = tuple(row(number) for number in range(600))
UNKNOWN = "0199f3c2-7d10-7cc3-9d4f-0a1b2c3d4e5f"


@pytest.fixture
def run_id(office: Office) -> str:
    """Of a run that nobody works on."""
    office.file(*ROWS[:20])
    return str(office.start("--detach", "--json", here=False).json["id"])


def state(office: Office) -> str:
    [one] = office.rows("SELECT state, stop_asked FROM backfills")
    return f"{one['state']}, {one['stop_asked']}" if one["stop_asked"] else one["state"]


def change(office: Office, **changed: object) -> None:
    with office.transaction() as session:
        session.execute(backfills.update().values(**changed))


def test_the_newest_are_listed_and_chosen(office: Office, run_id: str) -> None:
    office.file(*ROWS[:5], name="other.csv")
    other = office.started("--dry-run", file=office.folder / "other.csv")["id"]
    listed = office.run("backfill", "status")
    assert [line.split()[0] for line in listed.out.splitlines()] == ["id", other, run_id]
    assert "postings (dry run)" in listed.out
    for options, ids in (
        (("--state", "pending"), [run_id]),
        (("--state", "pending", "--state", "done"), [other, run_id]),
        (("--tenant", "globex"), []),
        (("--limit", "1"), [other]),
    ):
        found = office.run("backfill", "status", *options, "--json").json
        assert [one["id"] for one in found] == ids
    assert "no backfills fit" in office.run("backfill", "status", "--tenant", "globex").out


def test_one_is_shown_with_all_about_it(office: Office, run_id: str) -> None:
    ran = office.run("backfill", "status", run_id)
    assert (ran.code, f"{run_id}: pending" in ran.out) == (0, True)
    told = office.run("backfill", "status", run_id, "--json").json
    assert (told["state"], told["exit_code"], told["progress"]["rows"]) == ("pending", 0, 0)
    assert "cursor" not in told


@pytest.mark.parametrize(("ended", "code"), [("done", 0), ("cancelled", 2)])
def test_watching_ends_with_the_run_and_has_its_exit_code(
    office: Office, run_id: str, ended: str, code: int
) -> None:
    change(office, state=ended, finished_at=datetime.now(UTC))
    assert office.run("backfill", "status", run_id, "--watch").code == code
    assert office.run("backfill", "status", run_id).code == 0


def test_one_whose_worker_was_killed_is_not_said_to_be_at_work(office: Office, run_id: str) -> None:
    """Until its claim runs out nobody else may have it; what is known of it is told."""
    now = datetime.now(UTC)
    change(
        office,
        state="running",
        started_at=now - timedelta(hours=1),
        last_batch_at=now - timedelta(seconds=41),
    )
    change(office, claimed_until=now + timedelta(seconds=35))
    shown = office.run("backfill", "status", run_id).out
    told = r"sign +last batch \d+ s ago; no sign of its worker for at least \d+ s: another takes it over"
    assert re.search(told, shown)
    assert f"from {now + timedelta(seconds=35):%H:%M:%S}Z on" in shown
    assert "running, no sign of its worker for at least" in office.run("backfill", "status").out


def test_people_pause_resume_and_cancel_audited(office: Office, run_id: str) -> None:
    for command, stands, code in (
        ("pause", "paused", 0),
        ("resume", "pending", 0),
        ("cancel", "cancelled", 0),
    ):
        ran = office.run("backfill", command, run_id, "--actor", "ops:dana", "--reason", f"why {command}")
        assert (ran.code, state(office)) == (code, stands), ran.out + ran.err
        assert "backfill.stopped" not in ran.out + ran.err
    events = office.rows("SELECT action, actor, reason FROM audit_events ORDER BY id")[1:]
    assert [tuple(event.values()) for event in events] == [
        (f"backfills.{command}", "ops:dana", f"why {command}") for command in ("pause", "resume", "cancel")
    ]


def test_one_at_work_stops_after_its_batch(office: Office, run_id: str) -> None:
    change(office, state="running", claimed_until=datetime.now(UTC) + timedelta(hours=1))
    ran = office.run("backfill", "cancel", run_id, "--reason", "x")
    assert (ran.code, "running, ends after this batch" in ran.out) == (0, True), ran.out
    assert state(office) == "running, cancel"


def test_a_paused_run_goes_on_in_this_process(office: Office, run_id: str) -> None:
    office.run("backfill", "pause", run_id, "--reason", "x")
    ran = office.run("backfill", "resume", run_id, "--reason", "y", "--here")
    assert (ran.code, office.posted()) == (0, 20), ran.out + ran.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("status", UNKNOWN), f"no backfill {UNKNOWN}"),
        (("status", UNKNOWN, "--watch"), f"no backfill {UNKNOWN}"),
        (("status", "--watch"), "--watch needs the ID"),
        (("status", "17"), "17"),
        (("pause", UNKNOWN, "--reason", "x"), f"no backfill {UNKNOWN}"),
        (("resume", UNKNOWN, "--reason", "x"), f"no backfill {UNKNOWN}"),
        (("cancel", UNKNOWN, "--reason", "x"), f"no backfill {UNKNOWN}"),
        (("cancel", UNKNOWN), "--reason"),
        (("cancel", UNKNOWN, "--reason", " "), "must not be blank"),
        (("quarantine", UNKNOWN), f"no backfill {UNKNOWN}"),
    ],
)
def test_a_wrong_id_or_half_a_command_is_a_sentence(
    office: Office, arguments: tuple[object, ...], words: str
) -> None:
    ran = office.run("backfill", *arguments)
    assert (ran.code, words in ran.err) == (2, True), ran.err


@pytest.mark.parametrize("command", ["pause", "resume", "cancel"])
def test_what_is_over_is_not_changed(office: Office, run_id: str, command: str) -> None:
    change(office, state="done", finished_at=datetime.now(UTC))
    ran = office.run("backfill", command, run_id, "--reason", "x")
    assert (ran.code, "is done" in ran.err, state(office)) == (2, True, "done")


@contextmanager
def started(office: Office, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The command as a process of its own, whose standard error can be read line by line."""
    path, mapping = office.folder / "history.csv", office.mapping()
    told = ["--tenant", "acme", "--kind", "postings", "--file", str(path), "--mapping", str(mapping)]
    command = [sys.executable, "-m", "ops.cli", "backfill", "start", *told, *options]
    with subprocess.Popen(
        command, env=os.environ.copy(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_with(process: subprocess.Popen[str], words: str) -> None:
    """Read its standard error up to a line that has these words."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"{words!r} was never said")


def test_ctrl_c_leaves_a_run_to_the_workers(office: Office) -> None:
    office.file(*ROWS[:20])
    with started(office) as process:
        line_with(process, "pending")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, state(office)) == (130, "pending")
    assert "it goes on without you" in said
    assert "ledgerbeat backfill status" in said


def test_ctrl_c_pauses_a_run_that_is_worked_on_here(office: Office) -> None:
    office.file(*ROWS)
    with started(office, "--here", "--batch-rows", "1") as process:
        line_with(process, "running")
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=60)
    assert (process.returncode, state(office)) == (2, "paused"), out + said
    [run] = office.rows("SELECT * FROM backfills")
    assert 0 < run["posted"] < len(ROWS)
    assert office.posted() == run["posted"]
    assert "ledgerbeat backfill resume" in out
    ran = office.run("backfill", "resume", run["id"], "--reason", "again", "--here")
    assert (ran.code, office.posted(), office.is_sound()) == (0, len(ROWS), True), ran.out + ran.err
