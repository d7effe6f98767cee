// Who is scraped, how it goes, and why it does not.
import { useState } from 'preact/hooks';
import type { JSX } from 'preact';
import { api, type Labels } from '../api';
import { ago, formatNumber } from '../format';
import { useLoad } from '../hooks';
import { Badge, Empty, LabelSet, Problem } from '../parts';
import { route, setParams } from '../router';
import { t } from '../strings';

interface Target {
  discoveredLabels: Labels; labels: Labels; scrapePool: string; scrapeUrl: string; globalUrl: string; lastError: string;
  lastScrape: string; lastScrapeDuration: number; health: 'up' | 'down' | 'unknown'; scrapeInterval: string; scrapeTimeout: string;
}
interface TargetsData { activeTargets: Target[]; droppedTargets: { discoveredLabels: Labels }[]; droppedTargetCounts?: Record<string, number> }

function Pool({ name, targets }: { name: string; targets: Target[] }): JSX.Element {
  const up = targets.filter((x) => x.health === 'up').length;
  const [open, setOpen] = useState(true);
  return (
    <section class="panel">
      <h2>
        <button type="button" class="fold" aria-expanded={open} onClick={() => setOpen(!open)}>{name}</button>{' '}
        <Badge kind={up === targets.length ? 'ok' : 'bad'}>{t('{0} / {1} up', up, targets.length)}</Badge>
      </h2>
      {open && (
        <table class="data targets">
          <thead><tr><th>{t('Endpoint')}</th><th>{t('State')}</th><th>{t('Labels')}</th><th class="num">{t('Last scrape')}</th><th class="num">{t('Took')}</th></tr></thead>
          <tbody>
            {targets.map((x) => (
              <>
                <tr>
                  <td data-label={t('Endpoint')} class="mono"><a href={x.globalUrl} target="_blank" rel="noreferrer">{x.scrapeUrl}</a></td>
                  <td data-label={t('State')}><Badge kind={x.health === 'up' ? 'ok' : x.health === 'down' ? 'bad' : 'neutral'}>{x.health}</Badge></td>
                  <td data-label={t('Labels')}><LabelSet labels={x.labels} /></td>
                  <td data-label={t('Last scrape')} class="num">{ago(x.lastScrape)}</td>
                  <td data-label={t('Took')} class="num">{formatNumber(x.lastScrapeDuration, 'seconds')}</td>
                </tr>
                {x.lastError && <tr class="error"><td colSpan={5}>{x.lastError}</td></tr>}
              </>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

export function TargetsPage(): JSX.Element {
  const load = useLoad(async (signal) => (await api<TargetsData>('targets', {}, signal)).data, [], 5000);
  const filter = route.value.params.get('search') ?? '';
  const health = route.value.params.get('health') ?? '';
  const pools = new Map<string, Target[]>();
  for (const x of load.data?.activeTargets ?? []) {
    if (health && x.health !== health) continue;
    if (filter && !`${x.scrapeUrl} ${Object.entries(x.labels).join(' ')}`.toLowerCase().includes(filter.toLowerCase())) continue;
    pools.set(x.scrapePool, [...(pools.get(x.scrapePool) ?? []), x]);
  }
  const dropped = Object.values(load.data?.droppedTargetCounts ?? {}).reduce((a, b) => a + b, 0);
  return (
    <div class="page">
      <div class="bar">
        <h1>{t('Targets')}</h1>
        <input type="search" placeholder={t('Filter by address or label')} aria-label={t('Filter')} value={filter} onInput={(e) => setParams({ search: e.currentTarget.value || null })} />
        <select aria-label={t('State')} value={health} onChange={(e) => setParams({ health: e.currentTarget.value || null })}>
          <option value="">{t('any state')}</option><option value="up">up</option><option value="down">down</option><option value="unknown">unknown</option>
        </select>
      </div>
      {load.error && <Problem error={load.error} />}
      {load.data && !pools.size && <Empty>{filter || health ? t('No target matches.') : t('No targets yet. Add a scrape_configs entry to prometheus.yml and reload.')}</Empty>}
      {[...pools].sort(([a], [b]) => a.localeCompare(b)).map(([name, targets]) => <Pool key={name} name={name} targets={targets} />)}
      {dropped > 0 && <p class="muted">{t('{0} targets dropped by relabelling.', dropped)}</p>}
    </div>
  );
}
