"""Fees: each is booked once, by the first run that is told of it; told later with another amount it is a finding."""

from models.ledger.verify import verify
from tests.integration.reconciliation.books import NOON, Books, record
from worker.database import Transaction


def test_a_fee_is_booked_once(books: Books) -> None:
    books.moved("r", 500)
    told = record("r", 500, fee_minor=17)
    first, second = books.run(told), books.run(told)
    assert (first.fees_booked, second.fees_booked) == (1, 0)
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert books.balance("house:fees") == -17
    assert books.balance("provider:sandbox:clearing") == -483
    [row] = books.rows("SELECT * FROM ledger_transactions WHERE tenant = :tenant AND kind = 'fee.booked'")
    assert (row["idempotency_key"], row["occurred_at"]) == ("fee:sandbox:rec_deposit_r", NOON)


def test_a_fee_that_is_told_with_another_amount_is_a_finding(books: Books) -> None:
    books.moved("r", 500)
    books.run(record("r", 500, fee_minor=17))
    report = books.run(record("r", 500, fee_minor=19))
    [finding] = books.findings()
    assert (finding["kind"], finding["amount_minor"], finding["severity"]) == ("fee_mismatch", 2, "low")
    assert finding["subject"] == "fee:sandbox:rec_deposit_r"
    assert (report.fees_booked, report.adds_up, books.balance("house:fees")) == (0, True, -17)
    assert books.run(record("r", 500, fee_minor=17)).closed == 1


def test_a_fee_in_another_currency_than_before_is_a_finding(books: Books) -> None:
    books.run(record("r", 0, fee_minor=17))
    assert books.run(record("r", 0, fee_minor=17, fee_currency="USD")).findings == {"fee_mismatch": 1}


def test_a_fee_that_is_no_longer_told_is_a_finding(books: Books) -> None:
    books.moved("r", 500)
    books.run(record("r", 500, fee_minor=17))
    assert books.run(record("r", 500)).findings == {"missing_at_provider": 1}


def test_a_fee_on_its_own_and_one_given_back(books: Books) -> None:
    monthly = record(None, -900, "fee", record_id="monthly: 03%")
    back = record(None, 40, "fee", record_id="back")
    refunded = record("r", 0, "refund", fee_minor=-5)
    report = books.run(monthly, back, refunded)
    assert (report.fees_booked, report.exit_code) == (3, 0)
    assert books.balance("house:fees") == -900 + 40 + 5
    assert books.run(monthly, back, refunded).fees_booked == 0


def test_the_fee_of_a_fee(books: Books) -> None:
    same = record(None, -100, "fee", record_id="same", fee_minor=20)
    other = record(None, -100, "fee", record_id="other", fee_minor=20, fee_currency="USD")
    for booked in (2, 0):
        report = books.run(same, other)
        assert (report.fees_booked, report.exit_code, report.adds_up) == (booked, 0, True)
    assert (books.balance("house:fees"), books.balance("house:fees", "USD")) == (-220, -20)


def test_a_fee_is_booked_for_what_is_not_matched(books: Books, transaction: Transaction) -> None:
    report = books.run(record("r", 500, fee_minor=17))
    assert (report.fees_booked, report.findings) == (1, {"missing_in_ledger": 1})
    with transaction() as session:
        assert [check.name for check in verify(session, "acme", now=books.now) if check.broken] == []


def test_more_fees_than_one_batch(books: Books) -> None:
    told = [record(f"r{n}", 0, fee_minor=1) for n in range(1_203)]
    assert books.run(*told).fees_booked == 1_203
    assert books.run(*told).fees_booked == 0
    assert books.balance("house:fees") == -1_203
