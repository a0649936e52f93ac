"""How a handler travels."""

# Helpers speak for themselves, and `expected == actual` is the order of the house.

from __future__ import annotations

import functools
import importlib.util
import json
import os
import pickle
import sys
import threading
import types
from pathlib import Path
from typing import Any

import pytest

from lambdalite.errors import UsageError
from lambdalite.runtime import handler as child
from lambdalite.runtime import inert
from lambdalite.workers import code, pickling


def plain(event: Any, context: Any) -> Any:
    return event


async def asynchronous(event: Any, context: Any) -> Any:
    return event


class Box:
    """Handlers in a class."""

    def __init__(self, factor: Any = 2) -> None:
        self.factor = factor

    def __call__(self, event: Any, context: Any) -> Any:
        return event * self.factor

    def method(self, event: Any, context: Any) -> Any:
        return event * self.factor

    @classmethod
    def of_class(cls, event: Any, context: Any) -> Any:
        return cls.__name__

    @staticmethod
    def static(event: Any, context: Any) -> Any:
        return event


class Wrapper:
    """As our decorator's: the module has this, the handler is inside."""

    def __init__(self, handler: Any) -> None:
        self.__lambdalite_handler__ = handler
        self.lock = threading.Lock()

    def __call__(self, event: Any, context: Any) -> Any:
        return self.__lambdalite_handler__(event, context)


@Wrapper
def decorated(event: Any, context: Any) -> Any:
    return event


def hiding(function: Any) -> Any:
    def hidden(event: Any, context: Any) -> Any:
        return function(event, context)

    return hidden


@Wrapper
@hiding
def doubly_decorated(event: Any, context: Any) -> Any:
    return event


def rebound(event: Any, context: Any) -> Any:
    return event


renamed = rebound


def another(event: Any, context: Any) -> Any:
    return "another"


rebound = another


def lost(event: Any, context: Any) -> Any:
    return event


kept = [lost]
lost = another

LOCK = threading.Lock()


def travelled(handler: Any) -> Any:
    """The handler as it arrives; in this process, for speed."""
    found = code.locate(handler)
    return child.load(found.meta, found.blob)


def refusal(handler: Any) -> Any:
    with pytest.raises(UsageError) as caught:
        code.locate(handler)
    return str(caught.value)


@pytest.mark.parametrize(
    ("handler", "qualname"),
    [
        (plain, "plain"),
        (asynchronous, "asynchronous"),
        (Box.static, "Box.static"),
        (Box.of_class, "Box.of_class"),
        (decorated, "decorated"),
        (decorated.__lambdalite_handler__, "decorated"),
        (doubly_decorated, "doubly_decorated"),
    ],
)
def test_what_a_module_names_travels_by_name_and_file(handler: Any, qualname: Any) -> None:
    """Module, qualified name, file: decorators in between do not matter."""
    found = code.locate(handler)

    meta = {"kind": "reference", "module": __name__, "qualname": qualname, "file": __file__}
    assert (meta, b"") == (found.meta, found.blob)
    assert f"{__name__}.{qualname}" == found.handler


def test_a_description_names_file_and_line() -> None:
    """For messages to people."""
    line = plain.__code__.co_firstlineno

    assert f"{__name__}.plain ({__file__}:{line})" == code.locate(plain).description


def test_a_reference_arrives_as_the_plain_function() -> None:
    """The wrapper is taken off over there."""
    assert plain is travelled(plain)
    assert decorated.__lambdalite_handler__ is travelled(decorated)


def test_part_of_the_interpreter_needs_no_file() -> None:
    """Built-in functions are named by module alone."""
    assert {"kind": "reference", "module": "builtins", "qualname": "len", "file": None} == code.locate(len).meta


def test_closures_lambdas_and_partials_travel_by_value() -> None:
    """What has no name takes its variables along."""
    factor = 3

    def closure(event: Any, context: Any) -> Any:
        return event * factor

    handlers: list[Any] = [
        closure,
        lambda event, context: event * 3,
        functools.partial(lambda n, event, context: event * n, 3),
    ]

    assert ["pickle"] * 3 == [code.locate(each).kind for each in handlers]
    assert [6] * 3 == [travelled(each)(2, None) for each in handlers]


