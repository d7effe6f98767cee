#!/usr/bin/env python3
"""The public rule tests of testdata/promtool: our verdict beside the peer's promtool, file by file.

    tests/e2e/promtool_peer.py [--promtool PATH] [--record]

The peer's promtool is no part of Debian's package: scripts/promtool_peer.sh builds it from its Go module where Go is there; else PATH, or
PROMTOOL in the environment. Without it nothing is compared and the status is 77. A verdict is the exit status, and for each named test that
failed its name; the words of an error are each program's own.
"""
import argparse, os, re, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *

WHERE = os.path.join(os.environ.get('PHAROS_SHARED', '/nonexistent'), 'testdata', 'promtool')


def verdict(command, name):
    out = subprocess.run([*command, 'test', 'rules', name], cwd=WHERE, capture_output=True, text=True, timeout=300)
    text = out.stdout + out.stderr
    failed = sorted(re.findall(r'^    name: (.*),$', text, re.M))
    wrong = sorted(re.findall(r'^    (?:expr: .*?, |alertname: .*?, )time: [^,]*', text, re.M))
    return out.returncode, failed, wrong


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--promtool', default=os.environ.get('PROMTOOL', os.path.join(ROOT, '.cache', 'peers', 'promtool')))
    p.add_argument('--record', action='store_true')
    o = p.parse_args()
    if not os.path.isdir(WHERE):
        skip('no test data: PHAROS_SHARED is not set')
    if not os.access(o.promtool, os.X_OK):
        skip(f'no promtool to compare with at {o.promtool}: scripts/promtool_peer.sh builds it')
    version = subprocess.run([o.promtool, '--version'], capture_output=True, text=True).stdout.split(' (')[0].replace('promtool, version', '').strip() or '?'
    same, other, tests = 0, [], 0
    for name in sorted(n for n in os.listdir(WHERE) if n.endswith('.yml')):
        with open(os.path.join(WHERE, name)) as f:
            if not re.search(r'^tests:', f.read(), re.M):
                continue
        tests += 1
        ours, theirs = verdict([BINARY, 'promtool'], name), verdict([o.promtool], name)
        if ours == theirs:
            same += 1
        else:
            other.append(name)
            print(f'{name}: ours {ours}, theirs {theirs}')
    print(f'{same} of {tests} files: same verdicts as promtool {version}')
    if o.record:
        subprocess.run([os.path.join(ROOT, 'scripts', 'reach.py'), 'add', '--row', 'public promtool rule tests', '--figure', f'{same} of {tests} files: same exit status and same failing tests as promtool {version}, built from its module (3.5 does not know start_timestamp: scripts/promtool_peer.sh)'
                        + (f'; others: {", ".join(other)}' if other else ''), '--met', 'yes' if same == tests else 'no', '--command', 'scripts/long.sh promtool'], check=True)
    sys.exit(0 if same == tests else 1)


main()
