"""Words of `service create` and `service update`: text in, typed values out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from plumb.errors import Invalid
from plumb.frozen import replace
from plumb.model import container_options, parse
from plumb.model.cnm import Attachment
from plumb.model.net import attachment as attachments
from plumb.model.ports import PROTOCOLS, PortBinding, PublishMode, ServicePort
from plumb.model.service.spec import ServiceNetwork

UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
LONG_FORM = ("target", "published", "protocol", "mode", "name")
PORT_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9](?:[A-Za-z0-9-]{0,13}[A-Za-z0-9])?")
"""Name of a service's port (RFC 6335 section 5.1), as SRV records have it after an underscore."""


def duration(text: str) -> float:
    """A duration as Go writes it, "1m30s" or "500ms", in seconds.

    Raises:
        Invalid: it is none, or below zero.
    """
    parts = PART.findall(text)
    if text != "0" and (not parts or "".join(number + unit for number, unit in parts) != text):
        raise Invalid(f"invalid duration {text!r}", "as in 500ms, 10s, 1m30s")
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def service_name(text: str) -> str:
    """A name of a service, which is a label of DNS.

    Raises:
        Invalid: with Docker's words.
    """
    if not re.fullmatch(r"[a-zA-Z0-9]([-_]*[A-Za-z0-9]+)*", text) or len(text) > 63:
        raise Invalid(
            f"name must be valid as a DNS name component: {text!r}",
            "it has up to 63 letters, digits, and '-' or '_' between them",
        )
    return text


# -- ports ---------------------------------------------------------------


def published(text: str) -> tuple[ServicePort, ...]:
    """Parse the value of `--publish`: `8080:80/tcp`, or `published=8080,target=80,mode=host`.

    Of a range for one port of the task, each port is published.

    Raises:
        Invalid: with Docker's words; an address of the host, which a service's port has none of.
    """
    if "=" in text:
        return (_long_form(text),)
    found = container_options.published(text)
    if any(port.host_ip is not None for port in found):
        raise Invalid(
            f"invalid --publish {text!r}: a service's port is published at all addresses of its "
            "nodes",
            "leave the address out",
        )
    return tuple(port for binding in found for port in _ports(binding))


def _ports(binding: PortBinding) -> Iterator[ServicePort]:
    for number in range(binding.first or 0, (binding.last or binding.first or 0) + 1):
        yield ServicePort(binding.port, number, binding.protocol)


def _long_form(text: str) -> ServicePort:
    fields = {}
    for word in parse.comma_separated(text):
        key, equals, value = word.partition("=")
        if not equals:
            raise Invalid(
                f"invalid field: {word}", "--publish is written published=8080,target=80,mode=host"
            )
        if key not in LONG_FORM:
            raise Invalid(f"invalid field key {key}", parse.nearest(key, LONG_FORM))
        fields[key] = value
    if "target" not in fields:
        raise Invalid('missing mandatory field "target"', "it is written published=8080,target=80")
    protocol = fields.get("protocol", "tcp").lower()
    if protocol not in PROTOCOLS:
        raise Invalid(f"invalid protocol value '{protocol}'", "tcp, udp or sctp")
    return ServicePort(
        _port(fields["target"], "target"),
        _port(fields["published"], "published") if fields.get("published", "0") != "0" else 0,
        protocol,
        publish_mode(fields.get("mode", "ingress")),
        _port_name(fields.get("name", "")),
    )


def _port_name(text: str) -> str:
    if text and not PORT_NAME.fullmatch(text):
        raise Invalid(
            f"invalid name of a port: {text!r}",
            "it has up to 15 letters, digits and '-' between them, one letter at least: http",
        )
    return text.lower()


def _port(text: str, what: str) -> int:
    return container_options.port_range(text, f"{what} port")[0]


def publish_mode(text: str) -> PublishMode:
    """Place of a published port.

    Raises:
        Invalid: with Docker's words.
    """
    if text not in tuple(PublishMode):
        raise Invalid(f"invalid publish mode value ({text}): must be either ingress or host")
    return PublishMode(text)


def target(text: str) -> tuple[int, str]:
    """A task's port, as `--publish-rm 80/tcp` or `target=80` names it, with its protocol.

    Raises:
        Invalid: it names a port of the host as well.
    """
    if "=" in text:
        port = _long_form(text)
        return port.target, port.protocol
    if ":" in text:
        raise Invalid(
            f"invalid --publish-rm {text!r}", "name the task's port alone: --publish-rm 80/tcp"
        )
    (binding, *_) = container_options.published(text)
    return binding.port, binding.protocol


def without_repeats(ports: Sequence[ServicePort]) -> tuple[ServicePort, ...]:
    """Ports as a service keeps them: each once, in the order of their numbers, then as given."""
    return tuple(sorted(dict.fromkeys(ports), key=lambda port: port.published or 1 << 16))


# -- networks ---------------------------------------------------------------


def network(text: str) -> ServiceNetwork:
    """Parse the value of `--network`: a name, or `name=n1,alias=www`.

    Raises:
        Invalid: a field that only one container can have, such as an address.
    """
    wish = attachments.attachment(text)
    if wish != replace(Attachment(wish.network), aliases=wish.aliases):
        raise Invalid(
            f"invalid --network {text!r}: a service's tasks share it, so that it has a name and "
            "aliases alone",
            "their addresses are allotted by the swarm",
        )
    return ServiceNetwork(wish.network, wish.aliases or ())


# -- hosts ---------------------------------------------------------------


def extra_host(text: str) -> tuple[str, str]:
    """A line of the tasks' hosts files, as `--host NAME:IP` gives it.

    Raises:
        Invalid: with Docker's words.
    """
    if ":" not in text and "=" not in text:
        raise Invalid(f'bad format for add-host: "{text}"', "it is written --host NAME:IP")
    return container_options.extra_host(text)
