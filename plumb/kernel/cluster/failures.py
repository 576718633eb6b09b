"""Errors between processes and hosts: as JSON, and back as what was raised."""

from __future__ import annotations

from plumb import errors
from plumb.errors import PlumbError

KINDS: dict[str, type[PlumbError]] = {
    kind.__name__: kind
    for kind in (
        errors.Invalid,
        errors.NotFound,
        errors.Conflict,
        errors.Exhausted,
        errors.Unsupported,
        errors.Broken,
        errors.KernelRefused,
    )
}


def encoded(error: PlumbError) -> dict[str, object]:
    """An error as JSON."""
    kind = next((name for name, known in KINDS.items() if isinstance(error, known)), "")
    number = getattr(error, "errno", 0)
    return {"error": str(error), "hint": error.hint, "kind": kind, "errno": number}


def decoded(answer: dict[str, object]) -> PlumbError:
    """The error that an answer brings."""
    kind = KINDS.get(str(answer.get("kind")), PlumbError)
    error = kind.__new__(kind, str(answer["error"]))
    error.args = (str(answer["error"]),)
    error.hint = str(answer.get("hint", ""))
    number = answer.get("errno", 0)
    if isinstance(error, errors.KernelRefused):
        error.errno = number if isinstance(number, int) else 0
    return error
