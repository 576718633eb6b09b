"""plumb run|create|start|stop|restart|rm."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from plumb.cli import common, lifecycle
from plumb.errors import Invalid, NotFound
from plumb.kernel.process import caller
from plumb.model import container_options as own
from plumb.model import parse as opt
from plumb.model.cnm import DEFAULT_NETWORK, PREDEFINED, Attachment, Sandbox
from plumb.model.keywords import ContainerOptions
from plumb.model.net import attachment as attachments

if TYPE_CHECKING:
    from plumb.cli.lifecycle.id_file import Note

Command = Callable[..., Any]
OPTIONS: list[Callable[[Command], Command]] = [
    click.option("--name", default="", help="A name for the container."),
    click.option(
        "--network",
        "--net",
        "network",
        multiple=True,
        callback=common.checked(attachments.long_form),
        help="A network, or name=N,ip=…,alias=…,driver-opt=….",
    ),
    click.option("--ip", default="", help="IPv4 address."),
    click.option("--ip6", default="", help="IPv6 address."),
    click.option("--mac-address", default=""),
    click.option("--link-local-ip", multiple=True),
    click.option(
        "--network-alias",
        "--net-alias",
        "network_alias",
        multiple=True,
        help="Network-scoped alias.",
    ),
    click.option("-h", "--hostname", default="", help="Host name."),
    click.option("--domainname", default=""),
    click.option(
        "--dns", multiple=True, callback=common.checked(own.name_server), help="Name servers."
    ),
    click.option("--dns-search", multiple=True, callback=common.checked(opt.search_domain)),
    click.option("--dns-option", "--dns-opt", "dns_option", multiple=True),
    click.option(
        "--add-host",
        multiple=True,
        metavar="NAME:IP",
        callback=common.checked(own.extra_host),
        help="A line for the hosts file; the address can be host-gateway.",
    ),
    click.option(
        "--link",
        multiple=True,
        metavar="NAME[:ALIAS]",
        callback=common.checked(own.link),
        help="Add a name for another container, known to this one only.",
    ),
    click.option(
        "-p", "--publish", multiple=True, help="Publish a port: [[IP:][PORT]:]PORT[/PROTOCOL]."
    ),
    click.option("-P", "--publish-all", is_flag=True, help="Publish all exposed ports."),
    click.option("--expose", multiple=True, help="Expose a port or a range of ports."),
    click.option("--cap-add", multiple=True),
    click.option("--cap-drop", multiple=True),
    click.option("--privileged", is_flag=True, help="All capabilities."),
    click.option(
        "--read-only-host",
        is_flag=True,
        help="The host's files, /proc and /sys are read-only; /tmp, /run and /dev are its own.",
    ),
    click.option(
        "--isolate",
        is_flag=True,
        help="The same, with processes and System V IPC of its own: it sees none of the host's.",
    ),
    click.option(
        "--sysctl",
        multiple=True,
        metavar="NAME=VALUE",
        callback=common.checked(own.container_sysctl),
        help="Settings of the network namespace.",
    ),
    click.option("-e", "--env", multiple=True, metavar="NAME[=VALUE]"),
    click.option(
        "-l", "--label", multiple=True, metavar="KEY=VALUE", callback=common.checked(opt.label)
    ),
    click.option("--log-driver", default="", help="json-file, local, none, syslog or fluentd."),
    click.option(
        "--log-opt",
        multiple=True,
        metavar="KEY=VALUE",
        help="Options of the driver: max-size=10m, max-file=3, syslog-address=udp://192.0.2.1.",
    ),
    *lifecycle.OPTIONS,
    click.option("--rm", "auto_remove", is_flag=True, help="Remove it when its command ends."),
    click.option(
        "-i", "--interactive", is_flag=True, help="Keep the input open, as without -d it always is."
    ),
    click.option(
        "-t",
        "--tty",
        is_flag=True,
        help="The command has the caller's terminal, as without -d it always does.",
    ),
    click.argument("command", nargs=-1, type=click.UNPROCESSED),
]


def container_options(function: Command) -> Command:
    """The options of run and create."""
    for option in reversed(OPTIONS):
        function = option(function)
    return common.changing(function)


def wish_of(asked: dict[str, Any]) -> ContainerOptions:
    """The options of run and create as the library's keywords."""
    sysctls = dict(own.container_sysctl(text) for text in asked["sysctl"])
    if asked["hostname"]:
        opt.host_name(asked["hostname"])
    return {
        "network": _attachments(asked),
        "command": asked["command"],
        "mac": opt.mac(asked["mac_address"]) if asked["mac_address"] else "",
        "hostname": asked["hostname"],
        "domainname": opt.host_name(asked["domainname"]) if asked["domainname"] else "",
        "dns": tuple(map(own.name_server, asked["dns"])),
        "dns_search": asked["dns_search"],
        "dns_options": asked["dns_option"],
        "extra_hosts": tuple(own.extra_host(text) for text in asked["add_host"]),
        "links": tuple(own.link(text) for text in asked["link"]),
        "ports": tuple(port for text in asked["publish"] for port in own.published(text)),
        "publish_all": asked["publish_all"],
        "exposed": tuple(
            dict.fromkeys(spec for text in asked["expose"] for spec in own.exposed(text))
        ),
        "cap_add": tuple(own.capability(text) for text in asked["cap_add"]),
        "cap_drop": tuple(own.capability(text) for text in asked["cap_drop"]),
        "privileged": asked["privileged"],
        "read_only_host": asked["read_only_host"],
        "isolate": asked["isolate"],
        "sysctls": tuple(sysctls.items()),
        "environment": lifecycle.variables(asked["env"], asked["env_file"]),
        "labels": lifecycle.labels(asked["label"], asked["label_file"]),
        "auto_remove": asked["auto_remove"],
        "log_driver": asked["log_driver"],
        "log_opt": asked["log_opt"],
        **lifecycle.wish_of(asked),
    }


