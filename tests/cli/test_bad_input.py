"""Nonsense on the command line and in settings files.

One line on stderr, Docker's exit status, and nothing left behind.

The first half draws nonsense by the thousand and plays it in this process, on a kernel that is a
dict. The second half plays a table of hand-picked nonsense for real, on a lab host, and looks at
the host with the system's own tools."""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from plumb import cli
from plumb.engine.host import Host
from plumb.kernel.memory import MemoryKernel
from tests.labs import Lab, mounts, state
from tests.sampling import share

quick = settings(
    max_examples=share(100),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


class Bench:
    """The command line in this process, on a kernel of memory.

    A network `base` and a container `box` on it.
    """

    def __init__(self, folder: Path) -> None:
        self.root, self.config, self.kernel = (
            folder / "root",
            folder / "config.json",
            MemoryKernel(),
        )
        self.config.write_text("{}")
        for line in (
            "network create base --subnet 10.1.0.0/24",
            "run -d --name box --network base",
        ):
            assert self.play(*line.split())[0] == 0

    def play(self, *argv: str) -> tuple[int, str]:
        """Run a command line; its exit status and what it said on stderr."""
        status, _, complaints = self._played(*argv)
        return status, complaints

    def say(self, *argv: str) -> tuple[int, str]:
        """Run a command line; its exit status and what it printed."""
        status, printed, _ = self._played(*argv)
        return status, printed

    def _played(self, *argv: str) -> tuple[int, str, str]:
        printed, complaints = io.BytesIO(), io.StringIO()
        out = io.TextIOWrapper(printed, "utf-8")
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(complaints),
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setenv("PLUMB_ROOT", str(self.root))
            patch.setattr("plumb.engine.host.Host", functools.partial(Host, kernel=self.kernel))
            status = cli.main(["--config", str(self.config), *argv])
        out.flush()
        return status, printed.getvalue().decode(), complaints.getvalue()

    def shape(self) -> tuple[Any, ...]:
        """All that is in the kernel and in the store."""
        with contextlib.closing(sqlite3.connect(self.root / "plumb.db")) as db:
            tables = [
                name
                for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
            rows = {name: sorted(map(str, db.execute(f"SELECT * FROM {name}"))) for name in tables}
        return rows, dict(self.kernel.things)

    def tidy(self) -> None:
        """Take away what a command line that made sense has made."""
        with Host(self.root, settings={}, kernel=self.kernel) as host:
            for box in host.containers():
                if box.name != "box":
                    host.remove(box.id, force=True)
            for wish in host.container("box").attachments:
                if host.network(wish.network).name != "base":
                    host.disconnect(wish.network, "box")
            host.prune_networks()

    def hold(self, *argv: str) -> None:
        """Either it is accepted without a word of error and can be taken back, or it is refused as
        it should be."""
        before = self.shape()
        status, complaints = self.play(*argv)
        if status == 0:
            assert not complaints or complaints.startswith("plumb: warning: "), complaints
            self.tidy()
            assert self.kernel.things == before[1]
        else:
            refused(status, complaints, argv)
            assert self.shape() == before


WRONG_FLAG = re.compile(
    "plumb: (invalid argument .* flag: |unknown .*flag: |flag needs )", re.DOTALL
)


def refused(status: int, complaints: str, argv: tuple[str, ...]) -> None:
    """One line, and the exit status that Docker has for it."""
    broken_template = argv[0] in ("inspect", "network") and "template: :" in complaints
    wrong_flag = WRONG_FLAG.match(complaints) is not None
    expected = {1, 64} if broken_template else {125 if argv[0] == "run" or wrong_flag else 1}
    assert status in expected, (status, complaints)
    assert complaints.endswith("\n"), complaints
    assert complaints.count("\n") == 1, complaints
    assert complaints.startswith("plumb: "), complaints
    assert "Traceback" not in complaints


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


# -- nonsense, drawn ---------------------------------------------------------------


NASTY = (
    "",
    " ",
    "\n",
    "\t",
    "-",
    "--",
    "-x",
    "--help",
    "=",
    "a=b",
    "a=",
    "=b",
    ",",
    ":",
    "/",
    "..",
    "a/b",
    "a b",
    "%d",
    "%s",
    "%n",
    "$(id)",
    "`id`",
    "; id",
    "'",
    '"',
    "\\",
    "\x1b[31m",
    "\x7f",
    "a\nb",
    "a\r\nb",
    "\u202e",
    "\U0001f600",
    "é",
    "٣",
    "x" * 10_000,
    "0",
    "-1",
    "1e9",
    "0x10",
    "1_000",
    "99999999999999999999",
    "9" * 5000,
    "nan",
    "true",
    "yes",
    "null",
    "localhost",
    "example.org",
    "lo",
    "eth0",
    "all",
    "default",
    "bridge",
    "host",
    "none",
    "container:",
    "container:box",
    "base",
    "box",
    "10.1.0.0/24",
    "10.1.0.0/25",
    "10.0.0.0/8",
    "10.7.0.0/24",
    "10.7.0.1/24",
    "10.7.0.0/33",
    "10.7.0.0/31",
    "10.7.0.0/32",
    "10.7.0.5",
    "10.7.0.255",
    "10.7.0.0",
    "10.1.0.7",
    "10.1.0.1",
    "10.07.0.1",
    "10.7.0",
    "0.0.0.0",
    "0.0.0.0/0",
    "::",
    "::/0",
    "127.0.0.1",
    "127.0.0.0/8",
    "224.0.0.1",
    "224.0.0.0/4",
    "255.255.255.255",
    "169.254.1.1",
    "ff02::1",
    "ff00::/8",
    "fe80::1",
    "fe80::/10",
    "fe80::1%eth0",
    "::1",
    "::ffff:10.1.0.1",
    "fd07::/64",
    "fd07::1",
    "fd07::/129",
    "1:2:3",
    "02:00:00:00:00:01",
    "01:00:00:00:00:01",
    "00:00:00:00:00:00",
    "02-00-00-00-00-01",
    "80",
    "80:80",
    "80:",
    ":80",
    "80-79",
    "65536:80",
    "[::1:80:80",
    "80:80/tcp",
    "80:80/icmp",
    "8000-8010:80-81",
    "target=80",
    "target=",
    "target=80,published=90,mode=x",
    "name=base",
    "name=",
    "name=base,ip=10.1.0.9",
    "name=base,ip=",
    "name=base,alias=",
    "alias=x",
    'name=base,"',
    "name=base,name=bridge",
    "com.docker.network.bridge.nmae=x",
    "com.docker.network.bridge.name=",
    "com.docker.network.bridge.name=a/b",
    "com.docker.network.driver.mtu=x",
    "com.docker.network.driver.mtu=67",
    "com.docker.network.container_iface_prefix=",
    "com.docker.network.endpoint.ifname=eth0",
    "com.docker.network.endpoint.ifname=a b",
    "com.docker.network.endpoint.sysctls=x",
    "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.x=1",
    "net.ipv4.ip_forward=1",
    "net.ipv4.conf.eth0.forwarding=1",
    "kernel.hostname=x",
    "net.ipv4..x=1",
    "net.ipv4.ip_forward",
    "NET_ADMIN",
    "CAP_NOPE",
    "ALL",
)
words = st.one_of(
    st.sampled_from(NASTY),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30),
    st.integers(-(2**70), 2**70).map(str),
    st.ip_addresses().map(str),
    st.tuples(st.ip_addresses(), st.integers(-1, 130)).map(lambda pair: f"{pair[0]}/{pair[1]}"),
)

CREATE = (
    "--driver",
    "--subnet",
    "--ip-range",
    "--gateway",
    "--aux-address",
    "--internal",
    "--ipv4",
    "--ipv6",
    "--attachable",
    "-o",
    "--opt",
    "--label",
    "--dry-run",
    "--show-commands",
    "--nonsense",
)
RUN = (
    "--name",
    "--network",
    "--net",
    "--ip",
    "--ip6",
    "--mac-address",
    "--link-local-ip",
    "--network-alias",
    "-h",
    "--hostname",
    "--domainname",
    "--dns",
    "--dns-search",
    "--dns-option",
    "--add-host",
    "--link",
    "-p",
    "--publish",
    "-P",
    "--expose",
    "--cap-add",
    "--cap-drop",
    "--privileged",
    "--sysctl",
    "-e",
    "-l",
    "--rm",
    "--dry-run",
    "--nonsense",
)
CONNECT = (
    "--ip",
    "--ip6",
    "--alias",
    "--link",
    "--link-local-ip",
    "--driver-opt",
    "--gw-priority",
    "--dry-run",
    "--nonsense",
)
FLAGS = frozenset(
    {
        "--internal",
        "--attachable",
        "--dry-run",
        "--show-commands",
        "-P",
        "--privileged",
        "--rm",
        "--ipv4",
        "--ipv6",
    }
)


def asked(options: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    """A few options with nonsense behind them."""

    def one(pair: tuple[str, str]) -> list[str]:
        option, word = pair
        if option in FLAGS:
            return [option] if not option.startswith("--ip") else [f"{option}={word}"]
        return [option, word]

    pairs = st.lists(st.tuples(st.sampled_from(options), words).map(one), max_size=3)
    return pairs.map(lambda parts: [word for part in parts for word in part])


def no_prefix(*references: str) -> None:
    """Leave out what may be the beginning of somebody's id, which is no nonsense."""
    assume(not any(re.fullmatch("[0-9a-f]{1,64}", word) for word in references))


@pytest.mark.parametrize("option", sorted({*CREATE} - FLAGS))
@quick
@given(word=words)
def test_network_create_with_one_wrong_option(bench: Bench, option: str, word: str) -> None:
    """Whatever stands behind an option of `network create`."""
    bench.hold("network", "create", option, word, "n")


@pytest.mark.parametrize("option", sorted({*RUN} - FLAGS))
@quick
@given(word=words)
def test_run_with_one_wrong_option(bench: Bench, option: str, word: str) -> None:
    """Whatever stands behind an option of `run`."""
    if option in ("--network", "--net"):
        no_prefix(word)
    bench.hold("run", "-d", "--network", "base", option, word, "true")


@pytest.mark.parametrize("option", sorted({*CONNECT} - FLAGS))
@quick
@given(word=words)
def test_network_connect_with_one_wrong_option(bench: Bench, option: str, word: str) -> None:
    """Whatever stands behind an option of `network connect`."""
    bench.hold("network", "connect", option, word, "bridge", "box")


@quick
@given(options=asked(CREATE), name=words)
def test_network_create_with_many_wrong_options(
    bench: Bench, options: list[str], name: str
) -> None:
    """Several options and the name, all nonsense."""
    bench.hold("network", "create", *options, "--", name)


@quick
@given(options=asked(RUN), command=st.lists(words, max_size=3))
def test_run_with_many_wrong_options(bench: Bench, options: list[str], command: list[str]) -> None:
    """Several options and the command, all nonsense.

    The command itself is nobody's business before it is executed.
    """
    no_prefix(
        *(word for option, word in itertools.pairwise(options) if option in ("--network", "--net"))
    )
    bench.hold("run", "-d", *options, "--", *command)


@quick
@given(options=asked(CONNECT), net=words, box=words)
def test_network_connect_with_many_wrong_options(
    bench: Bench, options: list[str], net: str, box: str
) -> None:
    """Several options, the network and the container, all nonsense."""
    no_prefix(net, box)
    bench.hold("network", "connect", *options, "--", net, box)


@pytest.mark.parametrize(
    "verb",
    [
        "network rm",
        "network inspect",
        "network disconnect base",
        "network disconnect --force nosuch",
        "start",
        "stop",
        "restart",
        "rm",
        "inspect",
        "inspect --type network",
        "network connect base",
    ],
)
@quick
@given(word=words.filter(lambda word: word not in ("box", "base")))
def test_names_of_what_is_not_there(bench: Bench, verb: str, word: str) -> None:
    """A name that nothing has."""
    no_prefix(word)
    bench.hold(*verb.split(), "--", word)


actions = st.tuples(
    st.sampled_from(("json", "len", "index", "join", "range", "if", "with", "")), words
).map(lambda pair: f"{{{{{pair[0]} {pair[1]}}}}}")


@pytest.mark.parametrize(
    "verb",
    [
        "ps --format",
        "ps --filter",
        "network ls --filter",
        pytest.param("network ls --format"),
        pytest.param("network inspect base --format"),
        pytest.param("inspect box --format"),
        pytest.param("network prune --force --filter"),
    ],
)
@quick
@given(word=st.one_of(words, actions, st.text('{}.|"\\ ()x019-', max_size=20)))
@example(word="{{len .Internal}}")
@example(word="{{index .Name 99}}")
@example(word='{{index .Name "x"}}')
@example(word="{{index .}}")
@example(word="until=99999999999999999h")
def test_formats_and_filters(bench: Bench, verb: str, word: str) -> None:
    """Templates and filters that cannot be read."""
    bench.hold(*verb.split(), word)


@pytest.mark.parametrize(
    "line",
    [
        "network inspect X",
        "network rm X",
        "network connect X box",
        "run -d --network X",
        "start X",
        "rm X",
        "inspect X",
        "network ls --format X",
    ],
)
def test_words_that_are_no_text(bench: Bench, line: str) -> None:
    """A byte that is no UTF-8 comes from the shell as a lone surrogate."""
    bench.hold(*line.replace("X", "\udcff").split())


# -- settings files ---------------------------------------------------------------


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), words),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=5,
)
KEYS = (
    "iptables",
    "ip6tables",
    "firewall-backend",
    "ip-forward",
    "ip-forward-no-drop",
    "ip-masq",
    "ipv6",
    "bridge",
    "bip",
    "fixed-cidr",
    "fixed-cidr-v6",
    "default-gateway",
    "default-gateway-v6",
    "icc",
    "ip",
    "mtu",
    "userland-proxy",
    "allow-direct-routing",
    "bridge-accept-fwmark",
    "host-gateway-ips",
    "default-address-pools",
    "default-network-opts",
    "dns",
    "dns-search",
    "dns-opts",
    "log-driver",
    "log-opts",
    "mtuu",
    "",
)


