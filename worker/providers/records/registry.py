"""Where the records of an account come from: its provider's API, or the files that its settings name."""

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from worker.providers.payouts.registry import base_url
from worker.providers.records.asking import Patience
from worker.providers.records.columns import ColumnMap, ReportFormat
from worker.providers.records.files import FileSource
from worker.providers.records.port import RecordSource, SourceFailed
from worker.providers.records.sandbox import SandboxRecords
from worker.settings import ProviderSettings, SettingsError

if TYPE_CHECKING:
    from worker.providers.records.stripe import StripeRecords

FILES_MAX = 10_000
NEEDED_BY = "its records are asked for there"


def has_source(account: ProviderSettings) -> bool:
    """Is there anything to reconcile the account with? Without, it only takes webhooks."""
    return account.records is not None or (account.adapter != "adyen" and account.pays_out)


def sources(account: ProviderSettings) -> Sequence[RecordSource]:
    """All sources of the account: the API, or each file there is now. Raises SettingsError, SourceFailed."""
    return files(account) if account.records else (source(account),)


def source(account: ProviderSettings, patience: Patience | None = None) -> RecordSource:
    """The provider's API as a source. Connects nothing. Raises SettingsError when there is none to ask."""
    if account.records is not None:
        raise SettingsError(f"provider {account.name}: its records come as files, {account.records.path}")
    return api_account(account, patience or Patience())


def files(account: ProviderSettings) -> tuple[FileSource, ...]:
    """The account's report files, by name. None yet is no error. Raises SettingsError, SourceFailed."""
    if (told := account.records) is None:
        raise SettingsError(
            f"provider {account.name}: set records with a path; its records come from its API"
        )
    found = sorted(path for path in map(Path, glob.iglob(told.path)) if path.is_file())  # noqa: PTH207 - absolute
    if len(found) > FILES_MAX:
        raise SourceFailed(
            f"provider {account.name}: more than {FILES_MAX} report files; move the old ones away"
        )
    zone, is_bank = ZoneInfo(told.timezone), account.is_bank
    return tuple(file_source(told.format, path, told.columns, zone, is_bank=is_bank) for path in found)


def file_source(
    format_: ReportFormat, path: Path, columns: ColumnMap | None, zone: ZoneInfo, *, is_bank: bool = False
) -> FileSource:
    """One report file as a source; nothing is read yet. ValueError: columns where none belong, or none where needed."""
    return FileSource(format_, path, columns, zone, is_bank=is_bank)


def api_account(account: ProviderSettings, patience: Patience) -> "SandboxRecords | StripeRecords":
    """The provider's API, also for its events. Connects nothing. Raises SettingsError."""
    if account.adapter == "adyen":
        raise SettingsError(
            f"provider {account.name}: Adyen's records come as files; set records with path and "
            'format = "adyen_settlement"'
        )
    if account.api_key is None:
        raise SettingsError(f"provider {account.name}: set api_key, such as env:NAME; {NEEDED_BY}")
    key, url = account.api_key.get_secret_value(), base_url(account, NEEDED_BY)
    if account.adapter == "sandbox":
        return SandboxRecords(account, url, key, patience)
    return _stripe(account, url, key, patience)


def _stripe(account: ProviderSettings, url: str, key: str, patience: Patience) -> "StripeRecords":
    try:
        from worker.providers.records.stripe import StripeRecords
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "stripe":
            raise
        raise SettingsError(
            "the adapter stripe needs the package stripe: install ledgerbeat[stripe]"
        ) from None
    return StripeRecords(account, url, key, patience)
