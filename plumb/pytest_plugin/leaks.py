"""Leaks: state that a test leaves behind on the real host, the one that pytest itself runs on.

A lab cannot leak by itself: the kernel takes all of it away. But a test can do something to the
real host by mistake: run `ip link add` outside the lab, start a server and forget it, write a
sysctl that no namespace has for its own. The next test then starts from another host than it
thinks, and fails, or passes, for somebody else's reason. So the host is looked at before and after
every test with a lab, and what differs fails that test, by name.

What fixtures of a module or the session do is theirs: the first look comes after them, and the last
before them.
"""

from __future__ import annotations

import gc
import os
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from plumb.kernel.netns import snapshot
from plumb.kernel.netns.snapshot import Snapshot
from plumb.pytest_plugin import forkserver_client, waiting

PATIENCE = 1.0
"""Seconds for what goes by itself.

A process that is ending, a link whose namespace is being taken down.
"""
SHOWN = 12
"""Lines of a section in the message."""


class Watch:
    """The host as it was, to be held against what it is later.

    Args:
        patience: seconds for what goes by itself.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._before = _look()

    def judge(self, test: str) -> None:
        """Fail a test that has changed the host.

        Raises:
            pytest.fail.Exception: what it has left behind, or taken away.
        """
        __tracebackhide__ = True
        if not self._differences():
            return
        gc.collect()  # what nobody refers to any more is closed
        deadline = waiting.Deadline(self._patience)
        while (left := self._differences()) and not deadline.over():
            time.sleep(deadline.pause())
        if left:
            pytest.fail(
                "\n".join(
                    [f"{test} has changed the host that pytest runs on:", *left, *_other_workers()]
                ),
                pytrace=False,
            )

    def _differences(self) -> list[str]:
        return list(differences(self._before, _look()))


def _look() -> Snapshot:
    from plumb.pytest_plugin.session import living

    descriptors, processes = forkserver_client.the.known()
    return snapshot.take(descriptors.union(*(lab.descriptors for lab in living)), processes)


def differences(before: Snapshot, after: Snapshot) -> Iterator[str]:
    """Compare two snapshots, section by section, as a diff."""
    for section in after:
        then, now = (
            _of_both(before[section], after[section])
            if section == "sysctls"
            else (before[section], after[section])
        )
        new, gone = Counter(now) - Counter(then), Counter(then) - Counter(now)
        if new or gone:
            shown = [
                *(f"    - {line}" for line in gone.elements()),
                *(f"    + {line}" for line in new.elements()),
            ]
            yield "\n".join(
                [
                    f"  {section}:",
                    *shown[:SHOWN],
                    *([f"    … and {len(shown) - SHOWN} more"] if len(shown) > SHOWN else []),
                ]
            )


def _of_both(then: list[str], now: list[str]) -> tuple[list[str], list[str]]:
    """The settings that there are before and after.

    Those of a link come and go with it, those of a module with that.
    """
    both = {line.partition(" = ")[0] for line in then} & {line.partition(" = ")[0] for line in now}
    kept = [[line for line in lines if line.partition(" = ")[0] in both] for lines in (then, now)]
    return kept[0], kept[1]


def _other_workers() -> Iterator[str]:
    if os.environ.get("PYTEST_XDIST_WORKER"):
        yield (
            "  (other workers share this host: "
            "it may have been a test that another one ran at the same time)"
        )
