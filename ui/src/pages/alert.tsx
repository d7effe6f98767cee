// One alert: what it says, when it fired, and the way it took to people, station by station, with where it stopped and why.
import type { ComponentChildren, JSX } from 'preact';
import { useState } from 'preact/hooks';
import { am, asPairs, equalities, headline, loadRules, parseMatchers, printMatchers, ruleOf, type AmAlert, type Path, type PathIntegration, type PathRoute, type Rule, type RuleGroup } from '../alerting/model';
import { AlertLinks, Annotations, History, PickLabels, Severity, Since, StateMark, until, type State } from '../alerting/parts';
import { api, type Labels } from '../api';
import { formatDuration, formatTime, visible } from '../format';
import { useLoad } from '../hooks';
import { Badge, Empty, LabelSet, Problem, Waiting } from '../parts';
import { go, href, route } from '../router';
import { t } from '../strings';

type Verdict = 'pass' | 'stop' | 'wait' | 'fail' | 'off';
const signs: Record<Verdict, string> = { pass: '✓', stop: '⊘', wait: '◔', fail: '✕', off: '·' };
const said: Record<Verdict, string> = { pass: 'passed', stop: 'stopped here', wait: 'waiting', fail: 'failed', off: 'not reached' };

function Station({ name, verdict, title, children }: { name: string; verdict: Verdict; title: ComponentChildren; children?: ComponentChildren }): JSX.Element {
  return (
    <li class={`station ${verdict}`} data-station={name} data-verdict={verdict}>
      <span class="sign" aria-hidden="true">{signs[verdict]}</span>
      <div>
        <p class="station-name">{t(name)} <span class="sr-only">{t(said[verdict])}</span></p>
        <p class="station-said">{title}</p>
        {children}
      </div>
    </li>
  );
}

const time = (at: string | undefined): JSX.Element | null => (at && !at.startsWith('0001') && !at.startsWith('1970') ? <time dateTime={at} title={formatTime(Date.parse(at) / 1000)}>{formatTime(Date.parse(at) / 1000)}</time> : null);
const seconds = (ms: number): string => formatDuration(ms / 1000);

function RuleStation({ path, found }: { path: Path; found: { rule: Rule; group: RuleGroup } | null }): JSX.Element {
  if (!found) return <Station name="Rule" verdict={path.fingerprint ? 'pass' : 'off'} title={path.fingerprint ? t('No rule here makes it: it was sent by somebody else.') : t('No rule of this name.')} />;
  const { rule, group } = found, alert = ruleOf([group], path.labels)?.alert;
  const link = <a href={href('/rules', { search: rule.name })} data-page>{rule.name}</a>;
  const expr = <p class="small"><a class="mono" href={href('/query', { 'g0.expr': rule.query, 'g0.tab': '0' })} data-page>{rule.query}</a></p>;
  if (rule.health === 'err') return <Station name="Rule" verdict="fail" title={<>{link} {t('fails to evaluate')}</>}>{expr}<p class="small">{rule.lastError}</p></Station>;
  if (!alert) return <Station name="Rule" verdict="stop" title={<>{link}: {t('its condition does not hold for these labels now')}</>}>{expr}</Station>;
  if (alert.state === 'pending') {
    const due = new Date(Date.parse(alert.activeAt) + (rule.duration ?? 0) * 1000).toISOString();
    return <Station name="Rule" verdict="wait" title={<>{link} {t('is pending: it fires when the condition has held for {0}, {1}', formatDuration(rule.duration ?? 0), until(due))}</>}>{expr}</Station>;
  }
  return <Station name="Rule" verdict="pass" title={<>{link} {t('fires since')} {time(path.startsAt) ?? time(alert.activeAt)}{rule.duration ? t(' after holding for {0}', formatDuration(rule.duration)) : ''}</>}>{expr}</Station>;
}

