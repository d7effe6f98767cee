// The routing tree, and a tester: labels in, the routes an alert would take lit up, with what the others said.
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import { am, asPairs, parseMatchers, printMatchers, type AmAlert, type Matcher, type RouteHead, type RouteNode, type WalkStep } from '../alerting/model';
import { FilterField, knownOf, SubNav } from '../alerting/parts';
import { api, type Labels } from '../api';
import { formatDuration, visible } from '../format';
import { useLoad } from '../hooks';
import { Badge, Empty, Problem, Waiting } from '../parts';
import { route, setParams } from '../router';
import { t } from '../strings';

interface Test { labels: Labels; receivers: string[]; routes: (RouteHead & { groupKey: string })[]; walk: WalkStep[] }

function Node({ node, parent, walk, tested }: { node: RouteNode; parent?: RouteNode; walk: Map<string, WalkStep>; tested: boolean }): JSX.Element {
  const said = walk.get(node.id), verdict = said?.verdict ?? (tested ? 'unasked' : 'idle');
  const timing = [
    node.groupWaitMs !== parent?.groupWaitMs && t('wait {0}', formatDuration(node.groupWaitMs / 1000)), node.groupIntervalMs !== parent?.groupIntervalMs && t('every {0}', formatDuration(node.groupIntervalMs / 1000)),
    node.repeatIntervalMs !== parent?.repeatIntervalMs && t('repeat after {0}', formatDuration(node.repeatIntervalMs / 1000)),
  ].filter(Boolean).join(', ');
  return (
    <li class={`node ${verdict}`} data-verdict={verdict} data-id={node.id}>
      <div class="node-box">
        <p class="node-head">
          {verdict === 'taken' && <span class="node-mark" title={t('taken')}>✓<span class="sr-only"> {t('taken')}</span></span>}
          {verdict === 'passed' && <span class="node-mark" title={t('passed on')}>↓<span class="sr-only"> {t('passed on')}</span></span>}
          {verdict === 'refused' && <span class="node-mark" title={t('does not match')}>✕<span class="sr-only"> {t('does not match')}</span></span>}
          <code>{parent ? visible(node.matchers) : t('everything')}</code> <span class="arrow" aria-hidden="true">→</span> <b class="receiver">{visible(node.receiver)}</b>
          {node.continue && <Badge kind="neutral">{t('continue')}</Badge>}
          {node.mutedBy.length > 0 && <Badge kind="warn">{t('muted now by {0}', node.mutedBy.join(', '))}</Badge>}
        </p>
        <p class="small muted">
          {JSON.stringify(node.groupBy) !== JSON.stringify(parent?.groupBy) && <>{node.groupBy.length ? t('grouped by {0}', node.groupBy.join(', ')) : t('all in one group')}{timing ? ' · ' : ''}</>}{timing}
          {node.line ? <span class="line"> {t('line {0}', node.line)}</span> : null}
        </p>
        {said?.verdict === 'refused' && <p class="small refusal"><code>{visible(said.matcher ?? '')}</code> {said.value ? t('but it is "{0}"', visible(said.value)) : t('but there is no such label')}</p>}
      </div>
      {node.routes.length > 0 && <ul>{node.routes.map((r) => <Node key={r.id} node={r} parent={node} walk={walk} tested={tested} />)}</ul>}
    </li>
  );
}

export function RoutingPage(): JSX.Element {
  const text = route.value.params.get('labels') ?? '', words = route.value.params.get('search') ?? '';
  const matchers = useMemo(() => parseMatchers(text).filter((m) => m.isEqual && !m.isRegex), [text]);
  const labels = Object.fromEntries(matchers.map((m) => [m.name, m.value]));
  const base = useLoad(async (signal) => {
    const [tree, alerts] = await Promise.all([api<RouteNode | null>('alerting/routes', {}, signal).then((a) => a.data), am<AmAlert[]>('v2/alerts', { signal })]);
    return { tree, alerts };
  }, [], 30_000);
  const test = useLoad<Test | null>(async (signal) => (matchers.length ? (await api<Test>('alerting/routes/test', { label: asPairs(labels) }, signal)).data : null), [text]);
  const walk = useMemo(() => new Map((test.data?.walk ?? []).map((w) => [w.id, w])), [test.data]);
  const alerts = base.data?.alerts ?? [];
  const known = useMemo(() => knownOf(alerts.map((a) => a.labels)), [alerts]);
  const set = (ms: Matcher[]): void => setParams({ labels: ms.length ? printMatchers(ms.filter((m) => m.isEqual && !m.isRegex)) : null });
  return (
    <div class="page alerting">
      <div class="bar head"><h1>{t('Routing')}</h1><SubNav here="/routing" /></div>
      <section class="panel tester" aria-label={t('Test')}>
        <h2>{t('Where would an alert go?')}</h2>
        <div class="bar filters">
          <FilterField matchers={matchers} words={words} known={known} placeholder={t('Type labels: severity="page" Enter')} onMatchers={set} onWords={(w) => setParams({ search: w || null })} />
          <select aria-label={t('Labels of an alert')} value="" onChange={(e) => {
            const a = alerts.find((x) => x.fingerprint === e.currentTarget.value);
            if (a) setParams({ labels: printMatchers(Object.entries(a.labels).map(([name, value]) => ({ name, value, isRegex: false, isEqual: true }))), search: null });
          }}>
            <option value="">{alerts.length ? t('or take an alert …') : t('no alert is there')}</option>
            {alerts.slice(0, 200).map((a) => <option value={a.fingerprint}>{visible(`${a.labels.alertname ?? ''} ${Object.entries(a.labels).filter(([k]) => k !== 'alertname').map(([k, v]) => `${k}=${v}`).join(' ').slice(0, 90)}`)}</option>)}
          </select>
          {matchers.length > 0 && <button type="button" onClick={() => setParams({ labels: null, search: null })}>{t('Clear')}</button>}
        </div>
        {test.error && <Problem error={test.error} />}
        <div role="status">
          {test.data && (
            <ul class="plain result">
              {test.data.routes.map((r) => <li><Badge kind="ok">→ {visible(r.receiver)}</Badge> <span class="small">{t('in the group')} <code>{visible(r.groupKey)}</code></span>{r.mutedBy.length > 0 && <> <Badge kind="warn">{t('muted now by {0}', r.mutedBy.join(', '))}</Badge></>}</li>)}
            </ul>
          )}
        </div>
      </section>
      {base.error && <Problem error={base.error} />}
      {!base.data && !base.error && <Waiting rows={2} />}
      {base.data && !base.data.tree && <Empty>{t('There is no routing tree.')}</Empty>}
      {base.data?.tree && <section class="panel"><ul class="tree" aria-label={t('Routing tree')}><Node node={base.data.tree} walk={walk} tested={matchers.length > 0 && !!test.data} /></ul></section>}
    </div>
  );
}
