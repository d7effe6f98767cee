"""Random series: what a round of the differential fuzzer is about, its wire form and its text form.

A value is a float, STALE, or a Hist. Times are milliseconds. Everything comes from one random.Random, so a seed is a data set.
"""
import math, struct
from harness import field, varint

STALE = type('Stale', (), {'__repr__': lambda self: 'stale'})()
STALE_BITS = struct.pack('<Q', 0x7ff0000000000002)
GAUGE = 3  # a histogram's reset hint on the wire


class Hist:
    """A native histogram. pos and neg: bucket index -> count. custom: bounds, for schema -53."""

    def __init__(self, schema=0, is_float=False):
        self.schema, self.is_float = schema, is_float
        self.zero_threshold, self.zero, self.sum = 0.0, 0, 0.0
        self.pos, self.neg, self.custom, self.hint = {}, {}, [], 0

    def copy(self):
        h = Hist(self.schema, self.is_float)
        h.__dict__.update({k: v.copy() if isinstance(v, (dict, list)) else v for k, v in self.__dict__.items()})
        return h

    def count(self):
        return self.zero + sum(self.pos.values()) + sum(self.neg.values())

    def wire(self, t):
        out = bytearray()
        if self.is_float:
            out += b'\x11' + struct.pack('<d', self.count())
        else:
            out += b'\x08' + varint(self.count())
        out += b'\x19' + struct.pack('<d', self.sum) + b'\x20' + zigzag(self.schema)
        out += b'\x29' + struct.pack('<d', self.zero_threshold)
        out += b'\x39' + struct.pack('<d', self.zero) if self.is_float else b'\x30' + varint(self.zero)
        for buckets, spans, deltas, counts in ((self.neg, 8, 9, 10), (self.pos, 11, 12, 13)):
            out += wire_buckets(buckets, spans, deltas, counts, self.is_float)
        if self.hint:
            out += b'\x70' + varint(self.hint)
        out += b'\x78' + varint(t)
        if self.custom:
            out += varint(16 << 3 | 2) + varint(8 * len(self.custom)) + struct.pack(f'<{len(self.custom)}d', *self.custom)
        return bytes(out)

    def text(self):
        words = [f'schema:{self.schema} count:{number(self.count())} sum:{number(self.sum)}']
        if self.zero or self.zero_threshold:
            words.append(f'z_bucket:{number(self.zero)} z_bucket_w:{number(self.zero_threshold)}')
        if self.custom:
            words.append('custom_values:[%s]' % ' '.join(map(number, self.custom)))
        for name, buckets in (('', self.pos), ('n_', self.neg)):
            if buckets:
                first, last = min(buckets), max(buckets)
                words.append('%soffset:%d %sbuckets:[%s]' % (name, first, name, ' '.join(number(buckets.get(i, 0)) for i in range(first, last + 1))))
        if self.hint == GAUGE:
            words.append('counter_reset_hint:gauge')
        return '{{' + ' '.join(words) + '}}'


def zigzag(n):
    return varint(n << 1 ^ n >> 63)


def wire_buckets(buckets, spans, deltas, counts, is_float):
    if not buckets:
        return b''
    out, at, span, runs, numbers = b'', None, None, [], []
    for i in sorted(buckets):
        if at is None or i != at + 1:
            runs.append([i if at is None else i - at - 1, 0])
        runs[-1][1] += 1
        at = i
        numbers.append(buckets[i])
    for offset, length in runs:
        out += field(spans, b'\x08' + zigzag(offset) + b'\x10' + varint(length))
    if is_float:
        return out + field(counts, struct.pack(f'<{len(numbers)}d', *numbers))
    steps, before = b'', 0
    for n in numbers:
        steps += zigzag(n - before)
        before = n
    return out + field(deltas, steps)


def number(v):
    if v != v:
        return 'NaN'
    if math.isinf(v):
        return 'Inf' if v > 0 else '-Inf'
    return str(int(v)) if v == int(v) and abs(v) < 1e15 and not (v == 0 and math.copysign(1, v) < 0) else repr(float(v))


