#!/usr/bin/env python3
"""Ten thousand range queries open at once: some run, some wait, the others are told to come back. Memory does not follow their number."""
import os, resource, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

SERIES, POINTS, WANTED = 400, 60, 10_000


def fill(server):
    now = int(time.time() * 1000)
    w = Writer(server.address)
    for k in range(POINTS):
        status, _, text = w.push([({'__name__': 'many_total', 'n': str(i)}, [(now - (POINTS - k) * 5000, float(i * k))]) for i in range(SERIES)])
        assert status == 204, text
    w.close()


def read_answer(s):
    data = b''
    while True:
        piece = s.recv(65536)
        if not piece:
            break
        data += piece
    head, _, body = data.partition(b'\r\n\r\n')
    return int(head.split()[1]), head.lower(), body


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else max(soft, 65536), hard))
    count = min(WANTED, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200)
    failures = []
    with scratch() as directory:
        server = Server(directory, 'prometheus', '--no-self-scrape', '--web.max-connections=20000', '--query.max-concurrency=4', '--query.max-memory=64MiB', '--query.timeout=10s').start()
        fill(server)
        end = int(time.time()) // 15 * 15
        path = '/api/v1/query_range?' + urllib.parse.urlencode({'query': 'rate(many_total[5m])', 'start': end - 600, 'end': end, 'step': 5, 'nocache': 1})
        status, _, text = server.get(path)
        assert status == 200, text
        before = server.rss()[0]
        host, port = server.address.rsplit(':', 1)
        asked = f'GET {path} HTTP/1.1\r\nHost: {server.address}\r\nConnection: close\r\n\r\n'.encode()
        opened = []
        for _ in range(count):
            s = socket.create_connection((host, int(port)), timeout=300)
            s.sendall(asked)
            opened.append(s)
        peak = server.rss()[0]
        seen = {}
        for s in opened:
            status, head, body = read_answer(s)
            s.close()
            seen[status] = seen.get(status, 0) + 1
            if status == 200 and not body.rstrip(b'0\r\n').endswith(b'}'):
                failures.append('an answer was cut short')
            if status == 503 and b'retry-after:' not in head and b'query timed out in expression evaluation' not in body:
                failures.append(f'a 503 without Retry-After: {head!r}')
            peak = max(peak, server.rss()[0]) if sum(seen.values()) % 500 == 0 else peak
        print(f'{count} open range queries: {seen}, RSS {before / 1e6:.0f} -> {peak / 1e6:.0f} MB')
        if set(seen) - {200, 503}:
            failures.append(f'statuses {seen}')
        if seen.get(200, 0) < 4 or (count > 2000 and seen.get(503, 0) == 0):
            failures.append(f'neither served nor told to wait: {seen}')
        if peak - before > 600e6:
            failures.append(f'memory followed the number of queries: {before} -> {peak}')
        if server.get('/api/v1/query?query=1')[0] != 200:
            failures.append('the server does not answer any more')
        server.stop()
    for f in failures[:10]:
        print('FAILED', f)
    sys.exit(1 if failures else 0)


if __name__ == '__main__':
    main()
