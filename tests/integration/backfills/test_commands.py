"""backfills.start, pause, resume and cancel through every door: HTTP, enqueue_job() and jobs.accept."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from models.backfills.runs import Run, known_run
from models.provider_accounts import AccountTerms, sync_accounts
from tasks.backfills import service
from tasks.backfills.hands import Hands
from tasks.intake.door import submit
from tasks.intake.routing import ROUTING, routing_of
from tasks.intake.service import drain
from tests.integration.backfills.office import HEADER, row, write_config
from tests.integration.backfills.runs import Nobody
from tests.integration.doors import Doors
from tests.integration.http.serving import GLOBEX_TOKEN, serving, settings
from worker import resources
from worker.database import Transaction
from worker.settings import TenantSettings, load_settings

SIGNED = {"actor": "ops:dana", "reason": "ticket 311"}
START = {"kind": "postings", "source": "history", **SIGNED}
EVENTS = {"kind": "provider_events", "source": "missed"}
DAYS = {"since": "2026-03-01", "until": "2026-03-02"}
"""In Istanbul, three hours ahead."""
WHEN = {"since": "2026-03-01T00:00:00+03:00", "until": "2026-03-02T00:00:00Z"}


@dataclass
class Desk:
    """Doors, and a drain that knows the settings of `folder`, where the history lies."""

    doors: Doors
    tenants: Mapping[str, TenantSettings]
    folder: Path

    def drain(self, tenant: str = "acme") -> None:
        routing = routing_of(lambda: self.tenants)
        drain(
            self.doors.transaction, tenant, routing=routing, clock=partial(datetime.now, UTC), seconds_max=60
        )

    def asked(self, name: str, args: Mapping[str, Any], *, tenant: str = "acme") -> Mapping[str, Any]:
        """What became of such a job, handed in by Celery's door."""
        now, key = datetime.now(UTC), uuid4().hex
        submit(self.doors.transaction, tenant=tenant, name=name, key=key, args=dict(args), now=now)
        self.drain(tenant)
        job = self.doors.jobs(tenant)[-1]
        return {**(job["result"] or {}), "id": job["id"], "state": job["state"]}

    def run(self, run_id: object) -> Run:
        with self.doors.transaction() as session:
            return known_run(session, UUID(str(run_id)))

    def runs(self) -> Sequence[Mapping[str, Any]]:
        return self.rows("SELECT * FROM backfills")

    def rows(self, query: str) -> Sequence[Mapping[str, Any]]:
        with self.doors.transaction() as session:
            return [dict(one) for one in session.execute(text(query)).mappings()]

    def work(self, run_id: object) -> Run:
        hands = Hands(self.doors.transaction, self.tenants, Nobody(), publish=lambda *_: None)
        return service.run_to_end(hands, UUID(str(run_id)))

    def told(self, run_id: object, **more: Any) -> dict[str, Any]:
        return {"backfill_id": str(run_id), **SIGNED, **more}


@pytest.fixture
def desk(
    database_url: str,
    transaction: Transaction,
    owner_transaction: Transaction,
    tenant: str,
    tmp_path: Path,
) -> Iterator[Desk]:
    (tmp_path / "history.csv").write_text("\n".join((HEADER, *(row(number) for number in range(20)))))
    tenants = load_settings({"LEDGERBEAT_CONFIG": str(write_config(tmp_path))}).tenants
    with transaction() as session:
        sync_accounts(session, [AccountTerms("acme", "sandbox", "sandbox")])
    with (
        serving(settings(database_url)) as address,
        httpx.Client(base_url=address, timeout=20) as client,
    ):
        yield Desk(Doors(client, transaction, owner_transaction), tenants, tmp_path)


def by_http(desk: Desk, name: str, args: Mapping[str, Any], key: str) -> UUID:
    answer = desk.doors.http(args, name, key=key)
    assert answer.status_code == 202, answer.text
    return UUID(answer.json()["job_id"])


def by_sql(desk: Desk, name: str, args: Mapping[str, Any], key: str) -> UUID:
    return desk.doors.sql(args, name, key)


def by_celery(desk: Desk, name: str, args: Mapping[str, Any], key: str) -> UUID:
    """The function behind `jobs.accept`, with what the message holds."""
    now = datetime.now(UTC)
    return submit(desk.doors.transaction, tenant="acme", name=name, key=key, args=dict(args), now=now).job_id


Door = Callable[[Desk, str, Mapping[str, Any], str], UUID]
every_door = pytest.mark.parametrize("door", [by_http, by_sql, by_celery])


