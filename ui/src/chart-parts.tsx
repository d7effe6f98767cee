// What a chart has beside its lines: the frame of numbers behind it, the legend, the tooltip, and the table for screen readers.
import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import type { Labels, Series } from './api';
import { seriesName } from './api';
import { CopyButton } from './parts';
import { formatNumber, formatTime, type Unit } from './format';
import { t } from './strings';

// Twelve hues that stay apart for most eyes in both themes; later series repeat them dashed.
const palette = ['#3b82f6', '#e07b00', '#10a37f', '#d64550', '#8b5cf6', '#b08900', '#0ea5b7', '#d946a0', '#5f9e3a', '#6b7cff', '#c2571a', '#64748b'];
export const hue = (i: number): string => palette[i % palette.length];
export const dashed = (i: number): boolean => i >= palette.length;

/** Rows of numbers on one grid of times; what is not there, or not finite, is null. */
export interface Frame { times: number[]; rows: (number | null)[][]; names: string[] }

export function frameOf(series: Series[], start: number, end: number, step: number, name: (m: Labels) => string = seriesName): Frame {
  const n = Math.max(1, Math.floor((end - start) / step + 1e-6) + 1);
  const times = Array.from({ length: n }, (_, i) => start + i * step);
  const rows = series.map((s) => {
    const row: (number | null)[] = new Array(n).fill(null);
    const put = (time: number, v: number): void => {
      const i = Math.round((time - start) / step);
      if (i >= 0 && i < n) row[i] = Number.isFinite(v) ? v : null;
    };
    for (const [time, text] of s.values ?? []) put(time, Number(text));
    for (const [time, h] of s.histograms ?? []) put(time, Number(h.count));
    return row;
  });
  // A short name that is not unique is told apart by the instance.
  const short = series.map((s) => name(s.metric));
  const names = short.map((one, i) => (short.indexOf(one) === short.lastIndexOf(one) || !series[i].metric.instance ? one : `${one} ${series[i].metric.instance}`));
  return { times, rows, names };
}

/** Each row on top of those before it; hidden ones add nothing. */
export function stack(rows: (number | null)[][], hidden: Set<number>): (number | null)[][] {
  const sum = new Array<number>(rows[0]?.length ?? 0).fill(0);
  return rows.map((row, k) => row.map((v, i) => {
    if (hidden.has(k) || v === null) return v;
    sum[i] += v;
    return sum[i];
  }));
}

export const lastOf = (row: (number | null)[] | undefined): number | null => row?.findLast((v) => v !== null) ?? null;

function statsOf(row: (number | null)[]): { min: number | null; max: number | null; mean: number | null } {
  let min = Infinity, max = -Infinity, sum = 0, n = 0;
  for (const v of row) {
    if (v === null) continue;
    if (v < min) min = v;
    if (v > max) max = v;
    sum += v;
    n++;
  }
  return n ? { min, max, mean: sum / n } : { min: null, max: null, mean: null };
}

export interface LegendProps {
  frame: Frame; hidden: Set<number>; at: number | null; unit?: Unit; wide: boolean; series: Series[];
  onToggle: (i: number, only: boolean) => void; onPoint: (i: number | null) => void;
}
const legendRows = 100;

function LegendButton({ i, props, children }: { i: number; props: LegendProps; children: JSX.Element | JSX.Element[] }): JSX.Element {
  const off = props.hidden.has(i);
  return (
    <button type="button" class={`series ${off ? 'off' : ''}`} aria-pressed={!off} title={t('Click or Enter: only this one, and back. Ctrl-click or Space: hide or show.')}
      onClick={(e) => props.onToggle(i, !(e.ctrlKey || e.metaKey || e.shiftKey))}
      onKeyDown={(e) => {
        if (e.key === ' ') {
          e.preventDefault();
          props.onToggle(i, false);
        }
      }}
      onKeyUp={(e) => e.key === ' ' && e.preventDefault()}
      onPointerEnter={() => props.onPoint(i)} onPointerLeave={() => props.onPoint(null)} onFocus={() => props.onPoint(i)} onBlur={() => props.onPoint(null)}>
      <svg width="14" height="10" aria-hidden="true"><line x1="0" y1="5" x2="14" y2="5" stroke={hue(i)} stroke-width="3" stroke-dasharray={dashed(i) ? '4 2' : undefined} /></svg>
      {children}
    </button>
  );
}

