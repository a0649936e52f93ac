"""JSON as AWS's Python runtime speaks it (SEMANTICS 3): events in, answers out.

AWS's runtime uses a JSON library of its own that knows named tuples, bytes and `Decimal`. Nearly every answer has none
of these, so there are two ways:

*Fast.* `marshal.dumps` takes exactly the built-in types, nothing derived from them, and is five times as quick as
JSON. What passes it has no named tuples and may go straight to the interpreter's own JSON encoder, made once.

*Slow.* A copy in which named tuples are dicts and bytes keys strings, then the same encoder with hooks for the rest.
Whatever goes wrong on the fast way is tried again here, so this way alone has to find the right words.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from json.encoder import encode_basestring, encode_basestring_ascii
from marshal import dumps as _as_builtin
from typing import TYPE_CHECKING, Any

from lambdalite.runtime.faults import Fault, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Encoder = Callable[[Any, int], Iterable[str]]

__all__ = ["ASCII", "decode", "dumps", "encode", "encode_event"]

ASCII = sys.version_info < (3, 12)  # R: runtimes up to python3.11 write \uXXXX, later ones UTF-8
_UNSERIALISABLE = "Object of type {} is not JSON serializable"  # R
_REFUSED = "Could not parse request body into json: Could not parse payload into json: "  # S
_BLAME_DEPTH = 100  # O: levels that the search for the culprit goes down
_FORMAT = 4  # of marshal: the quickest; it takes what is circular, which the encoder then finds too deep


# --- events in ----------------------------------------------------------------------------------------------------


def _refuse_constant(token: str) -> float:
    from lambdalite.runtime import jackson

    raise jackson.NotStandard(token)


_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode


def decode(payload: bytes) -> Any:
    """The event that a payload holds; an empty payload is ``{}``.

    Raises:
        Fault: with ``request_error``, what AWS refuses before it runs anything: not JSON, not UTF-8, NaN, Infinity.
            Without it, ``Runtime.UnmarshalError``: JSON that Python cannot hold (a million brackets, 5,000 digits).
    """
    if not payload:
        return {}
    try:
        return _decode(str(payload, "utf-8"))
    except Exception as error:
        from lambdalite.runtime import jackson

        words = jackson.refusal(payload, error)
        if words is None and payload.startswith(b"\xef\xbb\xbf"):
            return decode(payload[3:])  # a byte order mark: taken by AWS's parser
        message = f"Unable to unmarshal input: {describe(error)}" if words is None else _REFUSED + words
        raise Fault("Runtime.UnmarshalError", message, request_error=words is not None) from None


# --- answers out --------------------------------------------------------------------------------------------------


class _Raw(str):
    """Text that is JSON already: written as it is."""

    __slots__ = ()


class _Key(str):
    """A key that was bytes: equal to nothing but itself, so that it replaces no equal string key beside it."""

    __slots__ = ()
    __eq__ = object.__eq__
    __hash__ = object.__hash__


def _raw_or(quote: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: str.__str__(text) if type(text) is _Raw else quote(text)


def _default(value: Any) -> Any:
    """What the encoder does not know, as something that it does.

    Raises:
        TypeError: in the words of AWS's runtime.
    """
    if isinstance(value, bytes):
        return str(value, "utf-8")
    named = _as_dict(value)
    if named is not None:
        return named
    decimal = sys.modules.get("decimal")  # not loaded: then there is no Decimal
    if decimal is not None and isinstance(value, decimal.Decimal):
        return _Raw("NaN") if value.is_nan() else _Raw(value)
    raise TypeError(_UNSERIALISABLE.format(type(value).__name__))


def _encoder(quote: Callable[[str], str], markers: dict[int, Any] | None, *, nan: bool = True) -> Encoder:
    """The interpreter's JSON encoder, made once where `json.dumps` makes one per call."""
    make = json.encoder.c_make_encoder  # type: ignore[attr-defined]  # CPython's own, as is `marshal`
    return make(markers, _default, quote, None, ": ", ", ", False, False, nan)  # type: ignore[no-any-return]


_fast_ascii = _encoder(encode_basestring_ascii, None)
_fast_unicode = _encoder(encode_basestring, None)
_fast_strict = _encoder(encode_basestring_ascii, None, nan=False)


def encode(answer: Any, ensure_ascii: bool = ASCII) -> bytes:
    """An answer's JSON; bytes go out as they are.

    Raises:
        Fault: ``Runtime.MarshalError``, in the words of AWS's runtime; its trace names the place.
    """
    if isinstance(answer, bytes):
        return bytes(answer)
    try:
        _as_builtin(answer, _FORMAT)
        return "".join((_fast_ascii if ensure_ascii else _fast_unicode)(answer, 0)).encode()
    except Exception:  # not a failure yet: the slow way decides
        return _encode_slowly(answer, ensure_ascii)


