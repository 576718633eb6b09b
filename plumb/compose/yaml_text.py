"""YAML as text that readers of YAML 1.2, as Docker and plumb, and of YAML 1.1 take alike.

What would be a number, a truth value or null by either is quoted where it is text: 0o17 and 1e5 are
numbers of YAML 1.2 alone, 22:22 and yes of YAML 1.1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from plumb.compose.reading.document import RESOLVERS


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]  # PyYAML is not typed
    """SafeDumper that knows the scalars of YAML 1.2 besides."""

    def ignore_aliases(self, data: object) -> bool:
        """Write a value that stands twice twice: the file is read by people."""
        return True


for _tag, _pattern, _first in RESOLVERS:
    # a tag of its own: that of text is another, so that text is quoted
    _Dumper.add_implicit_resolver(f"!plain-{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


def dumped(document: Mapping[str, Any]) -> str:
    """Print a document; its keys keep their order."""
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
    return text
