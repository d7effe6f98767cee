// What is going on: the state of targets, rules and storage in one line, live rates, what sends data here, and this host's vital signs.
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { api, rangeQuery, type Labels, type QueryData, type Series } from '../api';
import { builtIns, presentBuiltIns } from '../builtin';
import { Chart, type Range } from '../chart';
import { Connect } from '../connect';
import { formatCount, parseDuration, parseLinkTime, printDuration, printLinkTime, type Unit } from '../format';
import { useLoad } from '../hooks';
import { Own, rateOf, readOwn } from '../own';
import { Problem, Waiting } from '../parts';
import { href, route, setParams } from '../router';
import { t } from '../strings';
import { Refresh, TimePicker, useEvery, widen, type Span } from '../time';

interface Panel { title: string; expr: string; unit: Unit; stacked?: boolean; fromZero?: boolean; host: boolean; name: (m: Labels) => string }
const disks = 'device!~"(loop|ram|zram|sr|fd).*"', links = 'device!~"veth.*|br-.*|docker.*|cni.*|cali.*"';
const two = (expr: string, what: string): string => `label_replace(sum by (device) (rate(${expr}[1m])), "what", "${what}", "", "")`;
const panels: Panel[] = [
  { title: 'CPU', unit: 'percent', stacked: true, host: true, expr: 'sum by (mode) (rate(node_cpu_seconds_total{mode!="idle"}[1m])) / scalar(count(node_cpu_seconds_total{mode="idle"}))', name: (m) => m.mode },
  { title: 'Memory', unit: 'bytes', fromZero: true, host: true, expr: 'label_replace(node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes, "what", "used", "", "") or label_replace(node_memory_MemTotal_bytes, "what", "total", "", "")', name: (m) => m.what },
  { title: 'Load', unit: 'short', fromZero: true, host: true, expr: '{__name__=~"node_load1|node_load5|node_load15"}', name: (m) => t('{0} min', (m.__name__ ?? '').replace('node_load', '')) },
  { title: 'Disk', unit: 'bytes/s', fromZero: true, host: true, expr: `${two(`node_disk_read_bytes_total{${disks}}`, 'read')} or ${two(`node_disk_written_bytes_total{${disks}}`, 'write')}`, name: (m) => `${m.device} ${m.what}` },
  { title: 'Network', unit: 'bytes/s', fromZero: true, host: true, expr: `(${two(`node_network_receive_bytes_total{${links}}`, 'in')} or ${two(`node_network_transmit_bytes_total{${links}}`, 'out')}) and on (device) (sum by (device) (node_network_receive_bytes_total) > 0)`, name: (m) => `${m.device} ${m.what}` },
  { title: 'Samples per scrape', unit: 'short', fromZero: true, host: false, expr: 'sum by (job) (scrape_samples_scraped)', name: (m) => m.job },
];
const byName = new Intl.Collator(undefined, { numeric: true });
const defaultRange = 1800;

async function number(expr: string, signal: AbortSignal): Promise<number | null> {
  const { data } = await api<QueryData>('query', { query: expr }, signal);
  if (data.resultType !== 'vector') return null;
  const first = (data.result as Series[])[0]?.value?.[1];
  return first === undefined ? null : Number(first);
}

/** The last minutes of a number, small. */
function Spark({ values }: { values: (number | null)[] }): JSX.Element | null {
  const there = values.filter((v): v is number => v !== null);
  if (there.length < 3) return null;
  const least = Math.min(...there), most = Math.max(...there), y = (v: number): number => 21 - (most > least ? ((v - least) / (most - least)) * 18 : 9);
  return <svg class="tile-spark" viewBox="0 0 60 24" preserveAspectRatio="none" aria-hidden="true"><polyline points={values.map((v, i) => (v === null ? '' : `${((i * 60) / Math.max(values.length - 1, 1)).toFixed(1)},${y(v).toFixed(1)}`)).filter(Boolean).join(' ')} /></svg>;
}

