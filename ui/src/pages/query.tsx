// Ask: expressions, each with its time range, as a graph or a table. Parameters are Prometheus's (g0.expr, g0.tab, ...), so its links
// open here and ours open there.
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { api, rangeQuery, type QueryData } from '../api';
import { Chart, type Range } from '../chart';
import { toCsv } from '../csv';
import type { Editor } from '../editor';
import { Explorer } from '../explorer';
import { ExpressionField, FaultView, useStable } from '../expression';
import { formatTime, parseDuration, parseLinkTime, printDuration, printLinkTime } from '../format';
import { useLoad } from '../hooks';
import { download, Empty, Menu, Notes, Problem, TabPanel, Tabs, Waiting } from '../parts';
import { faultOf } from '../promql-error';
import { QueryTable } from '../result';
import { route, setParams } from '../router';
import { forgetQueries, queries, rememberQuery } from '../store';
import { t } from '../strings';
import { Refresh, TimePicker, useEvery, widen, type Span } from '../time';

const examples = ['up', 'rate(node_cpu_seconds_total{mode!="idle"}[5m])', 'node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes', 'topk(5, sum by (handler) (rate(prometheus_http_requests_total[5m])))'];
const mostDrawn = 1000;

function HistoryMenu({ onChoose }: { onChoose: (text: string) => void }): JSX.Element {
  const icon = <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.5"><circle cx="8" cy="8" r="6" /><path d="M8 4.500V8l2.500 1.500" /></svg>;
  return (
    <Menu text={icon} label={t('Query history')} title={t('Query history')} align="right">
      {(close) => (queries.value.length ? (
        <div class="history">
          <ul>{queries.value.map((q) => <li><button type="button" class="mono" onClick={() => { close(); onChoose(q); }}>{q}</button></li>)}</ul>
          <button type="button" class="link" onClick={() => { forgetQueries(); close(); }}>{t('Forget them')}</button>
        </div>
      ) : <p class="muted hint">{t('Queries you run are kept here, in this browser.')}</p>)}
    </Menu>
  );
}

interface Answered { data: QueryData; warnings: string[]; infos: string[]; range: Range | null; expr: string; ms: number }
interface PanelProps { n: number; only: boolean; tick: number; onRemove: () => void }

