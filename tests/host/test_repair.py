"""Check and repair: whatever a foreign hand takes away is named, and put back as it was.

A shop on a dual-stack network, with the internet behind the host's LAN. Each test damages one thing
with the administrator's own tools, sees that `check` names it, and that after `repair` the kernel's
state is what it was, in every namespace, and packets flow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from plumb import Host
from plumb.errors import PlumbError
from tests import labs
from tests.host.trial_hosts import host, plumb, tried
from tests.labs import INTERNET, INTERNET6, Lab

BRIDGE_NAME = "com.docker.network.bridge.name"


@dataclass
class Shop:
    """A lab with a network br-shop and two containers, web and db."""

    lab: Lab
    host: Host

    def state(self) -> dict[str, list[str]]:
        """The kernel's state in the host and in the containers."""
        return labs.state({box.name: self.host.namespace(box) for box in self.host.containers()})

    def damage(self, command: str, box: str = "") -> None:
        """Run a shell line, in the host or in a container.

        {veth}, {netns} and {folder} are web's.
        """
        web = self.host.container("web")
        known = {
            "veth": self.host.endpoints(web)[0].link,
            "netns": self.host.namespace(web),
            "folder": self.host.layout.container(web.id),
        }
        line = command.format(**known)
        self.lab.inside(self.host, box, line) if box else labs.sh(line)

    def flows(self) -> bool:
        """Whether web reaches db and the internet, in both families."""
        db = self.host.endpoints(self.host.container("db"))[0]
        assert db.ip is not None
        assert db.ip6 is not None
        line = " && ".join(
            f"ping -q -c1 -W10 {ip}" for ip in (db.ip.ip, INTERNET, db.ip6.ip, INTERNET6)
        )
        return bool(
            self.lab.inside(self.host, "web", f"{line} && echo yes", check=False).endswith("yes\n")
        )


@pytest.fixture
def shop(lan: Lab) -> Iterator[Shop]:
    """The shop, open."""
    with lan.host() as known:
        known.create_network(
            "shop",
            subnet=["10.9.0.0/24", "2001:db8:9::/64"],
            ipv6=True,
            options={BRIDGE_NAME: "br-shop", "com.docker.network.advertise_addr_nmsgs": "0"},
        )
        for name in ("web", "db"):
            known.run(name, network="shop")
        yield Shop(lan, known)


