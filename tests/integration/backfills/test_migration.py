"""ops/runbooks/migration.md, walked from its beginning to its end by its own commands, beside a wallet that lives."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from models.ledger.reads import wallets_of
from tests.conftest import ROOT
from tests.integration.backfills.office import Office
from tests.integration.backfills.runbook import Command, Job, files, section, steps
from tests.integration.families.desk import Desk
from tests.integration.repair.commands import Ran
from worker.database import Transaction

RUNBOOK = ROOT / "ops" / "runbooks" / "migration.md"
DAY = timedelta(days=1)
BEGAN = datetime.now(UTC).replace(microsecond=0) - 30 * DAY
BOTH = BEGAN + 10 * DAY
"""From here on the app writes to both."""
KINDS = {"DEPOSIT": 1, "BONUS": 1, "PURCHASE": -1}
EARLIER = {"p3": 500, "zoe": -50}
"""What owners had before anything that the history tells."""


@dataclass(frozen=True, slots=True)
class Movement:
    """Of the older wallet."""

    id: str
    owner: str
    kind: str
    amount_minor: int
    at: datetime

    @property
    def job(self) -> tuple[str, dict[str, Any]]:
        name = "wallets.credit" if KINDS[self.kind] > 0 else "wallets.debit"
        reason = self.kind.lower()
        return name, {
            "owner": self.owner,
            "amount_minor": self.amount_minor,
            "currency": "EUR",
            "reason": reason,
        }


@dataclass
class OldWallet:
    """The one that decides until the end. It lets nobody spend what they do not have."""

    folder: Path
    moved: list[Movement] = field(default_factory=list)

    def move(self, owner: str, kind: str, amount_minor: int, at: datetime) -> Movement:
        made = Movement(f"m-{len(self.moved)}", owner, kind, amount_minor, at)
        self.moved.append(made)
        assert self.balances(at)[owner] >= min(EARLIER.get(owner, 0), 0)
        return made

    def balances(self, at: datetime) -> dict[str, int]:
        found = {**dict.fromkeys([f"p{n}" for n in range(10)], 0), **EARLIER}
        for one in self.moved:
            if one.at <= at:
                found[one.owner] = found.get(one.owner, 0) + KINDS[one.kind] * one.amount_minor
        return found

    def export_balances(self, name: str, at: datetime) -> None:
        rows = [(owner, "EUR", minor, at.isoformat()) for owner, minor in self.balances(at).items()]
        self._write(name, ("owner", "currency", "balance_minor", "read_at"), rows)

    def export_history(self, until: datetime) -> int:
        told = [one for one in self.moved if one.at < until]
        rows = [(one.id, one.owner, one.amount_minor, "EUR", one.at.isoformat(), one.kind) for one in told]
        self._write("history.csv", ("id", "owner", "amount_minor", "currency", "at", "kind"), rows)
        return len(rows)

    def _write(self, name: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
        with (self.folder / name).open("w", newline="") as file:
            csv.writer(file).writerows([columns, *rows])


@dataclass
class Move:
    """The move: an operator with the runbook, an app that writes to both, and the two wallets."""

    office: Office
    desk: Desk
    old: OldWallet

    def do(self, *done: Command | Job) -> list[Ran | dict[str, Any]]:
        """Commands of the runbook as they stand there, in this process; requests at the door as jobs."""
        return [self._job(one) if isinstance(one, Job) else self._command(one) for one in done]

    def section(self, number: int) -> list[Command | Job]:
        return list(steps(section(RUNBOOK, number)))

    def _command(self, command: Command) -> Ran:
        more = ("--here", "--json") if command.arguments[:2] == ("backfill", "start") else ()
        return self.office.run(*command.arguments, *more)

    def _job(self, job: Job) -> dict[str, Any]:
        [outcome] = self.desk.do(job.name, job.args, key=job.key)
        return outcome

    def moves(self, owner: str, kind: str, amount_minor: int, at: datetime) -> dict[str, Any]:
        """In both wallets, at once."""
        return self.writes(self.old.move(owner, kind, amount_minor, at), at)

    def writes(self, made: Movement, at: datetime) -> dict[str, Any]:
        self.desk.now = at
        name, args = made.job
        [outcome] = self.desk.do(name, args, key=made.id)
        return outcome

    def ours(self) -> dict[str, int]:
        with self.desk.transaction() as session:
            found = wallets_of(session, "acme")
        return {one.owner: one.available_minor + one.held_minor for one in found}

    def mismatches(self) -> int:
        return int(
            self.desk.rows("SELECT count(*) AS n FROM ledger_mismatches WHERE tenant = :tenant")[0]["n"]
        )


@pytest.fixture
def move(office: Office, transaction: Transaction, monkeypatch: pytest.MonkeyPatch) -> Iterator[Move]:
    monkeypatch.chdir(office.folder)
    for number in (3, 5):
        for name, content in files(section(RUNBOOK, number)).items():
            (office.folder / name).write_text(content)
    move = Move(office, Desk(transaction, "acme", BOTH), OldWallet(office.folder))
    for n in range(60):
        kind = "PURCHASE" if n >= 30 else ("DEPOSIT", "BONUS")[n % 2]
        move.old.move(f"p{n % 10}", kind, 100 + n if n < 30 else 50 + n % 7, BEGAN + n * timedelta(hours=3))
    yield move
    move.desk.check_books()


def code(ran: Ran | dict[str, Any]) -> int:
    assert isinstance(ran, Ran)
    return ran.code


def told(ran: Ran | dict[str, Any]) -> Any:
    assert isinstance(ran, Ran), ran
    assert ran.code == 0, ran.out + ran.err
    return ran.json


def test_the_runbook_from_its_beginning_to_its_end(move: Move) -> None:
    _follow_in_shadow(move)
    late, forgotten = _take_over_balances(move)
    _find_and_mend_differences(move, late, forgotten)
    _take_over_history(move)
    _enforce(move)


def _follow_in_shadow(move: Move) -> None:
    """1, 2: from now on nothing is refused, and what would have been is noted."""
    [shadow, _] = move.do(*move.section(1))
    assert isinstance(shadow, dict)
    assert shadow["state"] == "done"
    assert move.moves("p1", "PURCHASE", 40, BOTH)["state"] == "done"
    assert move.moves("p2", "DEPOSIT", 30, BOTH + timedelta(hours=1))["state"] == "done"
    assert (move.mismatches(), move.ours()) == (1, {"p1": -40, "p2": 30})


def _take_over_balances(move: Move) -> tuple[Movement, Movement]:
    """3: the dry run says what the run does; whatever was written to both before the export is not added again."""
    exported_at = BOTH + DAY
    late = move.old.move("p4", "DEPOSIT", 77, exported_at - timedelta(minutes=1))
    move.old.export_balances("balances-1.csv", exported_at)
    dry, done = move.section(3)
    before = move.ours()
    rehearsed = told(move.do(dry)[0])
    assert move.ours() == before
    posted = told(move.do(done)[0])
    assert [rehearsed[name] for name in ("posted", "unchanged", "money")] == [
        posted[name] for name in ("posted", "unchanged", "money")
    ]
    assert {owner: minor for owner, minor in move.ours().items() if minor} == {
        owner: minor for owner, minor in move.old.balances(exported_at).items() if minor
    }
    assert code(move.do(done)[0]) == 2  # the same file again: it says that it was taken
    move.writes(late, exported_at + timedelta(minutes=5))
    forgotten = move.old.move("p5", "BONUS", 9, exported_at + timedelta(hours=1))
    move.moves("p6", "PURCHASE", 20, exported_at + timedelta(hours=2))
    move.moves("kim", "DEPOSIT", 15, exported_at + timedelta(hours=3))
    return late, forgotten


def _find_and_mend_differences(move: Move, late: Movement, forgotten: Movement) -> None:
    """4: one movement that is counted twice, one that was written to one wallet only; nothing else."""
    compare, mend, again = move.section(4)
    move.old.export_balances("balances-2.csv", BOTH + 3 * DAY)
    with (move.office.folder / "balances-2.csv").open("a") as file:
        file.write(f"lea,EUR,12.50,{BEGAN.isoformat()}\n")
    assert code(move.do(compare)[0]) == 1
    with (move.office.folder / "differences-2.csv").open(newline="") as file:
        found = [(row["kind"], row["owner"], row["difference_minor"]) for row in csv.DictReader(file)]
    assert found == [
        ("unreadable", "", ""), ("differs", late.owner, "77"), ("differs", forgotten.owner, "-9"),
    ]  # fmt: skip
    move.old.export_balances("balances-2.csv", BOTH + 3 * DAY)
    mended = told(move.do(mend)[0])
    assert (mended["posted"], mended["money"]) == (2, {"EUR": {"posted": 86}})
    assert [code(ran) for ran in move.do(again)] == [0]


def _take_over_history(move: Move) -> None:
    """5, 6: each row of the history once, and the opening balances keep only what it does not explain."""
    rows = move.old.export_history(BOTH)
    balances = move.ours()
    dry, done, explain = move.section(5)
    assert told(move.do(dry)[0])["posted"] == told(move.do(done)[0])["posted"] == rows
    move.old.export_balances("balances-3.csv", BOTH + 4 * DAY)
    assert told(move.do(explain)[0])["quarantined"] == 0
    assert move.ours() == balances
    compare, verify, _ = move.section(6)
    assert [code(ran) for ran in move.do(compare, verify)] == [0, 0]
    assert -move.desk.balance("house:opening_balance") == sum(EARLIER.values()) + 9
    assert move.desk.balance("house:deposit") < 0 < move.desk.balance("house:purchase")


def _enforce(move: Move) -> None:
    """7: not while somebody is overdrawn without leave; and then nobody spends what is not there."""
    move.desk.now = BOTH + 5 * DAY
    enforce, verify = move.section(7)
    assert isinstance(enforce, Job)
    [refused] = move.do(enforce)
    assert isinstance(refused, dict)
    assert (refused["state"], refused["code"], refused["wallets"]) == ("refused", "negative_balances", 1)
    assert move.moves("p1", "DEPOSIT", 1, BOTH + 5 * DAY)["state"] == "done"
    *_, allow = move.section(6)
    [allowed, enforced] = move.do(allow, Job(enforce.name, "migration-enforce-2", enforce.args))
    assert isinstance(allowed, dict)
    assert isinstance(enforced, dict)
    assert (allowed["state"], enforced["state"]) == ("done", "done")
    balance = move.ours()["p1"]
    over = Movement("over", "p1", "PURCHASE", balance + 1, BOTH + 6 * DAY)
    outcome = move.writes(over, over.at)
    assert (outcome["state"], outcome["code"]) == ("refused", "insufficient_funds")
    assert move.writes(Movement("all", "p1", "PURCHASE", balance, over.at), over.at)["state"] == "done"
    assert move.ours()["p1"] == 0
    assert [code(ran) for ran in move.do(verify)] == [0]


def test_late_writes_are_told_by_every_comparison_until_they_are_mended(move: Move) -> None:
    """Whatever is late, in either wallet, the next export in a namespace of its own sets it right."""
    move.do(*move.section(1))
    _, done = move.section(3)
    move.old.export_balances("balances-1.csv", BOTH + DAY)
    told(move.do(done)[0])
    compare, mend, again = move.section(4)
    for day in range(2, 5):
        early = move.old.move("p1", "DEPOSIT", 10 * day, BOTH + day * DAY - timedelta(seconds=1))
        move.old.export_balances("balances-2.csv", BOTH + day * DAY)
        assert code(move.do(renumbered(compare, day))[0]) == 1
        told(move.do(renumbered(mend, day))[0])
        assert [code(ran) for ran in move.do(again)] == [0]
        move.writes(early, BOTH + day * DAY + timedelta(seconds=1))
        assert code(move.do(again)[0]) == 1
    move.old.export_balances("balances-2.csv", BOTH + 9 * DAY)
    told(move.do(renumbered(mend, 9))[0])
    assert [code(ran) for ran in move.do(again)] == [0]


def renumbered(command: Command | Job, number: int) -> Command:
    """For another round: the file of differences and the namespace are new ones."""
    assert isinstance(command, Command)
    words = [re.sub(r"^(differences|opening)-2", rf"\1-{number}", word) for word in command.arguments]
    return Command(tuple(words))


def test_every_command_of_the_runbook_is_walked() -> None:
    """A command that somebody adds there is to be walked here."""
    found = {number: len(list(steps(section(RUNBOOK, number)))) for number in range(1, 8)}
    assert found == {1: 2, 2: 0, 3: 2, 4: 3, 5: 3, 6: 3, 7: 2}
    assert set(files(RUNBOOK.read_text())) == {"balances.toml", "history.toml"}
