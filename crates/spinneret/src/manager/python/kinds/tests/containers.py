"""Random calls of this Python's own containers, and what they came to, as one pickle.

    python containers.py SEED OBJECTS CALLS

For Python 2.7 and 3.
"""
import array
import pickle
import random
import sys
from multiprocessing.managers import Namespace, Value

PYTHON2 = sys.version_info[0] == 2
rng = random.Random(int(sys.argv[1]))
OBJECTS, CALLS = int(sys.argv[2]), int(sys.argv[3])


def scalar():
    return rng.choice([0, 1, 2, 3, True, 1.0, 2.5, None, 'a', 'b', u'a', u'\xe9', b'a', (), (1, 'x')])


def many():
    kind = rng.randrange(9)
    if kind == 0:
        return 'ab'
    if kind == 1:
        return 5
    if kind == 2:
        return tuple(scalar() for _ in range(rng.randrange(3)))
    if kind == 3 and not PYTHON2:
        return range(rng.randrange(4))
    if kind == 4:
        return {'k': scalar()}
    return [scalar() for _ in range(rng.randrange(4))]


def index():
    return rng.choice([0, 1, 2, -1, -2, 5, -9, 2 ** 70, -2 ** 70, True, None, 'x', 1.0])


def small():
    return rng.choice([0, 1, 2, -1, -5, True])


def bound():
    return rng.choice([None, None, 0, 1, 2, -1, 9, -9])


def part():
    return slice(bound(), bound(), rng.choice([None, None, 1, 2, -1, -2, 0]))


def at():
    # 2.7 cannot pickle a slice, and sends none.
    return index() if PYTHON2 or rng.random() < 0.5 else part()


def places():
    return rng.choice([0, 1, 2, 5, sys.maxsize]), rng.choice([0, 1, 2, 5, sys.maxsize])


def list_call():
    choices = [
        lambda: ('append', (scalar(),)),
        lambda: ('append', (scalar(),)),
        lambda: ('extend', (many(),)),
        lambda: ('insert', (index() if not PYTHON2 else small(), scalar())),
        lambda: ('pop', rng.choice([(), (small(),), (small(),)])),
        lambda: ('remove', (scalar(),)),
        lambda: ('index', (scalar(),) + rng.choice([(), (small(),), (small(), small())])),
        lambda: ('count', (scalar(),)),
        lambda: ('__contains__', (scalar(),)),
        lambda: ('__getitem__', (at(),)),
        lambda: ('__setitem__', (at(), many())),
        lambda: ('__delitem__', (at(),)),
        lambda: ('__len__', ()),
        lambda: ('__add__', (many(),)),
        lambda: ('__mul__', (rng.choice([0, 1, 2, -1, 'x', None]),)),
        lambda: ('__rmul__', (rng.choice([0, 1, 2, -1, True]),)),
        lambda: ('reverse', ()),
        lambda: ('sort', ()),
        lambda: ('__len__', (1,)),
        lambda: ('append', ()),
        lambda: ('pop', (1, 2)),
    ]
    if PYTHON2:
        choices += [
            lambda: ('__getslice__', places()),
            lambda: ('__setslice__', places() + (many(),)),
            lambda: ('__delslice__', places()),
        ]
    return rng.choice(choices)() + ({},)


def key():
    return scalar() if rng.random() < 0.9 else rng.choice([[], {}, bytearray(b'a'), ([],)])


def dict_call():
    choices = [
        lambda: ('__setitem__', (key(), scalar())),
        lambda: ('__setitem__', (key(), scalar())),
        lambda: ('__getitem__', (key(),)),
        lambda: ('__delitem__', (key(),)),
        lambda: ('__contains__', (key(),)),
        lambda: ('__len__', ()),
        lambda: ('get', (key(),) + rng.choice([(), (scalar(),)])),
        # On an empty dict it does not even ask for the hash.
        lambda: ('pop', (scalar(),) + rng.choice([(), (scalar(),)])),
        lambda: ('setdefault', (key(),) + rng.choice([(), (scalar(),)])),
        lambda: ('update', rng.choice([(), (many(),), ([(1, 2), [3, 4]],), ([(1,)],), ([1],)])),
        lambda: ('copy', ()),
        lambda: ('clear', ()) if rng.random() < 0.2 else ('__len__', ()),
        lambda: ('get', ()),
        lambda: ('__getitem__', (1, 2)),
    ]
    if PYTHON2:
        choices.append(lambda: ('has_key', (key(),)))
    else:
        choices += [lambda: (name, ()) for name in ('keys', 'values', 'items', 'popitem')]
    method, args = rng.choice(choices)()
    return method, args, {'kw': 1} if method == 'update' and rng.random() < 0.3 else {}


