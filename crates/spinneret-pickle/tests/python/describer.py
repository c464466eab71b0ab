"""A description of an object that is the same in every version of Python. Reads 2.7 to 3.13."""
import array
import collections
import datetime
import decimal
import fractions
import struct
import uuid

from shapes import *

if not PY2:
    import enum


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
