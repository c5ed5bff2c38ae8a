"""`ledgerbeat jobs redrive | cancel` and `wallets recalc` as an operator meets them: words and exit codes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import redis

from tests.factories import credit_args
from tests.integration.families.desk import Desk
from tests.integration.repair.commands import Run, runner
from tests.integration.repair.lane import breaking, die, play, states, trouble
from tests.unit.families.events import CAPTURED
from worker.database import Transaction

SIGNED = ("--actor", "ops", "--reason", "mended")


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, database_url: str
) -> Run:
    return runner(monkeypatch, capsys, tmp_path, database_url=database_url)


def drift(owner_transaction: Transaction, by: int) -> None:
    with owner_transaction() as session:
        session.connection().exec_driver_sql(
            f"UPDATE accounts SET balance_minor = balance_minor + {by} WHERE owner = 'ada'"  # noqa: S608
        )


def test_redrive_first_tells_then_does_and_then_has_nothing_to_do(desk: Desk, run: Run) -> None:
    [malformed] = desk.hand_in("wallets.credit", {"owner": "ada"})
    [credit] = desk.hand_in("wallets.credit", credit_args("bob", 50))
    die(desk, breaking("wallets.credit", "bob"))
    told = run("jobs", "redrive", "--tenant", "acme", "--dry-run", "--json")
    causes = {cause["cause"].partition(":")[0]: cause for cause in told.json["causes"]}
    assert told.code == 0
    assert (told.json["jobs"], told.json["left"], told.json["dry_run"]) == (2, 0, True)
    assert (causes["invalid_arguments"]["jobs"], causes["invalid_arguments"]["outcomes"]["dies"]) == (1, 1)
    assert causes["failed"]["outcomes"]["moves_money"] == 1
    assert states(desk) == {malformed: "dead", credit: "dead"}
    shown = run("jobs", "redrive", "--dry-run").out
    assert "moves money" in shown
    assert "2 of 2 jobs that fit; nothing was changed" in shown
    done = run("jobs", "redrive", *SIGNED, "--json")
    assert (done.code, done.json["redriven"], done.json["left"]) == (0, 2, 0)
    play(desk)
    assert desk.wallet("bob") == 50
    assert run("jobs", "redrive", "--code", "failed", *SIGNED).out.startswith("0 jobs redriven")
    [audit] = desk.rows("SELECT detail FROM audit_events WHERE action = 'jobs.redriven'")
    assert audit["detail"]["run"] == done.json["run"]
    assert audit["detail"]["filter"] == {"limit": 1000}


def test_redrive_up_to_a_limit_says_what_is_left(desk: Desk, run: Run) -> None:
    jobs = desk.hand_in("wallets.nothing", *({} for _ in range(5)))
    play(desk)
    done = run("jobs", "redrive", "--limit", 2, *SIGNED)
    assert "2 jobs redriven" in done.out
    assert "3 more fit: run it again, or raise --limit" in done.out
    assert [states(desk)[job] for job in jobs] == ["queued", "queued", "dead", "dead", "dead"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--state", "refused", "--dry-run"), "a business rule said no, and the key keeps its answer"),
        (("--state", "done", "--dry-run"), "its effect has happened"),
        (("--reason", ""), "--actor and --reason must not be blank"),
        (("--actor", " ", "--reason", "x"), "--actor and --reason must not be blank"),
        (("--limit", "0", "--dry-run"), "is not in the range"),
        (("--older-than", "soon", "--dry-run"), "is not an age"),
    ],
)
def test_redrive_refuses_what_it_should(run: Run, arguments: tuple[str, ...], words: str) -> None:
    refused = run("jobs", "redrive", *arguments)
    assert (refused.code, refused.out) == (2, "")
    assert words in refused.err


def test_a_change_that_nobody_signed_is_signed_with_the_login(desk: Desk, run: Run) -> None:
    trouble(desk)
    assert run("jobs", "redrive").code == 0
    signatures = desk.rows("SELECT actor, reason FROM audit_events WHERE tenant = :tenant")
    assert [(row["actor"].startswith("cli:"), row["reason"]) for row in signatures] == [(True, "not given")]


def test_an_id_names_a_job_in_any_state_it_can_leave(desk: Desk, run: Run) -> None:
    jobs = trouble(desk)
    poor = jobs["lost"]
    assert run("jobs", "redrive", "--id", poor, *SIGNED, "--json").json["redriven"] == 1
    again = run("jobs", "redrive", "--id", poor, *SIGNED)
    assert f"job {poor} is queued: it is about to be tried anyway" in again.out
    unknown = run("jobs", "redrive", "--id", uuid4(), "--dry-run")
    assert (unknown.code, "no job" in unknown.err) == (2, True)


def test_redriven_lanes_are_nudged_where_there_is_a_redis(
    desk: Desk, run: Run, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.hand_in("wallets.nothing", {})
    play(desk)
    monkeypatch.setenv("LEDGERBEAT_REDIS_URL", redis_url)
    assert run("jobs", "redrive", *SIGNED).code == 0
    with redis.Redis.from_url(redis_url) as client:
        assert client.llen("intake") == 1
    play(desk)
    monkeypatch.setenv("LEDGERBEAT_REDIS_URL", "redis://127.0.0.1:1/0")
    assert run("jobs", "redrive", *SIGNED, "--json").json["redriven"] == 1


def test_cancel_needs_to_know_which_and_says_what_is_finished(desk: Desk, run: Run) -> None:
    done, dead = desk.hand_in("wallets.credit", credit_args(), {})
    play(desk)
    [waiting] = desk.hand_in("wallets.credit", credit_args())
    everything = run("jobs", "cancel", *SIGNED)
    assert (everything.code, "say which jobs" in everything.err) == (2, True)
    told = run("jobs", "cancel", "--id", waiting, "--dry-run", "--json")
    assert (told.code, told.json["jobs"], states(desk)[waiting]) == (0, 1, "queued")
    both = run("jobs", "cancel", "--id", waiting, "--id", done, "--id", dead, *SIGNED)
    assert both.code == 1
    assert "1 jobs cancelled" in both.out
    assert f"job {done} is done: its effect has happened" in both.out
    assert f"job {dead} is dead: it is finished" in both.out
    assert states(desk) == {done: "done", dead: "dead", waiting: "cancelled"}
    assert run("jobs", "cancel", "--tenant", "acme", *SIGNED).out.startswith("0 jobs cancelled")


def test_recalc_reports_repairs_and_audits(
    desk: Desk, run: Run, owner_transaction: Transaction, database_url: str
) -> None:
    desk.do("wallets.credit", credit_args())
    clean = run("wallets", "recalc", "--dry-run")
    assert (clean.code, "no drift" in clean.out) == (0, True)
    drift(owner_transaction, 5)
    told = run("wallets", "recalc", "--tenant", "acme", "--dry-run", "--json")
    [account] = told.json["accounts"]
    assert (told.code, account["verdict"], account["balance_minor"]) == (1, "drift", 105)
    assert run("wallets", "recalc", "--actor", "").code == 2
    assert desk.wallet() == 105
    assert run("wallets", "recalc", "ada", "--tenant", "acme", *SIGNED, "--json").code == 1
    assert desk.wallet() == 100
    assert run("wallets", "recalc", *SIGNED).code == 0
    assert run("wallets", "recalc", "nobody", "--tenant", "acme", "--dry-run").code == 2
    assert run("wallets", "recalc", "ada", "--dry-run").code == 2
    assert len(desk.rows("SELECT * FROM audit_events WHERE action = 'account.recalculated'")) == 1


def test_recalc_without_a_database_is_an_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERBEAT_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    gone = run("wallets", "recalc", "--dry-run")
    assert (gone.code, "the database did not answer" in gone.err) == (2, True)


@pytest.mark.parametrize(("hours", "remark"), [(1, False), (30, True)])
def test_the_list_says_what_has_been_parked_for_too_long(
    desk: Desk, run: Run, hours: int, remark: bool
) -> None:
    desk.now = datetime.now(UTC) - timedelta(hours=hours)
    desk.tell(CAPTURED)
    play(desk)
    assert ("unknown_reference (ageing: 30 h)" in run("jobs", "list", "--state", "parked").out) is remark
