"""Whether two answers are the same, and which row of docs/differences.md explains them when they are not.

A difference of a query is traced to the smallest expressions whose answers differ although the answers of everything below are
equal. Only rules about those may excuse it, so no tolerance spreads over a whole query.
"""
import json, math, re
from grammar import MATRIX, Node, STRING
from servers import parsed

POSITION = re.compile(r' \(\d+:\d+\)$')


class Ask:
    """An expression with the times it is asked for. step None: instant."""

    def __init__(self, node, start, end=None, step=None, extra=None, text=None):
        self.node, self.start, self.end, self.step, self.extra, self.literal, self.other = node, start, end, step, extra or {}, text, None

    @classmethod
    def of_request(cls, path, params):
        """A request that is no query."""
        ask = cls(None, 0, text=params.get('query', str(params)))
        ask.other = path, params
        return ask

    def text(self):
        return self.literal if self.literal is not None else self.node.text()

    def request(self):
        if self.other:
            return self.other
        if self.step is None:
            return 'query', {'query': self.text(), 'time': seconds(self.start), **self.extra}
        return 'query_range', {'query': self.text(), 'start': seconds(self.start), 'end': seconds(self.end), 'step': seconds(self.step), **self.extra}

    def with_node(self, node):
        return Ask(node, self.start, self.end, self.step, self.extra)


