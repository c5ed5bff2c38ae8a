"""One run: load from many senders, strike after strike, and a look at what is left."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from models.errors import LedgerbeatError
from ops.processes import answers, worker_answers
from tests.chaos import outside
from tests.chaos.faults import inject
from tests.chaos.flood import Flood, flood
from tests.chaos.mix import Mix, make_mix
from tests.chaos.pace import Pace, Stopped
from tests.chaos.schedule import Strike, make_schedule
from tests.chaos.senders import Promises, Senders
from tests.e2e.clients import post_patiently
from tests.e2e.running import TENANTS, Running
from tests.waiting import until

STRUCK = TENANTS[:4]
FLOODED, OTHER = TENANTS[4], TENANTS[5]
WORKERS = ("worker", "worker-2")
PROCESSES = {"names": ("worker", "beat", "shim"), "workers": 2}
RECOVERY_SECONDS = {False: 6.0, True: 3.0}
RECOVERED_SECONDS_MAX = 120.0
SETTLED_SECONDS_MAX = 300.0
UP_SECONDS = 180.0


@dataclass(frozen=True)
class Plan:
    """All that is drawn from the seed."""

    seed: int
    jobs: int
    short: bool

    @property
    def mix(self) -> Mix:
        return make_mix(self.seed, self.jobs, STRUCK)

    @property
    def schedule(self) -> list[Strike]:
        return make_schedule(self.seed, short=self.short)

    @property
    def flood_jobs(self) -> int:
        return 15_000 if self.short else 50_000

    @property
    def load_seconds_max(self) -> float:
        return 120.0 if self.short else 1200.0


@dataclass(frozen=True)
class Recovery:
    """One strike: `recovered_seconds` is from its end until jobs accepted afterwards were done in every lane."""

    strike: str
    at_seconds: float
    lasted_seconds: float
    recovered_seconds: float | None


@dataclass
class Result:
    """What a run has shown. It is good when nothing is `wrong`."""

    plan: Plan
    recoveries: list[Recovery] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    figures: dict[str, float] = field(default_factory=dict)
    flood: Flood | None = None


def fight(running: Running, plan: Plan, say: Callable[[str], object]) -> Result:
    """Never raises for what goes wrong in the run: that is in the result."""
    result, mix, promises = Result(plan), plan.mix, Promises()
    began = time.monotonic()
    _strike_under_load(running, result, mix, promises, say)
    result.figures["load_seconds"] = round(time.monotonic() - began, 1)
    say(f"load over after {result.figures['load_seconds']} s; waiting for the last jobs")
    _settle(running, result, mix)
    result.figures["settled_seconds"] = round(time.monotonic() - began, 1)
    _look(running, result, mix, promises)
    result.flood = _guarded(result, "flood", partial(_flood, running, plan))
    if result.flood is not None:
        result.wrong += result.flood.wrong()
    result.wrong += outside.few(outside.check_order(running, [FLOODED])) + _down(running)
    result.wrong += outside.check_books(running)
    result.figures["seconds"] = round(time.monotonic() - began, 1)
    return result


def _strike_under_load(
    running: Running, result: Result, mix: Mix, promises: Promises, say: Callable[[str], object]
) -> None:
    schedule = result.plan.schedule
    pace = Pace(len(schedule), within_seconds=result.plan.load_seconds_max)
    senders = Senders(running, pace, promises)
    lives = [
        *(partial(senders.app, jobs) for jobs in mix.apps),
        *(partial(senders.courier, events) for events in mix.couriers),
        partial(senders.messenger, mix.messages),
    ]
    with ThreadPoolExecutor(len(lives)) as pool:
        sent = [pool.submit(life) for life in lives]
        began = time.monotonic()
        for strike in schedule:
            pace.begin_step(strike.seconds + RECOVERY_SECONDS[result.plan.short])
            time.sleep(strike.pause_seconds)
            recovery = _strike(running, strike, mix, promises, began, result)
            say(f"{recovery.at_seconds:6.1f} s  {strike}: recovered in {recovery.recovered_seconds} s")
            result.recoveries.append(recovery)
            if recovery.recovered_seconds is None:
                result.wrong.append(f"{strike}: no recovery within {RECOVERED_SECONDS_MAX:g} s")
    result.wrong += [error for one in sent if (error := _error_of(one))] + outside.few(promises.broken)
    result.figures |= {"accepted": len(promises.jobs) + len(promises.news), "repeated": promises.repeated}


def _strike(
    running: Running, strike: Strike, mix: Mix, promises: Promises, began: float, result: Result
) -> Recovery:
    at = time.monotonic()
    with ThreadPoolExecutor(len(strike.faults)) as pool:
        struck = [pool.submit(inject, running, promises, STRUCK, fault) for fault in strike.faults]
    result.wrong += [f"{strike}: {one.exception()!r}" for one in struck if one.exception()]
    ended = time.monotonic()
    recovered = _recover(running, mix, ended)
    return Recovery(str(strike), round(at - began, 1), round(ended - at, 2), recovered)


def _recover(running: Running, mix: Mix, ended: float) -> float | None:
    """Seconds until a new job of every lane was accepted and done; None when that did not come in time."""
    probes = [mix.probe(tenant) for tenant in STRUCK]
    keys = [probe.key for probe in probes]
    requests = [running.app(probe.tenant).job(probe.name, probe.args, probe.key) for probe in probes]
    try:
        post_patiently(running.stack.http_url, requests, clients=len(requests))
        until(lambda: _done(running, keys), within_seconds=RECOVERED_SECONDS_MAX, what="recovery")
    except AssertionError:
        return None
    return round(time.monotonic() - ended, 2)


def _done(running: Running, keys: Sequence[str]) -> bool:
    query = "SELECT count(*) FROM jobs WHERE idempotency_key = ANY(%s) AND finished_at IS NOT NULL"
    try:
        return bool(outside.look(running, query, keys)[0]["count"] == len(keys))
    except psycopg.Error:
        return False


def _settle(running: Running, result: Result, mix: Mix) -> None:
    """Until every job has come to its end, and those that wait for good are all that wait."""
    parked = sum(not event.known for event in mix.events)
    total = len(mix.jobs) + len(mix.events)

    def settled() -> bool:
        states = result.states = outside.tally(running, STRUCK)
        stuck = states["queued"] + states["running"] + states["cooling"]
        return stuck == 0 and states["parked"] == parked and states.total() == total

    try:
        until(settled, within_seconds=SETTLED_SECONDS_MAX, what="the end of all jobs")
    except AssertionError:
        result.wrong.append(f"stuck: {dict(result.states)}, {total} jobs with {parked} parked were expected")


def _look(running: Running, result: Result, mix: Mix, promises: Promises) -> None:
    """Every check, whatever the ones before it have found."""
    for found in (
        outside.check_jobs(running, mix, promises, STRUCK),
        outside.check_balances(running, mix, STRUCK),
        outside.check_order(running, STRUCK),
    ):
        result.wrong += outside.few(found)
    result.figures["retried_jobs"] = outside.retried(running, STRUCK)


def _flood(running: Running, plan: Plan) -> Flood:
    return flood(running, running.app(FLOODED), running.app(OTHER), plan.flood_jobs)


def _down(running: Running) -> list[str]:
    """The processes that do not run, or do not answer."""
    broker = running.stack.settings.require_broker_url()
    asked: dict[str, Callable[[], bool]] = {
        **{name: partial(_runs, running, name) for name in running.stack.pids()},
        **{f"{name} answers": partial(worker_answers, broker, name) for name in WORKERS},
        "shim answers": lambda: answers(f"{running.stack.http_url}/readyz", {200}),
    }
    down = []
    for name, ask in asked.items():
        try:
            until(ask, within_seconds=UP_SECONDS, what=name)
        except AssertionError:
            down.append(f"{name}: not within {UP_SECONDS:g} s")
    return down


def _runs(running: Running, name: str) -> bool:
    return running.stack.pid(name) is not None


def _guarded(result: Result, what: str, work: Callable[[], Flood]) -> Flood | None:
    try:
        return work()
    except (AssertionError, LedgerbeatError, SQLAlchemyError, psycopg.Error) as error:
        result.wrong.append(f"{what}: {error}")
        return None


def _error_of(sent: "Future[None]") -> str | None:
    error = sent.exception()
    if error is None:
        return None
    why = "the load was not sent in time" if isinstance(error, Stopped) else repr(error)
    return f"a sender gave up: {why}"