function RouteStation({ path, r }: { path: Path; r: PathRoute }): JSX.Element {
  const refused = path.walk.filter((w) => w.verdict === 'refused');
  return (
    <Station name="Route" verdict="pass" title={<>{r.matchers === '{}' ? t('the root route, since no other took it') : <>{t('taken by')} <code>{visible(r.matchers)}</code></>} → <b>{visible(r.receiver)}</b>{r.line ? <span class="muted small"> {t('line {0}', r.line)}</span> : null}</>}>
      <p class="small"><a href={href('/routing', { labels: printMatchers(equalities(path.labels)) })} data-page>{t('See it in the tree')}</a></p>
      {refused.length > 0 && (
        <details class="before"><summary>{t('{0} routes asked before did not match', refused.length)}</summary>
          <ul class="plain small">{refused.map((w) => <li><code>{visible(w.matcher ?? '')}</code> {w.value ? t('but it is "{0}"', visible(w.value)) : t('but there is no such label')}</li>)}</ul>
        </details>
      )}
    </Station>
  );
}

function GroupStation({ r }: { r: PathRoute }): JSX.Element {
  const flushed = r.lastFlush && !r.lastFlush.startsWith('0001') && !r.lastFlush.startsWith('1970');
  const timing = <p class="small muted">{t('waits {0} at first, then looks every {1}, and repeats what has not changed after {2}', seconds(r.groupWaitMs), seconds(r.groupIntervalMs), seconds(r.repeatIntervalMs))}</p>;
  if (r.groupAlerts === undefined) return <Station name="Group" verdict="off" title={<>{t('would join the group')} <code>{visible(r.groupKey)}</code></>}>{timing}</Station>;
  return (
    <Station name="Group" verdict={flushed ? 'pass' : 'wait'} title={<>{t('one of {0} in its group', r.groupAlerts)}, {flushed ? <>{t('last looked at')} <Since at={r.lastFlush as string} /></> : t('which waits to be looked at for the first time')}; {t('next look {0}', until(r.nextFlush ?? ''))}</>}>
      {timing}<p class="small"><code class="muted">{visible(r.groupKey)}</code></p>
    </Station>
  );
}

function InhibitStation({ path }: { path: Path }): JSX.Element {
  const by = path.inhibitedBy;
  if (!by) return <Station name="Inhibition" verdict="pass" title={t('no other alert keeps it quiet')} />;
  return <Station name="Inhibition" verdict="stop" title={<>{t('kept quiet by')} <a href={href('/alert', { fingerprint: by.fingerprint })} data-page>{by.labels.alertname ?? by.fingerprint}</a>{by.rule ? t(', by the rule {0}', by.rule) : ''}</>}><LabelSet labels={by.labels} skip={['alertname']} /></Station>;
}

function MuteStation({ r }: { r: PathRoute }): JSX.Element {
  if (!r.mutedBy.length) return <Station name="Time intervals" verdict="pass" title={t('the route is not muted now')} />;
  return <Station name="Time intervals" verdict="stop" title={t('the route is quiet now, by the time interval {0}', r.mutedBy.join(', '))} />;
}

function SilenceStation({ path }: { path: Path }): JSX.Element {
  if (!path.silencedBy.length) return <Station name="Silences" verdict="pass" title={t('no silence matches it')} />;
  return (
    <Station name="Silences" verdict="stop" title={path.silencedBy.length === 1 ? t('silenced') : t('silenced {0} times', path.silencedBy.length)}>
      <ul class="plain small">{path.silencedBy.map((s) => <li><a href={href('/silences', { id: s.id })} data-page>{visible(s.comment) || s.id}</a> <span class="muted">{t('by {0}, ends {1}', visible(s.createdBy), until(s.endsAt))}</span></li>)}</ul>
    </Station>
  );
}

const endings: Record<string, [Verdict, string]> = {
  notified: ['pass', 'it was told of this alert'], queued: ['wait', 'the message waits in the outbox'], retrying: ['wait', 'the message is being tried again'], stopped: ['fail', 'it is stopped until the configuration is reloaded, or a delivery is tried again'],
  'given up': ['fail', 'the message was given up'],
  resolved: ['off', 'the alert is over; it was not told of it'], inhibited: ['off', 'not told: inhibited'], muted: ['off', 'not told: muted'], silenced: ['off', 'not told: silenced'], waiting: ['wait', 'it will be told at the next look'], hypothetical: ['off', 'it would be told'],
};

