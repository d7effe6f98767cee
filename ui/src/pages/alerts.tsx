// Alerts: as the dispatcher groups them, as a list, and as the rules see them. Silenced, inhibited and pending ones are there too, with the reason.
import type { JSX } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { am, headline, levelOf, levelOrder, loadRules, parseMatchers, printMatchers, type AmAlert, type AmGroup, type Matcher, type Rule, type RuleGroup } from '../alerting/model';
import { alertCount, AlertLinks, Annotations, FilterField, History, knownOf, PickLabels, Severity, Since, StateMark, SubNav, until, wanted, type State } from '../alerting/parts';
import type { Labels } from '../api';
import { ago, formatDuration, formatNumber } from '../format';
import { useLoad } from '../hooks';
import { Badge, Empty, LabelSet, Problem, Waiting } from '../parts';
import { href, route, setParams } from '../router';
import { t } from '../strings';

/** One alert as the page shows it, whoever knows it. */
interface Shown { key: string; labels: Labels; annotations: Labels; state: State; since: string; value?: string; am?: AmAlert; rule?: Rule; group?: RuleGroup }
interface Section { key: string; labels: Labels; receiver: string; alerts: Shown[] }

const pageSize = 100;

function fromAm(a: AmAlert): Shown {
  return { key: a.fingerprint, labels: a.labels, annotations: a.annotations, state: a.status.state === 'active' ? 'firing' : a.status.state, since: a.startsAt, am: a };
}

/** Pending alerts, which only the rules know. */
function pendingOf(groups: RuleGroup[]): Shown[] {
  return groups.flatMap((group) => group.rules.flatMap((rule) => (rule.alerts ?? []).filter((a) => a.state === 'pending')
    .map((a): Shown => ({ key: JSON.stringify(a.labels), labels: a.labels, annotations: a.annotations, state: 'pending', since: a.activeAt, value: a.value, rule, group }))));
}

const bySeverity = (a: Shown, b: Shown): number =>
  levelOrder[levelOf(a.labels)] - levelOrder[levelOf(b.labels)] || (a.labels.alertname ?? '').localeCompare(b.labels.alertname ?? '') || b.since.localeCompare(a.since);

function Held({ alert }: { alert: AmAlert }): JSX.Element | null {
  const { silencedBy, inhibitedBy, mutedBy } = alert.status;
  if (!silencedBy.length && !inhibitedBy.length && !mutedBy.length) return null;
  return (
    <p class="held small">
      {silencedBy.map((id) => <a href={href('/silences', { id })} data-page>{t('silenced')}</a>)}
      {inhibitedBy.map((fp) => <a href={href('/alert', { fingerprint: fp })} data-page>{t('inhibited by another alert')}</a>)}
      {mutedBy.map((name) => <span>{t('muted by the time interval {0}', name)}</span>)}
    </p>
  );
}

function Card({ alert, skip, onPick }: { alert: Shown; skip: string[]; onPick: (m: Matcher) => void }): JSX.Element {
  const [open, setOpen] = useState(false);
  const [range, setRange] = useState(86400);
  const line = headline(alert.annotations), rest = Object.fromEntries(Object.entries(alert.annotations).filter(([, v]) => v !== line));
  const why = alert.am ? href('/alert', { fingerprint: alert.am.fingerprint }) : href('/alert', { labels: printMatchers(Object.entries(alert.labels).map(([name, value]) => ({ name, value, isRegex: false, isEqual: true }))) });
  return (
    <article class={`alert-card ${alert.state === 'firing' ? levelOf(alert.labels) : alert.state}`} aria-label={alert.labels.alertname ?? t('alert')}>
      <div class="card-head">
        <Severity labels={alert.labels} />
        <h3><a href={why} data-page>{alert.labels.alertname ?? t('no name')}</a></h3>
        <StateMark state={alert.state} />
        <span class="muted small when"><Since at={alert.since} /></span>
      </div>
      {line && <p class="headline">{line}</p>}
      {Object.keys(alert.labels).some((k) => !['alertname', 'severity', ...skip].includes(k)) && <PickLabels labels={alert.labels} skip={['alertname', 'severity', ...skip]} onPick={onPick} />}
      {alert.am && <Held alert={alert.am} />}
      {alert.state === 'pending' && <p class="held small muted">{t('fires when it has held for {0}: {1}', formatDuration(alert.rule?.duration ?? 0), until(new Date(Date.parse(alert.since) + (alert.rule?.duration ?? 0) * 1000).toISOString()))}</p>}
      <div class="bar tight">
        <AlertLinks alert={{ labels: alert.labels, annotations: alert.annotations, fingerprint: '', generatorURL: alert.am?.generatorURL ?? (alert.rule ? href('/graph', { 'g0.expr': alert.rule.query }) : undefined) }}>
          {alert.state !== 'pending' && <a href={href('/silences', { new: '1', filter: printMatchers(Object.entries(alert.labels).map(([name, value]) => ({ name, value, isRegex: false, isEqual: true }))) })} data-page>{t('Silence')}</a>}
          <a href={why} data-page>{alert.state === 'firing' ? t('Who was told?') : t('Why not told?')}</a>
        </AlertLinks>
        <span class="spacer" />
        <button type="button" class="link" aria-expanded={open} onClick={() => setOpen(!open)}>{open ? t('Less') : t('History and details')}</button>
      </div>
      {open && (
        <div class="more">
          <Annotations of={rest} />
          {alert.am && <p class="small muted">{t('Receivers: {0}', alert.am.receivers.map((r) => r.name).join(', ') || t('none'))}</p>}
          <History labels={alert.labels} range={range} onRange={setRange} />
        </div>
      )}
    </article>
  );
}

