"""The accepted differences: each rule names its row of docs/differences.md by the row's first cell and accepts as little as it can.

A rule sees a Locus: an expression whose answers differ although those of its parts are equal.
"""
import json, math, os, re
from harness import ROOT
from judge import POSITION, UNSTEADY, differing, to_ms  # judge imports this file last

# ---- shapes ----


def is_call(locus, *names):
    return locus.ask.node.kind == 'call' and locus.ask.node.name in names


def has_values(locus):
    return locus.diff[0] in ('values', 'series')


def is_hist(p):
    return p is not None and not isinstance(p[1], str)


def numbers(p):
    """The numbers of a point, and what must be equal besides."""
    if isinstance(p[1], str):
        return [float(p[1])], None
    h = p[1]
    buckets = h.get('buckets', [])
    return [float(h.get('count', 0)), float(h.get('sum', 0))] + [float(b[3]) for b in buckets], [b[:3] for b in buckets]


def near(x, y, relative, scale=0.0):
    return x == y or x != x and y != y or abs(x - y) <= relative * max(abs(x), abs(y), scale)


def all_buckets(p, q):
    """Both with the buckets of either: what one has and the other lacks holds nothing there."""
    def filled(h, other):
        had = [b[:3] for b in h.get('buckets', [])]
        more = [b[:3] + ['0'] for b in other.get('buckets', []) if b[:3] not in had]
        return {'count': h.get('count', '0'), 'sum': h.get('sum', '0'), 'buckets': sorted(h.get('buckets', []) + more)}
    return [p[0], filled(p[1], q[1])], [q[0], filled(q[1], p[1])]


def points_near(p, q, relative):
    """Equal but for the last digits; of a histogram, as far as its largest number has digits."""
    if p is None or q is None or is_hist(p) != is_hist(q):
        return False
    (a, shape_a), (b, shape_b) = numbers(p), numbers(q)
    if shape_a != shape_b:
        return False
    scale = max([abs(x) for x in a + b if math.isfinite(x)], default=0) if is_hist(p) else 0
    return all(near(x, y, relative, scale) for x, y in zip(a, b))


def every_point(locus, holds):
    return has_values(locus) and all(holds(key, p, q) for key, p, q in differing(locus))


def inputs(locus):
    """All points of the parts' answers."""
    for _, ours, _ in locus.below:
        data = ours[1].get('data') or {}
        for r in data.get('result', []) if data.get('resultType') in ('vector', 'matrix') else []:
            for p in [r.get('value'), r.get('histogram')] + r.get('values', []) + r.get('histograms', []):
                if p:
                    yield p


# ---- last digits ----

LIBM = ('acos', 'acosh', 'asin', 'asinh', 'atan', 'atanh', 'cos', 'cosh', 'sin', 'sinh', 'tan', 'tanh', 'exp', 'ln', 'log2', 'log10',
        'histogram_quantile', 'histogram_fraction', 'histogram_stddev', 'histogram_stdvar')
HIST_SUMS = ('sum', 'avg', 'sum_over_time', 'avg_over_time', 'rate', 'increase', 'delta', 'irate', 'idelta')


def libm(locus):
    node = locus.ask.node
    if is_call(locus, 'histogram_fraction'):  # a difference of two shares
        return every_point(locus, lambda _, p, q: p and q and near(float(p[1]), float(q[1]), 1e-13, 1))
    if node.kind == 'call' and node.name in LIBM:
        return every_point(locus, lambda _, p, q: points_near(p, q, 1e-13))
    if node.kind == 'binary' and node.name == 'chain' and re.search(r'%.*\^', locus.ask.text()):  # the remainder has as many quotients' last digits
        most = max([abs(float(p[1])) for p in inputs(locus) if isinstance(p[1], str) and math.isfinite(float(p[1]))], default=0)
        return every_point(locus, lambda _, p, q: p and q and not is_hist(p) and not is_hist(q) and near(float(p[1]), float(q[1]), 1e-15, most) or points_near(p, q, 1e-12))
    return node.kind == 'binary' and node.name in ('^', 'atan2', 'chain') and every_point(locus, lambda _, p, q: points_near(p, q, 1e-12))


