// One side of Explore: its queries, and their answers as a graph, a table and raw text.
import type { JSX } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { api, seriesName, type Labels, type QueryData, type Series } from '../api';
import { Chart } from '../chart';
import { toCsv } from '../csv';
import { legendText } from '../dash/source';
import { printStep } from '../dash/range';
import type { Editor } from '../editor';
import { ExpressionField, FaultView, useStable } from '../expression';
import { parseDuration, printDuration, visible } from '../format';
import { useLoad } from '../hooks';
import { listMetrics, unitOf, type Metric } from '../metrics';
import { download, Empty, Notes, Problem, TabPanel, Tabs, Waiting } from '../parts';
import { faultOf } from '../promql-error';
import { QueryTable, RawResult } from '../result';
import { rememberQuery } from '../store';
import { t } from '../strings';
import { TimePicker, widen, type Span } from '../time';
import { askPane, seriesOf, spanOf, type Answers, type Outcome } from './ask';
import { fromTree, print, standIn, type Built, type Node } from './builder';
import { Builder } from './builder-view';
import { AddToDashboard, History, Inspector } from './dialogs';
import { freeRef, type Pane, type Query } from './state';

const mostDrawn = 500;
const empty: Built = { metric: '', filters: [], ops: [] };

/** "now-1h" to "now" as the picker's range, anything else as two moments. */
function pickerSpan(pane: Pane, now: number): Span {
  const m = /^now-(\d[\w]*)$/.exec(pane.from), range = m && pane.to === 'now' ? parseDuration(m[1]) : null;
  if (range) return { range, end: null };
  const { from, to } = spanOf(pane, now);
  return { range: (to - from) / 1000, end: to / 1000 };
}
export function fromPicker(s: Span): { from: string; to: string } {
  return s.end === null ? { from: `now-${printDuration(s.range)}`, to: 'now' } : { from: String(Math.round((s.end - s.range) * 1000)), to: String(Math.round(s.end * 1000)) };
}

interface RowProps { query: Query; only: boolean; outcome: Outcome | undefined; metrics: Metric[]; onChange: (q: Query, run: boolean) => void; onRemove: () => void }
function QueryRow({ query, only, outcome, metrics, onChange, onRemove }: RowProps): JSX.Element {
  const [built, setBuilt] = useState<Built | null>(query.expr.trim() ? null : empty), [why, setWhy] = useState(''), [forced, setForced] = useState(false), editor = useRef<Editor | null>(null), latest = useRef(query.expr);
  // The server reads the expression; what the builder itself wrote needs no reading.
  useEffect(() => {
    latest.current = query.expr;
    if (query.mode !== 'builder' || (built && print(built) === query.expr)) return;
    if (!query.expr.trim()) { setBuilt(empty); setWhy(''); return; }
    const abort = new AbortController();
    api<Node>('parse_query', { query: standIn(query.expr) }, abort.signal).then(({ data }) => {
      const got = fromTree(data);
      setBuilt(got.built);
      setWhy(got.built ? '' : t('The builder has no place for {0} in this expression.', got.why));
    }, (e: Error) => { if (!abort.signal.aborted) { setBuilt(null); setWhy(t('The expression cannot be read: {0}', e.message)); } });
    return () => abort.abort();
  }, [query.expr, query.mode]);
  const code = query.mode === 'code' || why !== '' || forced, error = outcome?.range.error ?? outcome?.instant.error, fault = error ? faultOf(outcome?.expr ?? '', error.message) : null;
  const same = outcome?.expr === query.expr;
  const setMode = (mode: 'builder' | 'code'): void => { setForced(false); onChange({ ...query, mode, expr: latest.current }, latest.current !== query.expr); };
  return (
    <div class="query query-row" role="group" aria-label={t('Query {0}', query.refId)}>
      <div class="bar query-head">
        <b class="ref">{query.refId}</b>
        <span class="tabs" role="group" aria-label={t('How query {0} is written', query.refId)}>
          <button type="button" aria-pressed={!code} onClick={() => setMode('builder')}>{t('Builder')}</button><button type="button" aria-pressed={code} onClick={() => setMode('code')}>{t('Code')}</button>
        </span>
        {code && query.mode === 'builder' && why && <span class="why" role="status">{visible(why)}</span>}
        <span class="spacer" />
        {!only && <label class="check"><input type="checkbox" checked={!query.hide} onChange={(e) => onChange({ ...query, hide: e.currentTarget.checked ? undefined : true }, true)} /> {t('Show')}</label>}
        {!only && <button type="button" class="icon" aria-label={t('Remove query {0}', query.refId)} title={t('Remove this query')} onClick={onRemove}>✕</button>}
      </div>
      {code ? (
        <ExpressionField value={query.expr} fault={useStable(same ? fault : null)} focus={false} editor={editor} onRun={(text) => { latest.current = text; rememberQuery(text); onChange({ ...query, expr: text }, true); }} />
      ) : built ? (
        <Builder built={built} metrics={metrics} onChange={(b) => { setBuilt(b); const expr = print(b); if (expr !== query.expr) { rememberQuery(expr); onChange({ ...query, expr }, true); } }} />
      ) : <Waiting />}
      {fault && outcome ? <FaultView expr={outcome.expr} fault={fault} /> : error && <Problem error={error} />}
    </div>
  );
}

