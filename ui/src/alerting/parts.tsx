// Parts of the alert pages: marks that say severity and state by form, word and colour; labels that filter; the filter field; history.
import type { ComponentChildren, JSX } from 'preact';
import { useId, useMemo, useRef, useState } from 'preact/hooks';
import { api, type Labels, type QueryData, type Series } from '../api';
import { ago, formatClock, formatDate, formatDuration, formatTime, visible } from '../format';
import { useLoad } from '../hooks';
import { Badge, Linked, Problem } from '../parts';
import { href } from '../router';
import { t } from '../strings';
import { episodesOf, expressionOf, isWeb, levelOf, matches, parseMatcher, printMatcher, selectorOf, type AmAlert, type Episode, type Level, type Matcher } from './model';
import '../alerting.css';

const places: [string, string][] = [['/alerts', 'Alerts'], ['/silences', 'Silences'], ['/routing', 'Routing'], ['/deliveries', 'Deliveries']];

/** The pages around alerts, under the heading of each of them. */
export function SubNav({ here }: { here: string }): JSX.Element {
  return <nav class="subnav" aria-label={t('Alerting')}>{places.map(([path, name]) => <a href={href(path)} data-page aria-current={path === here ? 'page' : undefined}>{t(name)}</a>)}</nav>;
}

const shapes: Record<Level, JSX.Element> = {
  critical: <><path d="M5 1h6l4 4v6l-4 4H5l-4-4V5z" fill="currentColor" /><path d="M8 4.200v5M8 11.300v.4" stroke="var(--mark)" stroke-width="1.800" stroke-linecap="round" /></>,
  warning: <><path d="M8 1.500 15.200 14.500H.8z" fill="currentColor" stroke="currentColor" stroke-linejoin="round" /><path d="M8 6v4M8 12.200v.3" stroke="var(--mark)" stroke-width="1.700" stroke-linecap="round" /></>,
  info: <><circle cx="8" cy="8" r="7" fill="currentColor" /><path d="M8 7.300v4M8 4.600v.3" stroke="var(--mark)" stroke-width="1.800" stroke-linecap="round" /></>,
  none: <circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" stroke-width="1.600" stroke-dasharray="3 2.200" />,
};

/** The severity: a form, a colour and the word. */
export function Severity({ labels }: { labels: Labels }): JSX.Element {
  const level = levelOf(labels), word = labels.severity ?? labels.priority ?? t('no severity');
  return (
    <span class={`severity ${level}`}>
      <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true">{shapes[level]}</svg><span class="word">{visible(word)}</span>
    </span>
  );
}

export type State = 'firing' | 'pending' | 'suppressed' | 'resolved' | 'unprocessed';
const stateKind: Record<State, 'bad' | 'warn' | 'neutral' | 'ok'> = { firing: 'bad', pending: 'warn', suppressed: 'neutral', resolved: 'ok', unprocessed: 'neutral' };
const stateSign: Record<State, string> = { firing: '●', pending: '◔', suppressed: '⊘', resolved: '✓', unprocessed: '…' };

export function StateMark({ state }: { state: State }): JSX.Element {
  return <Badge kind={stateKind[state]}><span aria-hidden="true">{stateSign[state]} </span>{t(state)}</Badge>;
}

/** Labels; where `onPick` is given each is a button that filters by it. */
export function PickLabels({ labels, skip = [], onPick }: { labels: Labels; skip?: string[]; onPick?: (m: Matcher) => void }): JSX.Element {
  const shown = Object.entries(labels).filter(([k]) => !skip.includes(k));
  return (
    <span class="labels">
      {shown.map(([name, value]) => {
        const text = <><span class="key">{name}</span>=<span class="val">"{visible(value)}"</span></>;
        return onPick
          ? <button type="button" class="label pick" title={t('Filter by it')} onClick={() => onPick({ name, value, isRegex: false, isEqual: true })}>{text}</button>
          : <span class="label">{text}</span>;
      })}
    </span>
  );
}

export function MatcherList({ matchers }: { matchers: Matcher[] }): JSX.Element {
  return <span class="labels">{matchers.map((m) => <span class="label"><span class="val">{visible(printMatcher(m))}</span></span>)}</span>;
}

