"""Probes whose reply carries data: claims of an address, addresses of a name, the path MTU."""

from __future__ import annotations

import socket
import time

from plumb.address import IPAddress, family
from plumb.errors import Invalid
from plumb.kernel.net.name_lookup import read_name_file
from plumb.kernel.net.neighbours import own_addresses
from plumb.kernel.netns.namespaces import entered
from plumb.model.net import resolv_conf
from plumb.model.net.targets import ProbeKind
from plumb.model.observations import Netns
from plumb.probes.probe_spec import ProbeResult, ProbeSpec
from plumb.probes.traffic.socket_errors import words

DNS_PORT = 53


def neighbours(question: ProbeSpec, seconds: float) -> ProbeResult:
    """Find the MACs that claim an address on the source's segment; more than one is an error.

    Raises:
        Invalid: the address is in no subnet of the source's.
    """
    from plumb.probes.packets import claims

    found = ProbeResult(question, sent=1)
    with entered(question.source.ns):
        own = own_addresses()
    dev = next((dev for dev, ip in own if question.address in ip.network), None)
    if dev is None:
        raise Invalid(
            f"{question.address} is not on a segment of {question.source.name}'s:"
            " there, nobody can be asked for its MAC",
            "ask from a place that has an address in the same subnet",
        )
    if any(ip.ip == question.address for _, ip in own):
        found.said, found.good = "it is the asker's own", True
        return found
    begun = time.monotonic()
    found.found = claims(question.source.ns, dev, [question.address], seconds)[question.address]
    found.seconds = [time.monotonic() - begun] if found.found else []
    found.good = len(found.found) == 1
    if len(found.found) > 1:
        found.said = f"{len(found.found)} claim it: packets go to now one, now the other"
    elif not found.found:
        found.said = f"nobody on {dev} claims it"
    return found


def longest(question: ProbeSpec, seconds: float) -> ProbeResult:
    """Find the path MTU."""
    from plumb.probes.path_mtu import path_mtu

    found, begun = ProbeResult(question, sent=1), time.monotonic()
    result = path_mtu(question.source.ns, question.address, seconds)
    found.mtu, found.seconds = result.mtu, [time.monotonic() - begun] if result.mtu else []
    found.good = bool(result.mtu) and not result.silent
    if not result.mtu:
        found.said = "no answer, however short the packet"
    elif result.by is not None:
        found.by, found.said = str(result.by), f"longer ones are too long, says {result.by}"
    elif result.silent:
        place = (
            f"between {result.last_router} and the next"
            if result.last_router is not None
            else "before the first router"
        )
        found.said = (
            f"longer ones, up to {result.link} that leave here, vanish {place},"
            " and nobody says so: a black hole"
        )
    return found


def server(question: ProbeSpec, seconds: float) -> ProbeResult:
    """Query a name server for the root's name servers; any answer is good, a refusal too."""
    import dns.message

    found = ProbeResult(question, sent=1)
    request = dns.message.make_query(".", "NS")
    addresses = _query(question.source, question.address, request, found, seconds)
    found.good = addresses is not None
    return found


def name(
    source: Netns, wanted: str, folder: str, versions: tuple[int, ...], seconds: float
) -> list[ProbeResult]:
    """Query a namespace's name servers for a name, in turn, until one answers.

    The results are one for each address family; an empty one is left out beside a found one.

    Args:
        folder: the folder with the source's resolv.conf.

    Raises:
        Invalid: the source has no name server, or the text is no name.
    """
    import dns.exception
    import dns.message
    import dns.name

    conf = resolv_conf.parse(read_name_file(f"{folder}/resolv.conf"))
    if not conf.servers:
        raise Invalid(
            f"{source.name} has no name server", "see 'plumb exec NAME cat /etc/resolv.conf'"
        )
    answers = []
    for version in versions:
        for address in conf.addresses:
            found = ProbeResult(ProbeSpec(source, wanted, address, ProbeKind.DNS), sent=1)
            for full in (
                [wanted]
                if "." in wanted
                else [*(f"{wanted}.{domain}" for domain in conf.search if domain != "."), wanted]
            ):
                try:
                    message = dns.message.make_query(
                        dns.name.from_text(full), "A" if version == 4 else "AAAA"
                    )
                except dns.exception.DNSException as error:
                    raise Invalid(f"{wanted!r} is no name: {error}") from error
                found.found = _query(source, address, message, found, seconds) or []
                if found.found:
                    break
            if found.seconds:
                break
        kind = "A" if version == 4 else "AAAA"
        found.good, found.said = (
            bool(found.found),
            found.said or ("" if found.found else f"no {kind} record"),
        )
        answers.append(found)
    if any(each.found for each in answers):
        answers = [each for each in answers if each.found]  # many names have one family only
    return answers


def _query(
    source: Netns, server: IPAddress, message: object, found: ProbeResult, seconds: float
) -> list[str] | None:
    """Query a name server: the addresses in its answer; None without an answer."""
    import dns.exception
    import dns.message
    import dns.rcode
    import dns.rdatatype

    assert isinstance(message, dns.message.Message)
    with entered(source.ns):
        client = socket.socket(family(server.version), socket.SOCK_DGRAM)
    with client:
        client.settimeout(seconds)
        begun = time.monotonic()
        try:
            client.connect((str(server), DNS_PORT))
            client.send(message.to_wire())
            answer = dns.message.from_wire(client.recv(1 << 16))
        except TimeoutError:
            found.said = f"no answer within {seconds:g} s"
            return None
        except OSError as error:
            found.said = words(error.errno or 0)
            return None
        except dns.exception.DNSException:
            found.said = "the answer makes no sense"
            return None
    found.seconds.append(time.monotonic() - begun)
    code = answer.rcode()
    found.said = {dns.rcode.NOERROR: "", dns.rcode.NXDOMAIN: "there is no such name"}.get(
        code, dns.rcode.to_text(code).lower()
    )
    return [
        record.to_text()
        for each in answer.answer
        for record in each
        if record.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA)
    ]
