"""What happens to a payout is told, each move once and in order; what did not happen is not."""

import pytest

from tests.integration.notifications.conftest import Office
from tests.integration.notifications.receiver import Receiver
from tests.integration.payouts.cashier import Cashier, ended
from tests.integration.payouts.conftest import accounts, cashier

__all__ = ["accounts", "cashier"]


def test_every_move_of_a_payout_arrives_in_order(
    office: Office, receiver: Receiver, cashier: Cashier
) -> None:
    payout_id = cashier.opened(250)
    cashier.attempt(payout_id, "declined")
    cashier.cooling(payout_id)
    cashier.attempt(payout_id, "returned", attempt_no=2)
    cashier.sent(payout_id, ended("paid") | {"attempts_made": 2})
    cashier.moved(payout_id, {"state": "returned", "failure_code": "account_closed"})
    while office.after(1):
        pass
    told = [delivery.verified() for delivery in receiver.deliveries]
    assert [one["type"] for one in told] == [
        "payout.approved", "payout.cooling", "payout.paid", "payout.returned"
    ]  # fmt: skip
    versions = [one["data"]["version"] for one in told]
    assert versions == sorted(set(versions))
    assert told[-1]["data"] == {
        "payout_id": str(payout_id),
        "subject": f"payout:{payout_id}",
        "version": cashier.payout(payout_id)["version"],
        "owner": "ada",
        "amount_minor": 250,
        "currency": "EUR",
        "provider": "sandbox",
        "state": "returned",
        "failure_code": "account_closed",
        "attempts_made": 2,
        "next_attempt_at": None,
    }


def test_a_move_that_was_rolled_back_is_not_told(
    office: Office, receiver: Receiver, cashier: Cashier
) -> None:
    payout_id = cashier.opened()
    with pytest.raises(Exception, match="is no move"):
        cashier.moved(payout_id, {"state": "cancelled", "next_attempt_at": None}, {"state": "paid"})
    office.tick()
    assert [one.type for one in receiver.deliveries] == ["payout.approved"]


def test_a_refused_request_is_no_news(office: Office, receiver: Receiver, cashier: Cashier) -> None:
    [outcome] = cashier.request(5000)
    assert outcome["code"] == "insufficient_funds"
    assert office.tick() == []
    assert receiver.deliveries == []
