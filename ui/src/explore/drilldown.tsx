// Looking around without writing a query: every metric with a small chart, one metric by its labels, and filters that come with a click.
import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { api, rangeQuery, type Labels, type QueryData, type Series } from '../api';
import { Chart, type Range } from '../chart';
import { Combo } from '../combo';
import { formatNumber, visible } from '../format';
import { useLoad } from '../hooks';
import { labelNames, labelText, labelValues, listMetrics, selector, unitOf, type Filter, type Kind, type Metric } from '../metrics';
import { Empty, Problem, Waiting } from '../parts';
import { href, route, setParams } from '../router';
import { t } from '../strings';
import { TimePicker, type Span } from '../time';
import { exploreLink } from './state';

const kinds: [Kind | '', string][] = [['', 'All types'], ['counter', 'Counters'], ['gauge', 'Gauges'], ['histogram', 'Histograms'], ['summary', 'Summaries'], ['info', 'Info'], ['unknown', 'No type']];

/** What a metric's chart shows by itself: counters as rates, histograms as a quantile. */
export function viewOf(m: Metric, filters: Filter[], by: string, rate: string): { expr: string; says: string; rated: boolean } {
  const sel = selector(m.name, filters), group = by ? ` by (${labelText(by)}) ` : '', inner = m.kind === 'histogram' ? `le${by ? `, ${labelText(by)}` : ''}` : by ? labelText(by) : '';
  switch (m.kind) {
    case 'counter': return { expr: `sum${group}(rate(${sel}[${rate}]))`, says: t('rate per second, sum'), rated: true };
    case 'histogram': return { expr: `histogram_quantile(0.95, sum by (${inner}) (rate(${sel}[${rate}])))`, says: t('95th percentile'), rated: false };
    case 'native': return { expr: `histogram_quantile(0.95, sum${inner ? ` by (${inner}) ` : ''}(rate(${sel}[${rate}])))`, says: t('95th percentile'), rated: false };
    case 'info': return { expr: `count${group}(${sel})`, says: t('number of series'), rated: false };
    default: return { expr: `avg${group}(${sel})`, says: t('mean'), rated: false };
  }
}

const prefixOf = (name: string): string => /^[a-zA-Z:]+/.exec(name)?.[0] ?? name;

/** True from when the element comes into sight. */
function useSeen(): [{ current: HTMLElement | null }, boolean] {
  const box = useRef<HTMLElement | null>(null), [seen, setSeen] = useState(false);
  useEffect(() => {
    if (!box.current) return;
    const watch = new IntersectionObserver((all) => all.some((e) => e.isIntersecting) && setSeen(true), { rootMargin: '200px' });
    watch.observe(box.current);
    return () => watch.disconnect();
  }, []);
  return [box, seen];
}

interface SmallProps { title: string; expr: string; metric: Metric; window: { start: number; end: number; step: number }; rated: boolean; note?: string; height?: number; legend?: boolean; name?: (m: Labels) => string; children?: JSX.Element | JSX.Element[] }
function SmallChart({ title, expr, metric, window: w, rated, note, height = 120, legend, name, children }: SmallProps): JSX.Element {
  const [box, seen] = useSeen();
  const load = useLoad<Range | null>(async (signal) => {
    if (!seen) return null;
    const { data } = await rangeQuery(expr, w.start, w.end, w.step, signal);
    return { series: data.resultType === 'matrix' ? data.result.slice(0, 60) : [], ...w };
  }, [seen, expr, w.start, w.end, w.step]);
  return (
    <section class={`panel small-chart ${legend ? '' : 'no-legend'}`} ref={(e) => { box.current = e; }} aria-label={title}>
      <h2 title={title}>{title}</h2>
      {note && <p class="muted small under">{note}</p>}
      {load.error ? <Problem error={load.error} /> : !seen ? <div style={{ height: `${height}px` }} /> : !load.data ? <div class="waiting" role="status" aria-label={t('Loading …')}><div class="skeleton" style={{ height: `${height}px` }} /></div> : load.data.series.length ? <Chart range={load.data} title={title} height={height} unit={unitOf(metric.name, rated)} name={name ?? (() => title)} fromZero={rated} /> : <div class="empty small" style={{ minHeight: `${height}px` }}>{t('No data in this range.')}</div>}
      {children && <div class="chart-actions">{children}</div>}
    </section>
  );
}

