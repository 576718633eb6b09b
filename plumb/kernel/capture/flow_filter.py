"""A filter for packet sockets, which passes the packets of one flow.

plumb recognises them by a port that NAT leaves alone.

the flow itself       the client's port is the source port in one direction, the destination port in
                      the other; an echo has its identifier
errors about it       ICMP quotes the header of the packet that it is about, with the ports (RFC
                      792, RFC 4443)
fragments             only the first has ports; the filter passes later ones by their protocol
neighbours            ARP (RFC 826) and neighbour discovery (RFC 4861) about given addresses
encapsulation         VXLAN (RFC 7348) is UDP with a whole frame inside, which the filter inspects;
                      ESP (RFC 4303) is encrypted
"""

from __future__ import annotations

from collections.abc import Callable

from plumb.address import IPAddress
from plumb.frozen import frozen
from plumb.kernel.capture import bpf
from plumb.kernel.capture.bpf import Program
from plumb.model.net.packet import ECHO_TYPES, IP_OFFSET, ip_header, network_layer
from plumb.model.observations import CapturedFrame, Flow

ETHERNET_TYPES = (1, 772)  # ARPHRD_ETHER, ARPHRD_LOOPBACK: links whose frames have such a header
IPV4, IPV6, ARP, VLANS = 0x0800, 0x86DD, 0x0806, (0x8100, 0x88A8)
PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
ICMP, ICMP6, UDP, ESP, FRAGMENT = 1, 58, 17, 50, 44
ERRORS = {4: (3, 4, 5, 11, 12), 6: (1, 2, 3, 4)}
"""ICMP's types that quote a packet.

Unreachable, source quench, redirect, time exceeded, parameter problem; IPv6's too big.
"""
ND = (135, 136)
YES, NO = "yes", "no"
NEXT, TYPE = 0, 1
"""Words of the program's memory: the protocol behind the IP header, an inner frame's type."""


@frozen
class Asked:
    """Packets that a filter passes besides those of the flow.

    Attributes:
        addresses: ARP and neighbour discovery about these addresses.
        vxlan: UDP ports of VXLAN: frames with the flow's packets inside.
        esp: True for every packet of ESP.
    """

    addresses: frozenset[IPAddress] = frozenset()
    vxlan: tuple[int, ...] = ()
    esp: bool = False


def number(flow: Flow) -> int:
    """The protocol's number (IANA)."""
    return PROTOCOLS.get(flow.protocol) or (ICMP if flow.version == 4 else ICMP6)


def compiled(flow: Flow, asked: Asked | None = None) -> bytes:
    """The filter as a program of classic BPF.

    Args:
        flow: the flow whose packets pass.
        asked: packets that pass besides.
    """
    writer = _Writer(flow, asked or Asked())
    return writer.write()


