"""Classes of every kind that pickles have objects of. Pickles refer to them by this module's name.
Reads 2.7 to 3.13.
"""
import collections
import sys

PY2 = sys.version_info[0] == 2
if PY2:
    text_type, long_type, char = unicode, long, unichr
else:
    import enum
    text_type, long_type, char = str, int, chr


class Old:
    """Old-style in Python 2."""


class WithInitArgs:
    def __init__(self, a, b):
        self.a, self.b = a, b

    def __getinitargs__(self):
        return (self.a, self.b)


class New(object):
    def method(self):
        pass


class Slots(object):
    __slots__ = ('a', 'b')


class SlotsAndDict(Slots):
    pass


class State(object):
    def __getstate__(self):
        return ['state', self.inner]

    def __setstate__(self, state):
        self.inner = state[1]


class NewArgs(tuple):
    def __new__(cls, a, b):
        return tuple.__new__(cls, (a, b))

    def __getnewargs__(self):
        return tuple(self)


class NewArgsEx(object):
    def __new__(cls, a, **kwargs):
        self = object.__new__(cls)
        self.a, self.kwargs = a, kwargs
        return self

    def __getnewargs_ex__(self):
        return (self.a,), self.kwargs

    def __getstate__(self):
        return None


def make(kind, *args):
    made = Maker()
    made.kind, made.made_with = kind, args
    return made


class Maker(object):
    """Told how to be made by __reduce__, with items of both kinds and a state."""

    def __init__(self):
        self.items, self.pairs = [], {}

    def append(self, item):
        self.items.append(item)

    def extend(self, items):
        self.items.extend(items)

    def __setitem__(self, key, value):
        self.pairs[key] = value

    def __reduce__(self):
        state = {'extra': self.extra} if hasattr(self, 'extra') else None
        return make, (self.kind,) + self.made_with, state, iter(self.items), iter(self.pairs.items())

    def __setstate__(self, state):
        self.extra = state['extra']


class ListSub(list):
    pass


class DictSub(dict):
    pass


class SetSub(set):
    pass


class TupleSub(tuple):
    pass


class IntSub(int):
    pass


class FloatSub(float):
    pass


class TextSub(text_type):
    pass


class Failure(Exception):
    pass


class CustomFailure(Exception):
    def __init__(self, code):
        Exception.__init__(self, 1, code)
        self.code = code

    def __reduce__(self):
        return CustomFailure, (self.code,), {'seen': True}


Point = collections.namedtuple('Point', 'x y')


class Outer(object):
    class Inner(object):
        class Innermost(object):
            pass


def function():
    pass


if not PY2:
    class Color(enum.Enum):
        RED = 1
        BLUE = 'blue'

    class Flags(enum.IntFlag):
        A = 1
        B = 2

if sys.version_info >= (3, 7):
    import dataclasses

    # Not by their syntax, which Python 2 has not.
    Data = dataclasses.make_dataclass('Data', ['a', ('b', object, None)])
    Frozen = dataclasses.make_dataclass('Frozen', ['a'], frozen=True)
    Data.__module__ = Frozen.__module__ = __name__
