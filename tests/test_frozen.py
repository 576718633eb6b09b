"""Frozen dataclasses: equal, hashed, shown and replaced as `dataclasses.dataclass` does it."""

from __future__ import annotations

import ast
import copy
import pickle
from collections.abc import Callable
from dataclasses import KW_ONLY, FrozenInstanceError, dataclass, field, fields, replace
from functools import cached_property
from typing import ClassVar

import pytest

from plumb import frozen as frozen_module
from plumb.frozen import frozen
from tests import REPOSITORY


@frozen
class Place:
    """A place."""

    street: str
    number: int = 1


@frozen
class Home(Place):
    """A place of somebody's."""

    kind: ClassVar = "home"
    guests: list[str] = field(default_factory=list, hash=False)
    why: str = field(default="", compare=False)
    handle: bytes = field(default=b"", repr=False)
    _: KW_ONLY
    floor: int = 0

    @cached_property
    def sign(self) -> str:
        """The text at the door."""
        return f"{self.street} {self.number}"


@frozen
class Nothing:
    """A class without fields."""


@dataclass(frozen=True)
class Usual:
    """A class that the library makes."""

    street: str
    number: int = 1


def test_defaults_and_factories_fill_what_is_left_out() -> None:
    """Each instance gets a list of its own."""
    one, two = Home("Elm"), Home(street="Elm")

    assert (one.number, one.guests, one.floor) == (1, [], 0)
    assert one.guests is not two.guests


def test_arguments_stand_in_the_order_of_the_fields() -> None:
    """Those of the base class come first, those after KW_ONLY have to be named."""
    assert Home("Elm", 2, ["Ann"], "", b"", floor=3).floor == 3
    with pytest.raises(TypeError, match="positional"):
        Home("Elm", 2, [], "", b"", 3)  # type: ignore[call-arg]  # the error is what is tested


def test_a_missing_argument_is_an_error_that_names_it() -> None:
    """The first instance of a class, which compiles its `__init__`, gives the same error."""

    @frozen
    class Fresh:
        street: str

    for _ in range(2):
        with pytest.raises(TypeError, match="'street'"):
            Fresh()  # type: ignore[call-arg]  # the error is what is tested


def test_a_check_of_the_class_runs_for_each_instance_and_each_copy() -> None:
    """As `dataclasses` calls `__post_init__`."""

    @frozen
    class Even:
        number: int

        def __post_init__(self) -> None:
            if self.number % 2:
                raise ValueError(self.number)

    with pytest.raises(ValueError, match="3"):
        Even(3)
    with pytest.raises(ValueError, match="5"):
        frozen_module.replace(Even(2), number=5)


def test_a_class_shows_itself_as_it_wants() -> None:
    """One that has a secret does not show it."""

    @frozen
    class Key:
        secret: str

        def __repr__(self) -> str:
            return "Key(…)"

    assert repr(Key("x")) == "Key(…)"


def test_instances_of_the_same_class_and_fields_are_equal() -> None:
    """Fields that are not compared count for nothing, and a subclass is another class."""
    assert Home("Elm", why="a") == Home("Elm", why="b")
    assert Home("Elm", 1) != Home("Elm", 2)
    assert Place("Elm") != Home("Elm")
    assert Nothing() == Nothing()


def test_equal_instances_have_the_same_hash() -> None:
    """`hash=False` leaves a field out that cannot be hashed."""
    assert len({Home("Elm", guests=["Ann"]), Home("Elm", guests=["Ann"], why="b")}) == 1
    assert len({Nothing(), Nothing()}) == 1


def test_an_instance_is_shown_as_what_would_make_it() -> None:
    """The text is the library's; `repr=False` leaves a field out."""
    assert repr(Place("Elm", 2)) == repr(Usual("Elm", 2)).replace("Usual", "Place")
    assert "handle" not in repr(Home("Elm"))


def declared(decorate: Callable[[type], type]) -> type:
    """A class with a base, fields of each kind, and what is none."""

    @decorate
    class Base:
        street: str
        number: int = 1

    @decorate
    class Made(Base):
        kind: ClassVar = "home"
        guests: list[str] = field(default_factory=list, hash=False)
        why: str = field(default="", compare=False)
        number: int = 2
        handle: bytes = field(default=b"", repr=False, kw_only=True)
        _: KW_ONLY
        floor: int

    return Made


def test_its_fields_are_those_that_the_library_finds() -> None:
    """In their order, with their defaults, and with what a pattern matches by position."""
    made, usual = declared(frozen), declared(dataclass(frozen=True))
    shown = [str(each) for each in fields(made)]
    assert shown == [str(each) for each in fields(usual)]
    for name in ("__match_args__", "number", "why", "kind"):
        assert getattr(made, name) == getattr(usual, name)
    assert not hasattr(made, "guests")


def test_a_default_that_can_be_changed_is_refused() -> None:
    """It would be that of all instances."""
    with pytest.raises(ValueError, match="guests can be changed"):

        @frozen
        class Party:
            guests: list[str] = []  # noqa: RUF012  # the error is what is tested


def test_fields_cannot_be_set_or_deleted() -> None:
    """The error is the library's."""
    place = Place("Elm")
    with pytest.raises(FrozenInstanceError, match="'street'"):
        place.street = "Oak"  # type: ignore[misc]  # the error is what is tested
    with pytest.raises(FrozenInstanceError, match="'street'"):
        del place.street


def test_the_library_reads_and_copies_such_instances() -> None:
    """`fields`, `replace`, copies and pickles know them as dataclasses."""
    home = Home("Elm", floor=1)

    assert [each.name for each in fields(home)][:3] == ["street", "number", "guests"]
    assert replace(home, number=2) == Home("Elm", 2, floor=1)
    assert copy.deepcopy(home) == pickle.loads(pickle.dumps(home)) == home  # its own


def test_a_copy_with_other_values_is_what_the_library_makes() -> None:
    """It takes no value with it that was computed from the others, and knows the fields."""
    home = Home("Elm", guests=["Ann"], floor=1)
    assert home.sign == "Elm 1"

    assert frozen_module.replace(home, number=home.number) is home
    other = frozen_module.replace(home, number=2)
    assert other == replace(home, number=2)
    assert other.sign == "Elm 2"
    with pytest.raises(TypeError, match="'hight'"):
        frozen_module.replace(home, hight=2)  # type: ignore[call-arg]  # the error is what is tested


def test_values_of_plumb_are_made_by_it() -> None:
    """No module has the library compile a frozen class while a command waits."""
    slow = [
        f"{path.relative_to(REPOSITORY)}:{node.lineno}"
        for path in (REPOSITORY / "plumb").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        for decorator in node.decorator_list
        if ast.unparse(decorator).startswith("dataclass(frozen")
    ]
    assert slow == []


def test_inits_can_be_compiled_beforehand() -> None:
    """A fork makes instances at once, of classes that its parent has never made one of."""

    @frozen
    class Unused:
        """A class without an instance."""

        street: str
        number: int = 2

    first = Unused.__init__
    frozen_module.compile_inits()
    assert Unused.__init__ is not first
    compiled = Unused.__init__
    assert (Unused("Elm").number, Unused.__init__) == (2, compiled)
