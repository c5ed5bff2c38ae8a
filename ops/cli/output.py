"""How commands print: tables for people, JSON for scripts."""

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import click
from rich.console import Console
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

NARROW_COLUMNS = 80
WIDE_COLUMNS = 200
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def print_json(value: Any) -> None:
    """One JSON document; times in ISO 8601 UTC, ids as text, bytes as text or base64; all in ASCII."""
    click.echo(json.dumps(value, default=_plain, indent=2))


def harmless(words: str) -> str:
    """Others' words on lines of their own, without what a terminal would obey."""
    return "".join(
        letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1] for letter in words
    )


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """A table, or the sentence `empty`. Wide when piped, so that nothing is cut."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        numeric = column.endswith(("minor", "amount", "balance", "tries", "available", "held"))
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    count = 0
    for row in rows:
        table.add_row(*(_shown(cell) for cell in row))
        count += 1
    _console().print(table) if count else click.echo(empty)


def print_lines(rows: Sequence[Sequence[str]]) -> None:
    """Columns without a head, the last of them prose; on a narrow terminal the prose has lines of its own."""
    console = _console()
    shown = [[_shown(cell) for cell in row] for row in rows]
    if not shown:
        return
    if console.width < NARROW_COLUMNS:
        for row in shown:
            console.print(Text("  ".join(row[:-1])))
            console.print(Padding(Text(row[-1], overflow="fold"), (0, 0, 0, 2)))
        return
    table = Table.grid(
        *(Column(no_wrap=True) for _ in shown[0][:-1]), Column(overflow="fold"), padding=(0, 2)
    )
    for row in shown:
        table.add_row(*row)
    with console.capture() as drawn:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in drawn.get().splitlines()))


def print_facts(facts: Mapping[str, Any]) -> None:
    """One `name: value` line each."""
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        click.echo(f"{name:<{width}}  {_shown(value)}")


def _console() -> Console:
    """For others' words, which are shown as they are; wide when piped."""
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDE_COLUMNS
    return console


def _shown(value: Any) -> str:
    """One printable line: nothing in it can speak to the terminal."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S%z")
    if isinstance(value, dict | list):
        value = json.dumps(value, default=_plain, ensure_ascii=False)
    return harmless(str(value).replace("\n", "\\n"))


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case UUID():
            return str(value)
        case bytes() | memoryview():
            return _text(bytes(value))
        case _ if is_dataclass(value) and not isinstance(value, type):
            return asdict(value)
        case _:
            return str(value)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return f"base64:{b64encode(raw).decode()}"
