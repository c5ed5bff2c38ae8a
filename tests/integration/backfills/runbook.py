"""A runbook's commands and files, as they stand in it: `    ledgerbeat ...`, `    curl ...` and `    # NAME.toml`."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

JOB = re.compile(r"\$DOOR/v1/jobs/([a-z.]+)")


@dataclass(frozen=True, slots=True)
class Command:
    """`ledgerbeat` with these arguments."""

    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """A request at the door."""

    name: str
    key: str
    args: dict[str, Any]


def section(path: Path, number: int) -> str:
    """The text of `## <number>. ...`."""
    parts = re.split(r"^## (?=\d)", path.read_text(), flags=re.MULTILINE)
    return next(part for part in parts if part.startswith(f"{number}."))


def files(text: str) -> dict[str, str]:
    """Name -> content of the files that blocks show."""
    found = {}
    for part in re.split(r"\n\n", text):
        lines = [line[4:] for line in part.strip("\n").splitlines() if line.startswith("    ")]
        if lines and (named := re.fullmatch(r"# (\S+\.toml)", lines[0])):
            found[named[1]] = "\n".join(lines[1:]) + "\n"
    return found


def steps(text: str) -> Iterator[Command | Job]:
    """What is to be done, in order."""
    joined = text.replace("\\\n", " ")
    for line in joined.splitlines():
        if not line.startswith("    "):
            continue
        words = shlex.split(line, comments=True)
        if words[:1] == ["ledgerbeat"]:
            yield Command(tuple(words[1:]))
        elif words[:1] == ["curl"]:
            yield _job(words)


def _job(words: list[str]) -> Job:
    [name] = [found[1] for word in words if (found := JOB.fullmatch(word))]
    [key] = [word.partition(": ")[2] for word in words if word.startswith("Idempotency-Key")]
    return Job(name, key, json.loads(words[words.index("--json") + 1]))
