"""Names of the cluster's keys in etcd, all of them here.

    /plumb/swarm                            the cluster: pools, mask length, port of VXLAN
    /plumb/secrets/NAME                     keys of the certificate authorities, join tokens
    /plumb/encryption                       keys of encrypted networks, and which of them to use
    /plumb/programmed/NODE                  numbers of the keys that a node uses; with its lease
    /plumb/nodes/NODE                       a node
    /plumb/joining/NODE                     a node that has not had a lease yet
    /plumb/alive/NODE                       its lease's number; goes when the lease expires
    /plumb/away/NODE                        since when it has been without a lease, in seconds
    /plumb/networks/NETWORK                 a network, its subnets, gateways and VNIs allotted
    /plumb/names/NAME                       the id of the network of that name
    /plumb/vni/next                         the VNI that the next subnet gets
    /plumb/serial/NETWORK/SUBNET            the number of the last address that was given there
    /plumb/addresses/NETWORK/ADDRESS        the key of the address's owner
    /plumb/reserved/NODE/NETWORK/ENDPOINT   an endpoint's addresses, for as long as they are its own
    /plumb/parts/NETWORK/NODE               the key of the reservation NETWORK of a node that has
                                            built its part of a network that each node builds
    /plumb/balancers/NODE/NETWORK           the same for a node's own place in a network
    /plumb/endpoints/NETWORK/ENDPOINT       an endpoint as others need it; goes with the lease
    /plumb/services/SERVICE                 a service, its virtual addresses allotted
    /plumb/service-names/NAME               the id of the service of that name
    /plumb/ports/PROTOCOL/PORT              the id of the service that every node publishes there
    /plumb/tasks/TASK                       a task, its node chosen and its addresses allotted
    /plumb/questions/NODE/QUESTION          a manager's question to a node; goes within seconds
    /plumb/answers/QUESTION                 the node's answer; the same
    /plumb/election                         the manager that assigns tasks; goes with its lease
    /plumb/applied/NODE                     revision of the tasks that a node balances by; the same

Addresses are written with all their digits, 010.050.000.002, so that the order of keys is theirs.
"""

from __future__ import annotations

from ipaddress import ip_address

from plumb.address import IPAddress, IPNetwork
from plumb.model.cluster import balancer_id as balancer_id

ROOT = "/plumb/"
SWARM = ROOT + "swarm"
SECRETS = ROOT + "secrets/"
ENCRYPTION = ROOT + "encryption"
PROGRAMMED = ROOT + "programmed/"
NODES = ROOT + "nodes/"
JOINING = ROOT + "joining/"
ALIVE = ROOT + "alive/"
AWAY = ROOT + "away/"
NETWORKS = ROOT + "networks/"
NAMES = ROOT + "names/"
NEXT_VNI = ROOT + "vni/next"
SERIAL = ROOT + "serial/"
ADDRESSES = ROOT + "addresses/"
RESERVED = ROOT + "reserved/"
PARTS = ROOT + "parts/"
BALANCERS = ROOT + "balancers/"
ENDPOINTS = ROOT + "endpoints/"
SERVICES = ROOT + "services/"
SERVICE_NAMES = ROOT + "service-names/"
PORTS = ROOT + "ports/"
TASKS = ROOT + "tasks/"
QUESTIONS = ROOT + "questions/"
ANSWERS = ROOT + "answers/"
ELECTION = ROOT + "election"
APPLIED = ROOT + "applied/"


def last(key: str) -> str:
    """A key's last part."""
    return key.rpartition("/")[2]


def serial(network: str, subnet: IPNetwork) -> str:
    """Key of the last address that was given in a subnet."""
    return f"{SERIAL}{network}/{subnet}"


def digits(ip: IPAddress) -> str:
    """An address with all its digits, in whose order texts stand as the addresses do."""
    if ip.version == 6:
        return ip.exploded
    return ".".join(f"{byte:03}" for byte in ip.packed)


def address(network: str, ip: IPAddress) -> str:
    """Key of an address of a network."""
    return f"{ADDRESSES}{network}/{digits(ip)}"


def address_of(key: str) -> IPAddress:
    """The address that a key of one is about."""
    text = last(key)
    return ip_address(text if ":" in text else ".".join(str(int(part)) for part in text.split(".")))


def reservations(node: str, network: str = "") -> str:
    """Beginning of the keys of a node's reservations, on one network or on all."""
    return f"{RESERVED}{node}/{network}/" if network else f"{RESERVED}{node}/"


def part(network: str, node: str = "") -> str:
    """Key of a node's part of a network that each node builds; the beginning of those of all."""
    return f"{PARTS}{network}/{node}"


def balancer(network: str, node: str) -> str:
    """Key of a node's own place in a network."""
    return f"{BALANCERS}{node}/{network}"


def reservation(node: str, network: str, endpoint: str) -> str:
    """Key of the reservation of an endpoint, which may be the node's balancer."""
    if endpoint == balancer_id(network, node):
        return balancer(network, node)
    return reservations(node, network) + endpoint


def endpoint(network: str, ident: str) -> str:
    """Key of an endpoint that is published."""
    return f"{ENDPOINTS}{network}/{ident}"


def port(protocol: str, number: int) -> str:
    """Key of a port that every node publishes."""
    return f"{PORTS}{protocol}/{number}"
