#!/usr/bin/env python3
"""The goals ("It must reach") of all issues so far, and what was measured.

    scripts/reach.py                      print the table: newest measurement of each row
    scripts/reach.py add --row R --figure F --met yes|no --command C     append a measurement to docs/reach.jsonl

docs/goals.tsv lists the rows; docs/reach.jsonl holds one JSON object per measurement, appended, never edited.
"""
import argparse, datetime, json, os, subprocess, sys

root = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
goals_path, reach_path = os.path.join(root, 'docs/goals.tsv'), os.path.join(root, 'docs/reach.jsonl')


def goals():
    with open(goals_path, encoding='utf-8') as f:
        next(f)
        return [line.rstrip('\n').split('\t') for line in f if line.strip()]


def measurements():
    if not os.path.exists(reach_path):
        return []
    with open(reach_path, encoding='utf-8') as f:
        return [json.loads(line) for line in f if line.strip()]


def add(args):
    rows = {row: goal for _, row, goal in goals()}
    if args.row not in rows:
        sys.exit(f'reach: no row "{args.row}" in docs/goals.tsv')
    commit = subprocess.run(['git', 'rev-parse', '--short', 'HEAD'], cwd=root, capture_output=True, text=True).stdout.strip()
    entry = {'row': args.row, 'figure': args.figure, 'goal': rows[args.row], 'met': args.met == 'yes', 'commit': commit,
             'date': datetime.date.today().isoformat(), 'command': args.command}
    with open(reach_path, 'a', encoding='utf-8') as f:
        f.write(json.dumps(entry, ensure_ascii=False) + '\n')


def show():
    newest = {m['row']: m for m in measurements()}
    width = max(len(row) for _, row, _ in goals())
    met = 0
    for issue, row, goal in goals():
        m = newest.get(row)
        mark = 'not measured' if m is None else 'met' if m['met'] else 'NOT MET'
        met += m is not None and m['met']
        print(f'{issue:>2}  {row:<{width}}  {mark:<12}  goal: {goal}')
        if m:
            print(f'    {"":<{width}}  {m["figure"]}  [{m["commit"]}, {m["date"]}: {m["command"]}]')
    print(f'{met} of {len(goals())} rows met')


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
sub = parser.add_subparsers(dest='verb')
adder = sub.add_parser('add')
for name in ('row', 'figure', 'met', 'command'):
    adder.add_argument('--' + name, required=True)
args = parser.parse_args()
add(args) if args.verb == 'add' else show()
