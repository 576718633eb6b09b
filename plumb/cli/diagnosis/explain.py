"""plumb explain."""

from __future__ import annotations

import json

import click

from plumb.cli import common
from plumb.errors import NotFound


@common.command("explain")
@click.option("-a", "--all", "every", is_flag=True, help="Tell all things that only mention it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each thing.")
@click.argument("words", nargs=-1, required=True, metavar="SUBJECT...")
def explain(words: tuple[str, ...], every: bool, as_json: bool) -> None:
    """Say what an object on this host is, whose, why it is there, and what breaks without it.

    SUBJECT is a link (plumb0, web/eth0), an address, a subnet, a MAC address, a kernel setting
    (net.ipv4.ip_forward), a chain (DOCKER, or web/INPUT in a container), a rule or a part of one
    (behind "--", as it begins with a dash), a network, a container, or a port of this host ("port
    8080").
    """
    from plumb.explain import inside, on_host
    from plumb.explain.explain import Record
    from plumb.explain.subject import Subject
    from plumb.views import explain as view

    subject = Subject.parse(words)
    with common.read() as reader:
        found = Record(reader).find(subject)
    if not subject.place and found.leaves_open(subject.text):
        found = found + on_host.find(subject)
    with common.read() as reader:
        found = found + inside.find(reader, subject, found)
    if not found:
        raise NotFound(
            f"nothing on this host is called {' '.join(words)}",
            "'plumb explain --help' shows what can be asked",
        )
    if as_json:
        for each in view.document(found):
            print(json.dumps(each))
        return
    print("\n".join(view.text(found, every)).rstrip())
