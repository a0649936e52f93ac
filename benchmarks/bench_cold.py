"""Starting: environments, hosts, imports."""

import multiprocessing
import os
import statistics
import subprocess
import sys
import threading
import time

import lambdalite
from benchmarks import handlers


def run(table, *, quick):
    _sustained(table, 100 if quick else 400)
    _boto3(table, 8 if quick else 30)
    _first_answer(table, 3 if quick else 7)
    _imports(table, 5 if quick else 15)


def _two_callers(call, count):
    threads = [threading.Thread(target=lambda: [call() for _ in range(count // 2)]) for _ in range(2)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return count / (time.perf_counter() - began)


def _process(context, sink):
    process = context.Process(target=handlers.echo, args=(handlers.EVENT,))
    process.start()
    process.join()
    process.close()


def _sustained(table, count):
    fork, forkserver = multiprocessing.get_context("fork"), multiprocessing.get_context("forkserver")
    _process(forkserver, None)
    with lambdalite.App(spares=2) as app:
        fresh = app.function(handlers.echo)
        fresh.invoke(handlers.EVENT)
        ours, forks, servers = [], [], []
        for _ in range(3):
            ours.append(_two_callers(lambda: fresh.invoke(handlers.EVENT), count))
            forks.append(_two_callers(lambda: _process(fork, None), count))
            servers.append(_two_callers(lambda: _process(forkserver, None), count // 4))
    table.add(
        "stateless, sustained, two callers",
        statistics.median(ours),
        "multiprocessing.Process, fork",
        statistics.median(forks),
        "calls/s",
        1.3,
        more_is_better=True,
    )
    table.add(
        "stateless, sustained, two callers",
        statistics.median(ours),
        "multiprocessing.Process, forkserver",
        statistics.median(servers),
        "calls/s",
        5,
        more_is_better=True,
    )


BARE_FORK = """
import os, statistics, time, boto3
times = []
for _ in range({count}):
    began = time.perf_counter()
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    times.append(time.perf_counter() - began)
print(statistics.median(times))
"""


def _boto3(table, count):
    try:
        import boto3  # noqa: F401
    except ImportError:
        return
    with lambdalite.App(spares=0) as app:
        function = app.load("benchmarks.with_boto3.handler", timeout=30, init_timeout=60, memory=512)
        function.invoke()
        cold = statistics.median(outcome.init_duration for outcome in (function.run() for _ in range(count)))
    bare = float(
        subprocess.run(
            [sys.executable, "-c", BARE_FORK.format(count=count)], capture_output=True, text=True, check=True
        ).stdout
    )
    spawn = statistics.median(_timed([sys.executable, "-c", "import boto3"]) for _ in range(3))
    table.add(
        "cold environment, boto3 imported", cold * 1e3, "bare fork+exit+wait, boto3 loaded", bare * 1e3, "ms", 2.0
    )
    table.add(
        "cold environment, boto3 imported", cold * 1e3, "a new interpreter importing boto3", spawn * 1e3, "ms", 0.1
    )


def _timed(command, **options):
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **options)
    return time.perf_counter() - began


OURS = """
import lambdalite, os
from benchmarks import handlers
app = lambdalite.App()
app.function(handlers.echo).invoke(1)
os._exit(0)
"""
LOKY = """
import os
from loky import get_reusable_executor
from benchmarks import handlers
get_reusable_executor(1).submit(handlers.echo, 1).result()
os._exit(0)
"""
SPAWN = """
import multiprocessing, os
from concurrent.futures import ProcessPoolExecutor
from benchmarks import handlers
ProcessPoolExecutor(1, multiprocessing.get_context("spawn")).submit(handlers.echo, 1).result()
os._exit(0)
"""


def _first_answer(table, rounds):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}

    def first(code):
        return _timed([sys.executable, "-c", code], env=environment) - nothing

    nothing = min(_timed([sys.executable, "-c", "import os; os._exit(0)"], env=environment) for _ in range(5))
    ours = statistics.median(first(OURS) for _ in range(rounds))
    try:
        import loky  # noqa: F401

        table.add(
            "first answer in a new host, import included",
            ours * 1e3,
            "loky",
            statistics.median(first(LOKY) for _ in range(rounds)) * 1e3,
            "ms",
            0.5,
        )
    except ImportError:
        pass
    table.add(
        "first answer in a new host, import included",
        ours * 1e3,
        "ProcessPoolExecutor, spawn",
        statistics.median(first(SPAWN) for _ in range(rounds)) * 1e3,
        "ms",
    )


def _import(code):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    timed = f"import time; began = time.perf_counter(); {code}; print(time.perf_counter() - began)"
    return float(
        subprocess.run(
            [sys.executable, "-c", timed], capture_output=True, text=True, check=True, env=environment
        ).stdout
    )


def _imports(table, rounds):
    def best(code):
        return statistics.median(_import(code) for _ in range(rounds)) * 1e3

    table.add("import lambdalite", best("import lambdalite"), "import asyncio", best("import asyncio"), "ms", 0.15)
    table.add(
        "from lambdalite import App, function",
        best("from lambdalite import App, function"),
        "import attrs",
        best("import attrs"),
        "ms",
        1.3,
    )
