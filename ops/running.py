"""What `ledgerbeat up` is running here: a note in LEDGERBEAT_HOME, so that other commands find its database.

Settings always win. The note is written when everything is ready and taken away at a clean stop; one left behind
by a killed `up` names a database that no longer answers, which the command then says.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from worker.settings import PREFIX, Settings, load_settings

NOTE = "running.json"
NAMES = ("DATABASE_URL", "REDIS_URL", "BROKER_URL", "CONFIG")


def announce(home: Path, environment: Mapping[str, str]) -> None:
    """Note the URLs and the configuration that the running processes were given."""
    values = {name: environment[PREFIX + name] for name in NAMES if environment.get(PREFIX + name)}
    note = home / NOTE
    note.touch(mode=0o600)
    note.write_text(json.dumps(values, indent=2))


def withdraw(home: Path) -> None:
    """Nothing runs here any more."""
    (home / NOTE).unlink(missing_ok=True)


def running_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings, filled up from the note of a running `ledgerbeat up`. Raises SettingsError."""
    return load_settings(noted_environment(os.environ if environ is None else environ))


def noted_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment, filled up from that note."""
    env = dict(environ)
    noted = _read(load_settings({name: env[name] for name in [f"{PREFIX}HOME"] if name in env}).home)
    filled = {PREFIX + name: value for name, value in noted.items() if not _is_set(env, name)}
    return env | filled


def _is_set(env: Mapping[str, str], name: str) -> bool:
    return bool(env.get(PREFIX + name) or env.get(f"{PREFIX}{name}_FILE"))


def _read(home: Path) -> dict[str, str]:
    try:
        values = json.loads((home / NOTE).read_text())
    except (OSError, ValueError):
        return {}
    return {name: str(values[name]) for name in NAMES if name in values}
