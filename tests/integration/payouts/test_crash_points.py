"""The sending of a payout is cut off at every point of it, in every state, and the stack goes on: money left exactly
once for each payout that is paid, and never for one that failed; the books agree.

The points are not listed here: they are those that a run without a death reaches.
"""

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import UUID

import pytest
import redis
from sqlalchemy import Engine

from tests.integration.crashes.points import Point, Trail, bury_the_dead
from tests.integration.payouts.attempting import *  # noqa: F403 - the fixtures
from tests.integration.payouts.attempting import Till
from tests.integration.payouts.crashing import ACTS, Broken, Place, broken, live, watching

AT_ONCE = 2
STATEMENTS = tuple(f"after {word}" for word in ("SELECT", "INSERT", "UPDATE", "WITH"))
DAY = 24 * 3600


@dataclass(frozen=True)
class Scenario:
    """Who acts on payouts that were brought into some state, and how they end. `alone`: it acts on all there are."""

    act: str
    fault: str | None
    prepare: Callable[[Till, list[UUID]], object]
    ends: str = "paid"
    points: frozenset[str] = frozenset()
    alone: bool = False


def place_all(till: Till, ids: list[UUID]) -> None:
    assert set(ids) <= set(till.dispatched())


def sent_before(fault: str, seconds: float) -> Callable[[Till, list[UUID]], None]:
    """Sent once already, into that fault; so long after it they have a place again."""

    def prepare(till: Till, ids: list[UUID]) -> None:
        till.sandbox.script(fault, scope="payouts", count=len(ids))
        send_all(till, ids)
        till.later(seconds)
        place_all(till, ids)

    return prepare


def send_all(till: Till, ids: list[UUID]) -> None:
    place_all(till, ids)
    for payout_id in ids:
        ACTS["attempt"](till.hands, payout_id)
        sound(till)


def in_doubt(fault: str, seconds: float) -> Callable[[Till, list[UUID]], None]:
    """In doubt by that fault, for so long."""

    def prepare(till: Till, ids: list[UUID]) -> None:
        till.sandbox.script(fault, scope="payouts", count=len(ids))
        send_all(till, ids)
        till.later(seconds)

    return prepare


def taken_and_never_told_of(till: Till, ids: list[UUID]) -> None:
    """Taken and paid by the provider; whatever it tells is lost. The account that the money goes to is there."""
    send_all(till, ids)
    for event in till.events():
        if event["type"] == "payout.submitted" and UUID(event["data"]["reference"][:32]) in ids:
            till.settled.add(event["data"]["id"])
            till.sandbox.post(f"/payouts/{event['data']['id']}/settle", json={"status": "paid"})
    till.heard.update(event["id"] for event in till.events())
    send_all(till, [till.opened()])
    till.settle()
    till.later(DAY)


def lost(till: Till, ids: list[UUID]) -> None:
    """Whoever had claimed them is gone."""
    from tests.integration.payouts.test_attempts import claimed_by_hand

    place_all(till, ids)
    for payout_id in ids:
        claimed_by_hand(till, payout_id)
    till.later(40)


def lost_for(seconds: float) -> Callable[[Till, list[UUID]], None]:
    def prepare(till: Till, ids: list[UUID]) -> None:
        lost(till, ids)
        ACTS["tick"](till.hands, ids[0])
        till.later(seconds)

    return prepare


def lost_and_found_missing(till: Till, ids: list[UUID]) -> None:
    """Lost, not found, and with a place again: they are sent with the same key."""
    lost_for(30)(till, ids)
    for payout_id in ids:
        ACTS["resolve"](till.hands, payout_id)
    till.later(60)
    place_all(till, ids)


def nearly_open(till: Till, ids: list[UUID]) -> None:
    place_all(till, ids)
    till.account(failures_in_a_row=4)


def unapproved(till: Till, _ids: list[UUID]) -> None:
    till.later(600)


