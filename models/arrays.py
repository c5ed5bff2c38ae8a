"""PostgreSQL's array literals: the driver writes them value by value, which took a third of a batch's client CPU."""

from collections.abc import Iterable


def integers(values: Iterable[int]) -> str:
    """For a parameter that is cast to bigint[] or int[]."""
    return f"{{{','.join(map(str, values))}}}"


def texts(values: Iterable[str | None]) -> str:
    """For a parameter that is cast to text[], or to an array of what PostgreSQL reads from a text."""
    values = values if isinstance(values, list) else list(values)
    return _plain(values) or f"{{{','.join(map(_quoted, values))}}}"


def _plain(values: list[str | None]) -> str:
    """Nothing to escape in any of them, as nearly always: looked at together and not one by one; "" where there is."""
    if None in values:
        return ""
    body = '","'.join(values)  # type: ignore[arg-type] # no None is among them
    return "" if not values or "\\" in body or body.count('"') != 2 * len(values) - 2 else f'{{"{body}"}}'


def _quoted(value: str | None) -> str:
    if value is None:
        return "NULL"
    if "\\" in value or '"' in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{value}"'
