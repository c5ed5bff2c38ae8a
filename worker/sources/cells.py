"""Reading what stands in an older system's cells: exactly, or Refused with a code and a sentence. No float is made."""

import re
from collections.abc import Callable
from datetime import datetime

from worker.files import cells
from worker.files.errors import Refused, Unreadable
from worker.files.money import money_reader as plain_money_reader
from worker.files.times import time_reader as plain_time_reader
from worker.sources.mapping import LegacyMapping

ROW_ID_LENGTH_MAX = 200

_OWNER = re.compile(r"[!-~]{1,128}")
_REASON = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,62}")


def row_id(value: str, column: str) -> str:
    """The row's own id. Raises Refused."""
    if not value:
        raise Refused(
            "no_id", f"the id, {column}, is empty: without an id of its own a row cannot be posted once"
        )
    if len(value) > ROW_ID_LENGTH_MAX or not value.isprintable():
        raise Refused(
            "bad_id", f"the id, {column}, is not a printable text of at most {ROW_ID_LENGTH_MAX} characters"
        )
    if value[0] in _MAY_BE_MANGLED and cells.is_mangled(value):
        raise Refused("mangled_id", cells.mangled(f"the id, {column},"))
    return value


def owner(value: str, column: str) -> str:
    """An owner's opaque id. Raises Refused."""
    if _OWNER.fullmatch(value):
        if value[0] in _MAY_BE_MANGLED and cells.is_mangled(value):
            raise Refused("mangled_id", cells.mangled(f"the owner, {column},"))
        return value
    if not value:
        raise Refused("no_owner", f"the owner, {column}, is empty")
    raise Refused(
        "bad_owner", f"the owner, {column}, is not 1 to 128 printable ASCII characters without spaces"
    )


_MAY_BE_MANGLED = frozenset("#E+-0123456789")
"""What a mangled id begins with: most ids are known to be none by their first letter."""


def reason(value: str, column: str) -> str:
    """What names the house account. Raises Refused."""
    if _REASON.fullmatch(value):
        return value
    if not value:
        raise Refused("no_reason", f"the reason, {column}, is empty")
    raise Refused("bad_reason", f"the reason, {column}, is not 1 to 63 of A-Z, a-z, 0-9 and _.:-")


def currency(value: str, column: str) -> str:
    """An ISO 4217 code. Raises Refused."""
    try:
        return cells.currency(value, f"the currency, {column},")
    except Unreadable as unreadable:
        raise Refused("unknown_currency" if value else "no_currency", str(unreadable)) from None


def money_reader(mapping: LegacyMapping) -> Callable[[str, str, str], int]:
    """(text, currency, column) -> minor units of either sign. Raises Refused."""
    read = plain_money_reader(mapping)

    def minor(value: str, currency: str, column: str) -> int:
        try:
            return read(value, currency, column)
        except Unreadable as unreadable:
            raise Refused("bad_amount" if value else "no_amount", str(unreadable)) from None

    return minor


def time_reader(mapping: LegacyMapping) -> Callable[[str, str], datetime]:
    """(text, column) -> UTC. Raises Refused."""
    return plain_time_reader(mapping.time_format, mapping.zone, mapping.ambiguous)
