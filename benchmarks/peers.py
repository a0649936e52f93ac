"""Peers, each as a call that runs `echo` in another process; started before anything else, so that forks are small."""

import json
import multiprocessing
import os
import signal
import socket

from benchmarks import handlers

FORK = multiprocessing.get_context("fork")


class BarePipe:
    """A forked child that does the same JSON on a socket pair: the floor."""

    def __init__(self, chunk=1 << 16):
        self._sock, theirs = socket.socketpair()
        self._chunk = chunk
        self.pid = os.fork()
        if not self.pid:
            self._sock.close()
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            while data := self._take(theirs):
                self._put(theirs, json.dumps(handlers.echo(json.loads(data))).encode())
            os._exit(0)
        theirs.close()

    @staticmethod
    def _put(sock, data):
        sock.sendall(len(data).to_bytes(4, "big") + data)

    def _take(self, sock):
        data = sock.recv(self._chunk)
        if not data:
            return b""
        size = int.from_bytes(data[:4], "big") + 4
        parts, have = [data], len(data)
        while have < size:
            parts.append(sock.recv(self._chunk))
            have += len(parts[-1])
        return b"".join(parts)[4:]

    def __call__(self, event):
        self._put(self._sock, json.dumps(event).encode())
        return json.loads(self._take(self._sock))

    def close(self):
        # Pools forked since then have inherited our end, so closing it tells the child nothing.
        self._sock.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def pool():
    return FORK.Pool(2)


def executor():
    from concurrent.futures import ProcessPoolExecutor

    made = ProcessPoolExecutor(2, mp_context=FORK)
    made.submit(handlers.echo, 1).result()
    return made


def pebble():
    from pebble import ProcessPool

    made = ProcessPool(max_workers=2, context=FORK)
    made.schedule(handlers.echo, args=(1,), timeout=30).result()
    return made


def loky():
    from loky import get_reusable_executor

    made = get_reusable_executor(max_workers=2)
    made.submit(handlers.echo, 1).result()
    return made
