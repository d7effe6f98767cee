// What this server is, what it holds and how it was told to run.
import type { JSX } from 'preact';
import { api } from '../api';
import { formatNumber } from '../format';
import { useLoad } from '../hooks';
import { Problem, Tabs } from '../parts';
import { route, setParams } from '../router';
import { t } from '../strings';

interface Tsdb {
  headStats: Record<string, number>;
  seriesCountByMetricName: Pair[]; labelValueCountByLabelName: Pair[]; memoryInBytesByLabelName: Pair[]; seriesCountByLabelValuePair: Pair[];
}
interface Pair { name: string; value: number }

function Facts({ path }: { path: string }): JSX.Element {
  const load = useLoad(async (signal) => (await api<Record<string, unknown>>(path, {}, signal)).data, [path]);
  if (load.error) return <Problem error={load.error} />;
  return (
    <table class="data facts"><tbody>
      {Object.entries(load.data ?? {}).map(([k, v]) => <tr><th scope="row">{k}</th><td class="mono">{String(v)}</td></tr>)}
    </tbody></table>
  );
}

function Top({ title, rows, bytes }: { title: string; rows: Pair[]; bytes?: boolean }): JSX.Element {
  const most = Math.max(1, ...rows.map((r) => r.value));
  return (
    <section class="panel">
      <h2>{title}</h2>
      <table class="data"><tbody>
        {rows.map((r) => (
          <tr><td class="mono">{r.name}</td><td class="num">{formatNumber(r.value, bytes ? 'bytes' : 'short')}</td>
            <td class="meter" aria-hidden="true"><meter min={0} max={most} value={r.value} /></td></tr>
        ))}
      </tbody></table>
    </section>
  );
}

function Storage(): JSX.Element {
  const load = useLoad(async (signal) => (await api<Tsdb>('status/tsdb', {}, signal)).data, [], 15_000);
  if (load.error) return <Problem error={load.error} />;
  if (!load.data) return <div class="skeleton" />;
  const d = load.data;
  return (
    <>
      <table class="data facts"><tbody>{Object.entries(d.headStats).map(([k, v]) => <tr><th scope="row">{k}</th><td class="mono">{String(v)}</td></tr>)}</tbody></table>
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
  return <pre class="code" tabIndex={0} aria-label={t('Configuration')}>{load.data}</pre>;
}

export function StatusPage(): JSX.Element {
  const tab = (route.value.params.get('tab') ?? 'server') as 'server' | 'storage' | 'config' | 'flags';
  return (
    <div class="page">
      <div class="bar">
        <h1>{t('Status')}</h1>
        <Tabs value={tab} label={t('Part')} onChange={(v) => setParams({ tab: v }, true)}
          tabs={[['server', t('Server')], ['storage', t('Storage')], ['config', t('Configuration')], ['flags', t('Flags')]]} />
      </div>
      {tab === 'server' && <><h2>{t('Build')}</h2><Facts path="status/buildinfo" /><h2>{t('Runtime')}</h2><Facts path="status/runtimeinfo" /></>}
      {tab === 'storage' && <Storage />}
      {tab === 'config' && <Configuration />}
      {tab === 'flags' && <Facts path="status/flags" />}
    </div>
  );
}
