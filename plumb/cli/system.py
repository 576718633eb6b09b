"""plumb check|repair|reset|env."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import click

from plumb.cli import common
from plumb.engine.reader import REBOOTED
from plumb.errors import KernelRefused
from plumb.kernel.process import caller

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plumb.engine.cluster.health import Finding
    from plumb.engine.foreign.firewalls import Obstacle
    from plumb.engine.foreign.settings import ForeignSetting
    from plumb.engine.host import Host
    from plumb.engine.repair import Drift
    from plumb.kernel.features.detect import Ability
    from plumb.kernel.features.table import Group

T = TypeVar("T")


@common.command("check")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--store", is_flag=True, help="Check the record itself, page by page, row by row.")
@click.option("--peers", is_flag=True, help="Try what lies between this node and the others.")
def check(as_json: bool, store: bool, peers: bool) -> int:
    """Report differences from the recorded state. Exit status 1 if there are any.

    Also warn of published ports and containers' DNS that are short of the agent's descriptors.
    """
    if peers:
        return _check_peers(as_json)
    if store:
        return _check_store()
    from plumb.engine.foreign import containers

    unread: list[str] = []
    with common.opened() as host:
        if host.rebooted:
            common.tell(REBOOTED)
        found = host.check()
        obstacles, foreign = _tried(host.obstacles, unread), _tried(host.foreign_settings, unread)
        short, cluster = _short(host), _of_cluster(host)
        others = containers.counted(containers.known(host))
    _print(found, as_json)
    if found:
        common.say("" if as_json else _advice(found))
    for setting in foreign:
        print(json.dumps(_set_by_others(setting)) if as_json else f"{setting}\n  {setting.remedy}")
    for obstacle in obstacles:
        print(
            json.dumps(_in_the_way(obstacle))
            if as_json
            else "\n  ".join([str(obstacle), *obstacle.advice])
        )
    for text, row in short:
        print(json.dumps(row) if as_json else f"warning: {text}")
    for one in cluster:
        row = {"Cluster": one.text, "Advice": one.advice}
        print(json.dumps(row) if as_json else f"{one}\n  {one.advice}")
    if others:
        common.tell(f"not checked: {others}, of which plumb has no record")
    for why in dict.fromkeys(unread):
        common.tell(f"not checked: rules that others have written: {why}")
    return 1 if found or foreign or obstacles or cluster or unread else 0


def _tried(look: Callable[[], list[T]], unread: list[str]) -> list[T]:
    """Look for something.

    Returns:
        Nothing, with a sentence in `unread`, where the kernel has more rules than plumb reads.
    """
    try:
        return look()
    except KernelRefused as refused:
        unread.append(str(refused))
        return []


def _of_cluster(host: Host) -> list[Finding]:
    """List what is wrong with this node's part of the cluster."""
    from plumb.engine.cluster import health

    return health.findings(host.layout)


def _short(host: Host) -> list[tuple[str, dict[str, object]]]:
    """List what is short of the agent's descriptors now: in words, and for programs.

    It is a warning: all is as recorded, and the agent sheds what is too much, as it should.
    """
    from plumb.kernel import agent_client
    from plumb.views.agent_usage import line, warning

    usage = agent_client.usage(host.layout.run)
    pressed = [party for party in usage.parties if party.pressed] if usage else []
    names = {host.layout.place(box): box.name for box in host.containers()} if pressed else {}
    return [(line(party, names), warning(party, names)) for party in pressed]


def _check_peers(as_json: bool) -> int:
    """Print what lies between this node and the others, and return the exit status."""
    from plumb.probes.peers.check_peers import check_peers
    from plumb.views.nodes import peer_documents, peer_lines

    with common.opened() as host:
        report = check_peers(host)
    for line in peer_documents(report) if as_json else peer_lines(report):
        print(line)
    return 0 if report.good else 1


def _check_store() -> int:
    """Print what is wrong with the record, and return the exit status."""
    from plumb.model.paths import Layout
    from plumb.store.salvage import damage

    path = Layout.of().database
    found = damage(path)
    for line in found:
        print(f"{path}: {line}")
    if found:
        common.say("run 'plumb reset --force' to begin anew; it keeps a copy of the record")
    return 1 if found else 0


def _advice(found: list[Drift]) -> str:
    if any(drift.state == "left behind" for drift in found):
        return "the record of it is lost: run 'plumb reset --force' to remove it"
    return "run 'plumb repair' to restore the recorded state"


