#!/usr/bin/env python3
"""Hostile HTTP: every row of the shared table against the real web listener, in one write and byte by byte.

The table lies in $PHAROS_SHARED/testdata/http/hostile.tsv (default ../shared beside the repository): a name, the request with C
escapes and {text*N} repeats, the statuses allowed, and whether the connection must be closed after the answer. After each row
the server must still answer an honest request.
"""
import re
import sys, os
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

TABLE = os.path.join(os.environ.get('PHAROS_SHARED', os.path.join(ROOT, '..', 'shared')), 'testdata', 'http', 'hostile.tsv')
BYTEWISE_MAX = 2048


def unescape(text):
    raw = re.sub(r'\{(.*?)\*(\d+)\}', lambda m: m.group(1) * int(m.group(2)), text)
    return re.sub(rb'\\(x[0-9a-f]{2}|.)', lambda m: bytes([int(m.group(1)[1:], 16)]) if len(m.group(1)) == 3 else
                  {b'r': b'\r', b'n': b'\n', b't': b'\t', b'0': b'\0', b'\\': b'\\'}[m.group(1)], raw.encode('latin-1'))


def ask(address, raw, bytewise):
    """(status or None, is_closed): what came back, and whether the server closed within the time an honest one takes."""
    host, port = address.rsplit(':', 1)
    s = socket.create_connection((host, int(port)), timeout=20)
    answer = b''
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if bytewise:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for b in raw:
                    s.sendall(bytes([b]))
            else:
                s.sendall(raw)
        # The whole of the first answer, then a moment for a close.
        closed = False
        while not closed:
            head, sep, body = answer.partition(b'\r\n\r\n')
            length = re.search(rb'(?i)content-length: *(\d+)', head)
            if sep and length and len(body) >= int(length.group(1)):
                break
            if sep and b'\r\n0\r\n\r\n' in b'\r\n' + body:
                break
            try:
                got = s.recv(65536)
            except ConnectionResetError:
                got = b''
            closed = not got
            answer += got
        if not closed:
            s.settimeout(1.5)
            try:
                closed = s.recv(65536) == b''
            except (socket.timeout, TimeoutError):
                closed = False
            except ConnectionResetError:
                closed = True
    finally:
        s.close()
    m = re.match(rb'HTTP/1\.1 (\d{3})', answer)
    return int(m.group(1)) if m else None, closed


def main():
    if not os.path.exists(TABLE):
        skip(f'no table of hostile requests at {TABLE}')
    rows = [line.rstrip('\n').split('\t') for line in open(TABLE, encoding='latin-1')][1:]
    failures, asked = [], 0
    with scratch() as directory:
        server = Server(directory, 'prometheus', '--no-self-scrape').start()
        for name, text, allowed, must_close in rows:
            raw = unescape(text)
            for bytewise in (False, True) if len(raw) <= BYTEWISE_MAX else (False,):
                status, closed = ask(server.address, raw, bytewise)
                asked += 1
                how = f'{name}{" (byte by byte)" if bytewise else ""}'
                if status is None and not (must_close == 'yes' and closed):
                    failures.append(f'{how}: no answer')
                elif status is not None and str(status) not in allowed.split(','):
                    failures.append(f'{how}: {status}, allowed {allowed}')
                elif must_close == 'yes' and not closed:
                    failures.append(f'{how}: {status}, and the connection stayed open')
                elif must_close == 'no' and closed:
                    failures.append(f'{how}: {status}, and the connection was closed')
                if server.get('/-/ready')[0] != 200:
                    failures.append(f'{how}: the server is not ready any more')
        # Two honest requests in one write get two answers; a hostile one behind an honest one is refused alone.
        pipelined = b'GET /-/ready HTTP/1.1\r\nHost: a\r\n\r\nGET /-/healthy HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
        for raw, want in ((pipelined, [b'200', b'200']), (b'GET /-/ready HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', [b'200', b'400'])):
            host, port = server.address.rsplit(':', 1)
            with socket.create_connection((host, int(port)), timeout=20) as s:
                s.sendall(raw)
                answer = b''
                while got := s.recv(65536):
                    answer += got
            if re.findall(rb'HTTP/1\.1 (\d{3})', answer) != want:
                failures.append(f'pipelined: {answer[:300]!r}')
        if server.stop() != 0:
            failures.append('the server did not stop cleanly')
    for f in failures:
        print(f)
    print(f'{len(rows)} rows, {asked} requests, {len(failures)} problems')
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
