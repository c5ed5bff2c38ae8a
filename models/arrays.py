"""PostgreSQL's array literals: the driver writes them value by value, which took a third of a batch's client CPU."""

from collections.abc import Iterable


def integers(values: Iterable[int]) -> str:
    """For a parameter that is cast to bigint[] or int[]."""
    return f"{{{','.join(map(str, values))}}}"


def texts(values: Iterable[str | None]) -> str:
    """For a parameter that is cast to text[], or to an array of what PostgreSQL reads from a text."""
    return f"{{{','.join(map(_quoted, values))}}}"


def _quoted(value: str | None) -> str:
    if value is None:
        return "NULL"
    if "\\" in value or '"' in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{value}"'