def settings_hold(folder: Path, text: str | bytes) -> None:
    """A first command with these settings: accepted, or refused in one line with nothing built."""
    file, root, kernel = folder / "config.json", folder / "root", MemoryKernel()
    file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    out, complaints = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(complaints),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("PLUMB_ROOT", str(root))
        patch.setattr("plumb.engine.host.Host", functools.partial(Host, kernel=kernel))
        status = cli.main(["--config", str(file), "network", "create", "n"])
    if status:
        refused(status, complaints.getvalue(), ("network",))
        assert not kernel.things
    for left in root.glob("plumb.db*"):
        left.unlink()


@pytest.mark.parametrize("key", KEYS)
@quick
@given(value=anything)
def test_a_setting_that_makes_no_sense(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: object
) -> None:
    """Any JSON value behind any key."""
    folder = tmp_path_factory.getbasetemp() / "settings"
    folder.mkdir(exist_ok=True)
    settings_hold(folder, json.dumps({key: value}))


@quick
@given(
    text=st.one_of(st.binary(max_size=40), anything.map(lambda value: json.dumps(value).encode()))
)
@example(text=b"[" * 100_000)
@example(text=b"\xff\xfe{}")
@example(text=b'{"mtu": ' + b"9" * 5000 + b"}")
@example(text=b'{"mtu": 1500, "mtu": 1400')
@example(text=b'{"fixed-cidr": "10.5.0.0/24", "default-gateway": "10.6.0.1"}')
@example(text=b'{"fixed-cidr": "10.5.0.0/32"}')
@example(text=b'{"default-address-pools": [{"base": "10.0.0.0/8", "size": true}]}')
def test_a_settings_file_that_is_none(
    tmp_path_factory: pytest.TempPathFactory, text: bytes
) -> None:
    """Any bytes at all."""
    folder = tmp_path_factory.getbasetemp() / "settings"
    folder.mkdir(exist_ok=True)
    settings_hold(folder, text)


