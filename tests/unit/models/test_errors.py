"""The page of errors: one tree, stable codes."""

import pytest

from models import errors
from models.errors import DoorError, InvalidArguments, LedgerbeatError

EVERY = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]


@pytest.mark.parametrize("error", EVERY, ids=lambda error: error.__name__)
def test_every_error_is_in_the_tree_and_in_the_picture_of_it(error: type[Exception]) -> None:
    assert issubclass(error, LedgerbeatError)
    assert error.__name__ in str(errors.__doc__)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("UnknownTenant", "unauthenticated"),
        ("UnknownJob", "unknown_job"),
        ("InvalidArguments", "invalid_arguments"),
        ("IdempotencyKeyInvalid", "bad_idempotency_key"),
        ("IdempotencyKeyReused", "idempotency_key_reused"),
        ("TenantPaused", "tenant_paused"),
    ],
)
def test_a_door_error_has_the_contracts_code(name: str, code: str) -> None:
    error = getattr(errors, name)
    assert issubclass(error, DoorError)
    assert error.code == code
    assert f"{name} " in f"{errors.__doc__}"


def test_invalid_arguments_carry_each_error() -> None:
    found = [{"pointer": "/amount_minor", "message": "an integer was expected"}]
    assert InvalidArguments("no", found).errors == found
