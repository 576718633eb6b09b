"""What a kernel may lack: the words for it."""

from __future__ import annotations

import errno

import pytest

from plumb.kernel.features.detect import able
from plumb.kernel.features.table import FEATURES, GROUPS, explain
from plumb.kernel.netfilter.error_hints import of_iptables, of_nftables
from plumb.kernel.netfilter.iptables_restore import IptablesRestore
from plumb.plan import Step, StepFailed
from plumb.things import Thing
from plumb.things.iptables import Chain, Family, Position, Rule
from plumb.things.nftables import NftChain, NftFamily, NftRule
from tests.labs import Lab


@pytest.mark.parametrize(
    ("kind", "number", "words"),
    [
        (
            "ipvlan",
            errno.EOPNOTSUPP,
            "this kernel has no ipvlan: modprobe ipvlan, or a kernel with CONFIG_IPVLAN",
        ),
        (
            "vlan",
            errno.EOPNOTSUPP,
            "this kernel has no 8021q: modprobe 8021q, or a kernel with CONFIG_VLAN_8021Q",
        ),
        (
            "dummy",
            errno.EOPNOTSUPP,
            (
                "this kernel has no dummy: modprobe dummy, or a kernel with CONFIG_DUMMY, "
                "or -o parent=LINK"
            ),
        ),
        (
            "sctp",
            errno.EPROTONOSUPPORT,
            "this kernel has no sctp: modprobe sctp, or a kernel with CONFIG_IP_SCTP",
        ),
        (
            "netem",
            errno.ENOENT,
            "this kernel has no netem: modprobe sch_netem, or a kernel with CONFIG_NET_SCH_NETEM",
        ),
        ("ipvlan", 524, "this kernel has no ipvlan-l3s: a kernel with CONFIG_IPVLAN_L3S"),
    ],
)
def test_a_missing_piece_is_named_with_its_module_and_its_option(
    kind: str, number: int, words: str
) -> None:
    """What the kernel answers with an errno is one line.

    The piece, its module, its option, and what else can be done.
    """
    assert explain(kind, number) == words


@pytest.mark.parametrize(
    "number", [errno.ENODEV, errno.EBUSY, errno.EPERM, errno.EINVAL, errno.ENOENT, 0]
)
def test_other_errors_of_a_link_are_not_explained_away(number: int) -> None:
    """A parent that is gone (ENODEV), busy or not ours to use says nothing about the kernel."""
    assert explain("ipvlan", number) == ""


def test_what_is_no_feature_is_not_explained() -> None:
    """A kind that the table does not know has no hint."""
    assert explain("token-ring", errno.EOPNOTSUPP) == ""


def test_each_feature_is_in_the_group_of_what_needs_it() -> None:
    """Groups name features of the table only, and no feature is left out of them."""
    assert {name for group in GROUPS for name in (*group.needs, *group.extras)} == set(FEATURES)


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        (
            (
                "Warning: Extension ipvs revision 0 not supported, missing kernel module? "
                "line 3: RULE_APPEND failed (No such file or directory)"
            ),
            FEATURES["xt_ipvs"].missing,
        ),
        (
            (
                "Warning: Extension addrtype revision 0 not supported, "
                "missing kernel module? iptables-restore: line 4 failed"
            ),
            FEATURES["addrtype"].missing,
        ),
        (
            "Warning: Extension SNAT revision 0 not supported, missing kernel module?",
            FEATURES["DNAT"].missing,
        ),
        (
            "Warning: Extension LED revision 0 not supported, missing kernel module?",
            (
                "this kernel has no xt_LED: modprobe xt_LED, or a kernel with "
                "CONFIG_NETFILTER_XT_TARGET_LED"
            ),
        ),
        (
            "iptables v1.8.9 (nf_tables): Failed to initialize nft: Protocol not supported",
            FEATURES["nf_tables"].missing,
        ),
        (
            (
                "iptables v1.8.9 (nf_tables): CHAIN_ADD failed (No such file or directory): "
                "chain POSTROUTING"
            ),
            FEATURES["nft_chain_nat"].missing,
        ),
        (
            (
                "iptables v1.8.9 (legacy): can't initialize iptables table `nat': "
                "Table does not exist (do you need to insmod?)"
            ),
            FEATURES["ip_tables"].missing,
        ),
        (
            (
                "ip6tables v1.8.9 (legacy): can't initialize ip6tables table `nat': "
                "Table does not exist (do you need to insmod?)"
            ),
            FEATURES["ip6_tables"].missing,
        ),
        (
            "Couldn't load match `nonsense':No such file or directory",
            (
                "this iptables has no extension nonsense: install it whole "
                "(Debian: apt install iptables)"
            ),
        ),
        (
            "iptables: No chain/target/match by that name.",
            (
                "a chain that it jumps to is gone, or this kernel lacks a match or target of it: "
                "see 'plumb check' and 'plumb env'"
            ),
        ),
        ("iptables-restore v1.8.9 (nf_tables): Chain 'GONE' does not exist", ""),
    ],
)
def test_what_iptables_says_leads_to_the_missing_piece(said: str, hint: str) -> None:
    """The words of each variant of iptables, and of libiptc, are read for what the kernel lacks."""
    assert of_iptables(said) == hint


NAT = NftChain(NftFamily.V4, "t", "c", "nat", "postrouting", 100, "accept")


@pytest.mark.parametrize(
    ("thing", "number", "piece"),
    [
        (NAT, errno.ENOENT, "nft_chain_nat"),
        (
            NftRule(NftFamily.V4, "t", "c", "fib daddr type local counter accept"),
            errno.ENOENT,
            "CONFIG_NFT_FIB_IPV4",
        ),
        (
            NftRule(NftFamily.V4, "t", "c", "counter masquerade"),
            errno.EOPNOTSUPP,
            "modprobe nft_masq",
        ),
        (
            NftRule(NftFamily.V4, "t", "c", "fib daddr type local counter jump gone"),
            errno.ENOENT,
            "",
        ),
        (NAT, errno.EEXIST, ""),
        (None, errno.ENOENT, ""),
    ],
)
def test_what_nf_tables_refuses_leads_to_the_missing_piece(
    thing: Thing | None, number: int, piece: str
) -> None:
    """An expression without a module is named, but not where what is missing may be the chain that
    a rule jumps to."""
    hint = of_nftables(thing, number)

    assert piece in hint
    assert bool(piece) == bool(hint)


@pytest.mark.parametrize("flavour", ["nft-", "legacy-"])
def test_a_rule_with_a_match_that_the_kernel_lacks_says_which(lab: Lab, flavour: str) -> None:
    """Writing a rule with -m ipvs to a kernel without xt_ipvs ends with the module's name, by
    either variant of iptables."""
    if able("xt_ipvs").able:
        pytest.skip("this kernel has xt_ipvs")
    chain = Chain(Family.V4, "filter", "TRY")
    rule = Rule(Family.V4, "filter", "TRY", "-m ipvs --ipvs -j ACCEPT", Position.TAIL)
    with pytest.raises(StepFailed) as caught:
        IptablesRestore(flavour).take([Step(None, chain), Step(None, rule)], [])

    assert caught.value.hint == FEATURES["xt_ipvs"].missing
