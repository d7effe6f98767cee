"""The fixed data and the requests of `capture_golden.py api`.

Writes tests/golden/api/write.snappy (a remote_write 1.0 body, also loaded by our test) and *.json: lists of
{method, target, headers, body, status, answer_headers, answer}. `compare` says how: "exact" (the default), "shape" where
the answer holds times, sizes or versions (same members and types), "status" where only status and type are promised.
"""
import json, math, os, struct, time, urllib.parse

T0 = 1704067200337  # off any query grid
STEP = 15000
N = 121
STALE = struct.unpack('<d', struct.pack('<Q', 0x7ff0000000000002))[0]


# ---- protobuf and snappy, just enough ----
def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def num(field, v):
    return varint(field << 3) + varint(v)


def zigzag(v):
    return v << 1 if v >= 0 else (-v << 1) - 1


def f64(field, v):
    return varint(field << 3 | 1) + struct.pack('<d', v)


def raw(field, b):
    return varint(field << 3 | 2) + varint(len(b)) + b


def text(field, s):
    return raw(field, s.encode())


def snappy(b):
    out = bytearray(varint(len(b)))
    for i in range(0, len(b), 65536):
        part = b[i:i + 65536]
        out += bytes([61 << 2]) + struct.pack('<H', len(part) - 1) + part
    return bytes(out)


def label_set(labels):
    return b''.join(raw(1, text(1, k) + text(2, v)) for k, v in sorted(labels.items()))


def series(labels, samples=(), exemplars=(), histograms=()):
    b = label_set(labels)
    for t, v in samples:
        b += raw(2, f64(1, v) + num(2, t))
    for t, v, ls in exemplars:
        b += raw(3, label_set(ls) + f64(2, v) + num(3, t))
    for h in histograms:
        b += raw(4, h)
    return raw(1, b)


def spans(field, list_):
    return b''.join(raw(field, num(1, zigzag(o)) + num(2, n)) for o, n in list_)


def packed(field, values):
    return raw(field, b''.join(varint(zigzag(v)) for v in values))


def int_histogram(t, k):
    """Schema 1, buckets grow with k; positive and negative, zero bucket."""
    counts = [k, 2 * k, k + 3, 5]
    neg = [k, 1]
    total = sum(counts) + sum(neg) + 2 + k
    deltas = [counts[0]] + [counts[i] - counts[i - 1] for i in range(1, 4)]
    ndeltas = [neg[0], neg[1] - neg[0]]
    return (num(1, total) + f64(3, 12.5 * k) + num(4, zigzag(1)) + f64(5, 0.001) + num(6, 2 + k) +
            spans(8, [(0, 2)]) + packed(9, ndeltas) + spans(11, [(0, 2), (1, 2)]) + packed(12, deltas) + num(15, t))


def float_histogram(t, k):
    counts = [0.5 * k, 1.25, k]
    return (f64(2, sum(counts) + 0.25) + f64(3, 3.5 * k) + num(4, zigzag(0)) + f64(5, 0.01) + f64(7, 0.25) +
            spans(11, [(-1, 3)]) + raw(13, b''.join(struct.pack('<d', c) for c in counts)) + num(14, 3) + num(15, t))


def custom_histogram(t, k):
    counts = [k, k, 1]
    deltas = [k, 0, 1 - k]
    return (num(1, sum(counts)) + f64(3, 0.75 * k) + num(4, zigzag(-53)) + spans(11, [(0, 3)]) + packed(12, deltas) +
            num(15, t) + raw(16, struct.pack('<2d', 0.5, 2.5)))


