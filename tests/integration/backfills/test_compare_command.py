"""`ledgerbeat wallets compare` as an operator runs it: exit codes, totals, and who differs."""

import csv
from pathlib import Path

import pytest
from sqlalchemy import func, select, table, text
from sqlalchemy.orm import Session

from models.backfills.comparing import Comparison, compare
from models.ledger.codes import held_code, wallet_code
from ops.cli import compare as command
from tests.integration.ledger.postings import credit, debit, move, posted
from tests.integration.repair.commands import Ran, runner
from worker.database import Transaction

pytestmark = pytest.mark.usefixtures("tenant")
MAPPING = """
unit = "major"
currency = "EUR"
as_of = "2026-03-14T00:00:00Z"
[columns]
owner = "player"
amount = "balance"
"""
WRITTEN = (
    "accounts",
    "ledger_transactions",
    "ledger_entries",
    "audit_events",
    "backfills",
    "tenants",
    "jobs",
)


class Operator:
    """Someone with the older wallet's export on a disk."""

    def __init__(self, folder: Path, run: object) -> None:
        self.folder, self._run = folder, run

    def compares(self, *lines: str, out: str = "", more: tuple[str, ...] = ()) -> Ran:
        old, mapping = self.folder / "old.csv", self.folder / "mapping.toml"
        old.write_text("\n".join(("player,balance", *lines)) + "\n")
        mapping.write_text(MAPPING)
        options = ["--out", self.folder / out] if out else []
        done: Ran = self._run(  # type: ignore[operator]
            "wallets", "compare", "--tenant", "acme", "--file", old, "--mapping", mapping, *options, *more
        )
        return done

    def table(self, name: str) -> list[dict[str, str]]:
        with (self.folder / name).open(newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture
def operator(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Operator:
    return Operator(tmp_path, runner(monkeypatch, capsys, tmp_path, database_url=database_url))


@pytest.fixture
def wallets(transaction: Transaction) -> None:
    """ada has 100, of which 30 are held; bob 5; eve 40; globex's ada has other money."""
    posted(
        transaction,
        credit("ada", 100_00, "k1"),
        move(wallet_code("ada"), held_code("ada"), 30_00, "k2"),
        credit("bob", 5_00, "k3"),
        credit("eve", 40_00, "k4"),
        credit("ada", 900_00, "k5", tenant="globex"),
    )


def rows_of(transaction: Transaction) -> list[int]:
    with transaction() as session:
        return [
            session.execute(select(func.count()).select_from(table(name))).scalar_one() for name in WRITTEN
        ]


@pytest.mark.usefixtures("wallets")
def test_wallets_that_are_equal_exit_with_0_and_nothing_is_written(
    operator: Operator, transaction: Transaction
) -> None:
    before = rows_of(transaction)
    ran = operator.compares("ada,100.00", "bob,5", "eve,40.00")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[-1] == "equal"
    assert "145.00 EUR" in ran.out
    assert rows_of(transaction) == before


@pytest.mark.usefixtures("wallets")
def test_whoever_differs_is_told_on_the_terminal_as_json_and_as_a_file(operator: Operator) -> None:
    lines = ("ada,101.00", "bob,5", "zoe,7.50")
    ran = operator.compares(*lines, out="diff.csv")
    assert ran.code == 1
    assert ran.out.splitlines()[-1] == "NOT equal"
    assert "3 wallets differ" in ran.out
    assert [list(row.values())[:6] for row in operator.table("diff.csv")] == [
        ["only_in_new", "eve", "EUR", "0", "4000", "4000"],
        ["only_in_old", "zoe", "EUR", "750", "0", "-750"],
        ["differs", "ada", "EUR", "10100", "10000", "-100"],
    ]
    assert (operator.folder / "diff.csv").stat().st_mode & 0o777 == 0o600
    told = operator.compares(*lines, more=("--json",))
    assert told.code == 1
    [total] = told.json["totals"]
    assert (total["old_minor"], total["new_minor"], total["difference_minor"]) == (11350, 14500, 3150)
    assert (told.json["equal"], told.json["differing"], total["agreeing"]) == (False, 3, 1)
    assert [one["owner"] for one in told.json["differences"]] == ["eve", "zoe", "ada"]


@pytest.mark.usefixtures("wallets")
def test_a_row_that_cannot_be_read_makes_nothing_equal(operator: Operator) -> None:
    ran = operator.compares("ada,100.00", "bob,5", "eve,40.00", "kim,1.005", ",3", out="diff.csv")
    assert ran.code == 1
    assert "2 rows of the file could not be read" in ran.out
    assert [row["line"] for row in operator.table("diff.csv") if row["kind"] == "unreadable"] == ["5", "6"]
    told = operator.compares("ada,100.00", "bob,5", "eve,40.00", "kim,1.005", more=("--json",)).json
    assert (told["equal"], told["differing"], told["unreadable"]) == (False, 0, 1)
    assert [one["place"] for one in told["first_unreadable"]] == ["5"]


def test_an_owner_whom_a_spreadsheet_would_compute_is_shown_as_text(operator: Operator) -> None:
    operator.compares("=1+1,5", out="diff.csv")
    assert [row["owner"] for row in operator.table("diff.csv")] == ["'=1+1"]


def test_what_shadow_mode_let_through_is_told(operator: Operator, transaction: Transaction) -> None:
    with transaction() as session:
        session.execute(text("UPDATE tenants SET ledger_mode = 'shadow' WHERE tenant = 'acme'"))
    posted(transaction, debit("ada", 250, "k1"), shadow=True)
    ran = operator.compares("ada,-2.50")
    assert ran.code == 0
    assert "ledger mode: shadow" in ran.out
    assert "shadow mismatches: 1 postings on 1 accounts, short of 2.50 EUR" in ran.out
    assert "overdrawn: ada, -2.50 EUR" in ran.out
    told = operator.compares("ada,-2.50", more=("--json",)).json
    assert (told["ledger_mode"], told["mismatches"][0]["short_minor"]) == ("shadow", 250)
    assert [one["owner"] for one in told["overdrawn"]] == ["ada"]


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        (MAPPING.replace('"balance"', '"amount"'), "amount"),
        (MAPPING.replace('unit = "major"\n', ""), "unit"),
        ("unit = ", "TOML"),
    ],
)
def test_a_file_that_is_not_as_it_is_described_exits_with_2(
    operator: Operator, mapping: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.MAPPING", mapping)
    ran = operator.compares("ada,1", out="diff.csv")
    assert (ran.code, ran.out) == (2, "")
    assert expected in ran.err
    assert not list(operator.folder.glob("diff.csv*"))


def test_a_file_that_is_there_is_not_written_over(operator: Operator) -> None:
    kept = operator.folder / "diff.csv"
    kept.write_text("mine")
    ran = operator.compares("ada,1", out="diff.csv")
    assert (ran.code, ran.out, f"{kept} is there already: name another file" in ran.err) == (2, "", True)
    assert kept.read_text() == "mine"


def test_one_that_comes_while_it_compares_is_not_written_over(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = operator.folder / "diff.csv"

    def compared_meanwhile(session: Session, tenant: str) -> Comparison:
        kept.write_text("theirs")
        return compare(session, tenant)

    monkeypatch.setattr(command, "compare", compared_meanwhile)
    ran = operator.compares("ada,1", out="diff.csv")
    assert (ran.code, "is there already" in ran.err, kept.read_text()) == (2, True, "theirs")
    assert list(operator.folder.glob("diff.csv*")) == [kept]


def test_a_tenant_that_is_not_there_or_a_folder_that_is_not_exits_with_2(operator: Operator) -> None:
    assert operator.compares("ada,1", more=("--tenant", "nobody")).code == 2
    ran = operator.compares("ada,1", out="missing/diff.csv")
    assert (ran.code, "cannot be written" in ran.err) == (2, True)
