"""Many labs at once.

Four workers, a hundred labs (a fifth in a sampled run), each with the same names, addresses and
ports, and nothing left."""

from __future__ import annotations

import pytest

from tests import labs, sampling
from tests.plugin.runs import Runs

pytest_plugins = ["pytester"]


@pytest.mark.slow
def test_a_hundred_labs_on_four_workers(runs: Runs) -> None:
    """Labs know nothing of each other.

    The same addresses, the same published port, and no worker sees another's.
    """
    pytest.importorskip("xdist")
    mounts, count = labs.mounts(), sampling.share(100)
    found = runs(
        f"""
        import pytest

        @pytest.mark.parametrize("number", range({count}))
        def test_it(lab, number):
            lab.network("net", subnet="10.9.0.0/24")
            assert [net.name for net in lab.plumb.networks()][-1] == "net"
            if number % 5 == 0:
                assert lab.container("web", networks="net", publish=["8080:80"]).reaches(lab.host)
            assert [box.name for box in lab.plumb.containers()] == ["web"] * (number % 5 == 0)
    """,
        "-n",
        "4",
        "-q",
    )

    found.assert_outcomes(passed=count)
    assert labs.mounts() == mounts
