"""Pages of draw and trace in a browser: what is shown is the model, and nothing else happens."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests import labs
from tests.draw.browser import Browser, browser
from tests.labs import HOST_IP, Lab, sh

SPOT = "document.querySelector('.packet')"
MARKED = "document.querySelectorAll('.step[aria-current]').length"


class Pages(NamedTuple):
    """Pages of a host, and what they were made of."""

    draw: Path
    trace: Path
    lost: Path
    picture: Any
    story: Any


@pytest.fixture(scope="module")
def page() -> Iterator[Browser]:
    """A browser."""
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def pages(page: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """Pages of a host with a published port, and with a link whose name is markup."""
    folder = tmp_path_factory.mktemp("pages")
    draw, trace, lost = (folder / f"{name}.html" for name in ("draw", "trace", "lost"))
    with labs.lab(lan=True) as lab:
        lab.plumb("network", "create", "shop", "--subnet", "172.30.0.0/24")
        serve = ("python3", "-m", "http.server", "80")
        lab.plumb("run", "-d", "--name", "web", "--network", "shop", "-p", "8080:80", *serve)
        sh("ip link add '<script>' type bridge")
        picture = json.loads(lab.plumb("draw", "--json").stdout)
        lab.plumb("draw", "--html", str(draw))
        to = f"{HOST_IP}:8080"
        story = traced(lab, lab.lan, to, trace, good=True)
        traced(lab, "web", "198.51.100.77:9", lost, good=False)
        lab.plumb("reset", "--force")
        yield Pages(draw, trace, lost, picture, story)


def traced(lab: Lab, source: str, to: str, path: Path, *, good: bool) -> Any:
    """Trace a packet with a page; the story as programs get it."""
    argv = ("trace", source, to, "--json", "--wait", "5" if good else "0.2", "--html", str(path))
    deadline = time.monotonic() + 60
    while True:  # until the server listens
        ran = lab.plumb(*argv, status=None)
        if (ran.returncode == 0) is good:
            return json.loads(ran.stdout)
        assert time.monotonic() < deadline, ran.stdout


def objects(page: Browser, kind: str) -> list[Any]:
    """Objects of a kind as they are shown: label, and text."""
    found: list[Any] = page.value(
        f"[...document.querySelectorAll('.object.{kind}')].map(one => "
        "[one.getAttribute('aria-label'), one.querySelector('text')?.textContent ?? ''])"
    )
    return found


def test_what_is_shown_is_the_model(page: Browser, pages: Pages) -> None:
    """Each box, interface and wire once, by its name."""
    page.open(pages.draw)
    boxes = pages.picture["boxes"]
    assert [text for _, text in objects(page, "box")] == [box["name"] for box in boxes]
    shown = {
        (label.rpartition(" in ")[2], text.split("  ")[0])
        for label, text in objects(page, "interface")
    }
    assert shown == {
        (box["name"], link["name"]) for box in boxes for link in box.get("interfaces", [])
    }
    wires = [label for label, _ in objects(page, "wire")]
    assert len(wires) == len(pages.picture["wires"])
    for wire, label in zip(pages.picture["wires"], wires, strict=True):
        assert label.startswith(f"{wire['kind']}: ")
        assert wire["other"]["interface"] in label


@pytest.mark.parametrize("which", ["draw", "trace", "lost"])
def test_a_page_has_no_error_and_asks_nothing_of_a_network(
    page: Browser, pages: Pages, which: str
) -> None:
    page.open(getattr(pages, which))
    page.value("document.querySelectorAll('.object').forEach(one => one.dispatchEvent("
               "new MouseEvent('click', {bubbles: true})))")  # fmt: skip
    assert not page.errors


def test_a_name_is_no_markup(page: Browser, pages: Pages) -> None:
    """A link called <script> is text: in the picture, and in its explanation."""
    page.open(pages.draw)
    assert page.value("document.scripts.length") == 2
    name = page.value("[...document.querySelectorAll('.interface')].find(one => "
                      "one.textContent.includes('<script>')).dataset.object")  # fmt: skip
    page.value(f"document.querySelector('[data-object={name}]').dispatchEvent("
               "new MouseEvent('click', {bubbles: true}))")  # fmt: skip
    assert page.value("document.querySelector('#about h2').textContent") == "host/<script>"


def test_the_policy_lets_no_other_script_run(page: Browser, pages: Pages) -> None:
    page.open(pages.draw)
    page.value(
        "(() => { const one = document.createElement('script'); one.textContent = 'window.ran = 1';"
        "document.body.append(one); })()"
    )
    assert page.value("window.ran") is None


def test_a_click_explains(page: Browser, pages: Pages) -> None:
    """As `plumb explain` does: whose it is, why it is there, and the command."""
    page.open(pages.draw)
    for one in ("box", "interface", "wire"):
        page.value(f"document.querySelectorAll('.object.{one}').forEach(one => one.dispatchEvent("
                   "new MouseEvent('click', {bubbles: true})))")  # fmt: skip
        assert page.value("document.querySelectorAll('#about dd').length") > 0
    about = page.value("JSON.parse(document.getElementById('data').textContent).objects")
    [web] = [each for each in about.values() if each["title"] == "web/eth0"]
    rows = dict(web["explanations"][1]["rows"])
    assert rows["made by"] == "plumb, for container web on network shop"
    assert "its network" in rows["why"]
    assert rows["command"].startswith("ip link add veth")


def test_keys_do_what_a_pointer_does(page: Browser, pages: Pages) -> None:
    """Tab goes to the picture and its objects, Enter explains."""
    page.open(pages.draw)
    for _ in range(2):
        page.press("Tab")
    page.press("Enter")
    assert page.value("document.activeElement.dataset.object") == "b0"
    assert page.value("document.querySelector('#about h2').textContent") == "host"


def test_the_story_is_played_over_the_picture(page: Browser, pages: Pages) -> None:
    """Step by step, there and back, the packet is at the link that it crosses."""
    page.open(pages.trace)
    steps = page.value("[...document.querySelectorAll('.step')].map(one => "
                       "[one.dataset.way, one.querySelector('.place').textContent])")  # fmt: skip
    for way, key in (("there", "There"), ("back", "Back")):
        told = [step["Place"] for step in pages.story[key]]
        assert [place for one, place in steps if one == way] == told
    assert page.value("document.querySelectorAll('.step.nat').length") >= 2
    crossed = set()
    for number in range(len(steps)):
        page.press("ArrowRight")
        assert page.value(MARKED) == 1
        assert page.value(f"document.querySelectorAll('.step')[{number}].ariaCurrent") == "step"
        crossed.add(page.value(f"[{SPOT}.getAttribute('cx'), {SPOT}.getAttribute('cy')].join()"))
    assert len(crossed) >= 4
    assert page.value(f"{SPOT}.getAttribute('class')") == "packet back"
    page.press("ArrowLeft")
    assert page.value("[...document.querySelectorAll('.step')].at(-2).ariaCurrent") == "step"
    assert page.value("document.getElementById('ending').className") == "good"


def test_a_lost_packets_page_tells_the_end(page: Browser, pages: Pages) -> None:
    page.open(pages.lost)
    assert page.value("document.getElementById('ending').className") == "bad"
    assert page.value("document.getElementById('ending').textContent")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_is_readable(page: Browser, pages: Pages, width: int, scheme: str) -> None:
    """Nothing sticks out of the page at the side, letters have 12 pixels, colours contrast."""
    page.look(width, scheme)
    page.open(pages.trace)
    page.press("ArrowRight")
    assert page.value("document.documentElement.scrollWidth <= innerWidth")
    sizes = page.value(
        "[...document.querySelectorAll('svg text, p, h1, h2, dd, code, button')].map(one => "
        "parseFloat(getComputedStyle(one).fontSize))"
    )
    assert min(sizes) >= 12
    colours = page.value(
        "[getComputedStyle(document.documentElement).backgroundColor,"
        "getComputedStyle(document.querySelector('.box text')).fill].map(one => "
        "one.match(/\\d+/g).slice(0, 3).map(Number))"
    )
    paper, ink = (sum(each) / 3 for each in colours)
    assert (paper > 200 and ink < 60) if scheme == "light" else (paper < 60 and ink > 200)
