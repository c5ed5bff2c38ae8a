"""Provider events on a real ledger: every order, duplicates, two providers, two tenants, and what a wallet lacks."""

from dataclasses import replace
from itertools import permutations

import pytest
from sqlalchemy import Engine

from tests.integration.families.desk import Desk, counting_statements
from tests.integration.families.test_wallets import args
from tests.unit.families.events import CAPTURED, event
from worker.providers.port import ProviderEvent

REFUND_A = event("refunded", 30, "re-a")
REFUND_B = event("refunded", 20, "re-b")
CHARGEBACK = event("chargeback", 100, "cb-1")
WON = event("chargeback_reversed")
STORY = [CAPTURED, REFUND_A, REFUND_B, CHARGEBACK, WON]


def of(reference: str, one: ProviderEvent) -> ProviderEvent:
    """The same event of another deposit, of its own payment."""
    return replace(one, reference=reference, object_id=f"pay-{reference}")


def sums(desk: Desk, reference: str = "ref-1") -> tuple[str, int, int, int]:
    row = desk.deposit(reference)
    return row["state"], row["captured_minor"], row["refunded_minor"], row["charged_back_minor"]


def test_a_captured_deposit_credits_its_owner_once(desk: Desk) -> None:
    desk.expect("ref-1")
    first, again = desk.hear(CAPTURED, CAPTURED)
    [later] = desk.hear(replace(CAPTURED, event_key="another event about it"))
    assert (first["state"], first["effect"]) == ("done", "captured")
    assert (again["effect"], again["cause"], later["cause"]) == ("ignored", "duplicate", "duplicate")
    assert (desk.wallet(), desk.balance("provider:sandbox:clearing")) == (100, -100)
    assert sums(desk) == ("captured", 100, 0, 0)
    [row] = desk.rows("SELECT kind, idempotency_key, subject FROM ledger_transactions")
    assert tuple(row.values()) == (
        "deposit.captured",
        "deposit:sandbox:ref-1:capture:cap-1",
        "deposit:sandbox:ref-1",
    )


@pytest.mark.parametrize("together", [True, False])
def test_every_order_of_a_story_with_duplicates_ends_the_same(desk: Desk, together: bool) -> None:
    orders = {f"r{number}": order for number, order in enumerate(permutations(STORY))}
    for reference in orders:
        desk.hand_in("deposits.expect", _announced(reference))
    desk.drain()
    doubled = {
        reference: [*order, *[one for one in order if one.part_id][:2]] for reference, order in orders.items()
    }
    for step in range(7):
        desk.tell(*(of(reference, told[step]) for reference, told in doubled.items()))
        if not together:
            desk.drain()
    desk.drain()
    assert {sums(desk, reference) for reference in orders} == {("captured", 100, 50, 0)}
    assert {desk.wallet(f"owner-{reference}") for reference in orders} == {50}
    assert desk.balance("suspense:shortfall") == 0
    assert desk.rows("SELECT DISTINCT state FROM jobs") == [{"state": "done"}]
    kinds = desk.rows(
        "SELECT subject, array_agg(kind ORDER BY kind) AS kinds FROM ledger_transactions GROUP BY 1"
    )
    assert len({tuple(row["kinds"]) for row in kinds}) == 1


def test_an_event_is_parked_until_its_deposit_is_announced(desk: Desk) -> None:
    [parked] = desk.hear(CAPTURED)
    assert (parked["state"], parked["error"]) == ("parked", "unknown_reference")
    desk.expect("ref-1")
    assert desk.wallet() == 100


def test_an_event_that_names_only_the_payment_finds_its_deposit(desk: Desk) -> None:
    dispute = replace(CHARGEBACK, reference="pi_123")
    [parked] = desk.hear(dispute)
    assert parked["state"] == "parked"
    desk.expect("ref-1")
    desk.hear(CAPTURED)
    assert sums(desk) == ("charged_back", 100, 0, 100)
    refund = replace(REFUND_A, reference=None)
    [done] = desk.hear(refund)
    assert done["effect"] == "refunded"


def test_a_payment_that_this_very_batch_tells_of_is_known_in_it(desk: Desk) -> None:
    desk.expect("ref-1")
    answers = desk.hear(replace(REFUND_A, reference=None), CAPTURED)
    assert [one["effect"] for one in answers] == ["refunded", "captured"]