def dataset():
    at = [T0 + i * STEP for i in range(N)]
    body = b''
    for inst, n in (('a:80', 1), ('b:80', 2)):
        for code, m in (('200', 10), ('404', 1), ('500', 0.25)):
            labels = {'__name__': 'http_requests_total', 'job': 'api', 'instance': inst, 'code': code}
            samples = [(t, math.floor((i if i < 80 else i - 80) * n * m * 3)) for i, t in enumerate(at)]
            exemplars = [(at[i] + 5, 0.5 + i, {'trace_id': 'abc%d' % i}) for i in (10, 20)] if code == '200' else []
            body += series(labels, samples, exemplars)
        body += series({'__name__': 'up', 'job': 'api', 'instance': inst}, [(t, 1 if n == 1 else i % 7 and 1) for i, t in enumerate(at)])
    for room, base in (('kitchen', 21.37), ('attic', -3.125)):
        body += series({'__name__': 'temperature_celsius', 'room': room}, [(t, round(base + math.sin(i / 9) * 2, 3)) for i, t in enumerate(at)])
    odd = {'nan': math.nan, 'inf': math.inf, 'neginf': -math.inf, 'big': 1.7e308, 'small': 5e-324, 'neg0': -0.0,
           'million': 1e6, 'e21': 1e21, 'third': 1 / 3, 'int53': 9007199254740993.0}
    for kind, v in odd.items():
        body += series({'__name__': 'odd_value', 'kind': kind}, [(at[-1], v)])
    for le, k in (('0.1', 1), ('0.5', 3), ('1', 6), ('+Inf', 7)):
        body += series({'__name__': 'request_duration_seconds_bucket', 'job': 'api', 'le': le}, [(t, i * k) for i, t in enumerate(at)])
    body += series({'__name__': 'request_duration_seconds_count', 'job': 'api'}, [(t, i * 7) for i, t in enumerate(at)])
    body += series({'__name__': 'request_duration_seconds_sum', 'job': 'api'}, [(t, i * 2.25) for i, t in enumerate(at)])
    body += series({'__name__': 'gone', 'job': 'old'}, [(t, i) for i, t in enumerate(at[:40])] + [(at[40], STALE)])
    body += series({'__name__': 'my.metric', 'label.with.dots': 'x', 'name "q"': 'a\\b\n<&>\u2028é'}, [(t, 1) for t in at[-3:]])
    body += series({'__name__': 'latency', 'job': 'api', 'kind': 'int'}, (), (), [int_histogram(t, i + 1) for i, t in enumerate(at)])
    body += series({'__name__': 'latency', 'job': 'api', 'kind': 'gauge'}, (), (), [float_histogram(t, i + 1) for i, t in enumerate(at)])
    body += series({'__name__': 'latency', 'job': 'api', 'kind': 'custom'}, (), (), [custom_histogram(t, i + 2) for i, t in enumerate(at)])
    return body


# ---- requests ----
def shape(v):
    """Members and types only: what holds on every machine and at all times. A list is its first element."""
    if isinstance(v, dict):
        return {k: shape(x) for k, x in v.items()}
    if isinstance(v, list):
        return [shape(x) for x in v[:1]]
    return 'string' if isinstance(v, str) else 'bool' if isinstance(v, bool) else 'number' if v is not None else None


END = (T0 + (N - 1) * STEP) / 1000


class Recorder:
    def __init__(self, peer):
        self.peer, self.rows = peer, []

    def ask(self, method, path, params=(), compare='exact', headers=None, body=None, form=False):
        target, headers = path, dict(headers or {})
        query = urllib.parse.urlencode(list(params.items()) if isinstance(params, dict) else list(params))
        if form:
            body, headers['Content-Type'] = query.encode(), 'application/x-www-form-urlencoded'
        elif query:
            target += '?' + query
        status, got, answer = self.peer.request(method, target, body, headers)
        keep = ('content-type', 'content-encoding', 'vary', 'x-content-type-options') + tuple(
            k for k in got if k.startswith(('access-control', 'x-prometheus')))
        row = {'method': method, 'target': target, 'headers': headers, 'status': status,
               'answer_headers': {k: got[k] for k in keep if k in got}, 'answer': answer.decode('utf-8', 'surrogateescape')}
        if body is not None:
            row['body_hex'] = body.hex()
        if compare != 'exact':
            row['compare'] = compare
            row['answer'] = json.dumps(shape(json.loads(answer)), sort_keys=True) if compare == 'shape' else ''
        self.rows.append(row)
        return row

    def get(self, path, params=(), **kw):
        return self.ask('GET', '/api/v1/' + path, params, **kw)

    def post(self, path, params=(), **kw):
        return self.ask('POST', '/api/v1/' + path, params, form=True, **kw)

    def save(self, path):
        with open(path, 'w', encoding='utf-8') as f:
            f.write('[\n' + ',\n'.join(json.dumps(r, sort_keys=True) for r in self.rows) + '\n]\n')
        print('%s: %d requests' % (path, len(self.rows)))
        self.rows = []


def q(query, **kw):
    return {'query': query, 'time': str(END), **kw}


