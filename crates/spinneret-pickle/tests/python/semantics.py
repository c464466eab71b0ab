"""Random values, and what this Python says of them: one pickle to standard output.

    python semantics.py SEED COUNT

For Python 2.7 and 3.
"""
import array
import pickle
import random
import struct
import sys

PYTHON2 = sys.version_info[0] == 2
if PYTHON2:
    chr_, range_ = unichr, xrange  # noqa: F821
else:
    chr_, range_ = chr, range
    long = int

rng = random.Random(int(sys.argv[1]))
COUNT = int(sys.argv[2])
CHARS = [0, 7, 9, 10, 13, 27, 32, 34, 39, 92, 97, 98, 126, 127, 128, 160, 173, 233, 255, 0x100,
         0x300, 0x378, 0x61c, 0x200b, 0x2028, 0x3000, 0x4e2d, 0xd800, 0xdfff, 0xe000, 0xfeff,
         0xffff, 0x10000, 0x1f600, 0xe0100, 0x10ffff]


def text(longest=6):
    parts = [chr_(rng.choice(CHARS)) for _ in range(rng.randrange(longest))]
    # Halves that are neighbours would become one character on the way.
    return chr_(97).join(parts)


def data(longest=6):
    return bytes(bytearray(rng.choice(CHARS) & 255 for _ in range(rng.randrange(longest))))


def number():
    kind = rng.randrange(12)
    if kind < 3:
        return rng.randrange(-3, 4)
    if kind == 3:
        return rng.choice([-1, 1]) * (2 ** rng.choice([31, 53, 62, 63, 64, 70]) + rng.randrange(-2, 3))
    if kind == 4:
        return long(rng.randrange(-2, 3))
    if kind == 5:
        return float(rng.randrange(-3, 4))
    if kind == 6:
        return float(2 ** rng.choice([31, 53, 62, 63, 64, 70])) * rng.choice([-1, 1])
    if kind == 7:
        return rng.randrange(-100, 100) / 10.0 ** rng.randrange(8)
    if kind == 8:
        return rng.choice([0.0, -0.0, 1e16, 1e15, 1e-4, 1e-5, 123456789012345678.0, 5e-324, 1e308,
                           float('inf'), float('-inf')])
    if kind == 9:
        return struct.unpack('<d', struct.pack('<Q', rng.getrandbits(63)))[0]
    if kind == 10:
        return complex(rng.randrange(-1, 2) * 0.5, rng.choice([0.0, -0.0, 1.0, -2.5]))
    return rng.random() < 0.5


def simple():
    kind = rng.randrange(8)
    if kind < 3:
        return number()
    if kind < 5:
        return text()
    if kind == 5:
        return data()
    if kind == 6:
        return None
    return data().decode('latin-1') if not PYTHON2 else rng.choice(['', 'a', 'b', 'ab', '\xff'])


def hashable(depth):
    if depth and rng.random() < 0.2:
        return tuple(hashable(depth - 1) for _ in range(rng.randrange(3)))
    if depth and rng.random() < 0.1:
        return frozenset([hashable(depth - 1)] * rng.randrange(2))
    return simple()


def value(depth=3):
    kind = rng.randrange(14)
    if depth == 0 or kind < 6:
        return simple()
    if kind == 6:
        return [value(depth - 1) for _ in range(rng.randrange(4))]
    if kind == 7:
        return tuple(value(depth - 1) for _ in range(rng.randrange(4)))
    if kind == 8:
        # Only a dict of one pair has a certain order in 2.7.
        return dict((hashable(1), value(depth - 1)) for _ in range(rng.randrange(2 if PYTHON2 else 4)))
    if kind == 9:
        return set([hashable(1)] * rng.randrange(2))
    if kind == 10:
        return bytearray(data())
    if kind == 11:
        return hashable(2)
    if kind == 12:
        code = rng.choice('bBhHiIlLfd')
        return array.array(code, [rng.randrange(100) for _ in range(rng.randrange(3))])
    if PYTHON2:
        return range_(rng.randrange(-3, 4), rng.randrange(9), rng.choice([1, 2])) if depth < 0 else 7
    return range(rng.randrange(-3, 4), rng.randrange(-3, 9), rng.choice([-2, -1, 1, 2]))


def attempt(function):
    try:
        return (True, function())
    except RecursionError_:
        raise
    except Exception as error:
        return (False, type(error).__name__ + ': ' + str(error))


RecursionError_ = RuntimeError
values = [value() for _ in range(COUNT)]
itself = [1]
itself.append(itself)
values.append(itself)
mapping = {}
mapping[1] = (mapping,)
values.append(mapping)

# What 2.7 orders by addresses.
UNSURE = (range_, array.array, slice)


def sure(*pair):
    return not PYTHON2 or all('array' not in repr(one) and 'set(' not in repr(one)
                              and '{' not in repr(one) and 'j' not in repr(one)
                              for one in pair)


def of_two(one, other):
    return {
        'equal': one == other if one is not other else True,
        'less': attempt(lambda: one < other) if sure(one, other) else None,
    }


cyclic = (len(values) - 2, len(values) - 1)
pairs = []
for _ in range(COUNT * 4):
    one, other = rng.randrange(COUNT), rng.randrange(COUNT)
    # These two compare what they have in memory.
    if not all(name in repr(values[one]) + repr(values[other]) for name in ("array('", 'bytearray')):
        pairs.append((one, other, of_two(values[one], values[other])))


def hashes(one):
    return attempt(lambda: hash(one) * 0)


lists = []
for _ in range(COUNT // 4):
    make = rng.choice([number, text, data, simple,
                       lambda: (rng.randrange(3), text(3)), lambda: rng.randrange(5)])
    items = [make() for _ in range(rng.choice([3, 10, 63, 64, 65, 200]))]
    if sure(items):
        reverse = rng.random() < 0.5
        lists.append((items, reverse, attempt(lambda: sorted(items, reverse=reverse))))

slices = []
for _ in range(COUNT):
    bounds = [rng.choice([None, 0, 1, -1, 3, -3, 9, -9, 2 ** 70, -2 ** 70, True]) for _ in range(3)]
    length = rng.randrange(7)
    slices.append((bounds, length, attempt(lambda: list(range(length))[slice(*bounds)])))

iterations = []
for one in values[:COUNT]:
    if not PYTHON2 or not isinstance(one, range_):
        iterations.append((one, attempt(lambda: list(one))))

answer = {
    'values': values,
    'reprs': [repr(one) for one in values],
    'truths': [bool(one) for one in values],
    'lengths': [attempt(lambda: len(one)) for one in values],
    'hashes': [hashes(one) for one in values],
    'types': [type(one).__name__ for one in values],
    'pairs': pairs,
    'lists': lists,
    'slices': slices,
    'iterations': iterations,
    # Every character that is one, and how it is written.
    'printable': [] if PYTHON2 else [chr(code).isprintable() for code in range(0x11000)],
}
out = getattr(sys.stdout, 'buffer', sys.stdout)
out.write(pickle.dumps(answer, min(pickle.HIGHEST_PROTOCOL, 4)))
