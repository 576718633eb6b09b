"""Gathering: all that is worth keeping of a lab when a test has failed, as texts by file name."""

from __future__ import annotations

import json
from collections.abc import Iterator

from plumb.engine.host import Host
from plumb.kernel.netns import fake_host
from plumb.kernel.netns.namespaces import entered
from plumb.kernel.process import commands
from plumb.model.cnm import Status
from plumb.pytest_plugin.lab_process.places import Places
from plumb.pytest_plugin.values import INTERNET
from plumb.views.inspect import containers, networks

COMMANDS = {
    "links": ("ip", "-d", "-s", "link"),
    "addresses": ("ip", "address"),
    "routes": ("ip", "route", "show", "table", "all"),
    "routes6": ("ip", "-6", "route", "show", "table", "all"),
    "rules": ("ip", "rule"),
    "rules6": ("ip", "-6", "rule"),
    "neighbours": ("ip", "neighbour"),
    "fdb": ("bridge", "fdb"),
    "sockets": ("ss", "-tunap"),
    "nftables": ("nft", "-a", "list", "ruleset"),
    "iptables": ("iptables-save", "-c"),
    "ip6tables": ("ip6tables-save", "-c"),
    "sysctls": ("sysctl", "-a", "--pattern", "^net"),
}
"""What is run in each place, and the file for it."""


def gather(places: Places, host: Host) -> dict[str, str]:
    """The texts by file name, folders of the places included."""
    boxes = [box.name for box in host.containers() if box.status is Status.RUNNING]
    found = {
        "check.txt": _check(host),
        "containers.json": _json(_containers(host)),
        "networks.json": _json(_networks(host)),
    }
    for node in [*places.places, *boxes]:
        if node == INTERNET:
            continue
        with entered(places.place(node)):
            for name, argv in COMMANDS.items():
                if text := fake_host.output(argv):
                    found[f"{node.strip('()')}/{name}.txt"] = text
    return found


def _check(host: Host) -> str:
    """Text that `plumb check` prints."""
    found = [*host.check(), *host.foreign_settings(), *host.obstacles()]
    return "\n".join(map(str, found)) or "all is as it should be"


def _json(documents: Iterator[object]) -> str:
    return json.dumps(list(documents), indent=2) + "\n"


def _networks(host: Host) -> Iterator[object]:
    for net in host.networks():
        yield networks.network(
            net, [(end, host.container(end.sandbox)) for end in host.endpoints(net)]
        )


def _containers(host: Host) -> Iterator[object]:
    known = {net.id: net for net in host.networks()}
    for box in host.containers():
        ends = [(end, known[end.network]) for end in host.endpoints(box)]
        yield containers.container(
            box, ends, known, host.layout, commands.alive(host.layout.container(box.id))[0]
        )
