#!/usr/bin/env python3
"""Told to wait: Discord answers 429 and says for how long; the message comes once, when it is allowed to, and not before.

    tests/e2e/alert_429.py [--record]

The double of Discord complains about whoever comes before Retry-After is over, about every rule that a message breaks, and about a rate limit
that headers told and nobody kept. Three cases: 429 for the first message; 429 twice, the second time for all of Discord; a 429 in the middle of
a burst over the limit.
"""
import argparse, os, sys, time
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *
from discord_double import DiscordDouble

CONFIG = """
route: {{receiver: r, group_by: [alertname], group_wait: 50ms, group_interval: 1h, repeat_interval: 10h}}
receivers: [{{name: r, discord_configs: [{{webhook_url: '{url}'}}]}}]
"""


def post(address, names):
    body = json.dumps([{'labels': {'alertname': n, 'severity': 'page'}, 'endsAt': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + 3600))} for n in names])
    status, _, answer = request(address, 'POST', '/api/v2/alerts', body, {'Content-Type': 'application/json'})
    assert status == 200, (status, answer)


def case(name, script, names):
    """(name, messages per alert are right, seconds of the longest wait told, when the last refused one was sent again after its wait)"""
    double = DiscordDouble().start()
    double.script += script
    with scratch() as d:
        os.makedirs(d, exist_ok=True)
        config = os.path.join(d, 'am.yml')
        with open(config, 'w') as f:
            f.write(CONFIG.format(url=double.url))
        server = Server(d, 'alertmanager', f'--config.file={config}').start()
        post(server.address, names)
        wait_for('all messages', lambda: double.count() >= len(names), timeout=120)
        time.sleep(2)  # whoever sends twice would do so now
        code = server.stop()
    double.stop()
    titles = sorted(m['body']['embeds'][0]['title'] for m in double.messages)
    late = []
    for i, (at, _, _, action) in enumerate(double.requests):
        if action and action[0] == '429':
            late.append(double.requests[i + 1][0] - at - action[1])
    problems = list(double.problems)
    if code != 0:
        problems.append(f'exit status {code}')
    if len(titles) != len(names) or len(set(titles)) != len(names):
        problems.append(f'{len(titles)} messages for {len(names)} alerts: {titles}')
    print(f'{name}: {len(double.requests)} requests, {len(titles)} messages for {len(names)} alerts, sent again {", ".join(f"{x:.2f}" for x in late)} s after it was allowed; problems: {problems or "none"}')
    return problems, late


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--record', action='store_true')
    o = p.parse_args()
    cases = [case('429, then success', [('429', 2.5)], ['A']),
             case('429 twice, the second for all', [('429', 0.7), ('429', 1.5, 'global')], ['A']),
             case('429 in a burst', [None, ('429', 1.2)], ['A', 'B', 'C', 'D', 'E', 'F', 'G'])]
    problems = [x for c in cases for x in c[0]]
    worst = max(x for c in cases for x in c[1])
    if o.record:
        subprocess.run([os.path.join(ROOT, 'scripts', 'reach.py'), 'add', '--row', '429, then success', '--figure',
                        f'three cases, 9 alerts: one message each, none early, at most {worst:.2f} s after Retry-After was over' if not problems else f'{len(problems)} problems',
                        '--met', 'no' if problems else 'yes', '--command', 'scripts/long.sh alert-429'], check=True)
    sys.exit(1 if problems else 0)


main()
