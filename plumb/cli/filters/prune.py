"""--filter of `network prune` and `container prune`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from plumb.cli.filters.words import label, values
from plumb.errors import Invalid
from plumb.model.cnm import Network, Sandbox
from plumb.model.lifecycle.moments import moment

KEYS = ("label", "label!", "until")


def prunable(words: Sequence[str]) -> Callable[[Network | Sandbox], bool]:
    """Test of prune's filters: labels that are there, labels that are not, made before a time.

    Raises:
        Invalid: a filter is unknown, or one of its values is wrong.
    """
    wanted, now = values(words, KEYS), time.time_ns()
    limits = [moment(text, now, f"filter 'until={text}'") for text in wanted.get("until", ())]
    if len(limits) > 1:
        raise Invalid("more than one until filter specified")

    def passes(one: Network | Sandbox) -> bool:
        has = label(one.labels)
        return (
            all(map(has, wanted.get("label", ())))
            and not ("label!" in wanted and all(map(has, wanted["label!"])))
            and all(moment(one.created, now, "time") < limit for limit in limits)
        )

    return passes
