"""Adyen: captures, disputes and what comes back, with and without `originalReference`."""

from itertools import permutations

import pytest

from tests.integration.stories.conftest import Story
from tests.unit.providers.vendors import Event, adyen_item

PAYMENT, DISPUTE, CAPTURE = "PAYMENT000000001", "DISPUTE000000001", "CAPTURE000000001"
AUTHORISED = adyen_item("AUTHORISATION", PAYMENT)
CHARGEBACK = adyen_item("CHARGEBACK", DISPUTE, original=PAYMENT)


def won(psp: str, original: str | None = None, value: int = 10000) -> Event:
    return adyen_item("CHARGEBACK_REVERSED", psp, value, original=original)


def second(psp: str, original: str | None = None, value: int = 10000) -> Event:
    return adyen_item("SECOND_CHARGEBACK", psp, value, original=original)


IDS = [(DISPUTE, PAYMENT), (PAYMENT, None), (DISPUTE, None)]
"""(pspReference, originalReference) of a dispute's later events: with the setting, and two ways without it."""


@pytest.mark.parametrize(("psp", "original"), IDS)
@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_won_dispute_gives_the_money_back_however_it_names_the_payment(
    adyen: Story, psp: str, original: str | None, order: tuple[int, ...]
) -> None:
    told = [AUTHORISED, CHARGEBACK, won(psp, original)]
    adyen.hear(*(told[n] for n in order))
    assert (adyen.wallet, adyen.state, adyen.settled()) == (10000, "captured", True)


@pytest.mark.parametrize(("psp", "original"), IDS)
@pytest.mark.parametrize("turned", ["as told", "backwards", "together", "doubled"])
def test_a_second_chargeback_with_fees_is_taken_and_suspense_bears_the_fees(
    adyen: Story, psp: str, original: str | None, turned: str
) -> None:
    told = [AUTHORISED, CHARGEBACK, won(psp, original), second(psp, original, 11500)]
    if turned == "backwards":
        told.reverse()
    adyen.hear(*(told * 2 if turned == "doubled" else told), together=turned == "together")
    assert (adyen.wallet, adyen.shortfall, adyen.state) == (0, -1500, "charged_back")
    assert adyen.findings() == {"disputed_more_than_captured": 1500}
    assert adyen.settled()


def test_a_reversal_of_nothing_waits_and_is_not_done(adyen: Story) -> None:
    adyen.hear(AUTHORISED, won(PAYMENT))
    [waiting] = adyen.jobs("parked")
    assert waiting["last_error"] == "awaiting_chargeback"
    adyen.hear(CHARGEBACK)
    assert (adyen.wallet, adyen.settled()) == (10000, True)


def test_a_dispute_of_one_of_two_payments_finds_its_own(adyen: Story) -> None:
    """Without `originalReference` and with an id that nobody knows, nobody guesses which of two it is."""
    other = adyen_item("AUTHORISATION", "PAYMENT000000002", 4000)
    first = adyen_item("AUTHORISATION", PAYMENT, 6000)
    adyen.hear(first, other, adyen_item("CHARGEBACK", DISPUTE, 6000, original=PAYMENT))
    assert (adyen.wallet, adyen.settled()) == (4000, True)
    adyen.hear(won("PAYMENT000000002", value=4000))
    assert [job["last_error"] for job in adyen.jobs("parked")] == ["awaiting_chargeback"]
    adyen.hear(won(PAYMENT, value=6000))
    assert adyen.wallet == 10000


def test_a_dispute_that_is_won_in_part_gives_back_that_part(adyen: Story) -> None:
    adyen.hear(AUTHORISED, CHARGEBACK, won(DISPUTE, PAYMENT, 7000))
    assert (adyen.wallet, adyen.state, adyen.settled()) == (7000, "charged_back", True)


