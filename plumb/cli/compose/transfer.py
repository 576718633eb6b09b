"""plumb network export|import."""

from __future__ import annotations

import errno
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from plumb.cli import common, for_terminal
from plumb.errors import Invalid, NotFound

if TYPE_CHECKING:
    from plumb.compose.project import Project
    from plumb.compose.transfer.described import Present
    from plumb.compose.transfer.importing import Item
    from plumb.engine.reader import Reader
    from plumb.model.cnm import Network


@common.command("export")
@click.option("--no-containers", is_flag=True, help="Networks alone.")
@click.option("--addresses", is_flag=True, help="With subnets and addresses that plumb has chosen.")
@click.option("--no-variables", is_flag=True, help="Links and addresses of this host as they are.")
@click.option("-o", "--output", default="-", metavar="FILE", help="Not the output.")
@click.option("--json", "as_json", is_flag=True, help="JSON, which compose files can be as well.")
@click.argument("names", nargs=-1)
def export(
    names: tuple[str, ...],
    no_containers: bool,
    addresses: bool,
    no_variables: bool,
    output: str,
    as_json: bool,
) -> None:
    """Write networks, and the containers on them, as a compose file; default: all of this host.

    What is another on another host, as the parent link of a macvlan network, is a variable with
    this host's value. The file holds the environment of commands: only its owner can read it.
    """
    from plumb.compose.transfer import portable
    from plumb.compose.transfer.described import Description
    from plumb.compose.transfer.selection import selected

    with common.read() as host:
        present = _present(host)
        named = [host.network(name) for name in names]
        chosen = selected(present, named, containers=not no_containers)
        project, remarks = Description(
            present, chosen.networks, chosen.containers, addresses
        ).project()
    for remark in (*chosen.remarks, *remarks):
        common.tell(remark)
    text = portable.text(project, "json" if as_json else "yaml", variables=not no_variables)
    _write(output, text)


def _present(host: Reader) -> Present:
    from plumb.compose.transfer.described import Present

    nets: list[Network] = [*host.networks(), *host.elsewhere()]
    boxes = tuple(box for box in host.containers() if box.task is None)
    return Present(
        tuple(nets), boxes, lambda ident: host.store.endpoints(sandbox=ident), host.settings
    )


def _write(path: str, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all; - is the output."""
    if path == "-":
        sys.stdout.write(text)
        return
    try:
        _replace(path, text)
    except OSError as error:
        raise Invalid(f"cannot write {path}: {error.strerror}", "- is the output") from error


def _replace(path: str, text: str) -> None:
    """Put a new file in the place of one, or of a symbolic link, whose target stays.

    A file that was there may be open, or readable by others: it is not written to.
    """
    if os.path.lexists(path) and not (os.path.isfile(path) or os.path.islink(path)):
        raise OSError(errno.EINVAL, "it is no ordinary file")
    descriptor, own = tempfile.mkstemp(prefix=".plumb-", dir=os.path.dirname(path) or ".")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        os.rename(own, path)
    except BaseException:
        os.unlink(own)
        raise


@common.command("import")
@click.option("--replace", is_flag=True, help="Make anew what is there and differs.")
@click.option("--diff", is_flag=True, help="Only say what differs; exit status 1 if anything does.")
@click.option("--no-start", is_flag=True, help="Create containers without starting them.")
@click.option("-p", "--project-name", default="", metavar="NAME", help="For names of no own.")
@click.option("--env-file", "env_files", multiple=True, metavar="FILE", help="Not .env.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a network or container.")
@common.changing
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
def import_(
    files: tuple[str, ...],
    replace: bool,
    diff: bool,
    no_start: bool,
    project_name: str,
    env_files: tuple[str, ...],
    as_json: bool,
    dry_run: bool,
    show_commands: bool,
) -> int:
    """Make the networks and containers of compose files, as one change; - is the input.

    What is there as the files say stays as it is. Where something differs nothing at all is
    changed, and the differences are named. Several files are merged: a second one has what is
    another on this host.
    """
    from plumb.compose.transfer.importing import Import

    project = _project(files, project_name, env_files)
    wanted = Import(project, replace=replace, start=not no_start)
    for remark in () if diff else wanted.remarks():
        common.tell(remark)
    if diff:
        with common.read() as reader:
            found = wanted.compare(_present(reader))
    else:
        with common.opened(dry_run, show_commands) as host:
            found = wanted.carry_out(host)
    if diff or not dry_run:
        for item in found:
            _print(item, _state(item, diff), as_json)
        if not as_json and not any(item.is_new or item.started for item in found):
            print("nothing to change")
    return 1 if diff and any(item.is_new for item in found) else 0


def _project(files: Sequence[str], name: str, env_files: tuple[str, ...]) -> Project:
    """Load a project; the input is a file while it is read."""
    from plumb.compose.files import Request
    from plumb.compose.load import load

    with tempfile.TemporaryDirectory(prefix="plumb-import-") as folder:
        paths, own = [], os.path.join(os.path.realpath(folder), "input")
        for path in files:
            if path != "-" and not os.path.exists(path):
                raise NotFound(f"compose file {path} not found")
            if path == "-":
                _write_input(own)
            paths.append(own if path == "-" else path)
        request = Request(
            files=tuple(paths),
            name=name,
            env_files=env_files,
            folder=os.getcwd() if files[0] == "-" else "",
            working_dir=os.getcwd(),
            input=own,
        )
        project = load(request)
    for remark in project.remarks:
        common.tell(remark)
    return project


def _write_input(path: str) -> None:
    """Write the input to a file."""
    with open(path, "wb") as file:
        file.write(sys.stdin.buffer.read(MOST))


MOST = 16 << 20
"""Bytes of the input at most."""


def _state(item: Item, diff: bool) -> str:
    if diff and item.is_new:
        return "Differs" if item.there else "Missing"
    if item.there and item.is_new:
        return "Recreated"
    if item.started:
        return "Started"
    return "As in the file" if item.there else "Created"


def _print(item: Item, state: str, as_json: bool) -> None:
    if as_json:
        unlike = [
            {"Key": each.key}
            if each.secret
            else {"Key": each.key, "Here": each.here, "File": each.wanted}
            for each in item.differences
        ]
        document = {"Kind": item.kind, "Name": item.name, "State": state, "Differences": unlike}
        print(json.dumps(document))
        return
    print(for_terminal(f"{item.kind} {item.name}  {state}"))
    for each in item.differences:
        print(for_terminal(f"        {each}"))
