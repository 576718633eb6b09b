"""printf: a format with Go's verbs, flags, widths, precisions and argument numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from plumb.frozen import replace
from plumb.views.template.text.printing import PLAIN, Flags, argument
from plumb.views.template.values import type_name

FLAGS = {"+": "plus", "-": "minus", "#": "sharp", " ": "space", "0": "zero"}
INDEX = re.compile(r"\[([^\]]*)\]")
WIDTH = re.compile(r"[0-9]+")
LARGEST = 1_000_000


def sprintf(form: str, *values: Any) -> str:
    """Values by a format, as fmt.Sprintf writes them; what is wrong shows in the text."""
    return _Format(form, values).written()


class _Format:
    """Place in a format, and the argument that is next."""

    def __init__(self, form: str, values: Sequence[Any]) -> None:
        self.form = form
        self.values = values
        self.at = self.next = 0
        self.reordered = False
        self.good = True
        self.after_index = False

    def written(self) -> str:
        out = ""
        while (percent := self.form.find("%", self.at)) >= 0:
            out += self.form[self.at : percent]
            self.at = percent + 1
            self.good = True
            out += self.verb()
        out += self.form[self.at :]
        if not self.reordered and self.next < len(self.values):
            out += f"%!(EXTRA {', '.join(map(_extra, self.values[self.next :]))})"
        return out

    def verb(self) -> str:
        """A verb with all that stands before it."""
        flags = self.flags()
        self.index()
        flags, complaint = self.width(flags)
        flags, more = self.precision(flags)
        complaint += more
        if not self.after_index:
            self.index()
        if self.at >= len(self.form):
            return complaint + "%!(NOVERB)"
        verb = self.form[self.at]
        self.at += 1
        return complaint + self.by(verb, flags)

    def by(self, verb: str, flags: Flags) -> str:
        if verb == "%":
            return "%"
        if not self.good:
            return f"%!{verb}(BADINDEX)"
        if self.next >= len(self.values):
            return f"%!{verb}(MISSING)"
        if verb == "v":
            flags = replace(
                flags, go_syntax=flags.sharp, sharp=False, field_names=flags.plus, plus=False
            )
        self.next += 1
        return argument(self.values[self.next - 1], verb, flags)

    def flags(self) -> Flags:
        found: dict[str, Any] = {}
        while (letter := self.form[self.at : self.at + 1]) in FLAGS and letter:
            found[FLAGS[letter]] = True
            self.at += 1
        if found.get("minus"):
            found["zero"] = False
        return Flags(**found)

    def index(self) -> None:
        """Argument number in brackets, if one comes."""
        self.after_index = False
        if self.form[self.at : self.at + 1] != "[":
            return
        self.reordered = True
        found = INDEX.match(self.form, self.at)
        if found is None:
            self.good = False
            self.at += 1
            return
        self.at = found.end()
        digits = found[1]
        self.after_index = digits.isdigit() and int(digits) <= LARGEST
        if self.after_index and 0 < int(digits) <= len(self.values):
            self.next = int(digits) - 1
        else:
            self.good = False

    def number(self) -> int | None:
        found = WIDTH.match(self.form, self.at)
        if found is None:
            return None
        self.at = found.end()
        return int(found[0]) if int(found[0]) <= LARGEST else None

    def star(self) -> int | None:
        """An argument that is a width or a precision."""
        self.at += 1
        self.after_index = False
        if self.next >= len(self.values):
            return None
        value = self.values[self.next]
        self.next += 1
        good = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST
        return int(value) if good else None

    def width(self, flags: Flags) -> tuple[Flags, str]:
        if self.form[self.at : self.at + 1] == "*":
            width = self.star()
            if width is None:
                return flags, "%!(BADWIDTH)"
            if width < 0:
                return replace(flags, width=-width, minus=True, zero=False), ""
            return replace(flags, width=width), ""
        width = self.number()
        if self.after_index and width is not None:
            self.good = False
        return replace(flags, width=width), ""

    def precision(self, flags: Flags) -> tuple[Flags, str]:
        if self.form[self.at : self.at + 1] != "." or self.at + 1 >= len(self.form):
            return flags, ""
        self.at += 1
        if self.after_index:
            self.good = False
        self.index()
        if self.form[self.at : self.at + 1] == "*":
            value = self.star()
            good = value is not None and value >= 0
            return replace(flags, precision=value if good else None), "" if good else "%!(BADPREC)"
        return replace(flags, precision=self.number() or 0), ""


def _extra(value: Any) -> str:
    if value is None:
        return "<nil>"
    return f"{type_name(value)}={argument(value, 'v', PLAIN)}"
