#!/usr/bin/env python3
"""Rules by the API and rules tried out: Mimir's /prometheus/config/v1/rules with kill -9 between (what was answered with 202 is there and
evaluated), and the preview and the test over the past of a rule, compared with what the engine itself wrote.

    tests/e2e/ruler.py
"""
import os, sys, time
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

FORM = {'Content-Type': 'application/x-www-form-urlencoded'}
BASE = '/prometheus/config/v1/rules'


def call(server, method, path, body=None, headers=None):
    status, head, text = request(server.address, method, path, body, headers)
    return status, text.decode(), head


def form(server, path, pairs):
    status, text, head = call(server, 'POST', f'/api/v1/rules/{path}', urllib.parse.urlencode(pairs), FORM)
    return status, text, head


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def ruler(server, rounds):
    assert call(server, 'GET', BASE)[:2] == (404, 'no rule groups found\n')
    assert call(server, 'GET', BASE + '/none')[:2] == (404, 'no rule groups found\n')
    assert call(server, 'GET', BASE + '/none/g')[:2] == (404, 'group does not exist\n')
    assert call(server, 'DELETE', BASE + '/none/g')[:2] == (404, 'group does not exist\n')
    assert call(server, 'DELETE', BASE + '/none')[:2] == (404, 'group namespace does not exist\n')
    for i in range(rounds):
        status, text, _ = call(server, 'POST', f'{BASE}/team%2Fa{i}', f'name: "g {i}"\ninterval: 1s\nrules:\n- record: made{i}\n  expr: vector({i})\n', {'Content-Type': 'application/yaml'})
        assert status == 202 and json.loads(text) == {'status': 'success', 'data': None, 'errorType': '', 'error': ''}, (status, text)
        server.kill()
        server.start()
        status, text, head = call(server, 'GET', BASE)
        assert status == 200 and head['Content-Type'] == 'application/yaml', (status, head)
        for k in range(i + 1):
            assert f'team/a{k}:\n    - name: g {k}\n      interval: 1s\n      rules:\n        - record: made{k}\n          expr: vector({k})\n' in text, text
        wait_for('the rule to be evaluated', lambda: server.query(f'made{i}'))
    status, text, _ = call(server, 'GET', f'{BASE}/team%2Fa0/g%200')
    assert (status, text) == (200, 'name: g 0\ninterval: 1s\nrules:\n    - record: made0\n      expr: vector(0)\n'), text
    for bad, said in (('name: g\nrules:\n- record: x\n  expr: "1 +"\n', 'parse error'), ('name: g\nrules: []\n', "rule group 'g' has no rules"), ('{', ''), ('\0', ''), ('a: ' * 3000, '')):
        status, text, _ = call(server, 'POST', BASE + '/x', bad)
        assert status == 400 and said in text, (bad[:50], status, text)
    assert call(server, 'POST', BASE + '/' + 'x' * 300, 'name: g\nrules: [{record: x, expr: 1}]')[0] == 400
    assert call(server, 'POST', BASE + '/%2e%2e%2fx', 'name: g\nrules: [{record: dotted, expr: 1}]')[0] < 500
    inside = os.path.join(server.directory, 'data', 'ruler')
    assert not os.path.exists(os.path.join(server.directory, 'data', 'x.yml')), os.listdir(inside)
    groups = server.api('rules', **{'rule_group[]': 'g 0'})['groups']
    assert [g['file'] for g in groups] == ['team/a0'], groups
    assert call(server, 'DELETE', f'{BASE}/team%2Fa0/g%200')[0] == 202
    assert call(server, 'DELETE', f'{BASE}/team%2Fa1')[0] == 202
    server.kill()
    server.start()
    assert 'team/a0' not in call(server, 'GET', BASE)[1] and 'team/a1' not in call(server, 'GET', BASE)[1]
    assert not server.api('rules', **{'rule_group[]': 'g 1'})['groups']


