"""Lab: a fake host with plumb, networks, containers and a LAN, described in code, a line each.

    def test_the_shop(lab):
        lab.network("backend", internal=True)
        db = lab.container("db", networks=["backend"])
        web = lab.container(
            "web", networks=["backend", lab.network("frontend")], publish=["8080:80"]
        )
        client = lab.lan().client

        assert web.reaches(db, tcp=5432)
        assert client.reaches(lab.host, tcp=8080)
        assert not client.reaches(db, tcp=5432)

The host is a set of namespaces that goes away with the process that is in it
(`kernel.netns.fake_host`). pytest itself stays where it is: it sends requests to that process over
a stream, and is never in any of the lab's namespaces.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, TypeVar, cast

from plumb.address import IPAddress
from plumb.frozen import frozen
from plumb.pytest_plugin import forkserver_client, waiting
from plumb.pytest_plugin.commands import Command, Ran
from plumb.pytest_plugin.nodes import Container, Node
from plumb.pytest_plugin.reach import Reach
from plumb.pytest_plugin.values import CLIENT, HOST, INTERNET, ROUTER, Asked
from plumb.pytest_plugin.waiting import wait

if TYPE_CHECKING:
    from plumb.engine.host import Host
    from plumb.lab.hosts import Hosts

T = TypeVar("T")


def _on_lan(driver: str) -> bool:
    """Tell whether a driver's containers are on the segment of a link of the host."""
    from plumb.drivers import DRIVERS

    return driver in DRIVERS and DRIVERS[driver].on_lan


@frozen
class Net:
    """A network of the lab, by its name."""

    name: str

    def __str__(self) -> str:
        return self.name


@frozen
class Lan:
    """The wire before the host, and who is on it.

    Attributes:
        router: the router, by whom the host and the client get out.
        client: another machine beside the host.
        internet: an address behind the router.
    """

    router: Node
    client: Node
    internet: Node


