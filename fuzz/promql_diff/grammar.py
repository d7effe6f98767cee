"""Random well-typed PromQL, biased towards names that exist and results that are not empty.

A query is a tree of Nodes whose parts print one after the other; shrinking and finding where two answers part ways work on the
same tree. `h` in a name stands for an expression of native histograms, `f` for one of floats.
"""
from data import quote

SCALAR, VECTOR, MATRIX, STRING = 'scalar', 'vector', 'matrix', 'string'


class Opt(str):
    """A part that can be left out."""


class Node:
    """kind: number, string, selector, range, subquery, call, aggr, binary, unary, paren. name: function, operator or metric."""

    def __init__(self, type, kind, name, *parts, **extra):
        self.type, self.kind, self.name, self.parts, self.extra = type, kind, name, list(parts), extra

    def text(self):
        return ''.join(p.text() if isinstance(p, Node) else p for p in self.parts)

    def children(self):
        return [p for p in self.parts if isinstance(p, Node)]

    def all(self):
        yield self
        for c in self.children():
            yield from c.all()

    def names(self):
        return {(n.kind, n.name) for n in self.all()}


TRIG = 'acos acosh asin asinh atan atanh cos cosh sin sinh tan tanh deg rad exp ln log2 log10 sqrt'.split()
MATH = 'abs ceil floor round sgn sqrt exp ln log2 log10 deg rad'.split()
DATES = 'day_of_month day_of_week day_of_year days_in_month hour minute month year'.split()
OVER_TIME = 'avg count last max min present stddev stdvar sum'.split()
WINDOWS = 'changes resets delta idelta deriv rate irate increase'.split()
AGGR = 'sum avg count min max group stddev stdvar'.split()
ARITH = ['+', '-', '*', '/', '%', '^', 'atan2']
COMPARE = ['==', '!=', '<', '>', '<=', '>=']
NUMBERS = ['0', '1', '2', '-1', '0.5', '3', '10', '100', '1e3', '.5', '5.', '0x1F', '1_000', '1e-3', 'Inf', '-Inf', 'NaN', '+Inf', '-0', '0b11', '0o17',
           '1e308', '1e-320', '9007199254740993', '5m', '1h30m', '1e17', '0.1', '017', '+5', 'nan', 'iNf', '4294967296', '0.30000000000000004']