# -- nonsense, for real ---------------------------------------------------------------


LABEL = "com.docker.network."
TABLE: dict[str, list[list[str]]] = {
    "names": [
        ["network", "create", ""],
        ["network", "create", "a\nb"],
        ["network", "create", "base"],
        ["network", "create", "bridge"],
        ["network", "create", "x" * 10_000],
        ["network", "create", "-x"],
        ["network", "create"],
        ["network", "create", "a", "b"],
        ["run", "-d", "--name", "a/b"],
        ["run", "-d", "--name", "box"],
        ["run", "-d", "--hostname", "a\n10.0.0.1 bank"],
        ["run", "-d", "--name", "../../etc"],
    ],
    "subnets": [
        ["network", "create", "n", *words]
        for words in (
            ["--subnet", "10.1.0.0/25"],
            ["--subnet", "10.0.0.0/8"],
            ["--subnet", "10.9.0.1/24"],
            ["--subnet", "lan"],
            ["--subnet", "224.0.0.0/8"],
            ["--subnet", "127.0.0.0/16"],
            ["--subnet", "0.0.0.0/0"],
            ["--subnet", "fd00::/64"],
            ["--ipv6", "--subnet", "fe80::/10"],
            ["--ipv4=false"],
            ["--subnet", "10.9.0.0/24", "--gateway", "10.8.0.1"],
            ["--subnet", "10.9.0.0/24", "--gateway", "10.9.0.255"],
            ["--gateway", "10.9.0.1"],
            ["--subnet", "10.9.0.0/24", "--ip-range", "10.9.0.0/16"],
            ["--subnet", "10.9.0.0/24", "--aux-address", "a=10.8.0.1"],
        )
    ],
    "options": [
        ["network", "create", "n", *words]
        for words in (
            ["--nonsense"],
            ["-d", "nonsense"],
            ["-d", "host"],
            ["-o", "x=y"],
            ["-o", LABEL + "bridge.nmae=br9"],
            ["-o", LABEL + "bridge.name=a/b"],
            ["-o", LABEL + "bridge.name=lo"],
            ["-o", LABEL + "bridge.name=plumb0"],
            ["-o", LABEL + "driver.mtu=67"],
            ["-o", LABEL + "driver.mtu=" + "9" * 5000],
            ["-o", LABEL + "bridge.enable_icc=yes"],
            ["-o", LABEL + "bridge.gateway_mode_ipv4=isolated"],
            ["--ipv6=maybe"],
        )
    ],
    "addresses": [
        ["run", "-d", *words]
        for words in (
            ["--network", "nosuch"],
            ["--network", ""],
            ["--network", "name=base,ip=x"],
            ["--network", "base", "--ip", "10.1.0.2"],
            ["--network", "base", "--ip", "10.1.0.1"],
            ["--network", "base", "--ip", "10.1.0.255"],
            ["--network", "base", "--ip", "10.2.0.9"],
            ["--network", "base", "--ip6", "fd00::9"],
            ["--ip", "172.17.0.9"],
            ["--mac-address", "01:00:00:00:00:01"],
            ["--network", "container:nosuch"],
            ["--network", "host", "--network", "base"],
            ["--dns", "dns.example.org"],
            ["--add-host", "x"],
            ["-p", "9090-9089:80"],
            ["-p", "localhost:80:80"],
        )
    ],
    "the kernel's": [
        ["run", "-d", "nosuchcommand"],
        ["run", "-d", "/etc"],
        ["run", "-d", "--sysctl", "net.nosuch.thing=1"],
        ["run", "-d", "--sysctl", "net.ipv4.ip_forward=banana"],
        ["run", "-d", "--sysctl", "kernel.hostname=x"],
        ["run", "-d", "--cap-add", "NOPE"],
        ["run", "-d", "--network", "base", "x" * 10_000],
        [
            "network",
            "connect",
            "bridge",
            "box",
            "--driver-opt",
            LABEL + "endpoint.sysctls=net.ipv4.conf.IFNAME.nosuch=1",
        ],
        ["network", "connect", "bridge", "box", "--driver-opt", LABEL + "endpoint.ifname=eth0"],
    ],
    "places": [
        ["network", "connect", "base", "box"],
        ["network", "connect", "nosuch", "box"],
        ["network", "connect", "base", "nosuch"],
        ["network", "connect", "host", "box"],
        ["network", "disconnect", "bridge", "box"],
        ["network", "rm", "base"],
        ["network", "rm", "bridge"],
        ["network", "rm", "nosuch"],
        ["rm", "box"],
        ["rm", "nosuch"],
        ["start", "nosuch"],
        ["exec", "nosuch", "true"],
        ["nosuch"],
        ["network", "nosuch"],
        ["--config", "/nonexistent", "network", "create", "n"],
    ],
    "pictures": [
        ["draw", "--nonsense"],
        ["draw", "extra"],
        ["draw", "--diff", "/nonexistent"],
        ["draw", "--diff", "/etc/hostname"],
        ["draw", "--diff", "/dev/null"],
        ["draw", "--diff", "/etc"],
        ["draw", "--html", "/nonexistent/page.html"],
        ["draw", "--html", "/etc"],
        ["draw", "--watch", "--interval", "0"],
        ["trace", "box", "nosuch"],
        ["trace", "box", "box", "--html", "/nonexistent/page.html"],
    ],
    "diagnosis": [
        ["doctor", "one"],
        ["doctor", "nosuch", "box"],
        ["doctor", "--fix", "nosuch"],
        ["doctor", "--fix", ""],
        ["doctor", "--fix", "a\nb", "--yes"],
        ["doctor", "--fix", "ip-forward-off", "--undo"],
        ["doctor", "--fix", "ip-forward-off", "--json"],
        ["doctor", "--undo", "7"],
        ["doctor", "--undo", "-1"],
        ["doctor", "--undo", "--yes"],
        ["doctor", "--from", "/nonexistent"],
        ["doctor", "--from", "/dev/null"],
        ["doctor", "--save", "/nonexistent/file"],
        ["explain", "nosuch"],
        ["explain", ""],
    ],
    "labs": [
        ["lab", "nosuch"],
        ["lab", "hosts", "0"],
        ["lab", "hosts", "999999"],
        ["lab", "hosts", "many"],
        ["lab", "hosts", "2", "--mtu", "67"],
        ["lab", "hosts", "2", "--lab", "../x"],
        ["lab", "hosts", "2", "--between", "nothing"],
        ["lab", "exec", "h1", "true"],
        ["lab", "exec", "--lab", "nosuch", "h1", "true"],
        ["lab", "exec", "--lab", "a/b", "h1", "true"],
        ["lab", "shell", "--lab", "nosuch"],
        ["lab", "run", "nosuch"],
        ["lab", "run", "../../etc/passwd"],
        ["lab", "run", ""],
        ["lab", "rm", "nosuch"],
        ["lab", "cut", "h1"],
        ["lab", "mend", "h1"],
        ["learn", "nosuch"],
        ["learn", "../order.txt"],
        ["learn", "--check", "three-tier"],
        ["learn", "--check", "nosuch"],
        ["break", "nosuch"],
        ["break", "a\nb"],
        ["break", "--level", "4"],
        ["break", "--seed", "x"],
        ["break", "--seed", "-1"],
        ["break", "--seed", "1", "none"],
        ["break", "--list", "--format", "{{.Nosuch}}"],
        ["solve"],
        ["solve", "--hint"],
        ["solve", "--show"],
        ["solve", "--hint", "--show"],
        ["solve", "extra"],
    ],
    "compose files": [
        [*words, "-f", path]
        for words in (["up"], ["compose", "config"])
        for path in ("/nonexistent.yaml", "/etc", "/dev/zero", "/etc/hostname")
    ],
}