function Graph({ answers, pane, sync, onSpan }: { answers: Answers; pane: Pane; sync: string; onSpan: (s: Span) => void }): JSX.Element {
  const [stacked, setStacked] = useState(false), several = answers.outcomes.length > 1;
  const rows: { s: Series; o: Outcome }[] = answers.outcomes.flatMap((o) => seriesOf(o).map((s) => ({ s, o }))), drawn = rows.slice(0, mostDrawn);
  const owner = new Map<Labels, Outcome>(drawn.map(({ s, o }) => [s.metric, o]));
  const name = (m: Labels): string => { const o = owner.get(m), text = o?.query.legend ? legendText(o.query.legend, m) : Object.keys(m).length ? seriesName(m) : (o?.query.expr ?? ''); return several ? `${o?.query.refId} ${text}` : text; };
  const metric = /[a-zA-Z_:][\w:]*(?=[{[\s),]|$)/.exec(answers.outcomes[0]?.query.expr.replace(/\b(by|without|sum|avg|min|max|count|rate|increase|irate|histogram_quantile|topk|bottomk|quantile|le)\b/g, '').replace(/\([^()]*\)\s*\(/g, '(').trim() ?? '')?.[0] ?? '';
  const quantile = /histogram_quantile/.test(answers.outcomes[0]?.query.expr ?? ''), rated = !quantile && /\b(rate|irate|deriv)\b/.test(answers.outcomes[0]?.query.expr ?? ''), plain = answers.outcomes.length === 1 && !/[/*%^]|count|changes|resets/.test(answers.outcomes[0].query.expr.replace(/\{[^}]*\}/g, '').replace(/_count\b/, ''));
  return (
    <div class="panel result-panel" role="group" aria-label={t('Graph')}>
      <div class="bar"><h2>{t('Graph')}</h2><span class="spacer" /><label class="check"><input type="checkbox" checked={stacked} onChange={(e) => setStacked(e.currentTarget.checked)} /> {t('Stacked')}</label></div>
      {rows.length > drawn.length && <Notes warnings={[]} infos={[t('The first {0} of {1} series are drawn.', drawn.length, rows.length)]} />}
      {drawn.length ? <Chart range={{ series: drawn.map((x) => x.s), start: answers.start, end: answers.end, step: answers.step }} title={pane.queries.map((q) => q.expr).filter(Boolean).join('; ')} name={name} legend="table" height={280} stacked={stacked} unit={plain && metric ? unitOf(metric, rated) : 'short'} sync={sync}
        onZoom={(a, b) => onSpan({ range: Math.max(1, Math.round(b - a)), end: Math.round(b) })} onZoomOut={() => onSpan(widen(pickerSpan(pane, Date.now()), Date.now() / 1000))} /> : <Empty>{t('No series match in this range.')}</Empty>}
    </div>
  );
}

function Instant({ answers }: { answers: Answers }): JSX.Element {
  const [view, setView] = useState<'table' | 'raw'>('table'), id = useId(), good = answers.outcomes.filter((o) => o.instant.data);
  return (
    <div class="panel result-panel" role="group" aria-label={t('Values')}>
      <div class="bar"><h2>{t('Values at the end')}</h2><Tabs id={id} value={view} label={t('How values are shown')} tabs={[['table', t('Table')], ['raw', t('Raw')]]} onChange={setView} /><span class="spacer" />
        {good.length > 0 && <button type="button" onClick={() => download('query.csv', 'text/csv', good.map((o) => toCsv(o.instant.data as QueryData)).join('\r\n'))}>{t('CSV')}</button>}</div>
      <TabPanel id={id} value={view}>
        {good.map((o) => <div class="one-result">{good.length > 1 && <h3 class="ref">{o.query.refId} <span class="mono muted small">{visible(o.query.expr)}</span></h3>}{view === 'table' ? <QueryTable data={o.instant.data as QueryData} /> : <RawResult data={o.instant.data as QueryData} />}</div>)}
      </TabPanel>
    </div>
  );
}

interface PaneProps { pane: Pane; index: number; count: number; tick: number; synced: boolean; onChange: (p: Pane, push?: boolean) => void; onTime: (from: string, to: string) => void; onSplit: () => void; onClose: () => void; onSync: () => void }
export function PaneView({ pane, index, count, tick, synced, onChange, onTime, onSplit, onClose, onSync }: PaneProps): JSX.Element {
  const [open, setOpen] = useState<'' | 'history' | 'inspect' | 'add'>(''), [metrics, setMetrics] = useState<Metric[]>([]), [again, setAgain] = useState(0), box = useRef<HTMLDivElement>(null);
  useEffect(() => void listMetrics().then(setMetrics, () => {}), []);
  const asked = JSON.stringify([pane.queries.map((q) => [q.refId, q.expr, q.hide, q.legend]), pane.from, pane.to]), has = pane.queries.some((q) => q.expr.trim() && !q.hide);
  const load = useLoad<Answers | null>(async (signal) => (has ? askPane(pane, Math.max(100, Math.round((box.current?.clientWidth ?? 900) * 0.75)), Date.now(), signal) : null), [asked, tick, again]);
  const setQuery = (i: number, q: Query, run: boolean): void => {
    if (run) setAgain(again + 1);
    onChange({ ...pane, queries: pane.queries.map((x, k) => (k === i ? q : x)) }, run && q.expr !== pane.queries[i].expr);
  };
  const setSpan = (s: Span): void => { const { from, to } = fromPicker(s); onTime(from, to); };
  const answers = load.data, total = answers?.outcomes.reduce((n, o) => n + seriesOf(o).length, 0) ?? 0, name = count > 1 ? (index ? t('Right pane') : t('Left pane')) : t('Explore');
  const warnings = [...new Set(answers?.outcomes.flatMap((o) => o.warnings) ?? [])], infos = [...new Set(answers?.outcomes.flatMap((o) => o.infos) ?? [])];
  return (
    <div class="pane" ref={box} role="region" aria-label={name}>
      <div class="bar pane-bar">
        <TimePicker span={pickerSpan(pane, Date.now())} now={Date.now() / 1000} onChange={setSpan} />
        {count > 1 && <button type="button" aria-pressed={synced} title={t('Both panes show the same time')} onClick={onSync}>{t('Sync time')}</button>}
        <span class="spacer" />
        <button type="button" onClick={() => setOpen('history')}>{t('History')}</button>
        <button type="button" disabled={!answers} onClick={() => setOpen('inspect')}>{t('Inspect')}</button>
        <button type="button" disabled={!has} onClick={() => setOpen('add')}>{t('Add to dashboard')}</button>
        {count > 1 ? <button type="button" onClick={onClose}>{t('Close pane')}</button> : <button type="button" onClick={onSplit}>{t('Split')}</button>}
      </div>
      {pane.queries.map((q, i) => (
        <QueryRow key={q.refId} query={q} only={pane.queries.length === 1} metrics={metrics} outcome={answers?.outcomes.find((o) => o.query.refId === q.refId && o.query.expr === q.expr)} onChange={(next, run) => setQuery(i, next, run)} onRemove={() => onChange({ ...pane, queries: pane.queries.filter((_, k) => k !== i) }, true)} />
      ))}
      <div class="bar under-queries">
        <button type="button" onClick={() => onChange({ ...pane, queries: [...pane.queries, { refId: freeRef(pane.queries), expr: '', mode: 'builder' }] }, true)}>+ {t('Add a query')}</button>
        <button type="button" class="primary" disabled={!has} onClick={() => setAgain(again + 1)}>{t('Run')}</button>
        <span class="muted spacer" role="status">{load.loading && has ? t('Loading …') : answers ? t('{0} series · step {1} · {2} ms', total, printStep(answers.steps.step), Math.round(Math.max(0, ...answers.outcomes.map((o) => o.range.ms)))) : ''}</span>
      </div>
      {load.error && <Problem error={load.error} />}
      <Notes warnings={warnings} infos={infos} />
      {!has && !load.loading && <Empty><p>{t('Choose a metric above, or write an expression as code.')}</p></Empty>}
      {load.loading && !answers && has && <Waiting rows={2} />}
      {answers && has && answers.outcomes.some((o) => o.range.data || o.instant.data) && (
        <div class={load.loading ? 'stale' : ''}>
          <Graph answers={answers} pane={pane} sync={synced || count === 1 ? 'explore' : `explore-${index}`} onSpan={setSpan} />
          <Instant answers={answers} />
        </div>
      )}
      {open === 'history' && <History onClose={() => setOpen('')} onChoose={(text) => setQuery(0, { ...pane.queries[0], expr: text }, true)} />}
      {open === 'inspect' && answers && <Inspector answers={answers} onClose={() => setOpen('')} />}
      {open === 'add' && <AddToDashboard pane={pane} onClose={() => setOpen('')} />}
    </div>
  );
}
