"""Worth of silence: none, unless the server has answered, and the client has got an answer."""

from __future__ import annotations

from ipaddress import ip_address

from plumb.probes.promises.promise import OWN, Promise, Protocol
from plumb.probes.promises.verdicts import Observation, Verdict, controls, weigh

A, B, C = (ip_address(f"172.20.0.{number}") for number in (2, 3, 4))
PLACES = {"a": "", "b": "", "c": ""}
NOT_B = Promise("a", "b", B, Protocol.TCP, False, "they are apart")
C_TO_B = Promise("c", "b", B, Protocol.TCP, True, "they are together")
A_TO_C = Promise("a", "c", C, Protocol.TCP, True, "they are together")


def tried(silent: Promise, *others: tuple[Promise, bool]) -> Observation:
    """What a silence says beside these outcomes."""
    outcomes = [
        Observation(silent),
        *(Observation(promise, reached=reached) for promise, reached in others),
    ]
    weigh(outcomes, [], PLACES)
    return outcomes[0]


def test_silence_counts_beside_answers() -> None:
    """The client got an answer from another server, and the server answered another client."""
    assert tried(NOT_B, (C_TO_B, True), (A_TO_C, True)).verdict is Verdict.KEPT


def test_who_hears_nobody_proves_nothing() -> None:
    """A veth pair that is down keeps every promise of silence."""
    outcome = tried(NOT_B, (C_TO_B, True), (A_TO_C, False))

    assert outcome.verdict is Verdict.NOT_SHOWN
    assert not outcome.kept
    assert outcome.doubt == "a hears nobody by IPv4"


def test_who_answers_nobody_proves_nothing() -> None:
    """Nor does a server that is not running."""
    outcome = tried(NOT_B, (C_TO_B, False), (A_TO_C, True))

    assert (outcome.verdict, outcome.doubt) == (Verdict.NOT_SHOWN, "b answers nobody there")


def test_an_answer_that_must_not_come_needs_no_company() -> None:
    """It is there."""
    outcome = Observation(NOT_B, reached=True)
    weigh([outcome], [], PLACES)

    assert outcome.verdict is Verdict.BROKEN


def test_those_of_whom_only_silence_is_promised_ask_themselves() -> None:
    """So their stacks and listeners are known to work; the others have answers as controls."""
    alone = controls([NOT_B], PLACES, lambda name, address: A)

    assert [(each.source, each.target, each.address) for each in alone] == [
        ("b", "b", B),
        ("a", "a", A),
    ]
    assert controls([NOT_B, C_TO_B, A_TO_C], PLACES, lambda name, address: A) == []


def test_whom_one_sees_is_a_part_of_the_promise() -> None:
    """An answer to somebody else than it was promised is none."""
    promise = Promise("a", "b", B, Protocol.UDP, True, "they are together", None, (A,))

    assert Observation(promise, reached=True, source_address=str(A)).verdict is Verdict.KEPT
    assert Observation(promise, reached=True, source_address=str(C)).verdict is Verdict.BROKEN
    assert (
        Observation(promise, reached=True, source_address=str(C)).observed
        == f"reached, seen as {C}"
    )


def test_as_oneself_means_whatever_address_one_had() -> None:
    """The world's own address is in no intent."""
    promise = Promise("a", "b", B, Protocol.UDP, True, "it is routed", None, OWN)

    assert Observation(promise, reached=True, own=str(A), source_address=str(A)).kept
    assert not Observation(promise, reached=True, own=str(A), source_address=str(C)).kept
