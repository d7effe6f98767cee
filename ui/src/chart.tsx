// A time series chart on uPlot: a tooltip that lists the values under the cursor, a legend that isolates and hides, zoom by dragging
// and by keys, and the same numbers as a table for screen readers. Charts that share a `sync` key move their cursors together and
// have axes of one width.
import { useEffect, useId, useMemo, useRef, useState } from 'preact/hooks';
import type { JSX } from 'preact';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { Labels, Series } from './api';
import { dashed, fillTip, frameOf, hue, Legend, NumbersTable, ranked, stack, type Frame } from './chart-parts';
import { formatNumber, formatTicks, formatTime, formatTimeTicks, type Unit } from './format';
import { t } from './strings';
import { theme } from './theme';

export interface Range { series: Series[]; start: number; end: number; step: number }
export interface ChartProps {
  range: Range;
  title: string;
  unit?: Unit;
  stacked?: boolean;
  fromZero?: boolean;
  height?: number;
  legend?: 'list' | 'table';
  name?: (metric: Labels) => string;
  sync?: string;
  onZoom?: (start: number, end: number) => void;
  onZoomOut?: () => void;
}

// Grid lines of byte axes fall on powers of two.
const binarySteps = Array.from({ length: 60 }, (_, i) => 2 ** i);
const axisFont = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif';

// Charts of one group: their axes are as wide as the widest of them needs.
const groups = new Map<string, Map<uPlot, number>>();

function axisWidth(u: uPlot, values: string[] | null, group: string | undefined): number {
  u.ctx.save();
  u.ctx.font = axisFont;
  const own = Math.ceil(Math.max(24, ...(values ?? []).map((v) => u.ctx.measureText(v).width))) + 18;
  u.ctx.restore();
  const members = group === undefined ? undefined : groups.get(group);
  if (!members) return own;
  const before = Math.max(0, ...members.values());
  members.set(u, own);
  const now = Math.max(...members.values());
  if (now !== before) queueMicrotask(() => members.forEach((_, other) => other !== u && other.redraw(false, true)));
  return now;
}

function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** A label that would be cut off at the right edge is left out. */
function timeLabels(u: uPlot, times: number[], _axis: number, _space: number, step: number): string[] {
  const { min = 0, max = 1 } = u.scales.x, width = u.over.clientWidth;
  return formatTimeTicks(times, step).map((text, i) => (width > 0 && ((max - times[i]) / (max - min)) * width + 12 < text.length * 3.5 && !text.includes('\n') ? '' : text));
}

/** Points that no line reaches are drawn as dots. */
function loners(u: uPlot, k: number): number[] | null {
  const row = u.data[k] as (number | null)[];
  const out = row.flatMap((v, i) => (v !== null && (row[i - 1] ?? null) === null && (row[i + 1] ?? null) === null ? [i] : []));
  return out.length ? out : null;
}

/** The series whose line is nearest to the cursor. */
function nearest(u: uPlot, hidden: Set<number>, at: number): number {
  let best = -1, least = Infinity;
  for (let k = 1; k < u.data.length; k++) {
    const v = u.data[k][at];
    if (v == null || hidden.has(k - 1)) continue;
    const away = Math.abs(u.valToPos(v, 'y') - (u.cursor.top ?? 0));
    if (away <= least) {
      least = away;
      best = k - 1;
    }
  }
  return best;
}