def number():
    return rng.choice([0, 1, -1, 100, 300, -300, 70000, -70000, 2 ** 31, -2 ** 31 - 1, 2 ** 32,
                       2 ** 63, -2 ** 63 - 1, 2 ** 64, 1.5, 'x', None, True, u'\xe9', [1]])


def some_array():
    return array.array(rng.choice(['i', 'i', 'd', 'b']), [rng.randrange(5) for _ in range(rng.randrange(4))])


def array_call():
    choices = [
        lambda: ('__getitem__', (at() if not PYTHON2 else small(),)),
        lambda: ('__setitem__', (small(), number())),
        lambda: ('__setitem__', (small(), number())),
        lambda: ('__len__', ()),
    ]
    if PYTHON2:
        choices += [lambda: ('__getslice__', places()),
                    lambda: ('__setslice__', places() + (some_array(),))]
    else:
        choices += [lambda: ('__setitem__', (part(), rng.choice([some_array(), [1]])))]
    return rng.choice(choices)() + ({},)


def name():
    return rng.choice(['a', 'b', '_c', u'd'])


def namespace_call():
    return rng.choice([
        lambda: ('__setattr__', (name(), many())),
        lambda: ('__getattribute__', (name(),)),
        lambda: ('__delattr__', (name(),)),
    ])() + ({},)


def value_call():
    return rng.choice([lambda: ('get', (), {}), lambda: ('set', (many(),), {})])()


def make():
    kind = rng.choice(['list', 'list', 'dict', 'dict', 'Array', 'Namespace', 'Value'])
    if kind == 'list':
        return kind, list, rng.choice([(), (many(),)]), {}, list_call
    if kind == 'dict':
        first = rng.choice([(), (many(),), ([(1, 2)],), ({1: 2},)])
        return kind, dict, first, rng.choice([{}, {'kw': 3}]), dict_call
    if kind == 'Namespace':
        return kind, Namespace, (), {'b': scalar()}, namespace_call
    if kind == 'Value':
        return kind, Value, ('i', scalar()), {}, value_call
    code = rng.choice(list('bBhHiIlLfdu') + (['c'] if PYTHON2 else ['q', 'Q']))
    source = rng.choice([[], [1, 2, 3], [number()], (1, 2), b'\0' * 8, b'\0' * 3, u'ab', 'ab', 5])
    return kind, array.array, (code, source), {}, array_call


def show(error):
    text = str(error)
    return type(error).__name__ + (': ' + text if text else '')


def plain(value):
    """What views come to on the way."""
    if not PYTHON2 and type(value) in (type({}.keys()), type({}.values()), type({}.items())):
        return list(value)
    return value


def sure(thing):
    """Whether its order is known: dicts of 2.7 have none."""
    return not PYTHON2 or not isinstance(thing, dict) or len(thing) < 2


log = []
for _ in range(OBJECTS):
    kind, maker, args, kwds, caller = make()
    calls = []
    entry = (kind, args, kwds)
    # What is pickled now is what was given, whatever happens to it later.
    entry = pickle.loads(pickle.dumps(entry, 2))
    try:
        thing = maker(*pickle.loads(pickle.dumps(args, 2)), **kwds)
    except Exception as error:
        log.append(entry + (show(error), calls))
        continue
    if not sure(thing):
        continue
    log.append(entry + ('', calls))
    for _ in range(CALLS):
        method, args, kwds = caller()
        given = pickle.loads(pickle.dumps((args, kwds), 2))
        before = pickle.dumps(thing, 2)
        try:
            result = repr(plain(getattr(thing, method)(*args, **kwds)))
        except Exception as error:
            result = show(error)
        # 3.13 compares in another order, which shows if it then has to give up.
        gave_up = method == 'sort' and result != 'None' and sys.version_info >= (3, 13)
        if gave_up or not sure(thing):
            thing = pickle.loads(before)
            continue
        calls.append((method,) + given + (result, repr(thing)))

out = getattr(sys.stdout, 'buffer', sys.stdout)
# Nothing is shared, or a list that is both argument and item would be the same for us.
pickler = pickle.Pickler(out, min(pickle.HIGHEST_PROTOCOL, 4))
pickler.dump(log)
