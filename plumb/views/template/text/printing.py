"""Printing: values as Go's package fmt writes them, by a verb and its flags."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from plumb.frozen import frozen, replace
from plumb.views.template.text import floats
from plumb.views.template.text.quoting import quote, raw, rune_name
from plumb.views.template.values import (
    Interface,
    List,
    Map,
    Null,
    Pointer,
    Struct,
    Uint8,
    kind,
    type_name,
)

ADDRESS = 0xC000010000
"""Address that a pointer prints: Go's differs from run to run."""


@frozen
class Flags:
    """Flags, width and precision of a verb; None where none is given.

    `go_syntax` is the # of %#v, `field_names` the + of %+v.
    """

    plus: bool = False
    minus: bool = False
    sharp: bool = False
    space: bool = False
    zero: bool = False
    width: int | None = None
    precision: int | None = None
    go_syntax: bool = False
    field_names: bool = False
    erroring: bool = False


PLAIN = Flags()


def sprint(values: Sequence[Any]) -> str:
    """Values as fmt.Sprint writes them: a blank between two that are no strings."""
    out = ""
    for at, value in enumerate(values):
        if at and not (isinstance(value, str) or isinstance(values[at - 1], str)):
            out += " "
        out += argument(value, "v", PLAIN)
    return out


def sprintln(values: Sequence[Any]) -> str:
    """Values as fmt.Sprintln writes them."""
    return " ".join(argument(value, "v", PLAIN) for value in values) + "\n"


def argument(value: Any, verb: str, flags: Flags) -> str:
    """An argument of Printf by its verb; None is a nil interface."""
    if value is None:
        return padded("<nil>", flags) if verb in "Tv" else bad_verb(value, verb, flags)
    if verb == "T":
        return string(type_name(value), "s", flags)
    if verb == "p":
        return _pointer(value, verb, flags)
    return shown(value, verb, flags, 0)


def bad_verb(value: Any, verb: str, flags: Flags) -> str:
    """Text of a value by a verb that is not for its type."""
    if value is None:
        return f"%!{verb}(<nil>)"
    text = shown(value, "v", replace(flags, erroring=True), 0)
    return f"%!{verb}({type_name(value)}={text})"


def padded(text: str, flags: Flags) -> str:
    """A text in its width."""
    if not flags.width:
        return text
    if flags.minus:
        return text.ljust(flags.width)
    return text.rjust(flags.width, "0" if flags.zero else " ")


def shown(value: Any, verb: str, flags: Flags, depth: int) -> str:
    """A value by its type; depth counts the containers around it."""
    match value:
        case Interface(holds=None):
            return f"{type_name(value)}(nil)" if flags.go_syntax else "<nil>"
        case Interface(holds=inner):
            return shown(inner, verb, flags, depth + 1)
        case bool():
            text = "true" if value else "false"
            return padded(text, flags) if verb in "tv" else bad_verb(value, verb, flags)
        case int():
            return integer(value, verb, flags)
        case float():
            return _float(value, verb, flags)
        case complex():
            return _complex(value, verb, flags)
        case str():
            return string(value, verb, flags)
        case List() | Map() | Struct() | Null():
            return _composite(value, verb, flags, depth)
        case Pointer(to=struct) if depth == 0:
            return "&" + shown(struct, verb, flags, 1)
    return _pointer(value, verb, flags)


def _composite(value: Any, verb: str, flags: Flags, depth: int) -> str:
    """A slice, a map or a struct; a nil of them prints as an empty one, but for %#v."""
    name = type_name(value) if flags.go_syntax else ""
    between = ", " if flags.go_syntax else " "
    if isinstance(value, Null):
        if kind(value) == "ptr":
            return _pointer(value, verb, flags)
        empty = "[]" if kind(value) == "slice" else "map[]"
        return f"{name}(nil)" if flags.go_syntax else empty
    if isinstance(value, List):
        inner = between.join(shown(item, verb, flags, depth + 1) for item in _held(value, value))
        return f"{name}{{{inner}}}" if flags.go_syntax else f"[{inner}]"
    if isinstance(value, Map):
        keys = sorted(value, key=raw)
        inner = between.join(
            f"{shown(key, verb, flags, depth + 1)}:{shown(item, verb, flags, depth + 1)}"
            for key, item in zip(keys, _held(value, [value[key] for key in keys]), strict=True)
        )
        return f"{name}{{{inner}}}" if flags.go_syntax else f"map[{inner}]"
    named = flags.go_syntax or flags.field_names
    inner = between.join(
        (f"{field}:" if named else "") + shown(item, verb, flags, depth + 1)
        for field, item in value.items()
    )
    return f"{name}{{{inner}}}"


def _held(container: List | Map, items: Sequence[Any]) -> Sequence[Any]:
    return [Interface(item) for item in items] if container.of == "interface {}" else items


def _pointer(value: Any, verb: str, flags: Flags) -> str:
    if kind(value) not in ("ptr", "slice", "map"):
        return bad_verb(value, verb, flags)
    address = 0 if isinstance(value, Null) else ADDRESS
    if verb == "v" and flags.go_syntax:
        return f"({type_name(value)})({f'{address:#x}' if address else 'nil'})"
    if verb == "v" and not address:
        return padded("<nil>", flags)
    if verb in "vp":
        return integer(address, "x", replace(flags, sharp=not flags.sharp))
    if verb in "bodxX":
        return integer(address, verb, flags)
    return f"%!{verb}({type_name(value)}={f'{address:#x}' if address else '<nil>'})"


