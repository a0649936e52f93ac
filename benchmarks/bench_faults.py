"""When a handler hangs, dies or takes too much."""

import statistics
import time

import lambdalite
from benchmarks import handlers, peers
from benchmarks.measure import optional


def run(table, *, quick):
    rounds = 5 if quick else 15
    pebble = optional("pebble", peers.pebble)
    with lambdalite.App() as app:
        _timeout(table, app, pebble, rounds)
        _crash(table, app, rounds)
        _memory(table, app, rounds)
        _cpu(table, app, 1.5 if quick else 4.0)
    if pebble:
        pebble.stop()
        pebble.join()


def _timeout(table, app, pebble, rounds):
    function = app.function(handlers.sleep, timeout=0.2, reuse=True)
    function.invoke(0)
    late, after = [], []
    for _ in range(rounds):
        outcome_began = time.perf_counter()
        function.run(30)
        late.append(time.perf_counter() - outcome_began - 0.2)
        began = time.perf_counter()
        function.invoke(0)
        after.append(time.perf_counter() - began)
    ours, ours_next = statistics.median(late) * 1e3, statistics.median(after) * 1e3
    table.fact("timeout answered after the deadline", f"{ours:.1f} ms", "<= 15 ms", ours <= 15)
    table.fact("the next call after a timeout", f"{ours_next:.1f} ms", "<= 5 ms", ours_next <= 5)
    if pebble:
        theirs = []
        for _ in range(3):
            began = time.perf_counter()
            try:
                pebble.schedule(handlers.sleep, args=(30,), timeout=0.2).result()
            except TimeoutError:
                theirs.append(time.perf_counter() - began - 0.2)
        table.add("timeout answered after the deadline", ours, "pebble", statistics.median(theirs) * 1e3, "ms")


def _crash(table, app, rounds):
    function = app.function(handlers.crash, reuse=True)
    function.invoke(False)
    noticed = []
    for _ in range(rounds):
        function.invoke(False)
        began = time.perf_counter()
        function.run(True)
        noticed.append(time.perf_counter() - began)
    crash = statistics.median(noticed) * 1e3
    table.fact("crash answered", f"{crash:.1f} ms", "<= 10 ms", crash <= 10)


def _memory(table, app, rounds):
    function = app.function(handlers.hog, memory=256, timeout=30)
    peaks = [function.run().max_memory_used / 2**20 for _ in range(rounds)]
    over = max(peaks) - 256
    table.fact("memory over the limit before the kill, worst", f"{over:.0f} MiB", "<= 32 MiB", over <= 32)


def _cpu(table, app, seconds):
    for memory in (128, 512, 1769):
        share = memory / 1769
        function = app.function(handlers.burn, name=f"burn{memory}", memory=memory, timeout=60, cpu="aws", reuse=True)
        function.invoke(0.05)
        used = function.invoke(seconds) / seconds
        off = (used / share - 1) * 100
        table.fact(
            f"CPU share at {memory} MiB", f"{used:.3f} of {share:.3f} ({off:+.0f} %)", "within 10 %", abs(off) <= 10
        )
