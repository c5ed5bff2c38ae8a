"""Database work as a dialogue: a generator says what it asks, and is told the rows, whoever carries it to and fro.

So one function serves callers that wait (a Session) and callers that must not (worker.http.writing).
"""

from collections.abc import Generator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import TextClause
from sqlalchemy.orm import Session

Result = TypeVar("Result")


class Query(NamedTuple):
    """A statement that returns rows, and its values by name."""

    statement: TextClause
    values: Mapping[str, Any]


Steps = Generator[Query, Sequence[Any], Result]
"""Yields queries, is sent their rows as tuples, returns the result."""


def run(session: Session, steps: Steps[Result]) -> Result:
    """The result of the steps, in the session's transaction."""
    rows: Sequence[Any] | None = None
    try:
        while True:
            query = next(steps) if rows is None else steps.send(rows)
            rows = session.execute(query.statement, query.values).all()
    except StopIteration as end:
        found: Result = end.value
        return found
