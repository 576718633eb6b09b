"""Docker's flags and labels: what is understood, and what is refused and with which words."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumb.drivers.bridge import DRIVER as BRIDGE
from plumb.errors import Invalid
from plumb.model import container_options as own
from plumb.model import legacy_links, port_mapping
from plumb.model import parse as opt
from plumb.model.cnm import Attachment, Sandbox
from plumb.model.driver_options import BridgeOptions, GatewayMode
from plumb.model.net import attachment as attachments
from plumb.model.ports import PortBinding

# -- plain values ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((word, True) for word in ("1", "t", "T", "TRUE", "true", "True")),
        *((word, False) for word in ("0", "f", "F", "FALSE", "false", "False")),
    ],
)
def test_truth_is_what_go_takes_for_it(text: str, value: bool) -> None:
    """The twelve words of strconv.ParseBool."""
    assert opt.boolean(text) is value


@pytest.mark.parametrize("text", ["", "yes", "on", "TrUe", " true", "2"])
def test_other_words_are_no_truth(text: str) -> None:
    """Nothing else is a truth value."""
    with pytest.raises(ValueError, match="true or false"):
        opt.boolean(text)


@pytest.mark.parametrize(
    "text", ["", "1.5", "1_000", "٣", " 1", "0x10", "1e3", "9" * 30, "+", "--1"]
)
def test_what_is_no_whole_number(text: str) -> None:
    """Digits of ASCII, and not more than a machine word holds."""
    with pytest.raises(ValueError, match="not a whole number"):
        opt.whole(text)


@pytest.mark.parametrize(
    ("text", "value"), [("0", None), ("68", 68), ("1500", 1500), ("65535", 65535)]
)
def test_mtu(text: str, value: int | None) -> None:
    """0 leaves it to the kernel."""
    assert opt.mtu(text) == value


@pytest.mark.parametrize("text", ["67", "65536", "-1", "9000.0"])
def test_mtu_out_of_range(text: str) -> None:
    """68 is IPv4's least, 65535 a packet's longest."""
    with pytest.raises(ValueError, match=r"MTU|number"):
        opt.mtu(text)


@pytest.mark.parametrize("text", ["br0", "a", "br-lan.100", "x" * 15, "0", "eth0@if"])
def test_link_names(text: str) -> None:
    """15 bytes of letters, digits, and a little more."""
    assert opt.link_name(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * 16,
        "a b",
        "a/b",
        "a:b",
        "br%d",
        "eth+",
        "-x",
        "!x",
        ".",
        "..",
        "all",
        "default",
        "lo",
        "brü",
        "br0\n",
        "a\0",
    ],
)
def test_what_cannot_be_a_link_s_name(text: str) -> None:
    """What the kernel, iptables, /proc/sys or a shell would take for something else."""
    with pytest.raises(ValueError, match="link name"):
        opt.link_name(text)


def test_a_prefix_leaves_room_for_a_number() -> None:
    """Eleven bytes and four digits."""
    assert opt.link_prefix("x" * 11) == "x" * 11
    with pytest.raises(ValueError, match="link name"):
        opt.link_prefix("x" * 12)


@pytest.mark.parametrize(
    "text",
    [
        "host",
        "1.2.3",
        "1.2.3.4.5",
        "256.1.1.1",
        "01.2.3.4",
        "1.2.3.4/24",
        "",
        "fe80::1%eth0",
        "::g",
        "1:2",
        " 1.2.3.4",
    ],
)
def test_what_is_no_address(text: str) -> None:
    """Names, halves, leading zeros, zones."""
    with pytest.raises(Invalid, match="invalid IP address"):
        opt.address(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10.9.0.1/24", "it should be 10.9.0.0/24"),
        ("fd00::1/64", "it should be fd00::/64"),
        ("10.9.0.0", "no '/'"),
        ("10.9.0.0/", "bad bits after slash"),
        ("10.9.0.0/33", "prefix length out of range"),
        ("10.9.0.0/255.255.255.0", "bad bits after slash"),
        ("fd00::/129", "prefix length out of range"),
        ("", "no '/'"),
        ("lan/24", "unable to parse IP"),
        ("fe80::%eth0/64", "unable to parse IP"),
        ("10.9.0.0/-1", "bad bits after slash"),
        ("10.9.0.0/24/24", "bad bits after slash"),
    ],
)
def test_what_is_no_subnet(text: str, message: str) -> None:
    """Where only host bits are set, the message says what it should be."""
    with pytest.raises(Invalid, match=message):
        opt.network(text)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_every_address_can_be_read(ip: IPv4Address | IPv6Address) -> None:
    """What Python prints, it reads back."""
    assert opt.address(str(ip)) == ip


@pytest.mark.parametrize(
    ("text", "read"),
    [("02:42:AC:11:00:02", "02:42:ac:11:00:02"), ("02-42-ac-11-00-02", "02:42:ac:11:00:02")],
)
def test_mac(text: str, read: str) -> None:
    """In either spelling, kept in one."""
    assert opt.mac(text) == read


@pytest.mark.parametrize(
    "text",
    [
        "",
        "02:42",
        "02:42:ac:11:00:zz",
        "0242.ac11",
        "00:00:00:00:00:00",
        "01:00:5e:00:00:01",
        "ff:ff:ff:ff:ff:ff",
        "02:42:ac:11:00:02:03",
    ],
)
def test_what_no_interface_can_have_as_mac(text: str) -> None:
    """Group addresses, zeros, other lengths."""
    with pytest.raises(Invalid, match=r"is not a valid mac address|is a group address"):
        opt.mac(text)


@pytest.mark.parametrize(
    ("text", "name"), [("web", "web"), ("/web", "web"), ("a.b_c-1", "a.b_c-1"), ("1", "1")]
)
def test_container_names(text: str, name: str) -> None:
    """A leading slash is Docker's own way of writing them."""
    assert opt.object_name(text, "container") == name


