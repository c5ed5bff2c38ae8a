"""The commands as an operator runs them, in this process: arguments in, exit code and what was printed out."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ops.cli import main

NAMES = ("DATABASE_URL", "REDIS_URL", "BROKER_URL", "CONFIG", "HOME")


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


def runner(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], home: Path, **settings: str
) -> Run:
    """Runs `ledgerbeat` with these settings and no others."""
    for name in NAMES:
        monkeypatch.delenv(f"LEDGERBEAT_{name}", raising=False)
        monkeypatch.delenv(f"LEDGERBEAT_{name}_FILE", raising=False)
    for name, value in ({"home": str(home)} | settings).items():
        monkeypatch.setenv(f"LEDGERBEAT_{name.upper()}", value)

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["ledgerbeat", *(str(argument) for argument in arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        said = capsys.readouterr()
        return Ran(int(stopped.value.code or 0), said.out, said.err)

    return run