/** "1 alert", "3 alerts". */
export const alertCount = (n: number): string => (n === 1 ? t('1 alert') : t('{0} alerts', n));

// ---- the filter ----
export interface Known { names: string[]; values: (name: string) => string[] }

/** What there is to complete with: the labels of what is shown. */
export function knownOf(sets: Labels[]): Known {
  const all = new Map<string, Set<string>>();
  for (const labels of sets) {
    for (const [k, v] of Object.entries(labels)) {
      const set = all.get(k) ?? new Set();
      if (set.size < 2000) set.add(v);
      all.set(k, set);
    }
  }
  return { names: [...all.keys()].sort(), values: (name) => [...(all.get(name) ?? [])].sort() };
}

function suggest(text: string, known: Known): string[] {
  const m = /^\s*([^\s"{}=!~,]+)\s*(=~|!~|!=|=)\s*"?([^"]*)$/.exec(text);
  const near = (word: string, of: string[]): string[] => {
    const w = word.toLowerCase();
    return [...of.filter((x) => x.toLowerCase().startsWith(w)), ...of.filter((x) => !x.toLowerCase().startsWith(w) && x.toLowerCase().includes(w))].slice(0, 12);
  };
  if (m) return near(m[3], known.values(m[1])).map((v) => `${m[1]}${m[2]}${JSON.stringify(v)}`);
  return text.includes('"') ? [] : near(text.trim(), known.names).map((n) => `${n}=`);
}

interface FilterProps { matchers: Matcher[]; words: string; known: Known; placeholder: string; onMatchers: (ms: Matcher[]) => void; onWords: (text: string) => void }

/** One field for both: words filter at once; a matcher (`severity="critical"`) becomes a chip by Enter, with completion on the way. */
export function FilterField({ matchers, words, known, placeholder, onMatchers, onWords }: FilterProps): JSX.Element {
  const id = useId();
  const box = useRef<HTMLInputElement>(null);
  const [open, setOpen] = useState(false);
  const [at, setAt] = useState(-1);
  const list = useMemo(() => (open && words ? suggest(words, known) : []), [open, words, known]);
  const take = (text: string): void => {
    const m = parseMatcher(text);
    if (m && (m.value !== '' || /["~]\s*$/.test(text))) {
      onMatchers([...matchers.filter((x) => printMatcher(x) !== printMatcher(m)), m]);
      onWords('');
    } else onWords(text);
    setAt(-1);
    box.current?.focus();
  };
  const onKey = (e: KeyboardEvent): void => {
    if ((e.key === 'ArrowDown' || e.key === 'ArrowUp') && list.length) {
      setAt((at + (e.key === 'ArrowDown' ? 1 : list.length + (at < 0 ? 0 : -1))) % list.length);
    } else if (e.key === 'Enter' || (e.key === 'Tab' && at >= 0)) {
      if (at >= 0 && list[at]) take(list[at]);
      else if (parseMatcher(words)?.value) take(words);
      else return;
    } else if (e.key === 'Escape' && open && list.length) {
      e.stopPropagation();
      setOpen(false);
    } else if (e.key === 'Backspace' && !words && matchers.length) onMatchers(matchers.slice(0, -1));
    else return;
    e.preventDefault();
  };
  return (
    <div class="filter-field" onFocusOut={(e) => !(e.currentTarget as Element).contains(e.relatedTarget as Node | null) && setOpen(false)}>
      {matchers.map((m) => (
        <button type="button" class="label chip" aria-label={t('Remove {0}', printMatcher(m))} title={t('Remove')} onClick={() => onMatchers(matchers.filter((x) => x !== m))}>{visible(printMatcher(m))} <span aria-hidden="true">✕</span></button>
      ))}
      <input ref={box} type="search" role="combobox" autocomplete="off" spellcheck={false} aria-label={t('Filter')} aria-expanded={list.length > 0} aria-controls={`${id}-list`} aria-autocomplete="list" aria-activedescendant={at >= 0 && list[at] ? `${id}-${at}` : undefined}
        placeholder={matchers.length ? '' : placeholder} value={words} onKeyDown={onKey} onFocus={() => setOpen(true)}
        onInput={(e) => {
          onWords(e.currentTarget.value);
          setOpen(true);
          setAt(-1);
        }} />
      <ul id={`${id}-list`} role="listbox" aria-label={t('Completions')} class="completions" hidden={!list.length}>
        {list.map((text, i) => <li id={`${id}-${i}`} role="option" aria-selected={i === at} onPointerDown={(e) => (e.preventDefault(), take(text))}>{visible(text)}</li>)}
      </ul>
    </div>
  );
}

/** Words anywhere in an alert, and matchers on its labels. */
export function wanted(words: string, ms: Matcher[], labels: Labels, ...more: string[]): boolean {
  if (!matches(ms, labels)) return false;
  const parts = words.toLowerCase().split(/\s+/).filter(Boolean);
  if (!parts.length || parseMatcher(words)) return true;
  const text = `${Object.entries(labels).map(([k, v]) => `${k}="${v}"`).join(' ')} ${more.join(' ')}`.toLowerCase();
  return parts.every((p) => text.includes(p));
}

// ---- annotations and links ----
export function Annotations({ of, skip = [] }: { of: Labels; skip?: string[] }): JSX.Element | null {
  const shown = Object.entries(of).filter(([k]) => !skip.includes(k));
  return shown.length ? <dl class="annotations">{shown.map(([k, v]) => <><dt>{k}</dt><dd><Linked text={v} /></dd></>)}</dl> : null;
}

export function Since({ at, word }: { at: string | number; word?: string }): JSX.Element {
  const text = typeof at === 'number' ? new Date(at * 1000).toISOString() : at;
  return <time dateTime={text} title={formatTime(Date.parse(text) / 1000)}>{word ? `${word} ` : ''}{ago(text)}</time>;
}

/** "in 5m 3s" or "2h ago". */
export function until(rfc3339: string, now = Date.now()): string {
  const s = (Date.parse(rfc3339) - now) / 1000;
  return s > 0 ? t('in {0}', formatDuration(s)) : ago(rfc3339);
}

/** Where else an alert can be looked at. */
export function AlertLinks({ alert, children }: { alert: Pick<AmAlert, 'labels' | 'annotations' | 'generatorURL' | 'fingerprint'>; children?: ComponentChildren }): JSX.Element {
  const expr = expressionOf(alert.generatorURL), { runbook_url: runbook, dashboard_url: dashboard } = alert.annotations;
  return (
    <span class="actions">
      {children}
      {expr ? <a href={href('/query', { 'g0.expr': expr, 'g0.tab': '0' })} data-page>{t('Graph')}</a> : isWeb(alert.generatorURL) && <a href={alert.generatorURL} target="_blank" rel="noreferrer noopener">{t('Source')}</a>}
      <a href={href('/rules', { search: alert.labels.alertname ?? '' })} data-page>{t('Rule')}</a>
      {isWeb(runbook) && <a href={runbook} target="_blank" rel="noreferrer noopener">{t('Runbook')}</a>}
      {isWeb(dashboard) && <a href={dashboard} target="_blank" rel="noreferrer noopener">{t('Dashboard')}</a>}
    </span>
  );
}

// ---- history ----
export const historyRanges: [string, number][] = [['6h', 21600], ['24h', 86400], ['7d', 604800]];

interface HistoryData { episodes: Episode[]; start: number; end: number; known: boolean }

/** Of the series of an alert's name those that are this alert's: it may have more labels (external ones), never others. */
function ownSeries(all: Series[], labels: Labels): Series[] {
  const size = (s: Series): number => Object.keys(s.metric).filter((k) => k !== '__name__' && k !== 'alertstate').length;
  const mine = all.filter((s) => Object.entries(s.metric).every(([k, v]) => k === '__name__' || k === 'alertstate' || labels[k] === v));
  const most = Math.max(0, ...mine.map(size));
  return mine.filter((s) => size(s) === most);
}

async function loadHistory(labels: Labels, range: number, signal: AbortSignal): Promise<HistoryData> {
  const end = Math.ceil(Date.now() / 1000), step = Math.max(5, Math.ceil(range / 1440)), start = end - range;
  // A window as long as the step: what came and went between two steps is seen too.
  const ask = (over: string, metric: string): Promise<Series[]> => api<QueryData>('query_range', { query: `${over}(${selectorOf(metric, { alertname: labels.alertname ?? '' })}[${step}s])`, start: String(start), end: String(end), step: String(step) }, signal)
    .then((a) => ownSeries(a.data.resultType === 'matrix' ? a.data.result : [], labels));
  const [alerts, since] = await Promise.all([ask('max_over_time', 'ALERTS'), ask('last_over_time', 'ALERTS_FOR_STATE')]);
  return { episodes: episodesOf(alerts, since, start, end, step), start, end, known: alerts.length > 0 };
}

function bars(data: HistoryData): { from: number; to: number; kind: 'pending' | 'firing' }[] {
  return data.episodes.flatMap((e) => {
    const to = e.to ?? data.end;
    const out: { from: number; to: number; kind: 'pending' | 'firing' }[] = [];
    if (e.fired === null || e.fired > e.from) out.push({ from: e.from, to: e.fired ?? to, kind: 'pending' });
    if (e.fired !== null) out.push({ from: e.fired, to, kind: 'firing' });
    return out;
  });
}

/** When the alert was pending and firing: a strip to see, a table to read. */
export function History({ labels, range, onRange }: { labels: Labels; range: number; onRange: (seconds: number) => void }): JSX.Element {
  const load = useLoad((signal) => loadHistory(labels, range, signal), [JSON.stringify(labels), range], 30_000);
  const d = load.data;
  const fired = d?.episodes.filter((e) => e.fired !== null) ?? [];
  const total = d ? fired.reduce((sum, e) => sum + (e.to ?? d.end) - Math.max(e.fired as number, d.start), 0) : 0;
  const said = d && (d.known ? (fired.length === 1 ? t('Fired once, {0}, in the last {1}', formatDuration(total), formatDuration(range)) : t('Fired {0} times, {1} in all, in the last {2}', fired.length, formatDuration(total), formatDuration(range))) : t('Nothing in the last {0}', formatDuration(range)));
  return (
    <section class="history" aria-label={t('History')}>
      <div class="bar tight">
        <h3>{t('History')}</h3>
        {said && <span class="muted small">{said}</span>}
        <span class="spacer" />
        <span class="group" role="group" aria-label={t('Range of the history')}>{historyRanges.map(([name, s]) => <button type="button" class="small-button" aria-pressed={s === range} onClick={() => onRange(s)}>{name}</button>)}</span>
      </div>
      {load.error && <Problem error={load.error} />}
      {d && (
        <>
          <svg class="strip" viewBox="0 0 1000 26" preserveAspectRatio="none" role="img" aria-label={said || ''}>
            <rect x="0" y="0" width="1000" height="26" class="none" />
            {bars(d).map((b) => {
              const x = Math.min(997, Math.max(0, ((b.from - d.start) / (d.end - d.start)) * 1000)), w = Math.max(3, ((b.to - Math.max(b.from, d.start)) / (d.end - d.start)) * 1000);
              return <rect x={x} width={w} y={b.kind === 'firing' ? 0 : 13} height={b.kind === 'firing' ? 26 : 13} class={b.kind}><title>{`${b.kind} ${formatTime(b.from)} – ${formatTime(b.to)}`}</title></rect>;
            })}
          </svg>
          <div class="strip-ends muted small"><span>{formatDate(d.start) === formatDate(d.end) ? formatClock(d.start, false) : formatTime(d.start).slice(0, -3)}</span><span>{t('now')}</span></div>
          {d.episodes.length > 0 && (
            <table class="data episodes">
              <thead><tr><th>{t('State')}</th><th>{t('From')}</th><th>{t('Until')}</th><th class="num">{t('Lasted')}</th></tr></thead>
              <tbody>
                {d.episodes.slice(-8).reverse().map((e) => (
                  <tr>
                    <td><StateMark state={e.fired === null ? 'pending' : 'firing'} /></td>
                    <td>{formatTime(e.from)}</td>
                    <td>{e.to === null ? t('now') : formatTime(e.to)}</td>
                    <td class="num">{formatDuration((e.to ?? d.end) - e.from)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
        </>
      )}
    </section>
  );
}
