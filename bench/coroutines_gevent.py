"""What bench/coroutines.py measures with gevent. `coroutines_gevent.py WORK COUNT [ADDRESS]` does one
measurement and prints it as JSON, or serves until its standard input ends."""

from gevent import monkey

monkey.patch_all()

import http.client
import json
import os
import socket
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import gevent
from gevent.server import StreamServer
from gevent.threadpool import ThreadPool

BATCH = 1000
YIELDERS = 1000
CLIENTS = 1000
MESSAGE = 64


def memory(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def report(count, seconds, each=None):
    print(json.dumps({"seconds": seconds, "count": count, **({} if each is None else {"bytes": each})}))


def timed(count, work):
    work(count // 10 + 1)
    begin = time.perf_counter()
    work(count)
    report(count, time.perf_counter() - begin)


def nothing():
    pass


def spawn(count):
    for _ in range(count // BATCH):
        gevent.joinall([gevent.spawn(nothing) for _ in range(BATCH)])


def yielding(count):
    def one():
        for _ in range(count // YIELDERS):
            gevent.sleep(0)

    gevent.joinall([gevent.spawn(one) for _ in range(YIELDERS)])


def sleeping(count):
    asleep = 0

    def one():
        nonlocal asleep
        asleep += 1
        gevent.sleep(3600)

    before = memory("VmRSS")
    begin = time.perf_counter()
    held = [gevent.spawn(one) for _ in range(count)]
    while asleep < len(held):
        gevent.sleep(0)
    seconds = time.perf_counter() - begin
    report(count, seconds, (memory("VmRSS") - before) / count)
    sys.stdout.flush()
    # Without waiting for the coroutines' end.
    os._exit(0)


def echo():
    def serve(stream, _):
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while message := stream.recv(MESSAGE):
            stream.sendall(message)

    server = StreamServer(("127.0.0.1", 0), serve)
    server.start()
    print(f"127.0.0.1:{server.server_port}", flush=True)
    ThreadPool(1).spawn(sys.stdin.read).get()


def pages(count, address):
    where = urlsplit(address)

    def one(each):
        connection = http.client.HTTPConnection(where.netloc)
        for _ in range(each):
            connection.request("GET", "/")
            assert len(connection.getresponse().read()) == MESSAGE
        connection.close()

    one(1)
    before = memory("VmRSS")
    begin = time.perf_counter()
    gevent.joinall([gevent.spawn(one, count) for _ in range(CLIENTS)], raise_error=True)
    seconds = time.perf_counter() - begin
    report(CLIENTS * count, seconds, (memory("VmHWM") - before) / CLIENTS)


def main():
    work, count = sys.argv[1], int(sys.argv[2])
    if work == "echo":
        echo()
    elif work == "http":
        pages(count, sys.argv[3])
    elif work == "sleeping":
        sleeping(count)
    else:
        timed(count, {"spawn": spawn, "yield": yielding}[work])


if __name__ == "__main__":
    main()