class Lab:
    """A fake host.

    Attributes:
        host: the host itself as a place.
        plumb: plumb on it: the methods of `plumb.Host`, by name; what they return are plumb's own
        values.
        driver: the driver of networks that name none.
        family: the address family that is meant where a test names none: 4 or 6.
        judged: the outcomes that the test has looked at, for its failure's story.
    """

    def __init__(
        self,
        *,
        settings: Mapping[str, Any] | None = None,
        driver: str = "bridge",
        family: int = 4,
        strict: bool = False,
    ) -> None:
        self._strict = strict
        self.driver, self.family = driver, family
        self.judged: list[Reach] = []
        self._kept: list[Command] = []
        self._hosts: list[Hosts] = []
        self.born = forkserver_client.the().bear(settings or {})
        self.host = Node(self, HOST)
        self.plumb = cast("Host", Remote(self))

    def ask(self, verb: str, *args: Any, **named: Any) -> Any:
        """Have something done by the host's own process, a verb of `inside.answers.Answers`.

        What it answers.
        """
        __tracebackhide__ = True
        return self.born.line.ask((verb, args, named))[0]

    # -- describing it ---------------------------------------------------------------

    def network(
        self,
        name: str,
        *,
        driver: str = "",
        parent: str = "",
        options: Mapping[str, str] | None = None,
        **asked: Any,
    ) -> Net:
        """Make a network.

        Args:
            name: its name.
            driver: "bridge", "macvlan", "ipvlan"; the lab's where none is named.
            parent: of macvlan and ipvlan: a link of the host; the lab's LAN where none is named.
            options: driver options, as `-o` has them.
            asked: what `Host.create_network` takes: subnet, gateway, internal, ipv6, …

        Raises:
            PlumbError: plumb refuses.
        """
        __tracebackhide__ = True
        kind = driver or self.driver
        given = dict(options or {})
        if _on_lan(kind) and not asked.get("internal"):
            given.setdefault("parent", parent or self._wire())
        if self.family == 6:
            asked.setdefault("ipv6", True)
        self.ask("plumb", "create_network", name, driver=kind, options=given, **asked)
        return Net(name)

    def _wire(self) -> str:
        self.lan()
        return "eth0"

    def container(
        self,
        name: str,
        *,
        networks: object = (),
        publish: str | Sequence[str] = (),
        command: str | Sequence[str] = (),
        **asked: Any,
    ) -> Container:
        """Run a container; without a command the sandbox just stays.

        Args:
            name: its name.
            networks: a network or several, by name, as `lab.network` gave them, or as
            `plumb.Attachment`; none: the default network.
            publish: ports, as `-p` takes them: "8080:80".
            command: its own command, a line for the shell or words; it has a container's rights,
            not all.
            asked: further fields of `plumb.Sandbox`.

        Raises:
            PlumbError: plumb refuses.
        """
        __tracebackhide__ = True
        wished = (
            [networks]
            if isinstance(networks, str | Net) or not isinstance(networks, Iterable)
            else networks
        )
        words = ["sh", "-c", command] if isinstance(command, str) and command else list(command)
        self.ask(
            "plumb",
            "run",
            name,
            network=[str(each) if isinstance(each, Net) else each for each in wished],
            publish=publish,
            command=words,
            **asked,
        )
        return Container(self, name)

    def lan(self) -> Lan:
        """The LAN that the host is on, with a router and a client.

        It is made when it is first asked for.
        """
        __tracebackhide__ = True
        self.ask("lan")
        return Lan(Node(self, ROUTER), Node(self, CLIENT), Node(self, INTERNET))

    def hosts(self, count: int, between: str = "switch", mtu: int | None = None) -> Hosts:
        """Several hosts beside the lab's own, h1, h2, …, which end with it.

        Args:
            count, between, mtu: as `plumb.lab.hosts.Hosts` has them.

        Raises:
            PlumbError: there can be no such hosts.
        """
        __tracebackhide__ = True
        from plumb.lab.hosts import Hosts

        made = Hosts(count, between, mtu)
        self._hosts.append(made)
        return made

    @contextmanager
    def operation(self) -> Iterator[None]:
        """Networks and containers of a with block as one operation of plumb's.

        All of them or none, and in half the time.
        """
        __tracebackhide__ = True
        self.ask("begin")
        try:
            yield
        except BaseException:
            self.ask("abandon")
            raise
        self.ask("commit")

    # -- using it ---------------------------------------------------------------

    def __getitem__(self, name: str) -> Container:
        """The container of that name."""
        return Container(self, self.plumb.container(name).name)

    def cli(self, *argv: str, check: bool = True) -> Ran:
        """The command line on the host; what came of it.

        Raises:
            CommandFailed: it refused.
        """
        __tracebackhide__ = True
        return self.host.run(
            [sys.executable, "-m", "plumb", *argv], check=check, env=self.ask("environment")
        )

    def wait(self, condition: Callable[[], T], what: str, seconds: float = 10.0) -> T:
        """Wait until a condition holds; what it gave.

        Args:
            condition: gives something true when it holds; an assertion of its own that fails counts
            as "not yet".
            what: what is waited for, for the message.
            seconds: how long, before --plumb-slow.

        Raises:
            Waited: it does not hold in time; the message has what it gave last.
        """
        __tracebackhide__ = True
        return wait(condition, what, seconds)

    def require(self, *features: str) -> None:
        """Skip the test where the kernel lacks one of these; with --plumb-strict it fails."""
        __tracebackhide__ = True
        from plumb.pytest_plugin.requirements import require

        require(features, strict=self._strict)

    def address_for(self, source: str, target: str, family: int) -> IPAddress | None:
        """The address by which one place would look for another; None where that has none."""
        text = self.ask("address_for", source, target, family)
        return ip_address(text) if text else None

    def knock(self, asked: Asked, seconds: float) -> Reach:
        """Try whether one place reaches another."""
        __tracebackhide__ = True
        return Reach(self, self.ask("reach", asked, seconds * waiting.slow))

    def keep(self, command: Command) -> Command:
        """Let go of a command when the lab ends."""
        self._kept.append(command)
        return command

    # -- ending it ---------------------------------------------------------------

    @property
    def descriptors(self) -> set[int]:
        """File descriptors that pytest holds for the lab."""
        return (
            self.born.descriptors
            | {descriptor for command in self._kept for descriptor in command.descriptors}
            | {hosts.descriptor for hosts in self._hosts}
        )

    def close(self) -> None:
        """End it, and all that runs in it."""
        while self._hosts:
            self._hosts.pop().close()
        self.born.end()
        while self._kept:
            self._kept.pop().close()


class Remote:
    """plumb's `Host`, in the lab."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        if verb.startswith("_"):
            raise AttributeError(verb)
        return partial(self._lab.ask, "plumb", verb)
