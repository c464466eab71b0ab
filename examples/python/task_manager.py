#!/usr/bin/env python
"""Shows a task queue and a result queue on the network, with nothing but Python's own library:
hands out ten tasks and collects their results, from task_worker.py or from the Rust task_worker.

    python task_manager.py [PORT [HOST]]

Runs on Python 2.7 and 3.
"""
from __future__ import print_function

import sys
from multiprocessing.managers import BaseManager

try:
    from queue import Queue
except ImportError:  # Python 2
    from Queue import Queue

TASKS = 10

task_queue = Queue()
result_queue = Queue()


# Functions with names, for systems on which the manager's process is not forked.
def get_task_queue():
    return task_queue


def get_result_queue():
    return result_queue


class QueueManager(BaseManager):
    pass


QueueManager.register('get_task_queue', callable=get_task_queue)
QueueManager.register('get_result_queue', callable=get_result_queue)


def say(line):
    print(line)
    sys.stdout.flush()


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8001
    host = sys.argv[2] if len(sys.argv) > 2 else '127.0.0.1'

    manager = QueueManager(address=(host, port), authkey=b'qiye')
    manager.start()
    try:
        tasks = manager.get_task_queue()
        results = manager.get_result_queue()
        for i in range(TASKS):
            say('put task ImageUrl_%d ...' % i)
            tasks.put('ImageUrl_%d' % i)
        say('try get result...')
        # A Rust worker that dies leaves its task to another, and it may then have two results.
        seen = set()
        while len(seen) < TASKS:
            result = results.get()
            if result not in seen:
                seen.add(result)
                say('result is %s' % result)
    finally:
        manager.shutdown()


if __name__ == '__main__':
    main()
