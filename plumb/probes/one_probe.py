"""One question on the real network, looked at from both ends.

The asker is a plain socket in its namespace. A tap at each end sees the packets themselves: with
which TTL the answer comes, whether the question arrives where it should, and with which source
address, whatever NAT has made of it. So the far side tells, and need not cooperate.
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
from plumb.probes.traffic.socket_errors import told, words

PROXY = 0.1
"""Seconds in which a proxy has found out that nobody listens behind it."""
AGAIN = 0.4
"""Seconds after which a datagram is sent once more, as the first may wait for ARP in vain."""


class _Asker:
    """Something that can ask one question, and say what came."""

    def __init__(self, question: ProbeSpec) -> None:
        self.socket: socket.socket
        self.token: int

    def ask(self) -> str | None:
        """Send it; an error that came at once, or None."""
        raise NotImplementedError

    def again(self) -> None:
        """Send it once more, where it is a datagram."""

    def hear(self) -> tuple[str, str] | None:
        """Who answered and what is said of it, None where it was not the answer.

        Raises:
            OSError: it was an error.
        """
        raise NotImplementedError


class _Ping(_Asker):
    def __init__(self, question: ProbeSpec) -> None:
        self._question, self._number = question, secrets.randbits(56)
        self._ear = IcmpListener(question.source.ns, question.address.version)
        self.socket, self.token, self._turn = self._ear.socket, self._number & 0xFFFF, 0

    def ask(self) -> str | None:
        self._turn += 1
        try:
            self.socket.sendto(
                numbered_echo(self._question.address.version, self._number, self._turn),
                (str(self._question.address), 0),
            )
        except OSError as error:
            return words(error.errno or 0)
        return None

    def again(self) -> None:
        self.ask()

    def hear(self) -> tuple[str, str] | None:
        found = next(
            (
                heard.peer
                for heard in self._ear.hear()
                if heard.reply and heard.number == self._number
            ),
            None,
        )
        return None if found is None else (found, "")


class _Socket(_Asker):
    """A socket with a port that it has before it asks, so that its packets are known."""

    def __init__(self, question: ProbeSpec) -> None:
        version = question.address.version
        self.socket = open_probe_socket(question.source, version, question.kind)
        if question.kind is not ProbeKind.SCTP:
            self.socket.setsockopt(*RECVERR[version], 1)
        self.socket.bind(("", 0))
        self.token, self._question = self.socket.getsockname()[1], question

    def ask(self) -> str | None:
        failed = self.socket.connect_ex((str(self._question.address), self._question.port))
        return None if failed in (0, errno.EINPROGRESS) else words(failed)

    def hear(self) -> tuple[str, str] | None:
        failed = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            raise OSError(failed, "")
        with suppress(OSError):
            return self.socket.getpeername()[0], ""
        return None


class _Datagram(_Socket):
    def ask(self) -> str | None:
        failed = super().ask()
        if failed is None:
            self.again()
        return failed

    def again(self) -> None:
        with suppress(OSError):
            self.socket.send(MARK + NUMBER.pack(self.token))

    def hear(self) -> tuple[str, str] | None:
        try:
            self.socket.recv(2048)
        except BlockingIOError:
            return None
        return str(self._question.address), ""


def ask(question: ProbeSpec, count: int = 1, seconds: float = 1.0) -> ProbeResult:
    """Ask some times, and say what came.

    Args:
        seconds: how long to wait for each answer.

    Raises:
        Unsupported: this kernel does not have the protocol.
    """
    found = ProbeResult(question)
    for _ in range(count):
        _once(question, found, seconds, None)
    return _summed_up(found, seconds)


def ask_a_listener(question: ProbeSpec, count: int = 1, seconds: float = 1.0) -> ProbeResult:
    """The same, with a listener that is opened where the question should arrive, and answers it.

    Raises:
        Invalid: the question is for no place of ours, or no listener can be opened there.
    """
    target = question.target
    if target is None or question.kind not in (ProbeKind.TCP, ProbeKind.UDP):
        raise Invalid(
            f"cannot listen at {question.where}",
            "a listener can be opened for tcp and udp, in containers and on the host",
        )
    found = ProbeResult(question)
    with ExitStack() as stack, selectors.DefaultSelector() as watch:
        where = question.own_address or question.address
        listener = Listeners({target.name: target.ns}, stack, watch).at(
            target.name, where, Protocol(question.kind), question.own_port
        )
        if listener.failed:
            raise Invalid(
                f"cannot listen on {question.own_port}/{question.kind} of {target.name}: {words(listener.failed)}",
                "leave out --listen to ask whoever listens there",
            )
        for _ in range(count):
            _once(question, found, seconds, listener)
    return _summed_up(found, seconds)


def _once(
    question: ProbeSpec, found: ProbeResult, seconds: float, listener: Listener | None
) -> None:
    makers: dict[ProbeKind, type[_Asker]] = {ProbeKind.ICMP: _Ping, ProbeKind.UDP: _Datagram}
    asker = makers.get(question.kind, _Socket)(question)
    flow = Flow(question.address.version, question.kind, asker.token, question.port)
    places = {place.ns: place for place in (question.source, question.target) if place is not None}
    with asker.socket, Taps(list(places.values()), flow) as taps:
        found.sent += 1
        begun = time.monotonic()
        failed = asker.ask()
        heard = None if failed is not None else _wait(asker, begun + seconds, listener)
        if isinstance(heard, tuple):  # who it was, and what there is to say
            found.seconds.append(time.monotonic() - begun)
            found.by, found.said = heard[0], heard[1]
        else:
            found.said = failed or heard or "no answer"
        _look(taps.read(0.0 if found.seconds else 0.02), question, found)
        if (
            found.arrived is False
            and isinstance(heard, tuple)
            and question.kind is ProbeKind.TCP
            and _hangs_up(asker.socket)
        ):
            found.seconds.pop()
            found.said = "hung up"


def _hangs_up(connection: socket.socket) -> bool:
    """Whether a connection that is not with whom it should be is closed right away.

    A proxy does that, with nobody behind it.
    """
    waiting = select.poll()
    waiting.register(connection, select.POLLIN)
    try:
        return bool(waiting.poll(1000 * PROXY)) and not connection.recv(1)
    except OSError:
        return True


def _wait(
    asker: _Asker, deadline: float, listener: Listener | None
) -> tuple[str, str] | str | None:
    """Who answered; or what came instead, in words; None: nothing."""
    waiting, again, told_of = select.poll(), time.monotonic() + AGAIN, None
    connects = type(asker) is _Socket
    waiting.register(asker.socket, select.POLLOUT if connects else select.POLLIN)
    if listener is not None and listener.socket is not None:
        waiting.register(listener.socket, select.POLLIN)
    while (left := deadline - time.monotonic()) > 0:
        waiting.poll(min(left, AGAIN) * 1000)
        if listener is not None:
            answer(listener)
        error = _queued(asker.socket)
        told_of = error or told_of
        try:
            heard = asker.hear()
        except OSError as failed:
            return told_of or words(failed.errno or 0)
        if heard is not None:
            return heard
        if told_of and not connects:
            return told_of
        if time.monotonic() > again:
            asker.again()
            again += AGAIN
    return told_of


def _queued(sock: socket.socket) -> str | None:
    """What ICMP says, from the queue of errors."""
    with suppress(OSError):
        return str(told(sock.recvmsg(512, 512, socket.MSG_ERRQUEUE)[1]))
    return None


# -- what the taps saw ---------------------------------------------------------------


def _look(seen: Sequence[CapturedFrame], question: ProbeSpec, found: ProbeResult) -> None:
    """Read off the packets.

    With which TTL the answer came, whether the question arrived, and as whose.
    """
    if question.target is not None:
        found.arrived = False
    for each in seen:
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
        reply = (
            body[0] == ECHO_TYPES[header.version][1]
            if question.kind is ProbeKind.ICMP
            else struct.unpack_from("!H", body)[0] in (question.port, question.own_port)
        )
        if reply and each.place == question.source:
            found.ttl = header.ttl
        elif not reply and question.target is not None and each.place.ns == question.target.ns:
            found.arrived, found.seen = True, str(header.src)


# -- in words ---------------------------------------------------------------


def _summed_up(found: ProbeResult, seconds: float) -> ProbeResult:
    question = found.question
    found.good = len(found.seconds) == found.sent
    if found.good:
        found.said = ""
    elif found.said.startswith("refused") and question.target is not None:
        found.said = f"{found.said}: {_who_listens(question, question.target)}"
    elif found.said == "hung up" and question.target is not None:
        found.said = f"the proxy hung up: {_who_listens(question, question.target)}"
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
        yield f", where {_who_listens(question, question.target)}"


def _who_listens(question: ProbeSpec, target: Netns) -> str:
    """Who listens on the port in the place where the question arrives."""
    with entered(target.ns):
        known = [each for each in listeners.all_of(question.kind) if each.port == question.own_port]
    if not known:
        return f"nobody listens on {question.own_port}/{question.kind} of {target.name}"
    return " and ".join(f"{each.who or 'somebody'} listens at {each.ip}" for each in known)