function QueryPanel({ n, only, tick, onRemove }: PanelProps): JSX.Element {
  const params = route.value.params;
  const get = (name: string): string | null => params.get(`g${n}.${name}`);
  const set = (change: Record<string, string | null>, push = false): void => setParams(Object.fromEntries(Object.entries(change).map(([k, v]) => [`g${n}.${k}`, v])), push);
  const expr = get('expr') ?? '';
  const tab = get('tab') === '1' || get('tab') === 'table' ? 'table' : 'graph';
  const range = parseDuration(get('range_input') ?? '') ?? 3600;
  const fixedEnd = parseLinkTime(tab === 'table' ? (get('moment_input') ?? get('end_input')) : get('end_input'));
  const stacked = get('stacked') === '1' || get('display_mode') === 'stacked';
  const stepText = get('step_input') ?? get('res_step') ?? '';
  const [now, setNow] = useState(() => Date.now() / 1000);
  const end = fixedEnd ?? now;
  const step = Math.max(parseDuration(stepText) ?? Math.max(1, Math.ceil(range / 400)), range / 11_000);
  const [exploring, setExploring] = useState(false);
  const [asked, setAsked] = useState(0);
  const editor = useRef<Editor | null>(null);
  const id = useId();

  useEffect(() => setNow(Date.now() / 1000), [tick]);
  const load = useLoad<Answered | null>(async (signal) => {
    if (!expr.trim()) return null;
    const from = performance.now();
    const last = Math.floor(end / step) * step, first = Math.floor((end - range) / step) * step;
    const answer = tab === 'graph' ? await rangeQuery(expr, first, last, step, signal) : await api<QueryData>('query', { query: expr, time: end.toFixed(3) }, signal);
    const series = tab === 'graph' && answer.data.resultType === 'matrix' ? answer.data.result : null;
    return { ...answer, expr, ms: performance.now() - from, range: series && { series: series.slice(0, mostDrawn), start: first, end: last, step } };
  }, [expr, tab, range, end, step, asked]);

  const run = (text: string): void => {
    rememberQuery(text);
    setNow(Date.now() / 1000);
    setAsked(asked + 1);
    set({ expr: text, tab: get('tab') ?? '0' }, text !== expr);
  };
  const setSpan = (s: Span): void => {
    if (s.end === null) setNow(Date.now() / 1000);
    set({ range_input: printDuration(s.range), end_input: s.end === null ? null : printLinkTime(s.end), moment_input: null }, true);
  };
  const answer = load.data;
  const count = answer && Array.isArray(answer.data.result) && (answer.data.resultType === 'vector' || answer.data.resultType === 'matrix') ? answer.data.result.length : null;
  const fault = load.error ? faultOf(expr, load.error.message) : null;
  const infos = [...(answer?.infos ?? []), ...(count !== null && tab === 'graph' && count > mostDrawn ? [t('The first {0} of {1} series are drawn.', mostDrawn, count)] : [])];
  const fresh = answer && !load.error && (tab === 'graph') === !!answer.range ? answer : null;

  return (
    <section class="query" aria-label={only ? t('Query') : t('Query {0}', n + 1)}>
      <ExpressionField value={expr} fault={useStable(fault)} focus={only && !matchMedia('(pointer: coarse)').matches} editor={editor} onRun={run}>
        <span class="group tools">
          <button type="button" aria-label={t('Metrics')} title={t('All metrics')} onClick={() => setExploring(true)}>
            <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.5"><path d="M2.500 4h11M2.500 8h11M2.500 12h7" /></svg>
          </button>
          <HistoryMenu onChoose={run} />
        </span>
      </ExpressionField>
      {exploring && <Explorer onChoose={(name) => editor.current?.insert(name)} onClose={() => setExploring(false)} />}
      {fault && <FaultView expr={expr} fault={fault} />}
      <div class="bar">
        <Tabs id={id} value={tab} label={t('View')} tabs={[['graph', t('Graph')], ['table', t('Table')]]} onChange={(v) => set({ tab: v === 'graph' ? '0' : '1' })} />
        {tab === 'graph' ? (
          <>
            <TimePicker span={{ range, end: fixedEnd }} now={now} onChange={setSpan} />
            <label class="step">{t('Step')} <input type="text" inputMode="text" spellcheck={false} placeholder={printDuration(step)} value={stepText} onChange={(e) => set({ step_input: e.currentTarget.value.trim() || null, res_step: null })} /></label>
            <label class="check"><input type="checkbox" checked={stacked} onChange={(e) => set({ stacked: e.currentTarget.checked ? '1' : null, display_mode: null })} /> {t('Stacked')}</label>
          </>
        ) : (
          <span class="group" role="group" aria-label={t('Time')}>
            <input type="datetime-local" step="1" aria-label={t('Time')} value={fixedEnd === null ? '' : formatTime(fixedEnd).replace(' ', 'T')}
              onChange={(e) => set({ moment_input: e.currentTarget.value ? printLinkTime(Date.parse(e.currentTarget.value) / 1000) : null, end_input: null }, true)} />
            <button type="button" disabled={fixedEnd === null} onClick={() => { setNow(Date.now() / 1000); set({ moment_input: null, end_input: null }, true); }}>{t('Now')}</button>
          </span>
        )}
        <span class="muted spacer" role="status">
          {load.loading && expr ? t('Loading …') : count !== null && answer ? t(count === 1 ? '1 series, {1} ms' : '{0} series, {1} ms', count, Math.round(answer.ms)) : ''}
        </span>
        {tab === 'table' && fresh && (count ?? 0) > 0 && <button type="button" onClick={() => download('query.csv', 'text/csv', toCsv(fresh.data))}>{t('CSV')}</button>}
        {!only && <button type="button" class="icon" aria-label={t('Remove query {0}', n + 1)} title={t('Remove this query')} onClick={onRemove}>✕</button>}
      </div>
      <TabPanel id={id} value={tab}>
        {load.error && !fault && <Problem error={load.error} />}
        {fresh && <Notes warnings={fresh.warnings} infos={infos} />}
        {!expr.trim() && only && (
          <Empty>
            <p>{t('Type a PromQL expression, choose from the list of metrics, or try one of these:')}</p>
            <ul class="examples">{examples.map((e) => <li><button type="button" class="link mono" onClick={() => run(e)}>{e}</button></li>)}</ul>
          </Empty>
        )}
        {load.loading && !fresh && expr.trim() && !load.error && <Waiting />}
        <div class={load.loading && fresh ? 'stale' : ''}>
          {tab === 'graph' && fresh?.range && (fresh.range.series.length
            ? <Chart range={fresh.range} stacked={stacked} title={fresh.expr} height={360} legend="table"
                onZoom={(from, to) => setSpan({ range: Math.max(1, Math.round(to - from)), end: Math.round(to) })}
                onZoomOut={() => setSpan(widen({ range, end: fixedEnd }, Date.now() / 1000))} />
            : <Empty>{t('No series match in this range.')}</Empty>)}
          {tab === 'table' && fresh && <QueryTable data={fresh.data} />}
        </div>
      </TabPanel>
    </section>
  );
}

/** The numbers of the panels in the address; at least one. */
function panelsOf(params: URLSearchParams): number[] {
  const found = new Set<number>();
  for (const key of params.keys()) {
    const m = /^g(\d{1,3})\./.exec(key);
    if (m) found.add(Number(m[1]));
  }
  return found.size ? [...found].sort((a, b) => a - b) : [0];
}

export function QueryPage(): JSX.Element {
  const params = route.value.params;
  const panels = panelsOf(params);
  const refresh = params.get('refresh') ?? '';
  const [tick, setTick] = useState(0);
  useEvery(refresh, () => setTick((n) => n + 1));
  return (
    <div class="page">
      <div class="bar head">
        <h1>{t('Query')}</h1>
        <span class="spacer" />
        <Refresh value={refresh} onChange={(v) => setParams({ refresh: v || null })} onNow={() => setTick(tick + 1)} />
      </div>
      {panels.map((n) => (
        <QueryPanel key={n} n={n} only={panels.length === 1} tick={tick}
          onRemove={() => setParams(Object.fromEntries([...params.keys()].filter((k) => k.startsWith(`g${n}.`)).map((k) => [k, null])), true)} />
      ))}
      <button type="button" onClick={() => setParams({ [`g${panels[panels.length - 1]}.expr`]: params.get(`g${panels[panels.length - 1]}.expr`) ?? '', [`g${panels[panels.length - 1] + 1}.expr`]: '' }, true)}>+ {t('Add a query')}</button>
    </div>
  );
}
