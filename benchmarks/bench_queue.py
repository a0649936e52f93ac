"""The durable queue: accepting, running to the end, latency, a million waiting, a hundred thousand due at once."""

import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import lambdalite
from benchmarks import handlers
from benchmarks.measure import optional, p
from lambdalite.model.queued import QueuedEvent, invocation_lane
from lambdalite.store import open_store

EVENT = {"n": 1, "text": "x" * 200}

HUEY = """
import os, signal, sys, time, threading
from huey import SqliteHuey
huey = SqliteHuey(filename=sys.argv[1], fsync=True)

@huey.task()
def work(event):
    return event["n"]

def send(count):
    for _ in range(count):
        work({"n": 1, "text": "x" * 200})

threads, count = int(sys.argv[2]), int(sys.argv[3])
began = time.perf_counter()
running = [threading.Thread(target=send, args=(count // threads,)) for _ in range(threads)]
[one.start() for one in running]
[one.join() for one in running]
print(huey.pending_count() / (time.perf_counter() - began))
if sys.argv[4] == "run":
    total = huey.pending_count()
    consumer = huey.create_consumer(workers=2, worker_type="process", initial_delay=0.001, max_delay=0.001, backoff=1.0)
    began = time.perf_counter()
    consumer.start()
    while huey.result_count() < total:
        time.sleep(0.005)
    print(total / (time.perf_counter() - began), flush=True)
sys.stdout.flush()
os.killpg(0, signal.SIGKILL)  # its workers would go on, and keep our standard output open
"""


def run(table, *, quick):
    base = Path.home() / ".cache"  # a real disk: /tmp may be memory, where fsync costs nothing
    base.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=base, prefix="lambdalite-bench.") as folder:
        here = Path(folder)
        huey = optional("huey", lambda: __import__("huey"))
        _accepting(table, here, huey, 1600 if quick else 8000, 3 if quick else 5)
        _to_the_end(table, here, huey, 2000 if quick else 10_000, 3)
        _latency(table, here, 100 if quick else 500)
        _many(table, here, 100_000 if quick else 1_000_000)
        _due_at_once(table, here, 20_000 if quick else 100_000)