def histogram_digits(locus):
    node = locus.ask.node
    return node.kind in ('call', 'aggr') and node.name in HIST_SUMS and every_point(locus, lambda _, p, q: is_hist(p) and is_hist(q) and points_near(*all_buckets(p, q), 1e-9))


# ---- any of equals ----

def ties(locus):
    node = locus.ask.node
    picks = {n for k, n in node.names() if k == 'aggr' and n in ('topk', 'bottomk', 'limitk')}
    if not picks or locus.diff[0] not in ('series', 'values', 'order'):
        return False
    if node.kind == 'aggr' and node.name in picks:
        return locus.diff[0] == 'order' or step_values(locus.diff[1], node.name) == step_values(locus.diff[2], node.name)
    return True


def step_values(table, name):
    out = {}
    for points in table.values():
        for t, v in points:
            out.setdefault(t, []).append('' if name == 'limitk' else json.dumps(v))
    return {t: sorted(x.replace('"-0"', '"0"') for x in v) for t, v in out.items()}


def zeros_between(locus):
    """Which of 0 and -0 comes first when they are sorted is open."""
    node = locus.ask.node
    return (is_call(locus, 'quantile_over_time') or node.kind == 'aggr' and node.name == 'quantile') and \
        every_point(locus, lambda _, p, q: p and q and {p[1], q[1]} == {'0', '-0'})


def no_time(locus):
    return is_call(locus, 'day_of_month', 'day_of_week', 'day_of_year', 'days_in_month', 'hour', 'minute', 'month', 'year') and \
        every_point(locus, lambda _, p, q: p and q and p[1] == 'NaN')


def subnormal_logarithm(locus):
    tiny = any(isinstance(p[1], str) and 0 < float(p[1]) < 2.3e-308 for p in inputs(locus))
    if tiny and locus.ask.node.kind == 'binary' and '^' in locus.ask.text():
        return every_point(locus, lambda _, p, q: p and q and (0 < abs(float(p[1])) < 1 or points_near(p, q, 1e-12)))
    return tiny and is_call(locus, 'ln', 'log10', 'log2') and every_point(locus, lambda _, p, q: p and q and (-1075 < float(p[1]) < -307 or points_near(p, q, 1e-13)))


# ---- native histograms ----

def from_wild(locus):
    return any(n.kind in ('selector', 'range') and ('nh_wild' in n.text() or n.name.startswith('~')) for n in locus.ask.node.all())


def counted_twice(locus):
    """Only the metric whose schema and zero bucket change on the way, and only its buckets."""
    def buckets_only(_, p, q):
        return is_hist(p) and is_hist(q) and all(near(float(p[1][k]), float(q[1][k]), 1e-9) for k in ('count', 'sum')) or points_near(p, q, 1e-9)
    return from_wild(locus) and every_point(locus, buckets_only)


def empty_buckets(locus):
    """x * Inf: buckets that hold nothing are NaN where the peer has them at all."""
    def nan_only(_, p, q):
        if not is_hist(p) or not is_hist(q):
            return False
        more = [b for b in q[1].get('buckets', []) if b not in p[1].get('buckets', [])]
        return all(b[3] == 'NaN' for b in more) and all(b in q[1].get('buckets', []) for b in p[1].get('buckets', []))
    if locus.ask.node.kind == 'aggr' and any(is_hist(p) and any(not math.isfinite(x) for x in numbers(p)[0]) for p in inputs(locus)):
        return every_point(locus, lambda _, p, q: is_hist(p) and is_hist(q) and any(not math.isfinite(x) for x in numbers(q)[0]))
    return locus.ask.node.kind == 'binary' and every_point(locus, nan_only)


def compared_layouts(locus):
    """changes, == and != of histograms: the peer sees buckets that hold nothing."""
    node = locus.ask.node
    over_hist = any('nh' in n.text() or 'mixed' in n.text() or n.name.startswith('~') for n in node.all() if n.kind in ('range', 'selector'))
    if node.kind == 'call' and node.name in ('changes', 'resets'):
        return over_hist and every_point(locus, lambda _, p, q: p and q)
    return node.kind == 'binary' and ('==' in node.text() or '!=' in node.text()) and any(is_hist(p) for p in inputs(locus)) and has_values(locus)