@pytest.mark.parametrize("text", ["", "/", "-x", ".x", "a b", "a/b", "a\n", "é", "x" * 300, "//a"])
def test_what_is_no_container_name(text: str) -> None:
    """Docker's own rule."""
    with pytest.raises(Invalid, match="invalid container name"):
        opt.object_name(text, "container")


@pytest.mark.parametrize("text", ["test@#$", "a b", "a/b", "50%", "ü", "-x", ".."])
def test_network_names_are_nearly_free(text: str) -> None:
    """Docker allows nearly anything; it never becomes a path or a link's name."""
    assert opt.network_name(text) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "name is empty"),
        ("  ", "name is empty"),
        ("a\nb", "printable"),
        (" a", "printable"),
        ("\x1b[1m", "printable"),
        ("x" * 256, "printable"),
        ("\udcff", "printable"),
    ],
)
def test_what_is_no_network_name(text: str, message: str) -> None:
    """Blank ones, and those that would break a line."""
    with pytest.raises(Invalid, match=message):
        opt.network_name(text)


@pytest.mark.parametrize("text", ["", "a\n1.2.3.4 bank", "x" * 65, "ü" * 33])
def test_what_is_no_host_name(text: str) -> None:
    """It goes into a hosts file and to sethostname."""
    with pytest.raises(Invalid, match=r"invalid hostname|is too long"):
        opt.host_name(text)


@pytest.mark.parametrize("text", ["a b", "-x", ".", "ü", "x" * 64])
def test_host_names_are_nearly_free(text: str) -> None:
    """Docker takes what the kernel takes."""
    assert opt.host_name(text) == text


@pytest.mark.parametrize("text", ["a", "/a", "", ".x", "-x", "a b"])
def test_what_is_no_new_container_s_name(text: str) -> None:
    """One character is too short, in Docker's words."""
    with pytest.raises(Invalid, match=r"Invalid container name \(.*\), only "):
        opt.container_name(text)