# -- numbers ----------------------------------------------------------------

BASES = {"v": "d", "d": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}
PREFIXES = {"b": "0b", "o": "0", "x": "0x", "X": "0X"}


def integer(value: int, verb: str, flags: Flags) -> str:
    """An integer, or a character by its number."""
    if verb in "cqU":
        return _character(value, verb, flags)
    if verb not in BASES:
        return bad_verb(value, verb, flags)
    if verb == "v" and flags.go_syntax and isinstance(value, Uint8):
        verb, flags = "x", replace(flags, sharp=True)
    sign = "-" if value < 0 else "+" if flags.plus else " " if flags.space else ""
    digits = format(abs(value), BASES[verb])
    if flags.precision == 0 and value == 0:
        return " " * (flags.width or 0)
    least = flags.precision
    if least is None and flags.zero and flags.width:
        least = flags.width - bool(sign)
    digits = digits.rjust(least or 0, "0")
    if flags.sharp and not (verb == "o" and digits[0] == "0"):
        digits = PREFIXES.get(verb, "") + digits
    digits = ("0o" if verb == "O" else "") + digits
    return padded(sign + digits, replace(flags, zero=False))


def _character(value: int, verb: str, flags: Flags) -> str:
    letter = chr(value) if 0 <= value <= 0x10FFFF and not 0xD800 <= value < 0xE000 else "\ufffd"
    if verb == "c":
        return padded(letter, flags)
    if verb == "q":
        return padded(quote(letter, "'", flags.plus), flags)
    digits = format(value % 2**64, "X").rjust(max(4, flags.precision or 0), "0")
    named = flags.sharp and 0 <= value <= 0x10FFFF and letter.isprintable()
    text = f"U+{digits}" + (rune_name(letter)[rune_name(letter).index(" ") :] if named else "")
    return padded(text, replace(flags, zero=False))


FLOAT_PRECISION = {"v": -1, "b": -1, "g": -1, "G": -1, "x": -1, "X": -1, **dict.fromkeys("fFeE", 6)}


def _float(value: float, verb: str, flags: Flags) -> str:
    if verb not in FLOAT_PRECISION:
        return bad_verb(value, verb, flags)
    return _signed(value, verb, flags)


def _signed(value: float, verb: str, flags: Flags) -> str:
    """A float with its sign, in its width: zeros go between the two."""
    precision = FLOAT_PRECISION[verb] if flags.precision is None else flags.precision
    text = floats.written(value, "g" if verb == "v" else verb, precision)
    sign, digits = ("-", text[1:]) if text[0] == "-" else ("+", text)
    if digits[0] in "IN":
        wanted = sign == "-" or flags.plus or flags.space
        sign = " " if flags.space and sign == "+" and not flags.plus else sign
        return padded((sign if wanted else "") + digits, replace(flags, zero=False))
    if flags.sharp and verb != "b":
        digits = _with_point(digits, verb, precision)
    sign = "" if sign == "+" and not (flags.plus or flags.space) else sign
    sign = " " if sign == "+" and not flags.plus else sign
    if flags.zero and flags.width and sign:
        return sign + digits.rjust(flags.width - 1, "0")
    return padded(sign + digits, flags)


def _with_point(digits: str, verb: str, precision: int) -> str:
    """Digits with a point and the zeros that %g leaves out."""
    at = next((at for at, letter in enumerate(digits) if letter in "eEpP"), len(digits))
    number, tail = digits[:at], digits[at:]
    if "." not in number:
        number += "."
    if verb not in "vgGx":
        return number + tail
    wanted = 6 if precision == -1 else precision
    significant = len(number.replace(".", "").lstrip("0")) or (number == "0.")
    return number + "0" * (wanted - significant) + tail


def _complex(value: complex, verb: str, flags: Flags) -> str:
    if verb not in FLOAT_PRECISION:
        return bad_verb(value, verb, flags)
    imaginary = _signed(value.imag, verb, replace(flags, plus=True))
    return f"({_signed(value.real, verb, flags)}{imaginary}i)"


# -- strings ----------------------------------------------------------------


def string(text: str, verb: str, flags: Flags) -> str:
    """A string: as it is, quoted, or as its bytes."""
    if verb == "v" and flags.go_syntax:
        return quoted(text, flags)
    if verb in "vs":
        return padded(_cut(text, flags), flags)
    if verb == "q":
        return quoted(text, flags)
    if verb in "xX":
        return _bytes(raw(text), verb, flags)
    return bad_verb(text, verb, flags)


def _cut(text: str, flags: Flags) -> str:
    return text if flags.precision is None else text[: flags.precision]


NO_RAW_STRING = re.compile("[`\x7f\ufeff\udc80-\udcff]|[\0-\x08\x0a-\x1f]")


def quoted(text: str, flags: Flags) -> str:
    """A string in quotes; with # in back quotes, where it can be."""
    text = _cut(text, flags)
    if flags.sharp and not NO_RAW_STRING.search(text):
        return padded(f"`{text}`", flags)
    return padded(quote(text, ascii_only=flags.plus), flags)


def _bytes(data: bytes, verb: str, flags: Flags) -> str:
    data = data[: flags.precision]
    if not data:
        return " " * (flags.width or 0) if not flags.zero else "0" * (flags.width or 0)
    digits = data.hex(" ") if flags.space else data.hex()
    if flags.sharp:
        digits = " ".join(f"0x{word}" for word in digits.split(" "))
    return padded(digits.upper() if verb == "X" else digits, flags)
