"""Lexer: the text of a template as tokens, with the kinds and the errors that Go's lexer has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

from plumb.views.template.text.quoting import quote, rune_name

SPACES = " \t\r\n"
NAME = re.compile(r"\w+")
NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?"
    r"|0[oO][0-7_]*(?:\.[0-7_]*)?|0[bB][01_]*(?:\.[01_]*)?"
    r"|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?"
)
STRINGS = {mark: re.compile(rf"{mark}(?:[^{mark}\\\n]|\\[^\n])*{mark}") for mark in ('"', "'")}
RAW_STRING = re.compile(r"`[^`]*`")
KEYWORDS = frozenset(
    ("block", "break", "continue", "define", "else", "end", "if", "range", "template", "with")
)


class Kind(Enum):
    """Kinds of tokens."""

    ERROR = auto()
    EOF = auto()
    TEXT = auto()
    LEFT_DELIM = auto()
    RIGHT_DELIM = auto()
    SPACE = auto()
    CHAR = auto()
    ASSIGN = auto()
    DECLARE = auto()
    PIPE = auto()
    LEFT_PAREN = auto()
    RIGHT_PAREN = auto()
    BOOL = auto()
    NIL = auto()
    CHAR_CONSTANT = auto()
    NUMBER = auto()
    COMPLEX = auto()
    STRING = auto()
    RAW_STRING = auto()
    DOT = auto()
    FIELD = auto()
    VARIABLE = auto()
    IDENTIFIER = auto()
    KEYWORD = auto()


SIGNS = {"=": Kind.ASSIGN, "|": Kind.PIPE}
QUOTES = {
    '"': (Kind.STRING, "unterminated quoted string"),
    "'": (Kind.CHAR_CONSTANT, "unterminated character constant"),
}


class Token(NamedTuple):
    """A token: its kind, its text, its position in characters, and its line from 1."""

    kind: Kind
    text: str
    position: int
    line: int

    def __str__(self) -> str:
        match self.kind:
            case Kind.EOF:
                return "EOF"
            case Kind.ERROR:
                return self.text
            case Kind.KEYWORD | Kind.DOT | Kind.NIL:
                return f"<{self.text}>"
        return f"{quote(self.text[:10])}..." if len(self.text) > 10 else quote(self.text)


class _Stop(Exception):
    """The text cannot be read further; the message is Go's."""


def tokens(text: str) -> Iterator[Token]:
    """Yield a template's tokens; the last one is EOF, or ERROR with Go's message."""
    yield from _Lexer(text).tokens()


