"""Merge of two owners' lines in a file: plumb's lines come and go, the user's stay.

A line is plumb's if it is exactly as plumb wrote it; a line that the user has changed or moved is
the user's, and one that the user has deleted stays deleted. Docker does the same with a container's
hosts file.
"""

from __future__ import annotations

from collections.abc import Sequence


def merge(current: str, plumb_texts: Sequence[str], target: str) -> str:
    """Replace plumb's lines in a file's text.

    Lines that plumb no longer wants are removed, new ones are appended. A line of the hosts file of
    which only the address changes keeps its place.

    Args:
        current: the file's text.
        plumb_texts: plumb's former text; two if it is not known which of them was written.
        target: plumb's new text.
    """
    if len(plumb_texts) > 1:
        current = (
            current.rstrip("\n") + "\n"
        )  # a new text that is shorter than the old is written with newlines behind it
    wanted = _lines(target)
    certain = set.intersection(*(set(_lines(text)) for text in plumb_texts))
    removed = {line for text in plumb_texts for line in _lines(text)}.difference(wanted)
    present = _lines(current)
    added = [line for line in wanted if line not in certain and line not in present]
    found = []
    for line in present:
        if line not in removed:
            found.append(line)
            continue
        new = next((other for other in added if _name(other) == _name(line)), None)
        if new is not None:
            added.remove(new)
            found.append(new)
    return "".join(f"{line}\n" for line in [*found, *added])


def _lines(text: str) -> list[str]:
    """Split a text into lines as the resolver does.

    Other line separators, such as a carriage return, are part of a line.
    """
    return text.removesuffix("\n").split("\n") if text else []


def _name(line: str) -> str:
    return line.partition("\t")[2]
