// Silences: what is quiet, by whom, why and until when; making one, with a preview of the alerts it matches now.
import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { am, operatorOf, parseMatchers, printMatcher, type AmAlert, type Matcher, type Silence } from '../alerting/model';
import { alertCount, FilterField, knownOf, MatcherList, Severity, SubNav, wanted, type Known } from '../alerting/parts';
import { ApiError, type Labels } from '../api';
import { ago, formatClock, formatDate, formatDuration, formatTime, parseDuration, visible } from '../format';
import { useLoad } from '../hooks';
import { Badge, Empty, LabelSet, Problem, Waiting } from '../parts';
import { route, setParams } from '../router';
import { t } from '../strings';

type Is = Silence['status']['state'];
const states: [Is, string][] = [['active', 'active'], ['pending', 'pending'], ['expired', 'expired']];
const soonMs = 15 * 60_000, creatorKey = 'pharos.creator';

function readCreator(): string {
  try {
    return localStorage.getItem(creatorKey) ?? '';
  } catch {
    return '';
  }
}

function keepCreator(name: string): void {
  try {
    localStorage.setItem(creatorKey, name);
  } catch {
    // Storage is full or forbidden.
  }
}

// ---- one silence of the list ----
function timeLine(s: Silence, now: number): JSX.Element {
  const start = Date.parse(s.startsAt), end = Date.parse(s.endsAt);
  const when = (ms: number): JSX.Element => <time dateTime={new Date(ms).toISOString()} title={formatTime(ms / 1000)}>{formatTime(ms / 1000).slice(0, -3)}</time>;
  if (s.status.state === 'expired') return <>{t('ended {0}', ago(s.endsAt))} <span class="muted">({when(start)} – {when(end)})</span></>;
  if (s.status.state === 'pending') return <>{t('begins in {0}', formatDuration((start - now) / 1000))}, {t('for {0}', formatDuration((end - start) / 1000))} <span class="muted">({when(start)} – {when(end)})</span></>;
  return <>{t('ends in {0}', formatDuration((end - now) / 1000))} <span class="muted">({when(end)})</span></>;
}

function Item({ silence: s, quiet, now, onExpired, marked }: { silence: Silence; quiet: AmAlert[]; now: number; onExpired: () => void; marked: boolean }): JSX.Element {
  const [asking, setAsking] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const box = useRef<HTMLElement>(null);
  useEffect(() => void (marked && box.current?.scrollIntoView({ block: 'center' })), [marked]);
  const start = Date.parse(s.startsAt), end = Date.parse(s.endsAt), active = s.status.state === 'active';
  const expire = (): void => {
    setError(null);
    am(`v2/silence/${s.id}`, { method: 'DELETE' }).then(onExpired, (e: unknown) => setError(e as ApiError));
    setAsking(false);
  };
  return (
    <article class={`panel silence ${s.status.state} ${marked ? 'marked' : ''}`} ref={box} aria-label={t('Silence {0}', s.matchers.map(printMatcher).join(', '))}>
      <div class="card-head">
        <Badge kind={active ? 'neutral' : s.status.state === 'pending' ? 'warn' : 'ok'}>{t(s.status.state)}</Badge>
        <MatcherList matchers={s.matchers} />
        {active && end - now < soonMs && quiet.length > 0 && <Badge kind="warn">{t('ends soon: {0} will notify again', alertCount(quiet.length))}</Badge>}
      </div>
      <p class="headline">{visible(s.comment)}</p>
      <p class="small"><span class="muted">{t('by')}</span> <b>{visible(s.createdBy)}</b> · {timeLine(s, now)}</p>
      {active && <meter class="lasting" min={0} max={end - start} value={Math.max(0, end - now)} aria-label={t('time left')} />}
      {active && (quiet.length
        ? <details class="before"><summary>{t('Keeps {0} quiet', alertCount(quiet.length))}</summary><AlertList alerts={quiet} /></details>
        : <p class="small muted">{t('It matches nothing now.')}</p>)}
      {error && <Problem error={error} />}
      <div class="bar tight actions">
        {s.status.state === 'expired'
          ? <button type="button" onClick={() => setParams({ new: '1', from: s.id, edit: null }, true)}>{t('Recreate')}</button>
          : (
            <>
              <button type="button" onClick={() => setParams({ edit: s.id, new: null, from: null }, true)}>{t('Edit')}</button>
              {asking
                ? <span role="group" aria-label={t('Expire it?')} class="asking">{t('Expire it now?')} <button type="button" class="danger" onClick={expire}>{t('Yes, expire')}</button> <button type="button" onClick={() => setAsking(false)}>{t('No')}</button></span>
                : <button type="button" onClick={() => setAsking(true)}>{t('Expire')}</button>}
            </>
          )}
        <span class="spacer" />
        <code class="muted small id">{s.id}</code>
      </div>
    </article>
  );
}

