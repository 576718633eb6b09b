"""Packets: questions on the wire itself, made and read with scapy.

What a socket cannot ask: who on this segment claims an address, and with which MAC? One answer is a healthy network;
two are two hosts with one address, of which the switch delivers to now one, now the other.

scapy keeps the interfaces and routes of the namespace in which it was first asked for them; so it only makes and
reads packets here, and the socket is our own.
"""

from __future__ import annotations

import select
import socket
import time
from ipaddress import IPv4Address
from typing import Any

from scapy.layers.l2 import ARP, Ether

from plumb.kernel.namespaces import entered

ETH_P_ARP = 0x0806


def who_has(ns: str, dev: str, ip: IPv4Address, seconds: float = 0.3) -> list[str]:
    """The MAC addresses that claim an IPv4 address on a link's segment.

    Args:
        ns: the namespace's file, "" for the host's own.
        dev: the link to ask on.
        seconds: how long to wait for answers.
    """
    with entered(ns), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP)) as wire:
        wire.bind((dev, ETH_P_ARP))
        mac = wire.getsockname()[4].hex(":")
        question = Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op="who-has", hwsrc=mac, psrc="0.0.0.0", pdst=str(ip))
        wire.send(bytes(question))
        return _answers(wire, ip, time.monotonic() + seconds)


def _answers(wire: socket.socket, ip: IPv4Address, deadline: float) -> list[str]:
    found: dict[str, None] = {}
    while (left := deadline - time.monotonic()) > 0:
        if select.select([wire], [], [], left)[0]:
            frame: Any = Ether(wire.recv(2048))
            if ARP in frame and frame[ARP].op == 2 and frame[ARP].psrc == str(ip):
                found[frame[ARP].hwsrc] = None
    return list(found)
