"""Making a finding small: first the query on the servers of the round, then the series on fresh servers; and telling it."""
import hashlib, json, os
import judge, servers
from data import Hist, STALE, Series, points_text, value_text
from grammar import Node, Opt, SCALAR, VECTOR
from servers import Pair, parsed

ASKS, WORLDS = 400, 60  # budgets: queries, fresh pairs of servers


class Budget:
    def __init__(self, n):
        self.left = n

    def take(self):
        self.left -= 1
        return self.left >= 0


def unexplained(pair, ask, what=None):
    """The first unexplained difference under ask that is of this kind, or None."""
    ours, theirs = map(parsed, pair.ask(*ask.request()))
    if ask.node is None:
        diff = judge.compare(ours, theirs)
        return diff and judge.Locus(ask, diff, ours, theirs, [])
    for l in judge.verdict(pair, ask, ours, theirs)[1]:
        if what is None or l.diff[0] == what or {l.diff[0], what} == {'series', 'values'}:
            return l
    return None


# ---- the query ----

def replaced(root, old, new):
    if root is old:
        return new
    parts = [replaced(p, old, new) if isinstance(p, Node) else p for p in root.parts]
    return Node(root.type, root.kind, root.name, *parts, **root.extra)


def without(root, node, i):
    """root with node's i-th part left out."""
    copy = Node(node.type, node.kind, node.name, *node.parts[:i], *node.parts[i + 1:], **node.extra)
    return replaced(root, node, copy)


def smaller(root):
    """Simpler trees, boldest first."""
    for n in root.all():
        for c in n.all():
            if c is not n and c.type == n.type:
                yield replaced(root, n, c)
    for n in root.all():
        for i, p in enumerate(n.parts):
            if isinstance(p, Opt) and p:
                yield without(root, n, i)
    for n in root.all():
        if n.type == SCALAR and n.text() != '1':
            yield replaced(root, n, Node(SCALAR, 'number', '', '1'))


def shrink_query(pair, ask, what, budget):
    found = True
    while found:
        found = False
        for ask2 in candidates(ask):
            if len(ask2.text()) + span(ask2) >= len(ask.text()) + span(ask):
                continue
            if not budget.take():
                return ask
            locus = unexplained(pair, ask2, what)
            if locus:
                ask, found = locus.ask if locus.ask.node is not None else ask2, True
                break
    return ask


def span(ask):
    return 0 if ask.step is None else 20 + (ask.end - ask.start) // ask.step


