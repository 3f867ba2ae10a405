"""A Sphinx extension: a line ``<!-- schema: MODULE.MODEL -->`` becomes the reference of that pydantic model.

Everything is read from the model's own JSON schema, so the pages can't differ from what is checked.
"""

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from pydantic import BaseModel
from sphinx.application import Sphinx

Schema = Mapping[str, Any]

_PLACE = re.compile(r"^<!-- schema: ([\w.]+)\.(\w+) -->$", re.MULTILINE)

_BOUNDS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "pattern": "`{}`",
}


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of this extension."""
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True}


def _fill(app: Sphinx, docname: str, source: list[str]) -> None:
    source[0] = _PLACE.sub(lambda found: reference(getattr(import_module(found[1]), found[2])), source[0])


def reference(model: type[BaseModel]) -> str:
    """Markdown: a heading and a table of fields for a model and each model inside it, in the order of their fields."""
    schema = model.model_json_schema()
    parts = schema.get("$defs", {})
    named = {model.__name__: schema, **{name: parts[name] for name in _order(schema, parts)}}
    return "\n\n".join(_section(name, part, parts) for name, part in named.items())


def _order(schema: Schema, parts: Mapping[str, Schema]) -> list[str]:
    """Names of the models that a schema refers to, each before those that it refers to itself."""
    found: dict[str, None] = {}
    for name in _references(schema.get("properties", {})):
        if "properties" in parts[name]:
            found |= dict.fromkeys([name, *_order(parts[name], parts)])
    return list(found)


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].rpartition("/")[2]
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _section(name: str, schema: Schema, parts: Mapping[str, Schema]) -> str:
    required = schema.get("required", ())
    rows = [_row(field, content, parts, field in required) for field, content in schema["properties"].items()]
    others = schema.get("additionalProperties")
    if isinstance(others, dict):
        rows.append(("any other name", _kind(others, parts), _bounds(others), "", others.get("description", "")))
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    head = "| field | type | bounds | if absent | meaning |\n| --- | --- | --- | --- | --- |"
    return f"### {name}\n\n{schema['description']}\n\n{head}\n" + "\n".join(lines)


def _row(field: str, schema: Schema, parts: Mapping[str, Schema], required: bool) -> tuple[str, str, str, str, str]:
    default = schema.get("default")
    absent = "refused" if required else f"`{default}`" if default else "none"
    return f"`{field}`", _kind(schema, parts), _bounds(schema), absent, schema.get("description", "")


def _kind(schema: Schema, parts: Mapping[str, Schema]) -> str:
    """What a value is, in words; models link to their own table."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})" if "properties" in parts[name] else _kind(parts[name], parts)
    if "anyOf" in schema:
        return " or ".join(_kind(one, parts) for one in schema["anyOf"] if one.get("type") != "null")
    if "enum" in schema or "const" in schema:
        return " or ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if "prefixItems" in schema:
        return "[" + ", ".join(_kind(one, parts) for one in schema["prefixItems"]) + "]"
    if schema["type"] == "array":
        return f"list of {_kind(schema['items'], parts)}"
    if schema["type"] == "object":
        return f"mapping of names to {_kind(schema['additionalProperties'], parts)}"
    return {"string": "text", "boolean": "true or false"}.get(schema["type"], str(schema["type"]))


def _bounds(schema: Schema) -> str:
    """Bounds of a value, of each value of a mapping or list, and of the length of a list."""
    known = _BOUNDS if "prefixItems" in schema else _BOUNDS | {"minItems": "{} or more"}
    found = [text.format(schema[key]) for key, text in known.items() if key in schema]
    inner = [schema["additionalProperties"]] if isinstance(schema.get("additionalProperties"), dict) else []
    inner += [schema["items"]] if "items" in schema else []
    inner += schema.get("anyOf", [])
    return ", ".join([*found, *filter(None, map(_bounds, inner))])
