"""An older wallet's rows become the ledger's, each once."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.tenants import update_policy
from tests.integration.backfills.generated import Desks
from tests.integration.backfills.runs import HISTORY, Desk, line


def test_rows_move_money_between_the_house_and_owners(desk: Desk) -> None:
    lines = [
        line("1", "ada", 100),
        line("2", "ada", -30),
        line("3", "ada", 20, to="bob"),
        line("4", "bob", 5, day=2),
    ]
    run = desk.run(desk.file(lines))
    assert (run.state, run.rows_read, run.posted, run.quarantined) == ("done", 4, 4, 0)
    assert (desk.balance("ada"), desk.balance("bob")) == (50, 25)
    assert run.money == {"EUR": {"posted": 155}}
    assert desk.broken() == []


def test_the_same_rows_in_another_file_another_order_and_twice_are_replays(desk: Desk) -> None:
    lines = [line(str(number), f"owner-{number % 7}", 10 + number) for number in range(60)]
    desk.run(desk.file(lines), batch_rows=7)
    before = desk.ledger()
    again = [*reversed(lines), *lines[::3]]
    run = desk.run(desk.file(again, "again.csv"), batch_rows=11)
    assert (run.state, run.posted, run.replayed, run.quarantined) == ("done", 0, len(again), 0)
    assert desk.ledger() == before
    assert desk.broken() == []


def test_a_row_twice_in_one_file_is_posted_once(desk: Desk) -> None:
    run = desk.run(desk.file([line("1", "ada", 10), line("2", "bob", 5), line("1", "ada", 10)]))
    assert (run.posted, run.replayed, desk.balance("ada")) == (2, 1, 10)


def test_another_content_under_the_same_id_is_set_aside_and_what_stands_stays(desk: Desk) -> None:
    desk.run(desk.file([line("1", "ada", 10)]))
    before = desk.ledger()
    run = desk.run(desk.file([line("1", "ada", 11), line("1", "bob", 10), line("1", "ada", 10)], "other.csv"))
    assert (run.posted, run.replayed, run.quarantined) == (0, 1, 2)
    assert desk.codes(run.id) == {"2": "conflict", "3": "conflict"}
    assert run.reasons == {"conflict": 2}
    assert desk.ledger() == before


def test_another_namespace_is_another_wallet(desk: Desk) -> None:
    file = desk.file([line("1", "ada", 10)])
    desk.run(file)
    run = desk.run(file, {**HISTORY, "namespace": "poker"})
    assert (run.namespace, run.posted, desk.balance("ada")) == ("poker", 1, 20)


def test_ids_with_colons_do_not_meet(desk: Desk) -> None:
    desk.run(desk.file([line("a:1", "ada", 10), line("a%3A1", "ada", 20)]))
    assert desk.balance("ada") == 30


def test_rows_that_cannot_be_read_are_set_aside_with_their_line(desk: Desk) -> None:
    run = desk.run(
        desk.file([line("1", "ada", 10), line("", "ada", 10), line("3", "ada", 0), line("4", "ada", 7)])
    )
    assert (run.posted, run.quarantined) == (2, 2)
    assert [(row.line, row.code, row.state) for row in desk.set_aside(run.id)] == [
        (3, "no_id", "open"),
        (4, "zero_amount", "open"),
    ]


def test_who_lacks_money_waits_until_the_rest_is_read(desk: Desk) -> None:
    newest_first = [line("3", "bob", -5), line("2", "ada", 20, to="bob"), line("1", "ada", 30)]
    run = desk.run(desk.file(newest_first), batch_rows=1)
    assert (run.state, run.posted, run.waiting, run.quarantined) == ("done", 3, 0, 0)
    assert (desk.balance("ada"), desk.balance("bob")) == (10, 15)
    assert [row.state for row in desk.set_aside(run.id, "posted")] == ["posted", "posted"]


@pytest.mark.parametrize("forwards", [True, False])
def test_a_long_chain_is_settled_in_either_order(desk: Desk, forwards: bool) -> None:
    chain = [line("0", "o-0", 10), *(line(str(n + 1), f"o-{n}", 10, to=f"o-{n + 1}") for n in range(30))]
    middle = chain[10:] + chain[:10]
    run = desk.run(desk.file(middle if forwards else chain[::-1]), batch_rows=4)
    assert (run.posted, run.quarantined, desk.balance("o-30")) == (31, 0, 10)
    assert forwards or run.batches <= 17


def test_what_nobody_pays_for_stays_set_aside(desk: Desk) -> None:
    run = desk.run(
        desk.file([line("1", "ada", 10), line("2", "ada", -11), line("3", "bob", -1), line("4", "ada", -10)])
    )
    assert (run.state, run.posted, run.waiting, run.quarantined) == ("done", 2, 0, 2)
    assert desk.codes(run.id) == {"3": "insufficient_funds", "4": "insufficient_funds"}
    assert run.reasons == {"insufficient_funds": 2}
    assert {row.state for row in desk.set_aside(run.id)} == {"open"}


def test_in_shadow_nobody_waits(desk: Desk) -> None:
    with desk.transaction() as session:
        update_policy(session, "acme", {"ledger_mode": "shadow"})
    run = desk.run(desk.file([line("1", "ada", -11)]))
    assert (run.posted, desk.balance("ada")) == (1, -11)


def test_a_source_with_nothing_in_it(desk: Desk) -> None:
    run = desk.run(desk.file([]))
    assert (run.state, run.rows_read, run.posted) == ("done", 0, 0)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moves=st.lists(st.tuples(st.sampled_from(("ada", "bob")), st.integers(1, 30)), max_size=12),
    data=st.data(),
)
def test_the_order_of_the_file_does_not_matter(
    desks: Desks, moves: list[tuple[str, int]], data: st.DataObject
) -> None:
    """Each owner gets something, and gives all of it away again, in any order."""
    rows = [
        line(f"{sign}{n}", owner, sign * amount)
        for n, (owner, amount) in enumerate(moves)
        for sign in (1, -1)
    ]
    order = data.draw(st.permutations(rows))
    with desks() as one, desks() as other:
        runs = one.run(one.file(rows), batch_rows=4), other.run(other.file(order), batch_rows=3)
        assert [(run.posted, run.quarantined) for run in runs] == [(len(rows), 0)] * 2
        assert one.ledger() == other.ledger()
        assert one.broken() == other.broken() == []
