"""plumb lab: hosts made of namespaces, several on one machine."""

from __future__ import annotations

import sys

import click

from plumb.cli import common
from plumb.kernel.process import caller
from plumb.lab.registry import DEFAULT

NAME_OPTION = click.option(
    "--lab", "lab_name", metavar="NAME", default=DEFAULT, show_default=True, help="Name of the lab."
)


@common.group("lab")
def lab() -> None:
    """Make hosts out of namespaces, to try several of them on one machine.

    The hosts of a lab share this machine's kernel, files and users. Each has its own network,
    mounts under /run, processes, host name, and its own root of plumb's.
    """


@lab.command("hosts")
@click.option(
    "--between",
    type=click.Choice(["switch", "router", "nat"]),
    default="switch",
    show_default=True,
    help="Connection of the hosts: one segment, two with a router, two with NAT.",
)
@click.option("--mtu", type=click.IntRange(1280, 65535), help="MTU of the links between them.")
@NAME_OPTION
@click.argument("count", type=int)
def hosts_(between: str, mtu: int | None, lab_name: str, count: int) -> None:
    """Start a lab of COUNT hosts, h1, h2, …, which stays until 'plumb lab rm'."""
    from plumb.lab.hosts import Hosts
    from plumb.lab.registry import checked

    made = Hosts(count, between, mtu, checked(lab_name), names=True)
    for each in made:
        print(f"{each.name}\t{each.address}\t{each.address6}")


@lab.command("ls")
@click.option("--lessons", is_flag=True, help="List the lessons that 'plumb lab run' starts.")
@common.template_option
def ls(lessons: bool, as_json: bool, template: str) -> None:
    """List the hosts of all labs that run, or the lessons that there are."""
    from plumb.lab import registry
    from plumb.lab.hosts import hosts

    if lessons:
        from plumb.cli.learn import list_lessons

        list_lessons(as_json, template)
        return
    rows: list[dict[str, object]] = [
        {
            "Lab": entry.name,
            "Host": each.name,
            "IPv4": each.address,
            "IPv6": each.address6,
            "Pid": each.init.pid,
            "Between": str(entry.between),
        }
        for entry in registry.every()
        for each in hosts(entry)
    ]
    columns = {"Lab": "LAB", "Host": "HOST", "IPv4": "IPV4", "IPv6": "IPV6", "Between": "BETWEEN"}
    common.columns_of(columns, as_json, template, rows)


@lab.command("exec", context_settings={"ignore_unknown_options": True})
@NAME_OPTION
@click.argument("host_name", metavar="HOST")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(lab_name: str, host_name: str, argv: tuple[str, ...]) -> None:
    """Run a command on a host: 'plumb lab exec h1 plumb network ls'."""
    from plumb.lab import registry
    from plumb.lab.hosts import host, plumb_words

    caller.this.require_own_process()  # it becomes the command
    words = plumb_words(argv[1:]) if argv[0] == "plumb" else list(argv)
    sys.stdout.flush()
    host(registry.find(lab_name), host_name).execute(words)


@lab.command("shell")
@NAME_OPTION
@click.argument("host_name", metavar="[HOST]", default="h1")
def shell(lab_name: str, host_name: str) -> int:
    """Open a shell on a host; without a lab of that name, on one that ends with the shell.

    The latter has a neighbour on its LAN, h2, 192.0.2.11, and an internet, 198.51.100.1. Nothing
    of it is the machine's, and it needs no root.
    """
    from plumb.errors import NotFound
    from plumb.lab import registry
    from plumb.lab.hosts import Hosts, host

    caller.this.require_own_process()  # the terminal is its
    try:
        entry = registry.find(lab_name)
    except NotFound:
        if lab_name != DEFAULT:
            raise
        with Hosts(2, names=True) as own:
            return own[host_name].shell()
    return host(entry, host_name).shell(lab_name)


@lab.command("run")
@click.argument("name", metavar="LESSON")
def run(name: str) -> None:
    """Start the lab of a lesson, which stays until 'plumb lab rm LESSON'."""
    from plumb.lab.lessons import lesson, play

    found = lesson.read(name)
    play.start(found, name)
    print(f"{name}: {found.title}, {found.minutes} minutes")
    print(f"the page: plumb learn {name}")
    print(f"a shell in it: plumb lab shell --lab {name}")
    print(f"done? plumb learn --check {name}")


@lab.command("cut")
@NAME_OPTION
@click.argument("host_name", metavar="HOST")
def cut(lab_name: str, host_name: str) -> None:
    """Cut a host off from the others, as if its plug were pulled."""
    from plumb.lab import registry
    from plumb.lab.hosts import host

    host(registry.find(lab_name), host_name).cut()


@lab.command("mend")
@NAME_OPTION
@click.argument("host_name", metavar="HOST")
def mend(lab_name: str, host_name: str) -> None:
    """Connect a host again that was cut off."""
    from plumb.lab import registry
    from plumb.lab.hosts import host

    host(registry.find(lab_name), host_name).mend()


@lab.command("rm")
@click.argument("names", nargs=-1)
def rm(names: tuple[str, ...]) -> int:
    """End labs with all that their hosts have; the one called 'hosts' where none is named."""
    from plumb.lab import registry
    from plumb.lab.hosts import end

    def act(name: str) -> str:
        end(registry.find(name))
        return name

    return common.for_each(names or (DEFAULT,), act)
