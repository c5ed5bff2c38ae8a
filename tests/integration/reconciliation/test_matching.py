"""What matching makes of one reference: every kind of difference, and what only looks like one."""

from datetime import timedelta

import pytest

from tests.integration.reconciliation.books import NIGHT, NOON, Books, record

HOURS = timedelta(hours=1)


def test_what_agrees_is_clean(books: Books) -> None:
    books.moved("r1", 500)
    books.moved("r1", -200, "refund")
    books.moved("r2", 300, currency="JPY")
    report = books.run(record("r1", 500), record("r1", -200, "refund"), record("r2", 300, currency="JPY"))
    assert (report.exit_code, report.matched, report.findings) == (0, 3, {})
    assert {currency: total.provider.matched_minor for currency, total in report.totals.items()} == {
        "EUR": 300,
        "JPY": 300,
    }


@pytest.mark.parametrize(
    ("ours", "theirs", "kinds"),
    [
        ([("r", 500)], [], ["missing_at_provider"]),
        ([], [record("r", 500)], ["missing_in_ledger"]),
        ([("r", 500)], [record("r", 501)], ["amount_mismatch"]),
        ([("r", 500)], [record("r", 500, currency="USD")], ["currency_mismatch"]),
        ([("r", 500)], [record("r", 500), record("r", 500, record_id="again")], ["duplicate_at_provider"]),
        ([("r", 500)], [record("r", 500), record("r", 70, record_id="more")], ["missing_in_ledger"]),
        ([("r", 500), ("r", 500)], [record("r", 500)], ["missing_at_provider"]),
        ([("r", 500)], [record("r", -500, "refund")], ["missing_at_provider", "missing_in_ledger"]),
        ([("r", 500)], [record("R", 500)], ["missing_at_provider", "missing_in_ledger"]),
        ([("a", 1), ("b", 2)], [record("a", 2), record("b", 1)], ["amount_mismatch", "amount_mismatch"]),
    ],
)
def test_each_difference_has_its_name(books: Books, ours: list, theirs: list, kinds: list[str]) -> None:  # type: ignore[type-arg]
    for reference, minor in ours:
        books.moved(reference, minor)
    report = books.run(*theirs)
    assert books.kinds() == kinds
    assert report.adds_up
    assert report.exit_code == 1


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ([("r", 500), ("r", 500)], [record("r", 500), record("r", 500, record_id="again")]),
        ([("r", 500), ("r", 200)], [record("r", 700)]),
        ([("r", 700)], [record("r", 500), record("r", 200, record_id="rest")]),
        ([("r", 700), ("r", 1)], [record("r", 500), record("r", 200, record_id="rest"), record("r", 1, record_id="1")]),
    ],
)  # fmt: skip
def test_what_only_looks_different_is_matched(books: Books, ours: list, theirs: list) -> None:  # type: ignore[type-arg]
    """The same amount twice for one reference, on both sides; several parts that are told as one."""
    for reference, minor in ours:
        books.moved(reference, minor)
    report = books.run(*theirs)
    assert (books.kinds(), report.exit_code, report.adds_up) == ([], 0, True)


def test_partial_refunds_told_as_one_are_matched(books: Books) -> None:
    books.moved("r", 900)
    books.moved("r", -100, "refund")
    books.moved("r", -250, "refund", NOON + HOURS)
    assert books.run(record("r", 900), record("r", -350, "refund", NOON + 2 * HOURS)).exit_code == 0


def test_parts_that_do_not_add_up_are_a_mismatch_and_a_missing_one(books: Books) -> None:
    books.moved("r", -100, "refund")
    books.moved("r", -250, "refund", NOON + HOURS)
    report = books.run(record("r", -351, "refund"))
    assert books.kinds() == ["amount_mismatch", "missing_at_provider"]
    assert report.adds_up


def test_one_reference_in_two_currencies_is_two_matters(books: Books) -> None:
    books.moved("r", 500)
    books.moved("r", 500, currency="USD")
    both = record("r", 500), record("r", 500, record_id="usd", currency="USD")
    assert books.run(*both).exit_code == 0
    assert books.run(both[0]).findings == {"missing_at_provider": 1}
    assert books.findings()[0]["currency"] == "USD"


def test_a_finding_says_what_both_sides_told(books: Books) -> None:
    transaction_id = books.moved("r", 500)
    books.run(record("r", 720, record_id="rec", object_id="pay", line=7, at=NOON + HOURS))
    [finding] = books.findings()
    detail = finding["detail"]
    assert (finding["subject"], finding["amount_minor"], finding["currency"]) == (
        "deposit:sandbox:r",
        220,
        "EUR",
    )
    assert (detail["record_id"], detail["transaction_id"], detail["feed_line"]) == ("rec", transaction_id, 7)
    assert (detail["provider_minor"], detail["ledger_minor"], detail["provider_status"]) == (
        720,
        500,
        "settled",
    )
    assert finding["occurred_at"] == NOON + HOURS
    assert finding["severity"] == "medium"


