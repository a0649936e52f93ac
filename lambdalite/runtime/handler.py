"""The user's code: found, called, and every way in which that may fail said as AWS's runtime says it.

This is the one place in a child that catches what user code raises; and, as on AWS, only what is an `Exception`:
`SystemExit` and `KeyboardInterrupt` end the process.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from lambdalite.runtime import snapshot
from lambdalite.runtime.faults import Fault, describe, from_exception

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

__all__ = ["call", "load"]


def load(code: Mapping[str, Any], blob: bytes = b"") -> Callable[..., Any]:
    """The handler that `workers.code` described. Runs the user's module code: this is the init phase.

    Args:
        code: ``kind`` and what that kind needs: ``string`` (``handler``, ``root``), ``reference`` (``module``,
            ``qualname``, ``file``), ``main`` (``file``, ``qualname``), ``pickle`` (``description``, and in ``modules``
            the files of modules that no search path leads to).
        blob: the pickle, of kind ``pickle``.

    Raises:
        Fault: init failed.
    """
    snapshot.mark()
    try:
        return _LOADERS[code["kind"]](code, blob)
    except Fault:
        raise
    except Exception as error:
        raise from_exception(error) from error


def call(handler: Callable[..., Any], event: Any, context: Any) -> Any:
    """The handler's answer; an awaitable one is awaited, on an event loop of its own.

    Raises:
        Fault: the handler raised.
    """
    try:
        answer = handler(event, context)
        return _finish(answer) if hasattr(type(answer), "__await__") else answer
    except Exception as error:
        raise from_exception(error) from error


def _finish(answer: Awaitable[Any]) -> Any:
    import asyncio

    async def wait() -> Any:
        return await answer

    if asyncio._get_running_loop() is None:  # noqa: SLF001 - the public one raises
        return asyncio.run(wait())
    # Only inline, called from a coroutine: a thread cannot run one event loop within another.
    from concurrent.futures import ThreadPoolExecutor
    from contextvars import copy_context

    with ThreadPoolExecutor(1) as other:
        return other.submit(copy_context().run, asyncio.run, wait()).result()


# --- handler strings ----------------------------------------------------------------------------------------------


def _load_string(code: Mapping[str, Any], _blob: bytes) -> Callable[..., Any]:
    """``module.function`` or ``path/module.function``, with AWS's faults in AWS's order."""
    text: str = code["handler"]
    try:
        module_name, name = text.rsplit(".", 1)
    except ValueError as error:
        raise Fault("Runtime.MalformedHandlerName", f"Bad handler '{text}': {error}") from None
    if module_name.split(".")[0] in sys.builtin_module_names:
        message = f"Cannot use built-in module {module_name} as a handler module"
        raise Fault("Runtime.BuiltInModuleConflict", message)
    root = code.get("root")
    if root and root not in sys.path:
        sys.path.insert(0, root)
    module = _imported(module_name, lambda: importlib.import_module(module_name.replace("/", ".")))
    return _pick(module, name, module_name)


def _imported(name: str, load_module: Callable[[], Any]) -> Any:
    """What loading gives, or AWS's fault for what it raises."""
    try:
        return load_module()
    except ImportError as error:
        message = f"Unable to import module '{name}': {describe(error)}"
        raise Fault("Runtime.ImportModuleError", message, trace=from_exception(error).trace) from error
    except SyntaxError as error:
        message = f"Syntax error in module '{name}': {describe(error)}"
        stack = [f'  File "{error.filename}" Line {error.lineno}\n    {error.text}']
        raise Fault("Runtime.UserCodeSyntaxError", message, stack, from_exception(error).trace) from error


def _pick(module: Any, qualname: str, shown: str) -> Callable[..., Any]:
    """Walk a dotted name down from a module, and take our decorator's wrapper off what is found."""
    found = module
    for part in qualname.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise Fault("Runtime.HandlerNotFound", f"Handler '{qualname}' missing on module '{shown}'") from None
    return bare(found)


def bare(handler: Any) -> Callable[..., Any]:
    """The user's callable, whether our decorator is around it or not."""
    inner: Callable[..., Any] | None = getattr(handler, "__lambdalite_handler__", None)
    outer: Callable[..., Any] = handler
    return outer if inner is None or isinstance(handler, type) else inner


# --- functions by name --------------------------------------------------------------------------------------------


def _load_reference(code: Mapping[str, Any], _blob: bytes) -> Callable[..., Any]:
    """A function in a module; from the very file it had in the host, whatever the name leads to here."""
    module = _imported(code["module"], lambda: _load_module(code["module"], code.get("file")))
    return _pick(module, code["qualname"], code["module"])


def _load_module(name: str, file: str | None) -> Any:
    from lambdalite.runtime import modules

    return modules.load(name, file)


def _load_main(code: Mapping[str, Any], _blob: bytes) -> Callable[..., Any]:
    """A function of the host's script: the script is run again, as `multiprocessing` does, not as ``__main__``."""
    from lambdalite.runtime import modules

    module = _imported("__main__", lambda: modules.load_main(code["file"]))
    return _pick(module, code["qualname"], "__main__")


# --- functions by value -------------------------------------------------------------------------------------------


def _load_pickle(code: Mapping[str, Any], blob: bytes) -> Callable[..., Any]:
    """A function that has no name to be imported by. The host made the pickle; children never send one."""
    import pickle

    def unpickle() -> Any:
        for name, file in code.get("modules", {}).items():
            _load_module(name, file)
        return pickle.loads(blob)  # noqa: S301 - the host's own

    return bare(_imported(code.get("description", "__main__"), unpickle))


_LOADERS: dict[str, Callable[[Mapping[str, Any], bytes], Callable[..., Any]]] = {
    "string": _load_string,
    "reference": _load_reference,
    "main": _load_main,
    "pickle": _load_pickle,
}
