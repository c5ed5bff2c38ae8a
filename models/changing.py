"""Statements that change rows and return none: how many rows they changed."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import CursorResult, Executable
from sqlalchemy.orm import Session


def changed(session: Session, statement: Executable, values: Mapping[str, Any]) -> int:
    """Rows that the statement has inserted, updated or deleted. Raises TypeError for one that only reads."""
    result = session.execute(statement, values)
    if not isinstance(result, CursorResult):
        raise TypeError(f"a statement that changes rows was expected, it gave a {type(result).__name__}")
    return int(result.rowcount)