function Tile({ label, value, unit, to, state, spark }: { label: string; value: string | null; unit?: string; to: string; state?: 'ok' | 'bad' | 'warn'; spark?: (number | null)[] }): JSX.Element {
  return (
    <a class={`tile ${state ?? ''}`} href={to} data-page>
      <span class="big">{value ?? <span class="skeleton word" />}{value && unit && <small>{unit}</small>}</span>
      <span>{state && <i class={`dot ${state}`} aria-hidden="true" />}{label}</span>
      {spark && <Spark values={spark} />}
    </a>
  );
}

interface Live { own: Own; samples: number | null; series: number | null; rules: number | null; points: { samples: number | null; series: number | null; rules: number | null }[] }
const liveEvery = 5000, livePoints = 60;

/** The server's own counters every few seconds, while somebody looks. */
function useLive(start: boolean): Live | null {
  const [live, setLive] = useState<Live | null>(null);
  useEffect(() => {
    if (!start) return;
    const abort = new AbortController();
    let before: Own | undefined;
    const read = (): void => void (document.visibilityState === 'visible' && readOwn(abort.signal).then((own) => {
      const one = { samples: rateOf(before, own, 'prometheus_tsdb_head_samples_appended_total'), series: own.sum('prometheus_tsdb_head_series'), rules: rateOf(before, own, 'prometheus_rule_evaluations_total') };
      before = own;
      setLive((was) => ({ own, ...one, points: [...(was?.points ?? []), one].slice(-livePoints) }));
    }, () => {}));
    read();
    const timer = setInterval(read, liveEvery);
    return () => { clearInterval(timer); abort.abort(); };
  }, [start]);
  return live;
}

function BuiltIns({ tick }: { tick: number }): JSX.Element | null {
  const load = useLoad(presentBuiltIns, [Math.floor(tick / 4)]), there = builtIns.filter((b) => load.data?.has(b.uid)), more = builtIns.length - there.length;
  if (!load.data) return null;
  return (
    <nav class="built-ins" aria-label={t('Dashboards')}>
      <span class="muted small">{t('Dashboards')}</span>
      {there.map((b) => <a class="chip-link" href={href(`/d/${b.uid}`)} data-page>{t(b.title)}</a>)}
      <a class="small" href={href('/dashboards')} data-page>{more ? t('all, and {0} that wait for their metrics', more) : t('all')}</a>
    </nav>
  );
}

interface PanelProps { panel: Panel; start: number; end: number; step: number; young: boolean; onSpan: (s: Span) => void; span: Span }

function PanelView({ panel, start, end, step, young, onSpan, span }: PanelProps): JSX.Element {
  const load = useLoad<Range>(async (signal) => {
    const { data } = await rangeQuery(panel.expr, start, end, step, signal);
    const series = data.resultType === 'matrix' ? [...data.result].sort((a, b) => byName.compare(panel.name(a.metric), panel.name(b.metric))) : [];
    return { series, start, end, step };
  }, [panel.expr, start, end, step]);
  const link: Record<string, string> = { 'g0.expr': panel.expr, 'g0.tab': '0', 'g0.range_input': printDuration(span.range) };
  if (panel.stacked) link['g0.stacked'] = '1';
  if (span.end !== null) link['g0.end_input'] = printLinkTime(span.end);
  return (
    <section class="panel">
      <h2><a href={href('/query', link)} data-page title={t('Open in Query')}>{t(panel.title)}</a></h2>
      {load.error ? <Problem error={load.error} />
        : load.data?.series.length ? (
          <Chart range={load.data} unit={panel.unit} stacked={panel.stacked} fromZero={panel.fromZero || panel.stacked} height={176} title={t(panel.title)} name={panel.name} sync="home"
            onZoom={(from, to) => onSpan({ range: Math.max(30, Math.round(to - from)), end: Math.round(to) })} onZoomOut={() => onSpan(widen(span, Date.now() / 1000))} />
        )
        : !load.data ? <Waiting />
        : young ? <div class="empty small"><i class="pulse" aria-hidden="true" />{t('Collecting the first samples …')}</div>
        : <div class="empty small">{t('No data in this range.')}{panel.host && <div class="small">{t('It comes from a job with metrics_path: /metrics/host, or from node_exporter.')}</div>}</div>}
    </section>
  );
}

