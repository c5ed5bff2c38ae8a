"""Rows that nobody is going to feed again: a person closes them, with a name and a reason."""

from typing import Any
from uuid import uuid4

import pytest

from tests.integration.backfills.office import Office, row

SIGNED = ("--actor", "ops:dana", "--reason", "written off, ticket 311")


@pytest.fixture
def faulty(office: Office) -> str:
    """A run that posted a row and set four aside: lines 3 to 6."""
    office.file(row(1), row(2, amount="x"), row(3, amount="-9.00"), row(1, amount="7.00"), ",ada,1,EUR,")
    return str(office.started()["id"])


def states(office: Office, run_id: str) -> dict[str, str]:
    told = office.run("backfill", "quarantine", run_id, "--state", "all", "--json").json
    return {one["place"]: one["state"] for one in told}


def audits(office: Office) -> list[dict[str, Any]]:
    columns, kind = "tenant, actor, subject, reason, detail", "action = 'backfills.dismiss'"
    return [dict(one) for one in office.rows(f"SELECT {columns} FROM audit_events WHERE {kind} ORDER BY id")]  # noqa: S608


def test_the_places_that_are_named_are_closed_and_audited(office: Office, faulty: str) -> None:
    ran = office.run("backfill", "dismiss", faulty, "3", "line 5", *SIGNED)
    assert (ran.code, ran.out) == (0, "dismissed: 2 rows\n"), ran.err
    assert states(office, faulty) == {"3": "dismissed", "4": "open", "5": "dismissed", "6": "open"}
    assert audits(office) == [
        {
            "tenant": "acme",
            "actor": "ops:dana",
            "subject": f"backfill:{faulty}",
            "reason": "written off, ticket 311",
            "detail": {"rows": 2, "places": ["3", "5"], "codes": None},
        }
    ]
    [closed, _] = office.rows("SELECT * FROM backfill_quarantine WHERE state = 'dismissed' ORDER BY id")
    assert (closed["closed_by"], closed["closed_reason"]) == ("ops:dana", "written off, ticket 311")
    assert closed["closed_at"] is not None


def test_to_repeat_it_changes_nothing(office: Office, faulty: str) -> None:
    office.run("backfill", "dismiss", faulty, 3, *SIGNED)
    before = office.rows("SELECT * FROM backfill_quarantine ORDER BY id")
    ran = office.run("backfill", "dismiss", faulty, 3, 3, "--actor", "ops:mo", "--reason", "again")
    assert (ran.code, ran.out) == (0, "dismissed: 0 rows\nclosed already: 1\n")
    assert office.rows("SELECT * FROM backfill_quarantine ORDER BY id") == before
    assert len(audits(office)) == 1
    told = office.run("backfill", "dismiss", faulty, 3, 4, *SIGNED, "--json").json
    assert told == {"dismissed": 1, "were_closed_already": 1, "waiting": 0}


def test_a_place_that_there_is_not_closes_nothing(office: Office, faulty: str) -> None:
    ran = office.run("backfill", "dismiss", faulty, 3, 2, "row 4", *SIGNED)
    assert (ran.code, "has set no row aside at 2, row 4; nothing was closed" in ran.err) == (2, True), ran.err
    assert set(states(office, faulty).values()) == {"open"}
    nobody = office.run("backfill", "dismiss", uuid4(), 3, *SIGNED)
    assert (nobody.code, "no backfill" in nobody.err) == (2, True)
    assert audits(office) == []


def test_all_of_a_code_or_all(office: Office, faulty: str) -> None:
    assert office.run("backfill", "dismiss", faulty, "--code", "conflict", *SIGNED).code == 0
    assert states(office, faulty) == {"3": "open", "4": "open", "5": "dismissed", "6": "open"}
    ran = office.run("backfill", "dismiss", faulty, "--all", *SIGNED)
    assert ran.out == "dismissed: 3 rows\nclosed already: 1\n"
    assert set(states(office, faulty).values()) == {"dismissed"}
    assert [one["detail"] for one in audits(office)] == [
        {"rows": 1, "places": None, "codes": ["conflict"]}, {"rows": 3, "places": None, "codes": None},
    ]  # fmt: skip


