"""A container in Docker's JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plumb.model.cnm import DEFAULT_NETWORK, Attachment, Endpoint, Ends, Network, Sandbox, Status
from plumb.model.lifecycle import Health
from plumb.model.lifecycle.health import configured
from plumb.model.lifecycle.status import state
from plumb.model.net.dns_names import dns_names
from plumb.model.paths import Layout
from plumb.model.ports import PortBinding, shown
from plumb.views.inspect import zeros
from plumb.views.inspect.networks import stand_in
from plumb.views.inspect.ports import exposed

Json = dict[str, Any]


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
    folder = layout.container(box.target or box.id)
    return {
        "Id": box.id,
        "Created": box.created,
        "Path": box.argv[0] if box.argv else "",
        "Args": list(box.argv[1:]),
        "State": state(box, pid, health),
        "Image": "",
        "ResolvConfPath": f"{folder}/resolv.conf" if box.started else "",
        "HostnamePath": f"{folder}/hostname" if box.started else "",
        "HostsPath": f"{folder}/hosts" if box.started else "",
        "LogPath": f"{layout.container(box.id)}/log" if box.started else "",
        "Name": f"/{box.name}",
        "RestartCount": box.restarts.count,
        "Driver": "",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": None,
        "HostConfig": _host_config(box, known),
        "GraphDriver": {"Data": None, "Name": ""},
        "Mounts": [],
        "Config": _config(box),
        "NetworkSettings": _network_settings(box, ends, known, layout),
    }


def _network_settings(
    box: Sandbox, ends: Ends, known: Mapping[str, Network], layout: Layout
) -> Json:
    """NetworkSettings; what the default network gives stands there as well, as it once did."""
    networks = _networks(box, ends, known)
    on_default = networks.get(DEFAULT_NETWORK, {})
    return {
        "SandboxID": "" if box.status is not Status.RUNNING else box.key,
        "SandboxKey": _sandbox_key(box, layout),
        "Ports": _ports(box, ends),
        **{field: on_default[field] for field in OF_DEFAULT_NETWORK if on_default},
        "Networks": networks,
    }


OF_DEFAULT_NETWORK = (
    "EndpointID",
    "Gateway",
    "GlobalIPv6Address",
    "GlobalIPv6PrefixLen",
    "IPAddress",
    "IPPrefixLen",
    "IPv6Gateway",
    "MacAddress",
)


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
    if box.made_with:
        return box.made_with
    if not box.attachments:
        return "default"
    first = box.attachments[0].network
    return known[first].name if first in known else first


def _host_config(box: Sandbox, known: Mapping[str, Network]) -> Json:
    found: Json = {
        **zeros.HOST_CONFIG,
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
        "LogConfig": {"Type": box.log.driver, "Config": _log_config(box)},
    }
    if box.command.init:
        found["Init"] = True
    if box.sysctls:
        found["Sysctls"] = {name.replace("/", "."): value for name, value in box.sysctls}
    return found


def _log_config(box: Sandbox) -> Json:
    """Bounds of a log; as in Docker, none are shown where nobody has asked for any."""
    if box.log.driver != "json-file":
        return dict(box.log.options)
    found = {} if box.log_files == Sandbox.log_files else {"max-file": str(box.log_files)}
    if box.log_size != Sandbox.log_size:
        from plumb.model.lifecycle.log_drivers import size  # lazy: few containers have another

        found["max-size"] = size(box.log_size)
    return found


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
        **zeros.CONFIG,
        "Hostname": box.hostname,
        "Domainname": box.domainname,
        "User": box.command.user,
        **dict.fromkeys(("AttachStdout", "AttachStderr"), _attaches(box)),
        "Cmd": list(box.argv) or None,
        "Env": list(box.environment) or None,
        "WorkingDir": box.command.working_dir,
        "Labels": dict(sorted(box.labels)),
    }
    if exposed:
        found["ExposedPorts"] = {spec: {} for spec in sorted(exposed)}
    if check := configured(box.health):
        found["Healthcheck"] = check
    if box.mac:
        found["MacAddress"] = box.mac
    if box.command.stop_signal:
        found["StopSignal"] = box.command.stop_signal
    if box.command.stop_timeout is not None:
        found["StopTimeout"] = box.command.stop_timeout
    return found


def _attaches(box: Sandbox) -> bool:
    """True for a command in the foreground, and as in Docker for one that `create` has prepared."""
    return box.foreground or box.status is Status.CREATED


def _ports(box: Sandbox, ends: Ends) -> Json:
    """NetworkSettings.Ports: the published bindings of each port, null for a port only exposed."""
    if box.status is not Status.RUNNING or box.target or box.mode == "host":
        return {}
    found: Json = dict.fromkeys(exposed(box, ends))
    for port in shown(port for end, _ in ends for port in end.ports):
        spec = f"{port.port}/{port.protocol}"
        found[spec] = [
            *(found.get(spec) or []),
            {"HostIp": str(port.host_ip), "HostPort": str(port.host_port or "")},
        ]
    return found


def _networks(box: Sandbox, ends: Ends, known: Mapping[str, Network]) -> Json:
    if box.mode in ("host", "none"):
        net = next((net for net in known.values() if net.name == box.mode), None)
        shown = _endpoint(box, Attachment(box.mode), None, net)
        ident = stand_in(box) if box.status is Status.RUNNING else ""
        return {box.mode: {**shown, "EndpointID": ident, "MacAddress": box.mac}}
    live = {end.network: end for end, _ in ends}
    found = {}
    for wish in box.attachments:
        net = known.get(wish.network) or next(
            (net for net in known.values() if net.name == wish.network), None
        )
        found[net.name if net else wish.network] = _endpoint(
            box, wish, live.get(net.id) if net else None, net
        )
    return found


def _endpoint(box: Sandbox, wish: Attachment, end: Endpoint | None, net: Network | None) -> Json:
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
        "NetworkID": net.id if net and box.started else "",
        "EndpointID": end.id if end else "",
        "Gateway": gateways[4],
        "IPAddress": str(end.ip.ip) if end and end.ip else "",
        "IPPrefixLen": end.ip.network.prefixlen if end and end.ip else 0,
        "MacAddress": end.mac if end else "",
        "IPv6Gateway": gateways[6],
        "GlobalIPv6Address": str(end.ip6.ip) if end and end.ip6 else "",
        "GlobalIPv6PrefixLen": end.ip6.network.prefixlen if end and end.ip6 else 0,
        "DNSNames": dns_names(box, wish.aliases or ()) if user_defined and box.started else None,
    }