def instant(r):
    for query in ('1', '-0', '1e6', '1/3', '1e21', '1e-7', '0/0', '1/0', '-1/0', '"a\\n<b>&\\"é"', 'time()', 'vector(1)', 'up{instance="a:80"}', 'up',
                  'http_requests_total', 'http_requests_total{code="200"}[1m]', 'nope', 'nope[5m]', 'sort(odd_value)',
                  'odd_value', 'odd_value{kind="nan"}', 'odd_value[1m]', '{"my.metric"}', 'sum(http_requests_total)', 'sum by (code) (rate(http_requests_total[5m]))',
                  'topk(2, http_requests_total)', 'sort_desc(http_requests_total)', 'latency', 'latency{kind="int"}', 'latency{kind="custom"}',
                  'latency{kind="gauge"}[30s]', 'latency{kind="int"}[30s]', 'rate(latency{kind="int"}[5m])', 'histogram_quantile(0.9, latency{kind="int"})',
                  'histogram_quantile(0.9, rate(request_duration_seconds_bucket[5m]))', 'sum(latency{kind="int"})', 'gone',
                  'gone offset 22m', 'temperature_celsius * 2', 'temperature_celsius > bool 0', 'up == 1', 'count_values("v", up)',
                  'label_replace(up, "x", "$1", "instance", "(.):.*")', 'absent(nope{a="b"})', 'scalar(up{instance="a:80"})', 'scalar(nope)',
                  'up and on(instance) http_requests_total', 'temperature_celsius[5m:1m]', 'max_over_time(temperature_celsius[10m])',
                  'http_requests_total @ 1704068000', 'http_requests_total{code="404"} @ start()', 'quantile(2, up)', 'quantile(0.5, up)',
                  'rate(temperature_celsius[5m])', 'sum(rate(temperature_celsius[5m]))', 'up + on() group_left up', 'up * on(job) up', 'up / http_requests_total',
                  'label_replace(up, "x", "$1", "instance", "(")', 'label_replace(up, "bad-name", "$1", "instance", "(.*)")', 'latency + up',
                  'histogram_quantile(0.5, up)', 'sum(latency)', 'sum(rate(latency[5m]))', 'foo bar', 'sum(', '', 'rate(up)', 'up{a="\\xff"}', 'predict_linear(temperature_celsius[10m], 60)',
                  'increase(http_requests_total[10m])', 'resets(http_requests_total[1h])', 'timestamp(up)', 'minute()', 'day_of_week(vector(1704067200))', 'count(count by (code) (http_requests_total)) by (x)'):
        r.get('query', q(query))
    up = 'up{instance="a:80"}'
    for time in ('1704067200', '1704067230.5', '1704067230.1234', '2024-01-01T00:10:00Z', '2024-01-01T00:10:00.5+01:00', '1704069000.337', 'abc', '', 'NaN',
                 '1e3', '-1', '1704067200.3369', '2024-13-01T00:00:00Z', '0x1p4', '9223372036854775', '1e300'):
        r.get('query', {'query': up, 'time': time}, compare='exact' if time else 'shape')
    r.get('query', {'query': '1', 'time': '-62167219200'})
    r.get('query', {'query': up}, compare='shape')
    r.get('query', {}, compare='exact')
    r.post('query', q('up{instance="b:80"}'))
    r.post('query', q('foo bar'))
    r.ask('POST', '/api/v1/query?query=1%2B1&time=5', {'query': '2+2', 'time': '7'}, form=True)
    for limit in ('1', '2', '0', '100', '-1', 'x', '1.5', '99999999999999999999'):
        r.get('query', q('sort(up)', limit=limit))
    r.get('query', q('up[1m]', limit='1'))
    r.get('query', q('1', limit='1'))
    for timeout in ('1s', '30', 'x', '1e30', '-1', '5x'):
        r.get('query', q('1', timeout=timeout))
    for lookback in ('10m', '1s', '60', 'x', '0', '-1'):
        r.get('query', {'query': up, 'time': str(END + 400), 'lookback_delta': lookback})
    for stats in ('all', '1', 'x', ''):
        r.get('query', q('up', stats=stats), compare='shape')
    r.get('query', q('up{instance="a:80"}'), headers={'Origin': 'http://example.com'})
    r.get('query', q('foo bar'), headers={'Origin': 'http://example.com'})
    r.ask('OPTIONS', '/api/v1/query', headers={'Origin': 'http://example.com'})
    r.ask('PUT', '/api/v1/query', compare='status')
    r.ask('DELETE', '/api/v1/query', compare='status')
    r.get('query', q('up{instance="a:80"}'), headers={'Accept': 'text/html,*/*;q=0.8'})
    r.get('nope', compare='status')


