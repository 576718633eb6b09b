"""Pages of lessons in a browser, and the documentation's screenshots, which are made here.

A screenshot cannot be compared point by point: names of links are random, fonts are the machine's.
It keeps the text that the page showed, names that are random as kinds; a page that shows something
else makes it stale, and `make docs` takes it anew."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plumb.lab.hosts import LabHost
from plumb.lab.lessons import play
from plumb.lab.lessons.lesson import DO, Lesson, every, lines
from tests import REPOSITORY, labs
from tests.draw.browser import Browser, browser
from tests.draw.test_page import objects, traced
from tests.labs import HOST_IP
from tests.test_docs import alike
from tests.waiting import until

PICTURES = REPOSITORY / "docs/pictures"


@pytest.fixture(scope="module")
def page() -> Iterator[Browser]:
    """A browser."""
    with browser() as found:
        yield found


# -- lessons ---------------------------------------------------------------

LESSONS = [
    pytest.param(each, id=each.name, marks=[pytest.mark.needs(*each.needs)] if each.needs else [])
    for each in every()
]


@pytest.mark.slow
@pytest.mark.sampled(6)
@pytest.mark.parametrize("lesson", LESSONS)
def test_the_page_of_a_lessons_host_shows_what_there_is(
    page: Browser, tmp_path: Path, lesson: Lesson
) -> None:
    """Once it is done: each namespace and interface, and no error; a click explains each."""
    with play.start(lesson) as hosts:
        for line in lines(lesson.sections.get(DO, "")):
            play.typed(hosts.entry, line)
        for each in hosts:
            check_page(page, tmp_path / f"{each.name}.html", each)


def check_page(page: Browser, path: Path, host: LabHost) -> None:
    """Compare a host's page with its picture, taken right before and after."""
    picture: Any = None

    def is_still() -> bool:
        nonlocal picture
        picture = json.loads(host.plumb("draw", "--json").stdout)
        path.write_text(host.plumb("draw", "--html", "-").stdout)
        return bool(json.loads(host.plumb("draw", "--json").stdout) == picture)

    until(is_still, f"nothing changes on {host.name}")
    page.open(path)
    boxes = picture["boxes"]
    titles = sorted(f"{text} " for _, text in objects(page, "box"))  # with what else is said of it
    names = sorted(f"{box['name']} " for box in boxes)
    assert [one[: len(name)] for one, name in zip(titles, names, strict=True)] == names
    shown = [text.split("  ")[0] for _, text in objects(page, "interface")]
    assert sorted(shown) == sorted(
        link["name"] for box in boxes for link in box.get("interfaces", [])
    )
    assert len(objects(page, "wire")) == len(picture["wires"])
    page.value("document.querySelectorAll('.object').forEach(one => one.dispatchEvent("
               "new MouseEvent('click', {bubbles: true})))")  # fmt: skip
    assert page.value("document.querySelectorAll('#about dd').length") > 0
    assert not page.errors


# -- screenshots ---------------------------------------------------------------


def test_the_screenshots_in_the_documentation_are_taken_so(page: Browser, tmp_path: Path) -> None:
    """A click on a container's interface; a packet at the step that rewrites its destination."""
    draw, trace = tmp_path / "draw.html", tmp_path / "trace.html"
    with labs.lab(lan=True) as lab:
        lab.plumb("network", "create", "shop", "--subnet", "172.30.0.0/24")
        serve = ("python3", "-m", "http.server", "80")
        lab.plumb("run", "-d", "--name", "web", "--network", "shop", "-p", "8080:80", *serve)
        lab.plumb("run", "-d", "--name", "db", "--network", "shop")
        lab.plumb("draw", "--html", str(draw))
        traced(lab, lab.lan, f"{HOST_IP}:8080", trace, good=True)
        lab.plumb("reset", "--force")
        for each in (draw, trace):  # as with the usual root
            each.write_text(each.read_text().replace(str(lab.root), "/run/plumb"))

    page.look(1280, "light", 720)
    page.open(draw)
    page.value("[...document.querySelectorAll('.interface')].find(one => "
               "/^link eth0 .* in web$/.test(one.getAttribute('aria-label'))).dispatchEvent("
               "new MouseEvent('click', {bubbles: true}))")  # fmt: skip
    is_as_in_the_documentation(page, "page-draw.png")
    page.look(1280, "dark", 900)
    page.open(trace)
    number = page.value(
        "[...document.querySelectorAll('.step')].findIndex(one => one.matches('.nat'))"
    )
    for _ in range(number + 1):
        page.press("ArrowRight")
    is_as_in_the_documentation(page, "page-trace.png")


def is_as_in_the_documentation(page: Browser, name: str) -> None:
    """See that a screenshot is of what the page shows; take it anew where that is asked for."""
    shown = "\n".join(sorted(alike(page.value("document.body.innerText")).splitlines()))
    if os.environ.get("PLUMB_UPDATE_DOCS"):
        page.screenshot(PICTURES / name)
        write_note(PICTURES / name, shown)
    assert not page.errors
    assert note(PICTURES / name) == shown, f"{name} is stale: make docs"


BEGINNING = b"\x89PNG\r\n\x1a\n"
KEY = b"Description\0\x01\0\0\0"
"""Of an iTXt chunk: keyword, compressed, no language, no translation."""


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a PNG file: kind and content."""
    at = len(BEGINNING)
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + 8 + length]
        at += 12 + length


def note(path: Path) -> str:
    """Text that a PNG file describes itself by; empty without one."""
    texts = (content for kind, content in chunks(path.read_bytes()) if kind == b"iTXt")
    ours = (each.removeprefix(KEY) for each in texts if each.startswith(KEY))
    return next((zlib.decompress(each).decode() for each in ours), "")


def write_note(path: Path, text: str) -> None:
    """Put a description into a PNG file, behind its header."""
    header, *rest = chunks(path.read_bytes())
    made = (header, (b"iTXt", KEY + zlib.compress(text.encode())), *rest)
    path.write_bytes(
        BEGINNING
        + b"".join(
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
            for kind, content in made
        )
    )
