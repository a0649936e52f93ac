"""IP addresses and CIDR blocks, read as leniently and refused as strictly as AWS does.

A pattern's string that is an address matches the *address*, however the event spells it: ``"::1"`` matches
``"0:0:0:0:0:0:0:1"``.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from socket import AF_INET, inet_pton

from lambdalite.patterns.refusal import PatternValue

__all__ = ["parse_address", "parse_cidr"]

_V4 = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+", re.ASCII)
_V6 = re.compile(r"[0-9a-fA-F:]*:[0-9a-fA-F:]*", re.ASCII)
_MASK = re.compile(r"[+-]?[0-9]{1,10}", re.ASCII)
_LONGEST_V4 = len("255.255.255.255")  # Java reads no longer text as an address, leading zeros or not


def parse_address(text: str) -> tuple[int, int] | None:
    """The address that ``text`` is, as (bits, number): bits are 32 or 128. None if it is none.

    An IPv6 address that only wraps an IPv4 one (``::ffff:0a00:0001``) is that IPv4 address.
    """
    if ":" not in text:
        return _parse_v4(text) if text[-1:].isdigit() else None
    if _V6.fullmatch(text) is None:
        return None
    try:
        address = IPv6Address(text)
    except AddressValueError:
        return None
    inner = address.ipv4_mapped
    return (128, int(address)) if inner is None else (32, int(inner))


def _parse_v4(text: str) -> tuple[int, int] | None:
    if len(text) > _LONGEST_V4 or _V4.fullmatch(text) is None:
        return None
    try:
        return 32, int.from_bytes(inet_pton(AF_INET, text), "big")
    except OSError:  # leading zeros, which Java takes for decimal, or a part above 255
        parts = [int(part) for part in text.split(".")]
    return (32, int.from_bytes(bytes(parts), "big")) if max(parts) <= 0xFF else None


def parse_cidr(text: str) -> tuple[int, int, int]:
    """A CIDR block as (bits of the family, bits of the prefix, the prefix as a number).

    Raises:
        PatternValue: with AWS's words; note that a mask of 32 (128) bits is not allowed.
    """
    address, mask = _split(text)
    length = _parse_mask(mask)
    bits, number = _require_address(address)
    if length >= bits:
        raise PatternValue(f"IPv{4 if bits == 32 else 6} mask bits must be < {bits}")
    return bits, length, number >> (bits - length)


def _split(text: str) -> tuple[str, str]:
    parts = text.split("/")
    while parts and not parts[-1]:  # as Java splits: nothing behind the last slash is no part
        parts.pop()
    if len(parts) != 2:
        raise PatternValue("Malformed CIDR, one '/' required")
    return parts[0], parts[1]


def _parse_mask(text: str) -> int:
    if _MASK.fullmatch(text) is None or not -(2**31) <= int(text) < 2**31:
        raise PatternValue("Malformed CIDR, mask bits must be an integer")
    if int(text) < 0:
        raise PatternValue("Malformed CIDR, mask bits must not be negative")
    return int(text)


def _require_address(text: str) -> tuple[int, int]:
    if _V4.fullmatch(text) is None and _V6.fullmatch(text) is None:
        raise PatternValue(f"Nonstandard IP address: {text}")
    found = parse_address(text)
    if found is None:
        raise PatternValue(f"Invalid IP address: {text}")
    return found
