"""Transmission of one probe on the real network, with a capture at both ends.

A plain socket in the source's namespace sends the probe. A tap at each end captures the packets:
they show the reply's TTL, and at the target the request and its source address after NAT. The
target's programs need not take part.
"""

from __future__ import annotations

import errno
import secrets
import select
import selectors
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress

from plumb.errors import Invalid
from plumb.kernel.capture.packet_taps import Taps
from plumb.kernel.net.probe_socket import RECVERR, open_probe_socket
from plumb.kernel.netlink.sock_diag import sockets
from plumb.kernel.netns.namespaces import entered
from plumb.kernel.ports import listeners
from plumb.model.net.packet import (
    ECHO_TYPES,
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    ip_header,
    network_layer,
)
from plumb.model.net.targets import ProbeKind
from plumb.model.netns_state import HOLDERS
from plumb.model.netns_state import Listener as NetnsListener
from plumb.model.observations import CapturedFrame, Flow, Netns
from plumb.probes.probe_spec import ProbeResult, ProbeSpec
from plumb.probes.promises.promise import Protocol
from plumb.probes.traffic.responders import (
    MARK,
    NUMBER,
    IcmpListener,
    Listener,
    Listeners,
    answer,
    numbered_echo,
)
from plumb.probes.traffic.socket_errors import extended_error, is_refusal, words

PROXY = 0.1
"""Seconds in which a proxy closes a connection when its container refuses the port."""
AGAIN = 0.4
"""Seconds after which a datagram is sent once more, as the first may wait for ARP in vain."""


class _ProbeSocket:
    """Socket that sends one probe and reads the reply.

    Attributes:
        token: the ICMP id or the source port, by which the taps recognize its packets.
    """

    def __init__(self, question: ProbeSpec) -> None:
        self.socket: socket.socket
        self.token: int

    def send(self) -> str | None:
        """Send the probe; an error that came at once, as text, or None."""
        raise NotImplementedError

    def resend(self) -> None:
        """Send a datagram once more; other sockets do nothing."""

    def reply(self) -> tuple[str, str] | None:
        """Read a reply: the address it came from, and a remark; None: no reply yet.

        Raises:
            OSError: an error came instead.
        """
        raise NotImplementedError


class _Ping(_ProbeSocket):
    def __init__(self, question: ProbeSpec) -> None:
        self._question, self._number = question, secrets.randbits(56)
        self._listener = IcmpListener(question.source.ns, question.address.version)
        self.socket, self.token, self._sequence = self._listener.socket, self._number & 0xFFFF, 0

    def send(self) -> str | None:
        self._sequence += 1
        try:
            self.socket.sendto(
                numbered_echo(self._question.address.version, self._number, self._sequence),
                (str(self._question.address), 0),
            )
        except OSError as error:
            return words(error.errno or 0)
        return None

    def resend(self) -> None:
        self.send()

    def reply(self) -> tuple[str, str] | None:
        found = next(
            (
                ping.peer
                for ping in self._listener.receive()
                if ping.reply and ping.number == self._number
            ),
            None,
        )
        return None if found is None else (found, "")


class _Socket(_ProbeSocket):
    """A socket bound before it sends: its port tells the taps which packets are its own."""

    def __init__(self, question: ProbeSpec) -> None:
        version = question.address.version
        self.socket = open_probe_socket(question.source, version, question.kind)
        if question.kind is not ProbeKind.SCTP:
            self.socket.setsockopt(*RECVERR[version], 1)
        self.socket.bind(("", 0))
        self.token, self._question = self.socket.getsockname()[1], question

    def send(self) -> str | None:
        failed = self.socket.connect_ex((str(self._question.address), self._question.port))
        return None if failed in (0, errno.EINPROGRESS) else words(failed)

    def reply(self) -> tuple[str, str] | None:
        failed = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            raise OSError(failed, "")
        with suppress(OSError):
            return self.socket.getpeername()[0], ""
        return None


class _Datagram(_Socket):
    def send(self) -> str | None:
        failed = super().send()
        if failed is None:
            self.resend()
        return failed

    def resend(self) -> None:
        with suppress(OSError):
            self.socket.send(MARK + NUMBER.pack(self.token))

    def reply(self) -> tuple[str, str] | None:
        try:
            self.socket.recv(2048)
        except BlockingIOError:
            return None
        return str(self._question.address), ""


