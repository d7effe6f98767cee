// The delivery ledger: what waits, what was handed over and with which id, what was given up and can be tried again.
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { post, type LedgerEntry } from '../alerting/model';
import { Since, SubNav, until } from '../alerting/parts';
import { api, ApiError } from '../api';
import { formatTime, visible } from '../format';
import { useLoad } from '../hooks';
import { Badge, Empty, Problem, Waiting } from '../parts';
import { route, setParams } from '../router';
import { t } from '../strings';

interface Integration { name: string; receiver: string; kind: string; health: 'ok' | 'failing' | 'stopped'; queued: number; lastDelivery: string; lastError?: string; lastErrorAt?: string; blockedUntil?: string }
interface Queued { integration: string; group: string; since: string; notBefore: string }
interface Dead { integration: string; group: string; reason: string; created: string; at: string }
interface Deliveries { queued: Queued[]; deliveries: LedgerEntry[]; deadLetters: Dead[] }

const kindOf: Record<string, 'ok' | 'bad' | 'warn' | 'neutral'> = { accepted: 'ok', edited: 'ok', resolved: 'ok', queued: 'neutral', retrying: 'warn', 'given up': 'bad', 'not queued': 'bad' };
const signOf: Record<string, string> = { accepted: '✓', edited: '✎', resolved: '✓', queued: '…', retrying: '↻', 'given up': '✕', 'not queued': '✕' };
const never = (at: string | undefined): boolean => !at || at.startsWith('0001') || at.startsWith('1970');
const at = (text: string): JSX.Element => <time dateTime={text} title={text}>{formatTime(Date.parse(text) / 1000)}</time>;

function Retry({ letter, onDone }: { letter: Dead; onDone: () => void }): JSX.Element {
  const [said, setSaid] = useState<string | ApiError>('');
  const run = (): void => {
    setSaid('');
    post('alerting/deliveries/retry', { integration: letter.integration, group: letter.group }).then(() => (setSaid(t('It is told again, with what the group looks like now.')), onDone()), (e: unknown) => setSaid(e as ApiError));
  };
  return <div><button type="button" onClick={run} aria-label={t('Try again: {0}', letter.integration)}>{t('Try again')}</button>{said instanceof ApiError ? <p class="small bad-text" role="alert">{said.message}</p> : said && <p class="small" role="status">{said}</p>}</div>;
}

