"""An older wallet's rows become the ledger's, each once."""

from tests.integration.backfills.runs import Desk, line


def test_rows_move_money_between_the_house_and_owners(desk: Desk) -> None:
    lines = [line("1", "ada", 100), line("2", "ada", -30), line("3", "ada", 20, to="bob"), line("4", "bob", 5, day=2)]
    run = desk.run(desk.file(lines))
    assert (run.state, run.rows_read, run.posted, run.quarantined) == ("done", 4, 4, 0)
    assert (desk.balance("ada"), desk.balance("bob")) == (50, 25)
    assert run.money == {"EUR": {"posted": 155}}
    assert desk.broken() == []
