"""How a file is written: its letters, its lines, its numbers and its times, for nights and backfills alike.

Nothing is guessed from a file: what a mapping does not say is refused where a row needs it.
"""

import codecs
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from worker.files.times import Ambiguous, time_form

ENCODINGS = frozenset(
    codecs.lookup(name).name
    for name in (
        "utf-8", "ascii", "koi8-r", "koi8-u", "mac-roman", "mac-turkish", "cp437", "cp850", "cp852", "cp857", "cp866",
        *(f"cp125{n}" for n in range(9)), *(f"iso-8859-{n}" for n in (*range(1, 12), 13, 14, 15, 16)),
    )
)  # fmt: skip
"""Where a line break, a quote and a delimiter are one byte each that means nothing else."""
DIGEST = "digest"


def _encoding(name: str) -> str:
    try:
        found = codecs.lookup(name).name
    except (LookupError, ValueError):
        found = None
    if found not in ENCODINGS:
        raise ValueError(
            "encoding is one in which ASCII stays ASCII: utf-8, cp1252, cp1254, iso-8859-1, iso-8859-9 and so on"
        )
    return found


def printable(word: str) -> str:
    """Raises ValueError."""
    if not word.isprintable() or word != word.strip():
        raise ValueError("a printable text without spaces around it was expected")
    return word


def _one_or_more(value: Any) -> Any:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple):
        raise ValueError("a column, or a list of columns, was expected")  # noqa: TRY004 - pydantic's own
    return value


Column = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(printable)]
ColumnNames = Annotated[
    tuple[Column, ...],
    Field(min_length=1, max_length=10, strict=False),
    BeforeValidator(_one_or_more),
    PlainSerializer(lambda names: names[0] if len(names) == 1 else list(names)),
]
"""A column, or a list of several."""


def flat(*columns: str | Sequence[str] | None) -> tuple[str, ...]:
    """All the columns that are named, each once."""
    names = ((one,) if isinstance(one, str) else one or () for one in columns)
    return tuple(dict.fromkeys(name for several in names for name in several))


class Layout(BaseModel):
    """`skip_lines` stand before the header, `skip_last` lines with something in them behind the last row. `quotes` is
    none for files whose cells are never quoted. A `debit_sign` of minus is for columns of debits that carry one.

    `ambiguous` says which of two equal hours is meant, where clocks go back. `digest_of` are the columns that tell rows
    without an id apart; equal rows are numbered in their order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoding: Annotated[str, AfterValidator(_encoding)] = "utf-8"
    delimiter: Literal[",", ";", "\t", "|"] = ","
    quotes: Literal["csv", "none"] = "csv"
    skip_lines: Annotated[int, Field(ge=0, le=1000)] = 0
    skip_last: Annotated[int, Field(ge=0, le=100)] = 0
    unit: Literal["minor", "major"] = "minor"
    decimal_mark: Literal[".", ","] = "."
    thousands_separator: Literal["", ",", ".", "'", " ", "\u00a0", "\u202f", "\u2019"] = ""
    debit_sign: Literal["plus", "minus"] = "plus"
    time_format: Annotated[str, AfterValidator(time_form)] = "iso"
    ambiguous: Ambiguous = "refuse"
    digest_of: Annotated[tuple[Column, ...], Field(max_length=20, strict=False)] = ()

    def require_one_mark(self) -> None:
        """Raises ValueError."""
        if self.thousands_separator == self.decimal_mark:
            raise ValueError("thousands_separator and decimal_mark cannot be the same")

    def require_digest(self, id_columns: tuple[str, ...] | None, name: str) -> None:
        """Raises ValueError unless an id of digests and the columns of digests go together."""
        if self.digest_of and id_columns != (DIGEST,):
            raise ValueError(f'digest_of needs {name} = "{DIGEST}"')


def debit_rule(layout: Layout) -> str:
    """What a column of debits must have, said to whoever has the other."""
    if layout.debit_sign == "plus":
        return "each is without a minus; set debit_sign = 'minus' for debits that carry one"
    return "with debit_sign = 'minus' a debit carries a minus, and a credit does not"
