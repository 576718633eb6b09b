"""Go's quoting: strconv.Quote and its inverse, and how fmt names a character."""

from __future__ import annotations

import re

ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
BACK = {letter: "\\" + name for name, letter in ESCAPES.items()}
ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL
)


def raw(text: str) -> bytes:
    """Bytes of a Go string; bytes that are no UTF-8 are kept in it as surrogates."""
    return text.encode("utf-8", "surrogateescape")


def cooked(data: bytes) -> str:
    """Go string of bytes."""
    return data.decode("utf-8", "surrogateescape")


def quote(text: str, mark: str = '"', ascii_only: bool = False) -> str:
    """A string in quotes, as strconv.Quote (and, for one character, QuoteRune) writes it."""
    return mark + "".join(_quoted(letter, mark, ascii_only) for letter in text) + mark


def _quoted(letter: str, mark: str, ascii_only: bool) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if letter == mark:
        return "\\" + mark
    if letter in BACK:
        return BACK[letter]
    if letter.isprintable() and (letter.isascii() or not ascii_only):
        return letter
    return f"\\x{code:02x}" if code < 0x80 else _by_number(code)


def _by_number(code: int) -> str:
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def unquote(text: str) -> str:
    """Text of a quoted, raw or character constant, as strconv.Unquote reads it.

    Raises:
        ValueError: an escape that there is not; the message is Go's.
    """
    mark, inner = text[0], text[1:-1]
    if mark == "`":
        return inner.replace("\r", "")
    out = b""
    at = 0
    while (slash := inner.find("\\", at)) >= 0:
        found = ESCAPE.match(inner, slash)
        if found is None:
            raise ValueError("invalid syntax")
        out += raw(inner[at:slash]) + _escaped(found, mark)
        at = found.end()
    return cooked(out + raw(inner[at:]))


def _escaped(found: re.Match[str], mark: str) -> bytes:
    byte, short, long, octal, letter = found.groups()
    if byte or octal:
        code = int(byte, 16) if byte else int(octal, 8)
        if code > 255:
            raise ValueError("invalid syntax")
        return bytes([code])
    if short or long:
        code = int(short or long, 16)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise ValueError("invalid syntax")
        return raw(chr(code))
    if letter != mark and letter not in ESCAPES:
        raise ValueError("invalid syntax")
    return raw(ESCAPES.get(letter, letter))


def rune_name(letter: str) -> str:
    """A character as fmt's %#U names it: its number, and itself if it can be printed."""
    if not letter:
        return "U+FFFFFFFFFFFFFFFF"
    return f"U+{ord(letter):04X}" + (f" '{letter}'" if letter.isprintable() else "")