def candidates(ask):
    if ask.step is not None:
        steps = (ask.end - ask.start) // ask.step
        for k in {0, steps // 4, steps // 2, steps}:
            yield judge.Ask(ask.node, ask.start + k * ask.step, extra=ask.extra)
        half = steps // 2 * ask.step
        if half:
            yield judge.Ask(ask.node, ask.start, ask.start + half, ask.step, ask.extra)
            yield judge.Ask(ask.node, ask.start + half, ask.end, ask.step, ask.extra)
        if steps:
            yield judge.Ask(ask.node, ask.start + ask.step, ask.end, ask.step, ask.extra)
            yield judge.Ask(ask.node, ask.start, ask.end - ask.step, ask.step, ask.extra)
    if ask.extra:
        yield judge.Ask(ask.node, ask.start, ask.end, ask.step)
    for tree in smaller(ask.node):
        yield ask.with_node(tree)


# ---- the series ----

def differs(features, series, ask, what):
    """The difference on fresh servers with only these series."""
    series = [s for s in series if s.points]
    if not series:
        return None
    with Pair(features) as pair:
        servers.write(pair.loaded(), series)
        return unexplained(pair, ask, what)


def shrink_series(features, series, ask, what, budget):
    text = ask.text()
    named = [s for s in series if s.name() in text]
    for first in (named, series):
        if first and budget.take() and differs(features, first, ask, what):
            series = first
            break
    else:
        return None
    size = max(1, len(series) // 2)
    while size:
        at = 0
        while at < len(series):
            rest = series[:at] + series[at + size:]
            if rest and budget.take() and differs(features, rest, ask, what):
                series = rest
            else:
                at += size
        size //= 2
    return shrink_points(features, series, ask, what, budget)


def shrink_points(features, series, ask, what, budget):
    """Cuts the head and the tail of all series at once, then runs in the middle of each."""
    times = sorted({t for s in series for t, _ in s.points})
    for cut in (lambda s, t: [p for p in s.points if p[0] >= t], lambda s, t: [p for p in s.points if p[0] < t]):
        part = 2
        while len(times) > 2 and part <= 8:
            t = times[len(times) // part] if cut(series[0], times[0]) else times[-(len(times) // part) or -1]
            fewer = [Series(s.labels, cut(s, t)) for s in series]
            if not budget.take():
                return series
            if differs(features, fewer, ask, what):
                series = [s for s in fewer if s.points]
                times = sorted({t for s in series for t, _ in s.points})
            else:
                part *= 2
    size = max(1, len(times) // 2)
    while size:
        at = 0
        while at < len(times):
            gone = set(times[at:at + size])
            fewer = [Series(s.labels, [p for p in s.points if p[0] not in gone]) for s in series]
            if not budget.take():
                return series
            if differs(features, fewer, ask, what):
                series = [s for s in fewer if s.points]
                times = [t for t in times if t not in gone]
            else:
                at += size
        size //= 2
    return series


# ---- telling ----

def script(series, ask):
    """The series and the query in the notation of promqltest, times from the first sample's minute."""
    base = min(t for s in series for t, _ in s.points)
    steps = {t - base for s in series for t, _ in s.points} - {0}
    step = 0
    for d in steps:
        a, b = step, d
        while b:
            a, b = b, a % b
        step = a
    lines = []
    if not step or max(steps) // step < 20000:
        lines.append(f'load {max(step, 1000)}ms   # from {base}')
        lines += [f'    {s.metric()} {points_text(s, base, step or 1000)}' for s in series]
    else:
        lines.append(f'# milliseconds after {base}: value')
        lines += [f'    {s.metric()} ' + ', '.join(f'{t - base}: {value_text(v)}' for t, v in s.points) for s in series]
    at = f'instant at {ask.start - base}ms' if ask.step is None else f'range from {ask.start - base}ms to {ask.end - base}ms step {ask.step}ms'
    lines.append(f'eval {at} {ask.text()}' + (f'   # {ask.extra}' if ask.extra else ''))
    return '\n'.join(lines)


def answers(locus):
    what, x, y = locus.diff
    if not (isinstance(x, dict) and isinstance(y, dict) and what in ('values', 'series')):
        return [f'  Pharos: {str(x)[:900]}', f'  peer:   {str(y)[:900]}']
    out = []
    for k in sorted(k for k in {**x, **y} if x.get(k) != y.get(k))[:3]:
        p, q = ({json.dumps(v[0]): v for v in z.get(k, [])} for z in (x, y))
        some = [t for t in {**p, **q} if p.get(t) != q.get(t)]
        out.append(f'  {k or "scalar"}: {len(some)} of {len({**p, **q})} points differ')
        for t in some[:2]:
            out += [f'    Pharos: {short(p.get(t), q.get(t))}', f'    peer:   {short(q.get(t), p.get(t))}']
    return out


def short(p, q):
    """A point; of a histogram only what the other one has not."""
    if p is None or isinstance(p[1], str):
        return str(p)
    other = q[1] if q and not isinstance(q[1], str) else {}
    one = {k: v for k, v in p[1].items() if k != 'buckets' and other.get(k) != v}
    one['buckets'] = [b for b in p[1].get('buckets', []) if b not in other.get('buckets', [])]
    return f'[{p[0]}, {one}]'[:700]


def plain_value(v):
    return {'stale': True} if v is STALE else {'hist': v.__dict__} if isinstance(v, Hist) else repr(v)


def read_value(v):
    if isinstance(v, str):
        return float(v)
    if 'stale' in v:
        return STALE
    h = Hist()
    h.__dict__.update(v['hist'])
    h.pos, h.neg = ({int(k): n for k, n in side.items()} for side in (h.pos, h.neg))
    return h


def save(directory, features, series, ask):
    doc = {'features': features, 'query': ask.text(), 'start': ask.start, 'end': ask.end, 'step': ask.step, 'extra': ask.extra,
           'series': [{'labels': s.labels, 'points': [[t, plain_value(v)] for t, v in s.points]} for s in series]}
    text = json.dumps(doc)
    path = os.path.join(directory, f'found-{hashlib.sha256(text.encode()).hexdigest()[:10]}.json')
    with open(path, 'w') as f:
        f.write(text)
    return path


def load(path):
    with open(path) as f:
        doc = json.load(f)
    series = [Series(s['labels'], [(t, read_value(v)) for t, v in s['points']]) for s in doc['series']]
    return doc['features'], series, judge.Ask(None, doc['start'], doc['end'], doc['step'], doc['extra'], doc['query'])


def tell_third(pair, ask, locus):
    third = parsed(pair.third.asker.ask(*ask.request()))
    diffs = [judge.compare(x, third) for x in (locus.ours, locus.theirs)]
    print('  the third agrees with ' + ('Pharos' if not diffs[0] else 'the peer' if not diffs[1] else 'neither; beside Pharos:'))
    if all(diffs):
        print('\n'.join(answers(judge.Locus(ask, diffs[0], locus.ours, third, []))).replace('peer: ', 'third:'))


def report(pair, round, ask, locus, directory, series_too):
    """Shrinks and prints; the reproduction stays in directory."""
    what = locus.diff[0]
    print(f'--- {what}: {ask.text()}   [{" ".join(f"{k}={v}" for k, v in ask.request()[1].items() if k != "query")}]')
    small = shrink_query(pair, locus.ask, what, Budget(ASKS)) if locus.ask.node is not None else locus.ask
    locus = unexplained(pair, small, what) or locus
    print(f'  small: {locus.ask.request()}')
    print('\n'.join(answers(locus)), flush=True)
    if pair.third:
        tell_third(pair, small, locus)
    if not series_too or small.node is None:
        return
    series = shrink_series(round.features, round.data.series, small, what, Budget(WORLDS))
    if series is None:
        print(f'  not seen again on fresh servers loaded in one go: it needs {round.describe()}')
        return
    print(script(series, small))
    last = differs(round.features, series, small, what)
    if last:
        print('\n'.join(answers(last)))
    print(f'  kept: {save(directory, round.features, series, small)}', flush=True)
