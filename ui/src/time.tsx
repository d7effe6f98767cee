// The time range and how often it is asked again: one control for the overview and for each query panel.
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { formatClock, formatDate, formatDuration, formatTime, parseDuration, printDuration } from './format';
import { Menu } from './parts';
import { t } from './strings';

/** `end` null is "now". */
export interface Span { range: number; end: number | null }

const quick = ['5m', '15m', '30m', '1h', '3h', '6h', '12h', '1d', '2d', '1w', '2w', '4w'];

const toLocal = (seconds: number): string => `${formatDate(seconds)}T${formatClock(seconds)}`;

function Absolute({ span, now, onChange }: { span: Span; now: number; onChange: (s: Span) => void }): JSX.Element {
  const end = span.end ?? now;
  const [range, setRange] = useState(printDuration(span.range));
  const [from, setFrom] = useState(toLocal(end - span.range));
  const [to, setTo] = useState(toLocal(end));
  const [error, setError] = useState('');
  return (
    <>
      <form onSubmit={(e) => {
        e.preventDefault();
        const seconds = parseDuration(range);
        if (seconds) onChange({ range: seconds, end: span.end });
        else setError(t('A range is a duration: 90m, 1h30m, 2d.'));
      }}>
        <label>{t('Range')} <input type="text" value={range} spellcheck={false} onInput={(e) => setRange(e.currentTarget.value)} /></label>
        <button type="submit">{t('Set')}</button>
      </form>
      <form onSubmit={(e) => {
        e.preventDefault();
        const a = Date.parse(from) / 1000, b = Date.parse(to) / 1000;
        if (b > a) onChange({ range: b - a, end: b });
        else setError(t('The range must begin before it ends.'));
      }}>
        <label>{t('From')} <input type="datetime-local" step="1" value={from} onInput={(e) => setFrom(e.currentTarget.value)} /></label>
        <label>{t('To')} <input type="datetime-local" step="1" value={to} onInput={(e) => setTo(e.currentTarget.value)} /></label>
        <button type="submit">{t('Apply')}</button>
      </form>
      {error && <p class="hint bad" role="alert">{error}</p>}
    </>
  );
}

function spanText({ range, end }: Span): string {
  if (end === null) return t('Last {0}', formatDuration(range));
  const from = end - range;
  return `${formatTime(from)} – ${formatDate(from) === formatDate(end) ? formatClock(end) : formatTime(end)}`;
}

// The pickers on the page; the keys go to the first.
const pickers: { current: (key: string) => void }[] = [];

export function TimePicker({ span, now, onChange }: { span: Span; now: number; onChange: (s: Span) => void }): JSX.Element {
  const end = span.end ?? now;
  // A window that would reach past now follows it again.
  const move = (next: number): void => onChange({ range: span.range, end: next >= Date.now() / 1000 ? null : next });
  const keys = useRef((_: string) => {});
  keys.current = (key) => {
    if (key === 'z') onChange(widen(span, now));
    else if (key === 'ArrowLeft') move(end - span.range / 2);
    else if (key === 'ArrowRight' && span.end !== null) move(end + span.range / 2);
    else if (key === 'a') onChange({ range: span.range, end: Math.floor(end) });
  };
  useEffect(() => {
    let armed = 0;
    const onKey = (e: KeyboardEvent): void => {
      if (pickers[0] !== keys || e.ctrlKey || e.metaKey || e.altKey || e.composedPath().some((x) => x instanceof HTMLElement && (x.isContentEditable || /^(INPUT|TEXTAREA|SELECT|DIALOG)$/.test(x.tagName)))) return;
      const was = Date.now() - armed < 1000;
      armed = e.key === 't' ? Date.now() : 0;
      if (was) keys.current(e.key);
    };
    pickers.push(keys);
    addEventListener('keydown', onKey);
    return () => {
      pickers.splice(pickers.indexOf(keys), 1);
      removeEventListener('keydown', onKey);
    };
  }, []);
  return (
    <span class="group" role="group" aria-label={t('Time range')}>
      <button type="button" aria-label={t('Earlier')} title={t('Earlier by half the range')} onClick={() => move(end - span.range / 2)}>‹</button>
      <Menu text={<span class="clip">{spanText(span)} <span class="caret" aria-hidden="true">▾</span></span>} title={t('Time range')}>
        {(close) => (
          <div class="time-menu">
            <div class="quick">
              {quick.map((q) => (
                <button type="button" class={span.end === null && parseDuration(q) === span.range ? 'on' : ''} onClick={() => { onChange({ range: parseDuration(q) as number, end: null }); close(); }}>{t('Last {0}', q)}</button>
              ))}
            </div>
            <div class="absolute"><Absolute span={span} now={now} onChange={(s) => { onChange(s); close(); }} /></div>
          </div>
        )}
      </Menu>
      <button type="button" aria-label={t('Later')} title={t('Later by half the range')} disabled={span.end === null} onClick={() => move(end + span.range / 2)}>›</button>
      <button type="button" aria-label={t('Zoom out')} title={t('Twice the range')} onClick={() => onChange(widen(span, now))}>
        <svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.5"><circle cx="6" cy="6" r="4.500" /><path d="m9.300 9.300 3.700 3.700M4 6h4" /></svg>
      </button>
      {span.end !== null && <button type="button" onClick={() => onChange({ range: span.range, end: null })}>{t('Now')}</button>}
    </span>
  );
}

/** Twice the range around the same middle, never past now. */
export function widen(span: Span, now: number): Span {
  if (span.end === null) return { range: span.range * 2, end: null };
  const end = span.end + span.range / 2;
  return { range: span.range * 2, end: end >= now ? null : end };
}

const intervals = ['5s', '15s', '30s', '1m', '5m'];

/** How often to ask again, and a button to do so now. `value` is a duration or '' for never. */
export function Refresh({ value, onChange, onNow }: { value: string; onChange: (v: string) => void; onNow: () => void }): JSX.Element {
  return (
    <span class="group" role="group" aria-label={t('Refresh')}>
      <button type="button" aria-label={t('Refresh now')} title={t('Refresh now')} onClick={onNow}>
        <svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.5"><path d="M12 7a5 5 0 1 1-1.500-3.600M12 1.200v3h-3" /></svg>
      </button>
      <select aria-label={t('Refresh every')} value={value} onChange={(e) => onChange(e.currentTarget.value)}>
        <option value="">{t('off')}</option>
        {[...new Set(value ? [...intervals, value] : intervals)].map((i) => <option value={i}>{i}</option>)}
      </select>
    </span>
  );
}

/** Calls `tick` each interval while somebody looks, and when a refresh is asked for from elsewhere. */
export function useEvery(interval: string, tick: () => void): void {
  const now = useRef(tick);
  now.current = tick;
  useEffect(() => {
    const on = (): void => now.current();
    addEventListener('pharos-refresh', on);
    return () => removeEventListener('pharos-refresh', on);
  }, []);
  useEffect(() => {
    const seconds = interval ? parseDuration(interval) : null;
    if (!seconds) return;
    const timer = setInterval(() => document.visibilityState === 'visible' && tick(), Math.max(1, seconds) * 1000);
    return () => clearInterval(timer);
  }, [interval]);
}