def seconds(ms):
    return f'{ms // 1000}.{ms % 1000:03d}' if ms % 1000 else str(ms // 1000)


# ---- comparing ----

ORDERED = ('sort', 'sort_desc', 'sort_by_label', 'sort_by_label_desc', 'topk', 'bottomk')


def rows(data):
    """(labels, points) of a result, labels as a canonical text."""
    if data['resultType'] in ('scalar', 'string'):
        return {'': [data['result']]}
    out = {}
    for r in data['result']:
        key = json.dumps(r['metric'], sort_keys=True)
        points = ([r['value']] if 'value' in r else []) + r.get('values', []) + [p for p in ([r['histogram']] if 'histogram' in r else []) + r.get('histograms', [])]
        if key in out:
            out[key + ' (again)'] = points
        out[key] = points
    return out


def compare(ours, theirs, ordered=False):
    """None, or what differs first: (what, ours, theirs)."""
    (status_a, a), (status_b, b) = ours, theirs
    if a.get('status') != b.get('status') or a.get('status') != 'success':
        x, y = (status_a, a.get('status'), a.get('errorType')), (status_b, b.get('status'), b.get('errorType'))
        return None if x == y else ('error', (x, a.get('error')), (y, b.get('error')))
    if a['data'] == b['data']:
        return compare_notes(a, b)
    if not isinstance(a['data'], dict) or 'resultType' not in a['data']:
        return compare_others(a, b)
    if a['data']['resultType'] != b['data']['resultType']:
        return 'type', a['data']['resultType'], b['data']['resultType']
    x, y = rows(a['data']), rows(b['data'])
    if x != y:
        return ('series' if set(x) != set(y) else 'values'), x, y
    if ordered and a['data']['resultType'] == 'vector' and [r['metric'] for r in a['data']['result']] != [r['metric'] for r in b['data']['result']]:
        values = [[r.get('value', [0, ''])[1] for r in z['data']['result']] for z in (a, b)]
        if values[0] != values[1] or len(set(values[0])) == len(values[0]):
            return 'order', a['data']['result'], b['data']['result']
    return compare_notes(a, b)


def compare_others(a, b):
    """Lists of series and exemplars have no order of their own."""
    x, y = a['data'], b['data']
    if isinstance(x, list) and isinstance(y, list):
        x, y = (sorted(z, key=lambda one: json.dumps(one, sort_keys=True)) for z in (x, y))
    return compare_notes(a, b) if x == y else ('data', a['data'], b['data'])


def compare_notes(a, b):
    for what in ('warnings', 'infos'):
        x, y = sorted(a.get(what, [])), sorted(b.get(what, []))
        if x != y and not (any('annotations omitted' in n for n in x) and len(x) == len(y) and x[0] == y[0]):  # any ten of them
            return what, x, y
    return None


def is_ordered(node):
    return node is not None and node.kind in ('call', 'aggr') and node.name in ORDERED


# ---- tracing ----

class Locus:
    def __init__(self, ask, diff, ours, theirs, below):
        self.ask, self.diff, self.ours, self.theirs, self.below = ask, diff, ours, theirs, below


def trace(pair, ask, ours=None, theirs=None):
    """The smallest differing expressions under ask; [] = equal."""
    if ours is None:
        ours, theirs = map(parsed, pair.ask(*ask.request()))
    diff = compare(ours, theirs, ask.step is None and is_ordered(ask.node))
    if diff is None:
        return []
    if ask.node is None:
        return [Locus(ask, diff, ours, theirs, [])]
    if ask.step is not None and diff[0] in ('values', 'series') and any(c.type == MATRIX for c in ask.node.children()):
        return at_instants(pair, ask, diff) or [Locus(ask, diff, ours, theirs, [])]
    found, below = [], []
    for c in ask.node.children():
        for sub in below_ask(ask, c):
            x, y = map(parsed, pair.ask(*sub.request()))
            below.append((sub, x, y))
            found += trace(pair, sub, x, y)
    values = [f for f in found if f.diff[0] not in ('warnings', 'infos')]
    if diff[0] in ('warnings', 'infos'):
        return found or [Locus(ask, diff, ours, theirs, below)]
    return values or [Locus(ask, diff, ours, theirs, below)]


def at_instants(pair, ask, diff):
    """A function of a range vector, over a range: its argument can only be asked for at one time."""
    times = sorted({p[0] for key in {**diff[1], **diff[2]} for z, other in ((diff[1], diff[2]), (diff[2], diff[1])) for p in z.get(key, []) if p not in other.get(key, [])})
    node, found = bound_times(ask.node, ask), []
    for t in times[:8]:
        found += trace(pair, Ask(node, round(t * 1000), extra=ask.extra))
    return found


def bound_times(node, ask):
    """@ start() and @ end() mean the whole query: as numbers before a part is asked on its own."""
    start, end = seconds(ask.start), seconds(ask.end if ask.step is not None else ask.start)
    parts = []
    for p in node.parts:
        if isinstance(p, Node):
            parts.append(bound_times(p, ask))
        else:
            parts.append(type(p)(p.replace('@ start()', '@ ' + start).replace('@ end()', '@ ' + end)))
    return Node(node.type, node.kind, node.name, *parts, **node.extra)


def below_ask(ask, child):
    if child.type == STRING or child.kind in ('number', 'string'):
        return []
    child = bound_times(child, ask)
    if child.type == MATRIX:
        if ask.step is None:
            return [ask.with_node(child)]
        return []  # a range vector cannot be asked for over a range; its expression's values are at other times
    if ask.node.kind == 'subquery':
        return subquery_grid(ask, child)
    return [ask.with_node(child)]


UNITS = {'ms': 0.001, 's': 1, 'm': 60, 'h': 3600, 'd': 86400}


def to_ms(text):
    """A duration, or the arithmetic of durations and numbers the grammar makes; None = neither."""
    sums = re.sub(r'(?:\d+(?:ms|[smhd]))+', lambda m: str(sum(int(n) * UNITS[u] for n, u in re.findall(r'(\d+)(ms|[smhd])', m[0]))), text)
    if not re.fullmatch(r'[\d. +*/()-]+', sums):
        return None
    return round(eval(sums, {'__builtins__': {}}) * 1000)


def subquery_grid(ask, child):
    extra = ask.node.extra
    tail = ''.join(p for p in ask.node.parts if isinstance(p, str))
    offset = re.search(r' offset (-?)(\([^)]*\)|[\w.]+(?: [-+*/] [\w.]+)*)', tail)
    at = re.search(r' @ ([\d.]+)', tail)
    length, step = to_ms(extra['range']), to_ms(extra['step'] or '1m') if (':' + extra['step']) in tail else 60000
    shift = to_ms(offset[2]) if offset else 0
    if length is None or step is None or shift is None:
        return []
    first = last = int(float(at[1]) * 1000 + 0.5) if at else ask.start
    shift = -shift if offset and offset[1] else shift
    first, last = first - shift - length, last - shift
    first += step - first % step
    if last < first or (last - first) // step > 10000:
        return []
    return [Ask(child, first, last, step, ask.extra)]


def differing(locus):
    """(key, ours or None, theirs or None) of points that differ, over values and series."""
    for key in {**locus.diff[1], **locus.diff[2]}:
        a = {json.dumps(p[0]): p for p in locus.diff[1].get(key, [])}
        b = {json.dumps(p[0]): p for p in locus.diff[2].get(key, [])}
        for t in {**a, **b}:
            if a.get(t) != b.get(t):
                yield key, a.get(t), b.get(t)


def explain(pair, locus):
    """The row of docs/differences.md, or None. Where the row says that a newer version answers like Pharos, a third server of that
    version, if there is one, must agree."""
    for row, rule, is_newer in rules.RULES if locus.ask.node else rules.OTHER_RULES:
        if rule(locus):
            if is_newer and pair.third and not (locus.ask.node and rules.from_wild(locus)) and not agrees(pair.third, locus):
                return None
            return row
    return None


def agrees(third, locus):
    diff = compare(locus.ours, parsed(third.asker.ask(*locus.ask.request())))
    return diff is None or diff[0] in ('warnings', 'infos')


UNSTEADY = 'the same query asked again'


def is_unsteady(pair, locus):
    """Does the peer answer otherwise when asked again?"""
    again = [parsed(pair.theirs.asker.ask(*locus.ask.request())) for _ in range(8)]
    return any(compare(x, locus.theirs) is not None for x in again)


def verdict(pair, ask, ours, theirs):
    """([rows], [unexplained loci]); both empty: equal."""
    rows_of = [(explain(pair, l), l) for l in trace(pair, ask, ours, theirs)]
    rows_of = [(r or (UNSTEADY if is_unsteady(pair, l) else None), l) for r, l in rows_of]
    return sorted({r for r, _ in rows_of if r}), [l for r, l in rows_of if r is None]


import rules  # noqa: E402  the rules see what this file makes