def quantile_of_odd(locus):
    """In the zero bucket, when one side or both hold nothing; or with less than nothing in a bucket."""
    if not is_call(locus, 'histogram_quantile', 'histogram_fraction'):
        return False
    negative, widths = set(), {}
    for p in inputs(locus):
        buckets = p[1].get('buckets', []) if is_hist(p) else []
        if any(float(b[3]) < 0 or b[3] == 'NaN' for b in buckets) or is_hist(p) and float(p[1]['count']) < 0:  # a zero bucket below zero is not shown
            negative.add(p[0])
        zero = [float(b[2]) for b in buckets if b[0] == 3 and float(b[1]) == -float(b[2])]
        if zero and len({b[0] for b in buckets} & {0, 1}) < 2:
            widths[p[0]] = max(widths.get(p[0], 0), zero[0])
    def holds(_, p, q):
        if not p or not q or points_near(p, q, 1e-13) or p[0] in negative:
            return bool(p and q)
        within = is_call(locus, 'histogram_fraction') or max(abs(float(p[1])), abs(float(q[1]))) <= widths.get(p[0], -1)
        return p[0] in widths and within
    return every_point(locus, holds)


def negated_resets(locus):
    """Whether a bucket fell or is gone decides on a reset of less than nothing."""
    negative = any(is_hist(p) and any(float(b[3]) < 0 for b in p[1].get('buckets', [])) for p in inputs(locus))
    return negative and is_call(locus, 'rate', 'increase', 'irate', 'resets') and every_point(locus, lambda _, p, q: is_hist(p) or is_call(locus, 'resets'))


def moving_parameter(locus):
    node = locus.ask.node
    if locus.ask.step is None or node.kind != 'aggr' or len(node.children()) < 2:
        return False
    param, inner = node.children()
    fixed = not any(n.kind in ('selector', 'range') and ' @ ' not in n.text() or n.kind == 'call' and n.name == 'time' for n in inner.all())
    return param.kind not in ('number', 'string') and (fixed or ' @ ' in inner.text())


def neighbours_value(locus):
    """A raw range of histograms in which the peer shows the buckets of a later sample in earlier ones; and what it makes of gauges."""
    node = locus.ask.node
    if is_call(locus, *['histogram_' + x for x in ('sum', 'count', 'avg', 'stddev', 'stdvar', 'quantile', 'fraction')]):
        return any(n.kind == 'range' and ('nh_gauge' in n.text() or n.name.startswith('~')) for n in node.all()) and every_point(locus, lambda _, p, q: p and q)
    if node.kind not in ('range', 'subquery') or locus.diff[0] != 'values':
        return False
    for key, p, q in differing(locus):
        if not is_hist(p) or not is_hist(q) or not any(is_hist(x) and x[0] > q[0] and x[1].get('buckets') == q[1].get('buckets') for x in locus.diff[2][key]):
            return False
    return True


def held(h):
    """Interval -> observations."""
    return {(float(b[1]), float(b[2])): float(b[3]) for b in h.get('buckets', [])}


def is_reset(now, before):
    """Something of what was there is gone."""
    x, y = held(now), held(before)
    inside = {k: next((i for i in x if i[0] <= k[0] and k[1] <= i[1]), None) for k in y}
    sums = {}
    for k, i in inside.items():
        sums[i] = sums.get(i, 0) + y[k]
    return float(now['count']) < float(before['count']) or any(n > x.get(i, 0) for i, n in sums.items() if n > 0)


