// What is going on: the state of targets, rules and storage in one line, and this host's vital signs.
import type { JSX } from 'preact';
import { api, rangeQuery, type Answer, type QueryData, type Series } from '../api';
import { Chart } from '../chart';
import { formatNumber, type Unit } from '../format';
import { useLoad } from '../hooks';
import { Problem } from '../parts';
import { href } from '../router';
import { t } from '../strings';

interface Panel { title: string; expr: string; unit: Unit; stacked?: boolean; name: (m: Record<string, string>) => string }
const panels: Panel[] = [
  { title: 'CPU', unit: 'percent', stacked: true, expr: 'sum by (mode) (rate(node_cpu_seconds_total{mode!="idle"}[1m])) / scalar(count(node_cpu_seconds_total{mode="idle"}))', name: (m) => m.mode },
  { title: 'Memory', unit: 'bytes', expr: 'label_replace(node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes, "what", "used", "", "") or label_replace(node_memory_MemTotal_bytes, "what", "total", "", "")', name: (m) => m.what },
  { title: 'Load', unit: 'short', expr: '{__name__=~"node_load1|node_load5|node_load15"}', name: (m) => (m.__name__ ?? '').replace('node_', '') },
  { title: 'Disk', unit: 'bytes/s', expr: 'label_replace(sum by (device) (rate(node_disk_read_bytes_total[1m])), "what", "read", "", "") or label_replace(sum by (device) (rate(node_disk_written_bytes_total[1m])), "what", "write", "", "")', name: (m) => `${m.device} ${m.what}` },
  { title: 'Network', unit: 'bytes/s', expr: 'label_replace(sum by (device) (rate(node_network_receive_bytes_total[1m])) > 0, "what", "in", "", "") or label_replace(sum by (device) (rate(node_network_transmit_bytes_total[1m])) > 0, "what", "out", "", "")', name: (m) => `${m.device} ${m.what}` },
  { title: 'Samples per scrape', unit: 'short', expr: 'sum by (job) (scrape_samples_scraped)', name: (m) => m.job },
];

async function number(expr: string, signal: AbortSignal): Promise<number | null> {
  const { data } = await api<QueryData>('query', { query: expr }, signal);
  if (data.resultType !== 'vector') return null;
  const first = (data.result as Series[])[0]?.value?.[1];
  return first === undefined ? null : Number(first);
}

function Tile({ label, value, to, bad }: { label: string; value: string; to: string; bad?: boolean }): JSX.Element {
  return <a class={`tile ${bad ? 'bad' : ''}`} href={href(to)} data-page><span class="big">{value}</span><span>{label}</span></a>;
}

function PanelView({ panel, start, end, step }: { panel: Panel; start: number; end: number; step: number }): JSX.Element {
  const load = useLoad<Answer<QueryData>>((signal) => rangeQuery(panel.expr, start, end, step, signal), [panel.expr, start, end, step]);
  const series = load.data?.data.resultType === 'matrix' ? load.data.data.result : [];
  return (
    <section class="panel">
      <h2><a href={href('/query', { 'g0.expr': panel.expr, 'g0.tab': '0', ...(panel.stacked ? { 'g0.stacked': '1' } : {}) })} data-page>{t(panel.title)}</a></h2>
      {load.error ? <Problem error={load.error} />
        : load.data && !series.length ? <div class="empty small">{t('No data yet.')}</div>
        : load.data ? <Chart series={series} start={start} end={end} step={step} unit={panel.unit} stacked={panel.stacked} height={170} title={t(panel.title)} name={panel.name} sync="home" />
        : <div class="skeleton" aria-label={t('Loading …')} />}
    </section>
  );
}

export function HomePage(): JSX.Element {
  const summary = useLoad(async (signal) => {
    const [targets, up, firing, series, rate, since] = await Promise.all([
      number('count(up)', signal), number('sum(up)', signal), number('count(ALERTS{alertstate="firing"})', signal),
      number('sum(prometheus_tsdb_head_series)', signal), number('sum(rate(prometheus_tsdb_head_samples_appended_total[1m]))', signal),
      api<{ headStats: { minTime: number } }>('status/tsdb', {}, signal).then((x) => x.data.headStats.minTime / 1000, () => 0),
    ]);
    return { targets, up, firing, series, rate, since, now: Date.now() / 1000 };
  }, [], 15_000);
  const s = summary.data;
  const step = 15;
  const end = Math.floor((s?.now ?? Date.now() / 1000) / step) * step;
  // A young server's charts begin when it did, so that the first minutes are not a sliver at the right edge.
  const start = Math.max(end - 1800, Math.min(end - 300, Math.floor((s?.since || 0) / step) * step));
  return (
    <div class="page">
      <h1 class="sr-only">{t('Overview')}</h1>
      {summary.error && <Problem error={summary.error} />}
      <div class="tiles">
        <Tile label={t('targets up')} value={s ? `${s.up ?? 0} / ${s.targets ?? 0}` : '…'} to="/targets" bad={!!s && s.up !== s.targets} />
        <Tile label={t('alerts firing')} value={s ? String(s.firing ?? 0) : '…'} to="/alerts" bad={!!s?.firing} />
        <Tile label={t('series active')} value={s ? formatNumber(s.series) : '…'} to="/status" />
        <Tile label={t('samples per second')} value={s ? formatNumber(s.rate) : '…'} to="/status" />
      </div>
      <div class="grid">{panels.map((p) => <PanelView key={p.title} panel={p} start={start} end={end} step={step} />)}</div>
    </div>
  );
}
