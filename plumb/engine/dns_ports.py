"""Resolving: ports chosen for the embedded DNS server of a container that comes to need one."""

from __future__ import annotations

from dataclasses import replace

from plumb.drivers.embedded_dns import known_on
from plumb.engine.operation import Operation
from plumb.errors import KernelRefused
from plumb.model.cnm import Sandbox


def resolving(op: Operation, box: Sandbox) -> Sandbox:
    """The container, with a DNS server from the first time that it is on a network with names."""
    if box.dns_udp or not any(known_on(net) for _, net in op.ends(box)):
        return box
    return _with_ports(op, box)


def renewed(op: Operation, box: Sandbox) -> Sandbox:
    """A container whose DNS server is gone, with other ports where a program has taken its own meanwhile.

    One whose programs have taken all there are goes without: that must not keep the others from
    being mended.
    """
    try:
        return _with_ports(op, box)
    except KernelRefused:
        return replace(box, dns_udp=0, dns_tcp=0)


def _with_ports(op: Operation, box: Sandbox) -> Sandbox:
    udp, tcp = op.system.spare(op.layout.namespace(box.id), (box.dns_udp, box.dns_tcp))
    return replace(box, dns_udp=udp, dns_tcp=tcp)
