// Rules with their health, and alerts with their state. Both pages read /api/v1/rules.
import type { JSX } from 'preact';
import { api, type Labels } from '../api';
import { ago, formatDuration, formatNumber } from '../format';
import { useLoad } from '../hooks';
import { Badge, Empty, LabelSet, Problem } from '../parts';
import { href, route, setParams } from '../router';
import { t } from '../strings';

interface Alert { labels: Labels; annotations: Labels; state: 'pending' | 'firing' | 'inactive'; activeAt: string; value: string; keepFiringSince?: string }
interface Rule {
  name: string; query: string; labels?: Labels; health: string; lastError?: string; lastEvaluation: string; evaluationTime: number; type: 'alerting' | 'recording';
  state?: 'pending' | 'firing' | 'inactive'; duration?: number; keepFiringFor?: number; annotations?: Labels; alerts?: Alert[];
}
interface Group { name: string; file: string; interval: number; rules: Rule[]; lastEvaluation: string; evaluationTime: number }

function Expression({ text }: { text: string }): JSX.Element {
  return <a class="mono" href={href('/query', { 'g0.expr': text, 'g0.tab': '0' })} data-page>{text}</a>;
}

function useRules(type: string): ReturnType<typeof useLoad<Group[]>> {
  return useLoad(async (signal) => (await api<{ groups: Group[] }>('rules', type ? { type } : {}, signal)).data.groups ?? [], [type], 5000);
}

export function RulesPage(): JSX.Element {
  const load = useRules('');
  return (
    <div class="page">
      <h1>{t('Rules')}</h1>
      {load.error && <Problem error={load.error} />}
      {load.data && !load.data.length && <Empty>{t('No rules loaded. Name rule files under rule_files in prometheus.yml.')}</Empty>}
      {load.data?.map((g) => (
        <section class="panel" key={`${g.file};${g.name}`}>
          <h2>{g.name} <span class="muted small">{g.file} · {t('every {0}', formatDuration(g.interval))} · {ago(g.lastEvaluation)} · {formatNumber(g.evaluationTime, 'seconds')}</span></h2>
          <table class="data">
            <thead><tr><th>{t('Rule')}</th><th>{t('Expression')}</th><th>{t('Health')}</th></tr></thead>
            <tbody>
              {g.rules.map((r) => (
                <>
                  <tr>
                    <td data-label={t('Rule')}><b>{r.name}</b><div class="muted small">{r.type === 'alerting' ? t('alert') : t('record')}{r.duration ? ` · ${t('for {0}', formatDuration(r.duration))}` : ''}</div></td>
                    <td data-label={t('Expression')}><Expression text={r.query} /> {r.labels && <LabelSet labels={r.labels} />}</td>
                    <td data-label={t('Health')}><Badge kind={r.health === 'ok' ? 'ok' : r.health === 'err' ? 'bad' : 'neutral'}>{r.health}</Badge></td>
                  </tr>
                  {r.lastError && <tr class="error"><td colSpan={3}>{r.lastError}</td></tr>}
                </>
              ))}
            </tbody>
          </table>
        </section>
      ))}
    </div>
  );
}

const order = { firing: 0, pending: 1, inactive: 2 };

export function AlertsPage(): JSX.Element {
  const load = useRules('alert');
  const state = route.value.params.get('state') ?? '';
  const rules = (load.data ?? []).flatMap((g) => g.rules.map((r) => ({ ...r, group: g })))
    .filter((r) => !state || r.state === state)
    .sort((a, b) => order[a.state ?? 'inactive'] - order[b.state ?? 'inactive'] || a.name.localeCompare(b.name));
  return (
    <div class="page">
      <div class="bar">
        <h1>{t('Alerts')}</h1>
        <select aria-label={t('State')} value={state} onChange={(e) => setParams({ state: e.currentTarget.value || null })}>
          <option value="">{t('any state')}</option><option value="firing">firing</option><option value="pending">pending</option><option value="inactive">inactive</option>
        </select>
      </div>
      {load.error && <Problem error={load.error} />}
      {load.data && !rules.length && <Empty>{state ? t('No alert is in this state.') : t('No alerting rules loaded.')}</Empty>}
      {rules.map((r) => (
        <details class="panel alert" open={r.state === 'firing'} key={`${r.group.file};${r.group.name};${r.name};${r.query}`}>
          <summary>
            <Badge kind={r.state === 'firing' ? 'bad' : r.state === 'pending' ? 'warn' : 'ok'}>{r.state ?? 'inactive'}</Badge> <b>{r.name}</b>{' '}
            {r.alerts?.length ? <span class="muted">{t('{0} active', r.alerts.length)}</span> : null}
          </summary>
          <p><Expression text={r.query} />{r.duration ? <span class="muted"> {t('for {0}', formatDuration(r.duration))}</span> : null}</p>
          {r.annotations && <LabelSet labels={r.annotations} />}
          {!!r.alerts?.length && (
            <table class="data">
              <thead><tr><th>{t('Labels')}</th><th>{t('State')}</th><th class="num">{t('Active since')}</th><th class="num">{t('Value')}</th></tr></thead>
              <tbody>
                {r.alerts.map((a) => (
                  <tr>
                    <td data-label={t('Labels')}><LabelSet labels={a.labels} />{Object.entries(a.annotations).map(([k, v]) => <div class="muted small">{k}: {v}</div>)}</td>
                    <td data-label={t('State')}><Badge kind={a.state === 'firing' ? 'bad' : 'warn'}>{a.state}</Badge></td>
                    <td data-label={t('Active since')} class="num">{ago(a.activeAt)}</td>
                    <td data-label={t('Value')} class="num">{formatNumber(Number(a.value))}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
        </details>
      ))}
    </div>
  );
}
