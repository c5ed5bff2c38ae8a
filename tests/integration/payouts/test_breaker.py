"""A provider in trouble is spared: nothing is sent but one probe at a time, and no attempt is burned meanwhile."""

from uuid import UUID

import pytest
from pydantic import SecretStr

from tasks.payouts.attempts import attempt
from tests.integration.payouts.attempting import *  # noqa: F403 - the fixtures
from tests.integration.payouts.attempting import Till
from tests.integration.payouts.test_dispatch import open_many


def fail(till: Till, times: int, fault: str = "error_500") -> list[UUID]:
    """So many attempts in a row that end in doubt."""
    till.sandbox.script(fault, scope="payouts", count=times)
    given = till.dispatched()[:times]
    for payout_id in given:
        attempt(till.hands, payout_id)
    return given


def audited(till: Till) -> list[tuple[str, str, str]]:
    rows = till.cashier.rows(
        "SELECT actor, action, reason FROM audit_events WHERE action LIKE 'providers.%' ORDER BY id"
    )
    return [(row["actor"], row["action"], row["reason"]) for row in rows]


def test_five_failures_in_a_row_open_it(till: Till) -> None:
    open_many(till, 20)
    till.account(max_in_flight=4)
    fail(till, 4)
    assert (till.account()["breaker"], till.account()["failures_in_a_row"]) == ("closed", 4)
    fail(till, 1)
    row = till.account()
    assert (row["breaker"], (row["probe_at"] - till.cashier.now).total_seconds()) == ("open", 30)
    assert audited(till) == [("system", "providers.breaker_opened", "internal_error")]
    till.later(16)
    assert till.dispatched() == []
    sent = till.cashier.rows("SELECT count(*) AS n FROM payout_attempts")
    assert sent == [{"n": 5}]


@pytest.mark.parametrize("fault", ["decline_retryable:1", "decline_final"])
def test_an_answer_between_them_begins_the_count_anew(till: Till, fault: str) -> None:
    open_many(till, 10)
    fail(till, 4)
    till.later(16)
    fail(till, 1, fault)
    assert till.account()["failures_in_a_row"] == 0
    till.later(16)
    fail(till, 4)
    assert till.account()["breaker"] == "closed"


def test_throttling_says_nothing_about_it(till: Till) -> None:
    open_many(till, 10)
    fail(till, 8, "rate_limit:1")
    assert (till.account()["breaker"], till.account()["failures_in_a_row"]) == ("closed", 0)


def test_probes_come_one_at_a_time_ever_later_until_one_is_answered(till: Till) -> None:
    till.cashier.policy(in_doubt_ladder_seconds=[86400])
    open_many(till, 30)
    fail(till, 5)
    for wait in (30, 60, 120, 240, 480, 600, 600):
        till.later(wait - 1)
        assert till.dispatched() == []
        till.later(1)
        assert len(till.dispatched()) == 1
        assert till.account()["breaker"] == "half_open"
        assert till.dispatched() == [], "one at a time"
        till.sandbox.script("error_500", scope="payouts", count=1)
        attempt(till.hands, till.published[0][1] if till.published else probe(till))
        assert till.account()["breaker"] == "open"
    till.later(600)
    [last] = till.dispatched()
    attempt(till.hands, last)
    row = till.account()
    assert (row["breaker"], row["failures_in_a_row"], row["opens_in_a_row"]) == ("closed", 0, 0)
    assert len(till.dispatched()) == 16
    assert [action for _, action, _ in audited(till)] == ["providers.breaker_opened"] * 8 + [
        "providers.breaker_closed"
    ]


def probe(till: Till) -> UUID:
    [row] = till.cashier.rows(
        "SELECT id FROM payouts WHERE dispatched_until > :now AND state = 'approved'", now=till.cashier.now
    )
    found: UUID = row["id"]
    return found


def test_a_probe_whose_message_is_lost_is_followed_by_another(till: Till) -> None:
    open_many(till, 10)
    fail(till, 5)
    till.later(30)
    assert len(till.dispatched()) == 1
    till.later(15)
    assert len(till.dispatched()) == 1


def test_a_refused_account_stops_at_once_and_burns_nothing(till: Till) -> None:
    from tests.integration.payouts.attempting import settings_of
    from worker.providers.payouts.accounts import PayoutAccounts

    settings = settings_of(str(till.sandbox.base_url))
    account = settings["acme"].providers["sandbox"]
    wrong = account.model_copy(update={"api_key": SecretStr("wrong")})
    settings["acme"] = settings["acme"].model_copy(update={"providers": {"sandbox": wrong}})
    payout_id, waiting = till.opened(), till.opened()
    till.dispatched()
    attempt(till.with_hands(accounts=PayoutAccounts(settings)), payout_id)
    row = till.payout(payout_id)
    assert (row["state"], row["attempts_made"], till.outcomes(payout_id)) == ("cooling", 0, ["not_sent"])
    assert till.account()["breaker"] == "open"
    attempt(till.hands, waiting)
    assert till.state(waiting) == "approved"
    till.finish(payout_id, waiting)
    assert (till.left(payout_id), till.left(waiting), till.outcomes(payout_id)) == ((1, 0), (1, 0), ["paid"])
    assert till.account()["breaker"] == "closed"


def test_a_provider_that_is_away_is_spared_too(till: Till) -> None:
    from tests.integration.payouts.attempting import settings_of
    from worker.providers.payouts.accounts import PayoutAccounts

    hands = till.with_hands(accounts=PayoutAccounts(settings_of("http://127.0.0.1:1")))
    ids = open_many(till, 6)
    for payout_id in till.dispatched():
        attempt(hands, payout_id)
    states = [till.state(one) for one in sorted(ids)]
    assert states == ["cooling"] * 5 + ["approved"]
    assert till.account()["breaker"] == "open"
    till.finish(*ids)
    assert [till.outcomes(one) for one in ids] == [["paid"]] * 6