class _Writer:
    def __init__(self, flow: Flow, asked: Asked) -> None:
        self._flow, self._asked = flow, asked
        self._number = number(flow)
        self._program = Program()

    def write(self) -> bytes:
        """Assemble the program.

        X points to the IP header: behind Ethernet's 14 bytes and VLAN tags of 4, or at the start.
        """
        program = self._program
        tagged, found = program.label("tagged"), program.label("ip")
        program.do(bpf.ABSOLUTE[4], bpf.LINK_TYPE)
        ethernet = program.label("ethernet")
        program.when(ETHERNET_TYPES, ethernet)
        program.do(bpf.LOAD_X, 0)
        program.do(bpf.ABSOLUTE[4], bpf.PROTOCOL)
        program.go(found)
        program.here(ethernet)
        for at, label in ((14, tagged), (18, program.label("twice")), (22, "")):
            program.do(bpf.LOAD_X, at)
            program.do(bpf.ABSOLUTE[2], at - 2)
            if label:
                program.when(VLANS, label)
                program.go(found)
                program.here(label)
        program.here(found)
        self._network(nested=False)
        program.here(NO)
        program.do(bpf.RETURN, 0)
        program.here(YES)
        program.do(bpf.RETURN, bpf.ALL)
        return program.assemble()

    def _network(self, *, nested: bool) -> None:
        """Match the packet at X, whose Ethernet type is in A."""
        program = self._program
        four, six, arp = program.label("four"), program.label("six"), program.label("arp")
        program.when(IPV4, four)
        program.when(IPV6, six)
        if self._ips(4):
            program.when(ARP, arp)
        program.go(NO)
        program.here(four)
        self._version4(nested)
        program.here(six)
        self._version6(nested)
        if self._ips(4):
            program.here(arp)
            for at in (14, 24):  # the sender's address, and the one that is asked for
                program.load(4, at)
                program.when((int(ip) for ip in self._ips(4)), YES)
            program.go(NO)

    def _version4(self, nested: bool) -> None:
        program = self._program
        whole = program.label("whole")
        program.load(1, 9)
        program.do(bpf.STORE, NEXT)
        program.load(2, 6)
        rest = program.label("rest")
        program.when(0x1FFF, rest, bpf.IF_ANY_BIT)
        program.go(whole)
        program.here(rest)
        self._rest_of_a_packet(4)
        program.here(whole)
        self._skip_header()
        self._transport(4, nested)

    def _version6(self, nested: bool) -> None:
        program = self._program
        fragment, whole = program.label("fragment"), program.label("whole")
        program.load(1, 6)
        program.do(bpf.STORE, NEXT)
        program.when(FRAGMENT, fragment)
        self._skip(40)
        program.go(whole)
        program.here(fragment)
        program.load(1, 40)
        program.do(bpf.STORE, NEXT)
        program.load(2, 42)
        rest = program.label("rest")
        program.when(0xFFF8, rest, bpf.IF_ANY_BIT)
        self._skip(48)
        program.go(whole)
        program.here(rest)
        self._rest_of_a_packet(6)
        program.here(whole)
        self._transport(6, nested)

    def _rest_of_a_packet(self, version: int) -> None:
        """Match a fragment that is not the first."""
        if version == self._flow.version:
            self._program.do(bpf.LOAD_MEMORY, NEXT)
            self._program.when(self._number, YES)
        self._program.go(NO)

    def _transport(self, version: int, nested: bool) -> None:
        """Match the packet whose transport header is at X."""
        program, own = self._program, version == self._flow.version
        wrapped, icmp = program.label("vxlan"), program.label("icmp")
        vxlan = self._asked.vxlan and not nested
        program.do(bpf.LOAD_MEMORY, NEXT)
        program.when(ICMP if version == 4 else ICMP6, icmp)
        if self._asked.esp and not nested:
            program.when(ESP, YES)
        if own and self._flow.protocol != "icmp":
            self._on(self._number, self._ports)
        if vxlan:
            program.do(bpf.LOAD_MEMORY, NEXT)
            program.when(UDP, wrapped)
        program.go(NO)
        program.here(icmp)
        self._icmp(version)
        if vxlan:
            program.here(wrapped)
            program.load(2, 2)
            inner = program.label("inner")
            program.when(self._asked.vxlan, inner)
            program.go(NO)
            program.here(inner)
            program.load(2, 8 + 8 + 12)  # behind UDP's header, VXLAN's, and two hardware addresses
            program.do(bpf.STORE, TYPE)
            self._skip(8 + 8 + 14)
            program.do(bpf.LOAD_MEMORY, TYPE)
            self._network(nested=True)

    def _on(self, value: int, body: Callable[[], None]) -> None:
        """Run these instructions where A has this value, and jump over them where it has not."""
        program = self._program
        yes, over = program.label("on"), program.label("over")
        program.when(value, yes)
        program.go(over)
        program.here(yes)
        body()
        program.here(over)

    def _ports(self) -> None:
        for at in (0, 2):
            self._program.load(2, at)
            self._program.when(self._flow.token, YES)

    def _icmp(self, version: int) -> None:
        program, flow = self._program, self._flow
        if version == 6 and self._ips(6):
            program.load(1, 0)
            about = program.label("about")
            over = program.label("over")
            program.when(ND, about)
            program.go(over)
            program.here(about)
            self._target()
            program.here(over)
        if version != flow.version:
            program.go(NO)
            return
        program.load(1, 0)
        quoted, echo = program.label("quoted"), program.label("echo")
        program.when(ERRORS[version], quoted)
        if flow.protocol == "icmp":
            program.when(ECHO_TYPES[version], echo)
        program.go(NO)
        program.here(quoted)
        self._quoted(version)
        program.here(echo)
        program.load(2, 4)
        program.when(flow.token, YES)
        program.go(NO)

    def _quoted(self, version: int) -> None:
        """Match the packet that an ICMP error quotes.

        Behind ICMP's 8 bytes follow its IP header and the first 8 bytes behind that.
        """
        program = self._program
        program.load(1, 8 + (9 if version == 4 else 6))
        same = program.label("same")
        program.when(self._number, same)
        program.go(NO)
        program.here(same)
        self._skip(8)
        if version == 4:
            self._skip_header()
        else:
            self._skip(40)
        if self._flow.protocol == "icmp":
            program.load(2, 4)
            program.when(self._flow.token, YES)
        else:
            self._ports()
        program.go(NO)

    def _target(self) -> None:
        """Compare the target of neighbour discovery, four bytes at a time."""
        program = self._program
        for ip in self._ips(6):
            other = program.label("other")
            for part in range(4):
                equal = program.label("equal")
                program.load(4, 8 + 4 * part)
                program.when(int.from_bytes(ip.packed[4 * part : 4 * part + 4], "big"), equal)
                program.go(other)
                program.here(equal)
            program.go(YES)
            program.here(other)
        program.go(NO)

    def _skip(self, size: int) -> None:
        """Move X forward by so many bytes."""
        program = self._program
        program.do(bpf.MOVE_FROM_X)
        program.do(bpf.ADD, size)
        program.do(bpf.MOVE_TO_X)

    def _skip_header(self) -> None:
        """Move X behind the IPv4 header there.

        The header's first byte has its length, in words of four bytes.
        """
        program = self._program
        program.load(1, 0)
        program.do(bpf.AND, 15)
        program.do(bpf.SHIFT_LEFT, 2)
        program.do(bpf.ADD_X)
        program.do(bpf.MOVE_TO_X)

    def _ips(self, version: int) -> list[IPAddress]:
        return sorted((ip for ip in self._asked.addresses if ip.version == version), key=int)


