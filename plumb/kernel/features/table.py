"""Table of the features that a kernel may lack, and the remedy for each.

The kernel's networking comes in pieces. Each is an option when the kernel is built (CONFIG_IPVLAN),
and mostly a module, which the kernel loads when a program first uses it: it calls modprobe with an
alias such as rtnl-link-ipvlan. So a missing piece is not installed, or was never built:

    a general kernel      has all of these. Debian's do, linux-image-cloud-amd64 as well: its 6.1
                          lacks none of them.
    after an upgrade      the modules of the running kernel are often removed: it can load no more
                          until the reboot
    some distributions    put sctp, netem and others into a package of their own
                          (kernel-modules-extra, linux-modules-extra)
    a kernel of a         micro-VM or an embedded system has the options that its builder has
                          chosen, and often no modules at all
    Linux 6.17 and later  has the legacy iptables tables only with NETFILTER_XTABLES_LEGACY

The kernel's error for all this is "Operation not supported", or less; `explain` has the remedy for
it. This module neither reads nor changes the machine: `detect` tries features.
"""

from __future__ import annotations

import errno as errnos

from plumb.frozen import frozen

NO_SUCH_KIND = frozenset(
    {errnos.EOPNOTSUPP, errnos.EPROTONOSUPPORT, errnos.ESOCKTNOSUPPORT, errnos.EAFNOSUPPORT}
)
"""The kernel's errors where it has no code for a request.

ENODEV is not among them: for a link it means that the parent is gone.
"""


@frozen
class Feature:
    """A piece of the kernel.

    Attributes:
        name: its name here, in `plumb env` and in the tests' mark `needs`.
        module: the module that modprobe loads; empty where it is never a module.
        option: the kernel's build option, without CONFIG_.
        serves: the parts of plumb that need it, in a user's words.
        kind: a link's IFLA_INFO_KIND or the name for iptables' -m, where that is not `name`.
        errors: the errnos that mean that it is missing.
        otherwise: another remedy.
    """

    name: str
    module: str
    option: str
    serves: str
    kind: str = ""
    errors: frozenset[int] = NO_SUCH_KIND
    otherwise: str = ""

    @property
    def remedy(self) -> str:
        """Remedies where it is missing, in a line."""
        remedies = [
            f"modprobe {self.module}" if self.module else "",
            f"a kernel with CONFIG_{self.option}",
            self.otherwise,
        ]
        return ", or ".join(remedy for remedy in remedies if remedy)

    @property
    def missing(self) -> str:
        """Message that it is missing, with the remedies, in a line."""
        return f"this kernel has no {self.name}: {self.remedy}"


ENOTSUPP = 524
"""ENOTSUPP of the kernel, which has no name in user space.

The kernel answers it to ipvlan in mode l3s where it was built without that.
"""
UNKNOWN = NO_SUCH_KIND | {errnos.ENOENT}
"""Errors where the kernel looks a piece up by its name, which may be ENOENT as well.

A qdisc, a family of generic netlink and an expression of nf_tables are looked up so.
"""
NO_TABLE = NO_SUCH_KIND | {errnos.ENOPROTOOPT, errnos.ENOENT}
NEW_VARIANT = "the other variant: update-alternatives --set iptables /usr/sbin/iptables-nft"

