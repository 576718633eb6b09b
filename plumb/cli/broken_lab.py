"""plumb break and plumb solve: faults hidden in a lab, to be found."""

from __future__ import annotations

import click

from plumb.cli import common
from plumb.errors import Invalid


@common.command("break")
@click.option(
    "--seed", type=click.IntRange(0), metavar="NUMBER", help="Draw the same fault by each number."
)
@click.option(
    "--level", type=click.IntRange(1, 3), help="How hard it is to find: 1 to 3; any by default."
)
@click.option("--list", "listing", is_flag=True, help="List the faults that there are.")
@common.template_option
@click.argument("name", metavar="[FAULT|LESSON]", default="")
def break_(
    seed: int | None, level: int | None, listing: bool, as_json: bool, template: str, name: str
) -> None:
    """Start a lab called broken, and hide a fault in it: drawn, or by name, or a lesson's.

    Somebody else finds it with any tool, and mends it; 'plumb solve' says if it is mended. No
    link, rule or setting of a host that is no lab's is changed.
    """
    if listing:
        _list(level, as_json, template)
        return
    if as_json or template:
        raise Invalid("--json and --format go with --list", "plumb break --list --json")
    if name and (seed is not None or level is not None):
        raise Invalid("a fault is drawn with --seed and --level, or named, not both")
    from plumb.lab.faults import puzzle

    number = puzzle.drawable(level) if seed is None else seed
    if name:
        found = puzzle.named(name)
    else:
        fault, lacking = puzzle.drawn_here(number, level)
        found = puzzle.named(fault.name)
        if lacking:
            common.tell(
                f"the fault of seed {number} needs {', '.join(lacking)}, which this kernel has "
                "not: the next one that it draws is hidden"
            )
    puzzle.hide(found)
    drawn = f"seed {number}" + (f", level {level}" if level is not None else "")
    print(f"something is broken in lab {puzzle.LAB}" + ("" if name else f" ({drawn})"))
    print(f"a shell in it: plumb lab shell --lab {puzzle.LAB}")
    print("a hint: plumb solve --hint")
    print("mended? plumb solve")


def _list(level: int | None, as_json: bool, template: str) -> None:
    from plumb.lab.faults.catalogue import FAULTS

    rows: list[dict[str, object]] = [
        {
            "Fault": each.name,
            "Level": each.level,
            "Title": each.title,
            "Finding": each.id,
            "Needs": " ".join(each.needs),
        }
        for each in FAULTS
        if level in (None, each.level)
    ]
    columns = {
        "Fault": "FAULT",
        "Level": "LEVEL",
        "Title": "TITLE",
        "Finding": "FINDING",
        "Needs": "NEEDS",
    }
    common.columns_of(columns, as_json, template, rows, ("Fault", "Level", "Title"))


@common.command("solve")
@click.option("--hint", is_flag=True, help="Give the next hint; each tells more.")
@click.option("--show", is_flag=True, help="Say what is hidden, and the commands that mend it.")
def solve(hint: bool, show: bool) -> int:
    """Say if what 'plumb break' has hidden is mended, from the lab's state, and what it was.

    The exit status is 0 if doctor does not find it any more and all promises of the lab are kept.
    """
    if hint and show:
        raise Invalid("solve takes --hint or --show, not both")
    from plumb.lab.faults import puzzle

    lab, hidden = puzzle.find()
    if hint:
        print(puzzle.next_hint(lab, hidden))
        return 0
    if show:
        _tell(hidden.puzzle.title, hidden.finding)
        for line in puzzle.way(hidden):
            print(f"  {line}")
        return 0
    if unkept := puzzle.broken(lab, hidden):
        for promise in unkept:
            print(f"not kept: {promise}")
    elif puzzle.shows(lab, hidden):
        print("not mended: doctor still finds it, though all promises that were tried are kept")
    else:
        print("mended")
        _tell(hidden.puzzle.title, hidden.finding)
        return 0
    return 1


def _tell(title: str, finding: dict[str, object]) -> None:
    """Print what was hidden, with doctor's finding of it."""
    print(f"it was: {title}" if not finding else f"it was {finding['ID']}: {title}")
    if finding:
        print(f"  {finding['Subject']}. {finding['Why']}")
        print(f"  {finding['Page']}")
