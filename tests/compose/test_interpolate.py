"""Variables in compose files, held against the rules of the specification."""

from __future__ import annotations

from pathlib import Path

import pytest

from plumb import Invalid
from plumb.compose.reading import dotenv
from plumb.compose.reading.interpolate import interpolated
from tests.compose import project

VARIABLES = {"TAG": "1.2", "EMPTY": "", "OTHER": "o"}
TABLE = {
    "$TAG": "1.2",
    "${TAG}": "1.2",
    "v$TAG-x": "v1.2-x",
    "${TAG}${OTHER}": "1.2o",
    "$UNSET": "",
    "${UNSET}": "",
    "${UNSET-word}": "word",
    "${UNSET:-word}": "word",
    "${EMPTY-word}": "",
    "${EMPTY:-word}": "word",
    "${TAG:-word}": "1.2",
    "${TAG-word}": "1.2",
    "${TAG?no}": "1.2",
    "${TAG:?no}": "1.2",
    "${EMPTY?no}": "",
    "${TAG+word}": "word",
    "${TAG:+word}": "word",
    "${EMPTY+word}": "word",
    "${EMPTY:+word}": "",
    "${UNSET+word}": "",
    "${UNSET:+word}": "",
    "${UNSET:-${TAG}}": "1.2",
    "${UNSET:-${ALSO:-deep}}": "deep",
    "${UNSET:-a$TAG}b": "a1.2b",
    "${TAG:+${OTHER}}": "o",
    "${UNSET:-}": "",
    "${UNSET:-http://x:80/?a=b}": "http://x:80/?a=b",
    "$$": "$",
    "$$TAG": "$TAG",
    "$${TAG}": "${TAG}",
    "a $$ b $TAG": "a $ b 1.2",
    "no dollar": "no dollar",
    "${_UNDER:-u}": "u",
}


@pytest.mark.parametrize(("text", "value"), TABLE.items())
def test_a_text_is_interpolated(text: str, value: str) -> None:
    """Each form of the specification."""
    assert interpolated(text, VARIABLES) == value


REFUSED = {
    "${UNSET?give one}": "required variable UNSET is missing a value: give one",
    "${UNSET:?}": "required variable UNSET is missing a value",
    "${EMPTY:?no $TAG}": "required variable EMPTY is missing a value: no 1.2",
    "${TAG": "invalid interpolation format",
    "${}": "invalid interpolation format",
    "$ {TAG}": "invalid interpolation format",
    "${TAG!x}": "is no operator",
    "$1": "invalid interpolation format",
    "cost $": "invalid interpolation format",
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.items())
def test_what_is_written_wrongly_is_refused(text: str, reason: str) -> None:
    """As is a variable that is demanded and not set."""
    with pytest.raises(ValueError, match=r"^(?s:.)*") as caught:
        interpolated(text, VARIABLES)
    assert reason in str(caught.value)


def test_a_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    """Once, however often it stands there."""
    text = "services: {a: {command: run $NONE $NONE, image: 'x:${ALSO-1}'}}"
    assert [line for line in project(tmp_path, text).remarks if "NONE" in line] == [
        'the variable "NONE" is not set: an empty text stands for it'
    ]


def test_an_error_has_file_and_line(tmp_path: Path) -> None:
    """Of the value."""
    with pytest.raises(Invalid, match=r"compose.yaml:3: required variable PORT is missing"):
        project(tmp_path, "services:\n  a:\n    hostname: ${PORT:?}\n")


def test_the_caller_counts_before_the_file(tmp_path: Path) -> None:
    """.env lies beside the compose file."""
    (tmp_path / ".env").write_text("ONE=file\nTWO=file\n")
    text = "services: {a: {command: '$ONE $TWO'}}"
    assert project(tmp_path, text, ONE="caller").services["a"].command == ("caller", "file")


DOTENV = r"""
# a comment
PLAIN=value
export EXPORTED=yes
SPACED = around
COMMENT=value # of it
HASH=a#b
SINGLE='as $PLAIN it # stands'
DOUBLE="line\nnext $PLAIN \$PLAIN"
LONG="two
lines"
USED=${PLAIN}-x
EMPTY=
COLON: value
GIVEN
MISSING
"""


def test_a_file_of_variables() -> None:
    """Quotes, escapes, comments, and names that have the caller's value."""
    assert dotenv.parsed(DOTENV, ".env", {"GIVEN": "caller's"}) == {
        "PLAIN": "value",
        "EXPORTED": "yes",
        "SPACED": "around",
        "COMMENT": "value",
        "HASH": "a#b",
        "SINGLE": "as $PLAIN it # stands",
        "DOUBLE": "line\nnext value $PLAIN",
        "LONG": "two\nlines",
        "USED": "value-x",
        "EMPTY": "",
        "COLON": "value",
        "GIVEN": "caller's",
    }


def test_a_line_that_is_no_variable_has_its_number() -> None:
    """In the message."""
    with pytest.raises(Invalid, match=r"^x\.env:2: it is no variable$"):
        dotenv.parsed('A=1\n"B"=2\n', "x.env", {})
