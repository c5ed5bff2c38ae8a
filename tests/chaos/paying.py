"""The second battle: payouts through a provider that fails in every way it can, while workers die; then the truth."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.chaos import outside
from tests.chaos.faults import FAULTS
from tests.chaos.payday import RETRY_LIMIT, THRESHOLD_MINOR, Order, make_orders, make_strikes, wallets_before
from tests.e2e.app import App, credit_args
from tests.e2e.clients import Request, accepted, post_patiently
from tests.e2e.paying import TENANT, sandbox_of
from tests.e2e.running import Running
from tests.waiting import until

POLICY = {
    "payout_cooldown_seconds": 1,
    "payout_retry_limit": RETRY_LIMIT,
    "in_doubt_ladder_seconds": [1, 2, 3, 5, 8, 13],
    "approval_threshold_minor": THRESHOLD_MINOR,
}
LOOKUP_FAULTS = ("error_500", "garbage", "timeout_before")
DECIDED = {"actor": "ops:lee", "reason": "chaos"}
SHARE_SECONDS_MAX = 240.0
ENDED_SECONDS_MAX = 420.0
PACE_ORDERS = 25
PACE_SECONDS = 0.25

STATES = "SELECT id::text AS id, state FROM payouts WHERE tenant = ANY(%s)"
JOBS = """
    SELECT state, count(*) FROM jobs WHERE tenant = ANY(%s) AND state NOT IN ('done', 'refused') GROUP BY 1
"""
CANCELLED = """
    SELECT args ->> 'payout_id' AS id, state FROM jobs WHERE tenant = ANY(%s) AND name = 'payouts.cancel'
"""


@dataclass
class Payday:
    """What a run has shown. It is good when nothing is `wrong`."""

    seed: int
    payouts: int
    short: bool
    wrong: list[str] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    figures: dict[str, float] = field(default_factory=dict)
    strikes: list[str] = field(default_factory=list)


def fight(running: Running, result: Payday, say: Callable[[str], object]) -> None:
    """Never raises for what goes wrong in the run: that is in the result."""
    orders = make_orders(result.seed, result.payouts)
    app, began = running.app(TENANT), time.monotonic()
    with sandbox_of(running) as sandbox:
        _prepare(app, orders)
        for fault in LOOKUP_FAULTS:
            asked = {"fault": fault, "scope": "lookups", "count": max(result.payouts // 100, 1)}
            sandbox.post("/_faults", json=asked).raise_for_status()
        promised = _strike_under_load(running, app, orders, result, say)
        result.figures["load_seconds"] = round(time.monotonic() - began, 1)
        say(f"load over after {result.figures['load_seconds']} s; waiting for the last payouts")
        _settle(running, sandbox, result)
        result.figures["settled_seconds"] = round(time.monotonic() - began, 1)
        result.wrong += outside.few(judge(running, sandbox, orders, promised))
    result.wrong += outside.check_books(running)


def _prepare(app: App, orders: Sequence[Order]) -> None:
    """Everybody has what their payouts need, to the cent."""
    requests = [app.job("policies.set", {**POLICY, **DECIDED}, "policy")]
    requests += [
        app.job("wallets.credit", credit_args(owner, minor), f"fund-{owner}")
        for owner, minor in wallets_before(orders).items()
    ]
    accepted([answers[-1] for answers in post_patiently(app.url, requests)])
    app.settle(jobs=len(requests))


def _strike_under_load(
    running: Running, app: App, orders: Sequence[Order], result: Payday, say: Callable[[str], object]
) -> Mapping[str, Order]:
    """Send all orders, and strike each time another share of them has ended; payout id -> order."""
    strikes = make_strikes(result.seed, short=result.short)
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(_send, app, orders)
        for number, strike in enumerate(strikes, start=1):
            share = len(orders) * number // (len(strikes) + 1) // 2
            try:
                _wait_for(running, share, str(strike))
                FAULTS[strike.name](running, strike)
            except Exception as error:  # noqa: BLE001 - told in the result; the run goes on
                result.wrong.append(f"{strike}: {error!r}")
            result.strikes.append(str(strike))
            say(f"{strike} after {_ended(running)} payouts had ended")
        return sent.result()


def _wait_for(running: Running, ended: int, what: str) -> None:
    until(lambda: _ended(running) >= ended, within_seconds=SHARE_SECONDS_MAX, what=what)


def _ended(running: Running) -> int:
    with suppress(Exception):
        ends = ("paid", "failed", "returned", "cancelled")
        return sum(row["state"] in ends for row in outside.look(running, STATES, [TENANT]))
    return 0


def _send(app: App, orders: Sequence[Order]) -> dict[str, Order]:
    """Ask for the payouts and decide about them, some every quarter of a second."""
    promised: dict[str, Order] = {}
    for start in range(0, len(orders), PACE_ORDERS):
        some = orders[start : start + PACE_ORDERS]
        answers = [tries[-1] for tries in post_patiently(app.url, [_request(app, one) for one in some])]
        found = {body["job_id"]: order for body, order in zip(accepted(answers), some, strict=True)}
        promised |= found
        decisions = [_decision(app, payout_id, one) for payout_id, one in found.items() if one.decision]
        accepted([tries[-1] for tries in post_patiently(app.url, decisions)])
        time.sleep(PACE_SECONDS)
    return promised


def _request(app: App, order: Order) -> Request:
    args = {
        "owner": order.owner,
        "amount_minor": order.amount_minor,
        "currency": "EUR",
        "provider": "sandbox",
        "destination": order.destination,
        "requested_by": "app:cashier",
    }
    return app.job("payouts.request", args, f"payout-{order.number}")


def _decision(app: App, payout_id: str, order: Order) -> Request:
    args = {"payout_id": payout_id, **DECIDED}
    return app.job(f"payouts.{order.decision}", args, f"{order.decision}-{order.number}")


def _settle(running: Running, sandbox: httpx.Client, result: Payday) -> None:
    """Until every payout has ended; what the provider's webhooks lost, it is asked to tell again."""

    def settled() -> bool:
        sandbox.post("/_flush", json={"timeout_seconds": 1})
        _redeliver(sandbox)
        result.states = Counter(row["state"] for row in outside.look(running, STATES, [TENANT]))
        done = sum(result.states[end] for end in ("paid", "failed", "returned", "cancelled"))
        open_jobs = outside.look(running, JOBS, [TENANT])
        return done == result.payouts and not open_jobs and sandbox.get("/_idle").json()["idle"]

    try:
        until(settled, within_seconds=ENDED_SECONDS_MAX, what="the end of all payouts")
    except AssertionError:
        open_jobs = {row["state"]: row["count"] for row in outside.look(running, JOBS, [TENANT])}
        result.wrong.append(f"not all ended: {dict(result.states)}; jobs {open_jobs}")