class _Lexer:
    """Place in the text: the token begins at `start` and is read up to `at`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.start = self.at = 0
        self.parens = 0

    def tokens(self) -> Iterator[Token]:
        try:
            while (begin := self.text.find("{{", self.at)) >= 0:
                yield from self._text(begin)
                yield from self._action(begin)
        except _Stop as stop:
            yield self._token(Kind.ERROR, str(stop))
            return
        self.at = len(self.text)
        if self.at > self.start:
            yield self._emit(Kind.TEXT)
        yield self._emit(Kind.EOF)

    def _text(self, begin: int) -> Iterator[Token]:
        """Text before an action; a trim marker takes the blanks at its end."""
        trimmed = self._trims_left(begin + 2)
        literal = self.text[self.start : begin]
        self.at = self.start + len(literal.rstrip(SPACES) if trimmed else literal)
        if self.at > self.start:
            yield self._emit(Kind.TEXT)
        self.start = self.at = begin

    def _trims_left(self, at: int) -> bool:
        return self.text[at : at + 1] == "-" and self.text[at + 1 : at + 2] in tuple(SPACES)

    def _trims_right(self, at: int) -> bool:
        return self.text[at : at + 1] in tuple(SPACES) and self.text[at + 1 : at + 4] == "-}}"

    def _action(self, begin: int) -> Iterator[Token]:
        """An action, from its {{ to its }}, or a comment, which gives no token."""
        inside = begin + 2 + 2 * self._trims_left(begin + 2)
        if self.text.startswith("/*", inside):
            self.start = inside
            end = self.text.find("*/", inside + 2)
            if end < 0:
                raise _Stop("unclosed comment")
            self.at = end + 2
            if not self._at_right_delim():
                raise _Stop("comment ends before closing delimiter")
            self._close()
            return
        self.at = begin + 2
        yield self._emit(Kind.LEFT_DELIM)
        self.start = self.at = inside
        self.parens = 0
        while not self._at_right_delim():
            yield from self._inside()
        if self.parens:
            raise _Stop("unclosed left paren")
        self.start = self.at + 2 * self._trims_right(self.at)
        yield self._token(Kind.RIGHT_DELIM, "}}")
        self._close()

    def _at_right_delim(self) -> bool:
        return self._trims_right(self.at) or self.text.startswith("}}", self.at)

    def _close(self) -> None:
        """Go past a }}, and past the blanks behind it if a marker trims them."""
        trims = self._trims_right(self.at)
        self.at += 4 if trims else 2
        while trims and self.text[self.at : self.at + 1] in tuple(SPACES):
            self.at += 1
        self.start = self.at

    def _token(self, kind: Kind, text: str) -> Token:
        return Token(kind, text, self.start, 1 + self.text.count("\n", 0, self.start))

    def _emit(self, kind: Kind) -> Token:
        token = self._token(kind, self.text[self.start : self.at])
        self.start = self.at
        return token

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _take(self, letters: str) -> bool:
        """Go past one of these letters, if it comes next."""
        found = bool(self._peek()) and self._peek() in letters
        self.at += found
        return found

    def _inside(self) -> Iterator[Token]:
        """Yield the next token of an action.

        Raises:
            _Stop: the text ends, or cannot be one.
        """
        letter = self._peek()
        following = self.text[self.at + 1 : self.at + 2]
        if not letter:
            raise _Stop("unclosed action")
        if letter in SPACES:
            yield self._space()
        elif letter in QUOTES:
            yield self._quoted(letter)
        elif letter == "`":
            yield self._matched(Kind.RAW_STRING, RAW_STRING, "unterminated raw quoted string")
        elif letter == "$" or (letter == "." and following and following not in "0123456789"):
            yield self._name(Kind.VARIABLE if letter == "$" else Kind.FIELD)
        elif letter in ".+-0123456789":
            yield self._number()
        elif NAME.match(letter):
            yield self._word()
        else:
            yield from self._sign(letter)

    def _sign(self, letter: str) -> Iterator[Token]:
        self.at += 1
        if letter == ":":
            if not self._take("="):
                raise _Stop("expected :=")
            yield self._emit(Kind.DECLARE)
        elif letter in "()":
            self.parens += 1 if letter == "(" else -1
            yield self._emit(Kind.LEFT_PAREN if letter == "(" else Kind.RIGHT_PAREN)
            if self.parens < 0:
                raise _Stop(f"unexpected right paren {rune_name(letter)}")
        elif letter in SIGNS or (letter.isascii() and letter.isprintable()):
            yield self._emit(SIGNS.get(letter, Kind.CHAR))
        else:
            raise _Stop(f"unrecognized character in action: {rune_name(letter)}")

    def _space(self) -> Token:
        """Blanks; the last of them belongs to a trim marker that follows."""
        while self._take(SPACES):
            pass
        if self._trims_right(self.at - 1):
            self.at -= 1
        return self._emit(Kind.SPACE)

    def _quoted(self, mark: str) -> Token:
        kind, unterminated = QUOTES[mark]
        return self._matched(kind, STRINGS[mark], unterminated)

    def _matched(self, kind: Kind, form: re.Pattern[str], unterminated: str) -> Token:
        found = form.match(self.text, self.at)
        if found is None:
            raise _Stop(unterminated)
        self.at = found.end()
        return self._emit(kind)

    def _name(self, kind: Kind) -> Token:
        """A variable or a field; alone, . is the dot and $ the data."""
        self.at += 1
        if self._at_terminator():
            return self._emit(Kind.DOT if kind is Kind.FIELD else kind)
        self._letters()
        return self._emit(kind)

    def _word(self) -> Token:
        self._letters()
        word = self.text[self.start : self.at]
        if word in KEYWORDS:
            return self._emit(Kind.KEYWORD)
        if word in ("true", "false"):
            return self._emit(Kind.BOOL)
        return self._emit(Kind.NIL if word == "nil" else Kind.IDENTIFIER)

    def _letters(self) -> None:
        """Go past letters, digits and underscores, up to what may follow a name."""
        if found := NAME.match(self.text, self.at):
            self.at = found.end()
        if not self._at_terminator():
            raise _Stop(f"bad character {rune_name(self._peek())}")

    def _at_terminator(self) -> bool:
        letter = self._peek()
        return not letter or letter in SPACES + ".,|:)(" or self.text.startswith("}}", self.at)

    def _number(self) -> Token:
        """A number, which the parser reads; two with a sign between them are a complex one."""
        good = self._digits()
        kind = Kind.NUMBER
        if good and self._peek() in ("+", "-"):
            kind = Kind.COMPLEX
            good = self._digits() and self.text[self.at - 1] == "i"
        if not good:
            raise _Stop(f"bad number syntax: {quote(self.text[self.start : self.at])}")
        return self._emit(kind)

    def _digits(self) -> bool:
        """Go past a number; False if a letter or a digit follows it."""
        found = NUMBER.match(self.text, self.at)
        self.at = found.end() if found else self.at
        follows = bool(NAME.match(self._peek()))
        self.at += follows
        return not follows