@pytest.mark.parametrize("reference", ["refund-77", ""])
def test_a_modification_is_found_by_the_payment_and_not_by_its_own_reference(
    adyen_by_hand: Story, reference: str
) -> None:
    """Its `merchantReference` may be one of its own: the payment is known since its authorisation."""
    story = adyen_by_hand
    capture = adyen_item("CAPTURE", CAPTURE, 10000, original=PAYMENT, merchantReference=reference)
    refunded = adyen_item("REFUND", "REFUND0000000001", 4000, original=PAYMENT, merchantReference=reference)
    story.hear(AUTHORISED, capture, refunded)
    assert (story.wallet, story.settled()) == (6000, True)


@pytest.mark.parametrize("turned", ["as told", "backwards"])
def test_two_disputes_of_one_payment_that_name_it_alone_are_reversed_one_by_one(
    adyen: Story, turned: str
) -> None:
    other = adyen_item("CHARGEBACK", "DISPUTE000000002", 4000, original=PAYMENT)
    first = adyen_item("CHARGEBACK", DISPUTE, 6000, original=PAYMENT)
    adyen.hear(AUTHORISED, first, won(PAYMENT, value=6000))
    late = [other, adyen_item("CHARGEBACK_REVERSED", PAYMENT, 4000, eventDate="2026-12-02T09:00:00+01:00")]
    adyen.hear(*(late if turned == "as told" else late[::-1]))
    assert (adyen.wallet, adyen.settled()) == (10000, True)


def test_a_won_arbitration_credits_once(adyen: Story) -> None:
    adyen.hear(AUTHORISED, CHARGEBACK, adyen_item("PREARBITRATION_WON", PAYMENT), won(PAYMENT))
    assert (adyen.wallet, adyen.settled()) == (10000, True)


def test_a_capture_that_is_reported_after_it_failed_is_for_a_person(adyen_by_hand: Story) -> None:
    story = adyen_by_hand
    capture = adyen_item("CAPTURE", CAPTURE, 10000, original=PAYMENT)
    failed = adyen_item(
        "CAPTURE_FAILED", CAPTURE, 10000, original=PAYMENT, eventDate="2026-12-01T09:00:00+01:00"
    )
    again = {**capture, "eventDate": "2026-12-04T09:00:00+01:00", "reason": "Transaction Recaptured"}
    story.hear(AUTHORISED, capture, failed, {**capture, "reason": "sent again"})
    assert (story.wallet, story.settled()) == (0, True)
    story.hear(again)
    assert [job["last_error"].split(":")[0] for job in story.jobs("dead")] == ["captured_again"]
    story.hear(adyen_item("CAPTURE", "CAPTURE000000002", 10000, original=PAYMENT))
    assert story.wallet == 10000


@pytest.mark.parametrize("original", [PAYMENT, None])
@pytest.mark.parametrize("code", ["CANCELLATION", "TECHNICAL_CANCEL"])
def test_a_cancelled_authorisation_takes_the_credit_back(
    adyen: Story, code: str, original: str | None
) -> None:
    adyen.hear(AUTHORISED, adyen_item(code, "CANCEL0000000001", original=original))
    assert (adyen.wallet, adyen.state, adyen.settled()) == (0, "failed", True)


@pytest.mark.parametrize("value", [10000, 4000])
@pytest.mark.parametrize("turned", ["as told", "backwards", "doubled"])
def test_a_settled_capture_that_is_reversed_is_taken_back(adyen: Story, value: int, turned: str) -> None:
    reversed_ = adyen_item("SETTLED_REVERSED", "REVERSED00000001", value, original=PAYMENT)
    told = [AUTHORISED, reversed_]
    adyen.hear(*{"backwards": told[::-1], "doubled": told * 2}.get(turned, told))
    assert (adyen.wallet, adyen.settled()) == (10000 - value, True)
    assert adyen.state == ("failed" if value == 10000 else "captured")


