"""plumb learn: lessons' pages, and the goals that they have."""

from __future__ import annotations

import click

from plumb.cli import common
from plumb.errors import NotFound
from plumb.kernel.process import caller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from plumb.lab.lessons.lesson import Lesson


@common.command("learn")
@click.option("--check", is_flag=True, help="Try the lesson's goals in its lab.")
@common.template_option
@click.argument("name", metavar="[LESSON]", default="")
def learn(check: bool, as_json: bool, template: str, name: str) -> int:
    """Show a lesson's page, or list the lessons that there are.

    With --check the exit status is 0 if all goals are reached.
    """
    from plumb.lab.lessons import lesson

    if not name:
        list_lessons(as_json, template)
        return 0
    found = lesson.read(name)
    if check:
        return _check(found)
    caller.this.require_own_process()  # the terminal is its
    click.echo_via_pager(found.text)
    return 0


def list_lessons(as_json: bool, template: str) -> None:
    """Print all lessons, in the order in which one would take them."""
    from plumb.lab.lessons.lesson import every

    rows: list[dict[str, object]] = [
        {
            "Lesson": each.name,
            "Minutes": each.minutes,
            "Title": each.title,
            "Needs": " ".join(each.needs),
        }
        for each in every()
    ]
    columns = {"Lesson": "LESSON", "Minutes": "MINUTES", "Title": "TITLE", "Needs": "NEEDS"}
    common.columns_of(columns, as_json, template, rows, ("Lesson", "Minutes", "Title"))


def _check(found: Lesson) -> int:
    from plumb.lab import registry
    from plumb.lab.lessons import play

    try:
        lab = registry.find(found.name)
    except NotFound as error:
        raise NotFound(str(error), f"'plumb lab run {found.name}' starts it") from None
    tried = play.tried(found, lab)
    for each in tried:
        print(f"{'yes' if each.reached else 'no':<4}{each.goal.why}")
    return 0 if all(each.reached for each in tried) else 1
