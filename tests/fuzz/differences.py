"""Where two engines' answers to a scenario are not the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from plumb.frozen import frozen
from tests.conformance.texts import Answer, comparable
from tests.fuzz.players import Played, Player


def as_they_are(lines: Sequence[str]) -> list[str]:
    """All lines of a scenario."""
    return list(lines)


@frozen
class Other:
    """An engine to be compared with plumb.

    Attributes:
        play: its player.
        agree: tests two answers to a line, its own and plumb's.
        known: the lines of a scenario, in a form that both engines answer alike by intent.
    """

    play: Player
    agree: Callable[[Answer, Answer], bool]
    known: Callable[[Sequence[str]], list[str]] = as_they_are


def identical(one: Answer, other: Answer) -> bool:
    """True if exit status, output and errors are the same, but for ids and times."""
    return _said(one) == _said(other)


def _said(answer: Answer) -> tuple[int, object, object]:
    return answer.status, comparable(answer.stdout), comparable(answer.stderr)


def compare(lines: Sequence[str], plumb: Player, others: Mapping[str, Other]) -> dict[str, str]:
    """Play lines on plumb and on other engines; what differs, by engine.

    Args:
        lines: a scenario.
        plumb: the player that the others are compared with.
    """
    known = {name: tuple(other.known(lines)) for name, other in others.items()}
    ours = {lines: plumb(lines) for lines in dict.fromkeys(known.values())}
    found = {
        name: _differences(other, other.play(known[name]), ours[known[name]])
        for name, other in others.items()
    }
    return {name: text for name, text in found.items() if text}


def _differences(other: Other, its: Played, ours: Played) -> str:
    """Lines that were answered otherwise, with both answers; what the hosts had otherwise."""
    wrong = [
        f"{a.line}\n{_shown('-', a)}{_shown('+', b)}"
        for a, b in zip(its.answers, ours.answers, strict=True)
        if not other.agree(a, b)
    ]
    for part in its.kernel.keys() & ours.kernel.keys():
        a_host, b_host = (_without_chance(each.kernel[part]) for each in (its, ours))
        if a_host != b_host:
            wrong.append(f"{part}\n  - {a_host}\n  + {b_host}\n")
    return "".join(wrong)


def _without_chance(lines: Sequence[str]) -> object:
    named = (re.sub(r"\bveth[0-9a-f]{7}\b", "<veth>", line) for line in lines)
    return comparable("\n".join(sorted(named)))


def _shown(mark: str, answer: Answer) -> str:
    said = [line for text in (answer.stdout, answer.stderr) for line in text.rstrip().splitlines()]
    return "".join(f"  {mark} {line}\n" for line in (f"[{answer.status}]", *said))