class PortTaken(Invalid):
    """Port of a target at which plumb cannot listen, as somebody has it."""


def ask(
    question: ProbeSpec, count: int = 1, seconds: float = 1.0, listener: Listener | None = None
) -> ProbeResult:
    """Send a probe some times.

    Args:
        count: the number of times.
        seconds: the time to wait for each reply.
        listener: one of plumb's at the target that is to answer; None: whoever listens there does.

    Raises:
        Unsupported: this kernel does not have the protocol.
    """
    found = ProbeResult(question)
    for _ in range(count):
        _once(question, found, seconds, listener)
    return _with_remarks(found, seconds)


def ask_a_listener(question: ProbeSpec, count: int = 1, seconds: float = 1.0) -> ProbeResult:
    """Send a probe some times, to a listener that plumb opens at the target.

    Raises:
        PortTaken: a program has the port.
        Invalid: the target is in no namespace that plumb knows, or no listener can be opened there.
    """
    target = question.target
    if target is None or question.kind not in (ProbeKind.TCP, ProbeKind.UDP):
        raise Invalid(
            f"cannot listen at {question.where}",
            "a listener can be opened for tcp and udp, in containers and on the host",
        )
    found = ProbeResult(question)
    with ExitStack() as stack, selectors.DefaultSelector() as watch:
        address = question.own_address or question.address
        listener = Listeners({target.name: target.ns}, stack, watch).at(
            target.name, address, Protocol(question.kind), question.own_port
        )
        if listener.failed:
            raise no_listener(question, target, listener)
        for _ in range(count):
            _once(question, found, seconds, listener)
    return _with_remarks(found, seconds)


def no_listener(question: ProbeSpec, target: Netns, listener: Listener) -> Invalid:
    """Make the error of a listener that could not be opened at a target."""
    refusal = PortTaken if listener.foreign else Invalid
    return refusal(
        f"cannot listen on {question.own_port}/{question.kind} of {target.name}:"
        f" {words(listener.failed)}",
        "leave out --listen to ask whoever listens there",
    )


def _once(
    question: ProbeSpec, found: ProbeResult, seconds: float, listener: Listener | None
) -> None:
    makers: dict[ProbeKind, type[_ProbeSocket]] = {ProbeKind.ICMP: _Ping, ProbeKind.UDP: _Datagram}
    sender = makers.get(question.kind, _Socket)(question)
    flow = Flow(question.address.version, question.kind, sender.token, question.port)
    places = {place.ns: place for place in (question.source, question.target) if place is not None}
    with sender.socket, Taps(list(places.values()), flow) as taps:
        found.sent += 1
        begun = time.monotonic()
        failed = sender.send()
        reply = None if failed is not None else _wait(sender, begun + seconds, listener)
        if isinstance(reply, tuple):
            found.seconds.append(time.monotonic() - begun)
            found.by, found.said = reply[0], reply[1]
        else:
            found.said = failed or reply or "no answer"
        _read_frames(taps.read(0.0 if found.seconds else 0.02), question, found)
        if (
            found.arrived is False
            and isinstance(reply, tuple)
            and question.kind is ProbeKind.TCP
            and _is_closed(sender.socket)
        ):
            found.seconds.pop()
            found.said = "hung up"
        elif isinstance(reply, tuple) and (by := _holder(question, found, sender.token)):
            found.seconds.pop()
            found.said = f"{by} holds the port, and takes no connection"


def _holder(question: ProbeSpec, found: ProbeResult, own_port: int) -> str:
    """Program that holds the port for an engine and serves nobody; empty without one.

    The kernel of this host has answered for it. Such a connection is no program's: it has no inode.

    Args:
        own_port: the port that the connection comes from.
    """
    in_container = question.target is not None and question.target.ns and found.arrived
    if question.kind is not ProbeKind.TCP or in_container:
        return ""
    with entered(""):
        mine = [
            each
            for each in sockets(question.kind, question.address.version, ("ESTABLISHED",))
            if (each.port, each.peer_port, each.inode) == (question.port, own_port, 0)
        ]
        known = listeners.all_of(question.kind) if mine else ()
    taking = (each for each in known if each.port == question.port and each.takes(mine[0].ip))
    return next((each.who for each in taking if each.who.startswith(HOLDERS)), "")


