"""rm: of links, and with Docker's flags; and what `run` says to somebody who names an image."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.host.trial_hosts import MARK, end_all, plumb, tried
from tests.labs import Lab


@pytest.fixture
def linked(lab: Lab) -> Iterator[Lab]:
    """A lab with web, which is linked to db; in the end nothing of the test's runs."""
    plumb(lab, "run", "-d", "--name", "db")
    plumb(lab, "run", "-d", "--name", "web", "--link", "db:data", "-e", MARK, "sleep", "1000")
    yield lab
    try:
        plumb(lab, "reset", "--force")
    finally:
        end_all(lab)


def test_rm_link_takes_the_link_and_its_name(linked: Lab) -> None:
    """Both containers stay, and nothing is left to repair."""
    assert "data" in plumb(linked, "exec", "web", "cat", "/etc/hosts")
    assert plumb(linked, "rm", "--link", "/web/data") == "/web/data\n"
    assert "data" not in plumb(linked, "exec", "web", "cat", "/etc/hosts")
    assert plumb(linked, "inspect", "-f", "{{.HostConfig.Links}}", "web") == "[]\n"
    assert len(plumb(linked, "ps", "-q").split()) == 2
    assert plumb(linked, "check") == ""


@pytest.mark.parametrize(
    ("link", "said"),
    [("web", "PARENT/ALIAS"), ("web/other", "no link other"), ("no/data", "No such container: no")],
)
def test_rm_link_refuses_what_is_no_link(linked: Lab, link: str, said: str) -> None:
    """In one sentence; the link stays."""
    status, printed = tried(linked, "rm", "-l", link)
    assert (status, said in printed) == (1, True)
    assert "data" in plumb(linked, "exec", "web", "cat", "/etc/hosts")


def test_rm_takes_the_flag_for_volumes(linked: Lab) -> None:
    """Scripts give it; there are none."""
    assert plumb(linked, "rm", "-fv", "web") == "web\n"


def test_an_image_is_told_from_a_command(linked: Lab) -> None:
    """The first word after the options is the command."""
    status, printed = tried(linked, "run", "-d", "nginx:latest")
    assert (status != 0, "there are no images" in printed) == (True, True)
    status, printed = tried(linked, "run", "--rm", "nginx:latest")
    assert (status, "there are no images" in printed) == (127, True)
