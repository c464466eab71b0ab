"""Objects of every kind that pickles are made of, and a description of an object that is the same
in every version of Python. Reads 2.7 to 3.13.

    python -B shapes.py dump SEED COUNT WHICH STRINGS   number of pickles, description and pickle of each
    python -B shapes.py load STRINGS                    pickles in, descriptions out
    python -B shapes.py again                           pickles in, pickles of each protocol out

An object's pickles are of each protocol, and its description is of what Python itself reads from one.
Everything travels in frames: four bytes with the length, high byte first, and that many bytes.
"""
import array
import collections
import datetime
import decimal
import fractions
import random
import struct
import sys
import uuid

PY2 = sys.version_info[0] == 2
if PY2:
    import cPickle as pickle
    text_type, long_type, char = unicode, long, unichr
else:
    import enum
    import pickle
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


class Generator(object):
    """Makes random objects, now and then one that it made before."""

    def __init__(self, seed, common):
        self.random = random.Random(seed)
        self.common = common
        self.made = []
        self.leaves = [self.none, self.boolean, self.integer, self.integer, self.float, self.text,
                       self.text, self.text, self.bytes, self.bytes]
        # In Python 2, b'' and u'' are the same key.
        self.keys = [leaf for leaf in self.leaves if not (common and leaf == self.bytes)]
        self.branches = [
            self.tuple, self.list, self.dict, self.set, self.frozenset, self.complex, self.bytearray,
            self.old, self.new, self.slots, self.slots_and_dict, self.state, self.new_args,
            self.maker, self.list_sub, self.dict_sub, self.set_sub, self.tuple_sub, self.int_sub,
            self.float_sub, self.text_sub, self.exception, self.failure, self.custom_failure,
            self.point, self.ordered_dict, self.default_dict, self.deque, self.counter,
            self.date, self.time_delta, self.decimal, self.fraction, self.uuid, self.array,
            self.class_or_function, self.recursive_list, self.recursive_tuple, self.recursive_dict,
            self.recursive_object, self.recursive_set, self.recursive_maker, self.shared,
        ]
        if common and not PY2:
            # Python 2 cannot make instances of old-style classes in the new way.
            self.branches.remove(self.old)
            # In protocols 0 and 1 they are long there, which an int cannot be.
            self.branches.remove(self.int_sub)
        if not common:
            self.branches += [self.xrange, self.other_exception]
            self.branches += [self.with_init_args] if PY2 else [
                self.slice, self.new_args_ex, self.enum, self.method, self.inner, self.zone]
            if sys.version_info >= (3, 7):
                self.branches += [self.data]

    def any(self, depth=3):
        pick = self.random.random()
        if self.made and pick < 0.1:
            return self.random.choice(self.made)
        if depth == 0 or pick < 0.4:
            return self.random.choice(self.leaves)()
        made = self.random.choice(self.branches)(depth - 1)
        self.made.append(made)
        return made

    def some(self, depth, most=4):
        return [self.any(depth) for _ in range(self.random.randint(0, most))]

    def hashable(self):
        pick = self.random.random()
        if pick < 0.1:
            return self.new_hashable()
        if pick < 0.2:
            return tuple(self.random.choice(self.keys)() for _ in range(self.random.randint(0, 4)))
        return self.random.choice(self.keys)()

    def none(self):
        return None

    def boolean(self):
        return self.random.random() < 0.5

    def integer(self):
        bits = self.random.choice([1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 62, 63, 64, 65, 127, 128, 2100])
        number = self.random.choice([2 ** bits, self.random.getrandbits(bits)])
        return self.random.choice([-1, 1]) * (number + self.random.randint(-1, 1))

    def float(self):
        return self.random.choice([0.0, -0.0, 1.5, float('inf'), float('-inf'), float('nan'), 1e-310,
                                   self.random.uniform(-1e9, 1e9)])

    def text(self):
        length = self.random.choice([0, 1, 2, 10, 10, 300])
        ranges = [(32, 126), (0, 255), (0x400, 0x4ff), (0x4e00, 0x9fff)]
        ranges += [(0x1f600, 0x1f64f)] if sys.maxunicode > 0xffff else []
        ranges += [] if self.common else [(0xd800, 0xdfff)]
        low, high = self.random.choice(ranges)
        return text_type('').join(char(self.random.randint(low, high)) for _ in range(length))

    def bytes(self):
        length = self.random.choice([0, 1, 2, 10, 255, 256, 70000])
        high = 127 if self.random.random() < 0.5 else 255
        block = bytearray(self.random.randint(0, high) for _ in range(min(length, 300)))
        return bytes((block * (length // 300 + 1))[:length])

    def tuple(self, depth):
        return tuple(self.some(depth, 5))

    def list(self, depth):
        return self.some(depth, 1005 if depth == 0 and self.random.random() < 0.02 else 5)

    def dict(self, depth):
        return dict((self.hashable(), self.any(depth)) for _ in range(self.random.randint(0, 4)))

    def set(self, depth):
        return set(self.hashable() for _ in range(self.random.randint(0, 4)))

    def frozenset(self, depth):
        return frozenset(self.hashable() for _ in range(self.random.randint(0, 4)))

    def complex(self, depth):
        return complex(self.random.uniform(-1, 1), self.random.uniform(-1, 1))

    def bytearray(self, depth):
        return bytearray(self.bytes())

    def filled(self, made, depth):
        for name in self.random.sample(['a', 'b', 'c'], self.random.randint(0, 3)):
            setattr(made, name, self.any(depth))
        return made

    def old(self, depth):
        return self.filled(Old(), depth)

    def with_init_args(self, depth):
        return WithInitArgs(self.any(depth), self.any(depth))

    def new(self, depth):
        return self.filled(New(), depth)

    def new_hashable(self):
        made = New()
        made.a = self.random.random()
        return made

    def slots(self, depth):
        made = Slots()
        made.a = self.any(depth)
        return made

    def slots_and_dict(self, depth):
        return self.filled(SlotsAndDict(), depth)

    def state(self, depth):
        made = State()
        made.inner = self.any(depth)
        return made

    def new_args(self, depth):
        return NewArgs(self.any(depth), self.any(depth))

    def new_args_ex(self, depth):
        return NewArgsEx(self.any(depth), key=self.any(depth))

    def maker(self, depth):
        made = make('kind', *self.some(depth, 3))
        made.items = self.some(depth)
        made.pairs = self.dict(depth)
        if self.random.random() < 0.5:
            made.extra = self.any(depth)
        return made

    def list_sub(self, depth):
        return self.filled(ListSub(self.some(depth)), depth)

    def dict_sub(self, depth):
        return self.filled(DictSub(self.dict(depth)), depth)

    def set_sub(self, depth):
        return self.filled(SetSub(self.set(depth)), depth)

    def tuple_sub(self, depth):
        return self.filled(TupleSub(self.some(depth)), depth)

    def int_sub(self, depth):
        return self.filled(IntSub(self.random.randint(-2 ** 30, 2 ** 30)), depth)

    def float_sub(self, depth):
        return FloatSub(self.random.random())

    def text_sub(self, depth):
        return self.filled(TextSub(self.text()), depth)

    def exception(self, depth):
        kind = self.random.choice([ValueError, KeyError, IndexError, TypeError, RuntimeError,
                                   StopIteration, AttributeError, OverflowError, Exception])
        return kind(*self.some(depth, 2))

    def other_exception(self, depth):
        kind = self.random.choice([OSError, IOError, AssertionError, SystemExit, ZeroDivisionError])
        made = kind(self.random.randint(1, 30), 'why')
        if not PY2 and self.random.random() < 0.5:
            made = self.random.choice([FileNotFoundError, TimeoutError, BrokenPipeError])('why')
        if hasattr(made, 'add_note'):
            made.add_note(self.text())
        return made

    def failure(self, depth):
        return self.filled(Failure(*self.some(depth, 2)), depth)

    def custom_failure(self, depth):
        return CustomFailure(self.any(depth))

    def point(self, depth):
        return Point(self.any(depth), self.any(depth))

    def ordered_dict(self, depth):
        return collections.OrderedDict(self.dict(depth))

    def default_dict(self, depth):
        return collections.defaultdict(list, self.dict(depth))

    def deque(self, depth):
        return collections.deque(self.some(depth), self.random.choice([None, 10]))

    def counter(self, depth):
        return collections.Counter(self.set(depth))

    def date(self, depth):
        moment = datetime.datetime(self.random.randint(1930, 2040), 5, self.random.randint(1, 28),
                                   self.random.randint(0, 23), 7, 9, self.random.randint(0, 999999))
        return self.random.choice([moment, moment.date()] + ([] if self.common else [moment.time()]))

    def time_delta(self, depth):
        return datetime.timedelta(self.random.randint(-99, 99), self.random.randint(0, 9999), 5)

    def zone(self, depth):
        return datetime.timezone(datetime.timedelta(hours=self.random.randint(-9, 9)))

    def decimal(self, depth):
        return decimal.Decimal(self.random.randint(-10 ** 20, 10 ** 20)) / 1000

    def fraction(self, depth):
        return fractions.Fraction(self.random.randint(-99, 99), self.random.randint(1, 99))

    def uuid(self, depth):
        return uuid.UUID(int=self.random.getrandbits(128))

    def array(self, depth):
        if PY2 or self.common:
            return self.list(depth)
        code = self.random.choice('bBhHiIlLqQfd')
        return array.array(code, [self.random.randint(0, 100) for _ in range(5)])

    def xrange(self, depth):
        return (xrange if PY2 else range)(self.random.randint(-9, 9), 20, 3)

    def slice(self, depth):
        return slice(self.any(0), self.any(0), self.any(0))

    def enum(self, depth):
        return self.random.choice([Color.RED, Color.BLUE, Flags.A, Flags.A | Flags.B])

    def data(self, depth):
        return self.random.choice([Data, Frozen])(self.any(depth))

    def method(self, depth):
        return self.new(depth).method

    def inner(self, depth):
        return self.random.choice([Outer.Inner, Outer.Inner.Innermost, Outer.Inner(),
                                   Outer.Inner.Innermost()])

    def class_or_function(self, depth):
        return self.random.choice([New, Old, function, len, dict, ValueError, datetime.datetime,
                                   collections.OrderedDict, Failure, text_type])

    def recursive_list(self, depth):
        made = self.some(depth)
        made.append(made)
        return made

    def recursive_tuple(self, depth):
        inner = self.some(depth)
        made = self.random.choice([(inner,), (1, inner, 2), (1, 2, 3, inner)])
        inner.append(made)
        return self.random.choice([made, inner])

    def recursive_dict(self, depth):
        made = self.dict(depth)
        made['self'] = [made]
        return made

    def recursive_object(self, depth):
        made = self.random.choice([self.new, self.slots_and_dict, self.list_sub])(depth)
        made.me = made
        made.others = [made, (made,)]
        return made

    def recursive_set(self, depth):
        """Back to a set leads only a way over an object in it."""
        made = set(self.new_hashable() for _ in range(self.random.randint(1, 4)))
        for item in made:
            item.home = made
        return made

    def recursive_maker(self, depth):
        made = make('recursive', [])
        made.made_with[0].append(self.any(depth))
        made.items = [made]
        made.extra = {'me': made}
        return made

    def shared(self, depth):
        made = self.any(depth)
        return self.random.choice([[made, made], (made, [made], {'a': made})])


class Describer(object):
    """Tells values, types and which objects are the same.

    What becomes of strings differs with who writes and who reads: 'own' tells all kinds apart;
    'mixed' takes an 8-bit string of Python 2 for text if it is ASCII and for bytes otherwise, and
    'bytes' always for bytes.
    """

    def __init__(self, strings):
        self.strings = strings
        self.seen = {}
        self.kept = []

    def text(self, value):
        codes = (ord(one) for one in value)
        return 't' + ','.join('%x' % code for code in codes)

    def string2(self, value):
        if self.strings == 'own':
            return 's' + value.encode('hex')
        if self.strings == 'mixed' and all(ord(one) < 128 for one in value):
            return self.text(value)
        return 'b' + value.encode('hex')

    def atom(self, value):
        kind = type(value)
        if value is None or kind is bool:
            return repr(value)
        if kind is int:
            return 'i%d' % value
        if kind is long_type:
            return ('l%d' if self.strings == 'own' else 'i%d') % value
        if kind is float:
            if value != value:
                # Of which protocol 0 keeps no more.
                return 'nan'
            return 'f' + ''.join('%02x' % byte for byte in bytearray(struct.pack('>d', value)))
        if kind is complex:
            return 'complex(%s, %s)' % (self.atom(value.real), self.atom(value.imag))
        if kind is text_type:
            return self.text(value)
        if kind is bytes:
            return self.string2(value) if PY2 else 'b' + value.hex()
        if kind in (tuple, frozenset) and not value:
            return kind.__name__ + '()'
        if kind in (datetime.datetime, datetime.date, datetime.time, datetime.timedelta,
                    decimal.Decimal, fractions.Fraction, uuid.UUID):
            return '%s(%s)' % (kind.__name__, value)
        if not PY2 and isinstance(value, enum.Enum):
            return str(value.__class__.__name__) + repr(value.value)
        if isinstance(value, (type, type(function), type(len), type(Old))):
            if isinstance(getattr(value, '__self__', None), New):
                return None
            name = getattr(value, '__qualname__', value.__name__)
            return 'the ' + {'unicode': 'str'}.get(name, name)
        return None

    def one(self, value):
        atom = self.atom(value)
        if atom is not None:
            return atom
        if id(value) in self.seen:
            return '@%d' % self.seen[id(value)]
        self.seen[id(value)] = len(self.seen)
        self.kept.append(value)
        return '#%d=%s' % (self.seen[id(value)], self.object(value))

    def many(self, values):
        return ', '.join([self.one(value) for value in values])

    def order(self, value):
        """By what to sort what may be in a set, where identity does not matter."""
        if isinstance(value, New):
            return 'o' + self.atom(value.a)
        if isinstance(value, (tuple, frozenset)):
            return '(%s)' % ', '.join([self.order(item) for item in value])
        return self.atom(value)

    def object(self, value):
        kind = value.__class__
        parts = []
        if isinstance(value, (list, tuple, collections.deque)):
            parts.append('[%s]' % self.many(value))
        elif isinstance(value, dict):
            keys = sorted(value, key=self.order)
            parts.append('{%s}' % ', '.join(
                ['%s: %s' % (self.one(key), self.one(value[key])) for key in keys]))
        elif isinstance(value, (set, frozenset)):
            parts.append('{%s}' % self.many(sorted(value, key=self.order)))
        elif isinstance(value, bytearray):
            parts.append(''.join('%02x' % byte for byte in value))
        elif isinstance(value, array.array):
            parts.append('%s %s' % (value.typecode, self.many(value)))
        elif isinstance(value, slice):
            parts.append(self.many([value.start, value.stop, value.step]))
        elif isinstance(value, BaseException):
            parts.append('args %s' % self.many(value.args))
        elif kind in (IntSub, FloatSub, TextSub):
            parts.append(self.one(kind.__mro__[1](value)))
        elif kind.__name__ in ('range', 'xrange', 'timezone'):
            parts.append(repr(value).replace('xrange', 'range'))
        elif kind.__name__ in ('method', 'instancemethod'):
            parts.append(value.__name__ + ' of ' + self.one(value.__self__))
        if isinstance(value, collections.deque):
            parts.append('maxlen %r' % value.maxlen)
        if isinstance(value, collections.defaultdict):
            parts.append('default ' + self.one(value.default_factory))
        attributes = {}
        for name in ('a', 'b'):
            if isinstance(value, Slots) and hasattr(value, name):
                attributes[name] = getattr(value, name)
        if hasattr(value, '__dict__') and not isinstance(value, (collections.OrderedDict, Point)):
            if kind.__name__ not in ('method', 'instancemethod'):
                attributes.update((str(name), what) for name, what in value.__dict__.items())
        if kind is AttributeError:
            attributes = {}
        for name in sorted(attributes):
            parts.append('%s=%s' % (name, self.one(attributes[name])))
        return '%s(%s)' % (kind.__name__, '; '.join(parts))


def describe(value, strings):
    return Describer(strings).one(value).encode('ascii')


def read_exactly(count):
    data = stdin.read(count)
    if len(data) < count:
        sys.exit(0)
    return data


def receive():
    return read_exactly(struct.unpack('>I', read_exactly(4))[0])


def send(data):
    stdout.write(struct.pack('>I', len(data)) + data)


def dump(seed, count, common, strings):
    for number in range(count):
        generator = Generator(seed * 1000003 + number, common)
        # Not a simple one, of which there is little to learn.
        value = generator.random.choice(generator.branches)(3)
        pickles = []
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            try:
                pickled = pickle.dumps(value, protocol)
                pickles.append((describe(pickle.loads(pickled), strings), pickled))
            except (pickle.PicklingError, TypeError, AttributeError, RuntimeError):
                # Python itself cannot do it: slots need protocol 2, a set with a way back to itself
                # protocol 4.
                pass
        send(struct.pack('>I', len(pickles)))
        for description, pickled in pickles:
            send(description)
            send(pickled)
    stdout.flush()


def load(strings):
    while True:
        try:
            answer = describe(pickle.loads(receive()), strings)
        except Exception as error:
            answer = ('%s: %s' % (type(error).__name__, error)).encode('utf-8')
        send(answer)
        stdout.flush()


def again():
    while True:
        value = pickle.loads(receive())
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            send(pickle.dumps(value, protocol))
        stdout.flush()


def main(what, *args):
    global stdin, stdout
    stdin = getattr(sys.stdin, 'buffer', sys.stdin)
    stdout = getattr(sys.stdout, 'buffer', sys.stdout)
    sys.setrecursionlimit(5000)
    if what == 'dump':
        seed, count, common, strings = args
        dump(int(seed), int(count), common == 'common', strings)
    elif what == 'load':
        load(*args)
    elif what == 'again':
        send(struct.pack('>I', pickle.HIGHEST_PROTOCOL + 1))
        stdout.flush()
        again()


if __name__ == '__main__':
    # Under its own name, by which pickles refer to what is in it.
    import shapes
    shapes.main(*sys.argv[1:])
