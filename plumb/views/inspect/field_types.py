"""Types of the fields in Docker's JSON: templates treat structs, maps and nils differently.

A field that is not named here has the type that its value says: a struct, a list of strings, a
string, a number or a boolean.
"""

from __future__ import annotations

FIELDS = {
    "Config": "*container.Config",
    "IPAM.Config": "[]network.IPAMConfig",
    "LogConfig.Config": "map[string]string",
    "State": "*container.State",
    "Health": "*container.Health",
    "HostConfig": "*container.HostConfig",
    "NetworkSettings": "*container.NetworkSettings",
    "Labels": "map[string]string",
    "Options": "map[string]string",
    "DriverOpts": "map[string]string",
    "AuxiliaryAddresses": "map[string]string",
    "Sysctls": "map[string]string",
    "Volumes": "map[string]struct {}",
    "ExposedPorts": "map[network.Port]struct {}",
    "Ports": "map[network.Port][]network.PortBinding",
    "PortBindings": "map[network.Port][]network.PortBinding",
    "Networks": "map[string]*network.EndpointSettings",
    "Containers": "map[string]network.EndpointResource",
    "Services": "map[string]network.ServiceInfo",
    "IPAMConfig": "*network.EndpointIPAMConfig",
    "Dns": "[]netip.Addr",
    "Config.?ExposedPorts": "map[network.Port]struct {}",
    "Config.?OnBuild": "[]string",
    "Config.?StopSignal": "string",
    "Config.?StopTimeout": "*int",
    "Config.?Healthcheck": "*container.HealthConfig",
    "State.?Health": "*container.Health",
    "HostConfig.?Sysctls": "map[string]string",
    "HostConfig.?Init": "*bool",
    "HostConfig.?Tmpfs": "map[string]string",
    "HostConfig.?Annotations": "map[string]string",
    "HostConfig.?Mounts": "[]mount.Mount",
    "GraphDriver": "*storage.DriverData",
}
"""Go's types by field; "Struct.Field" where the field's name alone has several."""