def now() -> tuple[object, ...]:
    """The host as it is, but for whether a bridge has noticed yet that a cable is plugged in."""
    found = state()
    found["routes"] = [line.replace(" linkdown", "") for line in found["routes"]]
    return found, mounts()


@pytest.mark.parametrize("group", TABLE)
def test_nonsense_for_real(lab: Lab, group: str) -> None:
    """One line, the right exit status, and the host and plumb's own record are as before."""
    lab.plumb("network", "create", "base", "--subnet", "10.1.0.0/24")
    lab.plumb("run", "-d", "--name", "box", "--network", "base")
    lines = (["network", "ls"], ["ps", "-a", "--format", "{{.ID}} {{.State}} {{.Ports}}"])
    listed = [lab.plumb(*line).stdout for line in lines]
    before = now()
    for argv in TABLE[group]:
        ran = lab.plumb(*argv, status=None)
        refused(ran.returncode, ran.stderr, tuple(argv))
        assert ran.stdout.strip() in ("", "[]")
        assert now() == before, argv
    assert [lab.plumb(*line).stdout for line in lines] == listed
    assert lab.plumb("check").stdout == ""


def test_a_refused_first_command_leaves_no_root(lab: Lab) -> None:
    """Who has never made anything has nothing on disk either."""
    lab.plumb("network", "create", "a\nb", status=1)
    assert not lab.root.exists()