CALL, LOOK_UP = frozenset({"before the call", "after the call"}), frozenset({"before the look-up"})
FAULTS = {
    "decline_retryable:1": "paid", "decline_final": "failed", "rate_limit:1": "paid", "timeout_before": "paid",
    "timeout_after": "paid", "error_500": "paid", "error_500_after": "paid", "garbage": "paid",
}  # fmt: skip
SCENARIOS = {
    "approved": Scenario("attempt", None, place_all, points=CALL),
    **{
        f"approved, {fault}": Scenario("attempt", fault, place_all, ends, CALL)
        for fault, ends in FAULTS.items()
    },
    "approved, the fifth failure": Scenario("attempt", "error_500", nearly_open, points=CALL),
    "cooling, declined": Scenario("attempt", None, sent_before("decline_retryable:1*9999", 300), points=CALL),
    "cooling, throttled": Scenario("attempt", None, sent_before("rate_limit:1*9999", 1), points=CALL),
    "cooling, its key too old": Scenario("attempt", None, sent_before("rate_limit:1*9999", DAY), points=CALL),
    "cooling, lost": Scenario("attempt", None, lost_and_found_missing, points=CALL),
    "in doubt, done": Scenario("resolve", None, in_doubt("error_500_after*9999", 30), points=LOOK_UP),
    "in doubt, not done": Scenario("resolve", None, in_doubt("error_500*9999", 30), points=LOOK_UP),
    "in doubt, lost": Scenario("resolve", None, lost_for(30), points=LOOK_UP),
    "submitted, webhooks lost": Scenario("resolve", None, taken_and_never_told_of, points=LOOK_UP),
    "a tick, due": Scenario("tick", None, lambda _till, _ids: None, alone=True),
    "a tick, lost": Scenario("tick", None, lost, alone=True),
    "a tick, in doubt": Scenario("tick", None, in_doubt("error_500_after*9999", 30), alone=True),
    "a tick, submitted": Scenario("tick", None, taken_and_never_told_of, alone=True),
    "a tick, not approved": Scenario("tick", None, unapproved, "cancelled", alone=True),
}


def opened(till: Till, scenario: Scenario, count: int) -> list[UUID]:
    expires = scenario.ends == "cancelled"
    till.cashier.policy(approval_threshold_minor=0 if expires else None, approval_expires_seconds=600)
    destination = f"fault:{scenario.fault}" if scenario.fault else "ba_ada"
    outcomes = till.cashier.request(*([10] * count), destination=destination)
    return [UUID(one["payout_id"]) for one in outcomes]


def sound(till: Till) -> None:
    """The breaker is closed: what failed on purpose is not to keep the next one from being tried."""
    till.account(breaker="closed", failures_in_a_row=0, opens_in_a_row=0, probe_at=None)


def prepared(till: Till, scenario: Scenario, count: int) -> list[UUID]:
    ids = opened(till, scenario, count)
    scenario.prepare(till, ids)
    till.sandbox.delete("/_faults")
    return ids


Cut = Callable[[UUID, Point | None], list[Point]]
"""Acts on a payout, cut off at the chosen point; the points it reached when none was chosen."""


@pytest.fixture
def cut_by_breaking(till: Till, engine: Engine) -> Callable[[Scenario, Callable[[str], Exception]], Cut]:
    def build(scenario: Scenario, error: Callable[[str], Exception]) -> Cut:
        def cut(payout_id: UUID, chosen: Point | None) -> list[Point]:
            def die() -> None:
                assert chosen is not None
                raise error(chosen.label)

            trail = Trail(chosen, die)
            with watching(trail, till.hands, engine) as hands:
                try:
                    ACTS[scenario.act](hands, payout_id)
                except Exception as raised:
                    if chosen is None or not isinstance(raised, type(error(chosen.label))):
                        raise
            assert chosen is None or chosen in trail.points
            return trail.points

        return cut

    return build


