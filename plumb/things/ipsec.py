"""IPsec between two hosts: what is encrypted, and with what (`ip xfrm`).

A **policy** says which packets must be: here UDP packets to the VXLAN port with a mark, which a
firewall's rule gives to those of encrypted networks. A **state** (a security association, RFC 4301)
says how: its SPI, a number that the receiver finds it by, its cipher and its key. ESP in transport
mode (RFC 4303) puts a header before the UDP packet, encrypts it and appends a check value; the
outer IP header stays.

A state is for one direction. A host has as many for what comes in as there are keys, and uses one
for what goes out.
"""

from __future__ import annotations

from dataclasses import field
from functools import cached_property
from typing import ClassVar

from plumb.address import IPAddress
from plumb.frozen import frozen
from plumb.things import Key, Stage, Thing

MARK = 0xD0C4E3
"""Mark of packets to encrypt, and the number that ties policies to states (reqid), as Docker's."""
CIPHER = "rfc4106(gcm(aes))"
ICV_BITS = 64
"""Length of ESP's check value."""


@frozen
class XfrmState(Thing):
    """`ip xfrm state add src SRC dst DST proto esp spi SPI reqid REQID mode transport aead …`.

    Attributes:
        tag: the number of the key; secret: the key, hexadecimal. The cipher's salt is the SPI.
    """

    stage: ClassVar = Stage.LINK_SYSCTL
    src: IPAddress
    dst: IPAddress
    spi: int
    tag: int
    secret: str = field(repr=False)

    @cached_property
    def key(self) -> Key:
        return ("xfrm state", str(self.dst), f"{self.spi:#010x}")

    @property
    def material(self) -> bytes:
        """Key and salt."""
        return bytes.fromhex(self.secret) + self.spi.to_bytes(4, "big")

    def replaces(self, before: Thing) -> bool:
        return before != self  # the kernel changes no key in place

    def __str__(self) -> str:
        return f"xfrm state {self.src} to {self.dst}, spi {self.spi:#010x}, key {self.tag}"


@frozen
class XfrmPolicy(Thing):
    """`ip xfrm policy add src SRC dst DST proto udp dport PORT dir out mark MARK tmpl … esp`.

    Attributes:
        spi: the state that it uses.
    """

    stage: ClassVar = Stage.ADDRESS
    src: IPAddress
    dst: IPAddress
    port: int
    spi: int

    @cached_property
    def key(self) -> Key:
        return ("xfrm policy", str(self.src), str(self.dst), str(self.port))

    def __str__(self) -> str:
        return f"xfrm policy {self.src} to {self.dst} port {self.port}, spi {self.spi:#010x}"


@frozen
class XfrmBlock(Thing):
    """`ip xfrm policy add proto udp dport PORT dir out mark MARK action block priority 1`.

    What has the mark, and no policy to encrypt it by, does not leave.
    """

    stage: ClassVar = Stage.ADDRESS
    port: int
    version: int = 4

    @cached_property
    def key(self) -> Key:
        return ("xfrm block", str(self.version), str(self.port))

    def __str__(self) -> str:
        return f"xfrm policy that blocks port {self.port} in the clear"
