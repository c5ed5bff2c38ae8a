"""Payouts are known to a provider by the reference of the attempt that it took; what comes back is a status."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from models.ledger.codes import clearing_code
from models.ledger.outcomes import Leg, Posting
from models.ledger.posting import post
from tests.integration.reconciliation.books import NOON, Books, record

ATTEMPT = text("""
    INSERT INTO payout_attempts (payout_id, attempt_no, tenant, provider, provider_key, reference, claim_version,
        outcome, object_id, started_at, first_used_at, key_valid_until, finished_at)
    VALUES (:id, :no, 'acme', 'sandbox', :reference, :reference, 1, :outcome, :object_id, :at, :at, :at, :at)
""")


def paid(books: Books, *, returned: bool = False, attempts: int = 1) -> UUID:
    """A payout of 300 as the ledger has it; the last attempt took it, the others were declined."""
    payout_id = uuid4()
    subject = f"hold:{payout_id}"
    moves = [("hold.captured", 300), ("payout.returned", -300)][: 2 if returned else 1]
    clearing, held = clearing_code("sandbox"), "house:held"
    postings = [
        Posting(
            "acme",
            f"{subject}:{kind}",
            kind,
            (Leg(held, "EUR", -minor), Leg(clearing, "EUR", minor)),
            NOON,
            subject=subject,
        )
        for kind, minor in moves
    ]
    with books.transaction() as session:
        for no in range(1, attempts + 1):
            outcome = "declined" if no < attempts else "returned" if returned else "paid"
            names = {"reference": f"po-{payout_id}-{no}", "object_id": f"tr_{no}"}
            session.execute(ATTEMPT, {"id": payout_id, "no": no, "outcome": outcome, "at": NOON} | names)
        post(session, postings, now=books.now)
    return payout_id


def test_a_payout_is_matched_by_the_attempt_that_went(books: Books) -> None:
    payout_id = paid(books, attempts=2)
    assert books.run(record(f"po-{payout_id}-2", -300, "payout")).exit_code == 0
    report = books.run(record(f"po-{payout_id}-1", -300, "payout"))
    assert report.findings == {"missing_at_provider": 1, "missing_in_ledger": 1}
    assert {finding["subject"] for finding in books.findings()} == {f"payout:{payout_id}"}


def test_a_payout_is_matched_by_the_providers_name_for_it(books: Books) -> None:
    paid(books)
    assert books.run(record(None, -300, "payout", object_id="tr_1")).exit_code == 0


def test_a_payout_that_came_back_on_both_sides_is_matched(books: Books) -> None:
    payout_id = paid(books, returned=True)
    out = record(f"po-{payout_id}-1", -300, "payout")
    back = record(f"po-{payout_id}-1", 300, "payout", NOON + timedelta(hours=3), record_id="back")
    assert books.run(out, back).exit_code == 0


@pytest.mark.parametrize("returned", [False, True])
def test_a_payout_that_came_back_on_one_side_only_is_a_status_mismatch(books: Books, returned: bool) -> None:
    payout_id = paid(books, returned=returned)
    told = [record(f"po-{payout_id}-1", -300, "payout")]
    if not returned:
        told.append(record(f"po-{payout_id}-1", 300, "payout", record_id="back"))
    report = books.run(*told)
    [finding] = books.findings()
    assert (finding["kind"], finding["subject"]) == ("status_mismatch", f"payout:{payout_id}")
    assert (finding["amount_minor"], finding["severity"]) == (300, "high")
    assert report.adds_up


def test_a_payout_that_we_know_nothing_of_is_told_although_it_came_back(books: Books) -> None:
    """Money left without us: that it is here again does not make it known."""
    out = record("po", -300, "payout")
    back = record("po", 300, "payout", NOON + timedelta(hours=2), record_id="back")
    report = books.run(out, back)
    assert (report.findings, report.adds_up) == ({"missing_in_ledger": 1, "status_mismatch": 1}, True)
    assert {one["subject"] for one in books.findings()} == {"payout:sandbox:po"}


def test_a_payout_that_left_twice_is_a_duplicate(books: Books) -> None:
    payout_id = paid(books)
    out = record(f"po-{payout_id}-1", -300, "payout")
    twice = record(f"po-{payout_id}-1", -300, "payout", record_id="twice")
    assert books.run(out, twice).findings == {"duplicate_at_provider": 1}


def test_a_hold_that_is_no_payouts_stops_nothing(books: Books) -> None:
    """Its subject is all that is known of it."""
    legs = (Leg("house:held", "EUR", -5), Leg(clearing_code("sandbox"), "EUR", 5))
    with books.transaction() as session:
        post(
            session,
            [Posting("acme", "odd", "hold.captured", legs, NOON, subject="hold:not-a-uuid")],
            now=books.now,
        )
        post(session, [Posting("acme", "odder", "corrected", legs, NOON)], now=books.now)
    report = books.run()
    assert report.findings == {"missing_at_provider": 2}
    assert report.adds_up
    assert books.run(record("hold:not-a-uuid", -5, "payout")).findings == {"missing_at_provider": 1}