def ranges(r):
    s, e = '1704067260', '1704067380'
    base = {'start': s, 'end': e, 'step': '30'}
    for query in ('1', 'time()', 'vector(time())', 'up', 'temperature_celsius', 'sum(rate(http_requests_total[1m]))', 'rate(http_requests_total{code="200"}[1m])', 'nope',
                  'latency{kind="int"}', 'latency{kind="custom"}', 'gone', 'foo bar', '"a"', 'up[5m]', 'topk(1, temperature_celsius)', 'sort_desc(http_requests_total)', 'rate(temperature_celsius[1m])',
                  '', '-temperature_celsius', 'up * on(job) up', 'http_requests_total % 7', 'temperature_celsius @ end()', 'histogram_quantile(0.9, rate(request_duration_seconds_bucket[1m]))'):
        r.get('query_range', {'query': query, **base})
    r.post('query_range', {'query': 'up', **base})
    r.get('query_range', {'query': 'gone', 'start': '1704067770', 'end': '1704067860', 'step': '15'})
    r.get('query_range', {'query': 'up{instance="a:80"}', 'start': '2024-01-01T00:01:00Z', 'end': '2024-01-01T00:02:00.25Z', 'step': '30s'})
    r.get('query_range', {'query': 'up{instance="a:80"}', 'start': '1704067260.5', 'end': '1704067290.75', 'step': '0.5'})
    r.get('query_range', {'query': 'up{instance="a:80"}', 'start': '1704067260.001', 'end': '1704067262', 'step': '1.0005'})
    for bad in ({'start': ''}, {'end': ''}, {'step': ''}, {'start': 'x'}, {'end': 'x'}, {'step': 'x'}, {'step': '0'}, {'step': '-1'}, {'step': '0.00000000001'}, {'end': '1704067200'},
                {'step': '0.01'}, {'step': '0.0001'}, {'step': '1e30'}, {'step': '1m30s'}, {'step': '1h'}, {'end': s}, {'limit': '1'}, {'limit': 'x'}, {'timeout': 'x'}, {'timeout': '10s'}, {'lookback_delta': '1s'},
                {'lookback_delta': 'x'}, {'start': '0', 'end': '11000', 'step': '1'}, {'start': '0', 'end': '11001', 'step': '1'}, {'start': '0', 'end': '11000.9', 'step': '1'}):
        r.get('query_range', {'query': 'up', **base, **bad}) if not ('end' in bad and bad['end'].startswith('110')) else r.get('query_range', {'query': 'nope', **base, **bad})
    r.get('query_range', {'query': 'up', **base, 'stats': 'all'}, compare='shape')


def labels(r):
    r.get('labels')
    r.post('labels')
    r.get('labels', {'match[]': 'up'})
    r.get('labels', [('match[]', 'up'), ('match[]', 'temperature_celsius')])
    r.get('labels', {'match[]': 'nope'})
    r.get('labels', {'limit': '2'})
    for bad in ({'match[]': '{}'}, {'match[]': 'foo bar'}, {'match[]': ''}, {'match[]': '{a=~".*"}'}, {'match[]': 'sum(up)'}, {'match[]': 'up[5m]'}, {'limit': 'x'}, {'limit': '-1'}, {'start': 'x'}, {'end': 'x'}, {'start': '2', 'end': '1'}):
        r.get('labels', bad)
    r.get('labels', {'start': '1704067200', 'end': '1704067300', 'match[]': 'gone'})
    r.get('labels', {'start': '100', 'end': '200'})
    for name in ('job', '__name__', 'code', 'nope', 'le', 'kind', 'U__label_2e_with_2e_dots', 'label.with.dots', 'U__name_20__22_q_22_', 'U___', 'U__a_zz_', 'a-b', '%ff', '1a', 'with%20space', '%E6%97%A5'):
        r.get('label/%s/values' % name)
    r.get('label/instance/values', {'match[]': 'up'})
    r.get('label/code/values', [('match[]', 'http_requests_total{code!="200"}'), ('match[]', 'up')])
    r.get('label/code/values', {'limit': '2'})
    r.get('label/code/values', {'limit': 'x'})
    r.get('label/code/values', {'match[]': '{}'})
    r.get('label/code/values', {'start': 'x'})
    r.get('label/code/values', {'start': '100', 'end': '200'})
    r.ask('POST', '/api/v1/label/code/values', compare='status')
    r.get('series', {'match[]': 'up'})
    r.post('series', {'match[]': 'up'})
    r.get('series', [('match[]', 'up'), ('match[]', 'temperature_celsius'), ('match[]', 'up{instance="a:80"}')])
    r.get('series', {'match[]': '{__name__=~"my.*"}'})
    r.get('series', {'match[]': 'nope'})
    r.get('series', {'match[]': '{job="api"}', 'limit': '3'}, compare='shape')
    r.get('series', {'match[]': 'up', 'limit': '1'}, compare='shape')
    r.get('series')
    for bad in ({'match[]': '{}'}, {'match[]': 'foo bar'}, {'match[]': 'up', 'start': 'x'}, {'match[]': 'up', 'end': 'x'}, {'match[]': 'up', 'limit': 'x'}, {'match[]': 'up', 'start': '100', 'end': '200'}, {'match[]': 'gone', 'start': '1704067800', 'end': '1704067900'}):
        r.get('series', bad)
    r.ask('DELETE', '/api/v1/series', {'match[]': 'up'})


