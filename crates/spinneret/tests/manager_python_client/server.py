# A server of Python for clients of ours, in Python 2.7 and 3: everything that a SyncManager has, and
# a few things of its own. It prints its port, and ends when its standard input does.
import multiprocessing
import os
import sys
import threading
from multiprocessing.managers import SyncManager

try:
    import copyreg
    from queue import Queue
except ImportError:
    import copy_reg as copyreg
    from Queue import Queue

KEY = sys.argv[1].encode('ascii')


class Sold(Exception):
    pass


class Point(object):
    def __init__(self, x, y):
        self.x, self.y = x, y


class Coded(object):
    """Pickled by a number that only this program knows."""


copyreg.add_extension(Coded.__module__, 'Coded', 1000)


class Shop(object):
    def __init__(self, name=u'shop'):
        self._name = name

    def echo(self, value):
        return value

    def order(self, what, number=1, **details):
        return [what, number, sorted(details.items())]

    def name(self):
        return self._name

    def fail(self, what):
        raise {'key': KeyError, 'index': IndexError, 'sold': Sold}.get(what, ValueError)(what)

    def point(self):
        return Point(1, 2)

    def is_point(self, point):
        return type(point) is Point and (point.x, point.y) == (1, 2)

    def put_coded(self):
        tasks.put(Coded())

    def lock(self):
        return threading.Lock()

    def unpicklable(self):
        return threading.Lock()

    def big(self, size):
        return b'x' * size

    def size(self, value):
        return len(value)



class Manager(SyncManager):
    pass


tasks, narrow, shop = Queue(), Queue(2), Shop()
Manager.register('tasks', callable=lambda: tasks)
Manager.register('narrow', callable=lambda: narrow)
Manager.register('shop', callable=lambda: shop, method_to_typeid={'lock': 'TheLock'}, exposed=[
    'echo', 'order', 'name', 'fail', 'point', 'is_point', 'put_coded', 'unpicklable', 'big', 'size'])
Manager.register('Shop', Shop)
Manager.register('TheLock', exposed=['acquire', 'release'], create_method=False)


def wait_for_the_end():
    sys.stdin.read()
    os._exit(0)


if __name__ == '__main__':
    multiprocessing.current_process().authkey = KEY
    server = Manager(address=('127.0.0.1', 0), authkey=KEY).get_server()
    thread = threading.Thread(target=wait_for_the_end)
    thread.daemon = True
    thread.start()
    sys.stdout.write('%d\n' % server.address[1])
    sys.stdout.flush()
    server.serve_forever()
