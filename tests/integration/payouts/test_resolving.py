"""In doubt: money stays held until a look-up proves something, and no other key is used before that."""

from datetime import timedelta
from uuid import UUID

import pytest

from tasks.payouts.dispatch import dispatch_lookups, sweep_lost
from tasks.payouts.resolving import ask, learn, resolve
from tests.integration.payouts.attempting import *  # noqa: F403 - the fixtures
from tests.integration.payouts.attempting import Till
from worker.providers.payouts.accounts import PayoutAccount
from worker.providers.payouts.port import Found, NotFound, Sighting, Unsure

SETTLE = 10
LADDER = [30, 120, 600, 3600, 21600, 86400, 86400]


def doubted(till: Till, fault: str) -> UUID:
    payout_id = till.opened(10, f"fault:{fault}")
    assert till.send(payout_id) == "in_doubt"
    return payout_id


def lost(till: Till) -> UUID:
    """Its process died after the claim, before the call."""
    from tests.integration.payouts.test_attempts import claimed_by_hand

    payout_id = till.opened()
    till.dispatched()
    claimed_by_hand(till, payout_id)
    till.later(40)
    assert sweep_lost(till.hands) == 1
    return payout_id


def account(till: Till) -> PayoutAccount:
    found = till.hands.accounts.find("acme", "sandbox")
    assert found is not None
    return found


def sees(till: Till, payout_id: UUID, sighting: Sighting) -> str:
    """As if the provider had answered this to a look-up now."""
    from models.payouts.attempts import Place

    question = ask(till.hands, Place(payout_id, "acme", "sandbox"))
    assert question is not None
    learn(till.hands, question, sighting, account(till))
    return till.state(payout_id)


def finding(till: Till) -> tuple[str, int]:
    [row] = till.cashier.rows("SELECT kind, times_seen FROM reconciliation_findings WHERE tenant = :tenant")
    return row["kind"], row["times_seen"]


@pytest.mark.parametrize("fault", ["timeout_after", "error_500_after", "garbage"])
def test_what_was_done_is_found_and_not_sent_again(till: Till, fault: str) -> None:
    payout_id = doubted(till, fault)
    till.later(30)
    assert till.look_up(payout_id) == "submitted"
    till.settle()
    assert (till.state(payout_id), till.left(payout_id), till.outcomes(payout_id)) == (
        "paid",
        (1, 0),
        ["paid"],
    )


@pytest.mark.parametrize(
    ("status", "state"), [("paid", "paid"), ("failed", "failed"), ("returned", "returned")]
)
def test_a_look_up_finds_it_at_its_end(till: Till, status: str, state: str) -> None:
    before = till.cashier.wallet()
    payout_id = doubted(till, "timeout_after")
    [event] = till.events()
    till.sandbox.post(f"/payouts/{event['data']['id']}/settle", json={"status": status})
    till.later(30)
    assert till.look_up(payout_id) == state
    assert till.cashier.held() == 0
    assert till.cashier.wallet() == before - (10 if state == "paid" else 0)
    assert till.payout(payout_id)["failure_code"] == (None if state == "paid" else status)


def test_not_found_is_proof_after_the_settle_delay_only(till: Till) -> None:
    till.cashier.policy(in_doubt_ladder_seconds=[1, 5, 600])
    payout_id = doubted(till, "timeout_before")
    for wait, total in ((1, 1), (5, 6), (4, 10)):
        till.later(wait)
        before = till.payout(payout_id)["next_lookup_at"]
        assert before == till.cashier.now, "the third comes when the delay is over, not by the ladder"
        assert till.look_up(payout_id) == ("cooling" if total >= SETTLE else "in_doubt")
    assert till.outcomes(payout_id) == ["not_found"]
    till.finish(payout_id)
    assert (till.state(payout_id), till.left(payout_id), till.outcomes(payout_id)) == (
        "paid", (1, 0), ["not_found", "paid"],
    )  # fmt: skip


def test_an_absence_asked_for_too_early_proves_nothing_however_late_it_is_heard(till: Till) -> None:
    from models.payouts.attempts import Place

    till.cashier.policy(in_doubt_ladder_seconds=[1])
    payout_id = doubted(till, "timeout_after")
    till.later(1)
    question = ask(till.hands, Place(payout_id, "acme", "sandbox"))
    assert question is not None
    till.later(3600)
    learn(till.hands, question, NotFound(), account(till))
    assert till.state(payout_id) == "in_doubt"


def test_a_look_up_is_asked_when_it_is_due_only(till: Till) -> None:
    payout_id = doubted(till, "timeout_after")
    assert dispatch_lookups(till.hands) == []
    till.later(29)
    assert till.look_up(payout_id) == "in_doubt"
    assert till.payout(payout_id)["lookups_made"] == 0
    till.later(1)
    assert dispatch_lookups(till.hands) == [payout_id]
    assert dispatch_lookups(till.hands) == [], "one message at a time"


def test_the_ladder_then_daily_with_a_finding_and_the_money_held(till: Till) -> None:
    payout_id = doubted(till, "timeout_before")
    till.sandbox.script("error_500", scope="lookups", count=100)
    for made, wait in enumerate(LADDER, 1):
        assert till.payout(payout_id)["next_lookup_at"] == till.cashier.now + timedelta(seconds=wait)
        assert till.findings() == ([] if made < 6 else ["in_doubt_overdue"])
        till.later(wait)
        assert till.look_up(payout_id) == "in_doubt"
        assert till.payout(payout_id)["lookups_made"] == made
    assert finding(till) == ("in_doubt_overdue", 3)
    assert (till.cashier.held(), till.cashier.reserved(), till.outcomes(payout_id)) == (10, 10, ["in_doubt"])


