"""JSON as Go's encoder writes it: compact, a map's keys in order, a struct's fields as declared."""

from __future__ import annotations

import json
from typing import Any

from plumb.views.template.text import floats
from plumb.views.template.text.quoting import raw
from plumb.views.template.values import Interface, List, Map, Null, Number, Pointer, Struct


def encode(value: Any) -> str:
    """A value in one line of JSON."""
    match value:
        case Interface(holds=inner) | Pointer(to=inner):
            return encode(inner)
        case None | Null():
            return "null"
        case bool():
            return "true" if value else "false"
        case Number():
            return str(value)
        case str():
            return _string(value)
        case int():
            return str(int(value))
        case float():
            return _float(value)
        case List():
            return f"[{','.join(map(encode, value))}]"
        case Map():
            return _members((key, value[key]) for key in sorted(value, key=raw))
        case Struct():
            return _members(value.items())
    return str(value.document())


def _members(pairs: Any) -> str:
    return f"{{{','.join(f'{_string(key)}:{encode(value)}' for key, value in pairs)}}}"


def _string(text: str) -> str:
    written = json.dumps(text, ensure_ascii=False)
    written = "".join("\\ufffd" if "\udc80" <= letter <= "\udcff" else letter for letter in written)
    return written.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _float(value: float) -> str:
    if value and not 1e-6 <= abs(value) < 1e21:
        return floats.written(value, "e", -1).replace("e-0", "e-")
    return floats.written(value, "f", -1)
