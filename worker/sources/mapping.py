"""What an older system's rows mean: which of its columns says what, in which unit, zone and currency. Told by people.

Nothing has a default that could be wrong in silence: whatever is not told is refused where a row needs it.
"""

import codecs
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from models.money import CURRENCIES
from worker.catalogue.fields import Reason
from worker.providers.records.columns import Name, known_zone, time_form
from worker.sources.port import RowKind, SourceFailed

ENCODINGS = frozenset(
    codecs.lookup(name).name
    for name in (
        "utf-8", "ascii", "koi8-r", "koi8-u", "mac-roman", "mac-turkish", "cp437", "cp850", "cp852", "cp857", "cp866",
        *(f"cp125{n}" for n in range(9)), *(f"iso-8859-{n}" for n in (*range(1, 12), 13, 14, 15, 16)),
    )
)  # fmt: skip
"""Where a line break, a quote and a delimiter are one byte each that means nothing else."""


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


def _known_currency(code: str) -> str:
    if code not in CURRENCIES:
        raise ValueError("an ISO 4217 currency with a minor unit, such as 'EUR', was expected")
    return code


def _printable(word: str) -> str:
    if not word.isprintable() or word != word.strip():
        raise ValueError("a printable text without spaces around it was expected")
    return word


def _form(form: str) -> str:
    return form if form == "epoch_ms" else time_form(form)


def _a_time(told: Any) -> Any:
    if not isinstance(told, str | datetime):
        raise ValueError("a time with its offset was expected, such as '2026-11-01T00:00:00Z'")  # noqa: TRY004
    return told


Column = Annotated[Name, AfterValidator(_printable)]


class Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Columns(Told):
    """Which column says what (in JSON: which field, `a.b` inside `a`)."""

    id: Column | None = None
    owner: Column
    to_owner: Column | None = None
    amount: Column | None = None
    credit: Column | None = None
    debit: Column | None = None
    currency: Column | None = None
    occurred_at: Column | None = None
    kind: Column | None = None
    reason: Column | None = None

    @model_validator(mode="after")
    def _one_amount(self) -> Self:
        pair = (self.credit, self.debit)
        if (self.amount is None) != all(pair) or any(pair) != all(pair):
            raise ValueError("set either amount, or both credit and debit")
        return self


class Kind(Told):
    """What a word in the column `kind` means. `sign` is read where the mapping's sign is `by_kind`, and only there."""

    sign: Literal["credit", "debit", "transfer"] | None = None
    reason: Reason | None = None


class LegacyMapping(Told):
    """How to read an older system's rows.

    `namespace` is part of every row's key. Amounts are `unit`s, signed as they stand (plus: into the wallet) or
    `by_kind`. Times without an offset are in `timezone`, and without one they are refused; `ambiguous` says which of
    two equal hours is meant, where clocks go back. `as_of` is the moment of balances that have no column for it.
    """

    namespace: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")] = "legacy"
    encoding: Annotated[str, AfterValidator(_encoding)] = "utf-8"
    delimiter: Literal[",", ";", "\t", "|"] = ","
    unit: Literal["minor", "major"]
    decimal_mark: Literal[".", ","] = "."
    thousands_separator: Literal["", ",", ".", "'", " ", "\u00a0", "\u202f", "\u2019"] = ""
    timezone: Annotated[str, AfterValidator(known_zone)] | None = None
    ambiguous: Literal["refuse", "earlier", "later"] = "refuse"
    time_format: Annotated[str, AfterValidator(_form)] = "iso"
    sign: Literal["signed", "by_kind"] = "signed"
    columns: Columns
    currency: Annotated[str, AfterValidator(_known_currency)] | None = None
    reason: Reason | None = None
    kinds: dict[Annotated[str, AfterValidator(_printable)], Kind] = {}
    as_of: Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_a_time)] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        columns = self.columns
        if (columns.currency is None) == (self.currency is None):
            raise ValueError("set either columns.currency, or currency for all rows, such as 'EUR'")
        if self.thousands_separator == self.decimal_mark:
            raise ValueError("thousands_separator and decimal_mark cannot be the same")
        if columns.reason is not None and self.reason is not None:
            raise ValueError("set either columns.reason, or reason for all rows")
        if (columns.kind is None) != (not self.kinds):
            raise ValueError(
                "columns.kind and the table kinds need each other: [kinds] says what each word means"
            )
        if (columns.occurred_at is not None) == (self.as_of is not None):
            raise ValueError("set columns.occurred_at, or, for balances of one moment, as_of")
        self._signs()
        return self

    def _signs(self) -> None:
        signs = {kind.sign for kind in self.kinds.values()}
        if self.sign == "signed" and signs - {None}:
            raise ValueError(
                "the signs in kinds are read only with sign = 'by_kind': set it, or leave them out"
            )
        if self.sign == "by_kind" and (self.columns.amount is None or not self.kinds or None in signs):
            raise ValueError(
                "sign = 'by_kind' needs columns.amount, columns.kind, and a sign in every one of kinds: "
                '"BONUS" = {sign = "credit"}'
            )
        if "transfer" in signs and self.columns.to_owner is None:
            raise ValueError("a kind whose sign is transfer needs columns.to_owner")

    def require_kind(self, kind: RowKind) -> None:
        """Raises SourceFailed when rows of `kind` need more, or other, than the mapping tells."""
        columns, kinds = self.columns, self.kinds.values()
        if kind == "opening_balances":
            if columns.to_owner or "transfer" in {word.sign for word in kinds}:
                raise SourceFailed(
                    "the mapping of opening balances cannot have columns.to_owner, or transfers"
                )
            return
        if columns.id is None:
            raise SourceFailed(
                "the mapping needs columns.id: without an id of its own a row cannot be posted once"
            )
        if self.as_of is not None:
            raise SourceFailed("as_of is for opening balances: postings need columns.occurred_at")
        if not (columns.reason or self.reason) and (not kinds or any(word.reason is None for word in kinds)):
            raise SourceFailed(
                "the mapping needs columns.reason, a reason for all rows, such as 'history', or one in every kind"
            )

    @property
    def needed(self) -> tuple[str, ...]:
        """Every column that the source must have."""
        told = self.columns.model_dump().values()
        return tuple(dict.fromkeys(name for name in told if name is not None))

    @cached_property
    def zone(self) -> ZoneInfo | None:
        return ZoneInfo(self.timezone) if self.timezone else None

    @property
    def moment(self) -> datetime | None:
        """`as_of` in UTC."""
        return self.as_of.astimezone(UTC) if self.as_of else None


def legacy_mapping(told: Mapping[str, Any], kind: RowKind) -> LegacyMapping:
    """The mapping that a TOML or JSON table tells. Raises SourceFailed with what to set."""
    try:
        mapping = LegacyMapping(**told)
    except ValidationError as error:
        raise SourceFailed(f"the mapping: {explained(error)}") from None
    except TypeError:
        raise SourceFailed("the mapping must be a table") from None
    mapping.require_kind(kind)
    return mapping


def explained(error: ValidationError) -> str:
    """The first of what is wrong, as a sentence without the value."""
    first = error.errors(include_input=False, include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    said = first["msg"].removeprefix("Value error, ")
    return f"{name}: {said}" if name else said
