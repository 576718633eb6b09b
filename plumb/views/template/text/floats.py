"""Floats as Go's strconv writes them."""

from __future__ import annotations

import math


def written(value: float, verb: str, precision: int) -> str:
    """A float without a plus sign.

    Args:
        verb: e, E, f, F, g, G, b, x or X.
        precision: digits; -1 for as many as tell the value from all others.
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "-Inf" if value < 0 else "Inf"
    sign = "-" if math.copysign(1, value) < 0 else ""
    value = abs(value)
    match verb.lower():
        case "b":
            return sign + _binary(value)
        case "x":
            text = _hexadecimal(value, precision)
        case "e":
            text = _exponential(value, precision)
        case "f":
            text = _fixed(value, precision)
        case _:
            text = _shorter(value, precision)
    return sign + (text.upper() if verb in "EGX" else text)


def _digits(value: float) -> tuple[str, int]:
    """The shortest digits of a float, and its exponent of ten: d.ddd times ten to that."""
    if value == 0:
        return "0", 0
    number, _, power = f"{value!r}".partition("e")
    whole, _, rest = number.partition(".")
    digits = (whole + rest).lstrip("0")
    exponent = int(power or 0) + (
        len(whole) - 1 if whole != "0" else -(len(rest) - len(rest.lstrip("0"))) - 1
    )
    return digits.rstrip("0") or "0", exponent


def _exponential(value: float, precision: int) -> str:
    if precision >= 0:
        mantissa, _, power = f"{value:.{precision}e}".partition("e")
    else:
        digits, exponent = _digits(value)
        mantissa, power = digits[0] + (f".{digits[1:]}" if digits[1:] else ""), f"{exponent:+03d}"
    return f"{mantissa}e{power}"


def _fixed(value: float, precision: int) -> str:
    if precision >= 0:
        return f"{value:.{precision}f}"
    digits, exponent = _digits(value)
    if exponent < 0:
        return "0." + "0" * (-exponent - 1) + digits
    digits = digits.ljust(exponent + 1, "0")
    return digits[: exponent + 1] + (f".{digits[exponent + 1 :]}" if digits[exponent + 1 :] else "")


def _shorter(value: float, precision: int) -> str:
    """The form of %g: with an exponent if it is small or large."""
    if precision >= 0:
        return f"{value:.{precision}g}"
    _, exponent = _digits(value)
    if exponent < -4 or exponent >= 6:
        return _exponential(value, -1)
    return _fixed(value, -1)


def _binary(value: float) -> str:
    mantissa, power = math.frexp(value)
    return f"{int(mantissa * 2**53)}p{power - 53:+d}"


def _hexadecimal(value: float, precision: int) -> str:
    if value == 0:
        return "0x0" + ("." + "0" * precision if precision > 0 else "") + "p+00"
    mantissa, power = math.frexp(value)
    bits, power = int(mantissa * 2**53), power - 1
    if precision >= 0 and precision < 13:
        unit = 1 << (52 - 4 * precision)
        bits, left = divmod(bits, unit)
        bits = (bits + (left * 2 > unit or (left * 2 == unit and bits & 1))) * unit
        if bits >= 2**53:
            bits, power = bits // 2, power + 1
    rest = f"{bits - 2**52:013x}"
    rest = rest.rstrip("0") if precision < 0 else rest.ljust(precision, "0")[:precision]
    return "0x1" + (f".{rest}" if rest else "") + f"p{power:+03d}"