function Filters({ filters, match, onChange }: { filters: Filter[]; match: string; onChange: (f: Filter[]) => void }): JSX.Element {
  const [name, setName] = useState('');
  return (
    <span class="filters" role="group" aria-label={t('Filters')}>
      {filters.map((f, i) => <button type="button" class="chip" aria-label={t('Remove the filter {0}', `${f.name} ${f.op} ${f.value}`)} title={t('Remove this filter')} onClick={() => onChange(filters.filter((_, k) => k !== i))}>{visible(`${f.name} ${f.op} ${f.value}`)} ✕</button>)}
      <span class="group"><Combo value={name} label={t('Label to filter by')} placeholder={t('+ filter by label')} options={() => labelNames(match).then((x) => x.map((value) => ({ value })))} onChange={setName} />
        {name && <Combo value="" autoFocus label={t('Value of {0}', name)} placeholder={t('value')} options={() => labelValues(name, match).then((x) => x.map((value) => ({ value })))} onChange={(value) => { onChange([...filters, { name, op: '=', value }]); setName(''); }} />}</span>
    </span>
  );
}

export function readFilters(params: URLSearchParams): Filter[] {
  return params.getAll('filter').flatMap((x) => { const m = /^([^=!~|]+)(=~|!~|!=|=)([\s\S]*)$/.exec(x); return m ? [{ name: m[1], op: m[2], value: m[3] }] : []; });
}

function setFilters(filters: Filter[]): void {
  const params = new URLSearchParams(location.search);
  params.delete('filter');
  for (const f of filters) params.append('filter', `${f.name}${f.op}${f.value}`);
  history.pushState(null, '', `${location.pathname}?${params}`);
  dispatchEvent(new PopStateEvent('popstate'));
}

function ByLabel({ metric, filters, window, rate }: { metric: Metric; filters: Filter[]; window: { start: number; end: number; step: number }; rate: string }): JSX.Element {
  const by = route.value.params.get('by') ?? '', match = selector(metric.name, filters);
  const labels = useLoad(async (signal) => {
    const names = (await labelNames(match, signal)).filter((l) => l !== 'le' && l !== 'quantile').slice(0, 40);
    const counts = await Promise.all(names.map((l) => labelValues(l, match, signal).then((v) => v, () => [] as string[])));
    // A label of one value tells nothing apart.
    return names.map((name, i) => ({ name, values: counts[i] })).sort((a, b) => Number(a.values.length < 2) - Number(b.values.length < 2) || a.values.length - b.values.length);
  }, [match]);
  if (labels.error) return <Problem error={labels.error} />;
  if (!labels.data) return <Waiting />;
  if (!labels.data.length) return <Empty>{t('This metric has no labels.')}</Empty>;
  const chosen = labels.data.find((l) => l.name === by);
  return (
    <>
      <div class="bar" role="group" aria-label={t('Break down by')}>
        <button type="button" aria-pressed={!chosen} onClick={() => setParams({ by: null }, true)}>{t('All labels')}</button>
        {labels.data.map((l) => <button type="button" aria-pressed={l.name === by} onClick={() => setParams({ by: l.name }, true)}>{visible(l.name)} <span class="muted small">{l.values.length}</span></button>)}
      </div>
      {!chosen ? (
        <div class="grid">
          {labels.data.map((l) => {
            const v = viewOf(metric, filters, l.name, rate);
            return <SmallChart key={l.name} title={t('by {0}', l.name)} note={t('{0} values', l.values.length)} expr={v.expr} rated={v.rated} metric={metric} window={window} legend height={140} name={(m) => visible(m[l.name] ?? '') || t('(none)')}><button type="button" onClick={() => setParams({ by: l.name }, true)}>{t('Each value')}</button></SmallChart>;
          })}
        </div>
      ) : (
        <div class="grid">
          {chosen.values.slice(0, 60).map((value) => {
            const only: Filter = { name: chosen.name, op: '=', value }, v = viewOf(metric, [...filters, only], '', rate);
            return <SmallChart key={value} title={visible(value) || t('(none)')} expr={v.expr} rated={v.rated} metric={metric} window={window}>
              <button type="button" aria-label={t('Only this: {0} {1}', chosen.name, value)} onClick={() => setFilters([...filters.filter((f) => f.name !== chosen.name), only])}>{t('Only this')}</button>
              <button type="button" aria-label={t('Without {0} {1}', chosen.name, value)} onClick={() => setFilters([...filters, { ...only, op: '!=' }])}>{t('Without')}</button>
            </SmallChart>;
          })}
          {chosen.values.length > 60 && <p class="muted">{t('The first {0} of {1} values.', 60, chosen.values.length)}</p>}
        </div>
      )}
    </>
  );
}

