"""Reason of an object."""

from __future__ import annotations

from plumb.frozen import frozen


@frozen
class Reason:
    """Reason why an object is there.

    Attributes:
        what: the kind of object, in the field's word.
        why: a sentence on its purpose.
        without: a sentence on what breaks where it is missing.
        option: the option or setting that asked for it; empty: the driver always makes it.
        next: where packets go from it; empty for what no packet passes.
    """

    what: str
    why: str
    without: str
    option: str = ""
    next: str = ""
