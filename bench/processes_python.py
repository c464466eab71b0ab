"""One measurement of processes.py with the multiprocessing of the Python that runs it:
`processes_python.py WORK COUNT` does the work so many times and prints what it took as one line of JSON.

Processes are forked, Python's quickest way to start them.
"""

import json
import multiprocessing
import os
import resource
import sys
import threading
import time

CONTEXT = multiprocessing.get_context("fork")
MESSAGE = bytes([7]) * 64
BATCH = 1000
WORKERS = 2
LARGE = 1 << 30
NUMBERS = 10_000


def nothing(number=None):
    return number


def take(queue, count, report):
    report.send(None)
    for _ in range(count):
        queue.get()
    report.send(None)


def messages(count, items):
    """The time from the first message to the last one's arrival in the other process."""
    queue = CONTEXT.Queue()
    reports, report = CONTEXT.Pipe(False)
    child = CONTEXT.Process(target=take, args=(queue, count, report))
    child.start()
    reports.recv()
    start = time.perf_counter()
    for _ in range(count):
        queue.put(items)
    reports.recv()
    elapsed = time.perf_counter() - start
    child.join()
    return elapsed


def queue(count):
    return messages(count, MESSAGE)


def lists(count):
    # Objects of their own: pickle writes one that comes again as a reference.
    return messages(count // BATCH, [bytes([number % 256]) * 64 for number in range(BATCH)])


def echo(pipe, there):
    there.close()
    try:
        while True:
            pipe.send(pipe.recv())
    except EOFError:
        pass


def pipe(count):
    here, there = CONTEXT.Pipe()
    child = CONTEXT.Process(target=echo, args=(there, here))
    child.start()
    there.close()
    here.send(MESSAGE)
    here.recv()
    start = time.perf_counter()
    for _ in range(count):
        here.send(MESSAGE)
        here.recv()
    elapsed = time.perf_counter() - start
    here.close()
    child.join()
    return elapsed


def pool(count):
    with CONTEXT.Pool(WORKERS) as workers:
        workers.map(nothing, range(1000), chunksize=1)
        start = time.perf_counter()
        workers.map(nothing, range(count), chunksize=1)
        return time.perf_counter() - start


def apply(count):
    with CONTEXT.Pool(WORKERS) as workers:
        workers.map(nothing, range(1000), chunksize=1)
        start = time.perf_counter()
        for number in range(count):
            workers.apply(nothing, (number,))
        return time.perf_counter() - start


def start(count, ballast=0):
    ballast = bytearray(b"\1") * ballast
    begin = time.perf_counter()
    for _ in range(count):
        process = CONTEXT.Process(target=nothing)
        process.start()
        process.join()
    elapsed = time.perf_counter() - begin
    del ballast
    return elapsed


def start_large(count):
    return start(count, LARGE)


def lock(count):
    own = CONTEXT.Lock()
    begin = time.perf_counter()
    for _ in range(count):
        own.acquire()
        own.release()
    return time.perf_counter() - begin


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def watched(work):
    """Measures work on a pool, and what it takes of descriptors and memory."""
    with CONTEXT.Pool(WORKERS) as workers:
        found = {"descriptors_before": descriptors(), "memory_before": resident(), "descriptors": 0}
        over = threading.Event()

        def watch():
            while not over.wait(0.02):
                found["descriptors"] = max(found["descriptors"], descriptors())

        watcher = threading.Thread(target=watch)
        watcher.start()
        begin = time.perf_counter()
        work(workers)
        found["seconds"] = time.perf_counter() - begin
        over.set()
        watcher.join()
    found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return found


def imap(count):
    return watched(lambda workers: sum(workers.imap(nothing, range(count))))


def map_async(count):
    return watched(lambda workers: sum(workers.map_async(nothing, range(count)).get()))


def collatz(piece):
    steps = 0
    for number in range(piece * NUMBERS + 1, (piece + 1) * NUMBERS + 1):
        while number > 1:
            number = number // 2 if number % 2 == 0 else 3 * number + 1
            steps += 1
    return steps


def compute(threads, count):
    pieces = iter(range(count))

    def run():
        for piece in pieces:
            collatz(piece)

    crew = [threading.Thread(target=run) for _ in range(threads)]
    begin = time.perf_counter()
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    return time.perf_counter() - begin


def cpu(count):
    return compute(2, count)


def cpu_one(count):
    return compute(1, count)


WORKS = (queue, lists, pipe, pool, apply, start, start_large, lock, imap, map_async, cpu, cpu_one)


def main():
    name, count = sys.argv[1], int(sys.argv[2])
    found = {work.__name__: work for work in WORKS}[name](count)
    if not isinstance(found, dict):
        found = {"seconds": found}
    print(json.dumps({"count": count, **found}))


if __name__ == "__main__":
    main()