function Cards({ alerts, skip = [], onPick }: { alerts: Shown[]; skip?: string[]; onPick: (m: Matcher) => void }): JSX.Element {
  const [most, setMost] = useState(pageSize);
  return (
    <>
      <div class="cards">{alerts.slice(0, most).map((a) => <Card key={a.key} alert={a} skip={skip} onPick={onPick} />)}</div>
      {alerts.length > most && <button type="button" class="link" onClick={() => setMost(most + 5 * pageSize)}>{t('Show more of {0}', alerts.length)}</button>}
    </>
  );
}

// ---- as the rules see them ----
const order = { firing: 0, pending: 1, inactive: 2 };

function RuleView({ groups, state, words, matchers }: { groups: RuleGroup[]; state: string; words: string; matchers: Matcher[] }): JSX.Element {
  const rules = groups.flatMap((g) => g.rules.map((r) => ({ ...r, group: g })))
    .filter((r) => (!state || r.state === state) && (r.alerts?.length ? r.alerts.some((a) => wanted(words, matchers, a.labels, r.name, r.query, JSON.stringify(a.annotations))) : wanted(words, matchers, { alertname: r.name, ...r.labels }, r.query)))
    .sort((a, b) => order[a.state ?? 'inactive'] - order[b.state ?? 'inactive'] || a.name.localeCompare(b.name));
  if (!rules.length) return <Empty>{state || words || matchers.length ? t('No alert matches.') : t('No alerting rules loaded.')}</Empty>;
  return (
    <>
      {rules.map((r) => (
        <details class={`panel alert ${r.state ?? 'inactive'}`} open={r.state === 'firing'} key={`${r.group.file};${r.group.name};${r.name};${r.query}`}>
          <summary>
            <Badge kind={r.state === 'firing' ? 'bad' : r.state === 'pending' ? 'warn' : 'ok'}>{r.state ?? 'inactive'}</Badge> <b>{r.name}</b>{' '}
            {r.alerts?.length ? <span class="muted">{t('{0} active', r.alerts.length)}</span> : null}
            <span class="muted small where">{r.group.name}</span>
          </summary>
          <p><a class="mono" href={href('/query', { 'g0.expr': r.query, 'g0.tab': '0' })} data-page>{r.query}</a>{r.duration ? <span class="muted"> {t('for {0}', formatDuration(r.duration))}</span> : null}</p>
          {!r.alerts?.length && r.annotations && <Annotations of={r.annotations} />}
          {!!r.alerts?.length && (
            <table class="data alerts">
              <thead><tr><th>{t('Alert')}</th><th class="w-state">{t('State')}</th><th class="num w-time">{t('Since')}</th><th class="num w-time">{t('Value')}</th></tr></thead>
              <tbody>
                {r.alerts.slice(0, pageSize).map((a) => (
                  <tr>
                    <td data-label={t('Alert')}><Annotations of={a.annotations} /><LabelSet labels={a.labels} skip={['alertname']} /></td>
                    <td data-label={t('State')}><StateMark state={a.state === 'firing' ? 'firing' : 'pending'} /></td>
                    <td data-label={t('Since')} class="num">{ago(a.activeAt)}</td>
                    <td data-label={t('Value')} class="num">{formatNumber(Number(a.value))}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
        </details>
      ))}
    </>
  );
}

// ---- the page ----
async function load(filter: string[], signal: AbortSignal): Promise<{ groups: AmGroup[]; rules: RuleGroup[] }> {
  const [groups, rules] = await Promise.all([am<AmGroup[]>('v2/alerts/groups', { params: { filter }, signal }), loadRules(signal)]);
  return { groups, rules };
}

function sectionsOf(groups: AmGroup[], keep: (a: Shown) => boolean): Section[] {
  return groups.map((g) => ({ key: `${g.receiver.name}${JSON.stringify(g.labels)}`, labels: g.labels, receiver: g.receiver.name, alerts: g.alerts.map(fromAm).filter(keep).sort(bySeverity) }))
    .filter((g) => g.alerts.length)
    .sort((a, b) => bySeverity(a.alerts[0], b.alerts[0]));
}

export function AlertsPage(): JSX.Element {
  const params = route.value.params;
  const state = params.get('state') ?? '', words = params.get('search') ?? '', filter = params.get('filter') ?? '';
  const view = params.get('view') === 'rules' || params.get('view') === 'list' ? (params.get('view') as 'rules' | 'list') : state === 'inactive' ? 'rules' : 'groups';
  const matchers = useMemo(() => parseMatchers(filter), [filter]);
  const [many, setMany] = useState(false); // then looked at less often: it is megabytes
  const data = useLoad((signal) => load(matchers.map((m) => printMatchers([m]).slice(1, -1)), signal), [filter], many ? 60_000 : 5000);
  const groups = data.data?.groups ?? [], rules = data.data?.rules ?? [];
  const all = useMemo(() => [...new Map(groups.flatMap((g) => g.alerts).map((a) => [a.fingerprint, fromAm(a)])).values()], [groups]);
  const pending = useMemo(() => pendingOf(rules), [rules]);
  useEffect(() => setMany(all.length > 2000), [all.length > 2000]);
  const known = useMemo(() => knownOf([...all, ...pending].map((a) => a.labels)), [all, pending]);
  const keep = (a: Shown): boolean => (!state || a.state === state) && wanted(words, matchers, a.labels, JSON.stringify(a.annotations));
  const shownPending = pending.filter(keep).sort(bySeverity);
  const sections = view === 'groups' ? sectionsOf(groups, keep) : [];
  const list = view === 'list' ? [...all.filter(keep), ...shownPending].sort(bySeverity) : [];
  const setMatchers = (ms: Matcher[]): void => setParams({ filter: ms.length ? printMatchers(ms) : null });
  const pick = (m: Matcher): void => setMatchers([...matchers.filter((x) => x.name !== m.name), m]);
  const count = (s: State): number => all.filter((a) => a.state === s).length;
  const empty = view === 'groups' ? !sections.length && !shownPending.length : view === 'list' && !list.length;
  return (
    <div class="page alerting">
      <div class="bar head">
        <h1>{t('Alerts')}</h1>
        {data.data && <span class="summary"><Badge kind={count('firing') ? 'bad' : 'ok'}>{t('{0} firing', count('firing'))}</Badge> {count('suppressed') > 0 && <Badge kind="neutral">{t('{0} suppressed', count('suppressed'))}</Badge>} {pending.length > 0 && <Badge kind="warn">{t('{0} pending', pending.length)}</Badge>}</span>}
        <SubNav here="/alerts" />
      </div>
      <div class="bar filters">
        <FilterField matchers={matchers} words={words} known={known} placeholder={t('Words, or a label: severity="critical"')} onMatchers={setMatchers} onWords={(text) => setParams({ search: text || null })} />
        <select aria-label={t('State')} value={state} onChange={(e) => setParams({ state: e.currentTarget.value || null })}>
          <option value="">{t('any state')}</option><option value="firing">{t('firing')}</option><option value="suppressed">{t('suppressed')}</option><option value="pending">{t('pending')}</option><option value="inactive">{t('inactive')}</option>
        </select>
        <select aria-label={t('Arranged')} value={view} onChange={(e) => setParams({ view: e.currentTarget.value === 'groups' ? null : e.currentTarget.value })}>
          <option value="groups">{t('as notified')}</option><option value="list">{t('one by one')}</option><option value="rules">{t('by rule')}</option>
        </select>
      </div>
      {data.error && <Problem error={data.error} />}
      {!data.data && !data.error && <Waiting rows={2} />}
      {data.data && view === 'rules' && <RuleView groups={rules} state={state === 'suppressed' ? '' : state} words={words} matchers={matchers} />}
      {data.data && empty && (
        <Empty>
          {state || words || matchers.length
            ? <><p>{t('No alert matches.')}</p><button type="button" onClick={() => setParams({ state: null, search: null, filter: null })}>{t('Show all')}</button></>
            : <><p class="calm"><span aria-hidden="true">✓ </span>{t('Nothing is firing.')}</p><p class="small">{rules.length ? t('{0} alerting rules are watched.', rules.reduce((n, g) => n + g.rules.length, 0)) : t('No alerting rules loaded. Name rule files under rule_files in prometheus.yml.')}</p></>}
        </Empty>
      )}
      {sections.length > 0 && <div class="groups">{sections.map((s) => (
        <section class={`alert-group ${s.alerts.length === 1 ? 'one' : ''}`} key={s.key}>
          <h2><span class="to" title={t('Receiver')}><span aria-hidden="true">→ </span>{s.receiver}</span> {Object.keys(s.labels).length ? <PickLabels labels={s.labels} onPick={pick} /> : <span class="muted small">{t('one group for all')}</span>} <span class="muted small">{alertCount(s.alerts.length)}</span></h2>
          <Cards alerts={s.alerts} onPick={pick} />
        </section>
      ))}</div>}
      {view === 'groups' && shownPending.length > 0 && (
        <section class="alert-group">
          <h2>{t('Pending')} <span class="muted small">{t('the condition holds, but not yet long enough')}</span></h2>
          <Cards alerts={shownPending} onPick={pick} />
        </section>
      )}
      {view === 'list' && list.length > 0 && <><h2 class="sr-only">{t('Alerts')}</h2><Cards alerts={list} onPick={pick} /></>}
    </div>
  );
}
