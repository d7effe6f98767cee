#!/usr/bin/env python3
"""Beside the peer's Alertmanager 0.33: the same configuration, the same thousand generated alerts, a webhook that writes down what it is sent.

    tests/e2e/alert_peer.py [--alerts 1000] [--seed 1]

Equal must be: every webhook body (with group key, fingerprints, reasons; firing, then partly resolved), what GET /api/v2/alerts, /alerts/groups,
/receivers say, the names and types of alertmanager_* metrics (but two), and amtool's verdict on configurations good and bad. Skips without the peer
(scripts/peers.sh); it wants its templates under /usr/share, which are laid over it in a mount namespace (needs root).
"""
import argparse, os, random, re, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

JSON = {'Content-Type': 'application/json'}
CONFIG = """
route:
  receiver: rest
  group_by: [alertname, cluster]
  group_wait: 4s
  group_interval: 12s
  repeat_interval: 24h
  routes:
  - {{matchers: ['severity=~"page|crit"', 'team!=""'], receiver: pages, group_by: ['...'], continue: true}}
  - match: {{team: 'a b'}}
    receiver: teams
    group_by: [team, 'ünï cödé']
    routes:
    - {{matchers: ['{{"ünï cödé"=~".+"}}'], receiver: odd, group_by: []}}
    - {{match_re: {{instance: 'host-.*[05]'}}, receiver: teams, group_by: [instance]}}
  - {{matchers: ['alertname="Inhibited"'], receiver: rest, group_by: [job]}}
  - {{matchers: ['alertname="Kinds"'], receiver: kinds, group_by: [job]}}
receivers:
- name: kinds
  webhook_configs: [{{url: 'http://127.0.0.1:{port}/hook', payload: {{a: '{{{{ .Status }}}}', b: [1, true, '{{{{ .Alerts | len }}}}'], c: '{{{{ .CommonLabels | toJson }}}}'}}}}]
  slack_configs: [{{api_url: 'http://127.0.0.1:{port}/slack', channel: '#c', send_resolved: true, fields: [{{title: t, value: '{{{{ .Status }}}}'}}], actions: [{{type: button, text: x, name: n, value: v, confirm: {{text: sure}}}}]}}]
  opsgenie_configs: [{{api_url: 'http://127.0.0.1:{port}/opsgenie/', api_key: key, update_alerts: true, tags: 'a, b,,c', details: {{x: '{{{{ .Status }}}}'}}, responders: [{{type: teams, name: 'p,q'}}, {{type: user, username: u}}], priority: P2, note: n, entity: e, actions: 'r'}}]
  victorops_configs: [{{api_url: 'http://127.0.0.1:{port}/victorops/', api_key: key, routing_key: 'team a', custom_fields: {{f: '{{{{ .Receiver }}}}'}}}}]
  webex_configs: [{{api_url: 'http://127.0.0.1:{port}/webex', room_id: room, http_config: {{authorization: {{credentials: cred}}}}}}]
  msteams_configs: [{{webhook_url: 'http://127.0.0.1:{port}/msteams'}}]
  msteamsv2_configs: [{{webhook_url: 'http://127.0.0.1:{port}/msteamsv2'}}]
  rocketchat_configs: [{{api_url: 'http://127.0.0.1:{port}/rocketchat', token: t, token_id: i, channel: c, send_resolved: true, fields: [{{title: t, value: v}}], actions: [{{text: go, url: 'http://x', msg: m}}]}}]
  mattermost_configs: [{{webhook_url: 'http://127.0.0.1:{port}/mattermost', channel: c, fields: [{{title: t, value: v, short: true}}], priority: {{priority: Urgent, requested_ack: true}}, props: {{card: card}}}}]
  incidentio_configs: [{{url: 'http://127.0.0.1:{port}/incidentio', alert_source_token: tok}}]
  telegram_configs: [{{api_url: 'http://127.0.0.1:{port}/telegram', bot_token: 'bot:tok', chat_id: -5}}]
  pagerduty_configs: [{{url: 'http://127.0.0.1:{port}/pagerduty', routing_key: key, severity: '{{{{ .CommonLabels.severity }}}}', details: {{own: {{deep: '{{{{ .Status }}}}'}}}}, images: [{{src: 's', alt: a}}], links: [{{href: h, text: t}}]}}]
- name: rest
  webhook_configs: [{{url: 'http://127.0.0.1:{port}/rest'}}]
- name: pages
  webhook_configs: [{{url: 'http://127.0.0.1:{port}/pages', max_alerts: 3}}]
- name: teams
  webhook_configs: [{{url: 'http://127.0.0.1:{port}/teams', send_resolved: false}}]
- name: odd
  webhook_configs: [{{url: 'http://127.0.0.1:{port}/odd'}}]
inhibit_rules:
- {{source_matchers: ['severity="crit"'], target_matchers: ['alertname="Inhibited"'], equal: [cluster]}}
"""
ODD = ['plain', 'a b', 'q"uote', 'back\\slash', 'new\nline', 'tab\there', '<b>&amp;</b>', 'grüße', '日本', '🙂', "it's", 'a=b,c', '{x}', '\u2028', 'e\u0301', '%20', '$1 {{ .X }}', ' lead', 'trail ', 'x' * 300]
FIXED = {'updatedAt', 'endsAt'}  # of the API: when each received it; its own end
GOOD = ["route: {receiver: r}\nreceivers: [{name: r}]\n",
        "route: {receiver: r, group_by: ['...']}\nreceivers: [{name: r, webhook_configs: [{url: 'http://x/'}]}]\n",
        "route: {receiver: r, routes: [{matchers: ['a=b', 'c=~\"d\"', '\"ü x\"!=y'], active_time_intervals: [t]}]}\nreceivers: [{name: r}]\ntime_intervals: [{name: t, time_intervals: [{weekdays: ['monday:friday'], location: Europe/Berlin, times: [{start_time: '09:00', end_time: '17:00'}]}]}]\n",
        "global: {slack_api_url: 'http://s/'}\nroute: {receiver: r}\nreceivers: [{name: r, slack_configs: [{channel: c}]}]\n",
        "route: {receiver: r}\nreceivers: [{name: r, pushover_configs: [{token: t, user_key: u}]}]\n",
        "route: {receiver: r}\nreceivers: [{name: r, msteams_configs: [{webhook_url: 'http://x/'}], webex_configs: [{room_id: x, http_config: {authorization: {credentials: c}}}]}]\n",
        "global: {smtp_smarthost: 'h:25', smtp_from: f@x}\nroute: {receiver: r}\nreceivers: [{name: r, email_configs: [{to: t@x}]}]\n",
        "route: {receiver: r}\nreceivers: [{name: r, jira_configs: [{api_url: 'http://j/', project: P, issue_type: Bug}]}]\n",
        "route: {receiver: r}\nreceivers: [{name: r, sns_configs: [{topic_arn: a, sigv4: {region: x}}]}]\n",
        "route: {receiver: r, match: {}}\nreceivers: [{name: r}]\n"]
