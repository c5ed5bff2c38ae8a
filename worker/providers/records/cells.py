"""Reading what a provider's record says: the cells of any file, and amounts as the provider counts them."""

from worker.files import cells
from worker.files.cells import kept as kept
from worker.files.cells import need_text as need_text
from worker.files.cells import reference as reference
from worker.files.cells import scaled as scaled
from worker.files.cells import text as text
from worker.files.errors import Unreadable as Unreadable
from worker.files.times import epoch as epoch
from worker.files.times import iso_time as iso_time
from worker.files.times import labelled_time as labelled_time
from worker.providers.payouts import amounts


def currency(value: str, column: str) -> str:
    """An ISO 4217 code in capitals, as a provider writes it. Raises Unreadable."""
    if value != value.upper():
        raise Unreadable(f"{column} is not a code of three capital letters")
    return cells.currency(value, column)


def from_provider(adapter: str, amount: int, code: str, column: str) -> int:
    """An amount of either sign as the provider counts it, in ISO minor units. Raises Unreadable."""
    try:
        minor = amounts.from_provider(adapter, "payout", abs(amount), code)
    except amounts.NotRepresentable:
        raise Unreadable(
            f"{column} has no whole ISO 4217 minor units of its currency within BIGINT"
        ) from None
    return -minor if amount < 0 else minor