@pytest.mark.parametrize(
    ("text", "domain"), [("lab.", "lab"), (" a.b ", "a.b"), (".", "."), ("a-b.c1", "a-b.c1")]
)
def test_search_domains(text: str, domain: str) -> None:
    """Without the dot at the end; the dot alone stands for none."""
    assert opt.search_domain(text) == domain


@pytest.mark.parametrize("text", ["-bad", "a..b", "a b", "a_b", "10.0.0", "", "x" * 255, "a\nb"])
def test_what_is_no_search_domain(text: str) -> None:
    """Docker's own rule: labels of letters, digits and inner hyphens."""
    with pytest.raises(Invalid, match="is not a valid domain"):
        opt.search_domain(text)


def test_the_last_of_a_repeated_key_counts() -> None:
    """At the place of the first."""
    assert opt.pairs(["a=1", "b", "a=2=3"], "label") == (("a", "2=3"), ("b", ""))


# -- labels ---------------------------------------------------------------


def test_no_labels_are_docker_s_defaults() -> None:
    """Masquerading and ICC on, NAT, eth0, three announcements a second apart."""
    assert BRIDGE.network_fields({})["bridge"] == BridgeOptions()


def test_all_the_labels() -> None:
    """Each label becomes its field."""
    found = BRIDGE.network_fields(
        {
            opt.BRIDGE + "name": "br9",
            opt.BRIDGE + "enable_ip_masquerade": "false",
            opt.BRIDGE + "enable_icc": "0",
            opt.BRIDGE + "gateway_mode_ipv4": "routed",
            opt.BRIDGE + "gateway_mode_ipv6": "isolated",
            opt.BRIDGE + "host_binding_ipv4": "127.0.0.1",
            opt.BRIDGE + "inhibit_ipv4": "t",
            opt.BRIDGE + "trusted_host_interfaces": "eth0:wg0",
            opt.PREFIX + "driver.mtu": "1400",
            opt.PREFIX + "container_iface_prefix": "net",
            opt.PREFIX + "host_ipv4": "192.0.2.9",
            opt.PREFIX + "host_ipv6": "2001:db8::9",
            opt.PREFIX + "advertise_addr_nmsgs": "1",
            opt.PREFIX + "advertise_addr_ms": "100",
        }
    )
    assert found["bridge"] == BridgeOptions(
        "br9",
        False,
        False,
        GatewayMode.ROUTED,
        GatewayMode.ISOLATED,
        IPv4Address("127.0.0.1"),
        True,
        ("eth0", "wg0"),
        1400,
        "net",
        IPv4Address("192.0.2.9"),
        IPv6Address("2001:db8::9"),
    )
    assert (found["advertise_count"], found["advertise_interval"]) == (1, 100)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("bridge.enable_icc", "yes"),
        ("bridge.gateway_mode_ipv4", "NAT"),
        ("driver.mtu", "67"),
        ("container_iface_prefix", "a/b"),
        ("host_ipv4", "::1"),
        ("host_ipv6", "1.2.3.4"),
        ("advertise_addr_nmsgs", "4"),
        ("advertise_addr_ms", "99"),
        ("advertise_addr_ms", "2001"),
        ("bridge.host_binding_ipv4", "::1%lo"),
        ("bridge.host_binding_ipv4", ""),
        ("bridge.trusted_host_interfaces", "eth0:a/b"),
        ("enable_ipv4", "perhaps"),
        ("internal", ""),
        ("host_ipv6", "fe80::1%eth0"),
    ],
)
def test_a_label_s_value_that_cannot_be_parsed(key: str, text: str) -> None:
    """Docker's words; with the remedy they have the label and the value."""
    with pytest.raises(Invalid) as refused:
        BRIDGE.network_fields({opt.PREFIX + key: text})
    said = f"{refused.value}; {refused.value.hint}"
    assert f"{opt.PREFIX}{key}" in said
    assert text in said or "must be in the range" in said


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("host_ipv4", "0.0.0.0"),
        ("host_ipv4", "224.0.0.1"),
        ("host_ipv6", "::"),
        ("host_ipv6", "ff02::1"),
    ],
)
def test_the_address_to_send_from_is_a_host_s(key: str, text: str) -> None:
    """SNAT to nothing, or to a group, would send packets that are never answered."""
    with pytest.raises(Invalid):
        BRIDGE.network_fields({opt.PREFIX + key: text})


