"""Arguments of `reconciliation.run`: one business date of one provider account."""

from datetime import date
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from worker.catalogue.fields import Arguments, Provider

DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"


def _real_day(day: str) -> str:
    """Pydantic tries the pattern first; what it lets through may still be 31 February."""
    try:
        date.fromisoformat(day)
    except ValueError:
        raise ValueError("A day of the calendar is expected, such as 2026-03-14.") from None
    return day


BusinessDate = Annotated[
    str,
    Field(
        pattern=DATE,
        description="The tenant's local calendar day, YYYY-MM-DD",
        json_schema_extra={"format": "date"},
    ),
    AfterValidator(_real_day),
]


class ReconciliationRun(Arguments):
    """Reconciles a business date now, or once more. The job is done when the run is due, not when it has ended."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"provider": "sandbox", "business_date": "2026-03-13"}]}
    )

    provider: Provider
    business_date: BusinessDate
