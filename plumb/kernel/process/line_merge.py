"""Lines of a file that belong to two: plumb's come and go, the user's stay.

A line is plumb's if it is as plumb wrote it, to the letter; one that the user has changed or moved
is the user's, and one that the user has deleted stays deleted. So does Docker with a container's
hosts file.
"""

from __future__ import annotations

from collections.abc import Sequence


def merged(now: str, own: Sequence[str], want: str) -> str:
    """A file's text with other lines of plumb's.

    Those that go are left out, those that come are put at the end.

    A line of the hosts file whose address alone changes stays where it is.

    Args:
        now: the file's text.
        own: plumb's text so far; two where it is not known which of them has been written.
        want: plumb's text from now on.
    """
    if len(own) > 1:
        now = (
            now.rstrip("\n") + "\n"
        )  # a new text that is shorter than the old is written with newlines behind it
    wanted = _lines(want)
    sure = set.intersection(*(set(_lines(text)) for text in own))
    going = {line for text in own for line in _lines(text)}.difference(wanted)
    there = _lines(now)
    coming = [line for line in wanted if line not in sure and line not in there]
    found = []
    for line in there:
        if line not in going:
            found.append(line)
            continue
        new = next((other for other in coming if _name(other) == _name(line)), None)
        if new is not None:
            coming.remove(new)
            found.append(new)
    return "".join(f"{line}\n" for line in [*found, *coming])


def _lines(text: str) -> list[str]:
    """Lines as the resolver knows them.

    What else may end a line elsewhere, as a carriage return, is a letter of it.
    """
    return text.removesuffix("\n").split("\n") if text else []


def _name(line: str) -> str:
    return line.partition("\t")[2]