def test_a_failure_is_followed_by_a_success_but_not_the_other_way_round(desk: Desk) -> None:
    desk.expect("ref-1")
    desk.hear(event("failed"))
    assert sums(desk)[0] == "failed"
    desk.hear(CAPTURED, event("failed"))
    assert (sums(desk)[0], desk.wallet()) == ("captured", 100)
    assert desk.counted("webhooks.event")["done", "impossible_move"] == 1


def test_a_wallet_that_is_empty_is_not_overdrawn_and_suspense_bears_the_rest(desk: Desk) -> None:
    desk.expect("ref-1")
    desk.hear(CAPTURED)
    desk.do("wallets.debit", args(80))
    desk.hear(CHARGEBACK)
    assert (desk.wallet(), desk.balance("suspense:shortfall")) == (0, -80)
    desk.hear(WON)
    assert (desk.wallet(), desk.balance("suspense:shortfall")) == (20, 0)


def test_the_books_hold_when_money_goes_back_and_returns_several_times(desk: Desk) -> None:
    desk.expect("ref-1")
    desk.hear(CAPTURED)
    desk.do("wallets.debit", args(90))
    second = replace(CHARGEBACK, part_id="cb-1:2")
    desk.hear(CHARGEBACK, REFUND_A, WON, second, event("refund_reversed", 30, "re-a"))
    assert (desk.wallet(), desk.balance("suspense:shortfall")) == (0, -90)
    assert sums(desk) == ("charged_back", 100, 0, 100)
    desk.hear(event("chargeback_reversed", 100, "cb-1:2"))
    assert (desk.wallet(), desk.balance("suspense:shortfall")) == (10, 0)


def test_refund_totals_and_refunds_tell_of_the_same_money(desk: Desk) -> None:
    desk.expect("ref-1")
    desk.hear(CAPTURED, event("refund_total", 30), REFUND_A, event("refund_total", 50), REFUND_B)
    assert (sums(desk), desk.wallet()) == (("captured", 100, 50, 0), 50)
    desk.hear(event("refund_reversed", 20, "re-b"), event("refund_total", 30))
    assert (sums(desk), desk.wallet()) == (("captured", 100, 30, 0), 70)


def test_a_payment_in_parts_is_credited_part_by_part(desk: Desk) -> None:
    desk.expect("ref-1")
    desk.hear(event("captured", 60, "cap-1"))
    desk.hear(event("captured", 40, "cap-2"))
    assert desk.wallet() == 100
    assert desk.counted("webhooks.event")["done", "amount_differs"] == 1
    desk.hear(event("capture_reversed", part="cap-2"))
    assert (desk.wallet(), sums(desk)) == (60, ("captured", 60, 0, 0))


def test_a_customer_who_paid_twice_has_the_second_payment_in_suspense(desk: Desk) -> None:
    desk.expect("ref-1")
    second = event("captured", 100, "cap-9", object_id="pay-9")
    desk.hear(CAPTURED, second)
    assert (desk.wallet(), desk.balance("suspense:duplicate_capture")) == (100, 100)
    assert desk.counted("webhooks.event")["done", "duplicate_capture"] == 1
    desk.hear(event("refunded", 100, "re-9", object_id="pay-9", reference=None))
    assert (desk.wallet(), desk.balance("suspense:duplicate_capture")) == (100, 0)
    assert sums(desk) == ("captured", 200, 100, 0)


def test_what_cannot_be_right_is_dead_with_its_cause_and_moves_nothing(desk: Desk) -> None:
    desk.expect("ref-1")
    wrong = [
        replace(CAPTURED, currency="USD"),
        event(None, problem="deposit.captured: data.id is missing"),
        event("refunded", 101, "re-1"),
    ]
    answers = desk.hear(*wrong, CAPTURED, replace(CAPTURED, amount_minor=99))
    assert [one.get("code") for one in answers] == [
        "currency_mismatch",
        "malformed_event",
        "exceeds_captured",
        None,
        "amount_conflict",
    ]
    assert answers[1]["error"] == "malformed_event: deposit.captured: data.id is missing"
    assert (desk.wallet(), sums(desk)) == (100, ("captured", 100, 0, 0))


def test_a_refund_of_more_than_was_expected_waits_for_the_capture_that_explains_it(desk: Desk) -> None:
    desk.expect("ref-1")
    [early] = desk.hear(event("refunded", 150, "re-1"))
    assert (early["state"], early["error"]) == ("parked", "awaiting_capture")
    desk.hear(replace(CAPTURED, amount_minor=150))
    assert (desk.wallet(), sums(desk)) == (0, ("refunded", 150, 150, 0))