BAD = ["", "route: {}\n", "receivers: [{name: r}]\n", "route: {receiver: x}\nreceivers: [{name: r}]\n", "route: {receiver: r, nope: 1}\nreceivers: [{name: r}]\n",
       "route: {receiver: r}\nreceivers: [{name: r}, {name: r}]\n", "route: {receiver: r, continue: true}\nreceivers: [{name: r}]\n",
       "route: {receiver: r, group_by: [a, a]}\nreceivers: [{name: r}]\n", "route: {receiver: r, group_by: ['...', a]}\nreceivers: [{name: r}]\n",
       "route: {receiver: r, group_interval: 0s}\nreceivers: [{name: r}]\n", "route: {receiver: r, matchers: ['a=~[']}\nreceivers: [{name: r}]\n",
       "route: {receiver: r, mute_time_intervals: [x]}\nreceivers: [{name: r}]\n", "route: {receiver: r, routes: [{receiver: y}]}\nreceivers: [{name: r}]\n",
       "route: {receiver: r, routes: [{active_time_intervals: [x]}]}\nreceivers: [{name: r}]\n", "route: {receiver: r, group_wait: soon}\nreceivers: [{name: r}]\n",
       "route: {receiver: r}\nreceivers: [{name: r, webhook_configs: [{}]}]\n", "route: {receiver: r}\nreceivers: [{name: r, webhook_configs: [{url: 'ftp://x'}]}]\n",
       "route: {receiver: r}\nreceivers: [{name: r, webhook_configs: [{url: 'http://x', url_file: y}]}]\n", "route: {receiver: r}\nreceivers: [{name: r, slack_configs: [{channel: c}]}]\n",
       "route: {receiver: r}\nreceivers: [{name: r, email_configs: [{to: t}]}]\n", "route: {receiver: r}\nreceivers: [{name: r, pagerduty_configs: [{}]}]\n",
       "route: {receiver: r}\nreceivers: [{name: r, telegram_configs: [{bot_token: t}]}]\n", "route: {receiver: r}\nreceivers: [{name: r, pushover_configs: [{token: t}]}]\n",
       "route: {receiver: r}\nreceivers: [{name: r, opsgenie_configs: [{}]}]\n", "route: {receiver: r}\nreceivers: [{name: r, victorops_configs: [{api_key: k}]}]\n",
       "route: {receiver: r}\nreceivers: [{name: r, wechat_configs: [{}]}]\n", "route: {receiver: r}\nreceivers: [{name: r, sns_configs: [{}]}]\n",
       "route: {receiver: r}\nreceivers: [{name: r, webex_configs: [{room_id: x}]}]\n", "route: {receiver: r}\nreceivers: [{name: r, discord_configs: [{}]}]\n",
       "route: {receiver: r}\nreceivers: [{name: r, jira_configs: [{project: p}]}]\n", "route: {receiver: r}\nreceivers: [{name: r, rocketchat_configs: [{}]}]\n",
       "route: {receiver: r}\nreceivers: [{name: r, incidentio_configs: [{}]}]\n", "route: {receiver: r}\nreceivers: [{}]\n",
       "route: {receiver: r}\nreceivers: [{name: r}]\ntime_intervals: [{name: t, time_intervals: [{times: [{start_time: '25:00', end_time: '26:00'}]}]}]\n",
       "route: {receiver: r}\nreceivers: [{name: r}]\ntime_intervals: [{name: t, time_intervals: [{weekdays: [someday]}]}]\n",
       "route: {receiver: r}\nreceivers: [{name: r}]\ninhibit_rules: [{source_matchers: ['a'], target_matchers: ['b=c']}]\n",
       "global: {resolve_timeout: x}\nroute: {receiver: r}\nreceivers: [{name: r}]\n", "route: {receiver: r}\nreceivers: [{name: r}]\nroute: {receiver: r}\n",
       "global: {smtp_smarthost: nohost}\nroute: {receiver: r}\nreceivers: [{name: r}]\n", "route: [1]\n", "a: [\n"]
