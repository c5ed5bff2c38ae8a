"""Kinds that an account's settings declare: what its provider calls so is none of our business, or our own transfer."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from worker.providers.records.port import BadRow, Record, RecordSource, Window

DeclaredKind = Literal["own_transfer", "fee", "ignore", "other"]
"""None that our ledger has from elsewhere: to call a payout of ours something else would hide it."""


class DeclaredKinds:
    """The source of an account, its records of the declared types with the declared kinds. All else is the source's.

    A type is the provider's own word, a record's `status`: Adyen's Type, Stripe's type of a balance transaction.
    """

    def __init__(self, source: RecordSource, kinds: Mapping[str, DeclaredKind]) -> None:
        self._source = source
        self._kinds = kinds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def read(self, window: Window) -> Iterator[Record | BadRow]:
        """See RecordSource."""
        for one in self._source.read(window):
            if isinstance(one, Record) and one.status in self._kinds:
                yield replace(one, kind=self._kinds[one.status])
            else:
                yield one