def try_out(server):
    """A rule that ran: its firings by ALERTS, and by the test over the same time."""
    now = int(time.time())
    writer = Writer(server.address)
    values = [0, 8, 9, 3, 8, 8, 8, 2, 2, 7, 9, 9, 9, 9, 1, 1]
    for host in ('a', 'b'):
        writer.push([({'__name__': 'load', 'host': host}, [((now - 600 + 30 * i) * 1000, v + (host == 'b')) for i, v in enumerate(values)])])
    wait_for('the samples', lambda: server.query('count(count_over_time(load[15m]))', time=now))
    rule = [('alert', 'High'), ('expr', 'load > 7'), ('for', '1m'), ('label', 'severity=page'), ('label', 'bad={{ $labels.host }}'), ('annotation', 'summary={{ $value }} on {{ $labels.host }}')]
    status, text, head = form(server, 'backtest', rule + [('start', now - 600), ('end', now - 100), ('interval', '30s')])
    assert status == 200 and head['Content-Type'] == 'application/x-ndjson', (status, text)
    said = lines(text)
    assert said[0]['rule']['threshold'] == {'query': 'load', 'op': '>', 'value': 7}, said[0]
    firings = [x['firing'] for x in said if 'firing' in x]
    # a: 8 8 8 fires at the third of them, 9 9 9 9 at the third; b is one higher, so it also has 8 9 (no), 8 8 8 8 ...
    want = {('a', 6, 7), ('a', 12, 14), ('b', 6, 7), ('b', 11, 14)}
    assert {(f['labels']['host'], (f['startsAt'] - now + 600) / 30, (f['endsAt'] - now + 600) / 30) for f in firings} == want, firings
    assert all(f['labels']['severity'] == 'page' and f['labels']['bad'] == f['labels']['host'] and f['labels']['alertname'] == 'High' for f in firings)
    assert {f['peak'] for f in firings if f['labels']['host'] == 'a'} == {'8', '9'}, firings
    done = said[-1]['done']
    assert done['firings'] == 4 and done['failed'] == 0 and done['evaluations'] == 17, done
    # As YAML; an evaluation that fails is counted, and the others go on.
    yaml = 'groups:\n- name: g\n  interval: 30s\n  rules:\n  - record: r\n    expr: 1\n  - alert: Twice\n    expr: label_replace(load > 8, "host", "x", "", "")\n'
    said = lines(form(server, 'backtest', [('yaml', yaml), ('start', now - 600), ('end', now - 100)])[1])
    done = said[-1]['done']
    assert 0 < done['failed'] < done['evaluations'] == 17 and 'same labelset' in done['firstFailure'], done
    # What is wrong is said before anything is streamed.
    for pairs, words in (([('expr', 'load >'), ('start', 1), ('end', 2)], 'parse error'), ([('expr', 'load'), ('start', 'x'), ('end', 2)], 'start'), ([('expr', 'load'), ('start', 1), ('end', now), ('interval', '1s')], 'evaluations'),
                         ([('expr', 'load'), ('for', 'x'), ('start', 1), ('end', 2)], 'for'), ([('yaml', 'groups: ['), ('start', 1), ('end', 2)], 'rule'), ([('yaml', yaml), ('rule', '7'), ('start', 1), ('end', 2)], 'no such rule'),
                         ([('record', 'r'), ('expr', '1'), ('start', 1), ('end', 2)], 'alerting'), ([('expr', 'load[5m]'), ('start', 1), ('end', 2)], '')):
        status, text, _ = form(server, 'backtest', pairs)
        assert status in (400, 422) and words in json.loads(text)['error'], (pairs, status, text)
    # Now: what it would give, with texts filled in.
    writer.push([({'__name__': 'load', 'host': 'c'}, [(int(time.time() * 1000), 12.5)])])
    data = wait_for('the newest sample', lambda: [x for x in json.loads(form(server, 'preview', rule)[1])['data']['series'] if x['labels']['host'] == 'c'])
    assert data[0]['annotations'] == {'summary': '12.5 on c'} and data[0]['labels']['bad'] == 'c' and float(data[0]['value']) == 12.5, data
    data = json.loads(form(server, 'preview', [('record', 'x:y'), ('expr', 'load{host="c"} * 2'), ('label', 'l=1')])[1])['data']
    assert data['total'] == 1 and data['series'][0]['labels'] == {'__name__': 'x:y', 'host': 'c', 'l': '1'} and float(data['series'][0]['value']) == 25, data
    status, text, _ = form(server, 'preview', [('alert', 'A'), ('expr', 'up'), ('annotation', 's={{ oops')])
    assert status == 400 and 'annotation "s"' in json.loads(text)['error'], text
    # A reader that leaves: the server goes on to answer others at once, and ends well.
    with socket.create_connection(server.address.rsplit(':', 1)) as s:
        body = urllib.parse.urlencode([('expr', 'count({__name__=~".+"}) > 0'), ('start', now - 200000), ('end', now), ('interval', '1s')])
        s.sendall(f'POST /api/v1/rules/backtest HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}'.encode())
        assert s.recv(100).startswith(b'HTTP/1.1 200')
    return len(firings)


with scratch() as directory:
    server = Server(directory, '--no-self-scrape', '--web.enable-remote-write-receiver').start()
    ruler(server, 4)
    n = try_out(server)
    assert server.stop() == 0
    print(f'ok: namespaces over kills, {n} firings of the past')