function AlertList({ alerts }: { alerts: { fingerprint: string; labels: Labels }[] }): JSX.Element {
  const most = 20;
  return (
    <ul class="plain alert-list">
      {alerts.slice(0, most).map((a) => <li key={a.fingerprint}><Severity labels={a.labels} /> <b>{a.labels.alertname}</b> <LabelSet labels={a.labels} skip={['alertname', 'severity']} /></li>)}
      {alerts.length > most && <li class="muted">{t('and {0} more', alerts.length - most)}</li>}
    </ul>
  );
}

// ---- the form ----
interface Draft { matchers: Matcher[]; createdBy: string; comment: string; start: number; end: number }
const lengths = ['30m', '1h', '2h', '4h', '8h', '1d', '3d', '1w'];
const toLocal = (seconds: number): string => `${formatDate(seconds)}T${formatClock(seconds, false)}`;

const body = (d: Draft, id?: string): unknown => ({
  ...(id ? { id } : {}), matchers: d.matchers, createdBy: d.createdBy, comment: d.comment,
  startsAt: new Date(d.start * 1000).toISOString(), endsAt: new Date(d.end * 1000).toISOString(),
});

interface Preview { alerts: { fingerprint: string; labels: Labels }[]; total: number }

function PreviewBox({ matchers }: { matchers: Matcher[] }): JSX.Element {
  const usable = matchers.filter((m) => m.name);
  const key = JSON.stringify(usable);
  const load = useLoad<Preview | null>(async (signal) => {
    if (!usable.length) return null;
    await new Promise((done) => setTimeout(done, 250)); // while somebody types
    if (signal.aborted) return null;
    const ask = { matchers: usable, createdBy: 'preview', comment: 'preview', startsAt: new Date().toISOString(), endsAt: new Date(Date.now() + 3600_000).toISOString() };
    return (await am<{ data: Preview }>('v1/alerting/silences/preview', { method: 'POST', body: ask, signal })).data;
  }, [key], 10_000);
  const p = load.data;
  const all = usable.length > 0 && usable.every((m) => (m.isRegex && m.isEqual && /^(\.\*|\.\+)$/.test(m.value)) || (!m.isEqual && m.value === ''));
  return (
    <section class="preview" aria-label={t('What it matches now')}>
      <h3 aria-live="polite">{p ? t('Matches {0} now', alertCount(p.total)) : t('What it matches now')}</h3>
      {all && <p class="notes"><span class="warning">{t('This silences everything these labels have.')}</span></p>}
      {load.error && <Problem error={load.error} />}
      {!usable.length && <p class="muted small">{t('Give at least one matcher.')}</p>}
      {p && p.total === 0 && <p class="muted small">{t('No alert is matched now. The silence will hold for those to come.')}</p>}
      {p && p.total > 0 && <AlertList alerts={p.alerts} />}
    </section>
  );
}

function MatcherRows({ matchers, known, onChange }: { matchers: Matcher[]; known: Known; onChange: (ms: Matcher[]) => void }): JSX.Element {
  const set = (i: number, change: Partial<Matcher>): void => onChange(matchers.map((m, k) => (k === i ? { ...m, ...change } : m)));
  return (
    <fieldset class="matchers">
      <legend>{t('Alerts that have all of these labels')}</legend>
      <datalist id="label-names">{known.names.map((n) => <option value={n} />)}</datalist>
      {matchers.map((m, i) => (
        <div class="matcher-row" role="group" aria-label={t('Matcher {0}', i + 1)}>
          <input type="text" list="label-names" aria-label={t('Label')} placeholder={t('label')} spellcheck={false} value={m.name} onInput={(e) => set(i, { name: e.currentTarget.value })} />
          <select aria-label={t('Operator')} value={operatorOf(m)} onChange={(e) => set(i, { isRegex: e.currentTarget.value.includes('~'), isEqual: !e.currentTarget.value.startsWith('!') })}>
            {['=', '!=', '=~', '!~'].map((o) => <option value={o}>{o}</option>)}
          </select>
          <input type="text" list={`values-${i}`} aria-label={t('Value')} placeholder={m.isRegex ? t('regular expression') : t('value')} spellcheck={false} value={m.value} onInput={(e) => set(i, { value: e.currentTarget.value })} />
          <datalist id={`values-${i}`}>{known.values(m.name).slice(0, 200).map((v) => <option value={v} />)}</datalist>
          <button type="button" class="icon" aria-label={t('Remove matcher {0}', i + 1)} onClick={() => onChange(matchers.filter((_, k) => k !== i))}>✕</button>
        </div>
      ))}
      <button type="button" class="link" onClick={() => onChange([...matchers, { name: '', value: '', isRegex: false, isEqual: true }])}>{t('+ Add a label')}</button>
    </fieldset>
  );
}