LEFT_OUT = {'alertmanager_http_requests_in_flight', 'alertmanager_http_concurrency_limit_exceeded_total'}  # docs/differences.md
problems = []


def iso(seconds, digits=0):
    return time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds)) + (f'.{digits:09}' if digits else '') + 'Z'


def generate(n, seed):
    rng, now, out, seen, sources = random.Random(seed), int(time.time()), [], set(), set()
    while len(out) < n:
        labels = {'alertname': rng.choice(['Up', 'Down', 'Disk full', 'Inhibited', 'A"b', 'é']), 'instance': f'host-{rng.randrange(400)}', 'job': rng.choice(['a', 'b', 'node'])}
        for name, values, p in (('severity', ['page', 'crit', 'warn', 'info'], 0.8), ('cluster', ODD, 0.6), ('team', ['a b', 'ops', 'x'], 0.5), ('ünï cödé', ODD, 0.15), ('note', ODD, 0.5),
                                ('a.b-c', ODD, 0.1), ('empty', [''], 0.1)):
            if rng.random() < p:
                labels[name] = rng.choice(values)
        # One source of inhibition for each cluster, and never the target itself: the peer looks at one only (docs/differences.md).
        if labels.get('severity') == 'crit' and (labels['alertname'] == 'Inhibited' or labels.get('cluster') in sources):
            labels['severity'] = 'warn'
        if labels.get('severity') == 'crit':
            sources.add(labels.get('cluster'))
        key = tuple(sorted((k, v) for k, v in labels.items() if v))
        if key in seen:
            continue
        seen.add(key)
        out.append({'labels': labels, 'annotations': {k: rng.choice(ODD) for k in rng.sample(['summary', 'description', 'runbook', 'ä'], rng.randrange(4))},
                    'startsAt': iso(now - rng.randrange(0, 3), rng.randrange(10 ** 9)), 'endsAt': iso(now + 3600), 'generatorURL': rng.choice(['', 'http://g/?a=1&b=<2>'])})
    return out