def test_a_lost_attempt_is_sent_again_with_its_own_key(till: Till) -> None:
    payout_id = lost(till)
    assert (till.state(payout_id), till.payout(payout_id)["attempts_made"]) == ("in_doubt", 0)
    till.later(30)
    assert till.look_up(payout_id) == "cooling"
    [before] = till.attempts(payout_id)
    assert (before.outcome, before.error_code) == ("not_sent", "lost")
    till.finish(payout_id)
    [after] = till.attempts(payout_id)
    assert (after.provider_key, after.sends, till.left(payout_id)) == (before.provider_key, 2, (1, 0))


def test_once_lost_an_attempt_never_makes_room_for_another_key(till: Till) -> None:
    """Its first process may only be frozen, whatever the second one was answered."""
    payout_id = lost(till)
    till.later(30)
    till.look_up(payout_id)
    till.sandbox.script("timeout_before", scope="payouts")
    till.later(60)
    assert till.send(payout_id) == "in_doubt"
    till.later(30)
    assert till.look_up(payout_id) == "cooling"
    assert [(one.attempt_no, one.outcome, one.error_code) for one in till.attempts(payout_id)] == [
        (1, "not_sent", "lost")
    ]


def test_a_lost_attempt_whose_key_is_too_old_waits_for_a_person(till: Till) -> None:
    payout_id = lost(till)
    till.later(24 * 3600)
    assert till.look_up(payout_id) == "in_doubt"
    assert till.findings() == ["in_doubt_overdue"]
    assert till.cashier.command("mark_failed", payout_id)["state"] == "failed"
    assert (till.state(payout_id), till.cashier.held()) == ("failed", 0)


def test_a_lost_attempt_whose_key_grew_old_while_it_waited_goes_back_into_doubt(till: Till) -> None:
    payout_id = lost(till)
    till.later(30)
    assert till.look_up(payout_id) == "cooling"
    till.later(24 * 3600)
    assert till.send(payout_id) == "in_doubt"
    assert (till.findings(), till.left(payout_id), till.outcomes(payout_id)) == (
        ["in_doubt_overdue"], (0, 0), ["in_doubt"],
    )  # fmt: skip
    till.later(24 * 3600)
    assert till.look_up(payout_id) == "in_doubt"
    assert till.cashier.command("mark_paid", payout_id)["state"] == "paid"


@pytest.mark.parametrize(
    ("sighting", "kind"),
    [
        (Found("po_1", "paid", 11, "EUR"), "amount_mismatch"),
        (Found("po_1", "paid", 10, "USD"), "currency_mismatch"),
    ],
)
def test_another_amount_pays_nothing(till: Till, sighting: Found, kind: str) -> None:
    payout_id = doubted(till, "timeout_before")
    till.later(30)
    assert sees(till, payout_id, sighting) == "in_doubt"
    assert (finding(till), till.cashier.held()) == ((kind, 1), 10)


def test_what_ended_meanwhile_is_left_alone(till: Till) -> None:
    from models.payouts.attempts import Place

    payout_id = doubted(till, "timeout_after")
    till.later(30)
    question = ask(till.hands, Place(payout_id, "acme", "sandbox"))
    assert question is not None
    till.settle()
    assert till.state(payout_id) == "paid"
    for sighting in (NotFound(), Unsure("x"), Found("po_1", "failed", 10, "EUR")):
        learn(till.hands, question, sighting, account(till))
        assert (till.state(payout_id), till.outcomes(payout_id)) == ("paid", ["paid"])
    resolve(till.hands, payout_id)
    assert till.state(payout_id) == "paid"


def test_a_pause_does_not_keep_anyone_from_asking(till: Till) -> None:
    payout_id = doubted(till, "timeout_after")
    till.account(paused_at=till.cashier.now)
    till.later(30)
    assert dispatch_lookups(till.hands) == [payout_id]
    till.later(15)
    till.account(enabled=False)
    assert dispatch_lookups(till.hands) == []


def test_each_account_has_its_share_of_the_look_ups(till: Till) -> None:
    ours = [doubted(till, f"timeout_before#{number}") for number in range(3)]
    till.later(30)
    assert set(dispatch_lookups(till.hands)) == set(ours)


def test_a_claim_in_its_time_is_not_lost(till: Till) -> None:
    from tests.integration.payouts.test_attempts import claimed_by_hand

    payout_id = till.opened()
    till.dispatched()
    claimed_by_hand(till, payout_id)
    till.later(39.999)
    assert sweep_lost(till.hands) == 0
    assert till.state(payout_id) == "sending"


def test_one_payout_that_cannot_be_swept_keeps_no_other_waiting(till: Till) -> None:
    """Without an attempt there is nothing to be in doubt of: only a broken row can be so."""
    broken = till.opened()
    till.cashier.sent(broken)
    assert till.state(lost(till)) == "in_doubt"
    assert (till.state(broken), sweep_lost(till.hands)) == ("sending", 0)
    till.cashier.attempt(broken, "sending")
    assert (sweep_lost(till.hands), till.state(broken)) == (1, "in_doubt")
