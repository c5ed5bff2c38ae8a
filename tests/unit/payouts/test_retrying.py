"""What may pass is tried again, as often as there are pauses; nothing else is."""

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from models.errors import ImpossibleMove, PayoutRaced, PostingRaced
from worker.retrying import retrying

AWAY = OperationalError("SELECT", {}, ConnectionRefusedError())


@pytest.mark.parametrize("error", [AWAY, PayoutRaced("x"), PostingRaced("x"), PoolTimeout("x")])
def test_what_may_pass_is_tried_again(error: Exception) -> None:
    errors, slept = [error, error], list[float]()

    def work() -> str:
        if errors:
            raise errors.pop()
        return "done"

    assert retrying(work, (1.0, 2.0, 3.0), slept.append) == "done"
    assert slept == [1.0, 2.0]


def test_the_last_error_is_raised() -> None:
    slept: list[float] = []

    def work() -> None:
        raise AWAY

    with pytest.raises(OperationalError):
        retrying(work, (1.0, 2.0), slept.append)
    assert slept == [1.0, 2.0]


@pytest.mark.parametrize(
    "error", [ImpossibleMove("x"), ValueError("x"), IntegrityError("INSERT", {}, Exception("x"))]
)
def test_a_bug_is_not(error: Exception) -> None:
    slept: list[float] = []

    def work() -> None:
        raise error

    with pytest.raises(type(error)):
        retrying(work, (1.0, 2.0), slept.append)
    assert slept == []
