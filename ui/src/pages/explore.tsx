// Explore: queries beside each other, and the metrics without one.
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import '../explore.css';
import { later } from '../later';
import { parseDuration, printDuration } from '../format';
import { PaneView, fromPicker } from '../explore/pane';
import { spanOf } from '../explore/ask';
import { printPanes, readPanes, type Pane } from '../explore/state';
import { route, setParams } from '../router';
import { t } from '../strings';
import { Refresh, useEvery, type Span } from '../time';

const Drilldown = later(() => import('../explore/drilldown').then((m) => m.Drilldown), undefined, 2);

export function ExplorePage(): JSX.Element {
  const params = route.value.params, panes = readPanes(params), browse = params.get('view') === 'metrics', refresh = params.get('refresh') ?? '', synced = params.get('sync') !== 'off';
  const [tick, setTick] = useState(0), again = (): void => setTick((n) => n + 1);
  useEvery(refresh, again);
  const write = (next: Pane[], push = true): void => setParams({ panes: printPanes(next), schemaVersion: '1', left: null, right: null, expr: null, from: null, to: null }, push);
  const setTime = (i: number, from: string, to: string): void => { write(panes.map((p, k) => (k === i || (synced && panes.length > 1) ? { ...p, from, to } : p))); again(); };
  const from = params.get('from') ?? 'now-1h', to = params.get('to') ?? 'now', m = /^now-(\d\w*)$/.exec(from), range = m && to === 'now' ? parseDuration(m[1]) : null, fixed = spanOf({ queries: [], from, to }, Date.now());
  const span: Span = range ? { range, end: null } : { range: (fixed.to - fixed.from) / 1000, end: fixed.to / 1000 };
  const setSpan = (s: Span): void => { const next = fromPicker(s); setParams(next.from === `now-${printDuration(3600)}` && next.to === 'now' ? { from: null, to: null } : next, true); again(); };
  return (
    <div class="page explore-page">
      <div class="bar head">
        <h1>{t('Explore')}</h1>
        <span class="tabs" role="group" aria-label={t('What to explore')}>
          <button type="button" aria-pressed={!browse} onClick={() => setParams({ view: null, metric: null, by: null, q: null, prefix: null, type: null }, true)}>{t('Queries')}</button>
          <button type="button" aria-pressed={browse} onClick={() => setParams({ view: 'metrics', from: null, to: null }, true)}>{t('Metrics')}</button>
        </span>
        <span class="spacer" />
        <Refresh value={refresh} onChange={(v) => setParams({ refresh: v || null })} onNow={again} />
      </div>
      {browse ? <Drilldown span={span} from={from} to={to} tick={tick} onSpan={setSpan} /> : (
        <div class={panes.length > 1 ? 'panes two' : 'panes'}>
          {panes.map((p, i) => (
            <PaneView key={i} pane={p} index={i} count={panes.length} tick={tick} synced={synced} onChange={(next, push) => write(panes.map((x, k) => (k === i ? next : x)), push)} onTime={(a, b) => setTime(i, a, b)}
              onSplit={() => write([p, { ...p, queries: p.queries.map((q) => ({ ...q })) }])} onClose={() => write(panes.filter((_, k) => k !== i))} onSync={() => setParams({ sync: synced ? 'off' : null })} />
          ))}
        </div>
      )}
    </div>
  );
}