def window_sums(node, points, end):
    """Count and sum of what the function makes of a window of histograms, from the points as both servers tell them."""
    t, h = [p[0] for p in points], [p[1] for p in points]
    totals = [(float(x['count']), float(x['sum'])) for x in h]
    if node.name in ('avg_over_time', 'sum_over_time'):
        n = len(h) if node.name == 'avg_over_time' else 1
        return tuple(sum(c[k] for c in totals) / n for k in (0, 1))
    written = re.fullmatch(r'.*\[(.*)\]\s*', node.children()[0].text(), re.S)  # an offset or @ would end it
    length = to_ms(written[1]) if written and len(h) > 1 else None
    if not length:
        return None
    length /= 1000
    grown = [totals[-1][k] - totals[0][k] + sum(totals[i - 1][k] for i in range(1, len(h)) if node.name != 'delta' and is_reset(h[i], h[i - 1])) for k in (0, 1)]
    sampled, to_start, to_end = t[-1] - t[0], t[0] - (end - length), end - t[-1]
    between = sampled / (len(h) - 1)
    to_start, to_end = (x if x < between * 1.1 else between / 2 for x in (to_start, to_end))
    if node.name != 'delta' and grown[0] > 0 and totals[0][0] >= 0:
        to_start = min(to_start, sampled * totals[0][0] / grown[0])
    factor = (sampled + to_start + to_end) / sampled / (length if node.name == 'rate' else 1)
    return grown[0] * factor, grown[1] * factor


def recomputed(locus):
    """Both tell the same samples; what the function says of them here is what comes out by hand, and in the peer is not. Its windows reuse
    the memory of histograms whose buckets differ."""
    node = locus.ask.node
    if not is_call(locus, 'rate', 'increase', 'delta', 'avg_over_time', 'sum_over_time') or not locus.below or locus.ask.step is not None:
        return False
    data = locus.below[-1][1][1].get('data') or {}
    points = {without_name(r['metric']): r.get('histograms', []) for r in data.get('result', []) if not r.get('values')}
    def holds(key, p, q):
        window = points.get(without_name(json.loads(key)))
        if not window or not is_hist(p) or not is_hist(q):
            return False
        sums = window_sums(node, window, p[0])
        return sums is not None and all(near(float(p[1].get(k, 0)), x, 1e-9, 1e-3) for k, x in zip(('count', 'sum'), sums))
    return every_point(locus, holds)


def without_name(metric):
    return json.dumps({k: v for k, v in metric.items() if k != '__name__'}, sort_keys=True)


# ---- what 3.14 does otherwise ----

def early_complaint(locus):
    text = str(locus.diff[1][1]) if locus.diff[0] == 'error' else ''
    return locus.ask.node.kind == 'binary' and text.startswith('multiple matches for labels') and locus.diff[2][0][1] == 'success'


def over_custom(locus):
    """Something folds or compares histograms with custom bounds below; 3.5.3 gives up on other bounds, at times with an error."""
    custom = any('nhcb' in n.text() or n.name.startswith('~') for n in locus.ask.node.all() if n.kind in ('range', 'selector'))
    return custom and any(n.kind in ('aggr', 'binary') or n.kind == 'call' and any(c.type == 'matrix' for c in n.children()) for n in locus.ask.node.all())


def histogram_windows(locus):
    """rate and increase go back to zero at most; other bounds of custom buckets are reconciled."""
    said = any('mismatched custom buckets' in n for n in locus.ours[1].get('infos', [])) or \
        any('with incompatible custom buckets' in n for n in locus.theirs[1].get('warnings', []))
    if locus.diff[0] == 'error' and 'same labelset' in str(locus.diff[1][1]):
        return over_custom(locus)  # what the peer leaves out cannot collide
    if not is_call(locus, 'rate', 'increase', 'irate', 'delta', 'idelta', 'sum_over_time', 'avg_over_time') and locus.ask.node.kind != 'binary':
        return over_custom(locus) and (has_values(locus) or locus.diff[0] == 'error' and locus.diff[1][0][1] == 'success')
    if locus.ask.node.kind == 'binary' and over_custom(locus) and every_point(locus, lambda _, p, q: p and not q and not is_hist(p)):
        return True  # floats made of histograms that the peer gave up
    to_zero = is_call(locus, 'rate', 'increase')
    wild = from_wild(locus)
    def holds(_, p, q):
        if not is_hist(p):
            return False
        if wild and is_hist(q) and all(near(x, y, 1e-9) for x, y in zip(numbers(p)[0][:2], numbers(q)[0][:2])):
            return True
        return (said or points_near(p, q, 1e-9) or to_zero and is_hist(q) and scaled(p, q, wild))
    return (said or to_zero) and every_point(locus, holds)