def exemplars(r):
    r.get('query_exemplars', {'query': 'http_requests_total', 'start': '1704067200', 'end': '1704069200'})
    r.get('query_exemplars', {'query': 'http_requests_total{instance="a:80"}', 'start': '1704067200', 'end': '1704067400'})
    r.get('query_exemplars', {'query': 'rate(http_requests_total{instance="a:80"}[5m]) + up'})
    r.post('query_exemplars', {'query': 'nope'})
    r.get('query_exemplars', {'query': '1'})
    r.get('query_exemplars', {'query': ''})
    r.get('query_exemplars', {'query': 'foo bar'})
    r.get('query_exemplars', {'query': 'up', 'start': 'x'})
    r.get('query_exemplars', {'query': 'up', 'start': '2', 'end': '1'})


def queries(r):
    for query in ('up', 'sum(rate(http_requests_total[5m])) by (job) > 1', 'foo bar', '', 'a{b="<&>"}'):
        r.get('format_query', {'query': query})
        r.get('parse_query', {'query': query})
        r.post('parse_query', {'query': query})


def status(r):
    for path in ('buildinfo', 'runtimeinfo', 'flags', 'config', 'tsdb', 'walreplay'):
        r.get('status/' + path, compare='shape')
    r.get('status/tsdb', {'limit': '2'}, compare='shape')
    r.get('status/tsdb', {'limit': '0'})
    r.get('status/tsdb', {'limit': 'x'})
    r.ask('GET', '/-/healthy')
    r.ask('GET', '/-/ready')
    r.ask('HEAD', '/-/healthy')
    r.ask('HEAD', '/-/ready')
    r.ask('GET', '/metrics', compare='status')


def admin(r, on):
    r.ask('POST', '/api/v1/admin/tsdb/clean_tombstones')
    for p in ({}, {'match[]': 'foo bar'}, {'match[]': 'up', 'start': 'x'}, {'match[]': 'up', 'end': 'x'}, {'match[]': 'odd_value{kind="nan"}'}):
        r.ask('POST', '/api/v1/admin/tsdb/delete_series', p)
    r.ask('PUT', '/api/v1/admin/tsdb/delete_series', {'match[]': 'up{instance="b:80"}', 'start': '1704067200', 'end': '1704067300'})
    r.ask('GET', '/api/v1/admin/tsdb/delete_series', compare='status')
    r.get('query', q('odd_value{kind="nan"}'))
    r.get('query', {'query': 'up', 'time': '1704067330'}) if on else None
    if not on:
        r.ask('POST', '/api/v1/admin/tsdb/snapshot')