def test_methods_and_instances_travel_by_value() -> None:
    """An instance goes along as it is now."""
    box = Box(5)

    assert [10, 10] == [travelled(each)(2, None) for each in (box, box.method)]


def test_a_renamed_function_travels_under_the_name_it_has() -> None:
    """Its own name leads to something else; its module knows it under another."""
    assert "renamed" == code.locate(renamed).meta["qualname"]


def test_a_function_that_lost_its_name_travels_by_value() -> None:
    """Nothing in its module leads to it."""
    assert "pickle" == code.locate(kept[0]).kind


def test_a_closure_may_call_decorated_functions_and_itself() -> None:
    """A Function travels as its bare handler; registries and locks stay behind."""

    class Function:
        __module__ = "lambdalite.function"

        def __init__(self, handler: Any) -> None:
            self.__lambdalite_handler__ = handler
            self.lock = threading.Lock()

        def __call__(self, *args: Any) -> Any:
            raise AssertionError("the host's wrapper")

    @Function
    def factorial(event: Any, context: Any) -> Any:
        return 1 if event < 2 else event * factorial(event - 1, context)

    def other(event: Any, context: Any) -> Any:
        return factorial(event, context)

    assert 24 == travelled(factorial)(4, None)
    assert 24 == travelled(other)(4, None)


def test_an_app_arrives_inert() -> None:
    """A handler that mentions its App does not take the App along."""

    class App:
        __module__ = "lambdalite.app"

    app = App()

    assert inert.App is travelled(lambda event, context: type(app))(None, None)


def test_a_function_by_value_keeps_its_file_and_lines() -> None:
    """Tracebacks over there show the user's source."""
    arrived = travelled(lambda event, context: event)

    assert __file__ == arrived.__code__.co_filename


def test_a_module_that_no_path_finds_goes_along_by_file(tmp_path: Any, monkeypatch: Any) -> None:
    """A function by value may use a function of its module, under the name that a test runner gave it."""
    file = tmp_path / "test_somewhere.py"
    file.write_text(
        "def helper(): return 7\ndef make():\n    def nested(event, context): return helper()\n    return nested\n"
    )
    spec: Any = importlib.util.spec_from_file_location("odd_tests.test_somewhere", file)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "odd_tests", types.ModuleType("odd_tests"))
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)

    found = code.locate(module.make())

    assert ("pickle", {"odd_tests.test_somewhere": str(file)}) == (found.kind, found.meta["modules"])
    json.dumps(found.meta)


def test_a_module_that_a_path_finds_goes_by_name() -> None:
    """No file is needed for what an import finds."""
    assert {} == code.locate(lambda event, context: pickle.dumps(event)).meta["modules"]


def test_a_nested_function_does_not_drag_its_module_along() -> None:
    """A function by value that uses nothing of its module does not make the child import it."""

    class Local:
        pass

    found = code.locate(lambda event, context: Local())

    assert {} == found.meta["modules"]


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda lock: lambda event, context: lock, "closure variable 'lock' (a _thread.lock)"),
        (lambda lock: lambda event, context: LOCK, "global 'LOCK' (a _thread.lock)"),
        (lambda lock: lambda event, context, kept=lock: kept, "default value 1 (a _thread.lock)"),
        (lambda lock: functools.partial(max, lock), "argument 1 (a _thread.lock)"),
        (lambda lock: functools.partial(max, key=lock), "argument 'key' (a _thread.lock)"),
        (lambda lock: Box({"a": [lock]}), "attribute 'factor' → ['a'] → [0] (a _thread.lock)"),
        (lambda lock: Box(lock).method, "its instance → attribute 'factor' (a _thread.lock)"),
        (lambda lock: hiding(Box(lock)), "closure variable 'function' → attribute 'factor' (a _thread.lock)"),
    ],
)
def test_what_cannot_travel_is_named(make: Any, path: Any) -> None:
    """The message leads to the very object, and says what to do."""
    message = refusal(make(threading.Lock()))

    assert f"cannot travel to another process: {path} cannot be copied" in message
    assert "Create it inside the handler, or define the handler at the top level" in message


