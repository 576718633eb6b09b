"""overlay, encrypted: ESP carries a network's VXLAN packets between two hosts.

    eth0 of c1 → br0 → vxlan0 → UDP to 192.0.2.11:4789, VNI 4097
                                  │ mangle OUTPUT: it is of an encrypted network → mark 0xd0c4e3
                                  │ xfrm policy: marked, UDP, port 4789, to 192.0.2.11 → ESP
                                  ▼
                                ESP, SPI 0x8f718dfd, from 192.0.2.10 to 192.0.2.11

What has the mark and meets no policy is blocked, and what arrives in the clear for an encrypted
network is dropped: so neither host falls back to the clear if the other one is not ready.

**Keys.** All hosts share a few numbered keys of 16 bytes; a state's SPI is a hash of both hosts'
addresses and the key's number, so that both hosts come to the same one without asking. A host takes
what comes in by any of the keys, and sends by one. A new key is used when all hosts have it:

    keys 1, 2       sends by 2       the state now
    keys 1, 2, 3    sends by 2       a new key, on host after host
    keys 1, 2, 3    sends by 3, 2    the policy moves; the state of key 2 is still there
    keys 2, 3       sends by 3       what nobody sends by any more goes

Traffic of networks that are not encrypted has no mark, and meets none of this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import pack

from plumb.address import IPAddress
from plumb.model.cluster import Encryption
from plumb.model.cnm import Network
from plumb.model.settings import Settings
from plumb.things import Thing
from plumb.things.ipsec import MARK, XfrmBlock, XfrmPolicy, XfrmState
from plumb.things.iptables import Family, Position, Rule
from plumb.things.nftables import NftChain, NftFamily, NftRule, NftTable
from plumb.things.vxlan import TABLE

FNV_PRIME, FNV_BASIS = 0x01000193, 0x811C9DC5
"""Of the hash FNV-1a, 32 bits."""
OUT, IN = "enc-out", "enc-in"
MARKS = "what an encrypted network sends to another host is to be encrypted"
DROPS = "what comes for an encrypted network must have been encrypted"


def spi_of(src: IPAddress, tag: int, dst: IPAddress) -> int:
    """SPI of the state from one host to another with a key."""
    found = FNV_BASIS
    for byte in _sixteen(src) + pack(">I", tag) + _sixteen(dst):
        found = (found ^ byte) * FNV_PRIME & 0xFFFFFFFF
    return found


def _sixteen(ip: IPAddress) -> bytes:
    """An address in 16 bytes; IPv4 as ::ffff:a.b.c.d, as Go's net.IP has it."""
    return ip.packed if ip.version == 6 else bytes(10) + b"\xff\xff" + ip.packed


def tunnel(own: IPAddress, peer: IPAddress, port: int, keys: Encryption) -> Iterator[Thing]:
    """States and policy for a pair of hosts, this one and another."""
    secrets = dict(keys.keys)
    for tag, secret in keys.keys:
        yield XfrmState(peer, own, spi_of(peer, tag, own), tag, secret)
    for tag in keys.sending:
        yield XfrmState(own, peer, spi_of(own, tag, peer), tag, secrets[tag])
    if keys.sending:
        yield XfrmPolicy(own, peer, port, spi_of(own, keys.sending[0], peer))


def network(net: Network, settings: Settings) -> Iterator[Thing]:
    """Rules by which an encrypted network's packets are encrypted, and others dropped."""
    version = net.overlay.vtep.version if net.overlay.vtep else 4
    yield XfrmBlock(net.overlay.port, version)
    yield from RULES[settings.firewall_backend](net, version)


def _iptables(net: Network, version: int) -> Iterator[Thing]:
    family = Family.V4 if version == 4 else Family.V6
    for vni in net.overlay.vnis:
        port = f"--dport {net.overlay.port}"
        match = f'-m bpf --bytecode "{bytecode(vni)}"'
        mark = f"-p udp -m udp {port} {match} -j MARK --set-xmark {MARK:#x}/0xffffffff"
        yield Rule(family, "mangle", "OUTPUT", mark, why=MARKS)
        drop = f"-p udp -m policy --dir in --pol none -m udp {port} {match} -j DROP"
        yield Rule(family, "filter", "INPUT", drop, Position.HEAD, DROPS)


def bytecode(vni: int) -> str:
    """A classic BPF program that matches a VXLAN packet of a network.

    It loads the offset of what is behind the UDP header (SKF_AD_PAY_OFFSET) into X, the four bytes
    at X + 4, shifts them by the reserved byte, and compares.
    """
    program = ("32 0 0 4294963252", "7 0 0 0", "64 0 0 4", "116 0 0 8", f"21 1 0 {vni}")
    verdicts = ("6 0 0 0", "6 0 0 4294967295")
    return ",".join((str(len(program) + len(verdicts)), *program, *verdicts))


def _nftables(net: Network, version: int) -> Iterator[Thing]:
    family = NftFamily.V4 if version == 4 else NftFamily.V6
    yield NftTable(family, TABLE)
    yield NftChain(family, TABLE, OUT, "route", "output", -150, "accept")
    yield NftChain(family, TABLE, IN, "filter", "input", -300, "accept")
    for vni in net.overlay.vnis:
        match = f"udp dport {net.overlay.port} @th,96,24 {vni:#x}"
        mark = f"{match} counter meta mark set {MARK:#010x}"
        yield NftRule(family, TABLE, OUT, mark, why=MARKS)
        yield NftRule(family, TABLE, IN, f"{match} meta ipsec missing counter drop", why=DROPS)


RULES: dict[str, Callable[[Network, int], Iterator[Thing]]] = {
    "iptables": _iptables,
    "nftables": _nftables,
}
"""By the setting firewall-backend."""
