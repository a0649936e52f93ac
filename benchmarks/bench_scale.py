"""A thousand at once, and very many one after another."""

import resource
import sys
import threading
import time

import psutil

import lambdalite
from benchmarks import handlers


def run(table, *, quick):
    _thousand(table, 200 if quick else 1000)
    _sequence(table, 3000 if quick else 100_000)


def _thousand(table, count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * count + 500
    if wanted > hard != resource.RLIM_INFINITY:
        table.fact(f"{count} sleeping at once", f"not run: {wanted} descriptors are needed, and {hard} allowed")
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    threading.stack_size(256 * 1024)
    with lambdalite.App(concurrency=count + 10, spares=0) as app:
        function = app.function(handlers.sleep, timeout=120)
        other = app.function(handlers.echo, reuse=True)
        function.invoke(0)
        other.invoke(1)
        started, lock = [], threading.Lock()

        def one():
            function.run(14)
            with lock:
                started.append(1)

        began = time.perf_counter()
        threads = [threading.Thread(target=one) for _ in range(count)]
        for thread in threads:
            thread.start()
        while app.statistics().in_use < count or _running(app) < count:
            if time.perf_counter() - began > 60 or started:
                break
            time.sleep(0.02)
        took = time.perf_counter() - began
        prompt = time.perf_counter()
        other.invoke(1)
        prompt = time.perf_counter() - prompt
        private = _private(app, 20)
        for thread in threads:
            thread.join()
    table.fact(
        f"{count} sleeping at once: from none to all", f"{took:.1f} s", "<= 10 s for 1,000", took <= 10 * count / 1000
    )
    table.fact(f"{count} sleeping at once: private memory each", f"{private:.1f} MiB", "<= 3 MiB", private <= 3)
    table.fact(f"{count} sleeping at once: another function's answer", f"{prompt * 1e3:.1f} ms")
    threading.stack_size(0)


def _family(app):
    guardian = psutil.Process(app.supervisor().pid)
    [zygote] = guardian.children()
    return guardian, zygote, zygote.children()


def _running(app):
    _, _, templates = _family(app)
    return sum(len(template.children()) for template in templates)


def _private(app, sample):
    _, _, templates = _family(app)
    biggest = max((template.children() for template in templates), key=len)[:sample]
    return sum(process.memory_full_info().uss for process in biggest) / len(biggest) / 2**20


def _sequence(table, count):
    with lambdalite.App() as app:
        function = app.function(handlers.echo, reuse=True)
        for _ in range(2000):
            function.invoke(1)

        def state():
            guardian, zygote, _ = _family(app)
            return [
                (one.memory_info().rss / 2**20, one.num_fds(), one.num_threads())
                for one in (psutil.Process(), guardian, zygote)
            ]

        before = state()
        for number in range(count):
            function.invoke(1)
            if number % 10_000 == 9_999:
                print(f"  … {number + 1:,} of {count:,}", file=sys.stderr)
        after = state()
    for name, old, new in zip(("host", "guardian", "zygote"), before, after, strict=True):
        grown = f"memory {new[0] - old[0]:+.1f} MiB, descriptors {new[1] - old[1]:+d}, threads {new[2] - old[2]:+d}"
        flat = new[1] <= old[1] and new[2] <= old[2]
        table.fact(f"after {count:,} invocations: {name}", grown, "flat", flat)
