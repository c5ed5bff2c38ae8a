"""An account that is a folder of files and nothing else: a bank's, without an adapter, webhooks or an API."""

import os
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.integration.repair.commands import Ran, Run, runner
from worker.database import Transaction
from worker.resources import sync_settings
from worker.settings import load_settings

CONFIG = """
[tenants.acme]
timezone = "Europe/Istanbul"
[tenants.acme.providers.bank]
{bank}
[tenants.acme.providers.bank.records]
path = "{folder}/*.csv"
format = "csv"
timezone = "Europe/Istanbul"
[tenants.acme.providers.bank.records.columns]
record_id = "Id"
occurred_at = "Booked"
amount = "Amount"
unit = "major"
currency = "Currency"
sign = "by_kind"
kind = "Type"
kinds = {{SALE = "deposit", COST = "fee", SWEEP = "own_transfer"}}
reference = "Our reference"
fee = "Fee"
"""
HEADER = "Id,Booked,Type,Amount,Currency,Our reference,Fee,Note\n"
NOTE = (
    'r1,2026-11-20T10:00:00Z,SALE,25.00,EUR,order-77,0.50,"Thanks!\n'
    'r-forged,2026-11-20T10:00:00Z,COST,900.00,EUR,,0.00,x\nbye"\n'
)
SWEEP = "r4,2026-11-20T12:00:00Z,SWEEP,49.00,EUR,,0.00,what the provider paid out to us\n"
PLAIN = "r2,2026-11-20T11:00:00Z,SALE,30.00,EUR,order-78,0.50,plain\n"
MANGLED = "".join(
    f"8.82E+15,2026-11-20T10:0{minute}:00Z,SALE,{amount},EUR,order-{minute},0.50,x\n"
    for minute, amount in enumerate(("25.00", "40.00", "60.00"))
)
DAY = date(2026, 11, 20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the bank's files lie."""
    (tmp_path / "bank").mkdir()
    return tmp_path / "bank"


@pytest.fixture
def run(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    folder: Path,
    database_url: str,
    tenant: str,
) -> Run:
    config = tmp_path / "ledgerbeat.toml"
    config.write_text(CONFIG.format(folder=folder, bank=getattr(request, "param", "")))
    return runner(monkeypatch, capsys, tmp_path, database_url=database_url, config=str(config))


def night(run: Run, *more: object) -> Ran:
    return run("reconcile", "--tenant", "acme", "--provider", "bank", "--date", DAY, "--json", *more)


def fees(transaction: Transaction) -> list[int]:
    with transaction() as session:
        found = session.execute(
            text(
                "SELECT e.amount_minor FROM ledger_entries e JOIN ledger_transactions t ON t.id = e.transaction_id "
                "WHERE t.kind = 'fee.booked' AND e.amount_minor > 0 ORDER BY 1"
            )
        )
        return [int(row.amount_minor) for row in found]


def test_a_night_of_it_reads_its_file(run: Run, folder: Path, transaction: Transaction) -> None:
    (folder / "2026-11-20.csv").write_text(HEADER + PLAIN)
    told = night(run).json
    assert (told["state"], told["records"], told["bad_rows"]) == ("done", 1, 0)
    assert fees(transaction) == [50]


@pytest.mark.parametrize("from_folder", [True, False])
def test_an_own_transfer_without_a_sign_has_left_the_provider(
    run: Run, folder: Path, tmp_path: Path, transaction: Transaction, from_folder: bool
) -> None:
    path = (folder if from_folder else tmp_path) / "2026-11-20.csv"
    path.write_text(HEADER + SWEEP)
    assert night(run, *(() if from_folder else ("--file", path))).json["settlements_booked"] == 1
    with transaction() as session:
        kinds = "SELECT DISTINCT kind FROM ledger_transactions"
        assert session.execute(text(kinds)).scalars().all() == ["settlement.booked"]


@pytest.mark.parametrize("run", ['bank_account = "main"'], indirect=True)
@pytest.mark.parametrize("from_folder", [True, False])
def test_an_own_transfer_without_a_sign_has_arrived_at_the_bank(
    run: Run, folder: Path, tmp_path: Path, transaction: Transaction, from_folder: bool
) -> None:
    path = (folder if from_folder else tmp_path) / "2026-11-20.csv"
    path.write_text(HEADER + SWEEP)
    assert night(run, *(() if from_folder else ("--file", path))).json["settlements_booked"] == 0
    with transaction() as session:
        assert session.execute(text("SELECT amount_minor FROM provider_records")).scalars().all() == [4900]


def test_no_fee_is_booked_that_a_customer_wrote_into_a_note(
    run: Run, folder: Path, transaction: Transaction
) -> None:
    """Nor where the row that the note stands in cannot be read."""
    damaged = NOTE.replace("r1,", "r3,").replace("Thanks!", "Merci \xe9")
    content = (HEADER + NOTE).encode() + damaged.encode("latin-1") + PLAIN.encode()
    (folder / "2026-11-20.csv").write_bytes(content)
    told = night(run).json
    assert (told["records"], told["bad_rows"]) == (2, 1)
    assert fees(transaction) == [50, 50]


def test_three_payments_whose_ids_a_spreadsheet_made_one_are_three_bad_rows(run: Run, folder: Path) -> None:
    (folder / "2026-11-20.csv").write_text(HEADER + PLAIN + MANGLED)
    told = night(run).json
    assert (told["records"], told["bad_rows"]) == (1, 3)


def test_nothing_is_paid_out_through_it_and_nothing_is_asked_of_it(
    run: Run, transaction: Transaction
) -> None:
    with transaction() as session:
        sync_settings(session, load_settings(os.environ))
    listed = run("providers", "list", "--json")
    [bank] = listed.json if isinstance(listed.json, list) else listed.json["providers"]
    assert (bank["provider"], bank["adapter"], bank["enabled"]) == ("bank", "files", False)
    since = ("--since", "2026-11-20", "--until", "2026-11-21")
    asked = run("backfill", "start", "--tenant", "acme", "--provider", "bank", *since, "--here")
    assert (asked.code, "has no list of events" in asked.err) == (2, True), asked.err