def test_an_empty_prefix_is_eth() -> None:
    """As in Docker, where an empty label is as good as none."""
    assert (
        BRIDGE.network_fields({opt.PREFIX + "container_iface_prefix": ""})["bridge"].iface_prefix
        == "eth"
    )


def test_a_slip_of_the_pen_is_named() -> None:
    """An unknown label is refused, with the nearest that there is."""
    with pytest.raises(Invalid, match="unknown option") as caught:
        BRIDGE.network_fields({"com.docker.network.bridge.enable_icx": "false"})
    assert caught.value.hint == "did you mean com.docker.network.bridge.enable_icc?"


# -- endpoints ---------------------------------------------------------------


def test_a_name_alone_is_a_network() -> None:
    """The short form."""
    assert attachments.attachment("shop") == Attachment("shop")


def test_the_long_form() -> None:
    """Every field; a word in quotes may hold commas."""
    found = attachments.attachment(
        "name=shop,alias=a,alias=b,ip=10.9.0.5,ip6=fd09::5,mac-address=02:00:00:00:00:01,"
        "link-local-ip=169.254.1.1,gw-priority=-3,"
        '"driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.forwarding=1,net.ipv6.conf.ifname.mtu=1400"'
    )
    sysctls = (("net/ipv4/conf/IFNAME/forwarding", "1"), ("net/ipv6/conf/IFNAME/mtu", "1400"))
    assert (found.network, found.ip, found.ip6, found.mac) == (
        "shop",
        IPv4Address("10.9.0.5"),
        IPv6Address("fd09::5"),
        "02:00:00:00:00:01",
    )
    assert (found.aliases, found.link_local, found.gw_priority, found.sysctls) == (
        ("a", "b"),
        (ip_address("169.254.1.1"),),
        -3,
        sysctls,
    )


def test_the_long_form_is_in_lower_case() -> None:
    """Docker's command line makes it so, values too; the short form is as it is written."""
    found = attachments.attachment(
        "NAME=Foo,Alias= DB,driver-opt=com.docker.network.endpoint.ifname=WAN0"
    )
    assert (found.network, found.aliases, found.ifname) == ("foo", ("db",), "wan0")
    assert attachments.attachment("Foo").network == "Foo"