def test_a_settled_capture_of_an_account_with_captures_is_taken_back(adyen_by_hand: Story) -> None:
    story = adyen_by_hand
    story.hear(AUTHORISED, adyen_item("CAPTURE", CAPTURE, 10000, original=PAYMENT))
    story.hear(adyen_item("SETTLED_REVERSED", "REVERSED00000001", 10000, original=PAYMENT))
    assert (story.wallet, story.state, story.settled()) == (0, "failed", True)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_captures_by_hand_of_an_automatic_account_say_what_the_payment_is_worth(
    adyen: Story, order: tuple[int, ...]
) -> None:
    told = [
        AUTHORISED,
        adyen_item("CAPTURE", CAPTURE, 2500, original=PAYMENT),
        adyen_item("CAPTURE", "CAPTURE000000002", 3500, original=PAYMENT),
    ]
    adyen.hear(*(told[n] for n in order))
    assert (adyen.wallet, adyen.shortfall, adyen.settled()) == (6000, 0, True)


def test_the_capture_of_all_of_it_on_an_automatic_account_changes_nothing(adyen: Story) -> None:
    adyen.hear(AUTHORISED, adyen_item("CAPTURE", CAPTURE, 10000, original=PAYMENT))
    assert (adyen.wallet, adyen.settled()) == (10000, True)
    adyen.hear(adyen_item("CAPTURE_FAILED", CAPTURE, 10000, original=PAYMENT))
    assert (adyen.wallet, adyen.state) == (0, "failed")


def test_a_capture_that_fails_on_an_automatic_account_takes_the_payment_back(adyen: Story) -> None:
    adyen.hear(AUTHORISED, adyen_item("CAPTURE_FAILED", CAPTURE, 10000, original=PAYMENT))
    assert (adyen.wallet, adyen.state, adyen.settled()) == (0, "failed", True)


def test_a_cancellation_after_a_partial_capture_leaves_what_was_captured(adyen: Story) -> None:
    adyen.hear(AUTHORISED, adyen_item("CAPTURE", CAPTURE, 6000, original=PAYMENT))
    adyen.hear(adyen_item("CANCELLATION", "CANCEL0000000001", 10000, original=PAYMENT))
    assert (adyen.wallet, adyen.settled()) == (6000, True)


@pytest.mark.parametrize("code", ["OFFER_CLOSED", "EXPIRE"])
def test_an_offer_that_closes_ends_the_deposit_and_frees_its_limit(adyen: Story, code: str) -> None:
    adyen.desk.do("policies.set", {"daily_deposit_limit_minor": 10000, "actor": "ops:dana", "reason": "test"})
    adyen.hear(adyen_item(code, PAYMENT))
    assert (adyen.state, adyen.settled()) == ("failed", True)
    [taken] = adyen.desk.expect("order-2", amount_minor=10000, provider="adyen")
    assert taken["state"] == "done"


def test_a_payment_after_a_closed_offer_is_credited_and_a_late_closing_ends_nothing(adyen: Story) -> None:
    closed = adyen_item("OFFER_CLOSED", "OFFER00000000001")
    adyen.hear(closed, AUTHORISED)
    assert (adyen.wallet, adyen.state) == (10000, "captured")
    adyen.hear(adyen_item("OFFER_CLOSED", "OFFER00000000002"))
    assert (adyen.wallet, adyen.state, adyen.settled()) == (10000, "captured", True)


@pytest.mark.parametrize("success", ["true", "false"])
def test_what_no_list_has_waits_for_a_person(adyen: Story, success: object) -> None:
    adyen.hear(AUTHORISED, adyen_item("MONEY_TELEPORTED", "TELEPORT00000001", success=success))
    [waiting] = adyen.jobs("parked", "dead")
    assert (waiting["state"], waiting["last_error"]) == ("parked", "unknown_event_type")
    assert adyen.wallet == 10000


