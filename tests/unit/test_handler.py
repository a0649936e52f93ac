"""Finding and calling the user's code."""

# Helpers speak for themselves, and `expected == actual` is the order of the house.

from __future__ import annotations

import asyncio
import sys
import textwrap
from typing import Any

import pytest

from lambdalite.runtime import handler
from lambdalite.runtime.faults import Fault


@pytest.fixture
def project(tmp_path: Any, monkeypatch: Any) -> Any:
    """A directory for modules; what is imported from it is forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(path: Any, text: Any = "") -> Any:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        return str(file)

    write.root = str(tmp_path)  # type: ignore[attr-defined]
    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def load(project: Any, text: Any) -> Any:
    return handler.load({"kind": "string", "handler": text, "root": project.root})


def fault_of(project: Any, text: Any) -> Any:
    with pytest.raises(Fault) as caught:
        load(project, text)
    return caught.value


def test_a_handler_string_names_a_function(project: Any) -> None:
    """module.function, relative to the root."""
    project("string_one.py", "def handle(event, context): return event + 1")

    assert 3 == handler.call(load(project, "string_one.handle"), 2, None)


def test_a_handler_string_may_have_a_path(project: Any) -> None:
    """Slashes are dots, as on AWS."""
    project("string_pkg/inner.py", "def handle(event, context): return event")

    assert 2 == handler.call(load(project, "string_pkg/inner.handle"), 2, None)


def test_a_missing_import_is_awss_fault(project: Any) -> None:
    """Runtime.ImportModuleError, without a stack; the trace shows the user's line."""
    project("string_two.py", "import not_there_at_all")

    fault = fault_of(project, "string_two.handle")

    message = "Unable to import module 'string_two': No module named 'not_there_at_all'"
    assert ("Runtime.ImportModuleError", message, []) == (fault.type, fault.message, fault.stack)
    assert "import not_there_at_all" in fault.trace
    assert "importlib" not in fault.trace


def test_a_missing_handler_is_awss_fault(project: Any) -> None:
    """Runtime.HandlerNotFound."""
    project("string_three.py")

    fault = fault_of(project, "string_three.handle")

    message = "Handler 'handle' missing on module 'string_three'"
    assert ("Runtime.HandlerNotFound", message, []) == (fault.type, fault.message, fault.stack)


def test_a_malformed_handler_is_awss_fault(project: Any) -> None:
    """Runtime.MalformedHandlerName."""
    fault = fault_of(project, "handle")

    message = "Bad handler 'handle': not enough values to unpack (expected 2, got 1)"
    assert ("Runtime.MalformedHandlerName", message) == (fault.type, fault.message)


def test_a_builtin_module_is_awss_fault(project: Any) -> None:
    """Runtime.BuiltInModuleConflict."""
    fault = fault_of(project, "sys.exit")

    message = "Cannot use built-in module sys as a handler module"
    assert ("Runtime.BuiltInModuleConflict", message) == (fault.type, fault.message)


def test_a_syntax_error_is_awss_fault(project: Any) -> None:
    """Runtime.UserCodeSyntaxError, whose stack is the line."""
    file = project("string_four.py", "x = 1\ny = (\n")

    fault = fault_of(project, "string_four.handle")

    message = "Syntax error in module 'string_four': '(' was never closed (string_four.py, line 2)"
    stack = [f'  File "{file}" Line 2\n    y = (\n']
    assert ("Runtime.UserCodeSyntaxError", message, stack) == (fault.type, fault.message, fault.stack)


def test_an_error_in_module_code_shows_the_import_system(project: Any) -> None:
    """As recorded from AWS: importlib's frames come before the user's."""
    project("string_five.py", "raise ValueError('early')")

    fault = fault_of(project, "string_five.handle")

    assert ("ValueError", "early") == (fault.type, fault.message)
    assert "importlib" in fault.stack[0]
    assert "string_five.py" in fault.stack[-1]


def test_a_reference_is_imported_by_name(project: Any) -> None:
    """A module on the path is imported as always, once."""
    file = project("ref_pkg/one.py", "class Box:\n    @staticmethod\n    def handle(event, context): return __name__\n")
    sys.path.insert(0, project.root)
    code = {"kind": "reference", "module": "ref_pkg.one", "qualname": "Box.handle", "file": file}

    assert "ref_pkg.one" == handler.call(handler.load(code), None, None)
    assert sys.modules["ref_pkg.one"].__file__ == file


