"""Which code does a name mean? An immutable snapshot, replaced as a whole, so readers need no lock."""

from __future__ import annotations

import threading
from types import MappingProxyType
from typing import TYPE_CHECKING

from lambdalite import names
from lambdalite.errors import InvalidParameterValue, ResourceConflict, ResourceNotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambdalite.model.function import Version

__all__ = ["Registry"]


class Registry:
    """The functions of one App by name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # writers only: read, copy, swap
        self._functions: Mapping[str, Version] = MappingProxyType({})

    @property
    def functions(self) -> Mapping[str, Version]:
        """Name → ``$LATEST``, as it stands now; never changes under the reader."""
        return self._functions

    def add(self, version: Version) -> None:
        """Register a new function.

        Raises:
            ResourceConflict: the name is taken.
        """
        with self._lock:
            if version.name in self._functions:
                raise ResourceConflict(
                    f"Function already exist: {version.name}. Give this one another name=, or remove the first"
                )
            self._functions = MappingProxyType({**self._functions, version.name: version})

    def replace(self, version: Version) -> None:
        """Put a new revision in the place of a function.

        Raises:
            ResourceNotFound: there is no such function.
        """
        with self._lock:
            self.resolve(version.name)
            self._functions = MappingProxyType({**self._functions, version.name: version})

    def remove(self, name: str) -> None:
        """Delete a function.

        Raises:
            ResourceNotFound: there is no such function.
        """
        with self._lock:
            if name not in self._functions:
                raise ResourceNotFound(f"Function not found: {names.function_arn(name)}")
            self._functions = MappingProxyType({key: item for key, item in self._functions.items() if key != name})

    def resolve(self, name: str, qualifier: str | None = None) -> Version:
        """The version that a name, partial ARN or ARN means.

        Raises:
            InvalidParameterValue: not a function name at all, or two different qualifiers.
            ResourceNotFound: nothing of that name, or no such qualifier.
        """
        found = self._functions.get(name)
        if found is None:
            parts = names.split_function(name)
            if parts is None:
                raise InvalidParameterValue(
                    f"1 validation error detected: Value '{name}' at 'functionName' failed to satisfy constraint: "
                    f"Member must satisfy regular expression pattern: {names.FUNCTION_NAME.pattern}"
                )
            name, written = parts
            if written and qualifier and written != qualifier:
                raise InvalidParameterValue(
                    "The derived qualifier from the function name does not match the specified qualifier."
                )
            qualifier = qualifier or written
            found = self._functions.get(name)
        if found is None or qualifier not in (None, names.LATEST):
            raise ResourceNotFound(self._missing(name, qualifier))
        return found

    def _missing(self, name: str, qualifier: str | None) -> str:
        # S: Invoke names the qualifier, $LATEST where none was given
        text = f"Function not found: {names.function_arn(name, qualifier or names.LATEST)}"
        if name in self._functions:
            return f"{text} (only {names.LATEST} exists: versions and aliases are not published here)"
        near = _nearest(name, self._functions)
        return f"{text} (did you mean '{near}'?)" if near else text


def _nearest(name: str, known: Mapping[str, Version]) -> str:
    import difflib

    return next(iter(difflib.get_close_matches(name, list(known), n=1)), "")