def scaled(p, q, only_sums):
    """The peer's is the same, times a factor over 1."""
    (a, shape_a), (b, shape_b) = numbers(p), numbers(q)
    if only_sums:
        a, b, shape_a = a[:2], b[:2], shape_b
    f = b[0] / a[0] if a[0] else 0
    return f > 1 and shape_a == shape_b and all(near(x * f, y, 1e-9, b[0]) for x, y in zip(a, b))


def fraction_of_ends(locus):
    return is_call(locus, 'histogram_fraction') and every_point(locus, lambda _, p, q: p and q and (q[1] == 'NaN' or near(float(p[1]), float(q[1]), 1e-13, 1)))


def info_function(locus):
    if locus.ask.step is not None and any(n.kind == 'subquery' and any(m.name == 'info' for m in n.all()) for n in locus.ask.node.all()):
        return has_values(locus)  # in a range query's subquery the peer finds other info series than at each of its times
    return is_call(locus, 'info') and (has_values(locus) or locus.diff[0] == 'error')


def lost_counts(locus):
    """Functions of floats do not see the result of histogram_count and friends over what an operator made."""
    node = locus.ask.node
    inner = any(n.kind == 'call' and n.name.startswith('histogram_') and any(m.kind in ('binary', 'aggr') for m in n.all()) for n in node.all())
    return inner and node.kind in ('call', 'unary', 'binary', 'aggr', 'paren', 'subquery') and (node.kind == 'aggr' and has_values(locus) or every_point(locus, lambda _, p, q: not p or not q))


HISTOGRAM_NAMES = re.compile('nh|mixed|__name__ *=~')


def computed_histograms(locus):
    """What a subquery makes of histograms has no reset hints of stored ones any more. The peer may answer otherwise on its own."""
    def is_one(n):
        return n.kind == 'call' and n.name in ('rate', 'increase', 'irate', 'idelta', 'delta', 'resets', 'changes', 'avg_over_time', 'sum_over_time', 'last_over_time') and HISTOGRAM_NAMES.search(n.text()) and \
            any(c.kind == 'subquery' for c in n.children())
    return has_values(locus) and any(is_one(n) for n in locus.ask.node.all())


def label_collisions(locus):
    return locus.diff[0] == 'error' and locus.diff[1][0][1] == 'success' and 'same labelset' in str(locus.diff[2][1]) and \
        any(n.kind == 'unary' or n.name in ('label_replace', 'label_join') for n in locus.ask.node.all())


def past_the_end(locus):
    """Remarks only, and fewer: subqueries of a range query whose end is no step go one step too far in the peer."""
    ask = locus.ask
    uneven = ask.step is not None and (ask.end - ask.start) % ask.step and any(n.kind == 'subquery' for n in ask.node.all())
    return bool(uneven) and locus.diff[0] in ('warnings', 'infos') and set(locus.diff[1]) < set(locus.diff[2])


def repeated_matcher(locus):
    inner = re.findall(r'[{,] *("[^"]+"|\w+) *(?:=~|!~|!=|=)', locus.ask.text())
    return is_call(locus, 'absent', 'absent_over_time') and len(set(inner)) < len(inner) and has_values(locus)


def or_collision(locus):
    return locus.diff[0] == 'error' and locus.diff[1][0][1] == 'success' and 'same labelset' in str(locus.diff[2][1]) and ' or ' in locus.ask.text()


def offset_goes_on(locus):
    return re.search(r'offset [-+]?\([^)]*\)\)* *([-+*/%^]|atan2)', locus.ask.text()) is not None


def two_signs(locus):
    return locus.diff[0] == 'error' and locus.diff[2][0][1] == 'success' and 'in offset, expected number' in str(locus.diff[1][1]) and re.search(r'offset *[-+] *[-+]', locus.ask.text()) is not None


def late_names(locus):
    """Delayed name removal: the same but for names."""
    if not has_values(locus):
        return False
    bare = [{re.sub(r'"__name__": "[^"]*"(, )?', '', k): v for k, v in z.items()} for z in locus.diff[1:]]
    return bare[0] == bare[1]


def mad_of_nan(locus):
    return is_call(locus, 'mad_over_time') and every_point(locus, lambda _, p, q: p and q and p[1] == 'NaN')


