"""The one place that builds what a process needs: settings, engine, nudger - each when first asked for."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from celery import signals
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from models.provider_accounts import AccountTerms, sync_accounts
from models.tenants import sync_notified, sync_tenants
from worker.celery import NETWORK_CONCURRENCY, publish_drain
from worker.database import make_engine, transactions
from worker.locks import BackfillLocks, NightLocks, Nudger, PayoutLocks
from worker.providers.payouts.accounts import PayoutAccounts
from worker.settings import Settings, load_settings


class Resources:
    """What the tasks of one process share. Building it connects nothing."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._synced = False

    @cached_property
    def engine(self) -> Engine:
        return make_engine(
            self.settings.require_database_url(),
            role=self.settings.database_role,
            pool_size=NETWORK_CONCURRENCY,
            prepared_statements=self.settings.prepared_statements,
        )

    @cached_property
    def nudger(self) -> Nudger:
        return Nudger(self.settings.require_redis_url(), publish_drain)

    @cached_property
    def payout_locks(self) -> PayoutLocks:
        return PayoutLocks(self.settings.require_redis_url())

    @cached_property
    def night_locks(self) -> NightLocks:
        return NightLocks(self.settings.require_redis_url())

    @cached_property
    def backfill_locks(self) -> BackfillLocks:
        return BackfillLocks(self.settings.require_redis_url())

    @cached_property
    def payout_accounts(self) -> PayoutAccounts:
        return PayoutAccounts(self.settings.tenants)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session in one transaction. The first of the process makes sure of the configured tenants and accounts."""
        if not self._synced:
            self._sync()
        with transactions(self.engine)() as session:
            yield session

    def close(self) -> None:
        """Give back connections. What was built is built again when it is asked for."""
        if engine := self.__dict__.pop("engine", None):
            engine.dispose()
        for name in ("nudger", "payout_locks", "night_locks", "backfill_locks", "payout_accounts"):
            if built := self.__dict__.pop(name, None):
                built.close()

    def _sync(self) -> None:
        with transactions(self.engine)() as session:
            sync_settings(session, self.settings)
        self._synced = True


def sync_settings(session: Session, settings: Settings) -> None:
    """Make the database know the tenants of the settings, who of them is told news, and their provider accounts.

    Settings without any tenant change nothing.
    """
    tenants = settings.tenants
    if not tenants:
        return
    sync_tenants(session, {name: tenant.timezone for name, tenant in tenants.items()})
    sync_notified(session, [name for name, tenant in tenants.items() if tenant.notify_url])
    accounts = [
        AccountTerms(
            tenant=tenant.name,
            provider=provider.name,
            adapter=provider.adapter,
            enabled=provider.pays_out,
            max_in_flight=provider.max_in_flight,
            per_second=provider.payouts_per_second,
        )
        for tenant in tenants.values()
        for provider in tenant.providers.values()
    ]
    sync_accounts(session, accounts)


_lock = threading.Lock()
_current: Resources | None = None


def current() -> Resources:
    """The resources of this process, from the environment. Raises SettingsError."""
    global _current  # noqa: PLW0603 - one per process is the point
    with _lock:
        if _current is None:
            _current = Resources(load_settings())
        return _current


@signals.worker_shutdown.connect
def close(**_: object) -> None:
    """Close what this process has built."""
    global _current  # noqa: PLW0603
    with _lock:
        if _current is not None:
            _current.close()
            _current = None


def _forget() -> None:
    """In a forked child: the parent's connections are the parent's; they are neither used nor closed here."""
    global _lock, _current  # noqa: PLW0603
    _lock = threading.Lock()
    if _current is not None:
        if engine := _current.__dict__.get("engine"):
            engine.dispose(close=False)
        _current = None


os.register_at_fork(after_in_child=_forget)