function OneMetric({ metric, all, filters, window, rate, from, to }: { metric: Metric; all: Metric[]; filters: Filter[]; window: { start: number; end: number; step: number }; rate: string; from: string; to: string }): JSX.Element {
  const v = viewOf(metric, filters, '', rate), count = useLoad(async (signal) => { const { data } = await api<QueryData>('query', { query: `count(${selector(metric.name, filters)})` }, signal); return Number((data.result as Series[])[0]?.value?.[1] ?? 0); }, [metric.name, JSON.stringify(filters)]);
  const related = all.filter((m) => m.name !== metric.name && prefixOf(m.name) === prefixOf(metric.name)).sort((a, b) => shared(b.name, metric.name) - shared(a.name, metric.name)).slice(0, 12);
  return (
    <>
      <div class="bar"><button type="button" onClick={() => setParams({ metric: null, by: null }, true)}>‹ {t('All metrics')}</button><h2 class="mono metric-title">{visible(metric.name)}</h2>{metric.type && <span class="badge neutral">{metric.type}</span>}<span class="muted small" role="status">{count.data === undefined ? '' : t('{0} series', formatNumber(count.data))}</span><span class="spacer" /><a class="button primary" href={href('/explore', exploreLink(v.expr.split(`[${rate}]`).join('[$__rate_interval]'), from, to))} data-page>{t('Open as a query')}</a></div>
      {metric.help && <p class="muted metric-help">{visible(metric.help)}</p>}
      <SmallChart key={metric.name} title={metric.name} note={v.says} expr={v.expr} rated={v.rated} metric={metric} window={window} height={240} />
      <h2>{t('Break down by label')}</h2>
      <ByLabel metric={metric} filters={filters} window={window} rate={rate} />
      {related.length > 0 && <><h2 class="related">{t('Related metrics')}</h2><ul class="chips">{related.map((m) => <li><button type="button" class="chip mono" onClick={() => { setParams({ metric: m.name, by: null }, true); scrollTo(0, 0); }}>{visible(m.name)}</button></li>)}</ul></>}
    </>
  );
}

function shared(a: string, b: string): number {
  let n = 0;
  while (n < a.length && a[n] === b[n]) n++;
  return n;
}

