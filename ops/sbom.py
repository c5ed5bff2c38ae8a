"""`python3 -m ops sbom`: what Ledgerbeat is made of, as CycloneDX 1.6 JSON from uv.lock, on the standard output.

Names, versions, package URLs, hashes, and who needs whom; licences where the environment has the package. Standard
library only; no time and no chance in it. https://cyclonedx.org/docs/1.6/json/
"""

import hashlib
import json
import sys
import tomllib
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

ROOT = Path(__file__).resolve().parent.parent
OURS = "ledgerbeat"
LICENCE_LENGTH_MAX = 100


def main(arguments: list[str]) -> int:
    """Print it. 0, or 2 for any argument."""
    if arguments:
        print("`sbom` takes no arguments", file=sys.stderr)
        return 2
    json.dump(bill((ROOT / "uv.lock").read_text()), sys.stdout, indent=2, ensure_ascii=True)
    print()
    return 0


def bill(lock: str) -> dict[str, Any]:
    """The bill of materials of a uv.lock."""
    packages = tomllib.loads(lock)["package"]
    ours = next(package for package in packages if package["name"] == OURS)
    urls = {package["name"]: purl(package) for package in packages}
    needs = [
        {"ref": urls[one["name"]], "dependsOn": sorted({urls[name] for name in needed(one)})}
        for one in packages
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid5(NAMESPACE_URL, hashlib.sha256(lock.encode()).hexdigest()).urn,
        "version": 1,
        "metadata": {"component": component(ours, "application")},
        "components": [component(package, "library") for package in packages if package is not ours],
        "dependencies": needs,
    }


def purl(package: Mapping[str, Any]) -> str:
    """Ours is in no registry, whatever may be found there under its name."""
    kind = "generic" if package["name"] == OURS else "pypi"
    return f"pkg:{kind}/{package['name']}@{package['version']}"


def component(package: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """One package; `distribution` references carry the hash of each file that the lock allows."""
    files = [*([package["sdist"]] if "sdist" in package else []), *package.get("wheels", [])]
    found: dict[str, Any] = {
        "type": kind,
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "purl": purl(package),
    }
    if licences := licences_of(package["name"], package["version"]):
        found["licenses"] = licences
    if files:
        found["externalReferences"] = [distribution(file) for file in files]
    return found


def distribution(file: Mapping[str, Any]) -> dict[str, Any]:
    algorithm, _, digest = file["hash"].partition(":")
    names = {"sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}
    return {
        "type": "distribution",
        "url": file["url"],
        "hashes": [{"alg": names[algorithm], "content": digest}],
    }


def needed(package: Mapping[str, Any]) -> Iterable[str]:
    """What it may bring along: its dependencies, its extras and, for us, the groups of development."""
    groups = [
        *package.get("optional-dependencies", {}).values(),
        *package.get("dev-dependencies", {}).values(),
    ]
    for dependencies in (package.get("dependencies", []), *groups):
        yield from (dependency["name"] for dependency in dependencies)


def licences_of(name: str, version: str) -> list[dict[str, Any]]:
    """As the installed package states it: an SPDX expression, or the name it gives; nothing where it is not here."""
    try:
        told = metadata(name)
    except PackageNotFoundError:
        return []
    if told["Version"] != version:
        return []
    if expression := _first(told, "License-Expression"):
        return [{"expression": expression}]
    stated = _first(told, "License")
    classified = [
        line.rpartition(" :: ")[2]
        for line in told.get_all("Classifier") or []
        if line.startswith("License ::")
    ]
    names = classified or ([stated] if 0 < len(stated) <= LICENCE_LENGTH_MAX and "\n" not in stated else [])
    return [{"license": {"name": one}} for one in names]


def _first(told: PackageMetadata, field: str) -> str:
    """Of a field that may be missing: asked for by name, some readers of metadata give None then, and others raise."""
    return str((told.get_all(field) or [""])[0])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
