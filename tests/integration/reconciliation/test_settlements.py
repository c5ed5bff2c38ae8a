"""A provider's own payouts to us: booked once, never taken for a payout of ours, and looked for at the bank."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from models.ledger.verify import verify
from tasks.reconciliation.settlements import SettlementTerms
from tests.integration.payouts.cashier import Cashier
from tests.integration.reconciliation.books import NIGHT, NOON, Books, ToldFile, record
from worker.database import Transaction
from worker.providers.records.port import Record

PROVIDER = "sandbox"
MAIN = SettlementTerms(bank_account="main")
BANK = SettlementTerms(bank_account="main", is_bank=True, grace_seconds=5 * 86_400)


def payout_to_us(name: str, minor: int = 16_549, at: datetime = NOON, **others: Any) -> Record:
    """As the provider tells it: it owes us less by so much."""
    return record(
        None, -minor, "own_transfer", at, **{"record_id": name, "status": "MerchantPayout"} | others
    )


def arrival(name: str, minor: int = 16_549, at: datetime = NOON, **others: Any) -> Record:
    """As the bank tells it: it has so much more of ours."""
    return record(f"STATEMENT {name}", minor, "own_transfer", at, record_id=f"bank-{name}", **others)


@pytest.fixture
def bank(books: Books) -> Books:
    return replace(books, provider="bank", now=books.now + timedelta(days=4))


def test_a_payout_to_us_is_booked_once(books: Books) -> None:
    told = payout_to_us("41:MerchantPayout:ab")
    first, second = books.run(told), books.run(told)
    assert (first.settlements_booked, second.settlements_booked) == (1, 0)
    assert (first.exit_code, second.exit_code, first.adds_up) == (0, 0, True)
    assert books.balance("provider:sandbox:clearing") == 16_549
    assert books.balance("bank:sandbox") == -16_549
    [row] = books.rows("SELECT * FROM ledger_transactions WHERE tenant = :tenant")
    assert (row["kind"], row["idempotency_key"], row["subject"], row["occurred_at"]) == (
        "settlement.booked",
        "settlement:sandbox:41%3AMerchantPayout%3Aab",
        "settlement:sandbox:41:MerchantPayout:ab",
        NOON,
    )
    with books.transaction() as session:
        assert not [check.name for check in verify(session, now=books.now) if check.broken]


def test_the_settings_say_which_bank_account_it_goes_to(books: Books) -> None:
    books.run(payout_to_us("a"), terms=MAIN)
    assert (books.balance("bank:main"), books.balance("bank:sandbox")) == (-16_549, 0)


def test_one_that_came_back_is_booked_back(books: Books) -> None:
    sent = payout_to_us("txn_1", object_id="po_1")
    back = payout_to_us(
        "txn_2", -16_549, NOON + timedelta(hours=5), object_id="po_1", status="payout_failure"
    )
    assert books.run(sent).exit_code == 0
    report = books.run(sent, back)
    assert (report.settlements_booked, report.exit_code) == (1, 0)
    assert (books.balance("provider:sandbox:clearing"), books.balance("bank:sandbox")) == (0, 0)
    kinds = books.rows("SELECT kind, subject FROM ledger_transactions WHERE tenant = :tenant ORDER BY id")
    assert [(row["kind"], row["subject"]) for row in kinds] == [
        ("settlement.booked", "settlement:sandbox:po_1"),
        ("settlement.returned", "settlement:sandbox:po_1"),
    ]


@pytest.mark.parametrize(
    ("told", "finding"),
    [
        ({"minor": 16_500}, "amount_mismatch"),
        ({"currency": "USD"}, "currency_mismatch"),
        (None, "missing_at_provider"),
    ],
)
def test_one_that_is_told_otherwise_later_is_a_finding(
    books: Books, told: dict[str, Any] | None, finding: str
) -> None:
    books.run(payout_to_us("a"))
    report = books.run(*([] if told is None else [payout_to_us("a", **told)]))
    assert (report.findings, report.settlements_booked, books.balance("bank:sandbox")) == (
        {finding: 1},
        0,
        -16_549,
    )
    [row] = books.findings()
    assert row["subject"] == "settlement:sandbox:a"
    assert books.run(payout_to_us("a")).closed == 1


def test_what_was_seen_in_one_window_and_is_told_by_a_file_of_another_is_booked_once(books: Books) -> None:
    told = payout_to_us("a", at=NOON - timedelta(days=40))
    assert books.run_from(ToldFile([told])).settlements_booked == 1
    again = ToldFile([told], digest="d2", name="again.csv")
    report = books.run_from(again, night=NIGHT + timedelta(days=1))
    assert (report.settlements_booked, report.exit_code) == (0, 0)


# -- never a payout of ours --------------------------------------------------------------------------------------------


@pytest.fixture
def cashier(transaction: Transaction, tenant: str) -> Cashier:
    account = text(
        "INSERT INTO provider_accounts (tenant, provider, adapter, enabled) "
        "VALUES ('acme', 'sandbox', 'sandbox', true)"
    )
    with transaction() as session:
        session.execute(account)
    desk = Cashier(transaction, tenant, NOON)
    desk.fund("ada", 100_000)
    return desk


def attempt_of(books: Books, payout_id: UUID) -> dict[str, Any]:
    [row] = books.rows("SELECT * FROM payout_attempts WHERE payout_id = :id", id=payout_id)
    return row


def name_object(books: Books, payout_id: UUID, object_id: str) -> None:
    with books.transaction() as session:
        session.execute(
            text("UPDATE payout_attempts SET object_id = :object WHERE payout_id = :id"),
            {"object": object_id, "id": payout_id},
        )


@pytest.mark.parametrize("state", ["in_doubt", "sending", "submitted", "cooling"])
@pytest.mark.parametrize("by", ["reference", "object", "amount"])
def test_it_is_never_a_payout_of_ours_whatever_became_of_that(
    books: Books, cashier: Cashier, state: str, by: str
) -> None:
    """It has our reference, or the provider's name for ours, whatever its amount; or is just as much and we do not know
    yet."""
    payout_id = cashier.opened(300)
    if state != "in_doubt":
        cashier.attempt(payout_id, {"cooling": "not_found"}.get(state, state))
    further = {"in_doubt": cashier.in_doubt, "cooling": cashier.cooling}
    further.get(state, cashier.sent)(payout_id)
    names: dict[str, Any] = {}
    if by == "reference":
        names = {"reference": attempt_of(books, payout_id)["reference"]}
    elif by == "object":
        name_object(books, payout_id, "po_ours")
        names = {"object_id": "po_ours"}
    told = replace(payout_to_us("txn_1", 300 if by == "amount" else 299), **names)
    report = books.run(told)
    assert (report.settlements_booked, books.balance("bank:sandbox")) == (0, 0)
    assert report.findings["missing_in_ledger"] == 1


def test_once_ours_is_decided_a_later_night_books_what_waited(books: Books, cashier: Cashier) -> None:
    payout_id = cashier.opened(300)
    cashier.in_doubt(payout_id)
    told = ToldFile([payout_to_us("batch-1", 300)])
    assert books.run_from(told).findings == {"missing_in_ledger": 1}
    cashier.moved(
        payout_id, {"state": "failed", "failure_code": "no", "in_doubt_since": None, "next_lookup_at": None}
    )
    with books.transaction() as session:
        session.execute(text("UPDATE payout_attempts SET outcome = 'failed', finished_at = started_at"))
    later = ToldFile([record("x", 0, at=NOON)], digest="d2", name="next.csv")
    report = books.run_from(later, night=NIGHT + timedelta(days=1))
    assert (report.settlements_booked, report.findings, report.findings_open) == (1, {}, 0)
    assert books.balance("bank:sandbox") == -300


def test_another_amount_or_another_name_is_not_ours(books: Books, cashier: Cashier) -> None:
    payout_id = cashier.opened(300)
    cashier.attempt(payout_id, "submitted")
    cashier.sent(payout_id)
    name_object(books, payout_id, "po_ours")
    told = payout_to_us("txn_1", 301), payout_to_us("txn_2", 300, object_id="po_theirs")
    assert books.run(*told).settlements_booked == 2
    assert books.balance("bank:sandbox") == -601


# -- at the bank -------------------------------------------------------------------------------------------------------


def test_what_arrives_at_the_bank_is_matched_by_its_amount(books: Books, bank: Books) -> None:
    books.run(payout_to_us("a"), payout_to_us("b", 700), terms=MAIN)
    arrived = arrival("x", at=NOON + timedelta(days=2)), arrival("y", 700, NOON + timedelta(days=1))
    report = bank.run(*arrived, night=NIGHT + timedelta(days=2), terms=BANK)
    assert (report.exit_code, report.matched, report.settlements_booked, report.adds_up) == (0, 2, 0, True)
    assert books.balance("bank:main") == -(16_549 + 700)


def test_what_does_not_arrive_is_expected_and_after_the_grace_a_finding(books: Books, bank: Books) -> None:
    books.run(payout_to_us("a"), payout_to_us("b", 700), terms=MAIN)
    early = replace(bank, now=NOON + timedelta(days=4))
    report = early.run(arrival("y", 700), terms=BANK, night=NIGHT + timedelta(days=3))
    assert (report.exit_code, report.expected, report.matched) == (0, 1, 1)
    late = replace(bank, now=NOON + timedelta(days=6))
    report = late.run(arrival("y", 700), terms=BANK, night=NIGHT + timedelta(days=5))
    assert (report.findings, report.adds_up) == ({"missing_at_provider": 1}, True)
    [finding] = bank.findings()
    assert (finding["provider"], finding["subject"], finding["amount_minor"], finding["severity"]) == (
        "bank", "settlement:sandbox:a", 16_549, "high",
    )  # fmt: skip
    arrived = arrival("y", 700), arrival("x", at=NOON + timedelta(days=6))
    report = late.run(*arrived, night=NIGHT + timedelta(days=6), terms=BANK)
    assert (report.findings, report.closed, report.findings_open) == ({}, 1, 0)


def test_without_a_bank_it_stays_booked_and_nothing_is_missing(books: Books) -> None:
    books.run(payout_to_us("a"))
    for days in (5, 40):
        assert books.later(days=days).run(night=NIGHT + timedelta(days=days)).findings_open == 0
    assert books.balance("bank:sandbox") == -16_549


def test_one_of_two_equal_ones_is_missing(books: Books, bank: Books) -> None:
    books.run(payout_to_us("a"), payout_to_us("b", at=NOON + timedelta(hours=1)), terms=MAIN)
    late = replace(bank, now=NOON + timedelta(days=7))
    arrived = arrival("x", at=NOON + timedelta(days=1))
    report = late.run(arrived, night=NIGHT + timedelta(days=1), terms=BANK)
    assert (report.findings, report.matched) == ({"missing_at_provider": 1}, 1)


def test_what_a_corrected_statement_does_not_show_any_more_is_missing(books: Books, bank: Books) -> None:
    books.run(payout_to_us("a"), payout_to_us("b", 700), terms=MAIN)
    late = replace(bank, now=NOON + timedelta(days=7))
    assert late.run(arrival("x"), arrival("y", 700), terms=BANK).exit_code == 0
    assert late.run(arrival("y", 700), terms=BANK).findings == {"missing_at_provider": 1}
    assert late.run(arrival("x"), arrival("y", 700), terms=BANK).findings_open == 0


def test_settlements_of_several_providers_arrive_at_one_bank(books: Books, bank: Books) -> None:
    other = replace(books, provider="second")
    books.run(payout_to_us("a"), terms=MAIN)
    other.run(payout_to_us("a"), terms=MAIN)
    elsewhere = replace(books, provider="third")
    elsewhere.run(payout_to_us("a"))
    report = bank.run(arrival("x"), arrival("y"), terms=BANK)
    assert (report.exit_code, report.matched) == (0, 2)


def test_what_arrives_and_nobody_told_of_is_a_finding_of_the_bank(books: Books, bank: Books) -> None:
    late = replace(bank, now=NOON + timedelta(days=7))
    assert late.run(arrival("x"), terms=BANK).findings == {"missing_in_ledger": 1}
    [finding] = bank.findings()
    assert finding["subject"] == "settlement:bank:bank-x"
    assert books.run(payout_to_us("a"), terms=MAIN).settlements_booked == 1
    report = late.run(arrival("x"), terms=BANK)
    assert (report.exit_code, report.closed, report.findings_open) == (0, 1, 0)
    assert bank.balance("provider:bank:clearing") == 0


@pytest.mark.parametrize(
    ("shown", "findings"),
    [
        ([], {}),
        ([arrival("in"), arrival("out", -16_549, NOON + timedelta(hours=2))], {}),
        ([arrival("in")], {"missing_at_provider": 1}),
    ],
)
def test_one_that_came_back_is_shown_both_ways_or_not_at_all(
    books: Books, bank: Books, shown: list[Record], findings: dict[str, int]
) -> None:
    back = payout_to_us("txn_2", -16_549, NOON + timedelta(hours=5), object_id="po_1")
    books.run(payout_to_us("txn_1", object_id="po_1"), back, terms=MAIN)
    late = replace(bank, now=NOON + timedelta(days=7))
    report = late.run(*shown, terms=BANK)
    assert (report.findings, report.adds_up) == (findings, True)


def test_it_comes_back_after_the_bank_was_found_to_lack_it(books: Books, bank: Books) -> None:
    """Days apart, in no common window."""
    sent, after = payout_to_us("txn_1", object_id="po_1"), NOON + timedelta(days=9)
    books.run(sent, terms=MAIN)
    late = replace(bank, now=NOON + timedelta(days=7))
    assert late.run(terms=BANK).findings == {"missing_at_provider": 1}
    night = NIGHT + timedelta(days=9)
    back = payout_to_us("txn_2", -16_549, after, object_id="po_1")
    assert books.later(days=9).run(back, night=night, terms=MAIN).exit_code == 0
    report = replace(bank, now=after + timedelta(days=7)).run(night=night, terms=BANK)
    assert (report.findings, report.closed, report.findings_open) == ({}, 1, 0)


def test_a_bank_s_own_fee_is_paid_from_the_bank(bank: Books) -> None:
    told = record(None, -250, "fee", record_id="account-keeping")
    assert bank.run(told, terms=BANK).exit_code == 0
    assert bank.run(told, terms=BANK).fees_booked == 0
    assert (bank.balance("bank:main"), bank.balance("provider:bank:clearing")) == (250, 0)


def test_an_arrival_months_later_is_not_that_of_an_earlier_one(books: Books, bank: Books) -> None:
    """Every week the same amount: each is matched with its own, also when records are forgotten."""
    for week in range(6):
        at, by = NOON + timedelta(weeks=week), {"weeks": week}
        night = NIGHT + timedelta(**by)
        books.later(**by).run(payout_to_us(f"w{week}", at=at), night=night, terms=MAIN)
        shown = [] if week == 2 else [arrival(f"w{week}", at=at + timedelta(days=1))]
        looked = replace(bank, now=at + timedelta(days=7))
        report = looked.run(*shown, night=night + timedelta(days=1), terms=BANK)
        assert report.findings == ({"missing_at_provider": 1} if week == 2 else {}), week
    assert [one["subject"] for one in bank.findings()] == ["settlement:sandbox:w2"]


# -- none of our business ----------------------------------------------------------------------------------------------


def test_what_is_ignored_is_listed_and_compared_with_nothing(books: Books) -> None:
    books.moved("r", 500)
    carried = record(
        None, 12_000, "ignore", record_id="41:Balancetransfer:ab", status="Balancetransfer", fee_minor=9
    )
    report = books.run(record("r", 500), carried)
    assert (report.exit_code, report.matched, report.fees_booked, report.adds_up) == (0, 1, 0, True)
    total = report.totals["EUR"].provider
    assert (total.rows, total.minor, total.ignored_rows, total.ignored_minor) == (1, 500, 1, 12_000)
    [listed] = report.ignored_records
    assert (listed.type, listed.currency, listed.records, listed.amount_minor, listed.record_ids) == (
        "Balancetransfer", "EUR", 1, 12_000, "41:Balancetransfer:ab",
    )  # fmt: skip


def test_what_is_ignored_and_told_again_is_one(books: Books) -> None:
    told = record(None, 7, "ignore", record_id="a")
    report = books.run(told, told, record(None, 8, "ignore", record_id="b", at=NOON - timedelta(days=90)))
    assert (report.exit_code, report.totals["EUR"].provider.ignored_minor) == (0, 7)
