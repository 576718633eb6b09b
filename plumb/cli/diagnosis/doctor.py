"""plumb doctor."""

from __future__ import annotations

import json
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import click

from plumb.cli import common
from plumb.errors import Invalid

if TYPE_CHECKING:
    from plumb.model.diagnosis.finding import Finding
    from plumb.model.diagnosis.snapshot import Snapshot


@common.command("doctor")
@click.option("--save", metavar="FILE", help="Write what was read to a file; - is the output.")
@click.option("--from", "source", metavar="FILE", help="Diagnose a file that --save has written.")
@click.option("--anonymise", is_flag=True, help="Replace names and addresses in it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--fix", metavar="ID", help="Apply the remedy of a finding, and keep an undo.")
@click.option(
    "--undo",
    type=click.IntRange(0),
    is_flag=False,
    flag_value=0,
    metavar="[N]",
    help="Take the last fix back, or that of this number.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask (--fix and --undo).")
@click.option("-f", "--force", is_flag=True, help="Also a finding that is not proven (--fix).")
@click.argument("ends", nargs=-1, metavar="[FROM TO[:PORT]]")
def doctor(
    save: str | None,
    source: str | None,
    anonymise: bool,
    as_json: bool,
    fix: str | None,
    undo: int | None,
    yes: bool,
    force: bool,
    ends: tuple[str, ...],
) -> int:
    """Look for known faults on this host and in all of its containers, also other engines'.

    FROM and TO, containers or 'host', narrow it to what lies between them. Nothing is changed
    without --fix or --undo, and no packet is sent. Exit status: 0 without a finding, 1 with
    warnings, 2 with problems.
    """
    from plumb.doctor import diagnose

    if len(ends) not in (0, 2):
        raise Invalid("doctor takes no name, or two", "plumb doctor FROM TO:PORT")
    if fix is not None or undo is not None:
        return _mend(fix, undo, yes, force, bool(save or source or anonymise or as_json or ends))
    with _doubted(source):
        snapshot = _snapshot(source, anonymise)
        if save is not None:
            return _save(snapshot, save)
        found = _between(snapshot, *ends) if ends else diagnose.diagnose(snapshot)
    _print(found, snapshot, as_json)
    return diagnose.status(found)


def _mend(fix: str | None, undo: int | None, yes: bool, force: bool, other: bool) -> int:
    from plumb.cli.diagnosis import fixes

    if other or (fix is not None and undo is not None):
        raise Invalid(
            "--fix and --undo go with --yes and --force alone",
            "plumb doctor --fix ID; plumb doctor --undo [N]",
        )
    return fixes.fix(fix, yes, force) if fix is not None else fixes.undo(undo or 0, yes)


def _doubted(source: str | None) -> AbstractContextManager[None]:
    """Refuse a file that no host has written; a fault of this host's reading is plumb's own."""
    if source is None:
        return nullcontext()
    from plumb.doctor import document

    return document.doubted(source)


def _snapshot(source: str | None, anonymise: bool) -> Snapshot:
    if source is not None:
        from plumb.doctor import document

        with sys.stdin.buffer if source == "-" else open(source, "rb") as file:
            snapshot = document.read(file.read(document.LONGEST + 1), source)
    else:
        from plumb.doctor import read
        from plumb.kernel.capabilities import require_root

        require_root("read this host's namespaces and rules")
        with common.opened() as host:
            snapshot = read.read(host)
    if anonymise:
        from plumb.doctor.anonymise import anonymised

        return anonymised(snapshot)
    return snapshot


def _save(snapshot: Snapshot, path: str) -> int:
    from plumb.doctor import document

    text = document.written(snapshot)
    if path == "-":
        sys.stdout.write(text)
        return 0
    # It has addresses and names of this host: nobody else may read it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return 0


def _between(snapshot: Snapshot, source: str, target: str) -> list[Finding]:
    from plumb.doctor import diagnose
    from plumb.model.net.targets import TargetGrammar

    return diagnose.between(snapshot, source, TargetGrammar("diagnose").read(target))


def _print(found: list[Finding], snapshot: Snapshot, as_json: bool) -> None:
    from plumb.doctor.catalogue import CATALOGUE, PAGE
    from plumb.views.diagnosis.doctor import document, lines

    if as_json:
        for finding in found:
            print(json.dumps(document(finding, PAGE)))
        return
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    titles = [check.title for check in CATALOGUE]
    for line in lines(found, snapshot, titles, PAGE, colour):
        print(line)
