// Who is scraped, how it goes, and why it does not.
import { useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { api, type Labels } from '../api';
import { ago, formatNumber } from '../format';
import { useLoad } from '../hooks';
import { Badge, Empty, LabelSet, Problem, Waiting } from '../parts';
import { route, setParams } from '../router';
import { t } from '../strings';

interface Target {
  discoveredLabels: Labels; labels: Labels; scrapePool: string; scrapeUrl: string; globalUrl: string; lastError: string;
  lastScrape: string; lastScrapeDuration: number; health: 'up' | 'down' | 'unknown'; scrapeInterval: string; scrapeTimeout: string;
}
interface Dropped { discoveredLabels: Labels; scrapePool?: string }
interface TargetsData { activeTargets: Target[]; droppedTargets: Dropped[]; droppedTargetCounts?: Record<string, number> }
const mostRows = 100;

/** Only web addresses are links; a target's address is somebody else's text. */
function Endpoint({ target }: { target: Target }): JSX.Element {
  const url = /^https?:\/\//.test(target.globalUrl) ? target.globalUrl : null;
  return url ? <a href={url} target="_blank" rel="noreferrer noopener">{target.scrapeUrl}</a> : <>{target.scrapeUrl}</>;
}

function Pool({ name, targets, total }: { name: string; targets: Target[]; total: number }): JSX.Element {
  const down = targets.filter((x) => x.health === 'down').length, up = targets.filter((x) => x.health === 'up').length;
  const [open, setOpen] = useState(true);
  const [all, setAll] = useState(false);
  // What is wrong comes first.
  const sorted = [...targets].sort((a, b) => Number(a.health !== 'down') - Number(b.health !== 'down') || a.scrapeUrl.localeCompare(b.scrapeUrl));
  const shown = all ? sorted : sorted.slice(0, mostRows);
  return (
    <section class="panel">
      <h2>
        <button type="button" class="fold" aria-expanded={open} onClick={() => setOpen(!open)}>{name}</button>{' '}
        <Badge kind={down ? 'bad' : up === targets.length ? 'ok' : 'neutral'}>{t('{0} / {1} up', up, targets.length)}</Badge>
        {targets.length < total && <span class="muted small"> {t('{0} hidden by the filter', total - targets.length)}</span>}
      </h2>
      {open && (
        <>
          <table class="data targets">
            <thead><tr><th class="w-url">{t('Endpoint')}</th><th class="w-state">{t('State')}</th><th>{t('Labels')}</th><th class="num w-time">{t('Last scrape')}</th><th class="num w-time">{t('Took')}</th><th class="num w-time">{t('Every')}</th></tr></thead>
            <tbody>
              {shown.map((x) => (
                <>
                  <tr>
                    <td data-label={t('Endpoint')} class="mono"><Endpoint target={x} /></td>
                    <td data-label={t('State')}><Badge kind={x.health === 'up' ? 'ok' : x.health === 'down' ? 'bad' : 'neutral'}>{x.health}</Badge></td>
                    <td data-label={t('Labels')}>
                      <LabelSet labels={x.labels} />
                      <details class="before"><summary>{t('before relabelling')}</summary><LabelSet labels={x.discoveredLabels} /></details>
                    </td>
                    <td data-label={t('Last scrape')} class="num">{ago(x.lastScrape)}</td>
                    <td data-label={t('Took')} class="num">{x.health === 'unknown' ? '–' : formatNumber(x.lastScrapeDuration, 'seconds')}</td>
                    <td data-label={t('Every')} class="num">{x.scrapeInterval}</td>
                  </tr>
                  {x.lastError && <tr class="error"><td colSpan={6}>{x.lastError}</td></tr>}
                </>
              ))}
            </tbody>
          </table>
          {sorted.length > shown.length && <button type="button" onClick={() => setAll(true)}>{t('Show all {0} targets', sorted.length)}</button>}
        </>
      )}
    </section>
  );
}

export function TargetsPage(): JSX.Element {
  const load = useLoad(async (signal) => (await api<TargetsData>('targets', {}, signal)).data, [], 5000);
  const filter = route.value.params.get('search') ?? '';
  const health = route.value.params.get('health') ?? '';
  const active = load.data?.activeTargets ?? [];
  const pools = new Map<string, Target[]>(), totals = new Map<string, number>();
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  for (const x of active) {
    totals.set(x.scrapePool, (totals.get(x.scrapePool) ?? 0) + 1);
    if (health && x.health !== health) continue;
    const text = `${x.scrapePool} ${x.scrapeUrl} ${x.lastError} ${Object.entries(x.labels).map(([k, v]) => `${k}="${v}"`).join(' ')}`.toLowerCase();
    if (!words.every((w) => text.includes(w))) continue;
    pools.set(x.scrapePool, [...(pools.get(x.scrapePool) ?? []), x]);
  }
  const count = (h: string): number => active.filter((x) => x.health === h).length;
  const dropped = load.data?.droppedTargets ?? [];
  const droppedCount = Math.max(dropped.length, Object.values(load.data?.droppedTargetCounts ?? {}).reduce((a, b) => a + b, 0));
  return (
    <div class="page">
      <div class="bar head">
        <h1>{t('Targets')}</h1>
        {load.data && <span class="summary"><Badge kind={count('up') ? 'ok' : 'neutral'}>{t('{0} up', count('up'))}</Badge> {count('down') > 0 && <Badge kind="bad">{t('{0} down', count('down'))}</Badge>} {count('unknown') > 0 && <Badge kind="neutral">{t('{0} not scraped yet', count('unknown'))}</Badge>}</span>}
        <span class="spacer" />
        <input type="search" placeholder={t('Address, label or error')} aria-label={t('Filter')} value={filter} onInput={(e) => setParams({ search: e.currentTarget.value || null })} />
        <select aria-label={t('State')} value={health} onChange={(e) => setParams({ health: e.currentTarget.value || null })}>
          <option value="">{t('any state')}</option><option value="up">up</option><option value="down">down</option><option value="unknown">unknown</option>
        </select>
      </div>
      {load.error && <Problem error={load.error} />}
      {!load.data && !load.error && <Waiting rows={2} />}
      {load.data && !pools.size && (filter || health
        ? <Empty>{t('No target matches.')} <button type="button" class="link" onClick={() => setParams({ search: null, health: null })}>{t('Show all')}</button></Empty>
        : <Empty>{t('No targets yet. Add a scrape_configs entry to prometheus.yml and reload.')}</Empty>)}
      {[...pools].sort(([a], [b]) => a.localeCompare(b)).map(([name, targets]) => <Pool key={name} name={name} targets={targets} total={totals.get(name) ?? 0} />)}
      {droppedCount > 0 && (
        <details class="panel">
          <summary>{t('{0} dropped by relabelling', droppedCount)}</summary>
          <ul class="plain">{dropped.slice(0, mostRows).map((d) => <li><LabelSet labels={d.discoveredLabels} /></li>)}</ul>
        </details>
      )}
    </div>
  );
}
