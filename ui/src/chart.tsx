// A time series chart on uPlot: legend that hides and isolates, zoom by dragging, and the same numbers as a table for screen
// readers. Charts that share a `sync` key move their cursors together.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { Series } from './api';
import { seriesName } from './api';
import { formatNumber, formatTime, type Unit } from './format';
import { t } from './strings';
import { theme } from './theme';

// Twelve hues that stay apart for most eyes in both themes; later series repeat them dashed.
const palette = ['#3b82f6', '#e07b00', '#10a37f', '#d64550', '#8b5cf6', '#b08900', '#0ea5b7', '#d946a0', '#5f9e3a', '#6b7cff', '#c2571a', '#64748b'];

// Grid lines of byte axes fall on powers of two.
const binarySteps = Array.from({ length: 60 }, (_, i) => 2 ** i);

export interface ChartProps {
  series: Series[];
  start: number;
  end: number;
  step: number;
  unit?: Unit;
  stacked?: boolean;
  height?: number;
  legend?: boolean;
  name?: (metric: Record<string, string>) => string;
  title: string;
  sync?: string;
  onZoom?: (start: number, end: number) => void;
}

interface Frame { times: number[]; rows: (number | null)[][]; names: string[] }

function align(props: ChartProps): Frame {
  const n = Math.floor((props.end - props.start) / props.step + 1e-6) + 1;
  const times = Array.from({ length: n }, (_, i) => props.start + i * props.step);
  const rows = props.series.map((s) => {
    const row: (number | null)[] = new Array(n).fill(null);
    for (const [time, text] of s.values ?? []) {
      const i = Math.round((time - props.start) / props.step);
      const v = Number(text.replace('Inf', 'Infinity'));
      if (i >= 0 && i < n) row[i] = Number.isFinite(v) ? v : null;
    }
    for (const [time, h] of s.histograms ?? []) {
      const i = Math.round((time - props.start) / props.step);
      if (i >= 0 && i < n) row[i] = Number(h.count);
    }
    return row;
  });
  return { times, rows, names: props.series.map((s) => (props.name ?? seriesName)(s.metric)) };
}

function stack(rows: (number | null)[][], hidden: Set<number>): (number | null)[][] {
  const sum = new Array<number>(rows[0]?.length ?? 0).fill(0);
  return rows.map((row, k) => row.map((v, i) => {
    if (hidden.has(k)) return v;
    if (v !== null) sum[i] += v;
    return v === null ? null : sum[i];
  }));
}

function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export function Chart(props: ChartProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [hidden, setHidden] = useState<Set<number>>(new Set());
  const [at, setAt] = useState<number | null>(null);
  const zoom = useRef(props.onZoom);
  zoom.current = props.onZoom;
  const frame = useMemo(() => align(props), [props.series, props.start, props.end, props.step]);
  const drawn = props.stacked ? stack(frame.rows, hidden) : frame.rows;
  const height = props.height ?? 320;
  const key = frame.names.join('\n');

  useEffect(() => setHidden(new Set()), [key]);
  useEffect(() => {
    const el = box.current;
    if (!el) return;
    const ink = color('--muted'), grid = color('--line');
    const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: '12px system-ui, sans-serif' };
    const u = new uPlot({
      width: Math.max(el.clientWidth, 100), height,
      legend: { show: false },
      cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 6 }, sync: props.sync ? { key: props.sync } : undefined },
      scales: { x: { time: true, range: () => [frame.times[0] ?? 0, frame.times[frame.times.length - 1] ?? 1] } },
      axes: [axis, { ...axis, size: 82, incrs: props.unit?.startsWith('bytes') ? binarySteps : undefined, values: (_: uPlot, vs: number[]) => vs.map((v) => formatNumber(v, props.unit)) }],
      series: [{}, ...frame.names.map((name, i) => ({
        label: name, show: !hidden.has(i), stroke: palette[i % palette.length], width: 1.5,
        dash: i >= palette.length ? [6, 3] : undefined, spanGaps: false,
        fill: props.stacked ? `${palette[i % palette.length]}40` : undefined,
        points: { show: frame.times.length < 2 ? true : undefined },
      }))],
      bands: props.stacked ? frame.names.slice(1).map((_, i) => ({ series: [i + 2, i + 1] as [number, number] })) : undefined,
      hooks: {
        setCursor: [(p: uPlot) => setAt(p.cursor.idx ?? null)],
        setSelect: [(p: uPlot) => {
          if (p.select.width > 4) zoom.current?.(p.posToVal(p.select.left, 'x'), p.posToVal(p.select.left + p.select.width, 'x'));
          p.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        }],
      },
    }, [frame.times, ...drawn] as uPlot.AlignedData, el);
    plot.current = u;
    const watch = new ResizeObserver(() => u.setSize({ width: Math.max(el.clientWidth, 100), height }));
    watch.observe(el);
    return () => {
      watch.disconnect();
      u.destroy();
      plot.current = null;
    };
  }, [frame, hidden, props.stacked, props.unit, height, theme.value]);

  const toggle = (i: number, only: boolean): void => {
    const next = new Set(hidden);
    if (only) {
      const alone = frame.names.every((_, k) => k === i || hidden.has(k)) && !hidden.has(i);
      next.clear();
      if (!alone) frame.names.forEach((_, k) => k !== i && next.add(k));
    } else if (!next.delete(i)) next.add(i);
    setHidden(next);
  };
  const last = (row: (number | null)[]): number | null => row.findLast((v) => v !== null) ?? null;

  return (
    <figure class="chart" aria-label={props.title}>
      <div ref={box} class="plot" style={{ height: `${height}px` }} aria-hidden="true" />
      {props.legend !== false && (
        <ul class="legend" aria-label={t('Series')}>
          {frame.names.slice(0, 100).map((name, i) => (
            <li>
              <button type="button" aria-pressed={!hidden.has(i)} class={hidden.has(i) ? 'off' : ''} title={t('Click: hide or show. Double-click: only this one.')}
                onClick={(e) => toggle(i, e.ctrlKey || e.metaKey)} onDblClick={() => toggle(i, true)}>
                <svg width="14" height="10" aria-hidden="true"><line x1="0" y1="5" x2="14" y2="5" stroke={palette[i % palette.length]} stroke-width="3" stroke-dasharray={i >= palette.length ? '4 2' : undefined} /></svg>
                <span class="name">{name}</span>
                <span class="num">{formatNumber(at !== null ? frame.rows[i]?.[at] : last(frame.rows[i] ?? []), props.unit)}</span>
              </button>
            </li>
          ))}
          {frame.names.length > 100 && <li class="muted">{t('and {0} more', frame.names.length - 100)}</li>}
        </ul>
      )}
      <table class="sr-only">
        <caption>{props.title}</caption>
        <thead><tr><th>{t('Series')}</th><th>{t('First')}</th><th>{t('Last')}</th><th>{t('Time of last')}</th></tr></thead>
        <tbody>
          {frame.names.slice(0, 50).map((name, i) => (
            <tr><th scope="row">{name}</th><td>{formatNumber(frame.rows[i].find((v) => v !== null), props.unit)}</td><td>{formatNumber(last(frame.rows[i]), props.unit)}</td>
              <td>{formatTime(frame.times[frame.rows[i].findLastIndex((v) => v !== null)] ?? props.end)}</td></tr>
          ))}
        </tbody>
      </table>
    </figure>
  );
}
