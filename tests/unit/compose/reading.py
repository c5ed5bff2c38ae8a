"""docker-compose.yml as Compose reads it, without an engine: anchors merged, `$$` and `${NAME:-default}` replaced."""

import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[3]
COMPOSE = ROOT / "docker-compose.yml"
_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+):-(?P<default>[^}]*)\})")


def composition() -> dict[str, Any]:
    document: dict[str, Any] = _interpolated(YAML(typ="safe").load(COMPOSE.read_text()))
    return document


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = composition()["services"]
    return found


def _interpolated(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _interpolated(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_interpolated(item) for item in value]
    return _VARIABLE.sub(lambda m: m["default"] or "$", value) if isinstance(value, str) else value