def belongs(flow: Flow, packet: bytes) -> bool:
    """Compare a packet with a flow, as the filter does, in user space.

    Args:
        flow: the flow.
        packet: the packet's bytes from the IP header on.

    Returns:
        True for a packet of the flow, and for an ICMP error that quotes one.
    """
    found = _transport(flow, packet)
    if found is None:
        return False
    protocol, body = found
    icmp = ICMP if flow.version == 4 else ICMP6
    if protocol == icmp and body[:1] and body[0] in ERRORS[flow.version]:
        quoted = _transport(flow, body[8:])
        return quoted is not None and quoted[0] == number(flow) and _has_token(flow, quoted[1])
    return protocol == number(flow) and _has_token(flow, body)


def _transport(flow: Flow, packet: bytes) -> tuple[int, bytes] | None:
    """The protocol behind the IP header, and the bytes of its packet.

    None for a packet of the other IP version, and for a fragment without ports.
    """
    header = ip_header(packet)
    if header is None or header.version != flow.version or header.fragment & IP_OFFSET:
        return None
    return header.protocol, packet[header.size :]


def _has_token(flow: Flow, body: bytes) -> bool:
    token = flow.token.to_bytes(2, "big")
    if flow.protocol == "icmp":
        return body[:1] != b"" and body[0] in ECHO_TYPES[flow.version] and body[4:6] == token
    return token in (body[0:2], body[2:4])


def ip_packet(captured: CapturedFrame) -> bytes:
    """A frame without its link's header."""
    return network_layer(captured.frame)[1] if captured.ethernet else captured.frame