function Form({ draft, id, known, onDone }: { draft: Draft; id?: string; known: Known; onDone: (id: string | null) => void }): JSX.Element {
  const [d, setDraft] = useState(draft);
  const [error, setError] = useState<ApiError | null>(null);
  const [sending, setSending] = useState(false);
  const [tried, setTried] = useState(false);
  const [own, setOwn] = useState('');
  const head = useRef<HTMLHeadingElement>(null);
  useEffect(() => head.current?.focus(), []);
  const set = (change: Partial<Draft>): void => setDraft({ ...d, ...change });
  const length = d.end - d.start, ownSeconds = parseDuration(own);
  const lacks = [!d.matchers.some((m) => m.name) && t('at least one label'), !d.createdBy.trim() && t('who'), !d.comment.trim() && t('why'), !(d.end > d.start) && t('an end after the start')].filter(Boolean) as string[];
  const send = (e: Event): void => {
    e.preventDefault();
    setTried(true);
    if (lacks.length) return;
    setSending(true);
    setError(null);
    keepCreator(d.createdBy.trim());
    am<{ silenceID: string }>('v2/silences', { method: 'POST', body: body({ ...d, matchers: d.matchers.filter((m) => m.name) }, id) }).then(
      (a) => onDone(a.silenceID),
      (x: unknown) => {
        setSending(false);
        setError(x instanceof ApiError ? x : new ApiError('internal', String(x), 0));
      });
  };
  return (
    <section class="panel silence-form" aria-label={id ? t('Edit the silence') : t('New silence')}>
      <h2 tabIndex={-1} ref={head}>{id ? t('Edit the silence') : t('New silence')}</h2>
      <form onSubmit={send}>
        <div class="two">
          <div>
            <MatcherRows matchers={d.matchers} known={known} onChange={(matchers) => set({ matchers })} />
            <fieldset class="when">
              <legend>{t('For how long')}</legend>
              <div class="lengths">
                {lengths.map((l) => <button type="button" aria-pressed={Math.abs(length - (parseDuration(l) as number)) < 30} onClick={() => set({ end: d.start + (parseDuration(l) as number) })}>{l}</button>)}
                <input type="text" aria-label={t('Another length')} placeholder={t('90m, 2d …')} value={own} onInput={(e) => {
                  setOwn(e.currentTarget.value);
                  const s = parseDuration(e.currentTarget.value);
                  if (s) set({ end: d.start + s });
                }} aria-invalid={own !== '' && !ownSeconds} />
              </div>
              <div class="pair">
                <label>{t('From')} <input type="datetime-local" value={toLocal(d.start)} onInput={(e) => !Number.isNaN(Date.parse(e.currentTarget.value)) && set({ start: Date.parse(e.currentTarget.value) / 1000 })} /></label>
                <label>{t('Until')} <input type="datetime-local" value={toLocal(d.end)} onInput={(e) => !Number.isNaN(Date.parse(e.currentTarget.value)) && set({ end: Date.parse(e.currentTarget.value) / 1000 })} /></label>
              </div>
              <p class="small muted">{length > 0 ? t('{0} long, until {1}', formatDuration(length), formatTime(d.end).slice(0, -3)) : t('It ends before it begins.')}</p>
            </fieldset>
            <div class="pair">
              <label>{t('Who')} <input type="text" value={d.createdBy} autocomplete="name" required onInput={(e) => set({ createdBy: e.currentTarget.value })} /></label>
            </div>
            <label class="wide">{t('Why')} <textarea rows={2} value={d.comment} required placeholder={t('What is going on, with a link to the work')} onInput={(e) => set({ comment: e.currentTarget.value })} /></label>
          </div>
          <PreviewBox matchers={d.matchers} />
        </div>
        {tried && lacks.length > 0 && <p class="hint bad" role="alert">{t('Still missing: {0}.', lacks.join(', '))}</p>}
        {error && <Problem error={error} />}
        <div class="bar tight">
          <button type="submit" class="primary" disabled={sending} onClick={() => setTried(true)}>{id ? t('Save') : t('Silence')}</button>
          <button type="button" onClick={() => onDone(null)}>{t('Cancel')}</button>
          {id && <span class="muted small">{t('Where the labels change, Alertmanager’s way is to end this one and make a new one.')}</span>}
        </div>
      </form>
    </section>
  );
}

