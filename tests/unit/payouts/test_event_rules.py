"""What events do to payouts, and that ops/state-machines.md says so."""

from itertools import pairwise, product
from pathlib import Path
from typing import Any, get_args

import pytest

from models.payouts.states import LIVE_OUTCOMES, MOVES, STATES, State
from tasks.payouts.event_rules import (
    DUPLICATE,
    IMPOSSIBLE,
    KNOWN_FAILURE,
    OTHER_OBJECT,
    PAID,
    RULES,
    STALE,
    SUPERSEDED,
    TAKEN,
    TAKEN_BACK_BEFORE,
    TOO_EARLY,
    UNDECIDED,
    Advance,
    Decision,
    Ignore,
    Reject,
    decide,
)
from tasks.payouts.reversals import REVERSAL_MOVES
from tests.unit.payouts.event_facts import OUTCOMES, attempt, event, payout
from worker.providers.port import COUNTERS_BELOW, PAYOUT_MOVES, PayoutMove, ProviderEvent

PAGE = Path(__file__).resolve().parents[3] / "ops" / "state-machines.md"
TOLD: tuple[PayoutMove, ...] = get_args(PayoutMove)
OWN = tuple(move for move in TOLD if move not in REVERSAL_MOVES)
NAMES: tuple[State, ...] = get_args(State)
MONEY = {
    "paid": "hold captured",
    "failed": "hold released",
    "cancelled": "hold released",
    "returned": "brought back",
}


def table(section: str) -> list[list[str]]:
    """The head and the rows of the table under `### section`."""
    text = (
        PAGE.read_text(encoding="utf-8")
        .split("## Payouts\n")[1]
        .split(f"### {section}\n")[1]
        .split("\n##")[0]
    )
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in row] for row in rows]
    return [cells[0], *cells[2:]]


def spelled(decision: Decision) -> str:
    match decision:
        case Advance(states, finding):
            words = " ".join(f"→ {state}" for state in states)
        case Ignore(reason, finding):
            words = f"ignored: {reason}"
        case _:
            return repr(decision)
    return f"{words} !{finding}" if finding else words


def cells() -> list[tuple[State, PayoutMove, str]]:
    head, *rows = table("Events")
    moves = {move.removeprefix("payout_"): move for move in TOLD}
    by_name: dict[str, State] = dict(zip(STATES, NAMES, strict=True))
    return [
        (by_name[row[0]], moves[told], cell)
        for row in rows
        for told, cell in zip(head[1:], row[1:], strict=True)
    ]


def decided(state: State, told: ProviderEvent, *, outcome: str | None = None, **others: Any) -> Decision:
    one = attempt(outcome or OUTCOMES[state])
    return decide(payout(state, **others), [one], one, told)


@pytest.mark.parametrize(("state", "move", "cell"), cells())
def test_each_cell_of_the_page_is_what_decide_says(state: State, move: PayoutMove, cell: str) -> None:
    assert spelled(decided(state, event(move))) == cell
    assert spelled(RULES[move][state]) == cell


def test_the_table_is_complete() -> None:
    assert {(state, move) for state, move, _ in cells()} == set(product(STATES, PAYOUT_MOVES))
    assert len(cells()) == len(STATES) * len(PAYOUT_MOVES)


def test_the_pages_moves_are_the_codes() -> None:
    rows = table("Moves")[1:]
    assert len(rows) == sum(len(afters) for afters in MOVES.values())
    assert {(row[0], row[1]) for row in rows} == {(one, after) for one in MOVES for after in MOVES[one]}
    money = {(row[0], row[1]): row[2] for row in rows}
    assert money.pop(("returned", "paid")) == "taken again"
    assert all(told == MONEY.get(after, "stays held") for (_, after), told in money.items())


def test_no_rule_asks_for_a_move_that_does_not_exist() -> None:
    for move, state in product(TOLD, NAMES):
        decision = RULES[move][state]
        if isinstance(decision, Advance):
            path = [state, *decision.states]
            assert all(after in MOVES[before] for before, after in pairwise(path)), path


@pytest.mark.parametrize("move", TOLD)
@pytest.mark.parametrize("state", STATES)
def test_money_that_has_left_comes_back_only_with_a_finding(state: State, move: PayoutMove) -> None:
    decision = RULES[move][state]
    if isinstance(decision, Advance):
        assert ("returned" in decision.states) == (decision.finding == "late_reversal")
    assert isinstance(decision, Advance | Ignore)
    assert not (
        isinstance(decision, Ignore) and decision.reason == "impossible_move" and not decision.finding
    )


