"""CPython's own tests of multiprocessing.managers, against a manager that runs already.

    python cpython_suite.py PORT KEY            the classes of tests, one a line
    python cpython_suite.py PORT KEY CLASS      runs one of them: lines `passed NAME`,
                                                `skipped NAME` or `failed NAME` and why

Exits with 77 if this Python came without its tests. For Python 2.7 and 3.
"""
import multiprocessing
import multiprocessing.managers
import signal
import sys
import traceback
import unittest

PORT, KEY = int(sys.argv[1]), sys.argv[2].encode('ascii')
# Longer than any test takes that works.
PATIENCE = 120

try:
    if sys.version_info[0] == 2:
        from test import test_multiprocessing as suite
    else:
        from test import _test_multiprocessing as suite
except ImportError as error:
    print(error)
    sys.exit(77)

# No tests, or tests that start servers of their own.
OTHERS = {'BaseTestCase', '_TestMyManager', '_TestRemoteManager', '_TestManagerRestart'}

EXCLUDED = {
    # They need the server to run the client's functions.
    'WithManagerTestBarrier.test_action',
    'TestSyncManagerTypes.test_pool',
    # It counts a pool that the suite has made before.
    'WithManagerTestZZZNumberOfObjects.test_number_of_objects',
    # They never talk to the server.
    'WithManagerTestQueue.test_no_import_lock_contention',
    'WithManagerTestQueue.test_timeout',
    'WithManagerTestQueue.test_closed_queue_empty_exceptions',
    'WithManagerTestQueue.test_closed_queue_put_get_exceptions',
}
# All of it runs the client's functions in the server.
EXCLUDED_CLASSES = {'WithManagerTestPool'}


class Connected(multiprocessing.managers.SyncManager):
    """A manager that was started by somebody else."""

    def __init__(self, *args, **kwargs):
        multiprocessing.managers.SyncManager.__init__(self, ('127.0.0.1', PORT), KEY)

    def start(self, *args, **kwargs):
        self.connect()

    def shutdown(self):
        pass

    def join(self, timeout=None):
        pass


def connected():
    manager = Connected()
    manager.connect()
    return manager


def classes():
    if sys.version_info[0] == 2:
        found = dict(suite.testcases_manager)
    else:
        found = {}
        for name, base in list(vars(suite).items()):
            if (isinstance(base, type) and issubclass(base, suite.BaseTestCase)
                    and 'manager' in base.ALLOWED_TYPES and name not in OTHERS):
                name = 'WithManager' + name.lstrip('_')
                found[name] = type(name, (base, suite.ManagerMixin, unittest.TestCase),
                                   {'__module__': __name__})
    for name in OTHERS:
        found.pop('WithManager' + name.lstrip('_'), None)
    for name in ('TestSyncManagerTypes', 'TestInitializers', 'TestManagerExceptions'):
        if hasattr(suite, name):
            found[name] = getattr(suite, name)
    for name in EXCLUDED_CLASSES:
        found.pop(name, None)
    return found


class Result(unittest.TestResult):
    def name(self, test):
        return test.id().split('.', test.__class__.__module__.count('.') + 1)[-1]

    def startTest(self, test):
        unittest.TestResult.startTest(self, test)
        signal.alarm(PATIENCE)

    def stopTest(self, test):
        signal.alarm(0)
        unittest.TestResult.stopTest(self, test)

    def addSuccess(self, test):
        print('passed ' + self.name(test))

    def addSkip(self, test, reason):
        print('skipped ' + self.name(test))

    def addFailure(self, test, error):
        print('failed %s\n%s' % (getattr(test, 'description', None) or self.name(test),
                                  ''.join(traceback.format_exception(*error))))

    addError = addFailure


def too_late(*args):
    raise RuntimeError('a test took more than %d seconds' % PATIENCE)


def main():
    found = classes()
    if len(sys.argv) < 4:
        print('\n'.join(sorted(found)))
        return
    multiprocessing.current_process().authkey = KEY
    signal.signal(signal.SIGALRM, too_late)
    name = sys.argv[3]
    # What the suite takes for a manager that it has just started.
    multiprocessing.Manager = connected
    if hasattr(suite, 'TestSyncManagerTypes'):
        suite.TestSyncManagerTypes.manager_class = Connected
    if sys.version_info[0] == 2:
        manager = suite.ManagerMixin.manager
        manager.__class__ = Connected
        manager.__init__()
        manager.connect()
    tests = unittest.defaultTestLoader.loadTestsFromTestCase(found[name])
    chosen = [test for test in tests
              if '%s.%s' % (name, test._testMethodName) not in EXCLUDED]
    unittest.TestSuite(chosen).run(Result())
    sys.stdout.flush()


if __name__ == '__main__':
    main()
