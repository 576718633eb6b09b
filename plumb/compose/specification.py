"""The Compose Specification's JSON schema beside the files: what own reading passes over too.

`schema/compose-spec.json` is that of compose-spec/compose-spec at 170098b (schema/LICENSE). Own
reading looks into the keys that have an effect here; the schema into those that have none as well,
as `build` and `deploy.resources`. A number or a truth value may be text, as it is where a variable
stood, and as own reading takes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from plumb.compose.reading.document import RESET, Node
from plumb.errors import Unsupported
from plumb.model.parse import nearest

SCHEMA = Path(__file__).with_name("schema") / "compose-spec.json"
KINDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
Error = Any
"""A jsonschema.ValidationError, which is not imported before it is used."""


def faults(documents: Iterable[Node]) -> Iterator[str]:
    """Yield what is not as the schema says, a line each: place, keys, and what is wrong.

    Args:
        documents: interpolated, not merged.

    Raises:
        Unsupported: jsonschema is not installed.
    """
    try:
        from jsonschema import Draft7Validator  # lazy: as dear as all of a small file
    except ImportError:
        raise Unsupported(
            "the specification's schema is read by jsonschema, which is not installed",
            "pip install 'netplumb[schema]'",
        ) from None
    validator = Draft7Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    for document in documents:
        for error in validator.iter_errors(_plain(document)):
            yield from (_line(document, each) for each in _meant(error) if not _is_meant(each))


def _plain(node: Node) -> Any:
    """A value without its places, and without what !reset takes away."""
    if isinstance(node.value, Mapping):
        kept = {key: each for key, each in node.value.items() if each.tag != RESET}
        return {key: _plain(each) for key, each in kept.items()}
    return [_plain(each) for each in node.value] if isinstance(node.value, tuple) else node.value


def _meant(error: Error) -> Sequence[Error]:
    """The errors of the form that was meant, where a value may have several.

    That is the form of the value's own kind: of a mapping the one that is a mapping.
    """
    if not error.context:
        return [error]
    forms: dict[int, list[Error]] = {}
    for each in error.context:
        forms.setdefault(each.schema_path[0], []).append(each)
    for found in forms.values():
        if all(each.path or each.validator != "type" for each in found):
            return [inner for each in found for inner in _meant(each)]
    return [error]


def _is_meant(error: Error) -> bool:
    """True for text that is a value of the kind that is wanted, spelt out."""
    if error.validator != "type" or not isinstance(error.instance, str):
        return False
    kinds = error.validator_value
    return any(SPELT[kind].fullmatch(error.instance) for kind in SPELT if kind in kinds)


SPELT = {
    "boolean": re.compile("true|false", re.IGNORECASE),
    "integer": re.compile(r"[-+]?\d+"),
    "number": re.compile(r"[-+]?\d+(\.\d+)?"),
}
"""Kinds of values, and the text of one."""


def _line(document: Node, error: Error) -> str:
    path = list(error.absolute_path)
    node = _at(document, path)
    where = ".".join(map(str, path))
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", ()))
        unknown = next((key for key in error.instance if _is_unknown(key, error.schema)), "")
        hint = nearest(unknown, known)
        place = node.mapping[unknown].place if unknown in node.mapping else node.place
        return f"{place}: {'.'.join(filter(None, (where, unknown)))} is no key" + (
            f"; {hint}" if hint else ""
        )
    return f"{node.place}: {where or 'the file'}: {_reason(error)}"


def _is_unknown(key: str, schema: Mapping[str, Any]) -> bool:
    patterns = schema.get("patternProperties", {})
    return key not in schema.get("properties", {}) and not any(
        re.search(each, key) for each in patterns
    )


def _reason(error: Error) -> str:
    match error.validator:
        case "type":
            kinds = error.validator_value
            kinds = [kinds] if isinstance(kinds, str) else kinds
            return f"it is to be {' or '.join(KINDS[each] for each in kinds)}"
        case "required":
            missing = [each for each in error.validator_value if each not in error.instance]
            return f"{', '.join(missing)} is missing"
        case "enum":
            return f"there are {', '.join(map(str, error.validator_value))}"
        case "uniqueItems":
            return "an item stands twice"
        case "oneOf" | "anyOf":
            return f"it is to be {' or '.join(dict.fromkeys(_forms(error)))}"
        case _:
            message: str = error.message
            return message if len(message) < LONGEST else f"{message[:LONGEST]}…"


LONGEST = 200


def _forms(error: Error) -> Iterator[str]:
    """Yield the kinds that a value may have, one of several forms."""
    for each in error.context:
        if each.validator == "type" and not each.path:
            kinds = each.validator_value
            yield from (KINDS[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _at(node: Node, path: Sequence[str | int]) -> Node:
    """The value at a path, or the last one above it that is there."""
    for key in path:
        if isinstance(node.value, Mapping) and str(key) in node.value:
            node = node.value[str(key)]
        elif isinstance(node.value, tuple) and isinstance(key, int):
            node = node.value[key]
    return node
