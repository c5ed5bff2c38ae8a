"""The error maps as tables: every row can be met, has a source, and what is in none is in doubt."""

import pytest

from worker.providers.payouts import adyen, errors, sandbox, stripe, stripe_objects
from worker.providers.payouts.errors import ANY, Meaning, Refusal, Row
from worker.providers.payouts.port import Answer, Declined, InDoubt, NotSent, Stopped
from worker.providers.stripe import MOVES

MAPS = {"sandbox": sandbox.ERRORS, "stripe": stripe.ERRORS, "adyen": adyen.ERRORS}
ROWS = [
    pytest.param(name, row, id=f"{name}-{row.status}-{row.kind}-{row.code}")
    for name in MAPS
    for row in MAPS[name]
]


def met_by(row: Row) -> Refusal:
    """A refusal that the row is for."""
    return Refusal(
        row.status,
        "some_kind" if row.kind == ANY else row.kind,
        "some_code" if row.code == ANY else row.code,
        7.0,
    )


EXPECTED: dict[Meaning, type[Answer]] = {
    "not_sent": NotSent,
    "declined_retryable": Declined,
    "declined_final": Declined,
    "in_doubt": InDoubt,
    "stop": Stopped,
}


@pytest.mark.parametrize(("name", "row"), ROWS)
def test_a_row_is_not_hidden_by_one_above_it(name: str, row: Row) -> None:
    refusal = met_by(row)
    assert next(r for r in MAPS[name] if r.fits(refusal.status, refusal.kind, refusal.code)) == row
    answer = errors.answer(MAPS[name], refusal)
    assert type(answer) is EXPECTED[row.means]
    if isinstance(answer, Declined):
        assert answer.retryable == (row.means == "declined_retryable")
        assert answer.retry_after_seconds == (7.0 if answer.retryable else None)
    assert row.source


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize(
    "status", [0, 100, 200, 201, 204, 301, 302, 304, 307, 400, 404, 408, 409, 418, 422, 425, 451]
)
def test_an_error_without_a_known_kind_never_says_that_nothing_moved(name: str, status: int) -> None:
    assert errors.answer(MAPS[name], Refusal(status, "", "")) == InDoubt(f"http_{status}")


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("status", [500, 501, 502, 503, 504, 529])
@pytest.mark.parametrize("kind", ["", "problem", "transient", "invalid_request_error", "api_error"])
def test_a_broken_provider_is_in_doubt_whatever_it_says(name: str, status: int, kind: str) -> None:
    assert isinstance(errors.answer(MAPS[name], Refusal(status, kind, "whatever")), InDoubt)


def test_only_a_wrong_account_stops_the_provider() -> None:
    assert {row.status for rows in MAPS.values() for row in rows if row.means == "stop"} == {401, 403}


def test_stripes_payout_statuses_mean_the_same_in_an_answer_and_in_an_event() -> None:
    in_events = {
        status: str(move).removeprefix("payout_")
        for status, move in MOVES["payout.updated"].items()
        if not status.startswith("reversal_")  # of another payout, which no answer of ours is about
    }
    assert dict(stripe_objects.PAYOUT_STATUSES) == in_events