class Series:
    def __init__(self, labels, points, exemplars=()):
        self.labels, self.points, self.exemplars = labels, points, list(exemplars)

    def name(self):
        return self.labels['__name__']

    def metric(self):
        rest = {k: v for k, v in self.labels.items() if k != '__name__'}
        plain = all(c.isalnum() and c.isascii() or c in '_:' for c in self.name())
        inner = [f'{k if k.isidentifier() and k.isascii() else quote(k)}={quote(v)}' for k, v in sorted(rest.items())]
        if not plain:
            return '{' + ','.join([quote(self.name())] + inner) + '}'
        return self.name() + ('{' + ','.join(inner) + '}' if inner else '')

    def wire(self, points, exemplars):
        out = bytearray()
        for name in sorted(self.labels):
            out += field(1, field(1, name.encode()) + field(2, self.labels[name].encode()))
        for t, v in points:
            if isinstance(v, Hist):
                out += field(4, v.wire(t))
            else:
                out += field(2, b'\x09' + (STALE_BITS if v is STALE else struct.pack('<d', v)) + b'\x10' + varint(t))
        for t, v, labels in exemplars:
            text = b''.join(field(1, field(1, k.encode()) + field(2, x.encode())) for k, x in sorted(labels.items()))
            out += field(3, text + b'\x11' + struct.pack('<d', v) + b'\x18' + varint(t))
        return field(1, bytes(out))


def quote(s):
    return '"' + s.replace('\\', '\\\\').replace('"', '\\"').replace('\n', '\\n') + '"'


def value_text(v):
    return 'stale' if v is STALE else v.text() if isinstance(v, Hist) else number(v)


def points_text(series, base, step):
    """The points in the notation of promqltest when all lie at base + k * step, else None."""
    if any((t - base) % step or t < base for t, _ in series.points):
        return None
    words, k = [], 0
    for t, v in series.points:
        missing = (t - base) // step - k
        words += ['_' if missing == 1 else f'_x{missing}'] if missing else []
        words.append(value_text(v))
        k = (t - base) // step + 1
    return squeeze(words)


def squeeze(words):
    """a a a -> ax2, as the notation has it: x2 is two more."""
    out, i = [], 0
    while i < len(words):
        n = 1
        while i + n < len(words) and words[i + n] == words[i]:
            n += 1
        out += [f'{words[i]}x{n - 1}'] if n > 2 and not words[i].startswith(('_', 'stale')) else words[i:i + n]
        i += n
    return ' '.join(out)


# ---- shapes of values ----

