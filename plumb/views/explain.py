"""Explanations for people and for programs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from plumb.explain.explain import Explanation, Found
from plumb.plan import Step
from plumb.views.shell import commands

WIDTH = 96
MOST_RELATED = 12
"""Lines about things that only mention a subject; --all shows every one."""


def command(one: Explanation) -> str:
    """The command that makes the object; empty for what plumb has not made."""
    if one.thing is None:
        return ""
    return next(iter(commands([Step(None, one.thing)])), "")


def text(found: Found, every: bool) -> Iterator[str]:
    """Lines for people.

    Args:
        every: also tell all things that only mention the subject.
    """
    for one in found.exact:
        yield from _lines(one)
        yield ""
    if found.related:
        yield "named in:"
        shown = found.related if every else found.related[:MOST_RELATED]
        for one in shown:
            yield f"  {one.name}"
            yield f"      {one.place}: {one.reason.why}"
        if len(shown) < len(found.related):
            yield f"  … and {len(found.related) - len(shown)} more: --all"


def rows(one: Explanation) -> list[tuple[str, str]]:
    """Headings and sentences about an object; those that are empty are left out."""
    reason = one.reason
    found = (
        ("what", f"{reason.what}, {'in' if one.place != 'host' else 'on the'} {one.place}"),
        ("made by", f"{one.made_by}, for {_owners(one)}" if one.owners else one.made_by),
        ("why", reason.why),
        ("option", reason.option),
        ("without it", reason.without),
        ("next", reason.next),
    )
    return [(head, words) for head, words in found if words]


def _owners(one: Explanation) -> str:
    others = [f"{one.others} others"] if one.others else []
    return ", ".join([*one.owners, *others])


def _lines(one: Explanation) -> Iterator[str]:
    yield one.name
    for head, words in rows(one):
        yield from textwrap.wrap(
            words,
            WIDTH,
            initial_indent=f"  {head:<11} ",
            subsequent_indent=" " * 14,
            break_long_words=False,
            break_on_hyphens=False,
        )
    if line := command(one):
        yield f"  command     {line}"


def document(found: Found) -> list[dict[str, Any]]:
    """Objects for programs; what only mentions the subject has Related true."""
    return [
        {
            "Name": one.name,
            "Place": one.place,
            "Kind": one.reason.what,
            "MadeBy": one.made_by,
            "Owners": list(one.owners),
            "OtherOwners": one.others,
            "Why": one.reason.why,
            "Option": one.reason.option,
            "Without": one.reason.without,
            "Next": one.reason.next,
            "Command": command(one),
            "Related": related,
        }
        for related, several in ((False, found.exact), (True, found.related))
        for one in several
    ]