@pytest.mark.parametrize(
    "code", ["REPORT_AVAILABLE", "NOTIFICATION_OF_CHARGEBACK", "ORDER_CLOSED", "RECURRING_CONTRACT"]
)
def test_what_is_known_to_move_no_money_is_done(adyen: Story, code: str) -> None:
    adyen.hear(adyen_item(code, "OTHER00000000001"))
    assert (adyen.state, adyen.settled()) == ("expected", True)


def test_a_reversed_refund_comes_back_and_a_failed_one_never_left(adyen: Story) -> None:
    def refund(code: str, psp: str, success: str = "true") -> Event:
        return adyen_item(code, psp, 4000, original=PAYMENT, success=success)

    adyen.hear(
        AUTHORISED, refund("REFUND", "REFUND0000000001"), refund("REFUND", "REFUND0000000002", "false")
    )
    assert adyen.wallet == 6000
    adyen.hear(refund("REFUNDED_REVERSED", "REFUND0000000001"))
    assert (adyen.wallet, adyen.settled()) == (10000, True)


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_refused_attempts_and_their_closed_offers_end_nothing_that_was_paid(
    adyen: Story, order: tuple[int, ...]
) -> None:
    told = [
        adyen_item("AUTHORISATION", "ATTEMPT000000001", success="false"),
        AUTHORISED,
        adyen_item(
            "AUTHORISATION", "ATTEMPT000000001", success="false", eventDate="2026-11-30T10:00:00+01:00"
        ),
        adyen_item("OFFER_CLOSED", "ATTEMPT000000001"),
    ]
    adyen.hear(*(told[n] for n in order))
    assert (adyen.wallet, adyen.state, adyen.settled()) == (10000, "captured", True)


@pytest.mark.parametrize("action", ["refund", "cancel", None])
def test_what_is_cancelled_or_refunded_goes_back_whichever_it_became(
    adyen: Story, action: str | None
) -> None:
    """Which of the two it became is not signed, and the same for the wallet of an automatic account."""
    data = {} if action is None else {"modification.action": action}
    adyen.hear(
        AUTHORISED,
        adyen_item("MANUAL_REVIEW_REJECT", PAYMENT),
        adyen_item("CANCEL_OR_REFUND", "MODIFIED00000001", original=PAYMENT, additionalData=data),
        adyen_item("REFUND", "REFUND0000000001", original=PAYMENT, success="false"),
    )
    assert (adyen.wallet, adyen.settled()) == (0, True)


def test_a_capture_that_is_refused_changes_nothing(adyen_by_hand: Story) -> None:
    story = adyen_by_hand
    refused = adyen_item("CAPTURE", "CAPTURE000000002", 4000, original=PAYMENT, success="false")
    story.hear(AUTHORISED, adyen_item("CAPTURE", CAPTURE, 6000, original=PAYMENT), refused)
    assert (story.wallet, story.settled()) == (6000, True)


@pytest.mark.parametrize("turned", ["as told", "backwards"])
def test_the_rest_of_an_authorisation_that_expires_ends_nothing_that_was_captured(
    adyen_by_hand: Story, turned: str
) -> None:
    """Its amount is the authorised one, its id the payment's."""
    story = adyen_by_hand
    told = [adyen_item("CAPTURE", CAPTURE, 6000, original=PAYMENT), adyen_item("EXPIRE", PAYMENT)]
    story.hear(AUTHORISED, *(told[::-1] if turned == "backwards" else told))
    assert (story.wallet, story.state, story.settled()) == (6000, "captured", True)


def test_a_partly_accepted_arbitration_takes_its_part(adyen: Story) -> None:
    adyen.hear(
        AUTHORISED,
        CHARGEBACK,
        won(DISPUTE, PAYMENT),
        adyen_item("PREARBITRATION_OPEN", DISPUTE),
        adyen_item("PREARBITRATION_ACCEPTED", DISPUTE, 6000, original=PAYMENT),
        second(DISPUTE, PAYMENT, 6000),
    )
    assert (adyen.wallet, adyen.state, adyen.settled()) == (4000, "charged_back", True)


