"""The board: one page or so of memory that host and guardian share, a slot for each process.

The host says whether a process is busy; the guardian says how much memory it has seen and why it killed. Neither asks the
other anything, so an invocation pays for a few stores and no message. Children never map it: a handler could write
anything into it.

A slot is used by one process after another; its *generation* tells them apart. The host counts it up when it hands the
slot out, and the guardian writes only while the generation is still the one that its process registered with.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections import namedtuple

__all__ = ["CGROUP", "JUDGED", "KILLED", "OUT_OF_MEMORY", "SAMPLING", "SLOT_BYTES", "WATCHED", "Board", "SlotState"]

SLOT_BYTES = 64
# offsets within a slot, and who writes there
_GENERATION = 0  # u32, host
_BUSY = 4  # u8, host: 1 while an invocation or an init runs
_FLAGS = 5  # u8, guardian
_ENFORCER = 6  # u8, guardian
_PEAK = 8  # u64, guardian; the host sets it to zero when an invocation begins
_CPU = 16  # u64, guardian: CPU microseconds of the process tree

WATCHED, OUT_OF_MEMORY, KILLED, JUDGED = 1, 2, 4, 8  # JUDGED: it is dead, and the flags are final
SAMPLING, CGROUP = 1, 2
_ENFORCERS = {0: "", SAMPLING: "sampling", CGROUP: "cgroup"}

_u32 = struct.Struct("=I")
_u64 = struct.Struct("=Q")
_ZERO = bytes(SLOT_BYTES - _BUSY)

SlotState = namedtuple("SlotState", "generation busy out_of_memory killed judged enforcer peak cpu_us")


class Board:
    """The mapped memory. Slot 0 is the head: its first byte says that the guardian sleeps long."""

    __slots__ = ("_map", "fd")

    def __init__(self, fd: int, size: int) -> None:
        self.fd = fd
        self._map = mmap.mmap(fd, size)

    @classmethod
    def create(cls, slots: int) -> Board:
        """New memory for so many slots (the host's side)."""
        size = slots * SLOT_BYTES
        if hasattr(os, "memfd_create"):
            fd = os.memfd_create("lambdalite-board")
        else:
            import tempfile

            fd, path = tempfile.mkstemp(prefix="lambdalite-board-")
            os.unlink(path)
        os.ftruncate(fd, size)
        return cls(fd, size)

    @classmethod
    def attach(cls, fd: int, slots: int) -> Board:
        """The same memory (the guardian's side)."""
        return cls(fd, slots * SLOT_BYTES)

    def __del__(self) -> None:
        # Environments of a supervisor that died still end their slots here, so the last of them unmaps it, not the first.
        os.close(self.fd)

    # --- the host's side ------------------------------------------------------------------------------------------

    def claim(self, slot: int, generation: int) -> None:
        """Hand the slot to a new process."""
        at = slot * SLOT_BYTES
        _u32.pack_into(self._map, at, generation)
        self._map[at + _BUSY : at + SLOT_BYTES] = _ZERO

    def begin(self, slot: int) -> None:
        """An invocation begins."""
        at = slot * SLOT_BYTES
        self._map[at + _BUSY] = 1
        _u64.pack_into(self._map, at + _PEAK, 0)

    def end(self, slot: int) -> None:
        """It is over."""
        self._map[slot * SLOT_BYTES + _BUSY] = 0

    def peak(self, slot: int) -> int:
        """The most memory seen since `begin`, bytes."""
        return int(_u64.unpack_from(self._map, slot * SLOT_BYTES + _PEAK)[0])

    @property
    def sleeping(self) -> bool:
        """Does the guardian sleep long, so that it wants to be woken?"""
        return self._map[0] != 0

    def read(self, slot: int) -> SlotState:
        """Everything in a slot."""
        at = slot * SLOT_BYTES
        flags = self._map[at + _FLAGS]
        return SlotState(
            _u32.unpack_from(self._map, at)[0],
            bool(self._map[at + _BUSY]),
            bool(flags & OUT_OF_MEMORY),
            bool(flags & KILLED),
            bool(flags & JUDGED),
            _ENFORCERS.get(self._map[at + _ENFORCER], ""),
            self.peak(slot),
            _u64.unpack_from(self._map, at + _CPU)[0],
        )

    # --- the guardian's side --------------------------------------------------------------------------------------

    def sleep(self, deeply: bool) -> None:
        """Say whether we sleep long."""
        self._map[0] = int(deeply)

    def busy(self, slot: int) -> bool:
        """Does an invocation run?"""
        return self._map[slot * SLOT_BYTES + _BUSY] != 0

    def has(self, slot: int) -> bool:
        """Is there such a slot? The head is none."""
        return 0 < slot < len(self._map) // SLOT_BYTES

    def owned(self, slot: int, generation: int) -> bool:
        """Is the slot still that process's?"""
        return bool(_u32.unpack_from(self._map, slot * SLOT_BYTES)[0] == generation)

    def raise_peak(self, slot: int, size: int, cpu_us: int = 0) -> None:
        """Note what was seen."""
        at = slot * SLOT_BYTES
        if size > _u64.unpack_from(self._map, at + _PEAK)[0]:
            _u64.pack_into(self._map, at + _PEAK, size)
        if cpu_us:
            _u64.pack_into(self._map, at + _CPU, cpu_us)

    def mark(self, slot: int, flags: int, enforcer: int = 0) -> None:
        """Add flags; say who enforces."""
        at = slot * SLOT_BYTES
        if enforcer:
            self._map[at + _ENFORCER] = enforcer
        self._map[at + _FLAGS] |= flags
