#!/usr/bin/env python
"""Shows a worker, with nothing but Python's own library: takes tasks, works a second on each and
reports, to task_manager.py or to the Rust task_manager. Start as many as you like.

    python task_worker.py [PORT [HOST]]

Runs on Python 2.7 and 3.
"""
from __future__ import print_function

import os
import sys
import time
from multiprocessing.managers import BaseManager

try:
    from queue import Empty
except ImportError:  # Python 2
    from Queue import Empty


class QueueManager(BaseManager):
    pass


QueueManager.register('get_task_queue')
QueueManager.register('get_result_queue')


def say(line):
    print(line)
    sys.stdout.flush()


def connect(host, port):
    """Gives a manager that was started at the same time a moment to listen."""
    end = time.time() + 5
    while True:
        manager = QueueManager(address=(host, port), authkey=b'qiye')
        try:
            manager.connect()
            return manager
        except (IOError, EOFError):
            if time.time() > end:
                raise
            time.sleep(0.1)


def work(manager):
    tasks = manager.get_task_queue()
    results = manager.get_result_queue()
    while True:
        try:
            task = tasks.get(timeout=10)
        except Empty:
            return
        say('run task download %s...' % task)
        time.sleep(1)
        results.put('%s--->success' % task)
        # For `spinneret manager --python-leases`, which gives a task to another worker otherwise.
        tasks.task_done()


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8001
    host = sys.argv[2] if len(sys.argv) > 2 else '127.0.0.1'

    say('Connect to server %s...' % host)
    manager = connect(host, port)
    gone = False
    try:
        work(manager)
    except (IOError, EOFError):
        gone = True  # No manager any more: its work is done.
    say('worker exit.')
    if gone:
        # Python 2 would look for it for 20 s more for each queue, to say that it needs it no more.
        os._exit(0)


if __name__ == '__main__':
    main()
