"""Questions that are about more than an answer.

Who claims an address, how long a packet may be, what a name means.
"""

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
    """Who claims an address on the segment of the asker's own where it belongs: its MACs.

    Two are a finding.

    Raises:
        Invalid: it does not belong on any.
    """
    from plumb.probes.packets import claims

    found = ProbeResult(question, sent=1)
    with entered(question.source.ns):
        own = own_addresses()
    dev = next((dev for dev, ip in own if question.address in ip.network), None)
    if dev is None:
        raise Invalid(
            f"{question.address} is not on a segment of {question.source.name}'s: there, nobody can be asked for its MAC",
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
    """The path MTU."""
    from plumb.probes.path_mtu import path_mtu

    found, begun = ProbeResult(question, sent=1), time.monotonic()
    result = path_mtu(question.source.ns, question.address, seconds)
    found.mtu, found.seconds = result.mtu, [time.monotonic() - begun] if result.mtu else []
    found.good = bool(result.mtu) and not result.hole
    if not result.mtu:
        found.said = "no answer, however short the packet"
    elif result.by is not None:
        found.by, found.said = str(result.by), f"longer ones are too long, says {result.by}"
    elif result.hole:
        behind = (
            f"between {result.behind} and the next"
            if result.behind is not None
            else "before the first router"
        )
        found.said = f"longer ones, up to {result.link} that leave here, vanish {behind}, and nobody says so: a black hole"
    return found


def server(question: ProbeSpec, seconds: float) -> ProbeResult:
    """Whether a name server answers at all.

    It is asked for the root's name servers, and may refuse.
    """
    import dns.message

    found = ProbeResult(question, sent=1)
    said = _asked(
        question.source, question.address, dns.message.make_query(".", "NS"), found, seconds
    )
    found.good = said is not None
    return found


def name(
    source: Netns, wanted: str, folder: str, versions: tuple[int, ...], seconds: float
) -> list[ProbeResult]:
    """What a name means, asked of each name server that somebody has, in turn, until one answers.

    An answer for each address family.

    Args:
        folder: where the asker's resolv.conf lies.

    Raises:
        Invalid: the asker has no name server, or that is no name.
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
                found.found = _asked(source, address, message, found, seconds) or []
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


def _asked(
    source: Netns, server: IPAddress, message: object, found: ProbeResult, seconds: float
) -> list[str] | None:
    """The addresses that a name server knows; None where it does not answer."""
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