@every_door
def test_a_run_is_started_by_any_door_and_has_the_id_of_its_job(desk: Desk, door: Door) -> None:
    job_id = door(desk, "backfills.start", START, "k")
    assert door(desk, "backfills.start", START, "k") == job_id
    desk.drain()
    [job] = desk.doors.jobs()
    assert (job["state"], job["result"]) == (
        "done",
        {"backfill_id": str(job_id), "state": "pending", "stop_asked": None},
    )
    [found] = desk.runs()
    assert (found["id"], found["job_id"], found["namespace"]) == (job_id, job_id, "oldwallet")
    assert (found["actor"], found["reason"]) == tuple(SIGNED.values())
    [event] = desk.rows("SELECT * FROM audit_events")
    assert (event["action"], event["subject"], event["job_id"]) == (
        "backfills.start", f"backfill:{job_id}", job_id,
    )  # fmt: skip
    assert desk.work(job_id).posted == 20
    assert desk.doors.wallet() == 3000


@every_door
def test_people_decide_by_any_door(desk: Desk, door: Door) -> None:
    run_id = door(desk, "backfills.start", START, "start")
    desk.drain()
    for name, state in (("pause", "paused"), ("resume", "pending"), ("cancel", "cancelled")):
        job_id = door(desk, f"backfills.{name}", desk.told(run_id), name)
        desk.drain()
        assert desk.doors.jobs()[-1]["result"]["state"] == state
        assert desk.run(run_id).state == state
        [event] = desk.rows(f"SELECT * FROM audit_events WHERE action = 'backfills.{name}'")  # noqa: S608
        assert (event["actor"], event["reason"], event["job_id"]) == (*SIGNED.values(), job_id)
    assert desk.doors.wallet() == 0


@pytest.mark.parametrize("path", ["/etc/passwd", "../history", "{folder}/history.csv"])
@pytest.mark.parametrize("door", [by_sql, by_celery])
def test_no_door_takes_a_path(desk: Desk, door: Door, path: str) -> None:
    door(desk, "backfills.start", START | {"source": path.format(folder=desk.folder)}, "k")
    desk.drain()
    [job] = desk.doors.jobs()
    assert (job["state"], job["result"]["code"]) == ("dead", "invalid_arguments")
    assert [error["pointer"] for error in job["result"]["errors"]] == ["/source"]
    assert desk.runs() == []
    answer = desk.doors.http(START | {"source": path.format(folder=desk.folder)}, "backfills.start", key="h")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_arguments")


@pytest.mark.parametrize(
    ("args", "source", "options"),
    [
        (START, {"type": "file", "name": "history"}, {}),
        (START | {"kind": "opening_balances", "options": {"existing": "difference"}},
         {"type": "file", "name": "history"}, {"existing": "difference"}),
        (START | {"options": {"force": True}}, {"type": "file", "name": "history"}, {"force": True}),
        ({"kind": "provider_events", "source": "missed", "options": WHEN, **SIGNED},
         {"type": "events", "provider": "sandbox", "since": "2026-02-28T21:00:00+00:00",
          "until": "2026-03-02T00:00:00+00:00"}, {}),
        ({"kind": "provider_events", "source": "missed", "options": DAYS, **SIGNED},
         {"type": "events", "provider": "sandbox", "since": "2026-02-28T21:00:00+00:00",
          "until": "2026-03-01T21:00:00+00:00"}, {}),
        ({"kind": "wallet_recalc", **SIGNED}, {"type": "wallets"}, {}),
        ({"kind": "wallet_recalc", "options": {"owner": "ada"}, **SIGNED}, {"type": "wallets", "owner": "ada"}, {}),
    ],
)  # fmt: skip
def test_each_kind_is_told_its_source_and_options(
    desk: Desk, args: dict[str, Any], source: dict[str, Any], options: dict[str, Any]
) -> None:
    done = desk.asked("backfills.start", args | {"dry_run": True, "batch_rows": 7})
    assert done["state"] == "done", done
    run = desk.run(done["id"])
    assert {name: run.source[name] for name in source} == source
    assert (run.kind, run.options, run.dry_run, run.batch_rows) == (args["kind"], options, True, 7)
    assert "url" not in run.source


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"source": "nothing"}, "source_not_configured"),
        ({"source": "missed"}, "not_possible"),
        ({"kind": "provider_events", "options": WHEN}, "not_possible"),
        ({**EVENTS, "options": DAYS | {"until": "2026-02-28T21:00:00Z"}}, "not_possible"),
        ({**EVENTS, "options": DAYS | {"since": "0001-01-01"}}, "not_possible"),
    ],
)
def test_what_the_settings_do_not_have_is_refused(desk: Desk, changes: dict[str, Any], code: str) -> None:
    refused = desk.asked("backfills.start", START | changes)
    assert (refused["state"], refused["code"]) == ("refused", code)
    assert desk.runs() == []


