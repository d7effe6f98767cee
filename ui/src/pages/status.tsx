// What this server is, what it holds and how it was told to run.
import type { JSX } from 'preact';
import { api } from '../api';
import { formatDuration, formatNumber, formatTime } from '../format';
import { useLoad } from '../hooks';
import { CopyButton, Empty, Problem, TabPanel, Tabs, Waiting } from '../parts';
import { route, setParams } from '../router';
import { t } from '../strings';

interface Tsdb {
  headStats: Record<string, number>;
  seriesCountByMetricName: Pair[]; labelValueCountByLabelName: Pair[]; memoryInBytesByLabelName: Pair[]; seriesCountByLabelValuePair: Pair[];
}
interface Pair { name: string; value: number }

// Facts under their own names; times and sizes are also said for people.
function readable(key: string, value: unknown): string {
  const text = String(value);
  if (typeof value === 'string' && /^\d{4}-\d\d-\d\dT/.test(value) && !Number.isNaN(Date.parse(value))) {
    const at = Date.parse(value) / 1000;
    return `${formatTime(at)} (${t('{0} ago', formatDuration(Date.now() / 1000 - at))})`;
  }
  if (/^(min|max)Time$/.test(key)) return Math.abs(Number(value)) > 8.64e15 || value === 0 ? t('none yet') : `${text} (${formatTime(Number(value) / 1000)})`;
  return text;
}

function FactTable({ rows, filter = '' }: { rows: Record<string, unknown>; filter?: string }): JSX.Element {
  const found = Object.entries(rows).filter(([k, v]) => `${k} ${String(v)}`.toLowerCase().includes(filter.toLowerCase()));
  if (!found.length) return <Empty>{t('Nothing matches.')}</Empty>;
  return (
    <table class="data facts"><tbody>
      {found.map(([k, v]) => <tr><th scope="row">{k}</th><td class="mono">{readable(k, v) || <span class="muted">{t('empty')}</span>}</td></tr>)}
    </tbody></table>
  );
}

// What Prometheus's clients expect of a Go program says nothing about this server.
function telling(facts: Record<string, unknown>): Record<string, unknown> {
  const { pharosVersion, version, ...rest } = facts;
  const first = pharosVersion ? { [t('Pharos')]: pharosVersion, [t('answers as Prometheus')]: version } : {};
  return { ...first, ...Object.fromEntries(Object.entries(rest).filter(([k, v]) => v !== '' && !/^go/i.test(k))) };
}

function Facts({ path, search }: { path: string; search?: boolean }): JSX.Element {
  const load = useLoad(async (signal) => (await api<Record<string, unknown>>(path, {}, signal)).data, [path]);
  const filter = route.value.params.get('search') ?? '';
  if (load.error) return <Problem error={load.error} />;
  if (!load.data) return <Waiting />;
  return (
    <>
      {search && <input type="search" placeholder={t('Flag or value')} aria-label={t('Filter')} value={filter} onInput={(e) => setParams({ search: e.currentTarget.value || null })} />}
      <FactTable rows={search ? load.data : telling(load.data)} filter={search ? filter : ''} />
    </>
  );
}

function Top({ title, rows, bytes }: { title: string; rows: Pair[]; bytes?: boolean }): JSX.Element {
  const most = Math.max(1, ...rows.map((r) => r.value));
  return (
    <section class="panel">
      <h2>{title}</h2>
      <table class="data top"><tbody>
        {rows.map((r) => (
          <tr><td class="mono">{r.name}{' '}</td><td class="num">{formatNumber(r.value, bytes ? 'bytes' : 'short')}</td>
            <td class="meter" aria-hidden="true"><meter min={0} max={most} value={r.value} /></td></tr>
        ))}
      </tbody></table>
    </section>
  );
}

function Storage(): JSX.Element {
  const load = useLoad(async (signal) => (await api<Tsdb>('status/tsdb', {}, signal)).data, [], 15_000);
  if (load.error) return <Problem error={load.error} />;
  if (!load.data) return <Waiting rows={2} />;
  const d = load.data;
  return (
    <>
      <FactTable rows={d.headStats} />
      <div class="grid">
        <Top title={t('Series by metric name')} rows={d.seriesCountByMetricName ?? []} />
        <Top title={t('Series by label pair')} rows={d.seriesCountByLabelValuePair ?? []} />
        <Top title={t('Values by label name')} rows={d.labelValueCountByLabelName ?? []} />
        <Top title={t('Memory by label name')} rows={d.memoryInBytesByLabelName ?? []} bytes />
      </div>
    </>
  );
}

function Configuration(): JSX.Element {
  const load = useLoad(async (signal) => (await api<{ yaml: string }>('status/config', {}, signal)).data.yaml, []);
  if (load.error) return <Problem error={load.error} />;
  if (load.data === undefined) return <Waiting />;
  if (!load.data.trim()) return <Empty>{t('No configuration file: Pharos scrapes itself and this host.')}</Empty>;
  return <div class="code-box"><CopyButton text={load.data} label={t('Copy the configuration')} /><pre class="code" tabIndex={0} role="group" aria-label={t('Configuration')}>{load.data}</pre></div>;
}

type Part = 'server' | 'storage' | 'config' | 'flags';
// Prometheus's own addresses for these pages open the right part.
const byPath: Record<string, Part> = { '/config': 'config', '/flags': 'flags', '/tsdb-status': 'storage' };

export function StatusPage(): JSX.Element {
  const asked = route.value.params.get('tab');
  const tab: Part = asked === 'storage' || asked === 'config' || asked === 'flags' || asked === 'server' ? asked : (byPath[route.value.raw] ?? 'server');
  return (
    <div class="page">
      <div class="bar head">
        <h1>{t('Status')}</h1>
        <Tabs id="status" value={tab} label={t('Part')} onChange={(v) => setParams({ tab: v, search: null }, true)}
          tabs={[['server', t('Server')], ['storage', t('Storage')], ['config', t('Configuration')], ['flags', t('Flags')]]} />
      </div>
      <TabPanel id="status" value={tab}>
        {tab === 'server' && <><h2>{t('Build')}</h2><Facts path="status/buildinfo" /><h2>{t('Runtime')}</h2><Facts path="status/runtimeinfo" /></>}
        {tab === 'storage' && <Storage />}
        {tab === 'config' && <Configuration />}
        {tab === 'flags' && <Facts path="status/flags" search />}
      </TabPanel>
    </div>
  );
}
