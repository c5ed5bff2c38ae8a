"""Reading what stands in a cell: texts, ids, currencies and whole numbers, exactly or Unreadable. No float is made."""

import re

from models.money import BIGINT_MAX, CURRENCIES
from worker.files.errors import Unreadable

TEXT_LENGTH_MAX = 255
RAW_LENGTH_MAX = 4_000
"""What is kept of a row that cannot be read: enough to find it, bounded."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_PLAIN = re.compile(r"([+-]?)(\d{1,19})(?:\.(\d{1,6}))?", re.ASCII)
_MANGLED = re.compile(
    r"""[+-]?\d(?:[.,]\d+)?[Ee]\+\d{2,3}      # 8.82E+15, 1E+15, 1,23E+10: a number that a spreadsheet rounded
      | [+-]?\d[.,]\d+[Ee]-\d{2,3}            # 1.2E-05
      | \d{16,}[.,]0                          # 8814689190961342.0: through a float, which has 15 digits
      | \#{2,}                                # a column that was too narrow
      | \#[^\W\d_][^\s]*[!?]                  # #REF!, #VALUE!, #NAME?, #DIV/0!, and in other languages
      | \#N/A | \#N/D | \#N/V | \#N/B | \#NV | \#YOK | \#GETTING_DATA
      | Err:\d{3}""",
    re.VERBOSE,
)


class Number(str):
    """A number by its own type, in JSON or SQL: its mark is a point, and zeros at its end say nothing."""

    __slots__ = ()


def kept(raw: str) -> str:
    """A row's text as it may be kept: cut, and without what PostgreSQL's text cannot hold."""
    return _UNSTORABLE.sub("\ufffd", raw[:RAW_LENGTH_MAX])


def is_mangled(value: str) -> bool:
    """Is it what a spreadsheet makes of an id: a rounded number, or an error? Many ids become the same one so."""
    return _MANGLED.fullmatch(value) is not None


def mangled(column: str) -> str:
    """Why such an id is refused."""
    return f"{column} is not an id any more, but what a spreadsheet made of one: export the column as text"


def text(value: str, column: str) -> str | None:
    """A short printable text; None when it is empty. Raises Unreadable."""
    if not value:
        return None
    if len(value) > TEXT_LENGTH_MAX or not value.isprintable():
        raise Unreadable(f"{column} is not a printable text of at most {TEXT_LENGTH_MAX} characters")
    return value


def reference(value: str, column: str) -> str | None:
    """The same of an id in a file, which a spreadsheet may have had. Raises Unreadable."""
    if is_mangled(value):
        raise Unreadable(mangled(column))
    return text(value, column)


def need_text(value: str, column: str) -> str:
    """The same where there must be one. Raises Unreadable."""
    if (found := text(value, column)) is None:
        raise Unreadable(f"{column} is empty")
    return found


def currency(value: str, column: str) -> str:
    """An ISO 4217 code that has a minor unit, in capitals; capital or small letters are read. Raises Unreadable."""
    if value in CURRENCIES:
        return value
    if (code := value.upper()) in CURRENCIES and value.isascii():
        return code
    if not value:
        raise Unreadable(f"{column} is empty")
    if len(value) != 3 or not value.isascii() or not value.isalpha():
        raise Unreadable(f"{column} is not a code of three letters")
    raise Unreadable(f"{column} is not an ISO 4217 currency with a minor unit")


def scaled(value: str, places: int, column: str) -> int:
    """A plain decimal, times ten to the power of `places`. Raises Unreadable.

    More digits after the mark than `places` are refused even when they are zeros: 1.000 may have been a thousand.
    """
    if (found := _PLAIN.fullmatch(value)) is None:
        raise Unreadable(f"{column} is not a plain decimal number")
    sign, whole, part = found[1], found[2], found[3] or ""
    if len(part) > places:
        raise Unreadable(f"{column} has more than {places} digits after the decimal mark")
    return bounded(sign == "-", whole, part.ljust(places, "0"), column)


def bounded(is_minus: bool, whole: str, part: str, column: str) -> int:
    """The digits as an amount that fits into BIGINT. Raises Unreadable."""
    amount = int(whole + part)
    if amount > BIGINT_MAX:
        raise Unreadable(f"{column} is larger than BIGINT")
    return -amount if is_minus else amount
