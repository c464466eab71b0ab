"""Random objects as pickles and as descriptions that are the same in every version of Python. Reads
2.7 to 3.13.

    python -B exchange.py dump SEED COUNT WHICH STRINGS   number of pickles, description and pickle of each
    python -B exchange.py load STRINGS                    pickles in, descriptions out
    python -B exchange.py again                           pickles in, pickles of each protocol out

An object's pickles are of each protocol, and its description is of what Python itself reads from one.
Everything travels in frames: four bytes with the length, high byte first, and that many bytes.
"""
import struct
import sys

from describer import describe
from generator import Generator

if sys.version_info[0] == 2:
    import cPickle as pickle
else:
    import pickle


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
    main(*sys.argv[1:])
