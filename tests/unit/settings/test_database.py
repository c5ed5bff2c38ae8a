"""Which database errors may pass when the same transaction runs again."""

import psycopg
import pytest
from psycopg import errors
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InterfaceError,
    NoResultFound,
    OperationalError,
    ProgrammingError,
)

from models.errors import PostingRaced
from worker.database import is_transient, make_engine, transactions


def wrapped(original: BaseException, kind: type[DBAPIError] = OperationalError) -> DBAPIError:
    return kind("SELECT 1", {}, original)


@pytest.mark.parametrize(
    "original",
    [
        errors.SerializationFailure(),
        errors.DeadlockDetected(),
        errors.LockNotAvailable(),
        errors.QueryCanceled(),
        errors.AdminShutdown(),
        errors.CrashShutdown(),
        errors.CannotConnectNow(),
        errors.TooManyConnections(),
        errors.IdleInTransactionSessionTimeout(),
        errors.ReadOnlySqlTransaction(),
        errors.DiskFull(),
        errors.OutOfMemory(),
        errors.IoError(),
        errors.ConnectionException(),
        errors.ConnectionFailure(),
        errors.SqlclientUnableToEstablishSqlconnection(),
        psycopg.OperationalError("server closed the connection unexpectedly"),
    ],
    ids=lambda original: type(original).__name__,
)
def test_what_may_pass_is_tried_again(original: psycopg.Error) -> None:
    assert is_transient(wrapped(original))


def test_a_lost_connection_may_pass_whatever_it_is_called() -> None:
    assert is_transient(InterfaceError("SELECT 1", {}, psycopg.InterfaceError("the connection is closed")))
    lost = DBAPIError("SELECT 1", {}, psycopg.Error("gone"), connection_invalidated=True)
    assert is_transient(lost)


@pytest.mark.parametrize(
    "error",
    [
        wrapped(errors.UniqueViolation(), IntegrityError),
        wrapped(errors.CheckViolation(), IntegrityError),
        wrapped(errors.UndefinedTable(), ProgrammingError),
        wrapped(errors.InsufficientPrivilege(), ProgrammingError),
        wrapped(errors.NumericValueOutOfRange()),
        wrapped(errors.UndefinedColumn(), ProgrammingError),
        wrapped(errors.InvalidPassword()),
        DBAPIError("SELECT 1", {}, psycopg.Error("who knows")),
        errors.DeadlockDetected(),
        PostingRaced("again"),
        NoResultFound(),
        ValueError("no"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(getattr(error, "orig", error)).__name__,
)
def test_what_will_not_pass_is_not_tried_again(error: BaseException) -> None:
    assert not is_transient(error)


def test_a_server_that_is_not_there_may_come() -> None:
    engine = make_engine("postgresql+psycopg://app@127.0.0.1:1/none")
    with pytest.raises(OperationalError) as raised, transactions(engine)():
        engine.connect()
    assert is_transient(raised.value)
    engine.dispose()
