"""What is kept of a row that an API told: its own fields, none of what it was expanded with."""

import json
from collections.abc import Mapping

from worker.providers.records.cells import kept

FIELDS_MAX = 30


def shown(row: object) -> str:
    """JSON of the row, bounded. An object inside it is cut to its id: it may hold people's data."""
    if isinstance(row, Mapping):
        row = {str(name): _flat(value) for name, value in list(row.items())[:FIELDS_MAX]}
    return kept(json.dumps(_flat(row) if not isinstance(row, dict) else row, default=str))


def _flat(value: object) -> object:
    if isinstance(value, Mapping):
        return value.get("id", "...")
    return "..." if isinstance(value, list) else value
