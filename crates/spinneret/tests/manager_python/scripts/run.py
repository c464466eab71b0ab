"""Runs the program on its standard input with a manager that is connected.

    python run.py PORT KEY [TYPEID ...]

The program has `m`, the manager, with a method for each typeid and those of SyncManager; `connect`,
which gives another one; `queue`, the module of Queue; `text`, the type of text. For Python 2.7 and 3.
"""
import multiprocessing
import sys
from multiprocessing.managers import SyncManager

try:
    import queue
    text = str
except ImportError:
    import Queue as queue
    text = unicode  # noqa: F821

port, key = int(sys.argv[1]), sys.argv[2].encode('ascii')
# With this, whoever receives a proxy connects.
multiprocessing.current_process().authkey = key


class Manager(SyncManager):
    pass


for typeid in sys.argv[3:]:
    Manager.register(typeid)


def connect():
    manager = Manager(('127.0.0.1', port), key)
    manager.connect()
    return manager


m = connect()
program = sys.stdin.read()
exec(compile(program, 'the test', 'exec'))
