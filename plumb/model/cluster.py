"""A cluster (Docker's swarm): nodes, and what they share of networks and endpoints.

Every node has its own intent (`model.cnm`) in its own store. What more than one node must know
stands in the cluster's store, etcd: the nodes, the networks of multi-host drivers with their
subnets and VNIs, who has which address, and the endpoints with the node that each is on. A node
copies from there into its own intent what concerns it: the networks that it has a member of, and
the endpoints of these on other nodes.
"""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface

from plumb.address import IPAddress, IPInterface
from plumb.digest import digest
from plumb.frozen import frozen
from plumb.model.cnm import Network, Pairs

FIRST_VNI = 4096
"""VNI of the first network, which is the ingress network; networks are numbered serially."""
LAST_VNI = (1 << 24) - 1
JOIN_PORT = 2377
"""TCP port on which managers wait for nodes."""
DATA_PATH_PORT = 4789
"""UDP port of VXLAN (RFC 7348), where the swarm was not told another one."""


class NodeRole(StrEnum):
    """Part of a node in the cluster: managers have the store and allocate, workers ask them."""

    WORKER = "worker"
    MANAGER = "manager"


class Availability(StrEnum):
    """Readiness of a node for tasks of services."""

    ACTIVE = "active"
    PAUSE = "pause"
    DRAIN = "drain"


@frozen
class Node:
    """A node of the cluster.

    Attributes:
        id: 25 of 0-9a-z, as Docker's.
        hostname: its host's name.
        address: the address at which other nodes reach it (--advertise-addr).
        data_path: the address of its end of the VXLAN tunnels (--data-path-addr), the VTEP.
        labels: what `node update --label-add` has given.
        created: the moment of its joining, as Docker writes it.
        alive: its lease is valid (state "ready", else "down").
        leader: it is the managers' leader, which assigns the tasks.
        key: the hash of its certificate's public key: the node that has it is the one that joined.
        port: the TCP port at which it is reached as a manager (--advertise-addr IP:PORT).
        issuer: the digest of the authority that has signed its certificate, as a join token has it.
    """

    id: str
    hostname: str
    address: IPAddress
    data_path: IPAddress
    role: NodeRole = NodeRole.WORKER
    availability: Availability = Availability.ACTIVE
    labels: Pairs = ()
    created: str = ""
    alive: bool = True
    leader: bool = False
    key: str = ""
    port: int = JOIN_PORT
    issuer: str = ""


@frozen
class Swarm:
    """The cluster itself.

    Attributes:
        id: 25 of 0-9a-z.
        pools: where subnets of networks come from, each cut into subnets of `mask_length` bits.
        port: UDP port of VXLAN.
        created: the moment of `swarm init`.
        cert_expiry: hours for which a node's certificate is valid.
        task_history: tasks of a service that are kept when they have ended.
    """

    id: str
    pools: tuple[IPv4Network, ...] = (IPv4Network("10.0.0.0/8"),)
    mask_length: int = 24
    port: int = DATA_PATH_PORT
    created: str = ""
    cert_expiry: int = 90 * 24
    task_history: int = 5


@frozen
class RemoteEndpoint:
    """An endpoint on another node, as far as this node needs it: where its frames are to be sent.

    Attributes:
        id: the endpoint's, 64 hex digits.
        network: the network's id.
        node: the node's id; vtep: its end of the tunnel.
        mac: the endpoint's MAC address.
        ip, ip6: addresses with the subnet's prefix length.
        names: the names that it has on the network, the container's name first; none for a
            balancer.
        sandbox: the id of its container.
    """

    id: str
    network: str
    node: str
    vtep: IPAddress
    mac: str
    ip: IPv4Interface | None = None
    ip6: IPv6Interface | None = None
    names: tuple[str, ...] = ()
    sandbox: str = ""

    @property
    def ips(self) -> tuple[IPInterface, ...]:
        """Addresses in the network's subnets, IPv4 first."""
        return tuple(ip for ip in (self.ip, self.ip6) if ip is not None)


@frozen
class Encryption:
    """Keys with which hosts encrypt what encrypted networks send between them.

    Attributes:
        keys: number and 16 bytes in hexadecimal of each, oldest first; all are good for what
            arrives.
        sending: numbers of those for what is sent; the first is used, the others were a moment ago.
    """

    keys: tuple[tuple[int, str], ...] = field(default=(), repr=False)
    sending: tuple[int, ...] = ()

    @property
    def numbers(self) -> str:
        """Numbers of the keys, and of those for what is sent, as "1,2,3/2": no key itself."""
        known = ",".join(str(number) for number, _ in self.keys)
        return f"{known}/{','.join(map(str, self.sending))}"


INGRESS_SANDBOX = "ingress_sbox"
"""Id of the ingress network's balancer, as Docker has it."""


def balancer_sandbox(network: str, ingress: bool) -> str:
    """Id of the sandbox that is a network's balancer on a host."""
    return INGRESS_SANDBOX if ingress else f"lb_{network}"


def is_balancer(end: RemoteEndpoint) -> bool:
    """True for another node's own place in a network."""
    return end.id == balancer_id(end.network, end.node)


def balancer_id(network: str, node: str) -> str:
    """Endpoint id of a node's own place in a network, 64 hex digits like any other."""
    return digest(f"balancer {network} {node}").hex()


@frozen
class AttachRequest:
    """A container's wish for a place in a network of the cluster, as a node sends it to a manager.

    Attributes:
        endpoint: the endpoint's id, chosen by the node, so that the wish can be repeated.
        network: the network's id or name.
        sandbox: the container's id; empty for a balancer.
        names: the names that it has on the network.
        ip, ip6, mac: what was asked for, if anything was.
        follows: True if the node has a part in the network already, and so is told what changes
            there: the answer need not list the endpoints on other nodes.
    """

    endpoint: str
    network: str
    sandbox: str = ""
    names: tuple[str, ...] = ()
    ip: IPv4Address | None = None
    ip6: IPv6Address | None = None
    mac: str = ""
    follows: bool = False


@frozen
class Attached:
    """A manager's answer to an `AttachRequest`: addresses are reserved, nothing is published.

    Attributes:
        network: the network, its subnets, gateways and VNIs allotted.
        ip, ip6, mac: the endpoint's; the MAC is 02:42 and the four bytes of the IPv4 address, where
            none was asked for.
        balancer, balancer6: this node's own addresses on the network, those of its balancer.
        remotes: the network's endpoints on other nodes, empty where the node follows them.
    """

    network: Network
    ip: IPv4Interface | None
    ip6: IPv6Interface | None
    mac: str
    balancer: IPv4Interface | None
    remotes: tuple[RemoteEndpoint, ...] = ()
    balancer6: IPv6Interface | None = None
