"""Balances recalculated as a backfill, and by `ledgerbeat wallets recalc`: the same words, the same exit codes."""

from collections.abc import Callable

import pytest
from sqlalchemy import text

from tests.integration.backfills.office import Office, row
from tests.integration.repair.commands import Ran
from worker.database import Transaction

AS_BACKFILL = (
    "backfill",
    "start",
    "--tenant",
    "acme",
    "--wallets",
    "--here",
    "--reason",
    "the audit of March",
)
AT_ONCE = ("wallets", "recalc", "--tenant", "acme", "--reason", "the audit of March")


@pytest.fixture
def drift(office: Office, owner_transaction: Transaction) -> Callable[[int], None]:
    """Somebody writes around the ledger: the balance of ada is off by so much."""
    office.file(*(row(number) for number in range(4)))
    office.start()

    def drifts(by: int) -> None:
        with owner_transaction() as session:
            session.execute(
                text("UPDATE accounts SET balance_minor = balance_minor + :by WHERE owner = 'ada'"),
                {"by": by},
            )

    return drifts


def codes(office: Office, *options: str) -> tuple[int, int]:
    """Of the backfill and of the command."""
    ran: list[Ran] = [office.run(*command, *options) for command in (AS_BACKFILL, AT_ONCE)]
    assert not any("Traceback" in one.err for one in ran)
    return ran[0].code, ran[1].code


def test_both_say_by_their_exit_code_whether_there_was_drift(
    office: Office, drift: Callable[[int], None]
) -> None:
    assert codes(office, "--dry-run") == (0, 0)
    drift(7)
    assert codes(office, "--dry-run") == (1, 1)
    assert office.run(*AS_BACKFILL).code == 1
    drift(7)
    assert office.run(*AT_ONCE).code == 1
    assert codes(office) == (0, 0)
    assert office.is_sound()


def test_a_backfill_says_what_it_would_repair_and_what_it_repaired(
    office: Office, drift: Callable[[int], None]
) -> None:
    drift(7)
    dry, done = office.run(*AS_BACKFILL, "--dry-run"), office.run(*AS_BACKFILL)
    assert "1 accounts would be repaired" in dry.out
    assert "dry run: nothing was repaired" in dry.out
    assert "would be repaired amount" in dry.out
    assert "1 accounts repaired" in done.out
    assert "0.07 EUR" in done.out
    assert not [ran.out for ran in (dry, done) if "posted" in ran.out or "stood already" in ran.out]
    [last, first] = office.run("backfill", "status", "--limit", "2").out.splitlines()[1:]
    assert ("1 repaired" in last, "1 would be repaired" in first) == (True, True)
