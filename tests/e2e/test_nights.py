"""A night that is really due: Beat's tick, the row, the message, a worker, the run, its report and its findings.

Nothing is frozen here: the tenants live where it is shortly after two in the morning now, and their night has been
due for a minute.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from celery import Celery

from ops.embedded.ports import free_port
from tests.e2e.app import App
from tests.e2e.clients import accepted, post_all
from tests.e2e.paying import sandbox_of
from tests.e2e.running import TENANTS, Running, new_home, started, write_config
from tests.integration.reconciliation.books import Books
from tests.waiting import until

pytestmark = pytest.mark.e2e

SHOPS = TENANTS[:6]
"""All with an account of their own at one sandbox; the first is told of what happens there."""
LOCAL_HOUR = 2
NIGHT_SECONDS = 240.0
TICKS = 20
SHOP = """
[tenants.{name}]
timezone = "{zone}"
api_tokens = ["file:{name}/api-token"]
[tenants.{name}.providers.sandbox]
adapter = "sandbox"
base_url = "http://127.0.0.1:{port}"
api_key = "file:{first}/sandbox-api-key"
webhook_secrets = ["file:{name}/sandbox-webhook-secret"]
"""


def zone_of_the_small_hours(now: datetime) -> str:
    """A time zone in which it is LOCAL_HOUR o'clock."""
    east = (LOCAL_HOUR - now.hour + 12) % 24 - 12
    return f"Etc/GMT{-east:+d}" if east else "Etc/GMT"


def local_now(app: App) -> datetime:
    return datetime.now(ZoneInfo(app.settings.timezone))


def write_shops(home: Path) -> Path:
    """SHOPS instead of all the tenants, with the secrets that those have."""
    write_config(home)
    config, zone, port = home / "nights.toml", zone_of_the_small_hours(datetime.now(UTC)), free_port()
    shops = [SHOP.format(name=name, zone=zone, port=port, first=SHOPS[0]) for name in SHOPS]
    config.write_text("".join(shops))
    return config


