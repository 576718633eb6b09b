"""Go's text/template with Docker's functions: what `--format` takes.

The language's rules hold: truth, nil, types, sorted maps, printf's verbs, and errors with their
position, word by word, as Go 1.19 prints them; tests compare with recorded outputs of Go. Of later
versions there are also `else with` and ranges over integers.

    lexer      text to tokens
    parser     tokens to nodes
    nodes      what a template consists of
    numbers    constants
    execute    nodes and data to text
    evaluate   pipelines: fields, functions, arguments
    values     Go's types for what Python holds
    shapes     types of Docker's structs for a JSON document
    rows       lines of a listing, with methods
    functions  Go's functions
    comparing  eq, lt and the others
    docker     Docker's functions
    text       values as text: printf's verbs, quotes, JSON
"""

from __future__ import annotations

from typing import Any

from plumb.views.template.docker import FUNCTIONS, HEADINGS
from plumb.views.template.evaluate import Stopped
from plumb.views.template.execute import execute
from plumb.views.template.parser import Refused, parse
from plumb.views.template.rows import Heading
from plumb.views.template.values import generic

__all__ = ["Format", "Refused", "Stopped"]


class Format:
    """A template, parsed once."""

    def __init__(self, text: str) -> None:
        """Parse a template.

        Raises:
            Refused: it cannot be parsed.
        """
        self.template = parse(text, FUNCTIONS)

    def text(self, value: Any) -> str:
        """A value by the template.

        Raises:
            Stopped: the template does not fit the value.
        """
        return execute(self.template, FUNCTIONS, value)

    def heading(self, columns: dict[str, str]) -> str:
        """Line of a table's headings; empty where the template asks for what has none."""
        try:
            return execute(self.template, HEADINGS, Heading(columns, "string"))
        except Stopped:
            return ""

    def document(self, typed: Any, document: Any) -> str:
        """A document, as Docker prints it: by its types, else as plain maps and lists.

        Args:
            typed: the document with the types of Docker's structs.
            document: the same as it is in JSON.

        Raises:
            Stopped: it fits neither; the message is about the plain one.
        """
        try:
            return self.text(typed)
        except Stopped:
            return execute(self.template, FUNCTIONS, generic(document), strict=True)
