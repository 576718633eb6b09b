"""Exit codes of commands that an operation has ended, as those beside them have recorded them."""

from __future__ import annotations

from collections.abc import Container

from plumb.frozen import replace
from plumb.model.cnm import Sandbox, Status
from plumb.model.paths import Layout
from plumb.store.change import Change, Intent


def noted(change: Change, ended: Container[str], layout: Layout) -> Change:
    """Return a change with the exit codes that commands had, which are known only afterwards.

    A command may catch the signal that asks it to end, and choose its code.

    Args:
        change: what goes to the store.
        ended: ids of the sandboxes whose commands the operation was to end.
    """
    if not any(value.id in ended for value in change.put):
        return change
    put = [_noted(value, layout) if value.id in ended else value for value in change.put]
    return replace(change, put=tuple(put))


def _noted(value: Intent, layout: Layout) -> Intent:
    if not isinstance(value, Sandbox) or value.status is not Status.EXITED or not value.argv:
        return value
    from plumb.kernel.process import commands  # lazy: not for sandboxes without a command

    code = commands.exit_code(layout.container(value.id))
    return value if code is None else replace(value, exit_code=code)
