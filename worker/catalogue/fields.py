"""The kinds of value that arguments are made of: strict, bounded, and free of what PostgreSQL cannot hold."""

from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_validator,
)

from models.money import BIGINT_MAX, CURRENCIES

PRINTABLE = r"[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069"
"""A character class, still open: no control characters, no line separators, nothing that turns the text around."""


class Arguments(BaseModel):
    """Arguments of a job: exact JSON types, unknown fields refused, frozen."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class SparseArguments(Arguments):
    """Arguments of which some may be left out (`OrLeftOut`); null is no way of leaving one out."""

    @model_validator(mode="after")
    def _nothing_is_null(self) -> Self:
        if any(getattr(self, name) is None for name in self.model_fields_set):
            raise ValueError("Leave out what has no value, or does not change: null is not a value here.")
        return self


class _NullNotShown:
    """Keeps null, by which a schema knows that a field was left out, from those who read the schema.

    A union with a hidden None would do the same, and would put its branches into the pointers of errors.
    """

    def __get_pydantic_json_schema__(self, core: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        [shown] = [one for one in handler(core)["anyOf"] if one != {"type": "null"}]
        return dict(shown)


T = TypeVar("T")
OrLeftOut = Annotated[T | None, _NullNotShown()]


def _known_currency(code: str) -> str:
    if code not in CURRENCIES:
        raise ValueError("An ISO 4217 currency code with a minor unit is expected, in capitals.")
    return code


Currency = Annotated[
    str,
    AfterValidator(_known_currency),
    WithJsonSchema({"type": "string", "enum": sorted(CURRENCIES), "description": "ISO 4217 code"}),
]
AmountMinor = Annotated[int, Field(ge=1, le=BIGINT_MAX, description="In minor units of the currency")]
LimitMinor = Annotated[int, Field(ge=0, le=BIGINT_MAX)]
Owner = Annotated[
    str, Field(pattern=r"^[!-~]{1,128}$", description="The upstream app's opaque id of the owner")
]
Reason = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,62}$", description="Names the house account, house:<reason>"
    ),
]
Provider = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")]
Reference = Annotated[str, Field(pattern=r"^[!-~]{1,128}$", description="Unique per deposit at the provider")]
Event = Annotated[
    str, Field(pattern=r"^[!-~]{1,100}$", description="What the awards are for, such as a contest")
]
Placement = Annotated[int, Field(ge=1, le=BIGINT_MAX)]
Actor = Annotated[
    str, Field(pattern=f"^{PRINTABLE}\\s]{PRINTABLE}]{{0,127}}$", description="Who decided this")
]
Why = Annotated[
    str, Field(pattern=f"^{PRINTABLE}\\s]{PRINTABLE}]{{0,499}}$", description="Why, for the audit")
]