def _redeliver(sandbox: httpx.Client) -> None:
    for state in ("lost", "failed"):
        for event in sandbox.get("/_webhooks", params={"state": state, "limit": "100"}).json()["data"]:
            sandbox.post(f"/_webhooks/{event['id']}/redeliver")


def judge(
    running: Running, sandbox: httpx.Client, orders: Sequence[Order], promised: Mapping[str, Order]
) -> list[str]:
    """Each payout ended as its fault says, and at the provider its money left and came back exactly so."""
    states = {row["id"]: row["state"] for row in outside.look(running, STATES, [TENANT])}
    cancelled = {row["id"] for row in outside.look(running, CANCELLED, [TENANT]) if row["state"] == "done"}
    truth = _truth(sandbox)
    wrong = [f"{len(states)} payouts are there, {len(orders)} were asked for"] * (len(states) != len(orders))
    for payout_id, order in promised.items():
        state = states.get(payout_id, "missing")
        may = order.ends if order.decision != "cancel" else _ends(order, payout_id in cancelled)
        if state not in may:
            wrong.append(f"{payout_id} {order}: is {state}")
        flows = truth.pop(payout_id.replace("-", ""), Counter())
        wrong += [f"{payout_id} {order}: is {state}, at the provider {dict(flows)}"] * (
            flows != _flows(order, state)
        )
    return wrong + [f"paid out for nobody: {reference} {flows}" for reference, flows in truth.items()]


def _ends(order: Order, cancelled: bool) -> frozenset[str]:
    return frozenset({"cancelled"}) if cancelled else order.ends - {"cancelled"}


def _truth(sandbox: httpx.Client) -> dict[str, Counter[str]]:
    """Payout -> how often and how much left and came back, over all its attempts."""
    found: dict[str, Counter[str]] = {}
    references: dict[str, Any] = sandbox.get("/_truth").json()["payouts"]
    for reference, flows in references.items():
        known = found.setdefault(reference.rsplit("-", 1)[0], Counter())
        for way in ("left", "back"):
            known[way] += flows[way]["times"]
            known[f"{way} minor"] += sum(flows[way]["minor"].values())
    return found


def _flows(order: Order, state: str) -> Counter[str]:
    left, back = {"paid": (1, 0), "returned": (1, 1)}.get(state, (0, 0))
    minor = order.amount_minor
    return Counter({"left": left, "left minor": left * minor, "back": back, "back minor": back * minor})