DAMAGES = {
    "a veth is deleted": ("ip link del {veth}", "", "missing: veth "),
    "a veth is taken off its bridge": ("ip link set {veth} nomaster", "", "changed: veth "),
    "a veth is down": ("ip link set {veth} down", "", "changed: veth "),
    "the bridge is deleted": ("ip link del br-shop", "", "missing: bridge br-shop"),
    "the bridge is down": ("ip link set br-shop down", "", "missing: link br-shop up"),
    "the bridge has lost its address": (
        "ip addr del 10.9.0.1/24 dev br-shop",
        "",
        "missing: address 10.9.0.1/24",
    ),
    "the bridge has lost its IPv6 address": (
        "ip addr del 2001:db8:9::1/64 dev br-shop",
        "",
        "missing: address 2001:db8:9::1/64",
    ),
    "a container's link is down": ("ip link set eth0 down", "web", "missing: link eth0 up"),
    "a container's loopback is down": ("ip link set lo down", "web", "missing: link lo up"),
    "a container has lost its address": (
        "ip addr flush dev eth0",
        "web",
        "missing: address 10.9.0.2/24",
    ),
    "a container has lost its route": ("ip route del default", "web", "missing: route default"),
    "a container's route leads elsewhere": (
        "ip route replace default via 10.9.0.3",
        "web",
        "changed: route default",
    ),
    "a container's IPv6 route is gone": (
        "ip -6 route del default",
        "web",
        "missing: route default via 2001:db8:9::1",
    ),
    "a container's routes are flushed": (
        "ip route flush table main",
        "web",
        "changed: address 10.9.0.2/24 on eth0 (it is: address 10.9.0.2/24 on eth0 without ",
    ),
    "a container's IPv6 routes are flushed": (
        "ip -6 route flush table main",
        "web",
        "changed: address 2001:db8:9::2/64 on eth0 (it is: ",
    ),
    "the host's routes to a network are flushed": (
        "ip route flush dev br-shop",
        "",
        "changed: address 10.9.0.1/24 on br-shop (it is: ",
    ),
    "a rule amid others is gone": (
        "iptables -D PLUMB-FORWARD 2",
        "",
        "missing: -A PLUMB-FORWARD -j PLUMB-INTERNAL",
    ),
    "a rule stands where it should not": (
        "iptables -D PLUMB-FORWARD -j PLUMB-BRIDGE; iptables -A PLUMB-FORWARD -j PLUMB-BRIDGE",
        "",
        "out of order: ",
    ),
    "the filter table is flushed": ("iptables -F", "", "missing: -I FORWARD -j PLUMB-USER"),
    "all of the filter table is gone": (
        "iptables -F; iptables -X; iptables -P FORWARD ACCEPT",
        "",
        "chain filter/PLUMB-FORWARD",
    ),
    "the nat table is flushed": ("iptables -t nat -F", "", "-j MASQUERADE"),
    "the raw table is flushed": ("iptables -t raw -F", "", "-d 10.9.0.2/32 ! -i br-shop -j DROP"),
    "the IPv6 tables are flushed": (
        "ip6tables -F; ip6tables -t nat -F; ip6tables -t raw -F",
        "",
        "2001:db8:9::2/128",
    ),
    "the policy is changed": (
        "iptables -P FORWARD ACCEPT",
        "",
        "changed: iptables policy filter/FORWARD DROP",
    ),
    "forwarding is off": (
        "sysctl -qw net.ipv4.ip_forward=0",
        "",
        "changed: sysctl net/ipv4/ip_forward = 1 (it is: ",
    ),
    "IPv6 forwarding is off": (
        "sysctl -qw net.ipv6.conf.all.forwarding=0",
        "",
        "changed: sysctl net/ipv6/conf/all/forwarding = 1",
    ),
    "a setting of the bridge is changed": (
        "sysctl -qw net.ipv6.conf.br-shop.accept_ra=2",
        "",
        "conf/br-shop/accept_ra = 0",
    ),
    "a setting of a container is changed": (
        "sysctl -qw net.ipv4.ip_unprivileged_port_start=1024",
        "web",
        "changed: sysctl net/ipv4/ip_unprivileged_port_start = 0",
    ),
    "a namespace is not held any more": ("umount {netns}", "", "missing: namespace "),
    "a namespace's file is gone": ("umount {netns}; rm {netns}", "", "missing: namespace "),
    "the hosts file is gone": ("rm {folder}/hosts", "", "missing: file "),
    "the hosts file is half written": (
        "rm {folder}/hosts.own; : > {folder}/hosts",
        "",
        "changed: file ",
    ),
    "the hostname file is changed": ("echo other > {folder}/hostname", "", "changed: file "),
    "all of a container's files are gone": ("rm -r {folder}", "", "missing: directory "),
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("what", DAMAGES)
def test_damage_is_named_and_mended(what: str, shop: Shop) -> None:
    """`check` names what is missing or changed, with exit status 1.

    `repair` makes the state what it was.
    """
    command, box, said = DAMAGES[what]
    before = shop.state()
    assert shop.flows()
    assert tried(shop.lab, "check") == (0, "")
    shop.damage(command, box)
    status, printed = tried(shop.lab, "check")
    assert (status, said in printed) == (1, True), printed
    assert said in plumb(shop.lab, "repair")
    assert shop.state() == before
    assert tried(shop.lab, "check") == (0, "")
    assert shop.flows()


def test_damage_is_no_reason_to_stay(shop: Shop) -> None:
    """Containers and networks can be removed whatever has been taken away before."""
    shop.damage("ip link del {veth}; ip link del br-shop; umount {netns}; rm -r {folder}")
    labs.sh(
        "for tool in iptables ip6tables; do "
        "for table in filter nat raw; do $tool -t $table -F; done; done"
    )
    plumb(shop.lab, "rm", "-f", "web", "db")
    plumb(shop.lab, "network", "rm", "shop")
    assert "br-shop" not in str(labs.state())


# -- the user's own ---------------------------------------------------------------

USERS = "-A PLUMB-USER -s 203.0.113.0/24 -j DROP"


def test_the_users_rules_survive_everything(lan: Lab) -> None:
    """What stands in PLUMB-USER is there after create, rm and repair.

    A reset leaves it in its chain.
    """
    plumb(lan, "network", "create", "first")
    labs.sh(f"iptables {USERS}")
    for argv in (
        ("network", "create", "second"),
        ("run", "-d", "--name", "web", "--network", "second"),
        ("repair",),
        ("rm", "-f", "web"),
        ("network", "rm", "first"),
        ("reset", "--force"),
        ("network", "create", "again"),
        ("repair",),
        ("reset", "--force"),
    ):
        plumb(lan, *argv)
        assert labs.sh("iptables -S PLUMB-USER").splitlines() == ["-N PLUMB-USER", USERS], argv


def test_an_empty_users_chain_goes_with_a_reset(lan: Lab) -> None:
    """PLUMB-USER is not left behind where nobody has used it."""
    plumb(lan, "network", "create", "first")
    plumb(lan, "reset", "--force")
    assert "PLUMB" not in labs.sh("iptables-save; ip6tables-save")


# -- what is not plumb's ---------------------------------------------------------------


def test_an_interface_that_is_no_bridge_is_refused(lan: Lab) -> None:
    """A network whose bridge's name is another interface's is refused, and nothing has changed."""
    labs.sh("ip link add taken type veth peer name other")
    plumb(lan, "network", "create", "first")
    before = labs.state()
    status, printed = tried(lan, "network", "create", "-o", f"{BRIDGE_NAME}=taken", "second")
    assert (status, "existing interface taken is not a bridge" in printed) == (1, True), printed
    assert labs.state() == before


def test_a_bridge_that_was_there_is_used_and_survives(lan: Lab) -> None:
    """A network may use the administrator's bridge.

    Neither `network rm` nor a reset takes it or its address away.
    """
    labs.sh("ip link add br-mine type bridge; ip link set br-mine up")
    labs.sh(
        "ip link add port type veth peer name far; ip link set port master br-mine up; "
        "ip link set far up"
    )
    labs.sh("ip addr add 10.50.0.1/24 dev br-mine; ip addr add 10.51.0.1/24 dev br-mine")
    before = host(lan)
    create = (
        "network",
        "create",
        "-o",
        f"{BRIDGE_NAME}=br-mine",
        "--subnet",
        "10.50.0.0/24",
        "mine",
    )
    run = ("run", "-d", "--name", "web", "--network", "mine")
    plumb(lan, *create)
    plumb(lan, *run)
    with lan.host() as known:
        lan.inside(known, "web", "ping -q -c1 -W10 10.50.0.1")
    plumb(lan, "rm", "-f", "web")
    plumb(lan, "network", "rm", "mine")
    assert labs.sh("ip -br link show br-mine; ip -4 -br addr show br-mine").count("br-mine") == 2
    plumb(lan, *create)
    plumb(lan, *run)
    plumb(lan, "reset", "--force")
    assert host(lan) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("br-shop", "ip link add br-shop type bridge"),
        ("br-shop", "ip link add br-shop type veth peer name other"),
        ("{veth}", "ip link add {veth} type bridge"),
        ("{veth}", "ip link add {veth} type veth peer name other"),
    ],
)
def test_a_foreign_link_of_the_same_name_is_left_alone(old: str, new: str, shop: Shop) -> None:
    """A link that somebody made in the place of one of plumb's is neither adopted nor deleted."""
    shop.damage(f"ip link del {old}; {new}; ip link show {old} > {{folder}}/link")
    assert "missing: " in tried(shop.lab, "check")[1]
    status, printed = tried(shop.lab, "repair")
    assert (status, "exists" in printed) == (1, True), printed
    with pytest.raises(AssertionError, match="does not exist"):
        shop.damage(f"ip link show {old} | grep -q master || ip link show no-such-link")
    plumb(shop.lab, "reset", "--force")
    links = labs.sh("ip -br link")
    assert ("br-shop" in links, "veth" in links) == (old == "br-shop", old != "br-shop")


