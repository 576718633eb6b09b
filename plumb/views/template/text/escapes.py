"""Escapes: text inside HTML, JavaScript and a URL's query, as Go's template functions write it."""

from __future__ import annotations

from urllib.parse import quote_plus

from plumb.views.template.text.quoting import raw

HTML = {'"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;", "\0": "\ufffd"}
JAVASCRIPT = {"\\": "\\\\", "'": "\\'", '"': '\\"'}
NUMBERED = "<>&="


def html(text: str) -> str:
    """A text inside HTML."""
    return "".join(HTML.get(letter, letter) for letter in text)


def javascript(text: str) -> str:
    """A text inside a string of JavaScript."""
    return "".join(map(_javascript, text))


def _javascript(letter: str) -> str:
    if letter in JAVASCRIPT:
        return JAVASCRIPT[letter]
    if letter in NUMBERED or letter < " ":
        return f"\\u{ord(letter):04X}"
    if letter.isascii() or letter.isprintable():
        return letter
    return f"\\u{0xFFFD if 0xDC80 <= ord(letter) <= 0xDCFF else ord(letter):04X}"


def query(text: str) -> str:
    """A text inside a URL's query."""
    return quote_plus(raw(text), safe="")