export function Chart(props: ChartProps): JSX.Element {
  const { range, unit, stacked = false, fromZero = false, height = 320 } = props;
  const box = useRef<HTMLDivElement>(null);
  const tip = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [hidden, setHidden] = useState<Set<number>>(new Set());
  const [at, setAt] = useState<number | null>(null);
  const [said, setSaid] = useState('');
  const id = useId();
  const frame = useMemo(() => frameOf(range.series, range.start, range.end, range.step, props.name), [range]);
  const drawn = useMemo(() => (stacked ? stack(frame.rows, hidden) : frame.rows), [frame, stacked, hidden]);
  const key = frame.names.join('\n');
  // What the plot's callbacks read; they outlive a render.
  const live = useRef({ props, frame, hidden, byKey: false });
  live.current = { ...live.current, props, frame, hidden };

  useEffect(() => setHidden(new Set()), [key]);

  const place = (u: uPlot): void => {
    const e = tip.current, i = u.cursor.idx, { frame: f, hidden: h, byKey } = live.current;
    if (!e) return;
    const here = byKey || u.over.matches(':hover'); // the others of the group only show their line
    if (i == null || !here || !fillTip(e, f, h, i, nearest(u, h, i), live.current.props.unit)) {
      e.hidden = true;
      return;
    }
    e.hidden = false;
    const x = u.over.offsetLeft + (u.cursor.left ?? 0), y = u.over.offsetTop + (u.cursor.top ?? 0);
    const room = u.root.clientWidth;
    const left = x + 16 + e.offsetWidth > room ? x - 16 - e.offsetWidth : x + 16;
    e.style.left = `${Math.max(0, Math.min(left, room - e.offsetWidth))}px`;
    e.style.top = `${Math.max(0, Math.min(y - e.offsetHeight / 2, u.root.clientHeight - e.offsetHeight))}px`;
  };

  useEffect(() => {
    const el = box.current;
    if (!el) return;
    const grid = color('--grid'), group = props.sync;
    if (group && !groups.has(group)) groups.set(group, new Map());
    const axis = { stroke: color('--muted'), grid: { stroke: grid, width: 1 }, ticks: { show: false }, font: axisFont };
    const u = new uPlot({
      width: Math.max(el.clientWidth, 100), height, padding: [10, 12, 0, 0],
      legend: { show: false },
      focus: { alpha: 0.25 },
      cursor: {
        drag: { x: true, y: false, setScale: false }, points: { size: 7 },
        bind: { dblclick: () => () => (live.current.props.onZoomOut?.(), null) },
        sync: group ? { key: group, filters: { pub: (type) => type === 'mousemove' || type === 'mouseleave' } } : undefined,
      },
      scales: {
        x: { time: true, range: () => [live.current.props.range.start, Math.max(live.current.props.range.end, live.current.props.range.start + 1)] },
        y: {
          range: (_, min, max) => {
            if (min == null || max == null || (min === 0 && max === 0)) return [0, 1];
            return uPlot.rangeNum(min, max, { min: { pad: 0.08, soft: 0, mode: fromZero || stacked ? 1 : 3 }, max: { pad: 0.08, soft: 0, mode: 3 } });
          },
        },
      },
      axes: [
        { ...axis, size: 42, gap: 6, space: 64, values: timeLabels },
        { ...axis, gap: 8, space: 34, size: (p, values) => axisWidth(p, values, group), incrs: unit?.startsWith('bytes') ? binarySteps : undefined, values: (_, vs, __, ___, step) => formatTicks(vs, step, unit) },
      ],
      series: [{}, ...frame.names.map((name, i) => ({
        label: name, show: !hidden.has(i), stroke: hue(i), width: 1.75, dash: dashed(i) ? [6, 3] : undefined, spanGaps: false,
        fill: stacked ? `${hue(i)}59` : undefined,
        points: { show: () => false, filter: loners as unknown as uPlot.Series.Points.Filter, size: 5, fill: hue(i) },
      }))],
      bands: stacked ? bandsOf(frame, hidden) : undefined,
      hooks: {
        setCursor: [(p) => {
          setAt(p.cursor.idx ?? null);
          place(p);
        }],
        setSelect: [(p) => {
          if (p.select.width > 4) live.current.props.onZoom?.(p.posToVal(p.select.left, 'x'), p.posToVal(p.select.left + p.select.width, 'x'));
          p.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        }],
      },
    }, [frame.times, ...drawn] as uPlot.AlignedData, el);
    plot.current = u;
    const watch = new ResizeObserver(() => u.setSize({ width: Math.max(el.clientWidth, 100), height }));
    watch.observe(el);
    return () => {
      watch.disconnect();
      if (group) groups.get(group)?.delete(u);
      u.destroy();
      plot.current = null;
    };
  }, [key, stacked, unit, height, theme.value, stacked ? hidden : null]);

  // New numbers for the same series, or some hidden: the plot stays, with its cursor.
  useEffect(() => plot.current?.setData([frame.times, ...drawn] as uPlot.AlignedData), [frame, drawn]);
  useEffect(() => {
    const u = plot.current;
    u?.batch(() => frame.names.forEach((_, i) => u.series[i + 1] && u.series[i + 1].show !== !hidden.has(i) && u.setSeries(i + 1, { show: !hidden.has(i) })));
  }, [hidden]);

  const toggle = (i: number, only: boolean): void => {
    const next = new Set(hidden);
    if (only) {
      const alone = frame.names.every((_, k) => k === i || hidden.has(k)) && !hidden.has(i);
      next.clear();
      if (!alone) frame.names.forEach((_, k) => k !== i && next.add(k));
    } else if (!next.delete(i)) next.add(i);
    setHidden(next);
  };

  // Arrow keys walk the cursor, + and - zoom around it, Escape puts it away.
  const onKey = (e: KeyboardEvent): void => {
    const u = plot.current;
    if (!u || e.ctrlKey || e.metaKey || e.altKey) return;
    const end = frame.times.length - 1, from = u.cursor.idx ?? end + 1;
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, PageUp: from - 10, PageDown: from + 10, Home: 0, End: end }[e.key];
    if (to !== undefined) {
      const i = Math.max(0, Math.min(end, to));
      live.current.byKey = true;
      u.setCursor({ left: u.valToPos(frame.times[i], 'x'), top: u.over.clientHeight / 2 });
      const { shown, more } = ranked(frame, hidden, i, -1);
      setSaid(`${formatTime(frame.times[i])}: ${shown.map((k) => `${frame.names[k]} ${formatNumber(frame.rows[k][i], unit)}`).join(', ')}${more ? `, ${t('and {0} more', more)}` : ''}`);
    } else if (e.key === 'Escape') {
      leave();
    } else if ((e.key === '+' || e.key === '=') && props.onZoom) {
      const middle = frame.times[u.cursor.idx ?? end >> 1], quarter = (range.end - range.start) / 4;
      props.onZoom(middle - quarter, middle + quarter);
    } else if (e.key === '-') props.onZoomOut?.();
    else return;
    e.preventDefault();
  };
  const leave = (): void => {
    live.current.byKey = false;
    plot.current?.setCursor({ left: -10, top: -10 });
  };

  return (
    <figure class="chart" aria-label={props.title}>
      <div class="plot-wrap">
        <div ref={box} class="plot" style={{ height: `${height}px` }} tabIndex={0} role="img" aria-label={t('{0}: chart of {1} series. Arrow keys read values.', props.title, frame.names.length)}
          aria-describedby={id} onKeyDown={onKey} onBlur={leave} onPointerMove={() => (live.current.byKey = false)} />
        <div ref={tip} class="tip" hidden aria-hidden="true" />
      </div>
      <Legend frame={frame} series={range.series} hidden={hidden} at={at} unit={unit} wide={props.legend === 'table'} onToggle={toggle}
        onPoint={(i) => plot.current && frame.names.length > 1 && plot.current.setSeries(i === null ? (null as unknown as number) : i + 1, { focus: true })} />
      {useMemo(() => <NumbersTable frame={frame} title={props.title} unit={unit} id={id} />, [frame, props.title, unit])}
      <span class="sr-only" role="status">{said}</span>
    </figure>
  );
}

/** Each shown series is filled down to the shown one below it. */
function bandsOf(frame: Frame, hidden: Set<number>): uPlot.Band[] {
  const shown = frame.names.map((_, i) => i).filter((i) => !hidden.has(i));
  return shown.slice(1).map((i, k) => ({ series: [i + 1, shown[k] + 1] }));
}