FEATURES: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        Feature("netns", "", "NET_NS", "every container"),
        # Links
        Feature("bridge", "bridge", "BRIDGE", "driver bridge"),
        Feature("veth", "veth", "VETH", "drivers bridge and overlay"),
        Feature("macvlan", "macvlan", "MACVLAN", "driver macvlan"),
        Feature("ipvlan", "ipvlan", "IPVLAN", "driver ipvlan"),
        Feature(
            "ipvlan-l3s",
            "",
            "IPVLAN_L3S",
            "-o ipvlan_mode=l3s",
            kind="ipvlan",
            errors=NO_SUCH_KIND | {ENOTSUPP},
        ),
        Feature(
            "8021q",
            "8021q",
            "VLAN_8021Q",
            "a parent with a VLAN tag (-o parent=eth0.10)",
            kind="vlan",
        ),
        Feature(
            "dummy",
            "dummy",
            "DUMMY",
            "macvlan and ipvlan without a parent",
            otherwise="-o parent=LINK",
        ),
        Feature("vxlan", "vxlan", "VXLAN", "driver overlay"),
        # Packets on their way
        Feature(
            "ipv6",
            "ipv6",
            "IPV6",
            "networks with --ipv6",
            otherwise="a boot without ipv6.disable=1",
        ),
        Feature(
            "ping", "", "NET_NS", "ping and ports below 1024 in containers without capabilities"
        ),
        Feature("br_netfilter", "br_netfilter", "BRIDGE_NETFILTER", "icc=false on a bridge"),
        Feature("sctp", "sctp", "IP_SCTP", "ports of SCTP (-p 80/sctp)"),
        Feature("ipvs", "ip_vs", "IP_VS", "services of a swarm", errors=UNKNOWN),
        Feature("ipvs-rr", "ip_vs_rr", "IP_VS_RR", "services of a swarm", errors=UNKNOWN),
        Feature("xfrm", "xfrm_user", "XFRM_USER", "--opt encrypted"),
        Feature("esp4", "esp4", "INET_ESP", "--opt encrypted"),
        Feature(
            "aes-gcm", "gcm", "CRYPTO_GCM", "--opt encrypted", errors=frozenset({errnos.ENOSYS})
        ),
        Feature("netem", "sch_netem", "NET_SCH_NETEM", "delay and loss on a link", errors=UNKNOWN),
        # What the rules say with -m and -j
        Feature(
            "conntrack",
            "xt_conntrack",
            "NETFILTER_XT_MATCH_CONNTRACK",
            "-m conntrack, for answers",
            errors=UNKNOWN,
        ),
        Feature(
            "addrtype",
            "xt_addrtype",
            "NETFILTER_XT_MATCH_ADDRTYPE",
            "-m addrtype, for published ports",
            errors=UNKNOWN,
        ),
        Feature(
            "rpfilter",
            "ipt_rpfilter",
            "IP_NF_MATCH_RPFILTER",
            "-m rpfilter, for overlay networks",
            errors=UNKNOWN,
        ),
        Feature(
            "MASQUERADE",
            "xt_MASQUERADE",
            "NETFILTER_XT_TARGET_MASQUERADE",
            "-j MASQUERADE, for what goes out",
            errors=UNKNOWN,
        ),
        Feature(
            "DNAT",
            "xt_nat",
            "NETFILTER_XT_NAT",
            "-j DNAT and SNAT, for published ports",
            errors=UNKNOWN,
        ),
        Feature(
            "ipv6-nat",
            "ip6table_nat",
            "IP6_NF_NAT",
            "MASQUERADE and DNAT of IPv6",
            errors=UNKNOWN,
            otherwise="-o com.docker.network.bridge.gateway_mode_ipv6=routed",
        ),
        Feature("mark", "xt_mark", "NETFILTER_XT_MARK", "-m mark and -j MARK", errors=UNKNOWN),
        Feature(
            "policy",
            "xt_policy",
            "NETFILTER_XT_MATCH_POLICY",
            "-m policy, for --opt encrypted",
            errors=UNKNOWN,
        ),
        Feature(
            "bpf", "xt_bpf", "NETFILTER_XT_MATCH_BPF", "-m bpf, for --opt encrypted", errors=UNKNOWN
        ),
        Feature(
            "xt_ipvs",
            "xt_ipvs",
            "NETFILTER_XT_MATCH_IPVS",
            "-m ipvs, for services of a swarm",
            errors=UNKNOWN,
            kind="ipvs",
        ),
        Feature(
            "statistic",
            "xt_statistic",
            "NETFILTER_XT_MATCH_STATISTIC",
            "-m statistic, for services of a swarm without IPVS",
            errors=UNKNOWN,
        ),
        Feature(
            "HMARK",
            "xt_HMARK",
            "NETFILTER_XT_TARGET_HMARK",
            "-j HMARK, for services by the client's address without IPVS",
            errors=UNKNOWN,
        ),
        Feature(
            "REDIRECT",
            "xt_REDIRECT",
            "NETFILTER_XT_TARGET_REDIRECT",
            "-j REDIRECT, for services of a swarm",
            errors=UNKNOWN,
        ),
        Feature(
            "TRACE",
            "xt_TRACE",
            "NETFILTER_XT_TARGET_TRACE",
            "-j TRACE, for a packet's way through the rules",
            errors=UNKNOWN,
        ),
        # What they are written to
        Feature(
            "ctnetlink",
            "nf_conntrack_netlink",
            "NF_CT_NETLINK",
            "published ports, so that flows of older rules are forgotten",
            errors=UNKNOWN,
        ),
        Feature(
            "nft_compat",
            "nft_compat",
            "NFT_COMPAT",
            "iptables of the nf_tables variant",
            errors=UNKNOWN,
        ),
        Feature(
            "ip_tables",
            "ip_tables",
            "IP_NF_IPTABLES_LEGACY",
            "iptables of the legacy variant",
            errors=NO_TABLE,
            otherwise=NEW_VARIANT,
        ),
        Feature(
            "ip6_tables",
            "ip6_tables",
            "IP6_NF_IPTABLES_LEGACY",
            "ip6tables of the legacy variant",
            errors=NO_TABLE,
            otherwise=NEW_VARIANT,
        ),
        Feature(
            "nf_tables",
            "nf_tables",
            "NF_TABLES",
            "firewall-backend nftables, iptables of the nf_tables variant",
        ),
        Feature(
            "nft_chain_nat",
            "nft_chain_nat",
            "NFT_NAT",
            "NAT with firewall-backend nftables",
            errors=UNKNOWN,
        ),
        Feature(
            "nft_fib",
            "nft_fib",
            "NFT_FIB_IPV4",
            "published ports with firewall-backend nftables",
            errors=UNKNOWN,
        ),
        Feature(
            "nft_numgen",
            "nft_numgen",
            "NFT_NUMGEN",
            "services of a swarm without IPVS, with firewall-backend nftables",
            errors=UNKNOWN,
        ),
        Feature(
            "nft_hash", "nft_hash", "NFT_HASH", "the same, by the client's address", errors=UNKNOWN
        ),
        # To see what happens
        Feature("packet", "af_packet", "PACKET", "to listen on a link, as tcpdump does"),
        Feature("nft-trace", "nf_tables", "NF_TABLES", "a packet's way through nf_tables"),
        Feature(
            "nfnetlink_log",
            "nfnetlink_log",
            "NETFILTER_NETLINK_LOG",
            "a packet's way through the legacy tables",
            errors=UNKNOWN,
        ),
        Feature(
            "drop_monitor",
            "drop_monitor",
            "NET_DROP_MONITOR",
            "why the kernel dropped a packet",
            errors=UNKNOWN,
        ),
        Feature("tracefs", "", "EVENT_TRACING", "why the kernel dropped a packet", errors=UNKNOWN),
    )
}


