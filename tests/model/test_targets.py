"""Targets: who is asked, as it is typed for `plumb probe` and `plumb trace`."""

from __future__ import annotations

import pytest

from plumb.errors import Invalid
from plumb.model.net.targets import ProbeKind, Target, TargetGrammar

PROBE = TargetGrammar("probe")
TRACE = TargetGrammar("trace to", (ProbeKind.TCP, ProbeKind.UDP, ProbeKind.SCTP, ProbeKind.ICMP))


@pytest.mark.parametrize("grammar", [PROBE, TRACE])
@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("c2", Target("c2", 0, ProbeKind.ICMP)),
        ("c2/icmp", Target("c2", 0, ProbeKind.ICMP)),
        ("c2:80", Target("c2", 80, ProbeKind.TCP)),
        ("c2:53/udp", Target("c2", 53, ProbeKind.UDP)),
        ("c2:9/sctp", Target("c2", 9, ProbeKind.SCTP)),
        ("192.0.2.1", Target("192.0.2.1", 0, ProbeKind.ICMP)),
        ("192.0.2.1:80", Target("192.0.2.1", 80, ProbeKind.TCP)),
        ("192.0.2.1:80/sctp", Target("192.0.2.1", 80, ProbeKind.SCTP)),
        ("fd00::2", Target("fd00::2", 0, ProbeKind.ICMP)),
        ("fd00::2/icmp", Target("fd00::2", 0, ProbeKind.ICMP)),
        ("[fd00::2]", Target("fd00::2", 0, ProbeKind.ICMP)),
        ("[fd00::2]:80", Target("fd00::2", 80, ProbeKind.TCP)),
        ("/run/netns/lan", Target("/run/netns/lan", 0, ProbeKind.ICMP)),
        ("/run/netns/lan:80/tcp", Target("/run/netns/lan", 80, ProbeKind.TCP)),
        ("pid:4711", Target("pid:4711", 0, ProbeKind.ICMP)),
        ("pid:4711:80", Target("pid:4711", 80, ProbeKind.TCP)),
        ("www.example.org:443", Target("www.example.org", 443, ProbeKind.TCP)),
    ],
)
def test_what_is_typed(grammar: TargetGrammar, text: str, means: Target) -> None:
    """TO[:PORT][/PROTOCOL]: as Docker writes ports, with a protocol behind them."""
    assert grammar.read(text) == means


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("web/mtu", Target("web", 0, ProbeKind.MTU)),
        ("fd00::2/nd", Target("fd00::2", 0, ProbeKind.ND)),
        ("www.example.org/dns", Target("www.example.org", 0, ProbeKind.DNS)),
    ],
)
def test_what_a_probe_asks_besides(text: str, means: Target) -> None:
    """A trace has no such questions."""
    assert PROBE.read(text) == means
    with pytest.raises(Invalid, match="there is no protocol"):
        TRACE.read(text)


@pytest.mark.parametrize("grammar", [PROBE, TRACE])
@pytest.mark.parametrize(
    "text",
    ["", ":80", "c2:0", "c2:70000", "c2/tcp", "c2:80/icmp", "c2:80/quic", "/run/netns/lan:80/quic"],
)
def test_what_makes_no_sense(grammar: TargetGrammar, text: str) -> None:
    """It is refused, with what to write instead."""
    with pytest.raises(Invalid, match=f"cannot {grammar.verb}") as refused:
        grammar.read(text)
    assert refused.value.hint