class TestTheProvidersOrder:
    @pytest.mark.parametrize("state", ["submitted", "paid", "returned", "failed"])
    @pytest.mark.parametrize("move", OWN)
    def test_what_is_older_than_the_newest_changes_nothing(self, state: State, move: PayoutMove) -> None:
        decision = decided(state, event(move, 2), sequence=3)
        late = move == "payout_paid" and state == "failed"
        assert decision == (TAKEN_BACK_BEFORE if late else STALE)

    def test_as_new_is_not_older(self) -> None:
        assert decided("submitted", event("payout_paid", 3), sequence=3) == PAID

    def test_without_numbers_the_state_decides(self) -> None:
        assert decided("submitted", event("payout_paid"), sequence=3) == PAID
        assert decided("failed", event("payout_paid", 1)) == IMPOSSIBLE

    @pytest.mark.parametrize(
        ("known", "sequence", "early"),
        [(None, 1, False), (None, 2, False), (None, 3, True), (1, 2, False), (1, 3, True), (4, 5, False),
         (4, 6, True), (0, 2, False), (None, COUNTERS_BELOW, False), (None, None, False)],
    )  # fmt: skip
    @pytest.mark.parametrize("state", ["sending", "submitted", "in_doubt", "cooling", "approved"])
    def test_a_failure_waits_for_what_is_missing_before_it(
        self, state: State, known: int | None, sequence: int | None, early: bool
    ) -> None:
        one, told = attempt(OUTCOMES[state]), event("payout_failed", sequence)
        assert (decide(payout(state, sequence=known), [one], one, told, patient=True) == TOO_EARLY) == early
        assert decide(payout(state, sequence=known), [one], one, told) != TOO_EARLY

    @pytest.mark.parametrize("gone", ["declined", "not_found", "abandoned"])
    def test_so_does_that_of_an_attempt_that_was_not_done(self, gone: str) -> None:
        one = attempt(gone)
        for sequence, expected in ((2, KNOWN_FAILURE), (3, TOO_EARLY)):
            told = event("payout_failed", sequence)
            assert decide(payout("cooling"), [one], one, told, patient=True) == expected

    @pytest.mark.parametrize("state", ["paid", "returned", "failed"])
    def test_where_it_makes_no_difference_it_does_not_wait(self, state: State) -> None:
        one = attempt(OUTCOMES[state])
        assert decide(payout(state), [one], one, event("payout_failed", 9), patient=True) != TOO_EARLY

    @pytest.mark.parametrize("move", ["payout_submitted", "payout_paid", "payout_returned"])
    def test_nothing_else_waits(self, move: PayoutMove) -> None:
        one = attempt("submitted")
        assert decide(payout(), [one], one, event(move, 9), patient=True) != TOO_EARLY


class TestWhomItIsAbout:
    @pytest.mark.parametrize("outcome", sorted(set(LIVE_OUTCOMES) - {"not_sent"}))
    @pytest.mark.parametrize("gone", ["declined", "not_found", "abandoned", "failed"])
    @pytest.mark.parametrize("move", TOLD)
    def test_an_attempt_with_a_rival_moves_nothing(self, outcome: str, gone: str, move: PayoutMove) -> None:
        older, newer = attempt(gone, 1), attempt(outcome, 2)
        states: dict[str, State] = {"sending": "sending", "in_doubt": "in_doubt", "submitted": "submitted"}
        decision = decide(payout(states.get(outcome, "paid")), [older, newer], older, event(move))
        if move == "payout_failed":
            assert decision == (DUPLICATE if gone == "failed" else KNOWN_FAILURE)
        elif move == "payout_submitted" and gone == "failed":
            assert decision == STALE
        else:
            assert decision == SUPERSEDED

    def test_one_that_waits_to_be_sent_is_no_rival(self) -> None:
        older, waiting = attempt("declined", 1), attempt("not_sent", 2)
        assert decide(payout("cooling"), [older, waiting], older, event("payout_paid")) == PAID

    @pytest.mark.parametrize("gone", ["declined", "not_found", "abandoned"])
    @pytest.mark.parametrize("state", ["approved", "cooling"])
    def test_what_was_taken_for_not_done_comes_to_life(self, state: State, gone: str) -> None:
        assert decided(state, event("payout_submitted"), outcome=gone) == TAKEN
        assert decided(state, event("payout_paid"), outcome=gone) == PAID
        assert decided(state, event("payout_failed"), outcome=gone) == KNOWN_FAILURE

    @pytest.mark.parametrize(
        ("gone", "waits"), [("declined", True), ("not_found", False), ("abandoned", False)]
    )
    def test_what_was_declined_is_given_a_minute_for_its_verdict(self, gone: str, waits: bool) -> None:
        one = attempt(gone)
        told = decide(payout("cooling"), [one], one, event("payout_submitted", 1), patient=True)
        assert told == (UNDECIDED if waits else TAKEN)
        assert decide(payout("cooling"), [one], one, event("payout_paid", 2), patient=True) == PAID

    @pytest.mark.parametrize("gone", ["declined", "not_found", "abandoned"])
    @pytest.mark.parametrize("state", ["failed", "cancelled"])
    @pytest.mark.parametrize("move", ["payout_submitted", "payout_paid", "payout_returned"])
    def test_it_does_not_once_the_hold_is_gone(self, state: State, gone: str, move: PayoutMove) -> None:
        assert decided(state, event(move), outcome=gone) == IMPOSSIBLE

    def test_an_attempt_that_has_failed_stays_failed(self) -> None:
        assert decided("cooling", event("payout_submitted"), outcome="failed") == STALE
        assert decided("cooling", event("payout_failed"), outcome="failed") == DUPLICATE
        assert decided("cooling", event("payout_paid"), outcome="failed") == IMPOSSIBLE
        assert decided("cooling", event("payout_returned"), outcome="failed") == IMPOSSIBLE

    def test_another_object_of_the_same_reference_is_not_ours(self) -> None:
        one = attempt("paid", object_id="po-1")
        decision = decide(payout("paid"), [one], one, event("payout_failed", object_id="po-2"))
        assert decision == OTHER_OBJECT

    @pytest.mark.parametrize("change", [{"amount_minor": 99}, {"currency": "USD"}])
    @pytest.mark.parametrize("state", STATES)
    def test_another_amount_is_for_a_person(self, state: State, change: dict[str, Any]) -> None:
        decision = decided(state, event("payout_paid", **change))
        assert isinstance(decision, Reject)
        assert decision.code == "amount_conflict"

    def test_an_amount_need_not_be_said(self) -> None:
        assert decided("submitted", event("payout_paid", amount_minor=None, currency=None)) == PAID