// ---- the page ----
function draftOf(params: URLSearchParams, all: Silence[]): Draft | null {
  const now = Math.floor(Date.now() / 60_000) * 60, id = params.get('edit') ?? params.get('from'), old = id ? all.find((s) => s.id === id) : undefined;
  if (params.get('edit')) {
    return old ? { matchers: old.matchers, createdBy: old.createdBy, comment: old.comment, start: Date.parse(old.startsAt) / 1000, end: Date.parse(old.endsAt) / 1000 } : null;
  }
  if (!params.get('new')) return null;
  const length = old ? (Date.parse(old.endsAt) - Date.parse(old.startsAt)) / 1000 : 7200;
  const matchers = old?.matchers ?? parseMatchers(params.get('filter') ?? '');
  return { matchers: matchers.length ? matchers : [{ name: '', value: '', isRegex: false, isEqual: true }], createdBy: readCreator(), comment: old?.comment ?? params.get('comment') ?? '', start: now, end: now + Math.max(60, length) };
}

export function SilencesPage(): JSX.Element {
  const params = route.value.params;
  const [words, setWords] = useState('');
  const [matchers, setMatchers] = useState<Matcher[]>([]);
  const [done, setDone] = useState('');
  const load = useLoad(async (signal) => {
    const [silences, alerts] = await Promise.all([am<Silence[]>('v2/silences', { signal }), am<AmAlert[]>('v2/alerts', { signal })]);
    return { silences, alerts, now: Date.now() };
  }, [], 10_000);
  const silences = load.data?.silences ?? [], alerts = load.data?.alerts ?? [], now = load.data?.now ?? Date.now();
  const known = useMemo(() => knownOf(alerts.map((a) => a.labels)), [alerts]);
  const quiet = useMemo(() => {
    const by = new Map<string, AmAlert[]>();
    for (const a of alerts) for (const id of a.status.silencedBy) by.set(id, [...(by.get(id) ?? []), a]);
    return by;
  }, [alerts]);
  const marked = params.get('id') ?? '';
  const state: Is = (states.find(([s]) => s === params.get('state'))?.[0] ?? silences.find((s) => s.id === marked)?.status.state) ?? 'active';
  const count = (s: Is): number => silences.filter((x) => x.status.state === s).length;
  const shown = silences.filter((s) => s.status.state === state && wanted(words, matchers, Object.fromEntries(s.matchers.map((m) => [m.name, m.value])), s.comment, s.createdBy, s.id));
  const formKey = `${params.get('edit') ?? ''}|${params.get('new') ?? ''}|${params.get('from') ?? ''}|${params.get('filter') ?? ''}`;
  const draft = useMemo(() => (load.data ? draftOf(params, silences) : null), [formKey, !!load.data]);
  const close = (id: string | null): void => {
    setParams({ edit: null, new: null, from: null, filter: null, comment: null, ...(id ? { id, state: null } : {}) });
    if (id) {
      setDone(t('The silence is in force.'));
      load.reload();
    }
  };
  return (
    <div class="page alerting">
      <div class="bar head">
        <h1>{t('Silences')}</h1>
        <button type="button" class="primary small-button" onClick={() => setParams({ new: '1', edit: null, from: null }, true)}>{t('New silence')}</button>
        <SubNav here="/silences" />
      </div>
      <p role="status" class={done ? 'done' : 'sr-only'}>{done}</p>
      {load.error && <Problem error={load.error} />}
      {!load.data && !load.error && <Waiting rows={2} />}
      {draft && <Form key={formKey} draft={draft} id={params.get('edit') ?? undefined} known={known} onDone={close} />}
      {params.get('edit') && load.data && !draft && <Empty><p>{t('There is no such silence any more.')}</p></Empty>}
      {load.data && (
        <>
          <div class="bar filters">
            <span class="group" role="group" aria-label={t('State')}>
              {states.map(([s, name]) => <button type="button" aria-pressed={s === state} onClick={() => setParams({ state: s === 'active' ? null : s, id: null })}>{t(name)} <span class="muted">{count(s)}</span></button>)}
            </span>
            <FilterField matchers={matchers} words={words} known={known} placeholder={t('Label, comment, person')} onMatchers={setMatchers} onWords={setWords} />
          </div>
          {!shown.length && <Empty>{state === 'active' && !words && !matchers.length ? <><p>{t('Nothing is silenced.')}</p><p class="small">{t('Silence an alert from the alerts page, or make a silence by its labels.')}</p></> : <p>{t('No silence here.')}</p>}</Empty>}
          {shown.slice(0, 200).map((s) => <Item key={s.id} silence={s} quiet={quiet.get(s.id) ?? []} now={now} marked={s.id === marked} onExpired={() => { setDone(t('The silence has ended.')); load.reload(); }} />)}
          {shown.length > 200 && <p class="muted">{t('and {0} more; filter to see them', shown.length - 200)}</p>}
        </>
      )}
    </div>
  );
}
