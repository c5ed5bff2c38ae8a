"""Which source a run reads: one that the settings name, or a file that an operator named on the command line.

    {"type": "file", "name": NAME}                                  of [tenants.T.backfills.NAME]
    {"type": "file", "path": ..., "format": ..., "mapping": {...}}  an operator's own; never a job's
    {"type": "sql", "name": NAME}

What a run was told stays with it: `settled` writes the mapping and the path into its source, so that a change of the
settings does not change what the second half of a file means. URLs are never part of it.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worker.files.opening import FileFormat
from worker.settings import TenantSettings
from worker.sources.configured import BackfillSettings
from worker.sources.files import FileSource
from worker.sources.mapping import legacy_mapping
from worker.sources.port import RowKind, RowSource, SourceFailed
from worker.sources.sql import SqlSource

FORMATS: Mapping[str, FileFormat] = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
MAPPING_BYTES_MAX = 1024 * 1024


def row_source(
    tenant: TenantSettings, source: Mapping[str, Any], kind: RowKind, *, digest: str | None = None
) -> RowSource:
    """The source that a run's `source` tells. Reads nothing yet. `digest`: what a file must be. Raises SourceFailed."""
    return _source(tenant, settled(tenant, source, kind), kind, digest)


def check_source(tenant: TenantSettings, source: Mapping[str, Any], kind: RowKind) -> None:
    """Raises SourceFailed for what can be known before a run begins: a header, a query's columns, an address."""
    _source(tenant, settled(tenant, source, kind), kind, None).check()


def settled(tenant: TenantSettings, source: Mapping[str, Any], kind: RowKind) -> dict[str, Any]:
    """`source` with all that it means now, as JSON, but for secrets. Settled once, it stays. Raises SourceFailed."""
    told = _named(tenant, source) if "name" in source else None
    type_ = source.get("type")
    if type_ not in ("file", "sql") or (type_ == "sql" and told is None):
        raise SourceFailed(
            "a source of rows is a file, or sql with the name of one in [tenants.<name>.backfills]"
        )
    configured = _of_settings(told, str(type_), str(source["name"])) if told is not None else {}
    whole: dict[str, Any] = {**configured, **source}
    mapping = legacy_mapping(whole.get("mapping") or {}, kind)
    whole["mapping"] = mapping.model_dump(mode="json", exclude_none=True)
    if type_ == "file":
        whole["path"], whole["format"] = _path(whole), _format(whole)
    return whole


def read_mapping(path: Path) -> dict[str, Any]:
    """The table in a mapping file, TOML. Raises SourceFailed."""
    try:
        with path.open("rb") as file:
            return tomllib.loads(file.read(MAPPING_BYTES_MAX).decode("utf-8"))
    except OSError as error:
        raise SourceFailed(f"the mapping {path.name} cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise SourceFailed(f"the mapping {path.name} is not TOML ({error})") from None


def _source(
    tenant: TenantSettings, whole: Mapping[str, Any], kind: RowKind, digest: str | None
) -> FileSource | SqlSource:
    mapping = legacy_mapping(whole["mapping"], kind)
    if whole["type"] == "file":
        return FileSource(Path(whole["path"]), whole["format"], mapping, kind, digest)
    told = _named(tenant, whole).model_copy(update={"query": whole["query"], "key": whole["key"]})
    return SqlSource(str(whole["name"]), told, mapping, kind)


def _named(tenant: TenantSettings, source: Mapping[str, Any]) -> BackfillSettings:
    try:
        return tenant.backfills[source["name"]]
    except (KeyError, TypeError):
        raise SourceFailed(
            f"no such source: set [tenants.{tenant.name}.backfills.<name>] with path or url, and mapping"
        ) from None


def _of_settings(told: BackfillSettings, type_: str, name: str) -> dict[str, Any]:
    if told.mapping is None or (told.path is None) == (type_ == "file"):
        raise SourceFailed(f"the source {name} is not of the type {type_}")
    fields = {"path", "format"} if type_ == "file" else {"query", "key"}
    return {
        **told.model_dump(mode="json", include=fields),
        "mapping": told.mapping.model_dump(mode="json", exclude_none=True),
    }


def _path(source: Mapping[str, Any]) -> str:
    path = source.get("path")
    if not isinstance(path, str) or not path:
        raise SourceFailed("a file needs path, or the name of a source in the settings")
    return str(Path(path).absolute())


def _format(source: Mapping[str, Any]) -> FileFormat:
    told = source.get("format") or FORMATS.get(Path(str(source["path"])).suffix.lower())
    if told == "csv" or told == "jsonl":
        return told
    raise SourceFailed("set format, csv or jsonl: the file's name does not tell it")
