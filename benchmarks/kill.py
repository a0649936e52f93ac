"""Kills the host with -9 at random instants, again and again, and counts what became of every event.

    python -m benchmarks.kill --kills 1000

A host process opens an App on one store, sends events and runs them; every id is told to this script only after `send`
has returned. It is killed after a random time, and the next host goes on with the same store. In the end one host is
allowed to finish, and then:

- no event may be lost: every id that `send` returned has run, and is over in the store;
- none may be invisible: the store holds no event that is neither over nor waiting;
- an event that ran more than once must have been running, without its acknowledgement stored, at as many kills.

    python -m benchmarks.kill --schedules 10000

Two hosts share one store and fire twenty schedules, on a clock that runs a thousand times as fast; again and again one of
them is killed and started again. In the end every instant must have fired once, and no other.
"""

from __future__ import annotations

import argparse
import collections
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

FIRING = """
import sys, time
from lambdalite.clock import wall
from lambdalite.engine.queue import Queue
from lambdalite.engine.timetable import Timetable
from lambdalite.model.function import Version, configure
from lambdalite.observe import Observatory
from lambdalite.schedules import schedule
from lambdalite.store import open_store

path, began, until = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
versions = {"tick": Version(config=configure({"name": "tick"}), arn="arn:aws:lambda:us-east-1:1:function:tick", handler="a.b")}
queue = Queue(lambda: open_store(path, durability="process-crash"), None, Observatory(), lambda: None)
timetable = Timetable(queue, lambda: versions, "us-east-1", "1")
for number in range(20):
    timetable.add(schedule("rate(1 minute)", name=f"s{number}", start=began, end=until, missed="all"), "tick")
while True:
    now = began + (wall() - began - 5) * 1000  # not before five seconds: a schedule that is new to the store begins now
    timetable.fire(min(now, until))
    if now > until:
        break
    time.sleep(0.001)
"""

HOST = """
import os, sys, time
from lambdalite import App

directory, seed, last = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "last"
app = App(store=directory + "/store.db", durability=sys.argv[4], async_concurrency=4)

@app.function(reuse=True, writable=[directory], memory=256)
def work(event, context):
    fd = os.open(event["runs"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, (context.aws_request_id + "\\n").encode())
    os.close(fd)
    return event["n"]

with app:
    if last:
        ok = app.drain(120)
        print("drained" if ok else "stuck", app.queue_stats(), flush=True)
    else:
        for n in range(10**9):
            while n % 50 == 0 and app.queue_stats().pending > 300:  # else the last host would have hours to do
                time.sleep(0.005)
            sent = work.send({"n": n, "runs": directory + "/runs"})
            os.write(1, (sent.request_id + "\\n").encode())
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--longest", type=float, default=0.4, help="seconds after the first event before the kill, at most"
    )
    parser.add_argument(
        "--durability", default="process-crash", help="a kill is survived by either; this one is quicker"
    )
    parser.add_argument("--schedules", type=int, metavar="FIRINGS", help="count firings of schedules instead of events")
    options = parser.parse_args()
    dice = random.Random(options.seed)
    base = pathlib.Path.home() / ".cache"
    base.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=base, prefix="lambdalite-kill.") as directory:
        return _schedules(options.schedules, dice, directory) if options.schedules else _count(options, dice, directory)


def _schedules(firings: int, dice: random.Random, directory: str) -> int:
    """Two hosts, one killed at a time, until the last instant has passed."""
    path, each = f"{directory}/store.db", -(-firings // 20)
    began = time.time()
    until = began + 60 * (each - 1)

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", FIRING, path, repr(began), repr(until)])

    hosts, kills = [start(), start()], 0
    while all(host.poll() is None for host in hosts):
        time.sleep(dice.random() * 0.3)
        victim = dice.randrange(2)
        hosts[victim].kill()
        hosts[victim].wait()
        hosts[victim] = start()
        kills += 1
    for host in hosts:
        host.wait()
    return _fired(path, each, began, kills)


def _fired(path: str, each: int, began: float, kills: int) -> int:
    import sqlite3

    with sqlite3.connect(path) as database:
        found = collections.Counter(
            (source, round((due - began) / 60)) for source, due in database.execute("SELECT source, due FROM events")
        )
    expected = {(f"schedule:s{number}", minute) for number in range(20) for minute in range(each)}
    lost, doubled = expected - set(found), [one for one, count in found.items() if count > 1]
    print(
        f"{len(expected)} instants, {kills} kills: lost {len(lost)}, doubled {len(doubled)}, others {len(set(found) - expected)}"
    )
    return 0 if set(found) == expected and not doubled else 1


def _count(options: argparse.Namespace, dice: random.Random, directory: str) -> int:
    sent: list[str] = []
    running_at_kill: collections.Counter[str] = collections.Counter()
    for kill in range(options.kills):
        sent += _one_host(options, dice, directory, kill)
        running_at_kill.update(_running(directory))
        if sys.stderr.isatty() or kill % 50 == 49:
            print(f"\r{kill + 1} kills, {len(sent)} events sent", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    end = subprocess.run(
        [sys.executable, "-c", HOST, directory, "0", "last", options.durability],
        capture_output=True,
        text=True,
        check=False,
    )
    print(end.stdout.strip(), end.stderr.strip()[-2000:])
    runs = collections.Counter(pathlib.Path(directory, "runs").read_text().split())
    return _verdict(directory, sent, runs, running_at_kill, drained=end.stdout.startswith("drained"))


def _one_host(options: argparse.Namespace, dice: random.Random, directory: str, kill: int) -> list[str]:
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, directory, str(kill), "go on", options.durability], stdout=subprocess.PIPE
    )
    assert host.stdout is not None
    os.set_blocking(host.stdout.fileno(), False)
    told = b""
    # Now and then before the first event is sent: opening the store must survive it too.
    early = dice.random() < 0.1
    at = time.monotonic() + dice.random() * options.longest if early else None
    while at is None or time.monotonic() < at:
        told += host.stdout.read() or b""
        if told and at is None:
            at = time.monotonic() + dice.random() * options.longest
        time.sleep(0.001)
    host.send_signal(signal.SIGKILL)
    os.set_blocking(host.stdout.fileno(), True)
    told += host.stdout.read()
    host.wait()
    return [line.decode() for line in told.split(b"\n")[:-1]]  # a line that was cut off was not told


def _running(directory: str) -> list[str]:
    """Ids that were claimed, and not acknowledged, when the host died."""
    import sqlite3

    try:
        with sqlite3.connect(f"file:{directory}/store.db?mode=ro", uri=True) as database:
            return [row[0] for row in database.execute("SELECT id FROM events WHERE state = 3")]
    except sqlite3.OperationalError:
        return []  # killed before there was a store


def _verdict(
    directory: str, sent: list[str], runs: collections.Counter[str], running: collections.Counter[str], *, drained: bool
) -> int:
    from lambdalite.store import open_store

    store = open_store(f"{directory}/store.db", durability="power-loss")
    counts = store.statistics()
    lost = [one for one in sent if not runs[one] or (found := store.get(one)) is None or not found.state.final]
    store.close()
    twice = [one for one, count in runs.items() if count > 1]
    unexplained = [one for one in twice if runs[one] - 1 > running[one]]
    print(
        f"{len(sent)} events told, {len(runs)} have run, {len(twice)} more than once; "
        f"lost {len(lost)}, unexplained repeats {len(unexplained)}, not over {counts.pending}"
    )
    return 0 if drained and not lost and not unexplained and not counts.pending else 1


if __name__ == "__main__":
    sys.exit(main())