def play(till: Till, scenario: Scenario, cut: Cut, redis_url: str, *, at_once: int = 1) -> None:
    """Every point once, each with a payout of its own; then all goes on."""
    till.account(max_in_flight=1000)
    [first] = prepared(till, scenario, 1)
    points = cut(first, None)
    check_that_it_was_watched(scenario, points)
    points = telling(scenario, points)
    go_on(till, redis_url, [first])
    if scenario.alone:
        ids = [one for point in points for one in play_alone(till, scenario, cut, redis_url, point)]
    else:
        ids = prepared(till, scenario, len(points))
        fifth = scenario.prepare is nearly_open
        with ThreadPoolExecutor(1 if fifth else at_once) as pool:
            list(pool.map(lambda one: play_one(till, cut, *one, fifth=fifth), zip(ids, points, strict=True)))
        go_on(till, redis_url, ids)
    judge(till, scenario, [first, *ids], [Point("", 0), *points])


def telling(scenario: Scenario, points: list[Point]) -> list[Point]:
    """Those that no other has shown: a fault begins to matter with the call, and after one statement is before the
    next. The plain payout is cut off at each of them."""
    if scenario is SCENARIOS["approved"]:
        return points
    labels = [point.label for point in points]
    since = labels.index("before the call") if scenario.fault else 0
    return [point for point in points[since:] if not point.label.startswith(STATEMENTS)]


def play_alone(till: Till, scenario: Scenario, cut: Cut, redis_url: str, point: Point) -> list[UUID]:
    ids = prepared(till, scenario, 1)
    cut(ids[0], point)
    go_on(till, redis_url, ids)
    return ids


def play_one(till: Till, cut: Cut, payout_id: UUID, point: Point, *, fifth: bool) -> None:
    sound(till)
    if fifth:
        till.account(failures_in_a_row=4)
    cut(payout_id, point)


def go_on(till: Till, redis_url: str, ids: list[UUID]) -> None:
    """Locks of the dead have run out by then, which real time would take."""
    sound(till)
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    till.finish(*ids, forgiving=True)


def judge(till: Till, scenario: Scenario, ids: list[UUID], points: list[Point]) -> None:
    ended = {"paid": (1, 0), "failed": (0, 0), "cancelled": (0, 0)}[scenario.ends]
    truth = till.truth()
    wrong = [
        (point, till.state(one), truth(one), till.attempts(one))
        for one, point in zip(ids, points, strict=True)
        if (till.state(one), truth(one)) != (scenario.ends, ended)
    ]
    assert wrong == []
    assert till.cashier.held() == 0
    assert till.findings() == []


def check_that_it_was_watched(scenario: Scenario, points: list[Point]) -> None:
    labels = {point.label for point in points}
    assert {"before COMMIT", "after COMMIT"} | scenario.points <= labels
    assert len(points) > 8


@pytest.mark.parametrize("kind", ["a bug", "a lost connection"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_what_breaks_at_any_point_pays_once(
    till: Till, name: str, kind: str, redis_url: str,
    cut_by_breaking: Callable[[Scenario, Callable[[str], Exception]], Cut],
) -> None:  # fmt: skip
    scenario = SCENARIOS[name]
    cut = cut_by_breaking(scenario, Broken if kind == "a bug" else broken)
    play(till, scenario, cut, redis_url)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_process_killed_at_any_point_pays_once(
    till: Till, name: str, redis_url: str, database_url: str
) -> None:
    scenario = SCENARIOS[name]
    place = Place(database_url, redis_url, str(till.sandbox.base_url))

    def cut(payout_id: UUID, chosen: Point | None) -> list[Point]:
        life = live(scenario.act, payout_id, till.cashier.now, place, chosen)
        assert life.exitcode == (-signal.SIGKILL if chosen else 0), chosen
        bury_the_dead(till.cashier.transaction)
        return life.points

    play(till, scenario, cut, redis_url, at_once=AT_ONCE)