@pytest.mark.parametrize("alias", ["", "a b", "-x"])
def test_aliases_are_nearly_free(alias: str) -> None:
    """Docker takes any; nobody can ask for such a name."""
    assert attachments.make_attachment("n", aliases=[alias]).aliases == (alias,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name=a,nmae=b", "invalid field key nmae"),
        ("alias=x", "network name/id is not specified"),
        ("name=a,ip=x", r'ParseAddr\("x"\): unable to parse IP'),
        ("name=a,ip=fd00::1", "invalid IPv4 address"),
        ("name=a,ip6=1.2.3.4", "invalid IPv6 address"),
        ("name=a,ip=224.0.0.1", "no host can have it"),
        ("name=a,ip=0.0.0.0", "no host can have it"),
        ("name=a,ip6=::1", "no host can have it"),
        ("name=a,ip6=::ffff:1.2.3.4", "invalid IPv6 address"),
        ("name=a,link-local-ip=10.0.0.1", "invalid link-local"),
        ("name=a,alias=x\ny", "invalid alias"),
        ("name=a,,alias=x", "invalid field "),
        ("name=a,gw-priority=1.5", "not a whole number"),
        ("name=a,driver-opt=x=y", "unknown option 'x'"),
        ("name=a,b", "invalid field b"),
        ("name=a,driver-opt=com.docker.network.endpoint.ifname=a b", "invalid argument"),
    ],
)
def test_an_attachment_that_makes_no_sense(text: str, message: str) -> None:
    """Each with words that say what."""
    with pytest.raises(Invalid, match=message):
        attachments.attachment(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("net.ipv4.conf.eth0.forwarding=1", "IFNAME stands for"),
        ("net.ipv4.conf.IFNAME.forwarding", "is written"),
        ("net.ipx.conf.IFNAME.x=1", "begins with net.ipv4"),
        ("kernel.a.b.IFNAME.c=1", "begins with net.ipv4"),
        ("net.ipv4.ip_forward=1", "is written"),
        ("net.ipv4.conf.IFNAME.a.b=1", "IFNAME stands for"),
        ("", "is written"),
        ("net.ipv4..IFNAME.x=1", "is written"),
        ("net.ipv4.conf.IFNAME.../x=1", "is written"),
    ],
)
def test_an_interface_sysctl_that_is_none(text: str, message: str) -> None:
    """net.X.Y.IFNAME.Z=VALUE, X one of ipv4, ipv6 and mpls."""
    with pytest.raises(ValueError, match=message):
        attachments.interface_sysctls(text)


# -- ports ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "bindings"),
    [
        ("80", [PortBinding(80, "tcp")]),
        ("8080:80", [PortBinding(80, "tcp", None, 8080, 8080)]),
        ("53:53/UDP", [PortBinding(53, "udp", None, 53, 53)]),
        ("127.0.0.1:8080:80", [PortBinding(80, "tcp", ip_address("127.0.0.1"), 8080, 8080)]),
        ("127.0.0.1::80", [PortBinding(80, "tcp", ip_address("127.0.0.1"))]),
        ("[::1]:8080:80", [PortBinding(80, "tcp", ip_address("::1"), 8080, 8080)]),
        ("::1:8080:80", [PortBinding(80, "tcp", ip_address("::1"), 8080, 8080)]),
        ("8000-8010:80", [PortBinding(80, "tcp", None, 8000, 8010)]),
        (
            "8000-8001:80-81",
            [PortBinding(80, "tcp", None, 8000, 8000), PortBinding(81, "tcp", None, 8001, 8001)],
        ),
        ("80-81", [PortBinding(80, "tcp"), PortBinding(81, "tcp")]),
        ("7:7/sctp", [PortBinding(7, "sctp", None, 7, 7)]),
        (
            "published=8080,target=80,protocol=udp,host_ip=::1",
            [PortBinding(80, "udp", ip_address("::1"), 8080, 8080)],
        ),
    ],
)
def test_published_ports(text: str, bindings: list[PortBinding]) -> None:
    """All forms of `-p`."""
    assert list(own.published(text)) == bindings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("8000-8010:80-81", "invalid ranges specified for container and host Ports"),
        ("9090-9089:80", "invalid hostPort"),
        ("9090-:80", "invalid hostPort"),
        ("-9090:80", "invalid hostPort"),
        ("8080:", "no port specified: 8080:<empty>"),
        ("", "no port specified"),
        ("localhost:80:80", "invalid IP address"),
        ("1.2.3.4.5:80:80", "invalid IP address"),
        ("80/icmp", "invalid proto: icmp"),
        ("65536", "invalid containerPort"),
        ("x", "invalid containerPort"),
        ("0:65536", "invalid containerPort"),
        ("٨٠", "invalid containerPort"),
        ("target=80,nonsense", "invalid publish opts format"),
        ("target=80,,published=1", "invalid publish opts format"),
        ("target=80,=1", "invalid publish opts format"),
        ("published=8080", "no port specified"),
        ("target=", "no port specified"),
    ],
)
def test_a_published_port_that_is_none(text: str, message: str) -> None:
    """Docker's words."""
    with pytest.raises(Invalid, match=message):
        own.published(text)