export function HomePage(): JSX.Element {
  const params = route.value.params;
  const refresh = params.get('refresh') ?? '15s';
  const rangeText = params.get('range_input');
  const span: Span = { range: parseDuration(rangeText ?? '') ?? defaultRange, end: parseLinkTime(params.get('end_input')) };
  const [tick, setTick] = useState(0);
  const next = (): void => setTick((n) => n + 1);
  useEvery(refresh === 'off' ? '' : refresh, next);
  const summary = useLoad(async (signal) => {
    const [targets, up, firing, series, rate, rules, since] = await Promise.all([
      number('count(up)', signal), number('sum(up)', signal), number('count(ALERTS{alertstate="firing"})', signal),
      number('sum(prometheus_tsdb_head_series)', signal), number('sum(rate(prometheus_tsdb_head_samples_appended_total[1m]))', signal), number('sum(rate(prometheus_rule_evaluations_total[1m]))', signal),
      api<{ headStats: { minTime: number } }>('status/tsdb', {}, signal).then((x) => x.data.headStats.minTime / 1000, () => 0),
    ]);
    return { targets, up, firing, series, rate, rules, since: since > 0 ? since : Date.now() / 1000, now: Date.now() / 1000 };
  }, [tick]);
  const s = summary.data, live = useLive(!!summary.data);
  const samples = live?.samples ?? s?.rate ?? null;
  const now = s?.now ?? Date.now() / 1000;
  const step = Math.max(15, Math.ceil(span.range / 240 / 15) * 15);
  const end = Math.floor((span.end ?? now) / step) * step;
  // A young server's charts begin when it did, so that the first minutes are not a sliver at the right edge.
  const born = rangeText || !s ? 0 : Math.floor(s.since / step) * step;
  const start = Math.max(Math.ceil((end - span.range) / step) * step, Math.min(end - 8 * step, born));
  const setSpan = (x: Span): void => {
    setParams({ range_input: x.end === null && x.range === defaultRange ? null : printDuration(x.range), end_input: x.end === null ? null : printLinkTime(x.end) }, true);
    next();
  };
  return (
    <div class="page">
      <div class="bar head">
        <h1>{t('Overview')}</h1>
        <span class="spacer" />
        <TimePicker span={span} now={now} onChange={setSpan} />
        <Refresh value={refresh === 'off' ? '' : refresh} onChange={(v) => setParams({ refresh: v === '15s' ? null : v || 'off' })} onNow={next} />
      </div>
      {summary.error && <Problem error={summary.error} />}
      <div class="tiles">
        <Tile label={t('targets up')} value={s ? String(s.up ?? 0) : null} unit={s ? ` / ${s.targets ?? 0}` : ''} to={href('/targets')} state={!s ? undefined : s.targets && s.up === s.targets ? 'ok' : s.targets ? 'bad' : 'warn'} />
        <Tile label={t(s?.firing === 1 ? 'alert firing' : 'alerts firing')} value={s ? String(s.firing ?? 0) : null} to={href('/alerts')} state={!s ? undefined : s.firing ? 'bad' : 'ok'} />
        <Tile label={t('active series')} value={s ? formatCount(live?.series ?? s.series) : null} to={href('/status', { tab: 'storage' })} spark={live?.points.map((p) => p.series)} />
        <Tile label={t('samples per second')} value={s ? formatCount(samples) : null} to={href('/query', { 'g0.expr': 'rate(prometheus_tsdb_head_samples_appended_total[1m])', 'g0.tab': '0' })} spark={live?.points.map((p) => p.samples)} />
        <Tile label={t('rule evaluations per second')} value={s ? formatCount(live?.rules ?? s.rules) : null} to={href('/rules')} spark={live?.points.map((p) => p.rules)} />
      </div>
      {s && <Connect own={live?.own} tick={tick} />}
      {s && <BuiltIns tick={tick} />}
      <div class="grid">
        {s && panels.map((p) => <PanelView key={p.title} panel={p} start={start} end={end} step={step} span={span} onSpan={setSpan} young={now - s.since < 90} />)}
        {!s && !summary.error && panels.map((p) => <section class="panel" key={p.title}><h2>{t(p.title)}</h2><Waiting /></section>)}
      </div>
    </div>
  );
}
