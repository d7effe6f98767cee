#!/usr/bin/env python3
"""The order of the house: a file includes from its own folder and from floors below, through their public headers.

Prints each violation as file:line: sentence; exit status 1 if there is one.
"""
import os, re, sys

FLOORS = [['base'], ['text'], ['model'], ['wire'], ['net'], ['config'], ['store'], ['tenant'], ['vector'], ['chart'],
          ['metrics'], ['events'], ['logs', 'traces'], ['collect'], ['alloy'], ['rules'], ['alert'], ['insight'], ['entity'],
          ['slo'], ['oncall'], ['dash'], ['services'], ['cmd']]
# Headers a floor offers to others; everything else in its folder is its own business.
PUBLIC = {'base': {'base/base.h', 'base/str.h', 'base/err.h', 'base/mem.h', 'base/vec.h', 'base/clock.h', 'base/log.h',
                   'base/thread.h', 'base/vfs.h', 'base/loop.h'},
          'text': {'text/text.h', 'text/tmpl.h'},
          'metrics': {'metrics/metrics.h', 'metrics/promql/promql.h', 'metrics/api/api.h', 'metrics/blocks/blocks.h',
                      'metrics/promql/memsource.h'},
          'alert': {'alert/alert.h', 'alert/notify/notify.h'},
          'collect': {'collect/collect.h', 'collect/exporters/exporters.h', 'collect/remote/remote.h'}}
level = {name: i for i, floor in enumerate(FLOORS) for name in floor}
bad = 0
root = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'src')
for folder, _, files in os.walk(root):
    for name in files:
        if not name.endswith(('.c', '.h', '.cc')):
            continue
        path = os.path.join(folder, name)
        rel = os.path.relpath(path, root)
        mine = rel.split(os.sep)[0]
        if mine not in level:
            print(f'src/{rel}:1: folder {mine} is not in the list of floors'); bad += 1; continue
        for n, line in enumerate(open(path, encoding='utf-8', errors='replace'), 1):
            m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not m:
                continue
            inc = m.group(1)
            theirs = inc.split('/')[0]
            if theirs == mine or theirs not in level:
                continue
            if level[theirs] >= level[mine]:
                print(f'src/{rel}:{n}: {mine} may not include {inc}: {theirs} is not below it'); bad += 1
            elif inc not in PUBLIC.get(theirs, {f'{theirs}/{theirs}.h'}):
                print(f'src/{rel}:{n}: {inc} is private to {theirs}'); bad += 1
sys.exit(1 if bad else 0)
