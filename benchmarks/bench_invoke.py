"""A warm invocation, a stateless one with a spare at hand, and many in flight on two environments."""

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import lambdalite
from benchmarks import handlers, peers
from benchmarks.measure import latencies, optional, p


def run(table, *, quick):
    rounds, count = (4, 200) if quick else (10, 500)
    event, big = handlers.EVENT, handlers.BIG
    bare = peers.BarePipe()
    pool, executor = peers.pool(), peers.executor()
    pebble, loky = optional("pebble", peers.pebble), optional("loky", peers.loky)
    calls = {"bare pipe": lambda: bare(event), "multiprocessing.Pool": lambda: pool.apply(handlers.echo, (event,))}
    calls["ProcessPoolExecutor"] = lambda: executor.submit(handlers.echo, event).result()
    if pebble:
        calls["pebble"] = lambda: pebble.schedule(handlers.echo, args=(event,), timeout=30).result()
    if loky:
        calls["loky"] = lambda: loky.submit(handlers.echo, event).result()
    with lambdalite.App() as app:
        warm = app.function(handlers.echo, name="warm", reuse=True)
        fresh = app.function(handlers.echo, name="fresh")
        warm.invoke(event)
        fresh.invoke(event)
        _one_caller(table, calls, warm, event, rounds, count)
        _large(table, bare, warm, big, 3 if quick else 8)
        _spare(table, warm, fresh, event, 40 if quick else 200)
        _many(table, app, pool, pebble, event, 2000 if quick else 8000)
    bare.close()
    pool.terminate()
    executor.shutdown()
    if pebble:
        pebble.stop()
        pebble.join()
    if loky:
        loky.shutdown(kill_workers=True)


def _one_caller(table, calls, warm, event, rounds, count):
    found = latencies({"ours": lambda: warm.invoke(event), **calls}, rounds=rounds, count=count)
    goals = {"bare pipe": 1.5, "pebble": 0.35, "multiprocessing.Pool": 0.6}
    ours = found.pop("ours")
    for name, samples in found.items():
        table.add("warm, 1 KB, p50", p(ours, 50) / 1e3, name, p(samples, 50) / 1e3, "us", goals.get(name))
    for name, samples in found.items():
        if name != "bare pipe":
            table.add("warm, 1 KB, p99", p(ours, 99) / 1e3, name, p(samples, 99) / 1e3, "us", 1.0)


def _large(table, bare, warm, big, count):
    data = json.dumps(big).encode()

    def floor():
        for _ in range(2):
            json.loads(json.dumps(big))

    found = latencies(
        {
            "ours": lambda: warm.invoke(big),
            "bytes": lambda: warm.run(data).payload,
            "floor": floor,
            "bare": lambda: bare(big),
        },
        rounds=3,
        count=count,
    )
    size = f"{len(data) // 1024} KB"
    table.add(
        f"warm, {size}, objects, p50", p(found["ours"], 50) / 1e6, "JSON alone", p(found["floor"], 50) / 1e6, "ms", 1.3
    )
    table.add(f"warm, {size}, objects, p50", p(found["ours"], 50) / 1e6, "bare pipe", p(found["bare"], 50) / 1e6, "ms")
    table.add(
        f"warm, {size}, bytes, p50", p(found["bytes"], 50) / 1e6, "JSON alone", p(found["floor"], 50) / 1e6, "ms", 0.7
    )


def _spare(table, warm, fresh, event, count):
    samples = {"warm": [], "fresh": []}
    for _ in range(count):
        for name, function in (("warm", warm), ("fresh", fresh)):
            time.sleep(0.01)  # long enough for the next spare to be ready
            began = time.perf_counter_ns()
            function.invoke(event)
            samples[name].append(time.perf_counter_ns() - began)
    table.add(
        "stateless, spare at hand, p50",
        p(sorted(samples["fresh"]), 50) / 1e3,
        "warm, same pauses",
        p(sorted(samples["warm"]), 50) / 1e3,
        "us",
        2.0,
    )


def _many(table, app, pool, pebble, event, count):
    two = app.function(handlers.echo, name="two", reuse=True, reserved_concurrency=2)
    list(two.map([event] * 4, concurrency=2))

    async def loop(share):
        for _ in range(share):
            await two.ainvoke(event, wait=True)

    async def everything():
        await asyncio.gather(*(loop(count // 16) for _ in range(16)))

    def ours_async():
        asyncio.run(everything())

    def ours_threads():
        threads = [
            threading.Thread(target=lambda: [two.invoke(event, wait=True) for _ in range(count // 8)]) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def theirs_pool():
        for result in [pool.apply_async(handlers.echo, (event,)) for _ in range(count)]:
            result.get()

    def theirs_pebble():
        with ThreadPoolExecutor(8) as callers:
            list(
                callers.map(
                    lambda _: pebble.schedule(handlers.echo, args=(event,), timeout=30).result(), range(count // 2)
                )
            )

    rates = {}
    for _ in range(3):
        for name, call, done in (
            ("async", ours_async, count),
            ("threads", ours_threads, count),
            ("pool", theirs_pool, count),
            ("pebble", theirs_pebble if pebble else None, count // 2),
        ):
            if call is not None:
                began = time.perf_counter()
                call()
                rates.setdefault(name, []).append(done / (time.perf_counter() - began))
    best = {name: sorted(values)[1] for name, values in rates.items()}
    table.add(
        "two environments, 16 tasks of one event loop",
        best["async"],
        "multiprocessing.Pool",
        best["pool"],
        "calls/s",
        1.2,
        more_is_better=True,
    )
    if pebble:
        table.add(
            "two environments, 8 threads",
            best["threads"],
            "pebble, 8 threads",
            best["pebble"],
            "calls/s",
            1.2,
            more_is_better=True,
        )