def test_a_record_without_reference_is_known_by_its_object(books: Books) -> None:
    books.rows(
        """INSERT INTO deposits (tenant, provider, reference, owner, currency, expected_minor, business_date,
            object_ids, expected_at, updated_at) VALUES (:tenant, 'sandbox', 'r', 'ada', 'EUR', 500, '2026-03-13',
            '{pay_1,pay_2}', now(), now()) RETURNING id"""
    )
    books.moved("r", 500)
    known = record(None, 500, record_id="rec", object_id="pay_2")
    assert books.run(known).exit_code == 0
    report = books.run(
        known, record(None, 70, record_id="alien", object_id="pay_9"), record(None, 8, record_id="x")
    )
    assert report.findings == {"missing_in_ledger": 2}
    assert {finding["detail"]["record_id"] for finding in books.findings()} == {"alien", "x"}
    assert report.adds_up


def test_another_tenants_and_another_providers_rows_are_strangers(books: Books) -> None:
    Books(books.transaction, "globex").moved("r", 500)
    Books(books.transaction, provider="stripe").moved("r", 500)
    report = books.run(record("r", 500))
    assert report.findings == {"missing_in_ledger": 1}
    assert report.totals["EUR"].ledger.rows == 0


def test_odd_texts_stay_what_they_are(books: Books) -> None:
    odd = [
        "tab\there",
        "back\\slash",
        "\\N",
        "line\nbreak",
        "quote'\"",
        "ünï",
        "per%cent",
        "a:b:c",
        "{x,y}",
        " ",
    ]
    for reference in odd:
        books.moved(reference, 5)
    report = books.run(*(record(reference, 5, record_id=f"rec {n}") for n, reference in enumerate(odd)))
    assert (report.matched, report.findings) == (len(odd), {})


def test_a_nul_or_half_a_character_stops_nothing(books: Books) -> None:
    report = books.run(record("nul\0", 5), record("half\ud800", 6), record("good", 7))
    assert (report.records, report.findings) == (3, {"missing_in_ledger": 3})


def test_a_counterpart_before_the_window_is_found_in_the_ledger(books: Books) -> None:
    books.moved("r", 500, at=NOON - timedelta(days=40))
    report = books.run(record("r", 500))
    assert (report.exit_code, report.matched) == (0, 1)
    assert report.totals["EUR"].elsewhere_minor == 500


def test_a_second_record_for_what_was_matched_long_ago_is_a_duplicate(books: Books) -> None:
    """Its counterpart is taken: the record of an earlier night has it."""
    before = NOON - timedelta(days=6)
    books.moved("r", 500, at=before)
    assert books.run(record("r", 500, at=before), night=NIGHT - timedelta(days=6)).exit_code == 0
    report = books.run(record("r", 500, record_id="again"))
    assert report.findings == {"duplicate_at_provider": 1}


def test_a_record_that_moved_to_another_day_is_no_second_one(books: Books) -> None:
    before = NOON - timedelta(days=6)
    books.moved("r", 500, at=before)
    books.run(record("r", 500, at=before), night=NIGHT - timedelta(days=6))
    assert books.run(record("r", 500)).exit_code == 0


def test_a_ledger_row_whose_record_came_in_an_earlier_night_is_matched(books: Books) -> None:
    """The record first, and its webhook six days later."""
    before = NOON - timedelta(days=6)
    assert books.run(record("r", 500, at=before), night=NIGHT - timedelta(days=6)).findings == {
        "missing_in_ledger": 1
    }
    books.moved("r", 500)
    report = books.run()
    assert (report.findings, report.closed, report.findings_open) == ({}, 1, 0)
    assert report.adds_up


def test_records_of_nothing_move_nothing(books: Books) -> None:
    assert books.run(record("r", 0)).exit_code == 0


def test_what_another_room_found_is_left_alone(books: Books) -> None:
    books.rows(
        """INSERT INTO reconciliation_findings (tenant, provider, kind, fingerprint, subject, first_seen_at,
            last_seen_at) VALUES (:tenant, 'sandbox', 'in_doubt_overdue', 'x', 'payout:1', now(), now()) RETURNING id"""
    )
    report = books.run()
    assert (report.closed, report.findings_open, report.exit_code) == (0, 1, 0)


def test_what_goes_out_is_not_taken_together_with_what_comes_back(books: Books) -> None:
    """Both sides come to nothing, and no line of one is a line of the other."""
    books.moved("r", -200, "refund")
    books.moved("r", 200, "refund")
    report = books.run(record("r", -300, "refund"), record("r", 300, "refund", record_id="back"))
    assert (report.findings, report.adds_up) == ({"amount_mismatch": 2}, True)


def test_a_payment_that_the_payer_s_bank_took_back_is_a_deposit_the_other_way_round(books: Books) -> None:
    books.moved("r", 500)
    books.moved("r", -500, "returned")
    report = books.run(record("r", 500), record("r", -500, record_id="failed"))
    assert (report.exit_code, report.matched) == (0, 2)
