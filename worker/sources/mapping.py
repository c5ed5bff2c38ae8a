"""What an older system's rows mean: which of its columns says what, in which unit, zone and currency. Told by people.

Nothing has a default that could be wrong in silence: whatever is not told is refused where a row needs it.
"""

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
from worker.files.layout import Column, ColumnNames, Layout, flat, printable
from worker.files.times import known_zone
from worker.sources.port import RowKind, SourceFailed


def _known_currency(code: str) -> str:
    if code not in CURRENCIES:
        raise ValueError("an ISO 4217 currency with a minor unit, such as 'EUR', was expected")
    return code


def _a_time(told: Any) -> Any:
    if not isinstance(told, str | datetime):
        raise ValueError("a time with its offset was expected, such as '2026-11-01T00:00:00Z'")  # noqa: TRY004
    return told


class Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Columns(Told):
    """Which column says what (in JSON: which field, `a.b` inside `a`)."""

    id: ColumnNames | None = None
    owner: Column
    to_owner: Column | None = None
    amount: Column | None = None
    credit: Column | None = None
    debit: Column | None = None
    currency: Column | None = None
    occurred_at: ColumnNames | None = None
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


class LegacyMapping(Layout):
    """How to read an older system's rows.

    `namespace` is part of every row's key. Amounts are `unit`s, signed as they stand (plus: into the wallet) or
    `by_kind`. Times without an offset are in `timezone`, and without one they are refused. `as_of` is the moment of
    balances that have no column for it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    namespace: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")] = "legacy"
    unit: Literal["minor", "major"]
    timezone: Annotated[str, AfterValidator(known_zone)] | None = None
    sign: Literal["signed", "by_kind"] = "signed"
    columns: Columns
    currency: Annotated[str, AfterValidator(_known_currency)] | None = None
    reason: Reason | None = None
    kinds: dict[Annotated[str, AfterValidator(printable)], Kind] = Field(default={})
    as_of: Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_a_time)] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        columns = self.columns
        if (columns.currency is None) == (self.currency is None):
            raise ValueError("set either columns.currency, or currency for all rows, such as 'EUR'")
        self.require_one_mark()
        self.require_digest(columns.id, "columns.id")
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
        told = self.columns.model_dump(exclude={"id"} if self.digest_of else None).values()
        return flat(*told, self.digest_of)

    @property
    def amounts(self) -> frozenset[str]:
        """The columns whose numbers may have a fraction."""
        columns = self.columns
        return frozenset(flat(columns.amount, columns.credit, columns.debit))

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
