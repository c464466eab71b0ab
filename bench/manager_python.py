#!/usr/bin/env python3
"""What bench/manager.py measures in Python: stock multiprocessing.managers, either end.

    manager_python.py serve                          Python's own server, until its input ends
    manager_python.py put-get ADDRESS COUNT SIZE CLIENTS
    manager_python.py idle ADDRESS COUNT             connections that do nothing, until its input ends
"""

import json
import multiprocessing
import os
import queue
import resource
import sys
import threading
import time
from multiprocessing.connection import Client
from multiprocessing.managers import BaseManager

KEY = b"qiye"


class Manager(BaseManager):
    pass


def serve():
    tasks = queue.Queue()
    Manager.register("get_task_queue", callable=lambda: tasks)
    server = Manager(address=("127.0.0.1", 0), authkey=KEY).get_server()
    print("listening on %s:%d" % server.address, flush=True)

    def end():
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=end, daemon=True).start()
    server.serve_forever()


def address_of(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def connect(address):
    Manager.register("get_task_queue")
    manager = Manager(address=address_of(address), authkey=KEY)
    manager.connect()
    return manager.get_task_queue()


def rounds(tasks, count, item):
    for _ in range(count):
        tasks.put(item)
        tasks.get()


def processor():
    """Seconds of processor time that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def work(address, count, item, ready, ended, total):
    tasks = connect(address)
    rounds(tasks, count // 10 + 1, item)
    ready.wait()
    before = processor()
    rounds(tasks, count, item)
    with total:
        total.value += processor() - before
    ended.wait()


def put_get(address, count, size, clients):
    """Each client puts and gets, one after the other; seconds from when all are ready, and the
    seconds of processor time that the clients took for themselves."""
    each, item = count // clients, b"7" * size
    fork = multiprocessing.get_context("fork")
    ready, ended, total = fork.Barrier(clients + 1), fork.Barrier(clients + 1), fork.Value("d", 0)
    processes = [
        fork.Process(target=work, args=(address, each, item, ready, ended, total), daemon=True)
        for _ in range(clients)
    ]
    for process in processes:
        process.start()
    ready.wait()
    start = time.perf_counter()
    ended.wait()
    seconds = time.perf_counter() - start
    for process in processes:
        process.join()
    print(json.dumps({"seconds": seconds, "count": each * clients, "processor": total.value}))


def idle(address, count):
    connections = []
    for number in range(count):
        connection = Client(address_of(address), authkey=KEY)
        connection.send((None, "accept_connection", ("idle-%d" % number,), {}))
        kind, _ = connection.recv()
        if kind != "#RETURN":
            sys.exit("not accepted")
        connections.append(connection)
    print(json.dumps({"count": len(connections)}), flush=True)
    sys.stdin.read()
    os._exit(0)


def main():
    what, *arguments = sys.argv[1:]
    if what == "serve":
        serve()
    elif what == "put-get":
        address, count, size, clients = arguments
        put_get(address, int(count), int(size), int(clients))
    elif what == "idle":
        address, count = arguments
        idle(address, int(count))
    else:
        sys.exit("no such work: " + what)


if __name__ == "__main__":
    main()