def test_a_reference_that_no_path_finds_is_loaded_from_its_file(project: Any) -> None:
    """Under the name it had in the host, with its packages, so that relative imports work."""
    project("away/tests/helper.py", "VALUE = 7")
    file = project("away/tests/test_it.py", "from . import helper\ndef handle(event, context): return helper.VALUE\n")
    code = {"kind": "reference", "module": "tests_away.test_it", "qualname": "handle", "file": file}

    assert 7 == handler.call(handler.load(code), None, None)
    assert "tests_away.helper" in sys.modules


def test_a_package_is_loaded_from_its_init(project: Any) -> None:
    """A handler in a package's __init__ that no path finds, with a module of the package."""
    project("far/box/lid.py", "VALUE = 8")
    file = project("far/box/__init__.py", "from .lid import VALUE\ndef handle(event, context): return VALUE\n")
    code = {"kind": "reference", "module": "far_box", "qualname": "handle", "file": file}

    assert 8 == handler.call(handler.load(code), None, None)


def test_a_name_that_leads_elsewhere_does_not_mislead(project: Any) -> None:
    """The file decides: a module of the same name on the path is not run."""
    project("path/twin_module.py", "raise AssertionError('the wrong one')")
    file = project("real/twin_module.py", "def handle(event, context): return 'right'")
    sys.path.insert(0, f"{project.root}/path")
    code = {"kind": "reference", "module": "twin_module", "qualname": "handle", "file": file}

    assert "right" == handler.call(handler.load(code), None, None)


def test_a_module_that_fails_to_load_leaves_nothing(project: Any) -> None:
    """As an import that raises."""
    file = project("bad/failing_module.py", "raise ValueError('early')")
    code = {"kind": "reference", "module": "failing_module", "qualname": "handle", "file": file}

    with pytest.raises(Fault):
        handler.load(code)

    assert "failing_module" not in sys.modules


def test_a_decorated_reference_gives_the_plain_callable(project: Any) -> None:
    """Our wrapper is taken off."""
    file = project(
        "decorated_module.py",
        """
        class Wrapper:
            def __init__(self, handler): self.__lambdalite_handler__ = handler
        @Wrapper
        def handle(event, context): return "plain"
        """,
    )
    code = {"kind": "reference", "module": "decorated_module", "qualname": "handle", "file": file}

    assert "plain" == handler.call(handler.load(code), None, None)


def test_a_script_is_run_again_under_another_name(project: Any, monkeypatch: Any) -> None:
    """Its main guard holds, and pickles that say __main__ find it."""
    file = project(
        "script", "if __name__ == '__main__': raise AssertionError\ndef handle(event, context): return __name__"
    )
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])

    found = handler.load({"kind": "main", "file": file, "qualname": "handle"})

    assert "__mp_main__" == handler.call(found, None, None)
    assert sys.modules["__main__"] is sys.modules["__mp_main__"]


def test_an_async_handler_runs_to_completion() -> None:
    """An extension: AWS's Python runtime would answer with a coroutine that it cannot write."""

    async def handle(event: Any, context: Any) -> Any:
        return event * 2

    assert 4 == handler.call(handle, 2, None)


def test_a_handler_may_answer_with_something_awaitable() -> None:
    """A plain function that returns a coroutine counts as async."""

    async def inner(event: Any) -> Any:
        return event

    assert 1 == handler.call(lambda event, context: inner(event), 1, None)


def test_an_async_handler_runs_within_a_running_loop() -> None:
    """Inline, called from a coroutine."""

    async def handle(event: Any, context: Any) -> Any:
        return event * 2

    async def caller() -> Any:
        return handler.call(handle, 2, None)

    assert 4 == asyncio.run(caller())


def test_a_generator_is_an_answer_like_any_other() -> None:
    """Generators are not special."""

    def handle(event: Any, context: Any) -> Any:
        yield event

    assert [1] == list(handler.call(handle, 1, None))
