// Rules with their health, and alerts with their state. Both pages read /api/v1/rules.
import type { JSX } from 'preact';
import { api, type Labels } from '../api';
import { ago, formatDuration, formatNumber } from '../format';
import { useLoad } from '../hooks';
import { Badge, Empty, LabelSet, Linked, Problem, Waiting } from '../parts';
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
  const filter = route.value.params.get('search') ?? '';
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const groups = (load.data ?? []).map((g) => ({ ...g, rules: g.rules.filter((r) => words.every((w) => `${g.name} ${r.name} ${r.query} ${r.health}`.toLowerCase().includes(w))) })).filter((g) => g.rules.length);
  const failing = (load.data ?? []).flatMap((g) => g.rules).filter((r) => r.health === 'err').length;
  return (
    <div class="page">
      <div class="bar head">
        <h1>{t('Rules')}</h1>
        {failing > 0 && <Badge kind="bad">{t('{0} failing', failing)}</Badge>}
        <span class="spacer" />
        <input type="search" placeholder={t('Name or expression')} aria-label={t('Filter')} value={filter} onInput={(e) => setParams({ search: e.currentTarget.value || null })} />
      </div>
      {load.error && <Problem error={load.error} />}
      {!load.data && !load.error && <Waiting rows={2} />}
      {load.data && !groups.length && <Empty>{filter ? t('No rule matches.') : t('No rules loaded. Name rule files under rule_files in prometheus.yml.')}</Empty>}
      {groups.map((g) => (
        <section class="panel" key={`${g.file};${g.name}`}>
          <h2>{g.name} <span class="muted small">{g.file}</span></h2>
          <p class="muted small under">{t('every {0}, last {1}, took {2}', formatDuration(g.interval), ago(g.lastEvaluation), formatNumber(g.evaluationTime, 'seconds'))}</p>
          <table class="data rules">
            <thead><tr><th class="w-url">{t('Rule')}</th><th>{t('Expression')}</th><th class="w-state">{t('Health')}</th><th class="num w-time">{t('Took')}</th></tr></thead>
            <tbody>
              {g.rules.map((r) => (
                <>
                  <tr>
                    <td data-label={t('Rule')}><b class="name">{r.name}</b><div class="muted small">{r.type === 'alerting' ? t('alert') : t('record')}{r.duration ? ` · ${t('for {0}', formatDuration(r.duration))}` : ''}{r.keepFiringFor ? ` · ${t('keeps firing for {0}', formatDuration(r.keepFiringFor))}` : ''}</div></td>
                    <td data-label={t('Expression')}><Expression text={r.query} /> {r.labels && <div><LabelSet labels={r.labels} /></div>}</td>
                    <td data-label={t('Health')}><Badge kind={r.health === 'ok' ? 'ok' : r.health === 'err' ? 'bad' : 'neutral'}>{r.health}</Badge></td>
                    <td data-label={t('Took')} class="num">{formatNumber(r.evaluationTime, 'seconds')}</td>
                  </tr>
                  {r.lastError && <tr class="error"><td colSpan={4}>{r.lastError}</td></tr>}
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

function Annotations({ of }: { of: Labels }): JSX.Element {
  return <dl class="annotations">{Object.entries(of).map(([k, v]) => <><dt>{k}</dt><dd><Linked text={v} /></dd></>)}</dl>;
}

export function AlertsPage(): JSX.Element {
  const load = useRules('alert');
  const state = route.value.params.get('state') ?? '';
  const filter = route.value.params.get('search') ?? '';
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const alerting = (load.data ?? []).flatMap((g) => g.rules.map((r) => ({ ...r, group: g })));
  const rules = alerting
    .filter((r) => (!state || r.state === state) && words.every((w) => `${r.name} ${r.query} ${JSON.stringify(r.alerts ?? [])}`.toLowerCase().includes(w)))
    .sort((a, b) => order[a.state ?? 'inactive'] - order[b.state ?? 'inactive'] || a.name.localeCompare(b.name));
  const count = (s: string): number => alerting.filter((r) => (r.state ?? 'inactive') === s).length;
  return (
    <div class="page">
      <div class="bar head">
        <h1>{t('Alerts')}</h1>
        {load.data && <span class="summary"><Badge kind={count('firing') ? 'bad' : 'ok'}>{t('{0} firing', count('firing'))}</Badge> {count('pending') > 0 && <Badge kind="warn">{t('{0} pending', count('pending'))}</Badge>} <Badge kind="neutral">{t('{0} inactive', count('inactive'))}</Badge></span>}
        <span class="spacer" />
        <input type="search" placeholder={t('Name, expression or label')} aria-label={t('Filter')} value={filter} onInput={(e) => setParams({ search: e.currentTarget.value || null })} />
        <select aria-label={t('State')} value={state} onChange={(e) => setParams({ state: e.currentTarget.value || null })}>
          <option value="">{t('any state')}</option><option value="firing">firing</option><option value="pending">pending</option><option value="inactive">inactive</option>
        </select>
      </div>
      {load.error && <Problem error={load.error} />}
      {!load.data && !load.error && <Waiting rows={2} />}
      {load.data && !rules.length && <Empty>{state || filter ? t('No alert matches.') : t('No alerting rules loaded.')}</Empty>}
      {rules.map((r) => (
        <details class={`panel alert ${r.state ?? 'inactive'}`} open={r.state === 'firing'} key={`${r.group.file};${r.group.name};${r.name};${r.query}`}>
          <summary>
            <Badge kind={r.state === 'firing' ? 'bad' : r.state === 'pending' ? 'warn' : 'ok'}>{r.state ?? 'inactive'}</Badge> <b>{r.name}</b>{' '}
            {r.alerts?.length ? <span class="muted">{t('{0} active', r.alerts.length)}</span> : null}
            <span class="muted small where">{r.group.name}</span>
          </summary>
          <p><Expression text={r.query} />{r.duration ? <span class="muted"> {t('for {0}', formatDuration(r.duration))}</span> : null}</p>
          {!r.alerts?.length && r.annotations && <Annotations of={r.annotations} />}
          {!!r.alerts?.length && (
            <table class="data alerts">
              <thead><tr><th>{t('Alert')}</th><th class="w-state">{t('State')}</th><th class="num w-time">{t('Since')}</th><th class="num w-time">{t('Value')}</th></tr></thead>
              <tbody>
                {r.alerts.map((a) => (
                  <tr>
                    <td data-label={t('Alert')}><Annotations of={a.annotations} /><LabelSet labels={a.labels} skip={['alertname']} /></td>
                    <td data-label={t('State')}><Badge kind={a.state === 'firing' ? 'bad' : 'warn'}>{a.state}</Badge></td>
                    <td data-label={t('Since')} class="num">{ago(a.activeAt)}</td>
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