@frozen
class Group:
    """A driver, or something else that one wants to do, and what it takes.

    Attributes:
        name: a driver's name, or what it is.
        needs: it cannot be done without these.
        extras: parts of it cannot be done without these.
    """

    name: str
    needs: tuple[str, ...]
    extras: tuple[str, ...] = ()


GROUPS = (
    Group("none", ("netns",)),
    Group("host", ()),
    Group("bridge", ("bridge", "veth"), ("ipv6", "br_netfilter", "sctp", "ping")),
    Group(
        "firewall: iptables",
        ("conntrack", "addrtype", "MASQUERADE", "DNAT"),
        ("ipv6-nat", "ctnetlink", "nft_compat", "ip_tables", "ip6_tables"),
    ),
    Group("firewall: nftables", ("nf_tables", "nft_chain_nat", "nft_fib")),
    Group("macvlan", ("macvlan",), ("8021q", "dummy")),
    Group("ipvlan", ("ipvlan",), ("ipvlan-l3s", "8021q", "dummy")),
    Group("overlay", ("vxlan", "bridge", "veth"), ("rpfilter",)),
    Group(
        "overlay, encrypted",
        ("vxlan", "bridge", "veth", "xfrm", "esp4", "aes-gcm", "mark", "policy", "bpf"),
    ),
    Group(
        "services of a swarm",
        ("vxlan", "bridge", "veth", "ipvs", "ipvs-rr", "xt_ipvs", "mark", "REDIRECT"),
    ),
    Group(
        "services without IPVS",
        ("vxlan", "bridge", "veth", "statistic", "mark", "DNAT", "REDIRECT"),
        ("HMARK", "nft_numgen", "nft_hash"),
    ),
    Group("delay and loss", ("netem",)),
    Group(
        "to see packets",
        ("packet",),
        ("TRACE", "nft-trace", "nfnetlink_log", "drop_monitor", "tracefs"),
    ),
)


def first_group(feature: str) -> Group | None:
    """The first group that a feature belongs to."""
    return next((group for group in GROUPS if feature in (*group.needs, *group.extras)), None)


def explain(kind: str, errno: int) -> str:
    """The hint for a refusal: what is missing and what to do, in one line.

    Empty where the errno says something else.

    Args:
        kind: a feature's name, or a link's IFLA_INFO_KIND ("ipvlan", "vlan").
        errno: what the kernel answered.
    """
    return next(
        (
            feature.missing
            for feature in FEATURES.values()
            if kind in (feature.name, feature.kind) and errno in feature.errors
        ),
        "",
    )