function DeliveryStation({ i }: { i: PathIntegration }): JSX.Element {
  const [verdict, text] = endings[i.verdict] ?? (['off', i.verdict] as [Verdict, string]);
  return (
    <Station name="Delivery" verdict={verdict} title={<><b>{visible(i.integration)}</b>: {t(text)}{i.lastNotified && i.verdict === 'notified' ? <> <span class="muted">({t('last')} <Since at={i.lastNotified} />)</span></> : null}</>}>
      {i.lastError && verdict !== 'pass' && verdict !== 'off' && <p class="small bad-text">{visible(i.lastError)}</p>}
      {i.deliveries.length > 0 && <p class="small muted">{t('The last deliveries of its group, the latest first:')}</p>}
      {i.deliveries.length > 0 && (
        <ol class="ledger small">{i.deliveries.map((d) => <li><span class={`step ${d.state.replace(' ', '-')}`}>{t(d.state)}</span> {time(d.at)} {d.id && <code class="muted">{d.id}</code>} {d.reason && <span class="bad-text">{visible(d.reason)}</span>}</li>)}</ol>
      )}
      {i.deliveries.length > 0 && <p class="small"><a href={href('/deliveries', { integration: i.integration })} data-page>{t('All deliveries')}</a></p>}
    </Station>
  );
}

/** The one sentence: told or not, and by what it was held. */
function answer(path: Path, found: { rule: Rule } | null): [Verdict, string] {
  const all = path.routes.flatMap((r) => r.integrations);
  const told = all.filter((i) => i.verdict === 'notified');
  if (path.state.startsWith('unknown')) {
    const alert = found?.rule.alerts?.find((a) => Object.entries(a.labels).every(([k, v]) => path.labels[k] === v));
    if (alert?.state === 'pending') return ['wait', t('Nobody was told: the alert is pending, its condition has not held long enough.')];
    return ['off', t('There is no such alert now. This is the way it would take.')];
  }
  if (path.state === 'resolved') return ['off', t('The alert is over.')];
  if (told.length && told.length === all.length) return ['pass', t('Everybody was told: {0}.', told.map((i) => i.integration).join(', '))];
  if (path.inhibitedBy) return ['stop', t('Nobody is told: {0} inhibits it.', path.inhibitedBy.labels.alertname ?? path.inhibitedBy.fingerprint)];
  if (path.routes.every((r) => r.mutedBy.length)) return ['stop', t('Nobody is told: a time interval mutes its routes now.')];
  if (path.silencedBy.length) return ['stop', t('Nobody is told: it is silenced, {0}.', t('ends {0}', until(path.silencedBy[0].endsAt)))];
  if (!all.length) return ['fail', t('Nobody is told: its receiver has no integration. Give it one in alertmanager.yml.')];
  const failed = all.filter((i) => i.verdict === 'stopped' || i.verdict === 'given up');
  if (failed.length) return ['fail', t('Telling {0} failed.', failed.map((i) => i.integration).join(', '))];
  const waits = all.filter((i) => ['waiting', 'queued', 'retrying'].includes(i.verdict));
  if (waits.length) return ['wait', t('On its way to {0}.', waits.map((i) => i.integration).join(', '))];
  return ['pass', t('Told: {0}.', told.map((i) => i.integration).join(', '))];
}

interface Loaded { path: Path; groups: RuleGroup[]; alert?: AmAlert }

async function load(fingerprint: string, labels: Labels, signal: AbortSignal): Promise<Loaded> {
  const ask: Record<string, string | string[]> = fingerprint ? { fingerprint } : { label: asPairs(labels) };
  const [path, groups] = await Promise.all([api<Path>('alerting/why', ask, signal).then((a) => a.data), loadRules(signal)]);
  const filter = Object.entries(path.labels).map(([k, v]) => `${/^[a-zA-Z_]\w*$/.test(k) ? k : JSON.stringify(k)}=${JSON.stringify(v)}`);
  const alerts = await am<AmAlert[]>('v2/alerts', { params: { filter: filter.slice(0, 60) }, signal });
  return { path, groups, alert: alerts.find((a) => a.fingerprint === path.fingerprint) };
}

function stateOf(d: Loaded, found: ReturnType<typeof ruleOf>): State {
  if (d.alert) return d.alert.status.state === 'active' ? 'firing' : d.alert.status.state;
  if (found?.alert?.state === 'pending') return 'pending';
  return d.path.state === 'firing' ? 'firing' : 'resolved';
}

