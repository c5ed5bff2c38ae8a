"""Webhooks move payouts on a real ledger: duplicate, reordered, late, forged, too early, of strangers."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import pytest
from sqlalchemy import Engine

from models.payouts.states import MOVES
from models.tenants import sync_notified
from tests.factories import credit_args
from tests.integration.families.desk import counting_statements
from tests.integration.payouts.event_desk import AMOUNT, EventDesk
from tests.integration.payouts.histories import Histories
from tests.unit.families.events import CAPTURED
from worker.database import Transaction
from worker.providers.port import PayoutMove


@pytest.fixture
def desk(transaction: Transaction, tenant: str, now: datetime) -> Iterator[EventDesk]:
    """The desk of "acme"; the books must hold whatever a test did."""
    with transaction() as session:
        sync_notified(session, ["acme"])
    desk = EventDesk(transaction, tenant, now, Histories(transaction, now))
    yield desk
    desk.check_books()


def test_the_database_has_the_codes_moves(desk: EventDesk) -> None:
    rows = desk.rows("SELECT from_state, to_state FROM payout_moves")
    assert {(row["from_state"], row["to_state"]) for row in rows} == {
        (before, after) for before, afters in MOVES.items() for after in afters
    }


class TestOneEvent:
    def test_a_paid_payout_is_captured_once(self, desk: EventDesk) -> None:
        payout_id = desk.payout_in("claim", "submit")
        paid = desk.told(payout_id, "payout_paid", 2)
        first, again = desk.hear(paid, paid)
        assert (first["effect"], first["state"], first["payout_id"]) == (
            "payout_paid",
            "paid",
            str(payout_id),
        )
        assert (again["effect"], again["cause"]) == ("ignored", "duplicate")
        assert desk.ledger(payout_id) == ["hold.placed", "hold.captured"]
        assert (desk.wallet(), desk.balance("provider:sandbox:clearing")) == (0, AMOUNT)
        assert (desk.state(payout_id), desk.attempts(payout_id)) == ("paid", ["paid"])
        assert desk.told_upstream(payout_id) == ["payout.approved", "payout.submitted", "payout.paid"]
        assert desk.notes(payout_id) == ["duplicate"]

    def test_a_failed_one_gives_the_money_back(self, desk: EventDesk) -> None:
        payout_id = desk.payout_in("claim", "submit")
        desk.hear(desk.told(payout_id, "payout_failed", 2, code="account_closed"))
        row = desk.payout(payout_id)
        assert (row["state"], row["failure_code"]) == ("failed", "account_closed")
        assert (desk.wallet(), desk.ledger(payout_id)) == (AMOUNT, ["hold.placed", "hold.released"])
        assert (desk.attempts(payout_id), desk.findings(payout_id)) == (["failed"], [])

    def test_one_that_fails_without_a_reason_has_one_of_ours(self, desk: EventDesk) -> None:
        payout_id = desk.payout_in("claim", "submit")
        desk.hear(desk.told(payout_id, "payout_failed", 2))
        assert desk.payout(payout_id)["failure_code"] == "provider_failed"

    @pytest.mark.parametrize("move", ["payout_failed", "payout_returned"])
    def test_a_paid_one_that_comes_back_is_compensated_once(self, desk: EventDesk, move: PayoutMove) -> None:
        payout_id = desk.payout_in("claim", "submit", "pay")
        back = desk.told(payout_id, move, 3, code="account_closed")
        desk.hear(back)
        desk.hear(back, replace(back, sequence=4), replace(back, event_key="again"))
        row = desk.payout(payout_id)
        assert (row["state"], row["failure_code"]) == ("returned", "account_closed")
        assert desk.ledger(payout_id) == ["hold.placed", "hold.captured", "payout.returned"]
        assert (desk.wallet(), desk.balance("provider:sandbox:clearing")) == (AMOUNT, 0)
        assert desk.findings(payout_id) == ["late_reversal"]
        [finding] = desk.rows("SELECT times_seen, amount_minor, currency FROM reconciliation_findings")
        assert tuple(finding.values()) == (1, AMOUNT, "EUR")
        assert desk.counted("webhooks.event")["done", "late_reversal"] == 1

    @pytest.mark.parametrize(
        "ways",
        [("claim",), ("claim", "submit"), ("claim", "doubt"), ("claim", "not_sent"), ("claim", "decline")],
    )
    @pytest.mark.parametrize(
        ("move", "kinds"),
        [
            ("payout_submitted", ["hold.placed"]),
            ("payout_paid", ["hold.placed", "hold.captured"]),
            ("payout_returned", ["hold.placed", "hold.captured", "payout.returned"]),
        ],
    )
    def test_whatever_we_believed_the_provider_is_right(
        self, desk: EventDesk, ways: tuple[str, ...], move: PayoutMove, kinds: list[str]
    ) -> None:
        payout_id = desk.payout_in(*ways)
        desk.hear(desk.told(payout_id, move, 1))
        desk.later()  # of a declined one, that it was taken
        row, state = desk.payout(payout_id), move.removeprefix("payout_")
        assert (row["state"], desk.attempts(payout_id), desk.ledger(payout_id)) == (state, [state], kinds)
        assert (row["attempts_made"], row["provider_reference"]) == (1, f"po_{payout_id.hex[-6:]}")
        assert desk.findings(payout_id) == (["late_reversal"] if state == "returned" else [])

    @pytest.mark.parametrize(
        "ways", [("claim",), ("claim", "submit"), ("claim", "doubt"), ("claim", "not_sent")]
    )
    def test_a_failure_is_believed_in_every_open_state(self, desk: EventDesk, ways: tuple[str, ...]) -> None:
        payout_id = desk.payout_in(*ways)
        desk.hear(desk.told(payout_id, "payout_failed", 2))
        assert (desk.state(payout_id), desk.attempts(payout_id)) == ("failed", ["failed"])

    def test_that_a_declined_attempt_failed_is_known(self, desk: EventDesk) -> None:
        payout_id = desk.payout_in("claim", "decline")
        [known] = desk.hear(desk.told(payout_id, "payout_failed", 2))
        assert (known["cause"], desk.state(payout_id), desk.attempts(payout_id)) == (
            "known_failure",
            "cooling",
            ["failed"],
        )
        [stale] = desk.hear(desk.told(payout_id, "payout_submitted", 1))
        assert (stale["cause"], desk.state(payout_id)) == ("stale", "cooling")

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    @pytest.mark.parametrize("together", [True, False])
    def test_what_adyen_refused_by_answer_is_tried_again_whatever_it_tells_of_it(
        self, desk: EventDesk, order: tuple[int, int], together: bool
    ) -> None:
        payout_id = desk.payout_in("claim", "decline")
        story = [desk.told(payout_id, "payout_submitted", 1), desk.told(payout_id, "payout_failed", 2)]
        for batch in [order] if together else [(order[0],), (order[1],)]:
            desk.hear(*(story[position] for position in batch))
        desk.later()
        assert (desk.state(payout_id), desk.attempts(payout_id)) == ("cooling", ["failed"])
        assert sorted(desk.notes(payout_id)) == ["known_failure", "stale"]

    def test_a_lost_attempt_counts_once_it_is_known_to_be_sent(self, desk: EventDesk) -> None:
        payout_id = desk.payout_in("claim")
        desk.histories.step(payout_id, "in_doubt", "lost", in_doubt_since=desk.now, next_lookup_at=desk.now)
        desk.histories.attempt_is(payout_id, "in_doubt", "lost")
        assert desk.payout(payout_id)["attempts_made"] == 0
        desk.hear(desk.told(payout_id, "payout_submitted", 1))
        assert desk.payout(payout_id)["attempts_made"] == 1

    def test_the_time_of_the_money_is_the_providers(self, desk: EventDesk) -> None:
        payout_id = desk.payout_in("claim", "submit")
        desk.hear(desk.told(payout_id, "payout_paid", 2, occurred_at="2026-03-13T08:00:00+00:00"))
        [row] = desk.rows("SELECT occurred_at FROM ledger_transactions WHERE kind = 'hold.captured'")
        assert row["occurred_at"].isoformat() == "2026-03-13T08:00:00+00:00"

    def test_its_history_names_the_event_and_the_job(self, desk: EventDesk) -> None:
        payout_id = desk.payout_in("claim", "submit")
        [job_id] = desk.tell(desk.told(payout_id, "payout_paid", 2, event_key="evt_77"))
        desk.drain()
        [row] = desk.rows(
            "SELECT * FROM payout_events WHERE payout_id = :id AND to_state = 'paid'", id=payout_id
        )
        assert (row["cause"], row["attempt_no"], row["job_id"], row["detail"]["event"]) == (
            "webhook",
            1,
            job_id,
            "evt_77",
        )
        assert row["transaction_id"] is not None


class TestTheOrder:
    def test_events_of_one_run_are_taken_in_the_providers_order(self, desk: EventDesk) -> None:
        payout_id = desk.payout_in("claim")
        told = [desk.told(payout_id, "payout_failed", 3), desk.told(payout_id, "payout_paid", 2),
                desk.told(payout_id, "payout_submitted", 1)]  # fmt: skip
        assert [one["effect"] for one in desk.hear(*told)] == [
            "payout_failed",
            "payout_paid",
            "payout_submitted",
        ]
        assert desk.ledger(payout_id) == ["hold.placed", "hold.captured", "payout.returned"]

    def test_a_failure_waits_for_the_payment_it_undoes(self, desk: EventDesk) -> None:
        payout_id = desk.payout_in("claim", "submit")
        [early] = desk.hear(desk.told(payout_id, "payout_failed", 3))
        assert (early["state"], early["error"], desk.state(payout_id)) == (
            "parked",
            "awaiting_earlier",
            "submitted",
        )
        desk.hear(desk.told(payout_id, "payout_paid", 2))
        assert (desk.state(payout_id), desk.findings(payout_id)) == ("returned", ["late_reversal"])

    def test_it_does_not_wait_for_ever(self, desk: EventDesk) -> None:
        payout_id = desk.payout_in("claim", "submit")
        desk.hear(desk.told(payout_id, "payout_failed", 3))
        desk.later(60)
        assert (desk.state(payout_id), desk.wallet()) == ("failed", AMOUNT)
        [late] = desk.hear(desk.told(payout_id, "payout_paid", 2))
        assert (late["cause"], desk.state(payout_id), desk.findings(payout_id)) == (
            "stale",
            "failed",
            ["late_reversal"],
        )
        assert desk.ledger(payout_id) == ["hold.placed", "hold.released"]

    def test_what_only_repeats_the_state_is_remembered_for_the_order(self, desk: EventDesk) -> None:
        """Adyen: received, authorised, failed."""
        payout_id = desk.payout_in("claim", "submit")
        desk.hear(desk.told(payout_id, "payout_submitted", 1))
        desk.hear(desk.told(payout_id, "payout_submitted", 2))
        version = desk.payout(payout_id)["version"]
        desk.hear(desk.told(payout_id, "payout_failed", 3))
        row = desk.payout(payout_id)
        assert (row["state"], row["sequence"], row["version"]) == ("failed", 3, version + 1)

    def test_the_count_of_one_attempt_is_not_that_of_the_next(self, desk: EventDesk) -> None:
        payout_id = desk.payout_in("claim", "decline")
        desk.hear(desk.told(payout_id, "payout_failed", 2))
        desk.hear(desk.told(payout_id, "payout_failed", 7))
        desk.histories.claim(payout_id, 2)
        desk.hear(desk.told(payout_id, "payout_failed", 8))
        desk.hear(desk.told(payout_id, "payout_submitted", 1, number=2, object_id="po-2"))
        desk.hear(desk.told(payout_id, "payout_paid", 2, number=2, object_id="po-2"))
        assert (desk.state(payout_id), desk.attempts(payout_id)) == ("paid", ["failed", "paid"])

    def test_stripes_failure_is_told_without_a_count_and_does_not_wait(self, desk: EventDesk) -> None:
        payout_id = desk.payout_in("claim", "submit")
        desk.hear(desk.told(payout_id, "payout_failed", 17950000002))
        [late] = desk.hear(desk.told(payout_id, "payout_paid", 17950000001))
        assert (desk.state(payout_id), late["cause"]) == ("failed", "stale")
        assert (desk.findings(payout_id), desk.wallet()) == (["late_reversal"], AMOUNT)


class TestOneBatch:
    def test_the_number_of_statements_does_not_grow_with_the_payouts(
        self, desk: EventDesk, engine: Engine
    ) -> None:
        def hearing(count: int) -> int:
            ids = [desk.payout_in("claim") for _ in range(count)]
            moves: tuple[PayoutMove, ...] = (
                "payout_submitted",
                "payout_paid",
                "payout_failed",
                "payout_paid",
            )
            desk.tell(*(desk.told(one, move, nth + 1) for one in ids for nth, move in enumerate(moves)))
            with counting_statements(engine) as sent:
                desk.drain()
            assert {desk.state(one) for one in ids} == {"returned"}
            return len(sent)

        hearing(1)  # the accounts are made
        assert hearing(1) == hearing(12)

    def test_deposits_payouts_and_wallets_of_one_batch_each_get_theirs(self, desk: EventDesk) -> None:
        payout_id = desk.payout_in("claim", "submit")
        desk.expect("ref-1")
        desk.hand_in("wallets.credit", credit_args("ada", 7))
        [first] = desk.tell(CAPTURED)
        [second] = desk.tell(desk.told(payout_id, "payout_failed", 2))
        desk.hand_in("wallets.debit", credit_args("ada", 600))
        [third] = desk.tell(desk.told(UUID(int=1), "payout_paid", 2))
        desk.drain()
        effects = [desk.outcome(one).get("effect") for one in (first, second)]
        assert (effects, desk.outcome(third)["state"]) == (["captured", "payout_failed"], "parked")
        assert desk.wallet() == 100 + 7 + AMOUNT - 600

    def test_payouts_and_deposits_are_locked_before_any_account(
        self, desk: EventDesk, engine: Engine
    ) -> None:
        """Else a drain and an attempt would wait for each other."""
        payout_id = desk.payout_in("claim", "submit")
        desk.expect("ref-1")
        desk.tell(CAPTURED, desk.told(payout_id, "payout_paid", 2))
        with counting_statements(engine) as sent:
            desk.drain()
        locks = [nth for nth, one in enumerate(sent) if "FOR NO KEY UPDATE" in one or "FOR UPDATE" in one]
        first = {
            name: next(nth for nth in locks if f"FROM {name}" in sent[nth] or f"JOIN {name}" in sent[nth])
            for name in ("payouts", "deposits", "accounts")
        }
        assert max(first["payouts"], first["deposits"]) < first["accounts"]
