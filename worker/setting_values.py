"""What settings are made of: files, references to secrets, and sentences about what is wrong."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from models.errors import LedgerbeatError


class SettingsError(LedgerbeatError):
    """A setting is missing or wrong; the message says which and what to set."""


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def read_file(path: Path, setting: str) -> str:
    """Its text, stripped. Raises SettingsError when there is none."""
    try:
        content = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text, or not a path"
        raise SettingsError(f"{setting}: cannot read {path} ({reason})") from None
    if not content:
        raise SettingsError(f"{setting}: {path} is empty")
    return content


def secret_values(references: Any, where: str, path: Path, env: Mapping[str, str]) -> tuple[SecretStr, ...]:
    """Each of a list of references. Raises SettingsError."""
    if not isinstance(references, list):
        raise SettingsError(f'{where} must be a list such as ["env:NAME"]')
    return tuple(secret_value(reference, where, path, env) for reference in references)


def secret_value(reference: Any, where: str, path: Path, env: Mapping[str, str]) -> SecretStr:
    """What `env:NAME` or `file:PATH` (relative to the TOML file's folder) refers to. Raises SettingsError."""
    kind, _, target = reference.partition(":") if isinstance(reference, str) else ("", "", "")
    if kind == "env" and target:
        if not env.get(target):
            raise SettingsError(f"{where}: the environment variable {target} is not set")
        return SecretStr(env[target])
    if kind == "file" and target:
        return SecretStr(read_file(path.parent / target, where))
    raise SettingsError(f"{where}: secrets are references, env:NAME or file:PATH, never values")


def explained(error: ValidationError, prefix: str) -> str:
    """The first of what is wrong, without the value: `prefix` and the setting's name, and a sentence."""
    first = error.errors(include_input=False, include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    where = f"{prefix}{name}".removesuffix(".")
    return f"{where}: {first['msg'].removeprefix('Value error, ')}"