@pytest.mark.parametrize("together", [True, False])
def test_one_payment_told_with_two_references_is_credited_once(desk: Desk, together: bool) -> None:
    desk.expect("ref-1")
    desk.expect("ref-2", owner="ben")
    first = desk.tell(CAPTURED)
    if not together:
        desk.drain()
    [again] = desk.hear(replace(CAPTURED, reference="ref-2"))
    assert (desk.outcome(first[0])["state"], again["state"]) == ("done", "dead")
    assert again["code"] == "reference_conflict"
    assert (desk.wallet("ada"), desk.wallet("ben")) == (100, 0)


def test_an_event_of_no_interest_is_done_and_counted(desk: Desk) -> None:
    [ignored] = desk.hear(event(None))
    assert (ignored["state"], ignored["effect"]) == ("done", "ignored")
    assert desk.counted("webhooks.event")["done", "unhandled_type"] == 1


def test_what_the_ledger_refuses_changes_no_facts_and_spoils_no_neighbour(desk: Desk) -> None:
    """The wallet cannot hold more than BIGINT: the capture is dead, what came with it is not."""
    desk.do("wallets.credit", args(2**63 - 1))
    desk.expect("ref-1")
    desk.expect("ref-2", owner="ben")
    answers = desk.hear(event("failed"), CAPTURED, REFUND_A, of("ref-2", CAPTURED))
    assert [one["state"] for one in answers] == ["done", "dead", "parked", "done"]
    assert answers[1]["code"] == "amount_out_of_range"
    assert (sums(desk), sums(desk, "ref-2")[0]) == (("failed", 0, 0, 0), "captured")


def test_two_providers_keep_their_deposits_apart(desk: Desk) -> None:
    desk.expect("ref-1")
    desk.expect("ref-1", owner="ben", provider="stripe")
    desk.hear(CAPTURED, provider="stripe")
    assert (desk.wallet("ada"), desk.wallet("ben")) == (0, 100)
    desk.hear(CAPTURED, REFUND_A)
    assert (desk.wallet("ada"), desk.wallet("ben")) == (70, 100)
    assert (desk.balance("provider:stripe:clearing"), desk.balance("provider:sandbox:clearing")) == (
        -100,
        -70,
    )


def test_a_tenant_cannot_move_the_deposit_of_another(desk: Desk, other_desk: Desk) -> None:
    desk.expect("ref-1")
    [parked] = other_desk.hear(CAPTURED)
    assert parked["state"] == "parked"
    other_desk.expect("ref-1", owner="eve", amount_minor=100)
    assert (desk.wallet("ada"), other_desk.wallet("eve")) == (0, 100)
    desk.hear(CAPTURED)
    desk.hear(CHARGEBACK)
    assert (desk.wallet("ada"), other_desk.wallet("eve")) == (0, 100)


def test_in_shadow_mode_a_wallet_goes_below_zero_and_comes_back(desk: Desk) -> None:
    desk.do("policies.set", {"ledger_mode": "shadow", "actor": "ops:dana", "reason": "roll-out"})
    desk.expect("ref-1")
    desk.hear(CAPTURED)
    desk.do("wallets.debit", args(80))
    desk.hear(CHARGEBACK)
    assert (desk.wallet(), desk.balance("suspense:shortfall")) == (-80, 0)
    desk.hear(WON)
    assert desk.wallet() == 20


def test_a_run_of_events_costs_the_same_statements_for_1_and_200_deposits(desk: Desk, engine: Engine) -> None:
    sent = []
    for numbers in (range(1), range(1, 201)):
        references = [f"r{number}" for number in numbers]
        desk.hand_in("deposits.expect", *map(_announced, references))
        desk.drain()
        for told in (CAPTURED, REFUND_A):
            desk.tell(*(of(reference, told) for reference in references))
            with counting_statements(engine) as statements:
                desk.drain()
            sent.append(len(statements))
    # The first ever event also opens the accounts that all share: that costs two statements more.
    assert sent[2] <= sent[0]
    assert sent[3] <= sent[1]


def _announced(reference: str) -> dict[str, object]:
    return {
        "provider": "sandbox",
        "reference": reference,
        "owner": f"owner-{reference}",
        "amount_minor": 100,
        "currency": "EUR",
    }