def _encode_slowly(answer: Any, ensure_ascii: bool) -> bytes:
    try:
        return dumps(answer, ascii_only=ensure_ascii).encode()
    except Exception as error:
        message = describe(error)
        trace = f"{_place(answer, 'answer', error, ensure_ascii)}: {type(error).__name__}: {message}\n"
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {message}", trace=trace) from error


def dumps(value: Any, *, ascii_only: bool = ASCII) -> str:
    """A value's JSON text by the slow way, with everything that AWS's runtime can write.

    Raises:
        TypeError: an object that is no JSON.
        ValueError: circular, bytes that are no UTF-8, an integer of more than 4,300 digits.
        RecursionError: nested too deeply.
    """
    with suppress(RecursionError):  # too deep for Python but perhaps not for C; or circular, and the encoder says so
        value = _plain(value)
    quote = _raw_or(encode_basestring_ascii if ascii_only else encode_basestring)
    return "".join(_encoder(quote, {})(value, 0))


def _plain(value: Any) -> Any:
    """A copy of the containers of a value, in which whatever calls itself a dict is one."""
    if value is None or isinstance(value, (str, bytes, int, float)):
        return value
    named = _as_dict(value)
    value = value if named is None else named
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {_Key(key, "utf-8") if isinstance(key, bytes) else key: _plain(item) for key, item in value.items()}
    return value


def _as_dict(value: Any) -> dict[Any, Any] | None:
    """What a named tuple, or any object with a method ``_asdict``, is as a dict; None for all others."""
    method = getattr(value, "_asdict", None)
    if not callable(method):
        return None
    try:
        found = method()
    except TypeError:  # R: it wants arguments, so it is some other method of that name
        return None
    if not isinstance(found, dict):
        raise TypeError(f"_asdict() must return a dict, not {type(found).__name__}")
    return found


# --- events out (the host's side) ---------------------------------------------------------------------------------


def encode_event(event: Any) -> bytes:
    """An event's JSON, pure ASCII; bytes are taken to be JSON already.

    Raises:
        TypeError, ValueError: what is wrong, and where: ``event["a"][3]: Object of type set is not JSON serializable``;
            for NaN and Infinity, the words with which AWS refuses them.
    """
    if isinstance(event, bytes):
        return bytes(event)
    try:
        _as_builtin(event, _FORMAT)
        return "".join(_fast_strict(event, 0)).encode("ascii")
    except Exception:  # not a failure yet: the slow way decides
        return _encode_event_slowly(event)


def _encode_event_slowly(event: Any) -> bytes:
    try:
        payload = dumps(event, ascii_only=True).encode("ascii")
    except Exception as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{_place(event, 'event', error, True)}: {describe(error)}") from error
    try:
        decode(payload)  # finds NaN wherever it came from, and says it as AWS would have
    except Fault as fault:
        raise ValueError(fault.message) from None
    return payload


# --- whose fault it is --------------------------------------------------------------------------------------------


def _place(value: Any, path: str, error: Exception, ascii_only: bool) -> str:
    try:
        # What is nested too deeply has no one place.
        return path if isinstance(error, RecursionError) else blame(value, path, ascii_only=ascii_only)
    except Exception:  # a user's `_asdict` or `items` that fails differently the second time must not hide the error
        return path


def blame(value: Any, path: str, *, ascii_only: bool) -> str:
    """The path of the first part that cannot be written, e.g. ``event["a"][3]``; the whole if no part is to blame."""
    parents: set[int] = set()
    while len(parents) < _BLAME_DEPTH:
        parents.add(id(value))
        for step, part in _parts(value):
            if id(part) in parents:
                return path + step
            if _fails(part, ascii_only):
                path, value = path + step, part
                break
        else:
            return path
    return path


def _parts(value: Any) -> Iterable[tuple[str, Any]]:
    named = None if isinstance(value, type) else _as_dict(value)
    if named is not None:
        return ((f".{key}", item) for key, item in named.items())
    if isinstance(value, dict):
        return ((f"[{_quoted(key)}]", item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ((f"[{index}]", item) for index, item in enumerate(value))
    return ()


def _quoted(key: Any) -> str:
    return json.dumps(key) if isinstance(key, str) else repr(key)


def _fails(part: Any, ascii_only: bool) -> bool:
    if part is None or (type(part) is str and part.isascii()) or type(part) is float:
        return False  # most of a large answer, and quickly said
    try:
        dumps(part, ascii_only=ascii_only).encode()
    except Exception:  # whatever it is, it is here
        return True
    return False