def _accepting(table, here, huey, count, rounds):
    ours = {1: [], 8: []}
    theirs = {1: [], 8: []}
    bare = []
    for number in range(rounds):
        bare.append(_bare(here / f"bare{number}.db", count // 4))
        for threads in (1, 8):
            ours[threads].append(
                _send(here / f"send{number}.{threads}.db", threads, count if threads > 1 else count // 4)
            )
            if huey:
                theirs[threads].append(_huey(here / f"huey{number}.{threads}.db", threads, count // 2, "send")[0])
    table.add("send, power-loss, 1 thread", statistics.median(ours[1]), "a bare SQLite transaction",
              statistics.median(bare), "/s", 0.7, more_is_better=True)  # fmt: skip
    if huey:
        for threads, goal in ((1, None), (8, 4)):
            table.add(f"send, power-loss, {threads} thread{'s' if threads > 1 else ''}", statistics.median(ours[threads]),
                      "huey with fsync", statistics.median(theirs[threads]), "/s", goal, more_is_better=True)  # fmt: skip


def _bare(path, count):
    """One INSERT a transaction, WAL, FULL: what any durable queue on SQLite must at least do."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, body BLOB)")
    body = b"x" * 250
    began = time.perf_counter()
    for _ in range(count):
        database.execute("BEGIN IMMEDIATE")
        database.execute("INSERT INTO events (body) VALUES (?)", (body,))
        database.execute("COMMIT")
    rate = count / (time.perf_counter() - began)
    database.close()
    return rate


def _send(path, threads, count):
    with lambdalite.App(store=path, dispatch=False) as app:
        function = app.function(handlers.number)
        function.send(EVENT)

        def send():
            for _ in range(count // threads):
                function.send(EVENT)

        running = [threading.Thread(target=send) for _ in range(threads)]
        began = time.perf_counter()
        for one in running:
            one.start()
        for one in running:
            one.join()
        return count / (time.perf_counter() - began)


def _huey(path, threads, count, what):
    command = [sys.executable, "-c", HUEY, str(path), str(threads), str(count), what]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, start_new_session=True)
    return [float(line) for line in done.stdout.split()]


def _to_the_end(table, here, huey, count, rounds):
    ours, theirs = [], []
    for number in range(rounds):
        ours.append(_drain(here / f"end{number}.db", count))
        if huey:
            theirs.append(_huey(here / f"hueyend{number}.db", 8, count // 4, "run")[1])
    if huey:
        table.add("send → run → acknowledged, two environments", statistics.median(ours), "huey with fsync, two processes",
                  statistics.median(theirs), "/s", 5, more_is_better=True)  # fmt: skip


def _drain(path, count):
    _send(path, 8, count)
    with lambdalite.App(store=path, reuse=True) as app:
        app.function(handlers.number, reserved_concurrency=2).invoke(EVENT)
        before = app.queue_stats().succeeded
        began = time.perf_counter()
        app.drain(600)
        return (app.queue_stats().succeeded - before) / (time.perf_counter() - began)


def _latency(table, here, count):
    """From `send` called to the handler's first line, on the machine's monotonic clock, which all processes share."""
    with lambdalite.App(store=here / "latency.db", reuse=True) as app:
        function = app.function(handlers.moment)
        for _ in range(20):
            function.send({}).result(30)
            function.invoke({})
        direct, sent, sync = [], [], []
        fd = os.open(here / "fsync", os.O_CREAT | os.O_WRONLY, 0o600)
        for _ in range(count):
            began = time.perf_counter()
            function.invoke({})
            direct.append(time.perf_counter() - began)
            began = time.monotonic()
            sent.append(function.send({}).result(30) - began)
            os.pwrite(fd, b"x" * 4096, 0)
            began = time.perf_counter()
            os.fdatasync(fd)
            sync.append(time.perf_counter() - began)
        os.close(fd)
    allowed = 3 * p(sorted(direct), 50) + p(sorted(sync), 50)
    table.add("send → handler started, idle, p50", p(sorted(sent), 50) * 1e6, "3 direct invokes and an fsync", allowed * 1e6,
              "µs", 1)  # fmt: skip


def _fill(path, count, due):
    """Put events into a store without running them."""
    store = open_store(path, durability="process-crash")
    lane = invocation_lane("number")
    for start in range(0, count, 5000):
        store.put(
            [
                QueuedEvent(
                    request_id=f"{start + n:036}", lane=lane, function="number", payload=b'{"n": 1}', accepted_at=1.0,
                    due=due(start + n),
                )
                for n in range(min(5000, count - start))
            ]
        )  # fmt: skip
    store.close()


def _many(table, here, count):
    small, large = here / "small.db", here / "large.db"
    _fill(small, 200, lambda _: 1.0)
    _fill(large, count, lambda _: 1.0)
    opened = _opening(large)
    table.fact(f"open with {count:,} events queued", f"{opened * 1e3:.0f} ms", "<= 1000 ms", opened <= 1)
    few, many = [], []
    for _ in range(5):
        few.append(_claims(small, 20))
        many.append(_claims(large, 20))
    table.add(f"claim and settle 16 with {count:,} queued", statistics.median(many) * 1e6, "with 200 queued",
              statistics.median(few) * 1e6, "µs", 1.5)  # fmt: skip
    table.fact(f"memory of a host that opens {count:,}", f"{_memory(large):.0f} MiB more", "flat (<= 32 MiB)",
               _memory(large) <= 32)  # fmt: skip


def _opening(path):
    began = time.perf_counter()
    store = open_store(path, durability="power-loss")
    store.turn((), {invocation_lane("number"): 1}, 0, 2.0, "opener", 30.0)
    elapsed = time.perf_counter() - began
    store.close()
    return elapsed


def _claims(path, rounds):
    store = open_store(path, durability="process-crash")
    lane, samples = invocation_lane("number"), []
    for _ in range(rounds):
        began = time.perf_counter()
        claim = store.turn((), {lane: 16}, 16, 2.0, "claimer", 30.0)
        samples.append(time.perf_counter() - began)
        assert len(claim.events) == 16
        store.hand_back("claimer")
    store.close()
    return statistics.median(samples)


def _memory(path):
    code = (
        "import sys, resource; from lambdalite.store import open_store; import lambdalite.model.queued\n"
        "open_store(None, durability='power-loss').turn((), {'a': 1}, 1, 1.0, 'a', 30.0)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "store = open_store(sys.argv[1], durability='power-loss')\n"
        "[store.turn((), {'invoke:number': 16}, 16, 2.0, 'a', 30.0) for _ in range(50)]\n"
        "store.statistics(); store.hand_back('a')\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    return float(done.stdout)


def _due_at_once(table, here, count):
    """Claimed in order of due time, although they were accepted in another order."""
    path = here / "due.db"
    _fill(path, count, lambda n: 10.0 + (n * 7919) % count / count)
    store = open_store(path, durability="process-crash")
    lane, seen = invocation_lane("number"), []
    began = time.perf_counter()
    while claim := store.turn((), {lane: 500}, 500, 100.0, "claimer", 30.0).events:
        seen += [event.due for event in claim]
    rate = len(seen) / (time.perf_counter() - began)
    store.close()
    table.fact(f"{count:,} due at one instant", f"{rate:,.0f} claimed a second, in order of due time",
               "all, in order", len(seen) == count and seen == sorted(seen))  # fmt: skip
