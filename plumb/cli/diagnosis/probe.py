"""plumb probe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import click

from plumb.cli import common
from plumb.errors import Invalid

if TYPE_CHECKING:
    from plumb.engine.targets import TargetResolver
    from plumb.model.net.targets import Target
    from plumb.probes.packets.encapsulation import EncapsulatedPacket
    from plumb.probes.probe_spec import ProbeResult, ProbeSpec


@common.command("probe")
@click.option("-4", "version", flag_value=4, type=int, help="By IPv4 alone.")
@click.option("-6", "version", flag_value=6, type=int, help="By IPv6 alone.")
@click.option(
    "-c",
    "--count",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="Number of probes.",
)
@common.wait_option("Seconds to wait for each answer.")
@click.option(
    "--listen",
    is_flag=True,
    help="Open a listener at the target that answers the probe (tcp, udp).",
)
@click.option(
    "--on",
    "link",
    metavar="LINK",
    help="Also show the encapsulation on this link of the host: VLAN tags, VXLAN, ESP.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each address.")
@click.argument("source", metavar="FROM")
@click.argument("to", metavar="TO[:PORT][/PROTOCOL]")
def probe(
    source: str,
    to: str,
    version: int | None,
    count: int,
    seconds: float,
    listen: bool,
    link: str | None,
    as_json: bool,
) -> int:
    """Send one probe on the real network, and show the answers.

    FROM is a container, "host", the path of a namespace file, or pid:N; TO the same, or an address,
    or a name that FROM's own resolver resolves. A container is probed at all its addresses. A port
    means a TCP connection, or UDP and SCTP with /udp and /sctp; without a port plumb sends a ping.
    /arp and /nd ask which hosts claim the address, /dns resolves a name, /mtu finds the path MTU.
    Exit status 1 if not all probes were answered.
    """
    from plumb.engine.targets import TargetResolver
    from plumb.probes.probe_spec import PROBE_GRAMMAR

    target, versions = PROBE_GRAMMAR.read(to), (version,) if version else (4, 6)
    how = _How(count, seconds, listen, link)
    with common.read() as reader:
        answers = _answers(TargetResolver(reader), source, target, versions, how)
    for answer in answers:
        print(json.dumps(document(answer)) if as_json else line(answer))
    if (
        not as_json
        and not all(answer.good for answer in answers)
        and target.protocol in ("icmp", "tcp", "udp", "sctp")
    ):
        print(f"plumb trace {source} {to}    shows where it ends")
    return 0 if all(answer.good for answer in answers) else 1


class _How(NamedTuple):
    """Options of a probe: repetitions, timeout in seconds, listener there or not, watched link."""

    times: int
    seconds: float
    listen: bool
    link: str | None


def _answers(
    resolver: TargetResolver, source: str, target: Target, versions: tuple[int, ...], how: _How
) -> list[ProbeResult]:
    from plumb.model.net.targets import ProbeKind, address_of
    from plumb.probes import arp_dns_mtu
    from plumb.probes.target_addresses import probe_specs

    place = resolver.place(source)
    files = resolver.name_files(source, place)
    if target.protocol in (ProbeKind.ARP, ProbeKind.ND):
        versions = (4,) if target.protocol is ProbeKind.ARP else (6,)
    if target.protocol is ProbeKind.DNS and address_of(target.name) is None:
        return arp_dns_mtu.name(place, target.name, files, versions, how.seconds)
    found = []
    for question in probe_specs(resolver, place, files, target, versions):
        with _watched(how.link, question) as on_link:
            answer = _answer(question, how)
        answer.on_link = on_link
        found.append(answer)
    return found


def _answer(question: ProbeSpec, how: _How) -> ProbeResult:
    from plumb.model.net.targets import ProbeKind
    from plumb.probes import arp_dns_mtu

    seconds = how.seconds

    match question.kind:
        case ProbeKind.ARP | ProbeKind.ND:
            if (question.address.version == 4) is not (question.kind is ProbeKind.ARP):
                raise Invalid(
                    f"{question.address} is not asked for by {question.kind}",
                    "IPv4 has arp, IPv6 has nd",
                )
            return arp_dns_mtu.neighbours(question, min(seconds, 0.3))
        case ProbeKind.MTU:
            return arp_dns_mtu.longest(question, min(seconds, 0.5))
        case ProbeKind.DNS:
            return arp_dns_mtu.server(question, seconds)
    from plumb.probes import one_probe

    return (one_probe.ask_a_listener if how.listen else one_probe.ask)(question, how.times, seconds)


@contextmanager
def _watched(link: str | None, question: ProbeSpec) -> Iterator[list[str]]:
    """Record a probe's packets on a link.

    The list is filled, one text for each packet, when the with block is over.
    """
    packets: list[str] = []
    if link is None:
        yield packets
        return
    from plumb.probes.packets.encapsulation import Tap

    with Tap("", link) as tap:
        yield packets
        about = [packet for packet in tap.packets() if _concerns(packet, question)]
    packets += dict.fromkeys(map(str, about)) or ["nothing of it"]


def _concerns(packet: EncapsulatedPacket, question: ProbeSpec) -> bool:
    return packet.spi is not None or (
        packet.inside is not None and str(question.address) in packet.inside[:2]
    )


def line(answer: ProbeResult) -> str:
    """Format an answer as a line for people, and one more for each packet on the watched link."""
    question, words = answer.question, []
    words += answer.found
    if answer.mtu:
        words.append(f"mtu={answer.mtu}")
    if answer.seconds and question.kind not in ("mtu", "arp", "nd"):
        words.append(_times(answer))
    if answer.said:
        words.append(answer.said)
    if answer.by and question.kind == "icmp" and answer.by != str(question.address):
        words.append(f"from {answer.by}")
    if answer.ttl:
        words.append(f"ttl={answer.ttl} ({answer.hops} hop{'' if answer.hops == 1 else 's'})")
    if answer.source_address:
        words.append(f"seen as {answer.source_address}")
    if question.kind == "dns":
        head = f"{question.name}   by {question.address}"
    else:
        head = (
            question.where
            if question.name == str(question.address)
            else f"{question.name}   {question.where}"
        )
    return "\n".join(
        [
            f"{head}   {', '.join(words)}",
            *(f"    on the link: {packet}" for packet in answer.on_link),
        ]
    )


def _times(answer: ProbeResult) -> str:
    times = [1000 * seconds for seconds in answer.seconds]
    if answer.sent == 1:
        return f"answered, time={times[0]:.3f} ms"
    return (
        f"{len(times)} of {answer.sent} answered, time={sum(times) / len(times):.3f} ms on average,"
        f" time={max(times):.3f} ms at most"
    )


def document(answer: ProbeResult) -> dict[str, object]:
    """The same for programs."""
    question = answer.question
    return {
        "from": question.source.name,
        "to": question.name,
        "address": str(question.address),
        "protocol": str(question.kind),
        "port": question.port or None,
        "ok": answer.good,
        "sent": answer.sent,
        "answered": len(answer.seconds),
        "milliseconds": [round(1000 * seconds, 3) for seconds in answer.seconds],
        "ttl": answer.ttl or None,
        "hops": answer.hops,
        "seen": answer.source_address or None,
        "arrived": answer.arrived,
        "found": answer.found,
        "mtu": answer.mtu or None,
        "said": answer.said,
        "on_link": answer.on_link,
    }
