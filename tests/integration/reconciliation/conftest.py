"""The books of a tenant, its owner's connection, and nights that run at a time of the test's choosing."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.integration.reconciliation.books import Books
from tests.integration.reconciliation.generating import Connection
from worker.database import Transaction


@pytest.fixture
def owner(database_url: str, tenant: str) -> Iterator[Connection]:
    """As the database's owner, in autocommit mode; the tenant "acme" exists."""
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as connection:
        yield connection


@pytest.fixture
def books(transaction: Transaction, tenant: str) -> Books:
    """The books of "acme" (Europe/Istanbul) with the sandbox, empty."""
    return Books(transaction)
