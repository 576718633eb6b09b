"""Published ports of Podman's containers, by the rules of iptables that netavark has written.

Podman itself keeps them in its database alone. The rules are in chains NETAVARK-DN-…, one for each
network: `-d 127.0.0.1/32 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.88.0.2:80`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from plumb.address import IPAddress
from plumb.foreign import fields
from plumb.frozen import frozen
from plumb.kernel.foreign import nat_rules

CHAIN = "NETAVARK-DN-"
"""Beginning of the names of chains with rules of DNAT."""
RULE = re.compile(
    r"(?:-d (?P<ip>[^\s/]+)\S* )?-p (?P<protocol>\w+) -m \w+ --dport (?P<first>\d{1,5})"
    r"(?::(?P<last>\d{1,5}))? -j DNAT --to-destination (?P<target>\S+)",
    re.ASCII,
)
TARGET = re.compile(r"\[?(?P<ip>[0-9a-f.:]+?)\]?:(?P<port>\d{1,5})(?:-\d{1,5})?(?:/\d{1,5})?")
"""The end of a rule: an address, a port or several, and the first port that they stand for."""
ANY = {"ip": "0.0.0.0", "ip6": "::"}


@frozen
class Forwarded:
    """A published port.

    Attributes:
        target: the container's address; port, protocol: the container's.
        host_ip, host_port: where it is published.
    """

    target: IPAddress
    port: int
    protocol: str
    host_ip: str
    host_port: int


def forwarded() -> list[Forwarded]:
    """Read the published ports in the calling thread's namespace."""
    return [
        each
        for family, chain, spec in nat_rules.listed()
        if chain.startswith(CHAIN)
        for each in of_rule(family, spec)
    ]


def of_rule(family: str, spec: str) -> Iterator[Forwarded]:
    """Ports that a rule forwards; none for a rule of another shape.

    Args:
        family: "ip" or "ip6"; spec: the rule, as iptables-save prints it.
    """
    rule = RULE.fullmatch(spec)
    target = TARGET.fullmatch(rule["target"]) if rule else None
    ip = fields.address(target["ip"]) if target else None
    if rule is None or target is None or ip is None:
        return
    first, last = int(rule["first"]), int(rule["last"] or rule["first"])
    for number in range(last - first + 1):
        yield Forwarded(
            ip,
            int(target["port"]) + number,
            rule["protocol"],
            rule["ip"] or ANY[family],
            first + number,
        )
