"""Numbers: constants of a template, read by Go's rules for each type that can hold them."""

from __future__ import annotations

import math
import re
from typing import Any

from plumb.views.template.nodes import Number
from plumb.views.template.text.quoting import quote, unquote

INTEGER = re.compile(
    r"([+-]?)(?:0[xX](_?[0-9a-fA-F]+)+|0[oO]?(_?[0-7]+)*|0[bB](_?[01]+)+|[1-9](_?[0-9]+)*)"
)
FLOAT = re.compile(
    r"[+-]?(?:[0-9]+(?:_[0-9]+)*)?\.?(?:[0-9]+(?:_[0-9]+)*)?(?:[eE][+-]?[0-9]+(?:_[0-9]+)*)?"
)
HEX_FLOAT = re.compile(r"[+-]?0[xX]_?[0-9a-fA-F_]*\.?[0-9a-fA-F_]*[pP][+-]?[0-9]+")


def constant(at: int, text: str) -> Number:
    """A number as the lexer has found it: an integer, a float or an imaginary one.

    Raises:
        ValueError: it is none, or too large; the message is Go's.
    """
    if text.endswith("i") and (imaginary := _float(text[:-1])) is not None:
        return Number(at, text, complex_=complex(0, imaginary), **_simplified(imaginary, 0.0))
    whole = _integer(text)
    signed = whole if whole is not None and -(2**63) <= whole < 2**63 else None
    unsigned = whole if whole is not None and 0 <= whole < 2**64 and text[0] not in "+-" else None
    if signed == 0:
        unsigned = 0
    if signed is not None or unsigned is not None:
        number = signed if signed is not None else unsigned
        return Number(at, text, signed, unsigned, float(number or 0))
    return _floating(at, text)


def _floating(at: int, text: str) -> Number:
    value = _float(text)
    if value is None:
        raise ValueError(f"illegal number syntax: {quote(text)}")
    if not set(text) & set(".eEpP"):
        raise ValueError(f"integer overflow: {quote(text)}")
    return Number(at, text, **_as_float(value))


def _as_float(value: float) -> dict[str, Any]:
    """The types that hold a float without a loss."""
    found: dict[str, Any] = {"float_": value}
    if value.is_integer() and abs(value) < 2**63:
        found["int_"] = int(value)
    if value.is_integer() and 0 <= value < 2**64:
        found["uint"] = int(value)
    return found


def _simplified(imaginary: float, real: float) -> dict[str, Any]:
    return {} if imaginary else _as_float(real)


def complex_constant(at: int, text: str) -> Number:
    """A complex number: a real part, a sign, an imaginary part."""
    split = max(text.rfind(sign, 1) for sign in "+-")
    while text[split - 1] in "eEpP" and split > 1:
        split = max(text.rfind(sign, 1, split) for sign in "+-")
    real, imaginary = _float(text[:split]), _float(text[split:-1])
    if real is None or imaginary is None:
        raise ValueError("syntax error scanning complex number")
    return Number(at, text, complex_=complex(real, imaginary), **_simplified(imaginary, real))


def character(at: int, text: str) -> Number:
    """A character constant, an integer.

    Raises:
        ValueError: it is not one character.
    """
    letter = unquote(text)
    if len(letter) != 1:
        raise ValueError(
            f"malformed character constant: {text}" if len(text) > 2 else "invalid syntax"
        )
    code = ord(letter)
    code -= 0xDC00 if 0xDC80 <= code <= 0xDCFF else 0
    return Number(at, text, code, code, float(code))


def _integer(text: str) -> int | None:
    if not INTEGER.fullmatch(text):
        return None
    plain = text.replace("_", "")
    sign, digits = (plain[0], plain[1:]) if plain[0] in "+-" else ("", plain)
    if len(digits) > 1 and digits[0] == "0" and digits[1].isdigit():
        digits = "0o" + digits[1:]
    return int(sign + digits, 0)


def _float(text: str) -> float | None:
    try:
        if HEX_FLOAT.fullmatch(text):
            return float.fromhex(text.replace("_", ""))
        value = float(text) if FLOAT.fullmatch(text) and "_" not in text else None
    except (ValueError, OverflowError):
        return None
    return None if value is None or math.isinf(value) else value