def test_a_code_that_no_row_has_closes_nothing(office: Office, faulty: str) -> None:
    """Also beside one that some have: a slip must not look like success."""
    ran = office.run("backfill", "dismiss", faulty, "--code", "conflict", "--code", "confict", *SIGNED)
    codes = ", ".join(
        one["code"] for one in office.rows("SELECT DISTINCT code FROM backfill_quarantine ORDER BY 1")
    )
    assert "conflict" in codes
    assert (ran.code, f"as confict: its codes are {codes}; nothing was closed" in ran.err) == (2, True), (
        ran.err
    )
    assert (set(states(office, faulty).values()), audits(office)) == ({"open"}, [])
    sound = office.started(file=office.file(row(7), name="sound.csv"))["id"]
    ran = office.run("backfill", "dismiss", sound, "--code", "conflict", *SIGNED)
    assert (ran.code, "as conflict: it has set none aside" in ran.err) == (2, True), ran.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (SIGNED, "name the places, or --code, or --all"),
        (("3", "--all", *SIGNED), "name the places, or --code, or --all"),
        (("3", "--code", "conflict", *SIGNED), "name the places, or --code, or --all"),
        (("3",), "--reason"),
        (("3", "--reason", " "), "must not be blank"),
    ],
)
def test_what_is_not_meant_for_certain_or_not_signed_is_refused(
    office: Office, faulty: str, arguments: tuple[str, ...], words: str
) -> None:
    ran = office.run("backfill", "dismiss", faulty, *arguments)
    assert (ran.code, words in ran.err) == (2, True), ran.err
    assert set(states(office, faulty).values()) == {"open"}


def test_rows_of_a_dry_run_are_owed_to_nobody(office: Office) -> None:
    office.file(row(1, amount="x"))
    run_id = office.started("--dry-run")["id"]
    ran = office.run("backfill", "dismiss", run_id, "--all", *SIGNED)
    assert (ran.code, "was a dry run" in ran.err, audits(office)) == (2, True, [])
    assert "dismiss" not in office.run("backfill", "quarantine", run_id).out


def test_rows_that_wait_are_left_to_their_run(office: Office) -> None:
    office.file(row(1, amount="-2.00"), row(2, amount="x"), row(3, amount="0.50"))
    office.start("--max-amount-minor", 0)
    [run] = office.rows("SELECT id, state, waiting FROM backfills")
    assert (run["state"], run["waiting"]) == ("paused", 1)
    ran = office.run("backfill", "dismiss", run["id"], "--all", *SIGNED)
    assert ran.out == ("dismissed: 1 rows\nleft to their run, which looks at them again: 1 wait for money\n")
    ended = office.run(
        "backfill", "resume", run["id"], "--max-amount-minor", 100, "--reason", "go on", "--here"
    )
    assert ended.code == 1, ended.err
    assert states(office, run["id"]) == {"2": "open", "3": "dismissed"}


def test_what_is_closed_is_told_and_comes_out_no_more(office: Office, faulty: str) -> None:
    office.run("backfill", "dismiss", faulty, 5, 6, *SIGNED)
    office.file(row(2, amount="2.00"), name="rest.csv")
    corrected = office.started(file=office.folder / "rest.csv")["id"]
    said = office.run("backfill", "quarantine", faulty)
    assert ("line 4" in said.out, "line 5" in said.out, f"dismiss {faulty} PLACE" in said.out) == (
        True,
        False,
        True,
    )
    out = office.folder / "still.csv"
    assert "1 rows" in office.run("backfill", "quarantine", faulty, "--out", out).out
    assert out.read_text().splitlines()[1:] == [row(3, amount="-9.00")]
    closed = office.run("backfill", "quarantine", faulty, "--state", "corrected", "--state", "dismissed").out
    for words in (f"corrected by backfill:{corrected}", "dismissed by ops:dana: written off, ticket 311"):
        assert words in " ".join(closed.split()), closed
    few = office.run("backfill", "quarantine", faulty, "--state", "all", "--limit", 2).out
    assert "the first 2 of 4: --limit, or --out FILE for all" in few


def test_the_status_counts_what_is_open(office: Office, faulty: str) -> None:
    assert "closed since" not in office.run("backfill", "status", faulty).out
    office.run("backfill", "dismiss", faulty, 5, *SIGNED)
    office.file(row(2, amount="2.00"), name="rest.csv")
    office.started(file=office.folder / "rest.csv")
    told = office.run("backfill", "status", faulty)
    assert "4 rows set aside" in told.out
    assert "1 corrected, 1 dismissed; 2 are open" in told.out
    assert f"backfill quarantine {faulty} --out" in told.out
    assert "4, 2 open" in office.run("backfill", "status").out
    facts = office.run("backfill", "status", faulty, "--json").json
    assert (facts["quarantine"], facts["quarantined"]) == ({"open": 2, "corrected": 1, "dismissed": 1}, 4)
    office.run("backfill", "dismiss", faulty, "--all", *SIGNED)
    ended = office.run("backfill", "status", faulty).out
    assert ("0 are open" in ended, "backfill quarantine" in ended) == (True, False)
    assert "none is open; --state all" in office.run("backfill", "quarantine", faulty).out
    said = office.run("backfill", "quarantine", faulty, "--state", "waiting", "--state", "posted").out
    assert "none is waiting or posted; --state all" in said
