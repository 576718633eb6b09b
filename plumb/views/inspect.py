"""Docker's JSON for `inspect` and `network inspect`, field by field as in Docker's API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from plumb.model.cluster import RemoteEndpoint
from plumb.model.cnm import Attachment, Endpoint, Ends, Network, Pairs, Pool, Sandbox, Status
from plumb.model.container_options import size
from plumb.model.etc_files import dns_names
from plumb.model.lifecycle import NEVER, Health
from plumb.model.paths import Layout
from plumb.model.port_mapping import shown
from plumb.model.ports import Port, PortBinding

if TYPE_CHECKING:
    from plumb.model.service.virtual import VirtualService

Json = dict[str, Any]


# -- networks ---------------------------------------------------------------


def network(
    net: Network,
    ends: Sequence[tuple[Endpoint, Sandbox]] = (),
    remotes: Sequence[RemoteEndpoint] = (),
    verbose: bool = False,
    virtual: Sequence[VirtualService] = (),
    bare: Sequence[Sandbox] = (),
) -> Json:
    """`network inspect`.

    Args:
        ends: its endpoints with their sandboxes, balancers too.
        remotes: its endpoints on other hosts.
        verbose: with all endpoints of the cluster, by service.
        virtual: the services on it.
        bare: containers on it that have no endpoint, as those in the host's namespace.
    """
    from plumb.views import inspect_cluster  # lazy: listings need none of it

    peers = inspect_cluster.peers(net, remotes)
    return {
        "Name": net.name,
        "Id": net.id,
        "Created": net.created or NEVER,
        "Scope": scope(net),
        "Driver": net.driver,
        "EnableIPv4": net.ipv4,
        "EnableIPv6": net.ipv6,
        "IPAM": {
            "Driver": "default",
            "Options": None,
            "Config": [_pool(pool) for pool in net.pools] or None,
        },
        "Internal": net.internal,
        "Attachable": net.attachable,
        "Ingress": net.overlay.ingress,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Options": inspect_cluster.options(net),
        "Labels": dict(net.labels),
        "Containers": {
            **{_label(box): _member(net, end, box) for end, box in ends},
            **{box.id: {**dict.fromkeys(MEMBER, ""), "Name": box.name} for box in bare},
        },
        **({"Peers": peers} if peers else {}),
        **({"Services": inspect_cluster.services(net, ends, remotes, virtual)} if verbose else {}),
    }


def scope(net: Network) -> str:
    """Reach of a network: one host, or the cluster (Docker's swarm), which allots it VNIs."""
    return "swarm" if net.overlay.vnis else "local"


def _label(box: Sandbox) -> str:
    """A container's id; for a balancer its name."""
    return box.name.removeprefix("/") if box.role else box.id


def _pool(pool: Pool) -> Json:
    found: Json = {"Subnet": str(pool.subnet)}
    if pool.range is not None:
        found["IPRange"] = str(pool.range)
    if pool.gateway is not None:
        found["Gateway"] = str(pool.gateway)
    if pool.aux:
        found["AuxiliaryAddresses"] = {name: str(ip) for name, ip in pool.aux}
    return found


MEMBER = ("Name", "EndpointID", "MacAddress", "IPv4Address", "IPv6Address")


def _member(net: Network, end: Endpoint, box: Sandbox) -> Json:
    return {
        "Name": _endpoint_name(net, box),
        "EndpointID": end.id,
        "MacAddress": end.mac,
        "IPv4Address": str(end.ip or ""),
        "IPv6Address": str(end.ip6 or ""),
    }


def _endpoint_name(net: Network, box: Sandbox) -> str:
    """Name of a sandbox's endpoint; those that the user has not asked for have their own."""
    from plumb.model.net.gateways import GATEWAY_NETWORK  # lazy: listings need none of it

    if net.name == GATEWAY_NETWORK and box.attachment(net) is None:
        return f"gateway_{_label(box) if box.role else box.key[:12]}"
    return f"{net.name}-endpoint" if box.role else box.name


def network_row(net: Network, truncate: bool = True) -> Json:
    """A line of `network ls`."""
    return {
        "ID": net.id[:12] if truncate else net.id,
        "Name": net.name,
        "Driver": net.driver,
        "Scope": scope(net),
        "IPv4": str(net.ipv4).lower(),
        "IPv6": str(net.ipv6).lower(),
        "Internal": str(net.internal).lower(),
        "Labels": _joined(net.labels),
        "CreatedAt": net.created,
    }


# -- containers ---------------------------------------------------------------


def container(
    box: Sandbox,
    ends: Ends,
    known: Mapping[str, Network],
    layout: Layout,
    pid: int = 0,
    health: Health | None = None,
) -> Json:
    """`inspect`.

    Args:
        ends: its endpoints with their networks.
        known: all networks by id, for attachments of a container that does not run.
        pid: the process id of its command, 0 if none runs.
        health: what its health checks have found, None without one.
    """
    from plumb.model.lifecycle import status  # lazy: networks need none of it

    folder = layout.container(box.target or box.id)
    return {
        "Id": box.id,
        "Created": box.created,
        "Path": box.argv[0] if box.argv else "",
        "Args": list(box.argv[1:]),
        "State": status.state(box, pid, health),
        "ResolvConfPath": f"{folder}/resolv.conf",
        "HostnamePath": f"{folder}/hostname",
        "HostsPath": f"{folder}/hosts",
        "LogPath": f"{layout.container(box.id)}/log",
        "Name": f"/{box.name}",
        "RestartCount": box.restarts.count,
        "Driver": "",
        "Platform": "linux",
        "HostConfig": _host_config(box, known),
        "Config": _config(box),
        "NetworkSettings": {
            "SandboxID": "" if box.status is not Status.RUNNING else box.key,
            "SandboxKey": _sandbox_key(box, layout),
            "Ports": _ports(box, ends),
            "Networks": _networks(box, ends, known),
        },
    }


def _sandbox_key(box: Sandbox, layout: Layout) -> str:
    if box.status is not Status.RUNNING:
        return ""
    return (
        layout.namespace("default")
        if box.mode == "host"
        else layout.namespace(box.target or box.id)
    )


def mode(box: Sandbox, known: Mapping[str, Network]) -> str:
    """HostConfig.NetworkMode: the network at creation, host, none, or container:ID."""
    if box.mode != "network":
        return box.mode
    if not box.attachments:
        return "default"
    first = box.attachments[0].network
    return known[first].name if first in known else first


def _host_config(box: Sandbox, known: Mapping[str, Network]) -> Json:
    return {
        "NetworkMode": mode(box, known),
        "PortBindings": bindings(box.ports),
        "RestartPolicy": {"Name": str(box.restart.name), "MaximumRetryCount": box.restart.maximum},
        "AutoRemove": box.auto_remove,
        "CapAdd": list(box.cap_add) or None,
        "CapDrop": list(box.cap_drop) or None,
        "Privileged": box.privileged,
        "Dns": [str(ip) for ip in box.dns],
        "DnsOptions": list(box.dns_options),
        "DnsSearch": list(box.dns_search),
        "ExtraHosts": [f"{name}:{ip}" for name, ip in box.extra_hosts] or None,
        "Links": [f"/{name}:/{box.name}/{alias}" for name, alias in box.links] or None,
        "PublishAllPorts": box.publish_all,
        "ReadonlyRootfs": box.read_only_host,
        "PidMode": "" if box.isolate else "host",
        "LogConfig": {
            "Type": "json-file",
            "Config": {"max-size": size(box.log_size), "max-file": str(box.log_files)},
        },
        "Sysctls": {name.replace("/", "."): value for name, value in box.sysctls} or None,
    }


def bindings(ports: Sequence[PortBinding]) -> dict[str, list[dict[str, str]]]:
    """HostConfig.PortBindings: the bindings as requested."""
    found: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        host = (
            ""
            if port.first is None
            else str(port.first)
            if port.first == port.last
            else f"{port.first}-{port.last}"
        )
        found.setdefault(f"{port.port}/{port.protocol}", []).append(
            {"HostIp": str(port.host_ip or ""), "HostPort": host}
        )
    return found


def _config(box: Sandbox) -> Json:
    exposed = {*box.exposed, *(f"{port.port}/{port.protocol}" for port in box.ports)}
    found: Json = {
        "Hostname": box.hostname,
        "Domainname": box.domainname,
        "Cmd": list(box.argv) or None,
        "Env": list(box.environment),
        "Labels": dict(box.labels),
    }
    if exposed:
        found["ExposedPorts"] = {spec: {} for spec in sorted(exposed)}
    from plumb.model.lifecycle.health import configured  # lazy: networks need none of it

    if check := configured(box.health):
        found["Healthcheck"] = check
    if box.mac:
        found["MacAddress"] = box.mac
    return found


def _ports(box: Sandbox, ends: Ends) -> Json:
    """NetworkSettings.Ports: the published bindings of each port, null for a port only exposed."""
    if box.status is not Status.RUNNING or box.target or box.mode == "host":
        return {}
    found: Json = dict.fromkeys(_exposed(box, ends))
    for port in shown(port for end, _ in ends for port in end.ports):
        spec = f"{port.port}/{port.protocol}"
        found[spec] = [
            *(found.get(spec) or []),
            {"HostIp": str(port.host_ip), "HostPort": str(port.host_port or "")},
        ]
    return found


def _exposed(box: Sandbox, ends: Ends) -> list[str]:
    """Exposed ports as "80/tcp"; as in Docker, a bridge network shows them, no other does."""
    if not any(net.traits.publishes_ports for _, net in ends):
        return []
    return sorted({*box.exposed, *(f"{port.port}/{port.protocol}" for port in box.ports)})


def ports_column(box: Sandbox, ends: Ends) -> str:
    """PORTS column of `ps`: runs of neighbouring ports as ranges, then ports only exposed."""
    runs: list[tuple[Port, int]] = []
    for port in sorted((port for end, _ in ends for port in end.ports), key=_in_runs):
        first, length = runs[-1] if runs else (None, 0)
        if (
            first is not None
            and first.host_port
            and _in_runs(port) == _in_runs(_moved(first, length))
        ):
            runs[-1] = (first, length + 1)
        else:
            runs.append((port, 1))
    open_ones = {f"{port.port}/{port.protocol}" for end, _ in ends for port in end.ports}
    exposed = [spec for spec in _exposed(box, ends) if spec not in open_ones]
    return ", ".join([*(_run(port, length) for port, length in runs), *exposed])


def _in_runs(port: Port) -> tuple[int, int, str, int, int]:
    return (
        port.host_ip.version,
        int(port.host_ip),
        port.protocol,
        port.host_port - port.port if port.host_port else 0,
        port.port,
    )


def _moved(port: Port, by: int) -> Port:
    return port._replace(port=port.port + by, host_port=port.host_port + by)


def _run(port: Port, length: int) -> str:
    def span(first: int) -> str:
        return str(first) if length == 1 else f"{first}-{first + length - 1}"

    if not port.host_port:
        return f"{span(port.port)}/{port.protocol}"
    host = f"[{port.host_ip}]" if port.host_ip.version == 6 else str(port.host_ip)
    return f"{host}:{span(port.host_port)}->{span(port.port)}/{port.protocol}"


def _networks(box: Sandbox, ends: Ends, known: Mapping[str, Network]) -> Json:
    if box.mode in ("host", "none"):
        net = next((net for net in known.values() if net.name == box.mode), None)
        return {box.mode: _endpoint(box, Attachment(box.mode, mac=box.mac), None, net, ends)}
    live = {end.network: end for end, _ in ends}
    found = {}
    for wish in box.attachments:
        net = known.get(wish.network) or next(
            (net for net in known.values() if net.name == wish.network), None
        )
        found[net.name if net else wish.network] = _endpoint(
            box, wish, live.get(net.id) if net else None, net, ends
        )
    return found


def _endpoint(
    box: Sandbox, wish: Attachment, end: Endpoint | None, net: Network | None, ends: Ends
) -> Json:

    user_defined = net is not None and not net.predefined
    gateways = {
        version: str(net.router(ip) or "") if net is not None and ip is not None else ""
        for version, ip in ((4, end.ip if end else None), (6, end.ip6 if end else None))
    }
    asked = {
        key: str(ip) for key, ip in (("IPv4Address", wish.ip), ("IPv6Address", wish.ip6)) if ip
    }
    if wish.link_local:
        asked["LinkLocalIPs"] = [str(ip) for ip in wish.link_local]  # type: ignore[assignment]  # Docker's JSON has a list here
    return {
        "IPAMConfig": asked or None,
        "Links": [name if name == alias else f"{name}:{alias}" for name, alias in wish.links]
        or None,
        "Aliases": None if wish.aliases is None else list(wish.aliases),
        "DriverOpts": dict(wish.driver_opts) or None,
        "GwPriority": wish.gw_priority,
        "NetworkID": net.id if net else "",
        "EndpointID": end.id if end else "",
        "Gateway": gateways[4],
        "IPAddress": str(end.ip.ip) if end and end.ip else "",
        "IPPrefixLen": end.ip.network.prefixlen if end and end.ip else 0,
        "MacAddress": end.mac if end else wish.mac,
        "IPv6Gateway": gateways[6],
        "GlobalIPv6Address": str(end.ip6.ip) if end and end.ip6 else "",
        "GlobalIPv6PrefixLen": end.ip6.network.prefixlen if end and end.ip6 else 0,
        "DNSNames": dns_names(box, wish.aliases or ()) if user_defined and end else None,
    }


def container_row(
    box: Sandbox,
    ends: Ends,
    known: Mapping[str, Network],
    truncate: bool = True,
    health: Health | None = None,
) -> Json:
    """A line of `ps`."""
    from plumb.model.lifecycle import status  # lazy: networks need none of it

    command = " ".join(box.argv)
    names = [net.name for _, net in ends] or ([mode(box, known)] if box.mode != "network" else [])
    return {
        "ID": box.id[:12] if truncate else box.id,
        "Names": box.name,
        "State": str(box.status),
        "Status": status.shown(box, health),
        "Command": f'"{command[:19]}…"' if truncate and len(command) > 20 else f'"{command}"',
        "Networks": ",".join(names),
        "Ports": ports_column(box, ends) if box.status is Status.RUNNING else "",
        "Addresses": ", ".join(str(ip.ip) for end, _ in ends for ip in end.ips),
        "Labels": _joined(box.labels),
        "CreatedAt": box.created,
    }


def _joined(labels: Pairs) -> str:
    return ",".join(f"{key}={value}" for key, value in labels)