export function AlertPage(): JSX.Element {
  const params = route.value.params;
  const fingerprint = params.get('fingerprint') ?? '', text = params.get('labels') ?? '';
  const labels = Object.fromEntries(parseMatchers(text).map((m) => [m.name, m.value]));
  const [range, setRange] = useState(86400);
  const data = useLoad((signal) => load(fingerprint, labels, signal), [fingerprint, text], 5000);
  const d = data.data, found = d ? ruleOf(d.groups, d.path.labels) : null;
  const annotations = d?.alert?.annotations ?? found?.alert?.annotations ?? {};
  const [verdict, sentence] = d ? answer(d.path, found) : ['off' as Verdict, ''];
  const stopped = !!d && (!!d.path.inhibitedBy || !!d.path.silencedBy.length);
  return (
    <div class="page alerting one-alert">
      <div class="bar head">
        <h1>{d?.path.labels.alertname ?? t('Alert')}</h1>
        {d && <><Severity labels={d.path.labels} /><StateMark state={stateOf(d, found)} /></>}
        <span class="spacer" />
        <a href={href('/alerts')} data-page>{t('All alerts')}</a>
      </div>
      {data.error && (data.error.status === 400 ? <Empty><p>{t('This alert is no longer held: it ended, and was forgotten.')}</p><a href={href('/alerts')} data-page>{t('All alerts')}</a></Empty> : <Problem error={data.error} />)}
      {!d && !data.error && <Waiting rows={2} />}
      {d && (
        <div class="two-columns">
          <section class="panel" aria-label={t('The way to people')}>
            <h2>{t('Why did this notify, or not?')}</h2>
            <p class={`answer ${verdict}`} role="status"><span aria-hidden="true">{signs[verdict]} </span>{sentence}</p>
            <ol class="path" aria-label={t('Where it comes from')}><RuleStation path={d.path} found={found} /></ol>
            {d.path.routes.map((r, k) => (
              <ol class="path" key={r.id} aria-label={t('The way to {0}', r.receiver)}>
                {d.path.routes.length > 1 && <li class="fork" aria-hidden="true">{t('way {0} of {1}', k + 1, d.path.routes.length)}</li>}
                <RouteStation path={d.path} r={r} />
                <GroupStation r={r} />
                <InhibitStation path={d.path} />
                <MuteStation r={r} />
                <SilenceStation path={d.path} />
                {r.integrations.map((i) => <DeliveryStation i={i} key={i.integration} />)}
                {!r.integrations.length && <Station name="Delivery" verdict={stopped ? 'off' : 'fail'} title={t('the receiver {0} has no integration: nobody is told', visible(r.receiver))} />}
              </ol>
            ))}
          </section>
          <div>
            <section class="panel" aria-label={t('The alert')}>
              {headline(annotations) && <p class="headline big">{headline(annotations)}</p>}
              <PickLabels labels={d.path.labels} onPick={(m) => go('/alerts', { filter: printMatchers([m]) })} />
              <Annotations of={Object.fromEntries(Object.entries(annotations).filter(([, v]) => v !== headline(annotations)))} />
              <dl class="annotations">
                {d.path.startsAt && <><dt>{t('began')}</dt><dd>{time(d.path.startsAt)} <span class="muted">(<Since at={d.path.startsAt} />)</span></dd></>}
                {d.path.endsAt && <><dt>{t('valid until')}</dt><dd>{time(d.path.endsAt)}</dd></>}
                {d.path.fingerprint && <><dt>{t('fingerprint')}</dt><dd><code>{d.path.fingerprint}</code></dd></>}
              </dl>
              <div class="bar tight">
                <AlertLinks alert={{ labels: d.path.labels, annotations, fingerprint: d.path.fingerprint ?? '', generatorURL: d.alert?.generatorURL ?? (found ? href('/graph', { 'g0.expr': found.rule.query }) : undefined) }}>
                  <a class="button" href={href('/silences', { new: '1', filter: printMatchers(equalities(d.path.labels)) })} data-page>{t('Silence')}</a>
                </AlertLinks>
              </div>
            </section>
            <section class="panel"><History labels={d.path.labels} range={range} onRange={setRange} /></section>
            {d.path.silencedBy.length > 0 && <p><Badge kind="neutral">{t('silenced')}</Badge></p>}
          </div>
        </div>
      )}
    </div>
  );
}