def _set_by_others(setting: ForeignSetting) -> dict[str, object]:
    return {
        "State": "foreign",
        "Where": setting.where,
        "Thing": setting.what,
        "Advice": [setting.remedy],
    }


def _in_the_way(obstacle: Obstacle) -> dict[str, object]:
    chain = obstacle.firewall
    return {
        "State": "blocked",
        "Key": ("firewall", chain.tool, chain.family, chain.table, chain.chain),
        "Thing": str(chain),
        "Now": chain.why,
        "Networks": [net.name for net in obstacle.networks],
        "Advice": obstacle.advice,
    }


def _print(found: list[Drift], as_json: bool) -> None:
    for drift in found:
        print(
            json.dumps(
                {
                    "State": drift.state,
                    "Key": drift.thing.key,
                    "Thing": str(drift.thing),
                    "Now": str(drift.now or ""),
                }
            )
            if as_json
            else drift
        )


@common.command("repair")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@common.changing
def repair(as_json: bool, dry_run: bool, show_commands: bool) -> None:
    """Restore the recorded state; print the differences."""
    with common.opened(dry_run, show_commands) as host:
        _print(host.repair(), as_json)


@common.command("reset")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@common.changing
def reset(force: bool, dry_run: bool, show_commands: bool) -> None:
    """Remove everything that plumb made under this root and restore the host."""
    if not (force or dry_run):
        caller.this.require_own_process()  # the terminal is its
        click.confirm(
            "This will remove all containers and networks of plumb.\nAre you sure?", abort=True
        )
    with common.opened(dry_run, show_commands) as host:
        host.reset()


@common.command("settle")
@click.argument("container")
def settle(container: str) -> None:
    """Release the network of a container whose command has ended (called by its shim)."""
    with common.opened() as host:
        host.settle(container)


@common.command("env")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def env(as_json: bool) -> None:
    """Show what this kernel and host support, found by trying in a scratch namespace."""
    from plumb.kernel.features import detect
    from plumb.kernel.features.table import FEATURES, GROUPS

    found = {ability.name: ability for ability in detect.abilities()}
    if as_json:
        for group in GROUPS:
            print(
                json.dumps(
                    {
                        "Driver": group.name,
                        "Able": all(found[name].able for name in group.needs),
                        "Needs": group.needs,
                        "Extras": group.extras,
                    }
                )
            )
        for ability in found.values():
            feature = FEATURES[ability.name]
            print(
                json.dumps(
                    {
                        "Feature": ability.name,
                        "Able": ability.able,
                        "Detail": ability.detail,
                        "Said": ability.said,
                        "Serves": feature.serves,
                        "Module": feature.module,
                        "Option": f"CONFIG_{feature.option}",
                    }
                )
            )
        return
    lines = [line for group in GROUPS for line in _group(group, found)]
    _print_coloured(lines)
    if not all(ability.able for ability in found.values()):
        common.say(detect.modules())


def _group(group: Group, found: dict[str, Ability]) -> Iterator[tuple[str, str, str]]:
    """A driver, then what it takes.

    Of what stands below another already, only the extras that are missing.
    """
    from plumb.kernel.features.table import FEATURES, first_group

    lacks = [name for name in group.needs if not found[name].able]
    yield group.name, YES_NO[not lacks], f"lacks {', '.join(lacks)}" if lacks else ""
    for name in (*group.needs, *group.extras):
        ability = found[name]
        if first_group(name) is group or (name in group.extras and not ability.able):
            detail = (
                f" ({ability.detail})"
                if ability.able and ability.detail
                else f": {ability.detail}"
                if ability.detail
                else ""
            )
            yield f"  {name}", YES_NO[ability.able], FEATURES[name].serves + detail


YES_NO = {True: "yes", False: "no"}
COLOURS = {"yes": "green", "no": "red"}


def _print_coloured(lines: list[tuple[str, str, str]]) -> None:
    """Print a table, its yes and no in colour where that is seen."""
    from plumb.views.tables import table

    start = max(len(name) for name, _, _ in lines) + 3
    for line, (_, word, _) in zip(table(lines).splitlines(), lines, strict=True):
        click.echo(line[:start] + click.style(word, fg=COLOURS[word]) + line[start + len(word) :])
