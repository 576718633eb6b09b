"""plumb swarm init|join|leave|join-token|update|ca."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

import click

from plumb.cli import common
from plumb.cli.common import F
from plumb.errors import Invalid
from plumb.model.cluster import DATA_PATH_PORT, Availability, NodeRole

if TYPE_CHECKING:
    from plumb.engine.cluster.swarm import ExistingStore, SwarmClient

LONGEST_TOKEN = 4096
"""Bytes of a file with a join token, at most."""


@common.group("swarm")
def swarm() -> None:
    """Manage a swarm: several hosts that share networks."""


def client() -> SwarmClient:
    """The swarm of the root that the command is about."""
    from plumb.engine.cluster.swarm import SwarmClient

    with common.read() as host:
        subnets = [pool.subnet for net in host.networks() for pool in net.pools]
        return SwarmClient(host.layout, subnets)


def _of_node(function: F) -> F:
    """The options of `init` and `join` that are about this node."""
    for option in (
        click.option(
            "--advertise-addr",
            "advertise",
            default="",
            metavar="IP|LINK[:PORT]",
            help="The address by which other nodes reach this one.",
        ),
        click.option(
            "--data-path-addr",
            "data_path",
            default="",
            metavar="IP|LINK",
            help="The address for traffic of overlay networks, if it is another one.",
        ),
        click.option(
            "--listen-addr",
            "listen",
            default="",
            metavar="IP|LINK[:PORT]",
            help="Where a manager listens (0.0.0.0:2377).",
        ),
        availability_option("active"),
    ):
        function = option(function)
    return function


def availability_option(default: str | None) -> Callable[[F], F]:
    """--availability."""
    return click.option(
        "--availability",
        type=click.Choice([one.value for one in Availability]),
        default=default,
        help="Whether tasks of services run on it.",
    )


@swarm.command("init")
@_of_node
@click.option(
    "--data-path-port",
    "port",
    type=int,
    default=0,
    help="UDP port for traffic of overlay networks, 1024 to 49151; 0 stands for 4789.",
)
@click.option(
    "--default-addr-pool",
    "pools",
    multiple=True,
    metavar="SUBNET",
    help="Where subnets of networks come from (10.0.0.0/8).",
)
@click.option(
    "--default-addr-pool-mask-length",
    "mask_length",
    type=int,
    default=24,
    help="Prefix length of a network's subnet.",
)
@click.option("--force-new-cluster", is_flag=True, help="Go on alone, its quorum lost.")
@click.option("--store", multiple=True, metavar="URL", help="An existing etcd, https://HOST:PORT.")
@click.option("--store-cert", default="", metavar="FILE", help="This client's certificate for it.")
@click.option("--store-key", default="", metavar="FILE", help="The key of that certificate.")
@click.option("--store-ca", default="", metavar="FILE", help="The CA of the store's certificates.")
def init(
    advertise: str,
    data_path: str,
    listen: str,
    availability: str,
    port: int,
    pools: tuple[str, ...],
    mask_length: int,
    force_new_cluster: bool,
    store: tuple[str, ...],
    store_cert: str,
    store_key: str,
    store_ca: str,
) -> None:
    """Make a swarm, with this host as its first manager."""
    from plumb.engine.cluster.swarm import InitRequest

    asked = client()
    node, tokens = asked.init(
        InitRequest(
            advertise,
            data_path,
            listen,
            Availability(availability),
            tuple(map(_pool, pools)),
            mask_length,
            port or DATA_PATH_PORT,
            _store(store, store_cert, store_key, store_ca),
            force_new_cluster,
        )
    )
    print(f"Swarm initialized: current node ({node}) is now a manager.\n")
    print(_how_to_join(asked, NodeRole.WORKER, tokens[NodeRole.WORKER]))
    print(
        "To add a manager to this swarm, run 'plumb swarm join-token manager' and follow the "
        "instructions.\n"
    )


def _pool(text: str) -> IPv4Network:
    try:
        return IPv4Network(text)
    except ValueError:
        raise Invalid(f"invalid default address pool '{text}'", "as in 10.20.0.0/16") from None


def _store(urls: tuple[str, ...], certificate: str, key: str, ca: str) -> ExistingStore | None:
    from plumb.engine.cluster.swarm import ExistingStore

    if not urls:
        if certificate or key or ca:
            raise Invalid("--store-cert, --store-key and --store-ca are about a --store")
        return None
    if not (certificate and key and ca):
        raise Invalid(
            "a store needs --store-cert, --store-key and --store-ca",
            "it is used by TLS alone, so that nobody else reads the swarm's keys in it",
        )
    return ExistingStore(urls, certificate, key, ca)


def _how_to_join(asked: SwarmClient, role: NodeRole, token: str) -> str:
    from plumb.views.nodes import manager_address

    own = asked.node()
    where = manager_address(own) if own is not None else ""
    return (
        f"To add a {role} to this swarm, run the following command:\n\n"
        f"    plumb swarm join --token {token} {where}\n"
    )


@swarm.command("join")
@_of_node
@click.option(
    "--token",
    required=True,
    metavar="TOKEN|FILE|-",
    help="A join token; or a file that has it, or - for stdin, so that no list of processes does.",
)
@click.argument("remote", metavar="HOST:PORT")
def join(
    advertise: str, data_path: str, listen: str, availability: str, token: str, remote: str
) -> None:
    """Join a swarm, as a worker or as a manager, as the token says."""
    from plumb.engine.cluster.swarm import NodeRequest

    wish = NodeRequest(advertise, data_path, listen, Availability(availability))
    role = client().join(_token(token), remote, wish)
    print(f"This node joined a swarm as a {role}.")


def _token(given: str) -> str:
    """The token itself, that of a file, or that of stdin."""
    if given.startswith("SWMTKN-"):
        return given
    if given == "-":
        return sys.stdin.readline(LONGEST_TOKEN).strip()
    try:
        with open(given, encoding="ascii") as file:
            return file.read(LONGEST_TOKEN).strip()
    except (OSError, UnicodeDecodeError):
        raise Invalid("invalid join token, and no file of that name") from None


@swarm.command("leave")
@click.option("-f", "--force", is_flag=True, help="Even if this node is a manager.")
def leave(force: bool) -> None:
    """Leave the swarm."""
    client().leave(force)
    print("Node left the swarm.")


@swarm.command("join-token")
@click.option("--rotate", is_flag=True, help="Make a new token first; the old one ends.")
@click.option("-q", "--quiet", is_flag=True, help="Print the token alone.")
@click.argument("role", metavar="worker|manager")
def join_token(rotate: bool, quiet: bool, role: str) -> None:
    """Show, or make anew, the token with which nodes join."""
    if role not in tuple(NodeRole):
        raise Invalid(f"unknown role {role}", "worker or manager")
    wanted, asked = NodeRole(role), client()
    if rotate:
        asked.rotate_token(wanted)
        if not quiet:
            print(f"Successfully rotated {role} join token.\n")
    token = asked.tokens()[wanted]
    print(token if quiet else _how_to_join(asked, wanted, token))


@swarm.command("update")
@click.option(
    "--cert-expiry", metavar="DURATION", help="Validity of nodes' certificates, as in 2160h0m0s."
)
@click.option("--task-history-limit", type=int, help="Tasks of a service to keep when they ended.")
def update(cert_expiry: str | None, task_history_limit: int | None) -> None:
    """Change the swarm."""
    hours = None if cert_expiry is None else _hours(cert_expiry)
    client().change(cert_expiry=hours, task_history=task_history_limit)
    print("Swarm updated.")


def _hours(text: str) -> int:
    """A duration of Go's, as in 2160h0m0s, in whole hours."""
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    if not text or found is None:
        raise Invalid(f'invalid duration "{text}"', "as in 2160h0m0s")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return hours + (minutes * 60 + seconds) // 3600


@swarm.command("ca")
@click.option("--rotate", is_flag=True, help="Make a new CA; all nodes get new certificates.")
@click.option("-d", "--detach", is_flag=True, help="Do not print the certificate of a new CA.")
@click.option("-q", "--quiet", is_flag=True, help="The same.")
def ca(rotate: bool, detach: bool, quiet: bool) -> None:
    """Show the certificate of the swarm's CA, or make a new CA."""
    asked = client()
    certificate = asked.rotate_authority() if rotate else asked.authority()
    if not rotate or not (detach or quiet):
        print(certificate.strip())
