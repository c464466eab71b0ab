"""Random objects of every kind that pickles are made of. Reads 2.7 to 3.13."""
import array
import collections
import datetime
import decimal
import fractions
import random
import sys
import uuid

from shapes import *


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