def counter(rng, n, whole=True):
    v, out = rng.choice([0, 0, 3, 1000, 1e15]), []
    p_reset, p_still = rng.choice([0, 0.01, 0.1, 0.4]), rng.choice([0, 0.3, 0.9])
    scale = rng.choice([1, 7, 1000])
    for _ in range(n):
        if rng.random() < p_reset:
            v = rng.choice([0, 0, 1, v // 2])
        elif rng.random() >= p_still:
            v += rng.randint(0, scale) if whole else rng.random() * scale
        out.append(float(v))
    return out


def gauge(rng, n, digits=None):
    digits = rng.choice([0, 0, 1, 2, 3, 17]) if digits is None else digits
    v, width = rng.uniform(-100, 1000), rng.choice([0.5, 10, 1000])
    out = []
    for _ in range(n):
        v += rng.gauss(0, width)
        out.append(round(v, digits) if digits < 17 else v)
    return out


ODD = [float('nan'), float('inf'), float('-inf'), -0.0, 0.0, 1.0, -1.0, 0.1, 1e308, -1e308, 5e-324, 1e-300, 2.0 ** 53, 2.0 ** 53 + 2, 1e17, -1e17, 0.5,
       1.5, 2.5, 4294967296.5, 1e-9, 1700000000.0, -62135596801.0, 253402300800.0]


def odd(rng, n):
    few = rng.sample(ODD, rng.randint(1, 6))
    return [rng.choice(few) if rng.random() < 0.9 else rng.choice(ODD) for _ in range(n)]


def constant(rng, n):
    return [rng.choice([0.0, 1.0, 42.0, 0.1, -7.5, float('nan')])] * n


def steps(rng, n):
    out, v = [], 0.0
    while len(out) < n:
        v = float(rng.randint(-3, 9))
        out += [v] * rng.randint(1, 30)
    return out[:n]


def native(rng, n, kind):
    """kind: counter, gauge, float, custom, wild (schema and zero bucket change on the way)."""
    h = Hist(-53 if kind == 'custom' else rng.choice([0, 0, 1, 3, -1, 8]), is_float=kind == 'float' or kind != 'custom' and rng.random() < 0.2)
    h.hint = GAUGE if kind == 'gauge' else 0
    bounds = [0.1, 0.5, 1.0, 2.5, 10.0] if rng.random() < 0.7 else [-1.0, 0.0, 5.0]
    if kind == 'custom':
        h.custom = bounds
    else:
        h.zero_threshold = rng.choice([0.0, 0.001, 0.001])
    out, p_reset, sign = [], rng.choice([0, 0, 0.05, 0.3]), rng.random() < 0.3
    for _ in range(n):
        if rng.random() < p_reset:
            h.pos, h.neg, h.zero, h.sum = {}, {}, 0, 0.0
        if kind == 'wild' and rng.random() < 0.05:
            h.schema, h.zero_threshold, h.pos, h.neg, h.zero = rng.choice([0, 1, 2, -2]), rng.choice([0.001, 0.5]), {}, {}, 0
        if kind == 'custom' and rng.random() < 0.02:
            h.custom, h.pos = rng.choice([[0.1, 0.5, 1.0, 2.5, 10.0], [0.5, 1.0], [-1.0, 0.0, 5.0]]), {}
        observe(rng, h, sign)
        one = h.copy()
        if kind == 'gauge' and rng.random() < 0.5:
            h.pos, h.neg, h.zero = {}, {}, 0
        out.append(one)
    return out


def observe(rng, h, has_negative):
    for _ in range(rng.choice([0, 1, 1, 3])):
        more = rng.randint(1, 9) if not h.is_float or rng.random() < 0.5 else rng.random() * 5
        where = rng.randrange(8)
        if h.schema == -53:
            i = rng.randint(0, len(h.custom))
            h.pos[i] = h.pos.get(i, 0) + more
        elif where == 0:
            h.zero += more
        else:
            side = h.neg if has_negative and where < 4 else h.pos
            i = rng.randint(-4, 12)
            side[i] = side.get(i, 0) + more
        h.sum += round(more * rng.uniform(0.1, 5) * (-1 if has_negative and where < 4 else 1), 3)


# ---- where a series has samples ----

def punch(rng, times, values, p_gap=0.35):
    """Gaps, some of them with a staleness marker in front."""
    out = list(zip(times, values))
    while rng.random() < p_gap and len(out) > 4:
        at, n = rng.randrange(1, len(out)), rng.choice([1, 2, 5, 20, 60])
        hole = out[at:at + n]
        out[at:at + n] = [(hole[0][0], STALE)] if rng.random() < 0.5 else []
    if rng.random() < 0.1 and out:
        out[-1] = (out[-1][0], STALE)
    return out


def part_of(rng, n):
    a, b = sorted((rng.randint(0, n), rng.randint(0, n)))
    return a, max(b, min(a + 3, n))


class DataSet:
    """Series over [start, end] and what queries should know of them."""

    def __init__(self, rng, start, interval, n, jitter):
        self.rng, self.start, self.interval, self.n, self.jitter = rng, start, interval, n, jitter
        self.end, self.series, self.kinds = start + interval * n, [], {}

    def times(self):
        rng, base = self.rng, self.start + (self.rng.randrange(0, self.interval) if self.jitter else 0)
        if not self.jitter:
            return [base + i * self.interval for i in range(self.n)]
        width = self.interval // 3
        return [base + i * self.interval + rng.randint(0, width) for i in range(self.n)]

    def add(self, kind, labels, values, times=None, p_gap=0.35, exemplars=()):
        times = times or self.times()
        self.kinds.setdefault(kind, set()).add(labels['__name__'])
        points = punch(self.rng, times, values, p_gap)
        if points:
            self.series.append(Series(labels, points, exemplars))

    def of(self, kind):
        return sorted(self.kinds.get(kind, ()))

    def label_values(self, name):
        return sorted({s.labels[name] for s in self.series if name in s.labels})


TARGETS = [{'job': 'api', 'instance': 'a:1'}, {'job': 'api', 'instance': 'b:1'}, {'job': 'db', 'instance': 'c:2'}, {'job': 'web-1', 'instance': 'd:2'}]


def make(rng, start, interval, n, jitter):
    d = DataSet(rng, start, interval, n, jitter)
    targets = TARGETS[:rng.randint(2, 4)]
    for t in targets:
        times = d.times()
        plain(d, t, times)
        classic(d, t, times)
        natives(d, t, times)
        infos(d, t, times)
    churn(d, targets[0])
    awkward(d)
    return d


def plain(d, target, times):
    rng, n = d.rng, d.n
    for code in rng.sample(['200', '404', '500', ''], rng.randint(1, 3)):
        labels = {'__name__': 'http_requests_total', **target, **({'code': code} if code else {})}
        ex = [(t, rng.random(), {'trace_id': str(rng.randrange(1000))}) for t in rng.sample(times, min(3, n))] if rng.random() < 0.3 else ()
        d.add('counter', labels, counter(rng, n), times, exemplars=sorted(ex))
    d.add('counter', {'__name__': 'cpu_seconds_total', **target, 'mode': rng.choice(['user', 'idle'])}, counter(rng, n, False), times)
    d.add('counter', {'__name__': 'errors', **target}, counter(rng, n), times)
    for dev in ('sda', 'sdb'):
        d.add('gauge', {'__name__': 'temp', **target, 'dev': dev}, gauge(rng, n), times)
        if rng.random() < 0.7:
            d.add('gauge', {'__name__': 'limit', **target, 'dev': dev}, gauge(rng, n, 0), times)
    d.add('gauge', {'__name__': 'level', **target}, rng.choice([steps, constant])(rng, n), times)
    d.add('gauge', {'__name__': 'up', **target}, [float(rng.random() < 0.95) for _ in range(n)], times, 0.1)


def classic(d, target, times):
    rng, n = d.rng, d.n
    bounds = rng.choice([['0.1', '0.5', '1', '+Inf'], ['0.1', '0.5', '1', '+Inf'], ['1', '2.5', '1e1', '+Inf'], ['-1', '0', '1'], ['0.1', 'what', '+Inf'], ['+Inf']])
    total, rows = [0.0] * len(bounds), [[] for _ in bounds]
    p_reset, p_odd = rng.choice([0, 0.05]), rng.choice([0, 0, 0.02])
    for _ in range(n):
        if rng.random() < p_reset:
            total = [0.0] * len(bounds)
        for i in range(rng.randrange(len(bounds)), len(bounds)):
            total[i] += rng.choice([0, 1, 3])
        if rng.random() < p_odd:
            total[rng.randrange(len(bounds))] += 2
        for i, v in enumerate(total):
            rows[i].append(v)
    for le, values in zip(bounds, rows):
        d.add('bucket', {'__name__': 'lat_bucket', **target, 'le': le}, values, times, 0.1)
    d.add('counter', {'__name__': 'lat_count', **target}, rows[-1], times, 0.1)
    d.add('counter', {'__name__': 'lat_sum', **target}, [v * 0.7 for v in rows[-1]], times, 0.1)


def natives(d, target, times):
    rng, n = d.rng, d.n
    for name, kind in (('nh', 'counter'), ('nh_gauge', 'gauge'), ('nh_float', 'float'), ('nhcb', 'custom'), ('nh_wild', 'wild')):
        if rng.random() < 0.8:
            d.add('wild' if kind == 'wild' else 'native', {'__name__': name, **target, 'path': rng.choice(['/', '/x'])}, native(rng, n, kind), times)
    if rng.random() < 0.5:
        cut = rng.randrange(n)
        values = counter(rng, n)[:cut] + native(rng, n, 'counter')[cut:]
        d.add('mixed', {'__name__': 'mixed', **target}, values if rng.random() < 0.5 else values[::-1], times)


def infos(d, target, times):
    rng = d.rng
    d.add('info', {'__name__': 'target_info', **target, 'version': rng.choice(['1.0', '1.1', '2.0']), 'env': 'prod'}, [1.0] * d.n, times, 0.2)
    d.add('info', {'__name__': 'build_info', **target, 'go': rng.choice(['1.20', '1.21'])}, [1.0] * d.n, times, 0.2)


def churn(d, target):
    rng = d.rng
    for i in range(rng.randint(2, 6)):
        times = d.times()
        a, b = part_of(rng, d.n)
        d.add('gauge', {'__name__': 'pod_mem', 'job': target['job'], 'pod': f'p-{i}'}, gauge(rng, b - a), times[a:b], 0.1)
        d.add('counter', {'__name__': 'pod_cpu_total', 'job': target['job'], 'pod': f'p-{i}'}, counter(rng, b - a), times[a:b], 0.1)


def awkward(d):
    rng, n = d.rng, d.n
    for i in range(rng.randint(1, 4)):
        d.add('odd', {'__name__': 'odd', 'i': str(i), 'job': 'api'}, odd(rng, n))
    d.add('gauge', {'__name__': 'my.metric', 'label.name': 'x y', 'job': 'api'}, gauge(rng, n))
    d.add('gauge', {'__name__': 'täglich', 'job': 'api', 'ü': 'ä"\\\n'}, gauge(rng, n))
    d.add('gauge', {'__name__': 'when', 'job': 'db'}, [rng.choice([0, 951782400, 1709164800, -86400, 1e9, 4102444800]) + rng.randrange(10 ** 6) + 0.5 for _ in range(n)])
    if rng.random() < 0.5:
        one = d.times()
        d.add('gauge', {'__name__': 'single', 'job': 'db'}, [3.0], [one[rng.randrange(n)]], 0)
