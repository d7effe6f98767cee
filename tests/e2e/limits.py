#!/usr/bin/env python3
"""Limits on the running server: what is too dear, too large, too slow or too much is refused by name, and the rest goes on."""
import gzip, os, sys, zlib
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

SERIES, POINTS = 400, 60
failures = []


def expect(what, got, want):
    if got != want:
        failures.append(f'{what}: {got!r}, expected {want!r}')


def fill(server):
    now = int(time.time() * 1000)
    w = Writer(server.address)
    for k in range(POINTS):
        status, _, text = w.push([({'__name__': 'limits', 'n': str(i), 'g': str(i % 7)}, [(now - (POINTS - k) * 1000, float(i + k))]) for i in range(SERIES)])
        assert status == 204, text
    w.close()


def ask_query(server, expr, path='query', **params):
    status, headers, body = server.get(f'/api/v1/{path}?' + urllib.parse.urlencode({'query': expr, **params}), timeout=60)
    return status, json.loads(body)


def check_queries(directory):
    server = Server(os.path.join(directory, 'queries'), 'prometheus', '--no-self-scrape', '--query.max-samples=5000', '--query.max-memory=64MiB', '--query.timeout=1s').start()
    fill(server)
    status, answer = ask_query(server, 'sum(limits)')
    expect('a cheap query', (status, answer['data']['result'][0]['value'][1]), (200, str(float(sum(range(SERIES)) + SERIES * (POINTS - 1)))[:-2]))
    # More samples than a query may load, by each road.
    now = time.time()
    for path, expr, params in (('query', 'limits[5m]', {}), ('query_range', 'limits', {'start': now - 60, 'end': now, 'step': 1})):
        status, answer = ask_query(server, expr, path, **params)
        expect(f'{path} {expr}', (status, answer['status'], answer.get('errorType')), (422, 'error', 'execution'))
        if 'query.max-samples' not in answer.get('error', ''):
            failures.append(f'{path} {expr}: the limit is not named: {answer.get("error")}')
    # Longer than a query may take: many steps of a costly expression over few samples.
    dear = 'count(' + ' * on() group_right() '.join(['vector(1)'] * 40) + ')'
    dear = f'max_over_time(({dear} + quantile_over_time(0.5, (sum(limits{{n="1"}}))[1h:1s]))[1h:1s])'
    started = time.monotonic()
    status, answer = ask_query(server, dear, timeout='200ms')
    took = time.monotonic() - started
    if status == 200:
        failures.append(f'a query of {took:.1f} s was let through')
    elif (status, answer['errorType']) not in ((503, 'timeout'), (422, 'execution')) or not any(x in answer['error'] for x in ('timed out', 'query.max-', 'too many samples')):
        failures.append(f'a dear query: {status} {answer}')
    if took > 20:
        failures.append(f'a dear query was stopped after {took:.1f} s only')
    # Steps over 11,000, nesting, length, nonsense: refused before they cost anything.
    status, answer = ask_query(server, 'limits', 'query_range', start=0, end=1e6, step=1)
    expect('too many steps', (status, answer['errorType'], '11,000' in answer['error']), (400, 'bad_data', True))
    for expr in ('(' * 100000 + '1' + ')' * 100000, '-' * 50000 + '1', 'sum(' * 20000, 'a' * 60000 + '[', '{' + 'a="b",' * 5000 + '=', '1' + '+1' * 20000 + '+'):
        status, _, body = request(server.address, 'POST', '/api/v1/query', urllib.parse.urlencode({'query': expr}), {'Content-Type': 'application/x-www-form-urlencoded'}, timeout=60)
        expect(f'query {expr[:8]}… of {len(expr)} bytes', status, 400)
    # Meanwhile and afterwards the server answers others.
    threads = [threading.Thread(target=lambda: ask_query(server, 'limits[5m]')) for _ in range(30)]
    for t in threads:
        t.start()
    expect('a cheap query beside thirty refused ones', ask_query(server, 'count(limits)')[0], 200)
    for t in threads:
        t.join()
    expect('stop', server.stop(), 0)


def check_memory(directory):
    server = Server(os.path.join(directory, 'memory'), 'prometheus', '--no-self-scrape', '--query.max-memory=1MiB').start()
    fill(server)
    status, answer = ask_query(server, 'limits', 'query_range', start=time.time() - 3600, end=time.time(), step=1)
    expect('over the memory of a query', (status, answer['status']), (422, 'error'))
    if 'query.max-memory' not in answer.get('error', ''):
        failures.append(f'the memory limit is not named: {answer.get("error")}')
    expect('within it', ask_query(server, 'count(limits)')[0], 200)
    expect('stop', server.stop(), 0)


