"""Errors: what they say, and that a kernel's no keeps its words."""

from __future__ import annotations

import errno
import pickle

import pytest

import plumb
from plumb.errors import Conflict, KernelRefused, PlumbError
from plumb.plan import Step, StepFailed
from plumb.things.links import Up


def test_one_except_catches_all() -> None:
    """Every public error is a PlumbError."""
    public = [getattr(plumb, name) for name in plumb.__all__]
    errors = [kind for kind in public if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(errors) == 9
    assert all(issubclass(kind, PlumbError) for kind in errors)


def test_a_hint_is_apart_from_the_message() -> None:
    """Whoever prints an error decides where the advice goes."""
    error = Conflict("it is taken", "take another")
    assert (str(error), error.hint) == ("it is taken", "take another")


def test_the_kernel_s_words_are_kept() -> None:
    """What was being done, what the kernel said, and the errno's name."""
    error = KernelRefused("add bridge lab0", errno.EEXIST, "File exists")
    assert str(error) == "cannot add bridge lab0: File exists (EEXIST)"
    assert error.errno == errno.EEXIST
    assert "choose another name" in error.hint


def test_an_errno_alone_has_words_too() -> None:
    """Where the kernel adds none, the errno's own are taken."""
    assert (
        str(KernelRefused("add it", errno.EPERM))
        == "cannot add it: Operation not permitted (EPERM)"
    )


def test_no_reason_is_said_to_be_none() -> None:
    """Neither errno nor words."""
    assert str(KernelRefused("add it")) == "cannot add it: no reason given"


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES])
def test_what_needs_root_says_so(number: int) -> None:
    """The commonest mistake of all."""
    assert "sudo" in KernelRefused("add it", number).hint


def test_a_failed_step_says_what_is_stuck() -> None:
    """The cause first, then what could not be taken back."""
    failure = StepFailed(
        KernelRefused("do this", said="no"), Step(None, Up("a")), [Step(None, Up("b"))]
    )
    assert str(failure) == "cannot do this: no"
    failure.stuck.append(KernelRefused("undo that", said="never"))
    assert str(failure) == "cannot do this: no; while taking back: cannot undo that: never"
    assert failure.done == [Step(None, Up("b"))]


@pytest.mark.parametrize(
    "error",
    [
        KernelRefused("add it", errno.EPERM),
        Conflict("taken", "take another"),
        StepFailed(KernelRefused("do this", said="no"), Step(None, Up("a")), []),
    ],
)
def test_an_error_comes_out_of_another_process_as_it_was(error: PlumbError) -> None:
    """Its words, its advice, and what else it knows."""
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.hint) == (type(error), str(error), error.hint)


def test_public_names_are_there() -> None:
    """Each name in __all__ can be had, and another is an error like any other."""
    assert all(getattr(plumb, name) for name in plumb.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        plumb.nonsense  # noqa: B018  # the access is the test
