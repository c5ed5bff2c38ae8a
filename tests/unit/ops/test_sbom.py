"""The bill of materials lists every locked package, each file with its hash, in CycloneDX's shape."""

import json
import re
import subprocess
import sys
import tomllib
from typing import Any

import pytest

from ops.bootstrap import command
from ops.sbom import ROOT, bill

LOCK = (ROOT / "uv.lock").read_text()


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return bill(LOCK)


def test_every_locked_package_is_listed_once(found: dict[str, Any]) -> None:
    locked = sorted((package["name"], package["version"]) for package in tomllib.loads(LOCK)["package"])
    listed = [*found["components"], found["metadata"]["component"]]
    assert sorted((one["name"], one["version"]) for one in listed) == locked
    assert len(locked) > 50


def test_it_has_the_shape_of_cyclonedx(found: dict[str, Any]) -> None:
    assert (found["bomFormat"], found["specVersion"], found["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", found["serialNumber"])
    for one in found["components"]:
        assert one["type"] == "library"
        assert one["purl"] == one["bom-ref"] == f"pkg:pypi/{one['name']}@{one['version']}"
        for reference in one["externalReferences"]:
            assert reference["type"] == "distribution"
            assert reference["url"].startswith("https://")
            [digest] = reference["hashes"]
            assert digest["alg"] == "SHA-256"
            assert re.fullmatch(r"[0-9a-f]{64}", digest["content"])


def test_dependencies_point_at_components(found: dict[str, Any]) -> None:
    known = {one["bom-ref"] for one in found["components"]} | {found["metadata"]["component"]["bom-ref"]}
    assert {one["ref"] for one in found["dependencies"]} == known
    needs = {one["ref"].partition("@")[0]: one["dependsOn"] for one in found["dependencies"]}
    assert all(set(needed) <= known for needed in needs.values())
    assert any(needed.startswith("pkg:pypi/celery@") for needed in needs["pkg:generic/ledgerbeat"])


def test_licences_are_known_where_the_package_is_installed(found: dict[str, Any]) -> None:
    licences = {one["name"]: one["licenses"] for one in found["components"] if "licenses" in one}
    assert {"celery", "sqlalchemy", "starlette"} <= set(licences)
    assert all(set(one) <= {"expression", "license"} for several in licences.values() for one in several)


def test_the_verb_prints_it(found: dict[str, Any]) -> None:
    told = subprocess.run(
        [sys.executable, *command("sbom", [])],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert json.loads(told.stdout) == found