def _name(asked: dict[str, Any]) -> str:
    return opt.container_name(asked["name"]) if asked["name"] else ""


PLAIN = {
    "mac_address": ("mac", "per-network MAC address"),
    "network_alias": ("aliases", "per-network alias"),
    "ip": ("ip", "per-network IPv4 address"),
    "ip6": ("ip6", "per-network IPv6 address"),
    "link_local_ip": ("link_local", "per-network link-local IP addresses"),
}
"""Plain flags, the field of an attachment that each is, and Docker's words for that."""


def _attachments(asked: dict[str, Any]) -> tuple[Attachment, ...]:
    """The networks; --ip and its like go to the first.

    Raises:
        Invalid: a flag and its network's field are both given, or networks that Docker's command
        line does not put together.
    """
    first, *others = map(attachments.attachment, asked["network"] or (DEFAULT_NETWORK,))
    for flag, (field, words) in PLAIN.items():
        if asked[flag] and getattr(first, field):
            raise Invalid(
                f"conflicting options: cannot specify both --{flag.replace('_', '-')} and {words}"
            )
    if len({_users_own(wish.network) for wish in (first, *others)}) > 1:
        raise Invalid(
            "conflicting options: cannot attach both user-defined and non-user-defined "
            "network-modes",
            "join the other network with 'plumb network connect'",
        )
    plain = attachments.make_attachment(
        first.network,
        ip=asked["ip"],
        ip6=asked["ip6"],
        link_local=asked["link_local_ip"],
        aliases=asked["network_alias"] or None,
    )
    given = {field: value for field in FIELDS if (value := getattr(plain, field))}
    return replace(first, **given), *others


FIELDS = ("ip", "ip6", "link_local", "aliases")


def _users_own(network: str) -> bool:
    return not (network in (*PREDEFINED, "default") or network.startswith("container:"))


@common.command("run", context_settings=common.COMMAND_FOLLOWS)
@click.option("-d", "--detach", is_flag=True, help="Do not wait for the command.")
@click.option(
    "--sig-proxy",
    type=bool,
    default=True,
    metavar="BOOL",
    help="Pass signals on to the command (default true).",
)
@container_options
def run(detach: bool, sig_proxy: bool, dry_run: bool, show_commands: bool, **asked: Any) -> int:
    """Create and run a container. Without a command, the sandbox just stays.

    A container isolates the network only: its command shares the host's files, processes and users.
    As root in it is the host's root, --cap-drop does not protect the host. --read-only-host keeps a
    command from changing files by mistake: processes, signals and sockets outside of /run are still
    shared. --isolate hides the host's processes too; users, what root can read, and the kernel with
    all its system calls stay shared.
    """
    from plumb.cli import foreground_run

    wish = wish_of(asked)
    foreground = bool(asked["command"]) and not detach
    if foreground:
        caller.this.require_own_process()
    with _noting(asked, dry_run) as note, common.opened(dry_run, show_commands) as host:
        if foreground and not dry_run:
            return foreground_run.run(host, _name(asked), wish, sig_proxy, note)
        box = host.run(_name(asked), foreground=foreground, **wish)
        if not dry_run:
            note(box.id)
            foreground_run.warn(host, box)
            foreground_run.print_id(host, box)
        return 0