def _is_closed(connection: socket.socket) -> bool:
    """Test for a peer that closes the connection at once.

    The user-land proxy does so when its container refuses the port.
    """
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    try:
        return bool(poll.poll(1000 * PROXY)) and not connection.recv(1)
    except OSError:
        return True


def _wait(
    sender: _ProbeSocket, deadline: float, listener: Listener | None
) -> tuple[str, str] | str | None:
    """Wait for a reply: its address and remark, or an error as text; None: neither came."""
    poll, resend_at, last_error = select.poll(), time.monotonic() + AGAIN, None
    connects = type(sender) is _Socket
    poll.register(sender.socket, select.POLLOUT if connects else select.POLLIN)
    if listener is not None and listener.socket is not None:
        poll.register(listener.socket, select.POLLIN)
    while (left := deadline - time.monotonic()) > 0:
        poll.poll(min(left, AGAIN) * 1000)
        if listener is not None:
            answer(listener)
        error = _icmp_error(sender.socket)
        last_error = error or last_error
        try:
            reply = sender.reply()
        except OSError as failed:
            return last_error or words(failed.errno or 0)
        if reply is not None:
            return reply
        if last_error and not connects:
            return last_error
        if time.monotonic() > resend_at:
            sender.resend()
            resend_at += AGAIN
    return last_error


def _icmp_error(sock: socket.socket) -> str | None:
    """Read an ICMP error from the socket's error queue."""
    with suppress(OSError):
        return str(extended_error(sock.recvmsg(512, 512, socket.MSG_ERRQUEUE)[1]))
    return None


# -- captured frames ---------------------------------------------------------------


def _read_frames(frames: Sequence[CapturedFrame], question: ProbeSpec, found: ProbeResult) -> None:
    """Read from the taps' frames the reply's TTL, and the request's arrival and source address."""
    if question.target is not None:
        found.arrived = False
    for each in frames:
        packet = network_layer(each.frame)[1] if each.ethernet else each.frame
        header = ip_header(packet)
        if header is None or not each.inbound or len(packet) < header.size + 8:
            continue
        if (
            header.protocol in (IPPROTO_ICMP, IPPROTO_ICMPV6)
            and question.kind is not ProbeKind.ICMP
        ):
            continue
        body = packet[header.size :]
        is_reply = (
            body[0] == ECHO_TYPES[header.version][1]
            if question.kind is ProbeKind.ICMP
            else struct.unpack_from("!H", body)[0] in (question.port, question.own_port)
        )
        if is_reply and each.place == question.source:
            found.ttl = header.ttl
        elif not is_reply and question.target is not None and each.place.ns == question.target.ns:
            found.arrived, found.source_address = True, str(header.src)


# -- remarks ---------------------------------------------------------------


def _with_remarks(found: ProbeResult, seconds: float) -> ProbeResult:
    question = found.question
    found.good = len(found.seconds) == found.sent
    found.refused = is_refusal(found.said) and not found.good
    if found.good:
        found.said = ""
    elif found.refused and question.target is not None:
        found.said = f"{found.said}: {_listeners_text(question, question.target)}"
    elif found.said == "hung up" and question.target is not None:
        found.said = f"the proxy hung up: {_listeners_text(question, question.target)}"
    elif found.said == "no answer":
        found.said += f" within {seconds:g} s" + "".join(_arrival(found))
    return found


def _arrival(found: ProbeResult) -> Iterator[str]:
    question = found.question
    if question.target is None or question.target == question.source:
        return
    if not found.arrived:
        yield f"; it did not arrive at {question.target.name}"
        return
    yield f"; it arrived at {question.target.name}"
    if question.kind is ProbeKind.UDP:
        yield f", where {_listeners_text(question, question.target)}"


def listeners_at(question: ProbeSpec, target: Netns) -> list[NetnsListener]:
    """The listeners on the port at which the request arrives, at any address of the target."""
    with entered(target.ns):
        return [each for each in listeners.all_of(question.kind) if each.port == question.own_port]


def _listeners_text(question: ProbeSpec, target: Netns) -> str:
    """Listeners on the port at which the request arrives, as text."""
    known = listeners_at(question, target)
    if not known:
        return f"nobody listens on {question.own_port}/{question.kind} of {target.name}"
    return " and ".join(f"{each.who or 'somebody'} listens at {each.ip}" for each in known)