@pytest.fixture(params=[1, 2], ids=["one Beat and one worker", "two Beats and two workers"])
def several(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def running(several: int) -> Iterator[Running]:
    """So many Beats and workers, with the shim and the sandbox, on servers of their own."""
    with new_home() as home:
        processes = {"names": ("sandbox", "worker", "beat", "shim"), "workers": several, "beats": several}
        with started(home, {"LEDGERBEAT_CONFIG": str(write_shops(home))}, **processes) as found:
            yield found


def agree_on_the_time(running: Running) -> list[date]:
    """Each shop wants its night run since a minute ago; which night that is. None is due: they are too young."""
    nights = []
    for app in map(running.app, SHOPS):
        since = local_now(app) - timedelta(minutes=1)
        asked = {"reconcile_at_local": f"{since:%H:%M}", "reconcile_grace_seconds": 0}
        policy = {**asked, "actor": "ops:lee", "reason": "a test"}
        accepted(post_all(app.url, [app.job("policies.set", policy, "policy")]))
        app.settle(jobs=1)
        nights.append(since.date() - timedelta(days=1))
    return nights


def trade(running: Running, night: date) -> None:
    """Of the first shop: a deposit that both know, one that the sandbox never had, and one that nobody announced.

    The sandbox dates what it does now, shortly after the night: near enough to be the other side of it.
    """
    app = running.app(SHOPS[0])
    late = datetime.combine(night, datetime.min.time(), ZoneInfo(app.settings.timezone)) + timedelta(hours=23)
    books = Books(app.transaction, app.tenant, now=datetime.now(UTC))
    books.moved("both", 2500, at=late)
    books.moved("only-ours", 900, at=late)
    with sandbox_of(running) as sandbox:
        deposit(sandbox, "both", 2500, fault="webhook_lost")
        deposit(sandbox, "stray", 700)
    parked = "SELECT id FROM jobs WHERE tenant = :tenant AND last_error = 'unknown_reference'"
    until(lambda: app.rows(parked), within_seconds=NIGHT_SECONDS, what="the webhook of what nobody announced")


def deposit(sandbox: httpx.Client, reference: str, amount_minor: int, **metadata: str) -> None:
    body = {"reference": reference, "amount_minor": amount_minor, "currency": "EUR", "metadata": metadata}
    assert sandbox.post("/deposits", json=body).status_code == 201


def grow_old(running: Running, shops: Sequence[str]) -> None:
    """All at once: from now on their nights are due."""
    with running.connect() as owner:
        older = "UPDATE tenants SET created_at = created_at - interval '10 days' WHERE tenant = ANY(%s)"
        owner.execute(older, [list(shops)])


def runs(app: App) -> list[dict[str, Any]]:
    return app.rows(
        "SELECT business_date, state, revision, records, report_path FROM reconciliation_runs WHERE tenant = :tenant"
    )


def told(running: Running, several: int, event: str) -> Counter[str]:
    """How often the workers told of this event, by tenant."""
    logs = [running.log(name) for name in ("worker", "worker-2")[:several]]
    lines = [line for log in logs for line in log.splitlines() if event in line]
    return Counter(name for name in SHOPS for line in lines if name in line)


def tick_as_many_beats_would(running: Running) -> None:
    with Celery(broker=running.stack.settings.require_broker_url(), set_as_current=False) as client:
        for _ in range(TICKS):
            client.send_task("reconciliation.tick", queue="intake", ignore_result=True)


def until_done(running: Running, shops: Sequence[str]) -> None:
    def done() -> bool:
        found = [run for name in shops for run in runs(running.app(name))]
        return sum(run["report_path"] is not None for run in found) == len(shops)

    until(done, within_seconds=NIGHT_SECONDS, what="the reports of these nights")


def test_nights_that_are_due_are_run_once_and_reported(running: Running, several: int) -> None:
    """Two when the Beats call, two after one of two Beats has stopped, two when many call at one moment."""
    nights = dict(zip(SHOPS, agree_on_the_time(running), strict=True))
    trade(running, nights[SHOPS[0]])
    assert [runs(running.app(name)) for name in SHOPS] == [[] for _ in SHOPS]
    grow_old(running, SHOPS[:2])
    until_done(running, SHOPS[:2])
    if several > 1:
        running.stack.stop_one("beat")
    grow_old(running, SHOPS[2:4])
    until_done(running, SHOPS[2:4])
    grow_old(running, SHOPS[4:])
    tick_as_many_beats_would(running)
    until_done(running, SHOPS)
    tick_as_many_beats_would(running)
    app = running.app(SHOPS[0])
    accepted(post_all(app.url, [app.credit("after-the-ticks")]))
    until(lambda: app.wallets().get("ada"), within_seconds=NIGHT_SECONDS, what="what comes after the ticks")
    check_that_each_ran_once(running, several, nights)
    check_what_was_found(running, nights[SHOPS[0]])


def check_that_each_ran_once(running: Running, several: int, nights: Mapping[str, date]) -> None:
    for name, night in nights.items():
        [run] = runs(running.app(name))
        assert (run["business_date"], run["state"], run["revision"]) == (night, "done", 1)
        reports = sorted(Path(run["report_path"]).parent.glob(f"*{name}*"))
        assert [report.suffix for report in reports] == [".csv", ".html", ".json"]
    assert told(running, several, "reconciliation.ended") == dict.fromkeys(SHOPS, 1)
    assert told(running, several, "reconciliation.due") == dict.fromkeys(SHOPS, 1)


def check_what_was_found(running: Running, night: date) -> None:
    """In the tables, in the report, and by the command."""
    app = running.app(SHOPS[0])
    [run] = runs(app)
    assert run["records"] == 2
    expected = {
        ("missing_at_provider", "deposit:sandbox:only-ours", 900),
        ("unknown_event", "deposit:sandbox:stray", 700),
    }
    report = json.loads(Path(run["report_path"]).with_suffix(".json").read_text())
    assert (report["business_date"], report["state"]) == (night.isoformat(), "done")
    listed = json.loads(running.cli("findings", "list", "--tenant", app.tenant, "--json").stdout)
    found = app.rows(
        "SELECT kind, subject, amount_minor FROM reconciliation_findings WHERE tenant = :tenant AND state = 'open'"
    )
    for rows in (found, report["findings"], listed["findings"]):
        assert {(row["kind"], row["subject"], row["amount_minor"]) for row in rows} == expected
    for name in SHOPS[1:]:
        assert (
            running.app(name).count("SELECT findings_open FROM reconciliation_runs WHERE tenant = :tenant")
            == 0
        )
    app.check_books()
