"""Faults that are injected: each is found, nothing else is called proven, its remedy mends it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plumb.lab.faults.fault import Fault
from plumb.model.diagnosis.finding import Grade
from tests.doctor import faults, matrix
from tests.doctor.faults import FAULTS
from tests.labs import Lab


@pytest.fixture(scope="module")
def scene() -> Iterator[Lab]:
    """The lab of the faults, one for all."""
    with faults.scene() as lab:
        yield lab


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(each, id=each.title.replace(" ", "-"), marks=pytest.mark.needs(*each.needs))
        if each.needs
        else pytest.param(each, id=each.title.replace(" ", "-"))
        for each in FAULTS
    ],
)
def test_a_fault_is_found_and_its_remedy_mends_it(scene: Lab, fault: Fault) -> None:
    """The finding has the fault's id, its grade, and a remedy that works."""
    assert faults.until(scene, lambda found: not found) == []
    faults.inject(scene, fault)
    try:
        row = matrix.rows()[fault.title]
        found = faults.until(scene, lambda found: matrix.of(found) == row)
        assert matrix.of(found) == row, "docs/doctor.md: python -m tests.doctor.matrix prints it"
        mine = [each for each in found if each.id == fault.id]
        assert [each.grade for each in mine] == [fault.grade] * max(len(mine), 1), found
        assert {each.id for each in found if each.grade is Grade.PROVEN} <= {fault.id}
        for each in mine if isinstance(fault.remedy, int) else mine[:1]:
            line = (
                str(each.remedies[fault.remedy]) if isinstance(fault.remedy, int) else fault.remedy
            )
            faults.shell(scene, line)
        assert faults.until(scene, lambda found: not found) == []
        faults.shell(scene, fault.after or "true")
    except BaseException:
        print("LEFT", faults.found(scene))
        faults.shell(
            scene,
            f"{fault.after or 'true'}; plumb repair; plumb restart web db; plumb rm -f own; true",
        )
        raise


def test_the_remedy_for_a_port_dropped_inside_opens_the_port_alone(scene: Lab) -> None:
    """The policy may be meant: what it drops besides stays dropped, as a hint."""
    try:
        faults.shell(scene, "inside web iptables -P INPUT DROP")
        (mine,) = faults.until(
            scene, lambda found: [each.id for each in found] == ["port-dropped-inside"]
        )
        faults.shell(scene, str(mine.remedies[0]))
        left = faults.until(scene, lambda found: [each.id for each in found] == ["firewall-inside"])
        assert [each.id for each in left] == ["firewall-inside"]
        assert (
            faults.shell(scene, "plumb exec db curl -s -m 5 -o /dev/null http://web; echo $?")
            == "0\n"
        )
        assert faults.shell(scene, "inside web iptables -S INPUT").startswith("-P INPUT DROP\n")
    finally:
        faults.shell(scene, "inside web iptables -P INPUT ACCEPT; inside web iptables -F INPUT")