def _noting(asked: dict[str, Any], dry_run: bool) -> AbstractContextManager[Note]:
    return lifecycle.noting("" if dry_run else asked["cidfile"])


@common.command("create", context_settings=common.COMMAND_FOLLOWS)
@container_options
def create(dry_run: bool, show_commands: bool, **asked: Any) -> None:
    """Create a container without starting it."""
    from plumb.cli import foreground_run

    with _noting(asked, dry_run) as note, common.opened(dry_run, show_commands) as host:
        box = host.create(_name(asked), **wish_of(asked))
        if not dry_run:
            note(box.id)
            foreground_run.warn(host, box)
            foreground_run.print_id(host, box)


@common.command("start")
@click.option(
    "-a", "--attach", is_flag=True, help="Print what the command prints, and end as it ends."
)
@click.option("-i", "--interactive", is_flag=True, help="As --attach: the command has no input.")
@common.changing
@click.argument("containers", nargs=-1, required=True)
def start(
    containers: tuple[str, ...], attach: bool, interactive: bool, dry_run: bool, show_commands: bool
) -> int:
    """Start containers."""
    if (attach or interactive) and not dry_run:
        from plumb.cli.lifecycle import attach as attaching

        return attaching.start(containers, show_commands)
    with common.opened(dry_run, show_commands) as host:
        return common.for_each(containers, lambda name: _named(host.start(name), name, dry_run))


def stop_options(function: Command) -> Command:
    """The options of stop and restart."""
    signal = click.option(
        "-s", "--signal", default="", metavar="SIGNAL", help="Signal that asks the command to end."
    )
    timeout = click.option(
        "-t",
        "--timeout",
        "--time",
        "timeout",
        type=int,
        metavar="SECONDS",
        help="Seconds before the command is killed (10); below 0, it is not.",
    )
    return signal(timeout(common.changing(function)))


@common.command("stop")
@stop_options
@click.argument("containers", nargs=-1, required=True)
def stop(
    containers: tuple[str, ...],
    timeout: int | None,
    signal: str,
    dry_run: bool,
    show_commands: bool,
) -> int:
    """Stop containers: their commands end, their networks are let go, their configuration stays."""
    with common.opened(dry_run, show_commands) as host:
        return common.for_each(
            containers,
            lambda name: _named(host.stop(name, timeout=timeout, signal=signal), name, dry_run),
        )


@common.command("restart")
@stop_options
@click.argument("containers", nargs=-1, required=True)
def restart(
    containers: tuple[str, ...],
    timeout: int | None,
    signal: str,
    dry_run: bool,
    show_commands: bool,
) -> int:
    """Stop containers and start them again."""
    with common.opened(dry_run, show_commands) as host:
        return common.for_each(
            containers,
            lambda name: _named(host.restart(name, timeout=timeout, signal=signal), name, dry_run),
        )


@common.command("rm")
@click.option(
    "-f",
    "--force",
    is_flag=True,
    help="Also containers that run; those that are not there are no failure.",
)
@click.option("-v", "--volumes", is_flag=True, help="No effect: containers have no volumes.")
@click.option("-l", "--link", is_flag=True, help="Remove links, named PARENT/ALIAS.")
@common.changing
@click.argument("containers", nargs=-1, required=True)
def rm(
    containers: tuple[str, ...],
    force: bool,
    volumes: bool,
    link: bool,
    dry_run: bool,
    show_commands: bool,
) -> int:
    """Remove containers."""
    from plumb.cli import complain

    with common.opened(dry_run, show_commands) as host:

        def remove(name: str) -> str:
            try:
                if link:
                    host.remove_link(name)
                    return "" if dry_run else name
                return _named(host.remove(name, force), name, dry_run)
            except NotFound as error:
                if not force:
                    raise
                complain(str(error), error.hint, 0)
                return ""

        return common.for_each(containers, remove)


def _named(box: Sandbox, name: str, dry_run: bool) -> str:
    return "" if dry_run else name