@pytest.mark.parametrize(
    "text", ["[::1:80:80", "::1]:80:80", "[127.0.0.1]]:80:80", "target=80,protocol=icmp"]
)
def test_more_published_ports_that_are_none(text: str) -> None:
    """Docker refuses these as well."""
    with pytest.raises(Invalid):
        own.published(text)


@pytest.mark.parametrize("text", ["7001:80/", "7001:80/tcp/udp", "target=80,published=7001,x=y"])
def test_what_docker_leaves_out_of_a_published_port(text: str) -> None:
    """An empty protocol is tcp, a second one is nothing, and so is an unknown field."""
    assert own.published(text) == own.published("7001:80")


def test_an_exposed_port_of_an_unknown_protocol() -> None:
    """Docker shows it as protocol 0; it is neither published with -P nor opened for a link."""
    box = Sandbox("1" * 64, "box", exposed=own.exposed("90/bogus"), publish_all=True)
    assert box.exposed == ("90/0",)
    assert port_mapping.wanted(box) == ()
    assert legacy_links.known(box, "other", ()).ports == ()


def test_host_port_0_is_any_free_port() -> None:
    """`-p 0:80` is Docker's other way to ask for an ephemeral port."""
    assert own.published("0:80") == (PortBinding(80, "tcp"),)


def test_exposed_ports() -> None:
    """A port, a range, a protocol."""
    assert own.exposed("80") == ("80/tcp",)
    assert own.exposed("7000-7001/udp") == ("7000/udp", "7001/udp")


# -- containers ---------------------------------------------------------------


def test_capabilities() -> None:
    """Docker's default set, less what is dropped, plus what is added; ALL is all."""
    assert set(own.capabilities((), ())) == own.DEFAULT_CAPABILITIES
    assert "NET_ADMIN" in own.capabilities(("NET_ADMIN",), ())
    assert own.capabilities(("NET_RAW",), ("ALL",)) == ("NET_RAW",)
    assert own.capabilities(("ALL",), ("NET_RAW",)) == tuple(
        name for name in own.CAPABILITIES if name != "NET_RAW"
    )
    assert own.capabilities((), (), privileged=True) == own.CAPABILITIES


def test_a_capability_s_name() -> None:
    """With or without CAP_, in any case; others are refused."""
    assert own.capability("cap_net_admin") == own.capability("NET_ADMIN") == "NET_ADMIN"
    with pytest.raises(Invalid, match="invalid CapAdd: unknown capability") as caught:
        own.capability("NET_ADMIM")
    assert "NET_ADMIN" in caught.value.hint


def test_a_container_s_sysctl() -> None:
    """With dots or slashes."""
    assert (
        own.container_sysctl("net.ipv4.ip_forward=1")
        == own.container_sysctl("net/ipv4/ip_forward=1")
        == ("net/ipv4/ip_forward", "1")
    )


@pytest.mark.parametrize(
    "text",
    [
        "kernel.hostname=x",
        "net.ipv4.ip_forward",
        "net.ipv4..x=1",
        "net/../kernel/x=1",
        "",
        "net=1",
        "net.ipv4.conf.eth0.forwarding=1",
    ],
)
def test_a_sysctl_that_a_container_cannot_have(text: str) -> None:
    """Outside of the network namespace, or one interface's."""
    with pytest.raises(Invalid, match="sysctl"):
        own.container_sysctl(text)


def test_subnets_are_read_as_they_are_written() -> None:
    """Both families."""
    assert opt.network("fd00:20::/64") == ip_network("fd00:20::/64")
    assert opt.network("172.20.0.0/24") == ip_network("172.20.0.0/24")