def test_a_second_chargeback_is_not_reversed_by_a_reversal_that_names_the_payment_alone(adyen: Story) -> None:
    adyen.hear(AUTHORISED, CHARGEBACK, won(DISPUTE, PAYMENT), second(DISPUTE, PAYMENT))
    adyen.hear(won(PAYMENT))
    assert (adyen.wallet, [job["last_error"] for job in adyen.jobs("parked")]) == (0, ["awaiting_chargeback"])


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_two_open_disputes_are_reversed_by_events_that_name_the_payment_alone(
    adyen: Story, order: tuple[int, ...]
) -> None:
    told = [
        adyen_item("CHARGEBACK", DISPUTE, 4000, original=PAYMENT),
        adyen_item("CHARGEBACK", "DISPUTE000000002", 3000, original=PAYMENT),
        won(PAYMENT, value=4000),
        adyen_item("CHARGEBACK_REVERSED", PAYMENT, 3000, eventDate="2026-12-02T09:00:00+01:00"),
    ]
    adyen.hear(AUTHORISED, *(told[n] for n in order))
    assert (adyen.wallet, adyen.state, adyen.settled()) == (10000, "captured", True)


@pytest.mark.parametrize("value", [3000, 4000, 4500])
def test_a_second_chargeback_that_names_the_payment_alone_is_taken_after_two_won_disputes(
    adyen: Story, value: int
) -> None:
    other = "DISPUTE000000002"
    adyen.hear(
        AUTHORISED,
        adyen_item("CHARGEBACK", DISPUTE, 4000, original=PAYMENT),
        adyen_item("CHARGEBACK", other, 3000, original=PAYMENT),
        won(DISPUTE, PAYMENT, 4000),
        won(other, PAYMENT, 3000),
        second(PAYMENT, value=value),
    )
    assert (adyen.wallet, adyen.settled()) == (10000 - value, True)


def test_a_second_chargeback_after_a_partly_won_dispute_takes_that_part_again(adyen: Story) -> None:
    adyen.hear(AUTHORISED, CHARGEBACK, won(PAYMENT, value=7000), second(PAYMENT, value=7000))
    assert (adyen.wallet, adyen.settled()) == (0, True)


def test_an_arbitration_that_is_won_after_a_second_chargeback_gives_that_back(adyen: Story) -> None:
    late = {"eventDate": "2026-12-20T09:00:00+01:00"}
    adyen.hear(AUTHORISED, CHARGEBACK, won(DISPUTE, PAYMENT), second(DISPUTE, PAYMENT))
    adyen.hear({**won(DISPUTE, PAYMENT), "reason": "sent again"})
    assert adyen.wallet == 0
    arbitration = adyen_item("SCHEME_ARBITRATION_WON", DISPUTE, original=PAYMENT)
    adyen.hear(arbitration, won(DISPUTE, PAYMENT) | late)
    assert (adyen.wallet, adyen.state, adyen.settled()) == (10000, "captured", True)


@pytest.mark.parametrize("turned", ["as told", "backwards"])
def test_a_return_beyond_the_captures_is_borne_by_suspense(adyen: Story, turned: str) -> None:
    told = [AUTHORISED, adyen_item("SETTLED_REVERSED", "REVERSED00000001", 10500, original=PAYMENT)]
    adyen.hear(*(told if turned == "as told" else told[::-1]))
    assert (adyen.wallet, adyen.shortfall, adyen.state, adyen.settled()) == (0, -500, "failed", True)
    assert adyen.findings() == {"disputed_more_than_captured": 500}


def test_a_credited_authorisation_that_expires_uncaptured_is_for_a_person(adyen: Story) -> None:
    """It was to be captured by hand, though its account captures by itself, and nobody did."""
    adyen.hear(AUTHORISED, adyen_item("EXPIRE", PAYMENT))
    [dead] = adyen.jobs("dead")
    assert dead["last_error"].startswith("expired_after_capture")
    assert adyen.wallet == 10000
