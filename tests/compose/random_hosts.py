"""Random networks and containers for tests of what is moved from one host to another."""

from __future__ import annotations

import random
from typing import Any

from plumb import Host
from plumb.model.cnm import Network, Sandbox

ODD = (
    *("yes", "null", "~", "1e5", "0o17", "0x1F", "22:22", "1_000", ".5", "<<", "=", "true", "2"),
    *("$HOME", "a$$b", "${X:-y}", "", " a ", "# no", "a: b", "ü", "- x", "'", '"', "%", "@", "!x"),
)
"""Texts that mean something else in YAML or in a compose file."""
LABEL = "of.the.test"


class Maker:
    """Makes networks and containers on a host.

    Args:
        seed: of what is chosen.
        parents: links of the host that macvlan networks may stand on.
    """

    def __init__(self, seed: int, parents: tuple[str, ...] = ()) -> None:
        self._random = random.Random(seed)
        self._parents = parents

    def make(self, host: Host, *, runs: bool = True) -> None:
        """Make some networks and containers.

        Args:
            runs: whether containers are started.
        """
        nets = [self._network(host, at) for at in range(self._random.randint(1, 4))]
        boxes: list[Sandbox] = []
        for at in range(self._random.randint(1, 6)):
            make = host.run if runs else host.create
            box = make(f"c{at}", **self._container(nets, boxes, at))
            boxes.append(box)
            if self._chance(0.2) and box.mode == "network":
                self._connect(host, box, nets)

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _odd(self) -> str:
        return self._random.choice(ODD)

    def _network(self, host: Host, at: int) -> Network:
        asked: dict[str, Any] = {"labels": {LABEL: self._odd()}}
        if self._chance(0.6):
            asked["subnet"] = f"10.{at}.0.0/{self._random.choice((16, 24))}"
            if self._chance(0.3):
                asked["ip_range"] = f"10.{at}.0.128/25"
            if self._chance(0.3):
                asked["gateway"] = f"10.{at}.0.77"
            if self._chance(0.3):
                asked["aux_addresses"] = {"router": f"10.{at}.0.200"}
        if self._parents and self._chance(0.3):
            asked["driver"] = "macvlan"
            asked["options"] = {"parent": self._random.choice(self._parents)}
        else:
            asked["internal"] = self._chance(0.2)
            asked["options"] = self._bridge_options()
        asked["ipv6"] = self._chance(0.3)
        asked["attachable"] = self._chance(0.2)
        return host.create_network(f"n{at}{self._random.choice(('', '-x', '_x'))}", **asked)

    def _bridge_options(self) -> dict[str, str]:
        bridge = "com.docker.network.bridge."
        known = {
            bridge + "enable_icc": "false",
            bridge + "enable_ip_masquerade": "false",
            bridge + "host_binding_ipv4": "127.0.0.1",
            "com.docker.network.driver.mtu": "1400",
            "com.docker.network.container_iface_prefix": "net",
        }
        return {key: value for key, value in known.items() if self._chance(0.2)}

    def _container(self, nets: list[Network], boxes: list[Sandbox], at: int) -> dict[str, Any]:
        asked: dict[str, Any] = {
            "command": ["sh", "-c", "exec sleep 99999", self._odd()],
            "environment": [f"{self._random.choice('AB')}={self._odd()}"],
            "labels": {LABEL: self._odd()},
        }
        owners = [box.name for box in boxes if box.mode == "network"]
        if owners and self._chance(0.15):
            return {**asked, "network": f"container:{self._random.choice(owners)}"}
        if self._chance(0.15):
            return {**asked, "network": self._random.choice(("host", "none"))}
        asked.update(self._names(at))
        if self._chance(0.3):
            asked["publish"] = [f"127.0.0.1:{8000 + at}:80", f"{9000 + at}:53/udp"]
        if self._chance(0.3):
            asked["exposed"] = ["7000-7002", "9/udp"]
        if self._chance(0.2):
            return asked  # the default network
        chosen = self._random.sample(nets, self._random.randint(1, len(nets)))
        asked["network"] = [self._place(net, boxes, at) for net in chosen]
        return asked

    def _names(self, at: int) -> dict[str, Any]:
        known = {
            "hostname": f"h{at}",
            "domainname": "example.test",
            "dns": "192.0.2.53",
            "dns_search": ["example.test"],
            "dns_options": ["ndots:2"],
            "extra_hosts": {"a.test": "192.0.2.9", "gate": "host-gateway"},
            "mac": f"02:42:00:00:00:{at:02x}",
            "sysctls": {"net.ipv4.ip_unprivileged_port_start": "80"},
            "cap_add": ["NET_ADMIN"],
            "cap_drop": ["MKNOD"],
            "restart": "on-failure:3",
            "health_cmd": "true $X",
            "log_opt": ["max-size=300k", "max-file=2"],
            "stop_timeout": 0,
            "stop_signal": "KILL",
            "working_dir": "/tmp",
            "publish_all": True,
        }
        return {key: value for key, value in known.items() if self._chance(0.15)}

    def _place(self, net: Network, boxes: list[Sandbox], at: int) -> str:
        words = [f"name={net.name}"]
        pool = net.pool(4)
        if pool is not None and pool.given and self._chance(0.3):
            words.append(f"ip={pool.subnet.network_address + 130 + at}")
        if self._chance(0.3):
            words += [f"alias=a{at}", "alias=shared"]
        if self._chance(0.1):
            words.append("gw-priority=3")
        return ",".join(words)

    def _connect(self, host: Host, box: Sandbox, nets: list[Network]) -> None:
        free = [net for net in nets if box.attachment(net) is None]
        if free:
            host.connect(free[0], box, aliases=["late"] if self._chance(0.5) else None)