class Sink:
    def __init__(self):
        self.bodies, self.kinds, self.lock = [], [], threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_POST(self):
                body = self.rfile.read(int(self.headers['Content-Length']))
                if self.path.split('/')[1] in ('rest', 'pages', 'teams', 'odd'):
                    with outer.lock:
                        outer.bodies.append((self.path, body, self.headers['Content-Type']))
                else:
                    with outer.lock:
                        outer.kinds.append((self.command, self.path, *(self.headers[h] for h in ('Content-Type', 'Authorization', 'X-Auth-Token', 'X-User-Id')), body))
                answer = b'ok' if self.path == '/slack' else b'{"success": true, "ok": true, "id": "1", "result": {"message_id": 1, "date": 1, "chat": {"id": 1, "type": "group"}}}'
                kind = b'text/plain' if self.path == '/slack' else b'application/json'
                self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s' % (kind, len(answer), answer))

            do_PUT = do_POST

            def log_message(self, *args):
                pass

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, request, client_address):
                pass  # a client that was stopped

        self.server = Quiet(('127.0.0.1', 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def start(which, directory):
    sink = Sink()
    os.makedirs(directory, exist_ok=True)
    config = os.path.join(directory, 'am.yml')
    with open(config, 'w', encoding='utf-8') as f:
        f.write(CONFIG.format(port=sink.port))
    address = f'127.0.0.1:{free_port()}'
    args = [f'--config.file={config}', f'--storage.path={directory}/data', f'--web.listen-address={address}', '--cluster.listen-address=', '--web.external-url=http://am.example:9093/x']
    if which == 'pharos':
        command = [BINARY, 'alertmanager', *args]
    else:
        root = os.path.join(PEERS, 'prometheus-alertmanager', 'usr')
        command = ['unshare', '-m', 'sh', '-c', f'mount -t overlay o -o lowerdir={root}/share:/usr/share /usr/share && exec {root}/bin/prometheus-alertmanager "$@"', 'am', *args]
    process = subprocess.Popen(command, stdout=open(f'{directory}/log', 'wb'), stderr=subprocess.STDOUT)
    atexit.register(process.kill)
    wait_for(f'{which} to be ready', lambda: request(address, 'GET', '/x/-/ready')[0] == 200, timeout=60)
    return sink, process, address


def settle(sinks, first):
    """Until nothing came for a while: as many bodies as there will be."""
    before, since = None, time.time()
    while time.time() - since < 6 or not all(len(s.bodies) > first for s in sinks):
        now = [len(s.bodies) for s in sinks]
        if now != before:
            before, since = now, time.time()
        if time.time() - since > 60:
            break
        time.sleep(0.2)


def differ(what, ours, theirs):
    problems.append(f'{what}\n  ours   {str(ours)[:1500]}\n  theirs {str(theirs)[:1500]}')


def compare_bodies(phase, ours, theirs):
    keyed = [{}, {}]
    for side, sink in enumerate((ours, theirs)):
        for path, body, kind in sink.bodies:
            if not body:
                problems.append(f'{phase}: an empty body at {path}')
                continue
            message = json.loads(body)
            keyed[side].setdefault((path, message['groupKey'], message['status']), []).append((body, kind))
    for key in sorted(set(keyed[0]) | set(keyed[1])):
        a, b = keyed[0].get(key), keyed[1].get(key)
        if a != b:
            brief = [[[(m['notification_reason'], m['status'], *((x['fingerprint'], x['status'], x['endsAt']) for x in m['alerts']))] for m in (json.loads(body) for body, _ in side or [])] for side in (a, b)]
            differ(f'{phase}: {key}', *(brief if brief[0] != brief[1] else (a, b)))
    return len(keyed[1]), sum(len(json.loads(x[0])['alerts']) for v in keyed[1].values() for x in v)


def compare_kinds(phase, ours, theirs):
    """What receivers of other kinds are sent, request by request."""
    a, b = sorted(ours.kinds, key=lambda x: x[:2]), sorted(theirs.kinds, key=lambda x: x[:2])
    def plain(x):  # the peer expands labels once more as templates and YAML: docs/differences.md
        return {k: plain(v) for k, v in x.items()} if isinstance(x, dict) else [plain(v) for v in x] if isinstance(x, list) else str(x)

    def same(x):
        return (*x[:6], plain(json.loads(x[6]))) if x[1] == '/pagerduty' else x

    for request in sorted({x[:2] for x in a + b}):
        mine, other = ([same(x) for x in side if x[:2] == request] for side in (a, b))
        if mine != other:
            differ(f'{phase}: {request}', mine, other)
    return len(b)


def strip(x):
    if isinstance(x, dict):
        return {k: bool(v) if k == 'inhibitedBy' else strip(v) for k, v in x.items() if k not in FIXED}  # by which of several sources is chance
    return [strip(v) for v in x] if isinstance(x, list) else x


def compare_api(a, b):
    for path, key in (('/api/v2/alerts', lambda x: x['fingerprint']), ('/api/v2/alerts/groups', None), ('/api/v2/receivers', None), ('/api/v2/silences', None),
                      ('/api/v2/alerts?filter=severity%3D~%22page%7Ccrit%22&filter=team%21%3D%22%22&inhibited=false', lambda x: x['fingerprint']), ('/api/v2/alerts/groups?receiver=pages', None)):
        ours, theirs = (json.loads(request(x, 'GET', '/x' + path)[2]) for x in (a, b))
        ours, theirs = strip(ours), strip(theirs)
        if key:
            ours, theirs = sorted(ours, key=key), sorted(theirs, key=key)
        if ours != theirs:
            first = next((p for p in zip(ours, theirs) if p[0] != p[1]), (len(ours), len(theirs)))
            differ(f'GET {path}', *first)


def families(address):
    text = request(address, 'GET', '/x/metrics')[2]
    text = text.decode() if isinstance(text, bytes) else text
    return {m[1]: m[2] for m in re.finditer(r'^# TYPE (alertmanager_\S+) (\S+)$', text, re.M)}


def compare_metrics(a, b):
    ours, theirs = families(a), families(b)
    for name in sorted(theirs):
        if ours.get(name) != theirs[name] and name not in LEFT_OUT:
            differ(f'metric {name}', ours.get(name), theirs[name])
    return len(theirs)


def compare_verdicts(directory):
    amtool = os.path.join(PEERS, 'prometheus-alertmanager', 'usr', 'bin', 'amtool')
    path = os.path.join(directory, 'check.yml')
    for text, good in [(t, True) for t in GOOD] + [(t, False) for t in BAD]:
        with open(path, 'w', encoding='utf-8') as f:
            f.write(text)
        ours, theirs = (subprocess.run([*c, 'check-config', path], capture_output=True, text=True) for c in ([BINARY, 'amtool'], [amtool]))
        if ours.returncode != theirs.returncode:
            differ(f'amtool check-config of\n{text}', (ours.returncode, ours.stdout, ours.stderr), (theirs.returncode, theirs.stdout, theirs.stderr))
        elif (theirs.returncode == 0) != good:
            differ(f'the peer thinks otherwise than this test of\n{text}', good, theirs.stdout + theirs.stderr)
    return len(GOOD) + len(BAD)


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--alerts', type=int, default=1000)
    p.add_argument('--seed', type=int, default=1)
    o = p.parse_args()
    if not peer('prometheus-alertmanager', 'prometheus-alertmanager'):
        skip('the peer is not there: scripts/peers.sh prometheus-alertmanager')
    with scratch() as d:
        os.makedirs(d, exist_ok=True)
        verdicts = compare_verdicts(d)
        runs = [start(w, os.path.join(d, w)) for w in ('pharos', 'peer')]
        (ours, _, a), (theirs, _, b) = runs
        alerts = generate(o.alerts, o.seed)
        alerts += [{'labels': {'alertname': 'Kinds', 'job': 'k', 'i': str(i), 'severity': 'info', 'cluster': 'kinds <&>'}, 'annotations': {'summary': 'It\'s "bad" & <worse>', 'd': str(i)},
                    'startsAt': iso(int(time.time()) - 2, 5), 'endsAt': iso(int(time.time()) + 3600), 'generatorURL': 'http://g/?a=1&b=<2>'} for i in range(2)]
        # Both get all of it well within group_wait: a group's first body has all its alerts.
        for address in (a, b):
            assert request(address, 'POST', '/x/api/v2/alerts', json.dumps(alerts), JSON)[0] == 200
        settle((ours, theirs), 0)
        for which, (_, process, _) in zip(('pharos', 'peer'), runs):
            if process.poll() is not None:
                with open(os.path.join(d, which, 'log'), errors='replace') as f:
                    sys.exit(f'{which} ended with {process.poll()}: ...{f.read()[-3000:]}')
        firing = compare_bodies('firing', ours, theirs)
        kinds = compare_kinds('firing', ours, theirs)
        compare_api(a, b)
        rng = random.Random(o.seed + 1)
        over = [dict(x, endsAt=iso(int(time.time()) - 1)) for x in alerts if rng.random() < 0.4 and x['labels']['alertname'] != 'Kinds']
        for x in over:
            x['endsAt'] = max(x['endsAt'], x['startsAt'].split('.')[0][:-1] + '9Z') if x['endsAt'] < x['startsAt'] else x['endsAt']
        over += [dict(x, endsAt=iso(int(time.time()) - 1)) for x in alerts if x['labels']['alertname'] == 'Kinds']
        ours.bodies, theirs.bodies, ours.kinds, theirs.kinds = [], [], [], []
        for address in (a, b):
            assert request(address, 'POST', '/x/api/v2/alerts', json.dumps(over), JSON)[0] == 200
        settle((ours, theirs), 0)
        resolved = compare_bodies('resolved', ours, theirs)
        kinds += compare_kinds('resolved', ours, theirs)
        names = compare_metrics(a, b)
        codes = [(x[1].terminate(), x[1].wait())[1] for x in runs]
    if codes[0] != 0:
        problems.append(f'exit status {codes[0]}')
    for x in problems[:30]:
        print(x)
    print(f'{o.alerts} alerts: {firing[0]} groups with {firing[1]} alerts firing, {resolved[0]} with {resolved[1]} after 40 % resolved; {kinds} requests to receivers of twelve kinds; {names} metrics, {verdicts} configurations: {len(problems)} differences')
    sys.exit(1 if problems else 0)


main()