export function DeliveriesPage(): JSX.Element {
  const only = route.value.params.get('integration') ?? '';
  const load = useLoad(async (signal) => {
    const [d, s] = await Promise.all([api<Deliveries>('alerting/deliveries', only ? { integration: only } : {}, signal), api<{ queued: number; integrations: Integration[] }>('alerting/status', {}, signal)]);
    return { ...d.data, deadLetters: d.data.deadLetters.filter((x) => !only || x.integration === only), integrations: s.data.integrations };
  }, [only], 5000);
  const d = load.data;
  const [most, setMost] = useState(100);
  return (
    <div class="page alerting">
      <div class="bar head">
        <h1>{t('Deliveries')}</h1>
        {d && <span class="summary"><Badge kind={d.queued.length ? 'warn' : 'ok'}>{t('{0} waiting', d.queued.length)}</Badge> {d.deadLetters.length > 0 && <Badge kind="bad">{t('{0} given up', d.deadLetters.length)}</Badge>}</span>}
        <SubNav here="/deliveries" />
      </div>
      {load.error && <Problem error={load.error} />}
      {!d && !load.error && <Waiting rows={2} />}
      {d && (
        <>
          <div class="bar filters">
            <select aria-label={t('Integration')} value={only} onChange={(e) => setParams({ integration: e.currentTarget.value || null })}>
              <option value="">{t('every integration')}</option>{d.integrations.map((i) => <option value={i.name}>{visible(i.name)}</option>)}
            </select>
          </div>
          {!d.integrations.length && <Empty><p>{t('No receiver has an integration: alerts are kept and shown, but nobody is told.')}</p><p class="small">{t('Set DISCORD_WEBHOOK_URL in .env, or --alertmanager.config.file.')}</p></Empty>}
          <div class="grid">
            {d.integrations.filter((i) => !only || i.name === only).map((i) => (
              <section class="panel integration" key={i.name}>
                <h2>{visible(i.name)} <Badge kind={i.health === 'ok' ? 'ok' : i.health === 'failing' ? 'warn' : 'bad'}>{t(i.health)}</Badge></h2>
                <p class="small muted">{never(i.lastDelivery) ? t('nothing delivered yet') : <>{t('last delivered')} <Since at={i.lastDelivery} /></>}{i.queued ? `, ${t('{0} waiting', i.queued)}` : ''}{i.blockedUntil ? `, ${t('next try {0}', until(i.blockedUntil))}` : ''}</p>
                {i.lastError && <p class="small bad-text">{visible(i.lastError)} {i.lastErrorAt && <span class="muted">(<Since at={i.lastErrorAt} />)</span>}</p>}
              </section>
            ))}
          </div>
          {d.deadLetters.length > 0 && (
            <section class="panel dead" aria-label={t('Given up')}>
              <h2>{t('Given up')}</h2>
              {d.deadLetters.slice().reverse().slice(0, most).map((x) => (
                <div class="letter">
                  <div><b>{visible(x.integration)}</b> <span class="muted small">{at(x.at)}</span><p class="small"><code>{visible(x.group)}</code></p><p class="small bad-text">{visible(x.reason)}</p></div>
                  <Retry letter={x} onDone={load.reload} />
                </div>
              ))}
            </section>
          )}
          {d.queued.length > 0 && (
            <section class="panel" aria-label={t('Waiting')}>
              <h2>{t('Waiting')}</h2>
              <ul class="plain">{d.queued.slice(0, most).map((q) => <li><b>{visible(q.integration)}</b> <code class="small">{visible(q.group)}</code> <span class="muted small">{t('queued')} <Since at={q.since} />{Date.parse(q.notBefore) > Date.now() ? `, ${t('next try {0}', until(q.notBefore))}` : ''}</span></li>)}</ul>
            </section>
          )}
          <section class="panel" aria-label={t('Ledger')}>
            <h2>{t('Ledger')} <span class="muted small">{t('the latest first')}</span></h2>
            {!d.deliveries.length && <p class="muted">{t('Nothing was sent yet.')}</p>}
            <table class="data ledger-table">
              {d.deliveries.length > 0 && <thead><tr><th class="w-time">{t('When')}</th><th class="w-state">{t('What')}</th><th>{t('To')}</th><th>{t('Group')}</th><th>{t('Provider’s id, or reason')}</th></tr></thead>}
              <tbody>
                {d.deliveries.slice(0, most).map((e) => (
                  <tr>
                    <td data-label={t('When')}>{at(e.at)}</td>
                    <td data-label={t('What')}><Badge kind={kindOf[e.state] ?? 'neutral'}><span aria-hidden="true">{signOf[e.state] ?? ''} </span>{t(e.state)}</Badge></td>
                    <td data-label={t('To')}>{visible(e.integration)}</td>
                    <td data-label={t('Group')}><code class="small">{visible(e.group)}</code></td>
                    <td data-label={t('Id')} class={e.id || e.reason ? '' : 'empty-cell'}>{e.id && <code>{visible(e.id)}</code>} {e.reason && <span class="bad-text small">{visible(e.reason)}</span>}</td>
                  </tr>
                ))}
              </tbody>
            </table>
            {d.deliveries.length > most && <button type="button" class="link" onClick={() => setMost(most + 300)}>{t('Show more of {0}', d.deliveries.length)}</button>}
          </section>
        </>
      )}
    </div>
  );
}