class Gen:
    def __init__(self, rng, data, delayed_names=False):
        self.rng, self.d, self.delayed_names = rng, data, delayed_names
        self.known = {}
        for s in data.series:
            for k, v in s.labels.items():
                self.known.setdefault(s.name(), {}).setdefault(k, set()).add(v)
        self.labels = sorted({k for m in self.known.values() for k in m} - {'__name__'})

    def pick(self, *weighted):
        """(weight, function) pairs: calls one."""
        at = self.rng.random() * sum(w for w, _ in weighted)
        for w, fn in weighted:
            at -= w
            if at < 0:
                return fn()
        return weighted[-1][1]()

    def maybe(self, p):
        return self.rng.random() < p

    # ---- leaves ----

    def duration(self, small=False):
        rng, step = self.rng, self.d.interval / 1000
        if self.maybe(0.15):
            return rng.choice(['1m + 30s', '(2m * 2)', '10m / 4', '5m - 1m', '2 * 3m', '300', '90.5'])
        if small:
            return rng.choice(['30s', '1m', '17s', '2m', '15s', '90s', '1m30s', '1s'])
        return self.pick((6, lambda: rng.choice(['1m', '2m', '5m', '5m', '10m', '90s', '1m30s', '7m13s', '15m', '30m'])),
                         (1, lambda: rng.choice(['1h', '2h', '1s', '1ms', '1d', '15s', '0h3m', '1h0m7s', '300'])),
                         (2, lambda: f'{max(1, int(step * rng.choice([1, 2, 3, 4, 20])))}s'))

    def number(self):
        return Node(SCALAR, 'number', '', self.rng.choice(NUMBERS) if self.maybe(0.6) else repr(round(self.rng.uniform(-5, 50), self.rng.randrange(4))))

    def string(self, text=None):
        text = self.rng.choice(['', 'x', '$1', 'a:1', 'ä']) if text is None else text
        forms = [quote(text), "'" + text.replace('\\', '\\\\').replace("'", "\\'").replace('\n', '\\n') + "'"]
        forms += ['`' + text + '`'] if '`' not in text else []
        return Node(STRING, 'string', '', self.rng.choice(forms))

    def label(self, kinds=None):
        return self.rng.choice(self.labels) if self.maybe(0.3) else self.rng.choice(['job', 'instance', 'code', 'dev', 'pod', 'path', 'le', 'mode'])

    def ident(self, name):
        return name if name.isidentifier() and name.isascii() and not self.maybe(0.02) else quote(name)

    def labels_list(self, labels):
        return '(' + ', '.join(self.ident(x) for x in labels) + (',' if labels and self.maybe(0.05) else '') + ')'

    def matcher(self, metric):
        rng, have = self.rng, self.known.get(metric, {})
        name = rng.choice(sorted(set(have) - {'__name__'}) or ['job']) if self.maybe(0.9) else self.label()
        values = sorted(have.get(name, {'x'}))
        v = rng.choice(values)
        esc = ''.join('\\' + c if c in '.+*?()|[]{}^$\\' else c for c in v)
        op, text = self.pick(
            (4, lambda: ('=', v)), (2, lambda: ('!=', v)), (1, lambda: ('=', '')), (1, lambda: ('!=', '')),
            (5, lambda: ('=~', rng.choice([esc, '.*', '.+', esc[:1] + '.*' if esc[:1] != '\\' else '.+', '|'.join(values[:3]).replace('\\', '\\\\').replace('+', '\\+').replace('*', '\\*').replace('"', '\\"') if '\\' not in ''.join(values) else '.+',
                                              f'({esc}|nope)', '[a-d].*', '(?i)' + esc.upper(), '^' + esc + '$', '.{1,20}', '(?:a|b|c).+', '[^x]*', '.*[0-9]', '(?s).*', '\\w+.*',
                                              '', 'a|b||', '(a|b:1)?', '.*1.*', '\\S+', '(?i:API|DB)', '(a:1|a:2|b:1|c:2)', '.*:1', 'api.*|.*db']))),
            (2, lambda: ('!~', rng.choice([esc, 'nope', 'x.*', '', '.*1', '[^a-c].*', 'a|d']))))
        return f'{self.ident(name)}{rng.choice(["", "", "", " "])}{op}{self.string(text).text()}'

    def modifiers(self):
        rng, out = self.rng, []
        if self.maybe(0.15):
            out.append(Opt(f' offset {rng.choice(["", "", "", "-"])}{self.duration()}'))
        if self.maybe(0.1):
            at = rng.choice(['start()', 'end()', f'{(self.d.start + rng.randint(0, self.d.end - self.d.start)) / 1000:.3f}', str(self.d.end // 1000 - rng.choice([0, 60, 600, 3000])), f'{self.d.start / 1000:.3f}'])
            out.insert(rng.randint(0, len(out)), Opt(f' @ {at}'))
        return out

    def metric(self, *kinds):
        names = [n for k in kinds for n in self.d.of(k)]
        return self.rng.choice(names) if names else 'temp'

    def bare_selector(self, metric):
        rng = self.rng
        matchers = [self.matcher(metric) for _ in range(self.pick((5, lambda: 0), (3, lambda: 1), (1, lambda: 2)))]
        plain = all(c.isalnum() and c.isascii() or c in '_:' for c in metric)
        style = rng.random()
        if not plain or style < 0.08:
            first = quote(metric) if not plain or style < 0.04 else f'__name__={quote(metric)}'
            matchers.insert(rng.randint(0, len(matchers)), first)
            return Node(VECTOR, 'selector', metric, '{', ','.join(matchers), '}')
        if style < 0.12 and not self.delayed_names:  # their parts would collide when asked on their own
            others = rng.sample(sorted(self.known), min(3, len(self.known)))
            pattern = rng.choice([metric + '.*', '|'.join([metric] + others), f'({metric}|{others[0]})', metric[:3] + '.+'])
            return Node(VECTOR, 'selector', '~' + pattern, '{__name__=~', quote(pattern), *[Opt(',' + m) for m in matchers], '}')
        if not matchers:
            return Node(VECTOR, 'selector', metric, metric, Opt('{}') if self.maybe(0.05) else '')
        return Node(VECTOR, 'selector', metric, metric, Opt('{' + rng.choice([',', ', ', ' , ']).join(matchers) + rng.choice(['', '', ',']) + '}'))

    FLOATS = ('counter', 'gauge', 'gauge', 'counter', 'bucket', 'odd', 'info')

    def selector_f(self):
        n = self.bare_selector(self.metric(self.rng.choice(self.FLOATS)))
        n.parts += self.modifiers()
        return n

    def selector_h(self):
        n = self.bare_selector(self.metric(self.pick((10, lambda: 'native'), (1, lambda: 'mixed'), (1, lambda: 'wild'))))
        n.parts += self.modifiers()
        return n

    # ---- ranges ----

    def matrix(self, depth, kinds, inner):
        if depth > 1 and self.maybe(0.22):
            return self.subquery(inner(depth - 1))
        sel = self.bare_selector(self.metric(self.rng.choice(kinds)))
        length = self.duration()
        return Node(MATRIX, 'range', sel.name, *sel.parts, '[', length, ']', *self.modifiers())

    def subquery(self, inner):
        if inner.kind in ('binary', 'unary', 'number'):
            inner = Node(inner.type, 'paren', '', '(', inner, ')')
        step = self.duration(small=True) if self.maybe(0.75) else ''
        length = self.rng.choice(['5m', '10m', '3m', '7m30s', '1m', '20m'])
        return Node(MATRIX, 'subquery', '', inner, '[', length, ':', Opt(step), ']', *self.modifiers(), range=length, step=step)

    def matrix_f(self, depth, *kinds):
        return self.matrix(depth, kinds or ('counter', 'gauge', 'gauge', 'bucket', 'odd', 'info'), self.f)

    def matrix_h(self, depth):
        return self.matrix(depth, ('native', 'native', 'native', 'native', 'mixed', 'wild'), self.h)

    # ---- scalars ----

    def scalar(self, depth):
        if depth <= 0:
            return self.number()
        return self.pick((6, self.number), (1, lambda: self.call(SCALAR, 'time')), (1, lambda: self.call(SCALAR, 'pi')),
                         (2, lambda: self.call(SCALAR, 'scalar', self.aggr_f(depth - 1) if self.maybe(0.7) else self.f(depth - 1))),
                         (1, lambda: Node(SCALAR, 'paren', '', '(', self.scalar(depth - 1), ')')),
                         (1, lambda: Node(SCALAR, 'unary', '-', '-', self.wrap(self.scalar(depth - 1)))),
                         (2, lambda: self.scalar_binary(depth)))

    def scalar_binary(self, depth):
        op = self.rng.choice(ARITH + ['== bool', '> bool', '<= bool'])
        return Node(SCALAR, 'binary', op.split()[0], self.wrap(self.scalar(depth - 1)), f' {op} ', self.wrap(self.scalar(depth - 1)))

    # ---- vectors ----

    def wrap(self, n):
        """Parentheses where the tree would print to another tree; sometimes left out to try precedence (types stay right)."""
        if n.kind in ('binary', 'unary') or n.kind == 'number' and n.parts[0][0] in '+-':
            return Node(n.type, 'paren', '', '(', n, ')')
        return n

    def call(self, type, name, *args):
        parts = [name, self.rng.choice(['(', '(', '(', '( ', ' ('])]
        for i, a in enumerate(args):
            parts += [', '] if i else []
            parts.append(a)
        return Node(type, 'call', name, *parts, ')')

    def v(self, depth):
        return self.h(depth) if self.maybe(0.18) else self.f(depth)

    def f(self, depth):
        if depth <= 0:
            return self.selector_f()
        return self.pick((1.5, self.selector_f), (4, lambda: self.window(depth)), (2.5, lambda: self.unary_fn(depth)), (4, lambda: self.aggr_f(depth)),
                         (4, lambda: self.binary_f(depth)), (1.2, lambda: self.labels_fn(depth, self.f)), (2, lambda: self.of_histogram(depth)),
                         (0.7, lambda: self.rare(depth)), (0.5, lambda: Node(VECTOR, 'paren', '', '(', self.f(depth - 1), ')')),
                         (0.5, lambda: Node(VECTOR, 'unary', '-', self.rng.choice('-+'), self.wrap(self.f(depth - 1)))),
                         (0.6, lambda: self.call(VECTOR, 'vector', self.scalar(depth - 1))))

    def window(self, depth):
        rng = self.rng
        if self.maybe(0.12):
            return self.call(VECTOR, rng.choice(['count_over_time', 'present_over_time', 'resets', 'changes', 'absent_over_time', 'ts_of_last_over_time']), self.matrix_h(depth))
        counters = ('counter', 'counter', 'bucket', 'gauge')
        return self.pick(
            (4, lambda: self.call(VECTOR, rng.choice(['rate', 'increase', 'irate', 'rate']), self.matrix_f(depth, *counters))),
            (2, lambda: self.call(VECTOR, rng.choice(WINDOWS), self.matrix_f(depth))),
            (5, lambda: self.call(VECTOR, rng.choice(OVER_TIME) + '_over_time', self.matrix_f(depth))),
            (0.8, lambda: self.call(VECTOR, 'quantile_over_time', self.scalar(depth - 2) if self.maybe(0.3) else self.quantile(), self.matrix_f(depth))),
            (0.6, lambda: self.call(VECTOR, 'predict_linear', self.matrix_f(depth), self.scalar(depth - 2))),
            (0.4, lambda: self.call(VECTOR, 'absent_over_time', self.matrix_f(depth))),
            (0.8, lambda: self.call(VECTOR, rng.choice(['mad_over_time', 'ts_of_max_over_time', 'ts_of_min_over_time', 'ts_of_last_over_time']), self.matrix_f(depth))),
            (0.3, lambda: self.call(VECTOR, 'double_exponential_smoothing', self.matrix_f(depth), self.fraction(), self.fraction())))

    def fraction(self):
        return Node(SCALAR, 'number', '', self.rng.choice(['0.3', '0.5', '0.9', '0.01', '1', '0', '0.7']))

    def quantile(self):
        return Node(SCALAR, 'number', '', self.rng.choice(['0.5', '0.9', '0.99', '0', '1', '0.25', '-1', '2', 'NaN', '0.333']))

    def unary_fn(self, depth):
        rng, inner = self.rng, self.f
        return self.pick(
            (3, lambda: self.call(VECTOR, rng.choice(MATH), inner(depth - 1))),
            (0.8, lambda: self.call(VECTOR, rng.choice(TRIG), inner(depth - 1))),
            (1, lambda: self.call(VECTOR, 'clamp', inner(depth - 1), self.scalar(depth - 2), self.scalar(depth - 2))),
            (1, lambda: self.call(VECTOR, rng.choice(['clamp_min', 'clamp_max', 'round']), inner(depth - 1), self.scalar(depth - 2))),
            (1, lambda: self.call(VECTOR, 'timestamp', self.selector_f() if self.maybe(0.6) else self.v(depth - 1))),
            (1, lambda: self.call(VECTOR, rng.choice(DATES), *([self.date(depth)] if self.maybe(0.8) else []))))

    def date(self, depth):
        if self.maybe(0.5):
            return Node(VECTOR, 'selector', 'when', 'when')
        return self.call(VECTOR, 'timestamp', self.f(depth - 1)) if self.maybe(0.5) else self.f(depth - 1)

    def grouping(self, op):
        rng = self.rng
        how = rng.random()
        if how < 0.25:
            return ''
        labels = rng.sample(['job', 'instance', 'code', 'dev', 'pod', 'path', 'le', 'mode', 'version'], rng.choice([0, 1, 1, 2, 3]))
        if self.maybe(0.1):
            labels.append(rng.choice(self.labels + ['__name__', 'nope', 'job']))
        return (' by ' if how < 0.75 else ' without ') + self.labels_list(labels)

    def aggregate(self, op, inner, param=None):
        group = self.grouping(op)
        args = ['('] + ([param, ', '] if param else []) + [inner, ')']
        if group and self.maybe(0.3):
            return Node(VECTOR, 'aggr', op, op, *args, Opt(group))
        return Node(VECTOR, 'aggr', op, op, Opt(group), *args)

    def aggr_f(self, depth):
        rng = self.rng
        inner = self.f if not self.maybe(0.05) else self.h
        return self.pick(
            (8, lambda: self.aggregate(rng.choice(AGGR), inner(depth - 1))),
            (1.5, lambda: self.aggregate(rng.choice(['topk', 'bottomk']), inner(depth - 1), Node(SCALAR, 'number', '', rng.choice(['1', '2', '3', '0', '100', '-1', '2.7'])))),
            (1.2, lambda: self.aggregate('quantile', inner(depth - 1), self.quantile() if self.maybe(0.8) else self.scalar(depth - 2))),
            (0.8, lambda: self.aggregate('count_values', inner(depth - 1), self.string(rng.choice(['v', 'value', 'job', 'le', 'ü'])))),
            (0.6, lambda: self.aggregate('limit_ratio', inner(depth - 1), Node(SCALAR, 'number', '', rng.choice(['0.5', '-0.5', '1', '0.2', '-0.9', '0', '7'])))),
            (0.3, lambda: self.aggregate(rng.choice(['count', 'group']), self.aggregate('limitk', inner(depth - 1), Node(SCALAR, 'number', '', rng.choice(['1', '2', '5']))))),
            (0.5, lambda: self.aggregate('count', self.v(depth - 1))))

    def of_histogram(self, depth):
        rng = self.rng
        return self.pick(
            (3, lambda: self.call(VECTOR, 'histogram_quantile', self.quantile() if self.maybe(0.9) else self.scalar(depth - 2), self.buckets(depth) if self.maybe(0.6) else self.h(depth - 1))),
            (1, lambda: self.call(VECTOR, 'histogram_fraction', self.number(), self.number(), self.h(depth - 1) if self.maybe(0.6) else self.buckets(depth))),
            (3, lambda: self.call(VECTOR, 'histogram_' + rng.choice(['count', 'sum', 'avg', 'stddev', 'stdvar', 'count']), self.h(depth - 1) if self.maybe(0.95) else self.f(depth - 1))))

    def buckets(self, depth):
        sel = lambda: self.bare_selector('lat_bucket')
        rate = lambda: self.call(VECTOR, self.rng.choice(['rate', 'increase', 'rate', 'irate']), Node(MATRIX, 'range', 'lat_bucket', *sel().parts, '[', self.duration(), ']', *self.modifiers()))
        return self.pick((2, sel), (3, rate), (3, lambda: Node(VECTOR, 'aggr', 'sum', 'sum', ' by (', self.rng.choice(['le', 'le, job', 'job, le, instance']), ') (', rate(), ')')),
                         (1, lambda: Node(VECTOR, 'aggr', 'sum', 'sum', ' by (le) (', sel(), ')')))

    def labels_fn(self, depth, inner):
        rng = self.rng
        src, dst = self.label(), rng.choice(['new', self.label(), 'job', '__name__', 'ü'])
        regex, repl = rng.choice([('(.*)', '$1'), ('(.).*', 'x-$1'), ('(?P<a>.+):(.*)', '$a/$2'), ('.*', ''), ('nope', 'y'), ('', 'empty'), ('(a|b).*', '${1}_$0'), ('(.*)', '$2$1$$'), ('[', 'x')] if self.maybe(0.05)
                                 else [('(.*)', '$1'), ('(.).*', 'x-$1'), ('(?P<a>.+):(.*)', '$a/$2'), ('.*', ''), ('nope', 'y'), ('', 'empty'), ('(a|b).*', '${1}_$0')])
        return self.pick(
            (3, lambda: self.call(VECTOR, 'label_replace', inner(depth - 1), self.string(dst), self.string(repl), self.string(src), self.string(regex))),
            (2, lambda: self.call(VECTOR, 'label_join', inner(depth - 1), self.string(dst), self.string(rng.choice(['-', '', ', '])), *[self.string(self.label()) for _ in range(rng.randrange(4))])),
            (1, lambda: self.call(VECTOR, rng.choice(['sort_by_label', 'sort_by_label_desc']), inner(depth - 1), *[self.string(self.label()) for _ in range(rng.randint(1, 2))])),
            (1, lambda: self.call(VECTOR, rng.choice(['sort', 'sort_desc']), inner(depth - 1))))

    def rare(self, depth):
        return self.pick(
            (3, lambda: self.call(VECTOR, 'absent', self.selector_f() if self.maybe(0.6) else self.v(depth - 1))),
            (1, lambda: Node(VECTOR, 'selector', 'nope', 'nope', Opt('{job="x"}'))),
            (2, lambda: self.call(VECTOR, 'info', self.f(depth - 1), *([Node(VECTOR, 'selector', '', self.rng.choice(['{version=~".+"}', '{go=~".+"}', '{__name__="build_info"}', '{env="prod"}', '{__name__=~".+_info", go!=""}', '{version="1.0"}']))] if self.maybe(0.6) else []))))

    # ---- native histograms ----

    def h(self, depth):
        if depth <= 0:
            return self.selector_h()
        rng = self.rng
        return self.pick(
            (3, self.selector_h),
            (3, lambda: self.call(VECTOR, rng.choice(['rate', 'increase', 'rate', 'delta', 'irate', 'idelta']), self.matrix_h(depth))),
            (2, lambda: self.call(VECTOR, rng.choice(['sum', 'avg', 'last']) + '_over_time', self.matrix_h(depth))),
            (3, lambda: self.aggregate(rng.choice(['sum', 'avg', 'sum']), self.h(depth - 1))),
            (2, lambda: self.binary_h(depth)), (0.5, lambda: self.labels_fn(depth, self.h)),
            (0.5, lambda: Node(VECTOR, 'unary', '-', '-', self.wrap(self.h(depth - 1)))))

    def binary_h(self, depth):
        rng, same = self.rng, self.h(depth - 1)
        return self.pick(
            (2, lambda: Node(VECTOR, 'binary', '*', self.wrap(self.h(depth - 1)), rng.choice([' * ', ' / ']), self.wrap(self.scalar(depth - 2)))),
            (1, lambda: Node(VECTOR, 'binary', '*', self.wrap(self.scalar(depth - 2)), ' * ', self.wrap(self.h(depth - 1)))),
            (2, lambda: Node(VECTOR, 'binary', '+', self.wrap(same), rng.choice([' + ', ' - ', ' == ', ' != ']), self.wrap(same if self.maybe(0.4) else self.h(depth - 1)))),
            (0.5, lambda: Node(VECTOR, 'binary', '*', self.wrap(self.h(depth - 1)), rng.choice([' * ', ' > ', ' + ', ' ^ ', ' / ', ' % ']), self.wrap(self.v(depth - 1)))),
            (1, lambda: Node(VECTOR, 'binary', 'or', self.wrap(self.h(depth - 1)), rng.choice([' or ', ' and ', ' unless ']), self.wrap(self.v(depth - 1)))))

    # ---- binary operators ----

    def operator(self):
        if self.maybe(0.7):
            return self.rng.choice(ARITH if self.maybe(0.2) else ARITH[:4]), ''
        return self.rng.choice(COMPARE), ' bool' if self.maybe(0.4) else ''

    def binary_f(self, depth):
        rng = self.rng
        op, flag = self.operator()
        return self.pick(
            (2, lambda: Node(VECTOR, 'binary', op, self.wrap(self.f(depth - 1)), f' {op}', Opt(flag), ' ', self.wrap(self.scalar(depth - 1)))),
            (1, lambda: Node(VECTOR, 'binary', op, self.wrap(self.scalar(depth - 1)), f' {op}', Opt(flag), ' ', self.wrap(self.f(depth - 1)))),
            (3, lambda: self.join(depth, op, flag)),
            (1.5, lambda: self.many_to_one(depth, op, flag)),
            (1, lambda: self.same_shape(depth, op, flag)),
            (2, lambda: self.set_operation(depth)),
            (0.7, lambda: self.unwrapped(depth)))

    def unwrapped(self, depth):
        """a op b op c with no parentheses: precedence and associativity."""
        parts = [self.aggregate('sum', self.f(depth - 1))]
        for _ in range(self.rng.randint(1, 3)):
            op = self.rng.choice(ARITH + ['and', 'or', 'unless', '== bool', '> bool', '<'])
            parts += [f' {op} ', self.rng.choice(['', '-']) , self.aggregate('sum', self.f(depth - 2)) if self.maybe(0.6) or op in ('and', 'or', 'unless') else Node(SCALAR, 'number', '', self.rng.choice(['2', '0.5', '3']))]
        parts = [p for p in parts if p != '']
        return Node(VECTOR, 'binary', 'chain', *parts)

    def set_operation(self, depth):
        op = self.rng.choice(['and', 'or', 'unless'])
        match = self.rng.choice(['', '', ' on(job)', ' on (job, instance)', ' ignoring(code, le, dev)', ' on()', ' ignoring(__name__)'])
        rhs = self.f(depth - 1)
        if self.maybe(0.5):
            cmp_op = self.rng.choice(COMPARE)
            rhs = Node(VECTOR, 'binary', cmp_op, self.wrap(rhs), f' {cmp_op} ', self.number())
        return Node(VECTOR, 'binary', op, self.wrap(self.f(depth - 1)), f' {op}', Opt(match), ' ', self.wrap(rhs))

    def same_shape(self, depth, op, flag):
        """Two selections with equal labels."""
        fn = self.rng.choice([None, 'rate', 'increase', 'avg_over_time', 'max_over_time'])
        pairs = [('lat_sum', 'lat_count'), ('temp', 'limit'), ('temp', 'temp'), ('http_requests_total', 'http_requests_total'), ('errors', 'cpu_seconds_total'), ('pod_cpu_total', 'pod_mem'), ('odd', 'odd'), ('errors', 'up')]
        sides = []
        for m in self.rng.choice(pairs):
            if fn:
                sides.append(self.call(VECTOR, fn, Node(MATRIX, 'range', m, m, '[', self.duration(), ']', *self.modifiers())))
            else:
                sides.append(Node(VECTOR, 'selector', m, m, *self.modifiers()))
        match = self.rng.choice(['', '', '', ' ignoring(mode)', ' on(job,instance)', ' ignoring (code, dev)'])
        return Node(VECTOR, 'binary', op, sides[0], f' {op}', Opt(flag), Opt(match), ' ', sides[1])

    def join(self, depth, op, flag):
        """Both sides grouped so that on() finds partners."""
        labels = self.rng.sample(['job', 'instance', 'code', 'dev'], self.rng.randint(0, 2))
        sides = [self.grouped(depth - 1, labels) for _ in range(2)]
        match = self.rng.choice(['', f' on{self.labels_list(labels)}', f' on {self.labels_list(labels)}', ' ignoring(le)'])
        return Node(VECTOR, 'binary', op, self.wrap(sides[0]), f' {op}', Opt(flag), Opt(match), ' ', self.wrap(sides[1]))

    def grouped(self, depth, labels):
        op = self.rng.choice(AGGR)
        return Node(VECTOR, 'aggr', op, op, ' by ', self.labels_list(labels), ' (', self.f(depth - 1) if depth > 0 else self.selector_f(), ')')

    def many_to_one(self, depth, op, flag):
        rng = self.rng
        one_labels = rng.sample(['job', 'instance'], rng.randint(1, 2))
        one = self.grouped(depth - 1, one_labels + (['version'] if self.maybe(0.2) else [])) if self.maybe(0.6) else Node(VECTOR, 'selector', 'target_info', rng.choice(['target_info', 'up', 'build_info', 'errors']))
        many = self.f(depth - 1)
        left = self.maybe(0.6)
        include = self.labels_list(rng.sample(['version', 'env', 'go', 'job', 'code'], rng.choice([0, 0, 1, 2]))) if self.maybe(0.8) else ''
        match = f' {rng.choice(["on", "on", "on", "ignoring"])}{self.labels_list(one_labels)} group_{"left" if left else "right"}{include} '
        if 'ignoring' in match:
            match = f' ignoring{self.labels_list(["code", "dev", "mode", "le", "version", "env", "pod"])} group_{"left" if left else "right"}{include} '
        a, b = (many, one) if left else (one, many)
        return Node(VECTOR, 'binary', op, self.wrap(a), f' {op}', Opt(flag), match, self.wrap(b))

    def query(self):
        depth = self.pick((2, lambda: 1), (4, lambda: 2), (4, lambda: 3), (1.5, lambda: 4))
        return self.pick((20, lambda: self.v(depth)), (1, lambda: self.scalar(depth)), (1, lambda: self.matrix(depth, ('counter', 'gauge', 'native', 'odd'), self.v)),
                         (0.1, self.string), (0.3, lambda: self.aggregate('limitk', self.f(depth - 1), Node(SCALAR, 'number', '', self.rng.choice(['1', '3'])))))