# -- forwarding ---------------------------------------------------------------

FORWARDING = (
    "sysctl -n net.ipv4.ip_forward net.ipv6.conf.all.forwarding net.ipv6.conf.default.forwarding "
    "net.ipv6.conf.eth0.forwarding"
)


def forwarding() -> tuple[str, str, str]:
    """Whether the host forwards, and the policies of both FORWARD chains."""
    policies = [
        labs.sh(f"{tool} -S FORWARD").splitlines()[0].split()[-1]
        for tool in ("iptables", "ip6tables")
    ]
    return " ".join(labs.sh(FORWARDING).split()), policies[0], policies[1]


@pytest.mark.parametrize(
    ("prepare", "meanwhile"),
    [
        ("true", ("1 1 1 1", "DROP", "DROP")),
        ("sysctl -qw net.ipv4.ip_forward=1", ("1 1 1 1", "ACCEPT", "DROP")),
        ("sysctl -qw net.ipv6.conf.all.forwarding=1", ("1 1 1 1", "DROP", "ACCEPT")),
        ("iptables -P FORWARD DROP", ("1 1 1 1", "DROP", "DROP")),
        ("sysctl -qw net.ipv4.ip_forward=1; iptables -P FORWARD DROP", ("1 1 1 1", "DROP", "DROP")),
        pytest.param(
            "sysctl -qw net.ipv6.conf.eth0.forwarding=1",
            ("1 1 1 1", "DROP", "DROP"),
            marks=pytest.mark.xfail(
                reason=(
                    "the kernel sets all links' forwarding with conf/all; "
                    "what single links had before is not on record"
                )
            ),
        ),
    ],
)
def test_forwarding_is_as_before_after_a_reset(
    prepare: str, meanwhile: tuple[str, str, str], lan: Lab
) -> None:
    """plumb makes the host a router; the policy turns to DROP only where it was none.

    A reset restores both.
    """
    labs.sh(prepare)
    before = forwarding()
    plumb(lan, "network", "create", "first", "--ipv6")
    plumb(lan, "network", "create", "second", "--ipv6")
    assert forwarding() == meanwhile
    plumb(lan, "network", "rm", "first")
    assert forwarding() == meanwhile
    plumb(lan, "reset", "--force")
    assert forwarding() == before


def test_a_repair_that_cannot_be_done_says_so(shop: Shop) -> None:
    """A repair that fails at a step changes nothing, and says what is in its way."""
    shop.damage("ip link del br-shop; ip link add br-shop type veth peer name other")
    before = shop.state()
    with pytest.raises(PlumbError, match="br-shop"):
        shop.host.repair()
    assert shop.state() == before
