"""plumb info|version."""

from __future__ import annotations

import json

import click

from plumb.cli import common
from plumb.cli.documents import print_document
from plumb.engine.reader import Reader
from plumb.errors import PlumbError
from plumb.model.cluster import Node
from plumb.views.inspect import host_info

template_option = click.option(
    "-f", "--format", "template", default="", help="json, or a Go template."
)


@common.command("info")
@template_option
def info(template: str) -> int:
    """Show this host: its containers, what plumb has for them, its part in a swarm."""
    from plumb.drivers import DRIVERS

    with common.read() as host:
        node, error = _node(host)
        found = host_info.info(
            host.containers(), host.settings, host.layout, DRIVERS, host_info.swarm(node, error)
        )
    if template:
        return print_document(found, template)
    print(*host_info.as_text(found), sep="\n")
    return 0


def _node(host: Reader) -> tuple[Node | None, str]:
    """Return this host's node, or why it cannot be told."""
    try:
        return host.cluster.node(), ""
    except PlumbError as error:
        return None, str(error)


@common.command("version")
@template_option
@click.option("--json", "as_json", is_flag=True, help="As a JSON object.")
def version(template: str, as_json: bool) -> int:
    """Show versions."""
    import platform
    from importlib.metadata import version as installed

    from plumb import __version__

    if template:
        return print_document(host_info.versions(), template)
    found = {
        "plumb": __version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
        **{name: installed(name) for name in ("python-iptables", "scapy", "click")},
    }
    if as_json:
        print(json.dumps(found))
    else:
        for name, text in found.items():
            print(f"{name:16} {text}")
    return 0
