"""Events about payouts that nobody knows, that are not ours, or that do not fit what we know."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from uuid import uuid4

import pytest

from models.jobs.claim import wake
from models.payouts.payout import attempt_reference
from models.payouts.rows import wait_keys
from models.tenants import sync_notified
from tests.integration.families.desk import Desk
from tests.integration.payouts.event_desk import AMOUNT, EventDesk
from tests.integration.payouts.histories import Histories
from worker.database import Transaction


@pytest.fixture
def desk(transaction: Transaction, tenant: str, now: datetime) -> Iterator[EventDesk]:
    """The desk of "acme"; the books must hold whatever a test did."""
    with transaction() as session:
        sync_notified(session, ["acme"])
    desk = EventDesk(transaction, tenant, now, Histories(transaction, now))
    yield desk
    desk.check_books()


class TestStrangers:
    def test_an_event_before_our_record_waits_for_it(self, desk: EventDesk) -> None:
        payout_id = desk.payout_in()
        told = desk.told(payout_id, "payout_paid", 2)
        [parked] = desk.hear(told)
        assert (parked["state"], parked["error"]) == ("parked", "unknown_reference")
        desk.histories.claim(payout_id)
        with desk.transaction() as session:
            woken = wake(session, "acme", wait_keys("sandbox", attempt_reference(payout_id, 1)), now=desk.now)
        assert woken == 1
        desk.drain()
        assert desk.state(payout_id) == "paid"

    def test_or_for_its_turn(self, desk: EventDesk) -> None:
        payout_id = desk.payout_in()
        desk.hear(desk.told(payout_id, "payout_paid", 2))
        desk.histories.claim(payout_id)
        desk.later()
        assert desk.state(payout_id) == "paid"

    def test_a_payout_that_is_not_ours_is_let_go(self, desk: EventDesk) -> None:
        told = replace(desk.told(uuid4(), "payout_paid", 17950000001), reference=None)
        [gone] = desk.hear(told)
        assert (gone["state"], gone["cause"]) == ("done", "not_ours")

    def test_one_that_names_only_the_providers_id_is_found_by_it(self, desk: EventDesk) -> None:
        payout_id = desk.payout_in("claim", "submit")
        desk.hear(replace(desk.told(payout_id, "payout_paid", 2), reference=None))
        assert desk.state(payout_id) == "paid"

    def test_the_event_of_another_tenant_moves_nothing(self, desk: EventDesk) -> None:
        payout_id = desk.payout_in("claim", "submit")
        [parked] = Desk(desk.transaction, "globex", desk.now).hear(desk.told(payout_id, "payout_failed", 2))
        assert (parked["state"], desk.state(payout_id)) == ("parked", "submitted")

    def test_nor_does_that_of_another_account(self, desk: EventDesk) -> None:
        payout_id = desk.payout_in("claim", "submit")
        [parked] = desk.hear(desk.told(payout_id, "payout_failed", 2), provider="stripe")
        assert (parked["state"], desk.state(payout_id)) == ("parked", "submitted")

    @pytest.mark.parametrize("change", [{"amount_minor": AMOUNT - 1}, {"currency": "USD"}])
    def test_another_amount_is_dead(self, desk: EventDesk, change: dict[str, object]) -> None:
        payout_id = desk.payout_in("claim", "submit")
        told = replace(desk.told(payout_id, "payout_paid", 2), **change)  # type: ignore[arg-type]
        [dead] = desk.hear(told)
        assert (dead["state"], dead["code"], desk.state(payout_id)) == (
            "dead",
            "amount_conflict",
            "submitted",
        )

    def test_a_reference_and_an_id_of_two_payouts_are_dead(self, desk: EventDesk) -> None:
        one, other = desk.payout_in("claim", "submit"), desk.payout_in("claim", "submit")
        told = replace(desk.told(one, "payout_paid", 2), object_id=desk.told(other, "payout_paid").object_id)
        [dead] = desk.hear(told)
        assert (dead["code"], desk.state(one), desk.state(other)) == (
            "reference_conflict",
            "submitted",
            "submitted",
        )

    def test_a_second_object_of_one_reference_is_a_finding(self, desk: EventDesk) -> None:
        payout_id = desk.payout_in("claim", "submit", "pay")
        [other] = desk.hear(replace(desk.told(payout_id, "payout_failed", 3), object_id="po_other"))
        assert (other["cause"], desk.state(payout_id)) == ("other_object", "paid")
        assert desk.findings(payout_id) == ["duplicate_at_provider"]


class TestWhatDoesNotFit:
    def test_what_an_older_attempt_does_beside_a_live_one_is_a_finding(self, desk: EventDesk) -> None:
        payout_id = desk.payout_in("claim", "decline")
        desk.histories.claim(payout_id, 2)
        [told] = desk.hear(desk.told(payout_id, "payout_paid", 2))
        assert (told["cause"], desk.state(payout_id)) == ("superseded", "sending")
        assert (desk.ledger(payout_id), desk.findings(payout_id)) == (["hold.placed"], ["status_mismatch"])

    def test_the_next_attempt_that_waits_is_abandoned_when_the_older_was_done(self, desk: EventDesk) -> None:
        payout_id = desk.payout_in("claim", "decline")
        desk.histories.claim(payout_id, 2)
        desk.histories.step(payout_id, "cooling", "answer", attempt_no=2, next_attempt_at=desk.histories.now)
        desk.histories.attempt_is(payout_id, "not_sent", "throttled")
        desk.hear(desk.told(payout_id, "payout_paid", 2))
        assert (desk.state(payout_id), desk.attempts(payout_id)) == ("paid", ["paid", "abandoned"])

    def test_paid_after_we_gave_the_money_back_posts_nothing(self, desk: EventDesk) -> None:
        """A person had marked it failed."""
        payout_id = desk.payout_in("claim", "doubt")
        desk.histories.step(payout_id, "failed", "person", failure_code="marked_failed", attempt_no=1)
        desk.histories.attempt_is(payout_id, "failed", "marked_failed")
        for _ in range(2):
            [told] = desk.hear(desk.told(payout_id, "payout_paid", 2))
            assert (told["cause"], desk.state(payout_id)) == ("impossible_move", "failed")
        assert desk.findings(payout_id) == ["status_mismatch"]
        [late] = desk.hear(desk.told(payout_id, "payout_submitted", 1))
        assert late["cause"] == "stale"

    def test_what_a_person_marked_paid_may_still_come_back(self, desk: EventDesk) -> None:
        payout_id = desk.payout_in("claim", "doubt")
        desk.histories.step(payout_id, "paid", "person", attempt_no=1)
        desk.histories.attempt_is(payout_id, "paid")
        first, second = desk.hear(
            desk.told(payout_id, "payout_paid", 2), desk.told(payout_id, "payout_failed", 3)
        )
        assert (first["cause"], second["effect"]) == ("duplicate", "payout_failed")
        assert (desk.state(payout_id), desk.findings(payout_id)) == ("returned", ["late_reversal"])

    def test_paid_after_it_was_cancelled_is_a_finding(self, desk: EventDesk) -> None:
        payout_id = desk.payout_in("claim", "not_sent")
        desk.histories.step(payout_id, "cancelled", "person", actor="boss", reason="no")
        desk.histories.attempt_is(payout_id, "abandoned")
        [told] = desk.hear(desk.told(payout_id, "payout_paid", 2))
        assert (told["cause"], desk.findings(payout_id)) == ("impossible_move", ["status_mismatch"])
        assert desk.wallet() == AMOUNT