def parameter_nan(locus):
    return locus.diff[0] == 'error' and 'Parameter value is NaN' in str(locus.diff[1][1])


def parameter_at_end(locus):
    """The peer finds no time for the @ start() and @ end() of an aggregation's parameter, and evaluates it as if they were not there."""
    node = locus.ask.node
    params = node.children()[:-1] if node.kind == 'aggr' else []
    return has_values(locus) and any(re.search(r'@ (start|end)\(\)', c.text()) for c in params)


def timestamp_at_offset(locus):
    return is_call(locus, 'timestamp') and ' @ ' in locus.ask.text() and ' offset ' in locus.ask.text() and has_values(locus)


def peer_panics(locus):
    return locus.diff[0] == 'error' and locus.diff[1][0][1] == 'success' and 'unexpected error: runtime error' in str(locus.diff[2][1])


# ---- any order ----

ADDED = ('stddev', 'stdvar', 'sum', 'avg')


def order_of_addition(locus):
    node = locus.ask.node
    sums = node.name in ADDED if node.kind == 'aggr' else node.kind == 'call' and node.name in [x + '_over_time' for x in ADDED]
    variance = any(k == 'aggr' and n in ('stddev', 'stdvar') for k, n in node.names())  # the peer's order may change between two queries
    return (sums or variance) and every_point(locus, lambda _, p, q: points_near(p, q, 1e-12))


def order_without_label(locus):
    return locus.diff[0] == 'order' and is_call(locus, 'sort_by_label', 'sort_by_label_desc')


# ---- warnings and infos ----

NEWER = re.compile('sort is ineffective for range queries|conflicting counter resets during|mismatched custom buckets were reconciled|has NaN observations|with incompatible custom buckets')
WORDED = re.compile(r'^(PromQL info: input to histogram_quantile needed to be fixed for monotonicity|PromQL warning: bucket label "le" is missing or has a malformed value).*')


def notes(answer, with_place, with_gauges):
    """What was remarked, without what only newer versions remark."""
    out = set()
    told = [answer[1].get(kind, []) for kind in ('warnings', 'infos')]
    for n in [n for list in told for n in list if not any('annotations omitted' in x for x in list)]:  # else any ten of them
        place = POSITION.search(n)
        n = WORDED.sub(r'\1', POSITION.sub('', n)).replace(' for metric name ""', '')
        if not NEWER.search(n) and (with_gauges or 'native histogram metric is not a' not in n and 'incompatible bucket layout' not in n):
            out.add((n, place[0] if place and with_place else ''))
    return out


def newer_notes(locus):
    """A negated or computed histogram is a gauge since 3.7, so remarks on counters and gauges may come or go there."""
    tree = locus.ask.node.all() if locus.ask.node else []
    computed = any(n.kind in ('unary', 'binary', 'aggr', 'subquery') for n in tree)
    return locus.diff[0] in ('warnings', 'infos') and notes(locus.ours, True, not computed) == notes(locus.theirs, True, not computed)


def mixed_custom(locus):
    """Bounds that were brought together do not hide that floats, or histograms of another kind, were among the histograms."""
    if locus.diff[0] != 'warnings' or not over_custom(locus):
        return False
    mixed = {n for n in notes(locus.ours, True, True) if 'mix of histograms' in n[0]}
    return any('with incompatible custom buckets' in n for n in locus.diff[2]) and notes(locus.ours, True, True) - mixed == notes(locus.theirs, True, True) - mixed


def places(locus):
    tree = list(locus.ask.node.all())
    nested = any(n.kind in ('subquery', 'paren') for n in tree) or sum('quantile' in n.name or n.kind == 'aggr' for n in tree) > 1
    return locus.diff[0] in ('warnings', 'infos') and nested and notes(locus.ours, False, False) == notes(locus.theirs, False, False)