def test_the_sources_of_one_tenant_are_not_anothers(desk: Desk) -> None:
    refused = desk.asked("backfills.start", START, tenant="globex")
    assert refused["code"] == "source_not_configured"


def test_the_runs_of_one_tenant_are_not_anothers(desk: Desk) -> None:
    run_id = desk.asked("backfills.start", START)["id"]
    for name in ("pause", "resume", "cancel"):
        answer = desk.doors.http(desk.told(run_id), f"backfills.{name}", key=name, token=GLOBEX_TOKEN)
        assert answer.status_code == 202
    desk.drain("globex")
    assert {job["result"]["code"] for job in desk.doors.jobs("globex")} == {"unknown_backfill"}
    assert desk.run(run_id).state == "pending"


@pytest.mark.parametrize("name", ["pause", "resume", "cancel"])
def test_a_run_that_is_not_there_is_refused(desk: Desk, name: str) -> None:
    refused = desk.asked(f"backfills.{name}", desk.told(uuid4()))
    assert (refused["state"], refused["code"]) == ("refused", "unknown_backfill")


@pytest.mark.parametrize(
    ("steps", "refused"),
    [
        ((), "resume"),
        (("pause",), "pause"),
        (("cancel",), "pause"),
        (("cancel",), "resume"),
        (("cancel",), "cancel"),
    ],
)
def test_what_does_not_fit_where_a_run_stands_is_refused(
    desk: Desk, steps: tuple[str, ...], refused: str
) -> None:
    run_id = desk.asked("backfills.start", START)["id"]
    for step in steps:
        assert desk.asked(f"backfills.{step}", desk.told(run_id))["state"] == "done"
    before = desk.run(run_id)
    answer = desk.asked(f"backfills.{refused}", desk.told(run_id))
    assert (answer["state"], answer["code"]) == ("refused", "wrong_state")
    assert desk.run(run_id) == before


def test_a_resume_may_raise_the_cap_and_not_lower_it(desk: Desk) -> None:
    run_id = desk.asked("backfills.start", START | {"max_amount_minor": 1000})["id"]
    assert (desk.work(run_id).pause_code, desk.doors.wallet()) == ("cap_reached", 900)
    lower = desk.asked("backfills.resume", desk.told(run_id, max_amount_minor=999))
    assert (lower["state"], lower["code"]) == ("refused", "cap_too_low")
    same = desk.asked("backfills.resume", desk.told(run_id))
    assert (same["state"], same["code"]) == ("refused", "cap_too_low")
    assert "--max-amount-minor 1050 or more. Give a higher one, " in same["cause"]
    assert desk.asked("backfills.resume", desk.told(run_id, max_amount_minor=5000))["state"] == "done"
    assert (desk.work(run_id).state, desk.doors.wallet()) == ("done", 3000)


def test_a_run_that_is_worked_on_stops_after_its_batch(desk: Desk) -> None:
    run_id = desk.asked("backfills.start", START)["id"]
    with desk.doors.transaction() as session:
        session.execute(
            text("UPDATE backfills SET state = 'running', claimed_until = now() + interval '1 hour'")
        )
    asked = desk.asked("backfills.pause", desk.told(run_id))
    assert (asked["state"], asked["stop_asked"]) == ("done", "pause")
    assert (desk.run(run_id).state, desk.run(run_id).stop_asked) == ("running", "pause")


def test_one_batch_of_the_lane_starts_and_cancels(desk: Desk) -> None:
    """In the order in which they were accepted, whatever else is in between."""
    run_id = by_http(desk, "backfills.start", START, "start")
    by_sql(desk, "wallets.credit", {"owner": "eve", "amount_minor": 5, "currency": "EUR", "reason": "x"}, "w")
    by_celery(desk, "backfills.cancel", desk.told(run_id), "cancel")
    desk.drain()
    assert [job["state"] for job in desk.doors.jobs()] == ["done", "done", "done"]
    assert (desk.run(run_id).state, desk.doors.wallet("eve")) == ("cancelled", 5)


def test_a_worker_reads_the_sources_of_its_own_settings(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    monkeypatch.setenv("LEDGERBEAT_CONFIG", str(desk.folder / "ledgerbeat.toml"))
    monkeypatch.setenv("LEDGERBEAT_DATABASE_URL", database_url)
    resources.close()
    try:
        by_http(desk, "backfills.start", START, "k")
        drain(desk.doors.transaction, "acme", routing=ROUTING, clock=partial(datetime.now, UTC))
        assert [run["state"] for run in desk.runs()] == ["pending"]
    finally:
        resources.close()
