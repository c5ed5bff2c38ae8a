"""The catalogue for people and machines: a JSON schema and an example per job."""

from typing import Any

from worker.catalogue import JOBS


def json_schema(name: str, ref_template: str = "#/components/schemas/{model}") -> dict[str, Any]:
    """The JSON Schema (2020-12) of job `name`'s arguments, shared parts under `$defs`.

    A field that is left out has no value, so no defaults are shown.
    """
    schema = JOBS[name].model_json_schema(ref_template=ref_template)
    for part in (schema, *schema.get("$defs", {}).values()):
        for field in part["properties"].values():
            field.pop("default", None)
    return schema


def example(name: str) -> dict[str, Any]:
    """Arguments that job `name` accepts."""
    found: dict[str, Any] = json_schema(name)["examples"][0]
    return found