const pageSize = 24;
export function Drilldown({ span, from, to, tick, onSpan }: { span: Span; from: string; to: string; tick: number; onSpan: (s: Span) => void }): JSX.Element {
  const params = route.value.params, q = params.get('q') ?? '', prefix = params.get('prefix') ?? '', kind = (params.get('type') ?? '') as Kind | '', chosen = params.get('metric'), filters = readFilters(params), [shown, setShown] = useState(pageSize);
  const match = filters.length ? selector('', filters) : '', now = useMemo(() => Date.now() / 1000, [tick, span.range, span.end]);
  const load = useLoad(async (signal) => {
    const [all, names] = await Promise.all([listMetrics(), match ? labelValues('__name__', match, signal) : Promise.resolve(null)]), there = names && new Set(names);
    return there ? all.filter((m) => there.has(m.name)) : all;
  }, [match, tick]);
  // A young server's charts begin when it did, unless a range was asked for.
  const born = useLoad((signal) => api<{ headStats: { minTime: number } }>('status/tsdb', {}, signal).then((x) => x.data.headStats.minTime / 1000), []), begun = !params.has('from') && born.data && born.data > 0 ? born.data : 0;
  const step = Math.max(15, Math.ceil(span.range / 120 / 15) * 15), end = Math.floor((span.end ?? now) / step) * step, window = { start: Math.max(end - Math.ceil(span.range / step) * step, Math.min(end - 8 * step, Math.floor(begun / step) * step)), end, step }, rate = `${Math.max(4 * 15, step + 15)}s`;
  useEffect(() => setShown(pageSize), [q, prefix, kind, match]);
  const all = load.data ?? [], words = q.toLowerCase().split(/\s+/).filter(Boolean);
  const typed = all.filter((m) => (!kind || m.kind === kind || (kind === 'histogram' && m.kind === 'native')) && words.every((w) => m.name.toLowerCase().includes(w) || m.help.toLowerCase().includes(w)));
  const prefixes = new Map<string, number>();
  for (const m of typed) prefixes.set(prefixOf(m.name), (prefixes.get(prefixOf(m.name)) ?? 0) + 1);
  const found = typed.filter((m) => !prefix || prefixOf(m.name) === prefix), one = chosen ? all.find((m) => m.name === chosen) : undefined;
  return (
    <div class="drilldown">
      <div class="bar">
        <Filters filters={filters} match={one ? selector(one.name, filters) : match} onChange={setFilters} />
        <span class="spacer" /><TimePicker span={span} now={now} onChange={onSpan} />
      </div>
      {load.error ? <Problem error={load.error} /> : !load.data || (born.data === undefined && !born.error) ? <Waiting rows={2} /> : chosen ? (one ? <OneMetric metric={one} all={all} filters={filters} window={window} rate={rate} from={from} to={to} /> : <Empty><p>{t('There is no metric {0} under these filters.', chosen)}</p><button type="button" onClick={() => setParams({ metric: null }, true)}>{t('All metrics')}</button></Empty>) : (
        <>
          <div class="bar">
            <input type="search" aria-label={t('Filter metrics')} placeholder={t('Words of the name or the help')} value={q} onInput={(e) => setParams({ q: e.currentTarget.value || null })} />
            <select aria-label={t('Type')} value={kind} onChange={(e) => setParams({ type: e.currentTarget.value || null }, true)}>{kinds.map(([k, name]) => <option value={k}>{t(name)}</option>)}</select>
            <span class="muted small" role="status">{t('{0} metrics', found.length)}</span>
          </div>
          <div class="bar prefixes" role="group" aria-label={t('Prefix')}>
            <button type="button" aria-pressed={!prefix} onClick={() => setParams({ prefix: null }, true)}>{t('All')}</button>
            {[...prefixes].sort((a, b) => b[1] - a[1]).slice(0, 30).map(([p, n]) => <button type="button" aria-pressed={p === prefix} onClick={() => setParams({ prefix: p === prefix ? null : p }, true)}>{visible(p)} <span class="muted small">{n}</span></button>)}
          </div>
          {!found.length && <Empty>{all.length ? t('No metric matches.') : t('There are no metrics yet.')}</Empty>}
          <div class="grid metrics-grid">
            {found.slice(0, shown).map((m) => {
              const v = viewOf(m, filters, '', rate);
              return <SmallChart key={m.name} title={m.name} note={`${m.type || t('no type')} · ${v.says}`} expr={v.expr} rated={v.rated} metric={m} window={window}><button type="button" aria-label={t('Break down {0}', m.name)} onClick={() => { setParams({ metric: m.name }, true); scrollTo(0, 0); }}>{t('Break down')}</button></SmallChart>;
            })}
          </div>
          {found.length > shown && <p class="bar"><button type="button" onClick={() => setShown(shown + 4 * pageSize)}>{t('Show more of {0}', found.length)}</button></p>}
        </>
      )}
    </div>
  );
}