def test_an_open_file_is_refused() -> None:
    """It would travel as a copy of its text, silently."""
    with Path(os.devnull).open() as file:
        message = refusal(lambda event, context: file.read())

    assert "closure variable 'file' (a _io.TextIOWrapper)" in message


def test_standard_streams_travel() -> None:
    """They are over there what they are here."""
    stream = sys.__stdout__

    assert stream is travelled(lambda event, context: stream)(None, None)


def test_what_is_too_large_is_refused_with_its_name() -> None:
    """A pickle must fit into one frame."""
    data = b"x" * 8_000_000

    message = refusal(lambda event, context: data)

    assert "closure variable 'data' (a bytes) alone takes 8,000,009 bytes" in message


def test_what_is_not_callable_is_refused() -> None:
    """A handler is a function."""
    assert "3 is not callable: a handler is a function that takes (event, context)" == refusal(3)


@pytest.fixture
def script(tmp_path: Any, monkeypatch: Any) -> Any:
    """Run text as the main module."""

    def run(text: Any, *, on_disk: Any = True) -> Any:
        module = types.ModuleType("__main__")
        file = tmp_path / "script.py"
        file.write_text(text)
        if on_disk:
            module.__file__ = str(file)
        monkeypatch.setitem(sys.modules, "__main__", module)
        exec(compile(text, str(file), "exec"), module.__dict__)
        return module

    return run


def test_a_scripts_function_travels_by_value(script: Any) -> None:
    """What is in __main__ cannot be imported over there."""
    module = script("LIMIT = 3\ndef handle(event, context): return event < LIMIT")

    assert "pickle" == code.locate(module.handle).kind


def test_a_scripts_function_that_cannot_be_pickled_runs_the_script_again(script: Any) -> None:
    """The last resort, as multiprocessing does."""
    module = script("import threading\nLOCK = threading.Lock()\ndef handle(event, context): return str(LOCK)")

    assert {"kind": "main", "file": module.__file__, "qualname": "handle"} == code.locate(module.handle).meta


def test_without_a_script_what_cannot_be_pickled_is_refused(script: Any) -> None:
    """A notebook cannot be run again."""
    module = script("import threading\nLOCK = threading.Lock()\ndef handle(event, context): return LOCK", on_disk=False)

    assert "global 'LOCK' (a _thread.lock)" in refusal(module.handle)


def test_a_handler_string_travels_as_it_is(tmp_path: Any) -> None:
    """Nothing is imported in the host; what is wrong shows at init."""
    found = code.locate_string("pkg/mod.handle", str(tmp_path))

    assert ({"kind": "string", "handler": "pkg/mod.handle", "root": str(tmp_path)}, "pkg/mod") == (
        found.meta,
        found.module,
    )


def test_a_handler_string_is_relative_to_the_working_directory(tmp_path: Any, monkeypatch: Any) -> None:
    """Where no root is given."""
    monkeypatch.chdir(tmp_path)

    assert str(tmp_path) == code.locate_string("mod.handle").meta["root"]


def test_a_root_that_is_not_there_is_refused(tmp_path: Any) -> None:
    """At once, in the host."""
    with pytest.raises(UsageError, match="is not a directory: give the directory of its code"):
        code.locate_string("mod.handle", str(tmp_path / "none"))


def test_the_search_path_is_absolute_and_exists(tmp_path: Any, monkeypatch: Any) -> None:
    """The working directory is part of it; what does not exist is not, and nothing is there twice."""
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", "src", "nowhere", str(tmp_path / "src")])

    assert [str(tmp_path), str(tmp_path / "src")] == code.search_path()


def test_the_search_for_a_culprit_ends_in_a_circle() -> None:
    """Objects that refer to each other do not trap it."""
    one: Any = Box()
    two: Any = Box()
    one.factor, two.factor = two, one
    one.lock = threading.Lock()

    assert ["attribute 'lock'"] == pickling._culprit(two)[0][-1:]
