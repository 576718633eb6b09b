"""A swarm's services: what `service inspect` and `service ps` say, and what is asked about them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.probes import Probe
from tests.conformance.rig import Host
from tests.conformance.seen import Box

PORT = ("Protocol", "TargetPort", "PublishedPort", "PublishMode")
PREDEFINED = re.compile("[0-9a-z]{25}")
"""A swarm's own object for the hosts' own network."""


@dataclass
class Services:
    """The services of a swarm.

    Attributes:
        inspected: as `service inspect` has them; tasks: rows of `service ps`, by service.
        nodes: as `node inspect` has them; networks: names of networks by id.
    """

    inspected: list[dict[str, Any]] = field(default_factory=list)
    tasks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    networks: dict[str, str] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """What another engine can be asked for, too."""
        return {
            "services": {each["Spec"]["Name"]: self._service(each) for each in self.inspected},
            "tasks": {name: sorted(_rows(rows)) for name, rows in self.tasks.items()},
        }

    def _service(self, service: Mapping[str, Any]) -> dict[str, Any]:
        spec, end, task = service["Spec"], service["Endpoint"], service["Spec"]["TaskTemplate"]
        box = task.get("ContainerSpec") or {}
        return {
            "Mode": sorted(spec["Mode"]),
            "Replicas": (spec["Mode"].get("Replicated") or {}).get("Replicas"),
            "Labels": spec.get("Labels") or {},
            "EndpointMode": (end.get("Spec") or spec.get("EndpointSpec") or {}).get("Mode"),
            "Networks": {
                self._network(net["Target"]): sorted(net.get("Aliases") or ())
                for net in task.get("Networks") or ()
            },
            "VirtualIPs": {
                self._network(own["NetworkID"]): own.get("Addr", "")
                for own in end.get("VirtualIPs") or ()
            },
            "Ports": [{key: port.get(key) for key in PORT} for port in end.get("Ports") or ()],
            "Constraints": (task.get("Placement") or {}).get("Constraints") or [],
            "Hostname": box.get("Hostname"),
            "Hosts": box.get("Hosts") or [],
            "DNSConfig": box.get("DNSConfig") or {},
        }

    def _network(self, ident: str) -> str:
        name = self.networks.get(ident, ident)
        return "(predefined)" if PREDEFINED.fullmatch(name) else name

    # -- questions ----------------------------------------------------------------------

    def to_virtual(self, boxes: Sequence[Box]) -> Iterator[Probe]:
        """Yield probes of each virtual address; those of ports as often as tasks take turns."""
        for service in self.inspected:
            name = service["Spec"]["Name"]
            for own in service["Endpoint"].get("VirtualIPs") or ():
                if not (ip := own.get("Addr", "").split("/")[0]):
                    continue
                what = f"vip {name} {self.networks.get(own['NetworkID'], '?')} {ip}"
                yield Probe(f"{what} icmp", "icmp", ip)
                for proto, port in (("tcp", 80), ("udp", 80), ("tcp", 82)):
                    times = _times(name, boxes)
                    yield Probe(f"{what} {proto}/{port}", proto, ip, port, times=times)

    def to_ingress(
        self, boxes: Sequence[Box], hosts: Sequence[Host], local: bool
    ) -> Iterator[Probe]:
        """Yield probes of each port of the ingress network, at each host.

        Args:
            local: who asks is a host, and tries its own loopback addresses as well.
        """
        targets = {address for host in hosts for address in (host.v4, host.v6)}
        for service in self.inspected:
            name = service["Spec"]["Name"]
            for port in service["Endpoint"].get("Ports") or ():
                if port.get("PublishMode", "ingress") != "ingress":
                    continue
                number, proto = port["PublishedPort"], port["Protocol"]
                for target in sorted(targets | ({"127.0.0.1", "::1"} if local else set())):
                    ident = f"{name} published {target}:{number}/{proto}"
                    yield Probe(ident, proto, target, number, times=_times(name, boxes))

    def names(self) -> set[str]:
        """Names that a resolver may be asked for."""
        found: set[str] = set()
        for service in self.inspected:
            name = service["Spec"]["Name"]
            found |= {name, f"{name}/AAAA", f"tasks.{name}", f"{name}.1"}
            for net in service["Spec"]["TaskTemplate"].get("Networks") or ():
                if net["Target"] in self.networks:
                    found.add(f"{name}.{self.networks[net['Target']]}")
                for alias in net.get("Aliases") or ():
                    found |= {alias, f"tasks.{alias}"}
            for own in service["Endpoint"].get("VirtualIPs") or ():
                if ip := own.get("Addr", "").split("/")[0]:
                    found.add(".".join(reversed(ip.split("."))) + ".in-addr.arpa/PTR")
        return found


def _times(service: str, boxes: Sequence[Box]) -> int:
    return 2 * max(1, sum(box.name.startswith(f"{service}.") for box in boxes))


def _rows(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for row in rows:
        if row["DesiredState"] == "Shutdown":
            continue
        ports = ",".join(sorted(row["Ports"].split(","))) if row.get("Ports") else ""
        yield (
            f"{row['Node']}: {row['DesiredState']}, {row['CurrentState'].split()[0]}"
            + (f", ports {ports}" if ports else "")
            + (f", {row['Error']}" if row.get("Error") else "")
        )