export function Legend(props: LegendProps): JSX.Element {
  const { frame, at, unit } = props;
  const [all, setAll] = useState(false);
  const names = all ? frame.names : frame.names.slice(0, legendRows);
  // Once per answer, not once per move of the cursor.
  const stats = useMemo(() => (props.wide ? frame.rows.map(statsOf) : []), [frame, props.wide]);
  const value = (i: number): string => formatNumber(at === null ? lastOf(frame.rows[i]) : frame.rows[i]?.[at], unit);
  const more = frame.names.length > names.length && <button type="button" class="link" onClick={() => setAll(true)}>{t('Show all {0} series', frame.names.length)}</button>;
  if (!props.wide) {
    return (
      <ul class="legend" aria-label={t('Series')}>
        {names.map((name, i) => <li><LegendButton i={i} props={props}><span class="name">{name}</span><span class="num">{value(i)}</span></LegendButton></li>)}
        {more && <li>{more}</li>}
      </ul>
    );
  }
  return (
    <>
      <table class="legend-table">
        <thead><tr><th>{t('Series')}</th><th class="num">{at === null ? t('Last') : t('At cursor')}</th><th class="num opt">{t('Min')}</th><th class="num opt">{t('Mean')}</th><th class="num opt">{t('Max')}</th></tr></thead>
        <tbody>
          {names.map((name, i) => {
            const s = stats[i];
            return (
              <tr class={props.hidden.has(i) ? 'off' : ''}>
                <td><div class="cell"><LegendButton i={i} props={props}><span class="name">{name}</span></LegendButton><CopyButton text={seriesName(props.series[i]?.metric ?? {})} label={t('Copy the series {0}', name)} /></div></td>
                <td class="num now">{value(i)}</td><td class="num opt">{formatNumber(s.min, unit)}</td><td class="num opt">{formatNumber(s.mean, unit)}</td><td class="num opt">{formatNumber(s.max, unit)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
      {more}
    </>
  );
}

/** The chart's numbers for those who cannot see its lines. */
export function NumbersTable({ frame, title, unit, id }: { frame: Frame; title: string; unit?: Unit; id: string }): JSX.Element {
  return (
    <div class="sr-only"><table id={id}>
      <caption>{title}</caption>
      <thead><tr><th scope="col">{t('Series')}</th><th scope="col">{t('First')}</th><th scope="col">{t('Last')}</th><th scope="col">{t('Time of last')}</th></tr></thead>
      <tbody>
        {frame.names.slice(0, 50).map((name, i) => {
          const last = frame.rows[i].findLastIndex((v) => v !== null);
          return (
            <tr><th scope="row">{name}</th><td>{formatNumber(frame.rows[i].find((v) => v !== null), unit)}</td><td>{formatNumber(lastOf(frame.rows[i]), unit)}</td>
              <td>{last < 0 ? '–' : formatTime(frame.times[last])}</td></tr>
          );
        })}
      </tbody>
    </table></div>
  );
}

const tipRows = 12;

function element(tag: string, className: string, text?: string): HTMLElement {
  const e = document.createElement(tag);
  e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

/** The series at one time, largest first, `near` among them; the rest counted. */
export function ranked(frame: Frame, hidden: Set<number>, at: number, near: number): { shown: number[]; more: number } {
  const there = frame.rows.map((_, i) => i).filter((i) => !hidden.has(i) && frame.rows[i][at] !== null);
  there.sort((a, b) => (frame.rows[b][at] as number) - (frame.rows[a][at] as number));
  if (there.length <= tipRows) return { shown: there, more: 0 };
  const place = Math.max(0, there.indexOf(near));
  const from = Math.min(Math.max(0, place - (tipRows >> 1)), there.length - tipRows);
  return { shown: there.slice(from, from + tipRows), more: there.length - tipRows };
}

/** Fills the tooltip. It follows the mouse, so it is built by hand and not by a render. */
export function fillTip(tip: HTMLElement, frame: Frame, hidden: Set<number>, at: number, near: number, unit?: Unit): boolean {
  const { shown, more } = ranked(frame, hidden, at, near);
  if (!shown.length) return false;
  const rows = shown.map((i) => {
    const row = element('div', i === near ? 'near' : '');
    const dot = element('i', '');
    dot.style.background = hue(i);
    row.append(dot, element('span', 'name', frame.names[i]), element('span', 'num', formatNumber(frame.rows[i][at], unit)));
    return row;
  });
  if (more) rows.push(element('div', 'muted', t('and {0} more', more)));
  tip.replaceChildren(element('div', 'when', formatTime(frame.times[at])), ...rows);
  return true;
}