DIGITS = 'answers with `sin`, `tan`, `exp`, `^`, native quantiles'
# (start of the row, rule, whether the newer language is the reason)
RULES = [
    (DIGITS, libm, False),
    ('sums and averages of native histograms', histogram_digits, False),
    ('`topk`, `bottomk` among equal values; `limitk`', ties, False),
    ('`quantile`, `quantile_over_time` among 0 and -0', zeros_between, False),
    ('`day_of_month` and friends of a value that is no time', no_time, False),
    ('`ln`, `log10`, `^` of numbers below 2.2e-308', subnormal_logarithm, False),
    ('native histograms added whose resolution and zero bucket both differ', counted_twice, False),
    ('native histogram times infinity', empty_buckets, False),
    ('`changes`, `resets`, `==`, `!=` of native histograms', compared_layouts, False),
    ('quantiles of a native histogram', quantile_of_odd, False),
    ('native histograms with less than nothing in a bucket', negated_resets, False),
    ('`quantile(time(), x @ t)`', moving_parameter, False),
    ('`quantile(scalar(x @ end()), y)`', parameter_at_end, False),
    ('a range of native histograms that are gauges', neighbours_value, False),
    ('a range of native histograms that are gauges', recomputed, False),
    ('`timestamp(x @ t offset d)`', timestamp_at_offset, False),
    ('sums, averages and variances of floats', order_of_addition, False),
    ('`sort_by_label` of series without the label', order_without_label, False),
    ('`a > b` and other filters', early_complaint, True),
    ('`rate`, `increase` of native histograms; custom bounds', histogram_windows, True),
    ('`histogram_fraction` up to a value in the last bucket', fraction_of_ends, True),
    ('`info`', info_function, True),
    ('`abs(histogram_count(h == h))`', lost_counts, True),
    ('native histograms made in a subquery', computed_histograms, True),
    ('`label_replace`, `label_join`, `-x`', label_collisions, True),
    ('`x offset (2m * 2) / 10`', offset_goes_on, True),
    ('`offset --7m`', two_signs, True),
    ('subqueries of a range query whose end is no step', past_the_end, True),
    ('`unexpected error: runtime error`', peer_panics, False),
    ('`absent(x{a!="1", a="1"})`', repeated_matcher, False),
    ('names under `promql-delayed-name-removal`', or_collision, True),
    ('names under `promql-delayed-name-removal`', late_names, True),
    ('`mad_over_time` of NaN', mad_of_nan, True),
    ('NaN as parameter', parameter_nan, True),
    ('warnings of `rate(x[10m:1m])`', places, False),
    ('| warnings |', newer_notes, False),
    ('`rate`, `increase` of native histograms; custom bounds', mixed_custom, True),
]


# ---- requests that are no queries ----

def without_newer(x):
    if isinstance(x, dict):
        return {k: without_newer(v) for k, v in x.items() if k not in ('rangeExpr', 'stepExpr', 'originalOffsetExpr', 'offsetExpr')}
    return [without_newer(v) for v in x] if isinstance(x, list) else x


def newer_members(locus):
    return locus.diff[0] == 'data' and locus.ask.other[0] == 'parse_query' and without_newer(locus.diff[1]) == locus.diff[2]


def space_in_duration(locus):
    return locus.diff[0] == 'error' and "expected ':'" in str(locus.diff[1][1]) and locus.diff[2][0][1] == 'success'


def quoted_names(locus):
    bare = [re.sub(r'[" ]', '', str(x)) for x in locus.diff[1:]]
    return locus.diff[0] == 'data' and locus.ask.other[0] == 'format_query' and bare[0] == bare[1]


def newer_function(locus):
    return locus.diff[0] == 'error' and locus.diff[1][0][1] == 'success' and re.search(r'\b(start|end|step|range|min_of|max_of)\s*\(', locus.ask.text()) is not None


OTHER_RULES = [('`offset --7m`', two_signs, True), ('functions newer than 3.5', newer_function, True), ('`by (a:b)` printed', quoted_names, True), ('`foo[1 s]`', space_in_duration, True), ('`parse_query` has the members of 3.5', newer_members, False)]


def check_rows():
    """Every rule names a row that is there."""
    with open(os.path.join(ROOT, 'docs', 'differences.md'), encoding='utf-8') as f:
        text = f.read()
    missing = [row for row in [UNSTEADY] + [row for row, _, _ in RULES + OTHER_RULES] if row not in text]
    if missing:
        raise SystemExit(f'promql_diff: docs/differences.md has no row {missing}')
