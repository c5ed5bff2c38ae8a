"""Every error that Ledgerbeat raises on purpose.

    LedgerbeatError
    ├── DoorError                  an upstream app's request cannot be accepted; `code` is stable and public
    │   ├── UnknownTenant          unauthenticated
    │   ├── UnknownJob             unknown_job
    │   ├── InvalidArguments       invalid_arguments, with `errors`
    │   ├── IdempotencyKeyInvalid  bad_idempotency_key
    │   ├── IdempotencyKeyReused   idempotency_key_reused
    │   └── TenantPaused           tenant_paused
    ├── LedgerError
    │   ├── MalformedPosting       a caller's bug: unbalanced, empty, or an impossible amount
    │   └── PostingRaced           another transaction took the same key meanwhile: run the batch again
    ├── PayoutError
    │   ├── ImpossibleMove         a caller's bug: no such move, or the ledger does not know the hold
    │   └── PayoutRaced            the payout has changed meanwhile: read it again
    ├── LaneBusy                   the lane was being drained for too long: ask again
    └── NotFound                   nothing of that id

A business rule that says no is not an error: it is a `Refused` outcome of the job (models.jobs).
Messages name the id, what was expected and what was found; never a person, never a secret.
"""

from collections.abc import Sequence
from typing import Any, ClassVar


class LedgerbeatError(Exception):
    """Root of the tree."""


class DoorError(LedgerbeatError):
    """A request that cannot be accepted. `code` is the contract's stable code."""

    code: ClassVar[str] = "not_accepted"


class UnknownTenant(DoorError):
    code = "unauthenticated"


class UnknownJob(DoorError):
    code = "unknown_job"


class InvalidArguments(DoorError):
    """`errors` is the contract's list of `{pointer, message}`, pointers as in RFC 6901."""

    code = "invalid_arguments"

    def __init__(self, message: str, errors: Sequence[dict[str, Any]] = ()) -> None:
        super().__init__(message)
        self.errors = list(errors)


class IdempotencyKeyInvalid(DoorError):
    code = "bad_idempotency_key"


class IdempotencyKeyReused(DoorError):
    code = "idempotency_key_reused"


class TenantPaused(DoorError):
    code = "tenant_paused"


class LedgerError(LedgerbeatError):
    """Something the ledger will not do."""


class MalformedPosting(LedgerError):
    """The posting itself is wrong; sending it again cannot help."""


class PostingRaced(LedgerError):
    """A transaction with one of these keys appeared meanwhile; the batch is to be run again."""


class PayoutError(LedgerbeatError):
    """Something that no payout does."""


class ImpossibleMove(PayoutError):
    """The move is not in models.payouts.states.MOVES, or its money is not there; nothing may be committed."""


class PayoutRaced(PayoutError):
    """Another transaction changed the payout; roll back, read it again and decide anew."""


class LaneBusy(LedgerbeatError):
    """Someone else has the lane; nothing was done."""


class NotFound(LedgerbeatError):
    """No such thing; the message says which id was looked for."""