def check_bodies(server):
    push = {'Content-Encoding': 'snappy', 'Content-Type': 'application/x-protobuf'}
    now = int(time.time() * 1000)
    body = snappy(write_request([({'__name__': 'bodies'}, [(now, 1.0)])]))
    bombs = {
        'snappy that claims 4 GiB': (b'\xff\xff\xff\xff\x0f' + b'\x00' * 100, push, {400, 413}),
        'snappy that claims 31 MiB and holds nothing': (varint(31 << 20) + b'\x00a', push, {400}),
        'snappy cut off': (body[:-3], push, {400}),
        'snappy of noise': (os.urandom(5000), push, {400, 413}),
        'no snappy at all': (write_request([({'__name__': 'x'}, [(now, 1.0)])]), {**push, 'Content-Encoding': 'identity'}, {400, 415}),
        'snappy bomb of repeats': (varint(1 << 30) + b'\x00a' + (b'\xfe\x01\x00' * 300000), push, {400, 413}),
        'an empty request': (snappy(b''), push, {200, 204, 400}),
        'another message': (snappy(b'\x0a\x05hello'), push, {400}),
        'form bomb in gzip': (gzip.compress(b'query=' + b'1' * (200 << 20)), {'Content-Type': 'application/x-www-form-urlencoded', 'Content-Encoding': 'gzip'}, {400, 413}),
        'unknown coding': (b'query=1', {'Content-Type': 'application/x-www-form-urlencoded', 'Content-Encoding': 'rot13'}, {415}),
    }
    before = server.rss()[0]
    for name, (data, headers, allowed) in bombs.items():
        path = '/api/v1/query' if 'form' in headers['Content-Type'] else '/api/v1/write'
        status = request(server.address, 'POST', path, data, headers, timeout=60)[0]
        if status not in allowed:
            failures.append(f'{name}: {status}, allowed {allowed}')
    if server.rss()[0] - before > 200 << 20:
        failures.append(f'bodies that lie cost {server.rss()[0] - before >> 20} MiB')
    expect('an honest push', request(server.address, 'POST', '/api/v1/write', body, push)[0], 204)
    # A body larger than a route takes is refused by its announced length, not read.
    host, port = server.address.rsplit(':', 1)
    with socket.create_connection((host, int(port)), timeout=20) as s:
        s.sendall(b'POST /api/v1/write HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n')
        expect('an announced body of 100 GB', s.recv(4096)[:12], b'HTTP/1.1 413')


def check_slow(server):
    """Clients that send a byte now and then, or never read, are cut off; honest ones are served meanwhile."""
    host, port = server.address.rsplit(':', 1)
    slow_head = socket.create_connection((host, int(port)))
    slow_body = socket.create_connection((host, int(port)))
    slow_head.sendall(b'GET /-/ready HTTP/1.1\r\nHost')
    slow_body.sendall(b'POST /api/v1/query HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\nquery=')
    ends, started = {}, time.monotonic()
    while len(ends) < 2 and time.monotonic() - started < 60:
        for name, s in (('head', slow_head), ('body', slow_body)):
            if name in ends:
                continue
            s.settimeout(0.05)
            try:
                s.sendall(b'a')
                got = s.recv(4096)
                ends[name] = got[:12]
            except (socket.timeout, TimeoutError):
                pass
            except OSError:
                ends[name] = b''
        expect('an honest request beside slow ones', server.get('/-/ready')[0], 200)
        time.sleep(0.5)
    for name in ('head', 'body'):
        if ends.get(name) not in (b'HTTP/1.1 408', b''):
            failures.append(f'a slow {name}: {ends.get(name)!r} after {time.monotonic() - started:.0f} s')
    slow_head.close()
    slow_body.close()


def check_connections(directory):
    """600 idle connections: up to the limit they are held and cheap, the rest is turned away; honest ones that were there go on."""
    server = Server(os.path.join(directory, 'connections'), 'prometheus', '--no-self-scrape', '--web.max-connections=550').start()
    host, port = server.address.rsplit(':', 1)
    kept = http.client.HTTPConnection(host, int(port), timeout=30)
    kept.request('GET', '/-/ready')
    expect('before', (lambda r: (r.status, r.read())[0])(kept.getresponse()), 200)
    before = server.rss()[1]
    idle = [socket.create_connection((host, int(port)), timeout=30) for _ in range(600)]
    turned_away = 0
    for s in idle:
        s.setblocking(False)
    deadline = time.monotonic() + 30
    open_ones = list(idle)
    while turned_away < 51 and time.monotonic() < deadline:
        for s in list(open_ones):
            try:
                got = s.recv(4096)
            except BlockingIOError:
                continue
            except OSError:
                got = b''
            if got[:12] not in (b'HTTP/1.1 503', b''):
                failures.append(f'an idle connection got {got[:60]!r}')
            turned_away += 1
            open_ones.remove(s)
        time.sleep(0.05)
    expect('turned away of 600 beside one, at a limit of 550', turned_away, 51)
    kept.request('GET', '/api/v1/query?query=1')
    expect('the connection that was there', (lambda r: (r.status, r.read())[0])(kept.getresponse()), 200)
    cost = (server.rss()[1] - before) / 549
    if cost > 32768:
        failures.append(f'an idle connection costs {cost:.0f} bytes')
    for s in idle:
        s.close()
    wait_for('room for others', lambda: server.get('/-/ready')[0] == 200)
    kept.close()
    expect('stop', server.stop(), 0)


def main():
    with scratch() as directory:
        check_queries(directory)
        check_memory(directory)
        server = Server(os.path.join(directory, 'bodies'), 'prometheus', '--no-self-scrape').start()
        check_bodies(server)
        check_slow(server)
        expect('stop', server.stop(), 0)
        check_connections(directory)
    for f in failures:
        print(f)
    print(f'{len(failures)} problems')
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