def writes(r):
    sample = lambda t, v, **ls: series({'__name__': 'pushed', **ls}, [(t, v)])
    t = int(END * 1000)
    ok = {'Content-Encoding': 'snappy', 'Content-Type': 'application/x-protobuf', 'X-Prometheus-Remote-Write-Version': '0.1.0'}
    w = lambda body, headers=ok, compare='exact': r.ask('POST', '/api/v1/write', headers=headers, body=body, compare=compare)
    w(snappy(sample(t, 1)))
    w(snappy(sample(t, 1)))
    w(snappy(sample(t, 2)))
    w(snappy(b''))
    w(b'', compare='exact')
    w(b'\xff\xff\xff\xff\x7f')
    w(b'not snappy')
    w(varint(33 << 20) + b'\x00')
    w(snappy(b'\x0a\xff'), compare='status')
    w(snappy(sample(t, 1)), {})
    w(snappy(sample(t, 1)), {'Content-Type': 'application/json'})
    w(snappy(sample(t, 1)), {'Content-Type': 'application/x-protobuf;proto=prometheus.WriteRequest'})
    w(snappy(sample(t, 1)), {'Content-Type': 'application/x-protobuf;proto=nope'})
    w(snappy(sample(t, 1)), {'Content-Type': 'application/x-protobuf;nope'})
    w(snappy(sample(t, 1)), {**ok, 'Content-Encoding': 'gzip'}, compare='status')
    w(snappy(sample(t, 1)), {**ok, 'Content-Encoding': 'SNAPPY'})
    w(snappy(series({'job': 'nameless'}, [(t, 1)])), compare='status')
    w(snappy(sample(t + 15000, 3) + sample(t + 15000, 4, a='b')))
    w(snappy(sample(t - 86400000 * 2, 1)), compare='status')
    r.ask('GET', '/api/v1/write', compare='status')
    r.get('query', {'query': 'pushed', 'time': str(END + 20)})


FEDERATED = [({'__name__': 'fed', 'job': 'b'}, 1.0), ({'__name__': 'fed', 'job': 'a', 'region': 'own'}, 2.5), ({'__name__': 'fed', 'instance': 'i:1', 'x': 'a\\"b\n<é>'}, math.nan),
             ({'__name__': 'fed2', 'zone': 'z'}, math.inf), ({'__name__': 'fed3', 'k': 'big'}, 1.5e300), ({'__name__': 'fed3', 'k': 'e21'}, 1e21), ({'__name__': 'fed3', 'k': 'million'}, 1e6), ({'__name__': 'fed3', 'k': 'small'}, 1e-7),
             ({'__name__': 'fed3', 'k': 'neg0'}, -0.0), ({'__name__': 'fed.dotted', 'a.b': 'c'}, 3.0), ({'__name__': 'fed_stale'}, STALE)]


def federate(r):
    # Federation looks back from now, and the data is too old for it: samples of now, whose time is recorded as T.
    now = int(time.time() * 1000)
    body = b''.join(series(ls, [(now, v)]) for ls, v in FEDERATED)
    assert r.peer.request('POST', '/api/v1/write', snappy(body), {})[0] == 204
    for target, headers in (('{__name__=~"fed.*"}', {}), ('{__name__=~"fed.*"}', {'Accept': 'text/plain;version=1.0.0;escaping=allow-utf-8'}), ('fed', {'Accept': 'text/plain;version=0.0.4'})):
        row = r.ask('GET', '/federate', [('match[]', target), ('match[]', 'fed')], headers=headers)
        row['answer'] = row['answer'].replace(str(now), 'T')
    r.ask('GET', '/federate')
    r.ask('GET', '/federate', {'match[]': 'nope'})
    r.ask('GET', '/federate', {'match[]': 'foo bar'})


def capture(binary, target, Peer):
    os.makedirs(target, exist_ok=True)
    body = snappy(dataset())
    open(target + '/write.snappy', 'wb').write(body)
    open(target + '/federated.snappy', 'wb').write(snappy(b''.join(series(ls, [(int(END * 1000), v)]) for ls, v in FEDERATED)))
    flags = ['--web.enable-remote-write-receiver', '--enable-feature=exemplar-storage,native-histograms', '--storage.tsdb.retention.time=100y']
    config = 'global: {external_labels: {region: eu}}\nstorage: {exemplars: {max_exemplars: 1000}}\n'
    for admin_on in (False, True):
        with Peer(binary, flags + (['--web.enable-admin-api'] if admin_on else []), config) as peer:
            code, _, answer = peer.request('POST', '/api/v1/write', body, {'Content-Encoding': 'snappy', 'Content-Type': 'application/x-protobuf'})
            assert code == 204, (code, answer)
            r = Recorder(peer)
            if not admin_on:
                for fn in (instant, ranges, labels, exemplars, queries, status):
                    fn(r)
                    r.save('%s/%s.json' % (target, fn.__name__))
                admin(r, False)
                r.save(target + '/admin_off.json')
                writes(r)
                r.save(target + '/writes.json')
                federate(r)
                r.save(target + '/federate.json')
            else:
                admin(r, True)
                r.save(target + '/admin_on.json')
