// Time series on uPlot: lines, bars and points, several axes, stacking, thresholds, regions, a legend with figures, a tooltip, keys.
import type { JSX } from 'preact';
import { useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { finite } from '../dash/columns';
import { alpha, colorByName, continuous, readable, type Theme } from '../dash/colors';
import { seriesColor, shownText } from '../dash/display';
import type { ShownField, ShownFrame } from '../dash/fieldconfig';
import { reduceAll, reducerId, reducerName } from '../dash/reduce';
import type { Region, View } from '../dash/view';
import { visible } from '../format';
import { formatMoment } from '../dash/moment';
import { t } from '../strings';
import type { PanelProps } from './common';

export interface Line { field: ShownField; frame: ShownFrame; name: string; color: string; values: (number | null)[]; custom: Record<string, any>; scale: string }
interface Plan { times: number[]; lines: Line[]; drawn: (number | null | undefined)[][]; bands: uPlot.Band[] }

const custom = (f: ShownField): Record<string, any> => f.config.custom ?? {};

/** Times that rise, without a gap. */
function isWhole(x: number[], step: number): boolean {
  for (let i = 0; i < x.length; i++) if (!Number.isFinite(x[i]) || (i && (x[i] <= x[i - 1] || x[i] - x[i - 1] > step * 1.5))) return false;
  return true;
}

/** Every number of every frame as a line on one column of times (seconds). Gaps wider than the step break a line. */
export function linesOf(frames: ShownFrame[], theme: Theme): { times: number[]; lines: Line[] } {
  const parts: { x: number[]; field: ShownField; frame: ShownFrame }[] = [];
  for (const frame of frames) {
    const time = frame.fields.find((f) => f.type === 'time');
    if (!time) continue;
    for (const field of frame.fields) if ((field.type === 'number' || field.type === 'boolean') && !custom(field).hideFrom?.viz) parts.push({ x: time.values, field, frame });
  }
  if (!parts.length) return { times: [], lines: [] };
  const step = Math.min(...parts.map((p) => Number(p.field.config.interval) || Infinity)), only = parts.every((p) => p.x === parts[0].x) && isWhole(parts[0].x, step) ? parts[0].x : null, all = new Set<number>();
  for (const x of only ? [] : new Set(parts.map((p) => p.x))) {
    for (let i = 0; i < x.length; i++) {
      // One empty place in each gap is enough to break the line there.
      if (i && Number.isFinite(step) && x[i] - x[i - 1] > step * 1.5) all.add(x[i - 1] + step);
      all.add(x[i]);
    }
  }
  const ms = only ?? [...all].filter((v) => Number.isFinite(v)).sort((a, b) => a - b), at = only ? null : new Map(ms.map((v, i) => [v, i]));
  const lines = parts.map(({ x, field, frame }): Line => {
    const c = custom(field), negative = c.transform === 'negative-Y', zero = field.config.nullValueMode === 'null as zero', isPlain = only !== null && !c.transform && finite.has(field.values), values: (number | null)[] = isPlain ? field.values : new Array(ms.length).fill(null);
    if (zero && !isPlain) values.fill(0);
    for (let i = 0; i < x.length && !isPlain; i++) {
      const k = at ? at.get(x[i]) : i, v = field.type === 'boolean' ? Number(field.values[i]) : field.values[i];
      if (k !== undefined && typeof v === 'number' && Number.isFinite(v)) values[k] = negative ? -v : v;
    }
    if (c.transform === 'constant') { const first = values.find((v) => v !== null) ?? null; values.fill(first); }
    const d = c.scaleDistribution, scale = [field.config.unit ?? '', c.axisPlacement === 'right' ? 'r' : c.axisPlacement === 'left' ? 'l' : c.axisPlacement === 'hidden' ? 'h' : '', d?.type === 'log' ? `log${d.log ?? 2}` : d?.type === 'symlog' ? 'sym' : '', field.config.min ?? '', field.config.max ?? '', c.axisSoftMin ?? '', c.axisSoftMax ?? ''].join('|');
    return { field, frame, name: visible(field.state?.displayName ?? field.name), color: seriesColor(field, theme), values, custom: c, scale };
  });
  return { times: ms.map((v) => v / 1000), lines };
}

/** Sums each line onto those below it, group by group; percent shares the whole. */
function stacked(lines: Line[], hidden: Set<number>, n: number): { drawn: (number | null)[][]; bands: uPlot.Band[] } {
  const drawn = lines.map((l) => l.values), bands: uPlot.Band[] = [], groups = new Map<string, number[]>();
  lines.forEach((l, i) => {
    const s = l.custom.stacking;
    if (!s || s.mode === 'none' || !s.mode || hidden.has(i)) return;
    const negative = l.custom.transform === 'negative-Y' || l.values.every((v) => v === null || v <= 0) && l.values.some((v) => v !== null && v < 0), key = `${s.mode}/${s.group ?? 'A'}/${l.scale}/${negative ? '-' : '+'}/${l.custom.drawStyle === 'bars' ? 'b' : ''}`;
    groups.set(key, [...(groups.get(key) ?? []), i]);
  });
  for (const [key, members] of groups) {
    const percent = key.startsWith('percent'), total = percent ? new Array<number>(n).fill(0) : null;
    if (total) for (const i of members) lines[i].values.forEach((v, k) => (total[k] += v ?? 0));
    const sum = new Array<number>(n).fill(0);
    let below = -1;
    for (const i of members) {
      drawn[i] = lines[i].values.map((v, k) => {
        if (v !== null) sum[k] += total ? (total[k] ? v / total[k] : 0) : v;
        return v === null && lines[i].custom.drawStyle === 'bars' ? null : v === null && !members.some((m) => lines[m].values[k] !== null) ? null : sum[k];
      });
      if (below >= 0) bands.push({ series: [i + 1, below + 1], dir: key.includes('/-/') ? 1 : undefined });
      below = i;
    }
  }
  const named = new Map(lines.map((l, i) => [l.name, i]));
  lines.forEach((l, i) => {
    const to = l.custom.fillBelowTo && named.get(l.custom.fillBelowTo);
    if (typeof to === 'number' && to !== i && !hidden.has(i) && !hidden.has(to)) bands.push({ series: [i + 1, to + 1], fill: alpha(l.color, ((l.custom.fillOpacity ?? 0) || 35) / 100) });
  });
  return { drawn, bands };
}

function spanned(values: (number | null)[], times: number[], span: unknown): (number | null | undefined)[] {
  if (typeof span !== 'number' || span <= 0) return values;
  const out: (number | null | undefined)[] = values.slice();
  let last = -1;
  values.forEach((v, i) => {
    if (v === null) return;
    if (last >= 0 && i - last > 1 && (times[i] - times[last]) * 1000 <= span) for (let k = last + 1; k < i; k++) out[k] = undefined;
    last = i;
  });
  return out;
}

const axisFont = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif';
const binarySteps = Array.from({ length: 80 }, (_, i) => 2 ** (i - 10));
// Asking for a style makes the browser settle all it has not yet drawn: once for each theme is enough.
const cssColors = new Map<string, string>();
function cssColor(name: string, theme: Theme): string {
  let color = cssColors.get(name + theme);
  if (color === undefined) cssColors.set(name + theme, (color = getComputedStyle(document.documentElement).getPropertyValue(name).trim()));
  return color;
}
/** Widths of axis texts, which charts of a dashboard share. */
const widths = new Map<string, number>();
function textWidth(ctx: CanvasRenderingContext2D, text: string): number {
  let w = widths.get(text);
  if (w === undefined) {
    ctx.save();
    ctx.font = axisFont;
    w = ctx.measureText(text).width;
    ctx.restore();
    if (widths.size > 2000) widths.clear();
    widths.set(text, w);
  }
  return w;
}

function timeTicks(view: View): uPlot.Axis.DynamicValues {
  return (_u, times, _axis, _space, step) => {
    let day = '';
    return times.map((at) => {
      const today = formatMoment(at * 1000, 'MM/DD', view.zone);
      if (step >= 86400 * 28) return formatMoment(at * 1000, step >= 86400 * 360 ? 'YYYY' : 'YYYY-MM', view.zone);
      if (step >= 86400) return today;
      const text = formatMoment(at * 1000, step < 60 ? 'HH:mm:ss' : 'HH:mm', view.zone), shown = day && day !== today ? `${text}\n${today}` : text;
      day = today;
      return shown;
    });
  };
}

function pathOf(c: Record<string, any>): uPlot.Series.PathBuilder | undefined {
  const make = uPlot.paths;
  if (c.drawStyle === 'bars') return make.bars?.({ size: [Math.min(1, c.barWidthFactor ?? 0.6), c.barMaxWidth ?? 200], align: (c.barAlignment ?? 0) as 0 });
  if (c.drawStyle === 'points') return () => null;
  switch (c.lineInterpolation) {
    case 'smooth': return make.spline?.();
    case 'stepBefore': return make.stepped?.({ align: -1 });
    case 'stepAfter': return make.stepped?.({ align: 1 });
  }
  return make.linear?.();
}

/** A fill that fades towards the bottom. */
function gradient(u: uPlot, color: string, opacity: number): CanvasGradient | string {
  const { top, height } = u.bbox;
  if (!Number.isFinite(top + height)) return alpha(color, opacity);
  const g = u.ctx.createLinearGradient(0, top, 0, top + height);
  g.addColorStop(0, alpha(color, opacity));
  g.addColorStop(1, alpha(color, 0));
  return g;
}

function strokeOf(l: Line, theme: Theme): uPlot.Series.Stroke {
  const mode = l.field.config.color?.mode ?? '', g = l.custom.gradientMode;
  if (g !== 'scheme') return l.color;
  const by = continuous(mode, theme), steps = l.field.config.thresholds?.steps ?? [];
  return ((u: uPlot) => {
    const s = u.scales[l.scale];
    if (!u.bbox.height || s?.min == null || s.max == null) return l.color;
    const c = u.ctx.createLinearGradient(0, u.bbox.top + u.bbox.height, 0, u.bbox.top), range = l.field.state?.range, low = range?.min ?? s.min, high = range?.max ?? s.max, place = (v: number): number => Math.min(1, Math.max(0, (v - (s.min as number)) / ((s.max as number) - (s.min as number))));
    if (by) for (let i = 0; i <= 8; i++) c.addColorStop(place(low + ((high - low) * i) / 8), by(i / 8));
    else if (mode === 'thresholds' && steps.length) steps.forEach((step, i) => { const a = step.value === -Infinity ? 0 : place(step.value); if (i) c.addColorStop(a, colorByName(steps[i - 1].color, theme)); c.addColorStop(a, colorByName(step.color, theme)); });
    else return l.color;
    return c;
  }) as unknown as uPlot.Series.Stroke;
}

function fillOf(l: Line): uPlot.Series.Fill | undefined {
  const opacity = (l.custom.fillOpacity ?? 0) / 100;
  if (!opacity || l.custom.drawStyle === 'points') return undefined;
  return l.custom.gradientMode === 'opacity' || l.custom.gradientMode === 'hue' ? ((u: uPlot) => gradient(u, l.color, Math.min(1, opacity * 1.3))) as unknown as uPlot.Series.Fill : alpha(l.color, opacity);
}

function scalesOf(lines: Line[], plan: Plan): uPlot.Scales {
  const out: uPlot.Scales = {};
  for (const l of lines) {
    if (out[l.scale]) continue;
    const c = l.custom, d = c.scaleDistribution ?? {}, { min, max } = l.field.config, log = d.type === 'log', mine = lines.filter((x) => x.scale === l.scale);
    const fromZero = mine.some((x) => x.custom.drawStyle === 'bars' || (x.custom.stacking && x.custom.stacking.mode && x.custom.stacking.mode !== 'none') || (x.custom.fillOpacity ?? 0) > 0);
    const number = (v: unknown): number | undefined => (typeof v === 'number' && Number.isFinite(v) ? v : undefined), percent = mine.some((x) => x.custom.stacking?.mode === 'percent');
    out[l.scale] = {
      distr: log ? 3 : d.type === 'symlog' ? 4 : 1, log: log && d.log === 2 ? 2 : 10, asinh: d.type === 'symlog' ? (d.linearThreshold ?? 1) : undefined,
      range: (u, lowest, highest) => {
        if (log) {
          if (lowest == null || highest == null || highest <= 0) return [1, 10];
          const r = uPlot.rangeLog(Math.max(lowest, 1e-12), highest, d.log === 2 ? 2 : 10, false);
          return [number(min) && (min as number) > 0 ? (min as number) : r[0], number(max) ?? r[1]];
        }
        void u;
        let a = lowest ?? 0, b = highest ?? 1;
        if (lowest == null || highest == null || (a === 0 && b === 0)) [a, b] = [0, 1];
        const softMin = number(c.axisSoftMin), softMax = number(c.axisSoftMax);
        if (softMin !== undefined) a = Math.min(a, softMin);
        if (softMax !== undefined) b = Math.max(b, softMax);
        if (c.axisCenteredZero) { const m = Math.max(Math.abs(a), Math.abs(b)); [a, b] = [-m, m]; }
        const r = uPlot.rangeNum(a, b, { min: { pad: softMin === a ? 0 : 0.08, soft: 0, mode: fromZero ? 1 : 3 }, max: { pad: softMax === b ? 0 : 0.08, soft: 0, mode: fromZero ? 1 : 3 } });
        const low = number(min) ?? r[0] as number, high = percent && max == null ? Math.min(1, r[1] as number) : number(max) ?? (r[1] as number);
        return high > low ? [low, high] : [low, low + 1];
      },
    };
  }
  void plan;
  return out;
}

function axesOf(lines: Line[], view: View, theme: Theme, width: number): uPlot.Axis[] {
  const grid = cssColor('--grid', theme), base = { stroke: cssColor('--muted', theme), grid: { stroke: grid, width: 1 }, ticks: { show: false }, font: axisFont }, seen = new Set<string>(), out: uPlot.Axis[] = [{ ...base, size: 30, gap: 5, space: 70, values: timeTicks(view) }];
  let left = false;
  for (const l of lines) {
    if (seen.has(l.scale)) continue;
    seen.add(l.scale);
    const c = l.custom, place = c.axisPlacement;
    if (place === 'hidden') continue;
    const right = place === 'right' || (place !== 'left' && left);
    if (!right) left = true;
    const percent = c.stacking?.mode === 'percent', unit = l.field.config.unit ?? '', binary = /^(bytes|kbytes|mbytes|gbytes|tbytes|bits|binBps|binbps|KiBs|MiBs|GiBs)$/.test(unit);
    const values = (_u: uPlot, at: number[], _a: number, _s: number, step: number): string[] => {
      const places = Math.max(0, Math.min(10, -Math.floor(Math.log10(Math.abs(step) || 1) + 1e-9)));
      return at.map((v) => (v == null ? '' : percent ? `${Math.round(v * 100)}%` : shownText(l.field.display(v, c.scaleDistribution?.type === 'log' ? undefined : scaleOfUnit(unit, step, places)))));
    };
    out.push({
      ...base, scale: l.scale, side: right ? 1 : 3, gap: 6, space: 30, incrs: binary ? binarySteps : undefined, values, label: c.axisLabel || undefined, labelFont: axisFont, labelSize: c.axisLabel ? 20 : 0, labelGap: 0,
      grid: { ...base.grid, show: c.axisGridShow ?? !right }, stroke: c.axisColorMode === 'series' ? readable(l.color, theme) : base.stroke,
      size: (u, texts) => {
        if (c.axisWidth > 0) return c.axisWidth;
        const w = Math.ceil(Math.max(16, ...(texts ?? []).map((x) => textWidth(u.ctx, x ?? '')))) + 12;
        return Math.min(w, Math.max(40, width * 0.4));
      },
    });
  }
  return out;
}

/** Decimals that tell an axis's ticks apart, for units that are not scaled. */
function scaleOfUnit(unit: string, step: number, places: number): number | undefined {
  if (unit === 'percentunit') return Math.max(0, Math.min(6, places - 2));
  return !unit || unit === 'none' || unit === 'percent' ? places : step >= 1 && unit === 'locale' ? 0 : 2;
}

/** Threshold lines and areas, and annotated times. */
function drawBack(u: uPlot, lines: Line[], theme: Theme): void {
  const done = new Set<string>(), { ctx } = u, { left, top, width, height } = u.bbox;
  for (const l of lines) {
    const style = l.custom.thresholdsStyle?.mode, th = l.field.config.thresholds, s = u.scales[l.scale];
    if (!style || style === 'off' || !th || done.has(l.scale) || s?.min == null || s.max == null) continue;
    done.add(l.scale);
    const value = (v: number): number => (th.mode === 'percentage' ? (s.min as number) + ((s.max as number) - (s.min as number)) * (v / 100) : v), y = (v: number): number => Math.min(top + height, Math.max(top, u.valToPos(v, l.scale, true)));
    ctx.save();
    th.steps.forEach((step, i) => {
      const color = colorByName(step.color, theme), from = i === 0 ? (s.min as number) : value(step.value), to = i + 1 < th.steps.length ? value(th.steps[i + 1].value) : (s.max as number);
      if (/area/.test(style) && to > from) {
        ctx.fillStyle = alpha(color, 0.12);
        ctx.fillRect(left, y(to), width, y(from) - y(to));
      }
      if (/line|dashed/.test(style) && i > 0 && from >= (s.min as number) && from <= (s.max as number)) {
        ctx.strokeStyle = alpha(color, 0.75);
        ctx.lineWidth = devicePixelRatio;
        ctx.setLineDash(/dashed/.test(style) ? [8, 6] : []);
        ctx.beginPath();
        ctx.moveTo(left, y(from));
        ctx.lineTo(left + width, y(from));
        ctx.stroke();
      }
    });
    ctx.restore();
  }
}

function drawRegions(u: uPlot, regions: Region[], theme: Theme): void {
  const { ctx } = u, { left, top, width, height } = u.bbox;
  ctx.save();
  for (const r of regions) {
    const color = colorByName(r.color, theme), a = Math.max(left, u.valToPos(r.from / 1000, 'x', true)), b = Math.min(left + width, u.valToPos(r.to / 1000, 'x', true));
    if (b < left || a > left + width) continue;
    ctx.fillStyle = alpha(color, 0.12);
    if (b > a) ctx.fillRect(a, top, b - a, height);
    ctx.strokeStyle = alpha(color, 0.8);
    ctx.setLineDash([4, 4]);
    ctx.beginPath();
    for (const x of b > a ? [a, b] : [a]) {
      ctx.moveTo(x, top);
      ctx.lineTo(x, top + height);
    }
    ctx.stroke();
  }
  ctx.restore();
}

const tipRows = 24;

function element(tag: string, name: string, text?: string): HTMLElement {
  const e = document.createElement(tag);
  e.className = name;
  if (text !== undefined) e.textContent = text;
  return e;
}

function fillTip(tip: HTMLElement, lines: Line[], hidden: Set<number>, times: number[], at: number, near: number, mode: string, sort: string, view: View): boolean {
  const own = lines.map((_, i) => i).filter((i) => !hidden.has(i) && lines[i].values[at] !== null && !lines[i].custom.hideFrom?.tooltip), shown = mode === 'single' ? own.filter((i) => i === near) : own;
  if (!shown.length || mode === 'none') return false;
  const v = (i: number): number => lines[i].values[at] as number;
  if (sort !== 'none' && sort) shown.sort((a, b) => (sort === 'asc' ? v(a) - v(b) : v(b) - v(a)));
  const place = Math.max(0, shown.indexOf(near)), from = Math.min(Math.max(0, place - (tipRows >> 1)), Math.max(0, shown.length - tipRows));
  const rows = shown.slice(from, from + tipRows).map((i) => {
    const row = element('div', i === near ? 'near' : ''), dot = element('i', ''), l = lines[i], raw = l.custom.transform === 'negative-Y' ? -v(i) : v(i);
    dot.style.background = l.color;
    row.append(dot, element('span', 'name', l.name), element('span', 'num', visible(shownText(l.field.display(raw)))));
    return row;
  });
  if (shown.length > tipRows) rows.push(element('div', 'muted', t('and {0} more', shown.length - tipRows)));
  const when = formatMoment(times[at] * 1000, 'YYYY-MM-DD HH:mm:ss', view.zone);
  tip.replaceChildren(element('div', 'when', when), ...rows, ...view.regions.value.filter((r) => times[at] * 1000 >= r.from - 1 && times[at] * 1000 <= r.to + 1).slice(0, 4).map((r) => element('div', 'muted', visible(`${r.title} ${r.text}`))));
  return true;
}

interface LegendProps { lines: Line[]; hidden: Set<number>; options: Record<string, any>; onToggle: (i: number, only: boolean) => void; onPoint: (i: number | null) => void; maxHeight: number }

function Mark({ line }: { line: Line }): JSX.Element {
  return <i class="swatch" style={line.custom.lineStyle?.fill === 'dash' ? { borderTop: `3px dashed ${line.color}`, height: 0 } : { background: line.color }} />;
}

const legendRows = 120;

export function SeriesLegend({ lines, hidden, options, onToggle, onPoint, maxHeight }: LegendProps): JSX.Element | null {
  const pointed = useRef<number | null>(null), [all, setAll] = useState(false), calcs: string[] = (options.calcs ?? []).map((c: string) => reducerId(c)).filter(Boolean);
  const [sort, setSort] = useState<{ by: string; desc: boolean } | null>(options.sortBy ? { by: String(options.sortBy), desc: !!options.sortDesc } : null);
  const rows = useMemo(() => lines.map((line, i) => ({ line, i, stats: reduceAll(line.field, calcs) })).filter(({ line }) => !line.custom.hideFrom?.legend && !(options.hideEmpty && line.values.every((v) => v === null)) && !(options.hideZero && line.values.every((v) => !v))), [lines, calcs.join()]);
  const sorted = useMemo(() => {
    if (!sort) return rows;
    const id = calcs.find((c) => reducerName(c) === sort.by || c === sort.by), out = [...rows];
    const value = (r: (typeof rows)[0]): number => Number(r.stats[id ?? ''] ?? -Infinity);
    out.sort((a, b) => (id ? value(a) - value(b) : a.line.name.localeCompare(b.line.name, undefined, { numeric: true })));
    return sort.desc ? out.reverse() : out;
  }, [rows, sort]);
  if (!rows.length) return null;
  const shown = all ? sorted : sorted.slice(0, legendRows), more = sorted.length > shown.length && <button type="button" class="link" onClick={() => setAll(true)}>{t('Show all {0} series', sorted.length)}</button>;
  const text = (l: Line, v: unknown, id: string): string => (id === 'count' ? String(v ?? '') : visible(shownText(l.field.display(v))));
  const button = (line: Line, i: number, extra?: JSX.Element[]): JSX.Element => <button type="button" class={`series ${hidden.has(i) ? 'off' : ''}`} data-i={i} aria-pressed={!hidden.has(i)}><Mark line={line} /><span class="name">{line.name}</span>{extra}</button>;
  // One set of ears for all: a legend of hundreds of series has hundreds of buttons.
  const which = (e: Event): number | null => { const b = (e.target as Element).closest<HTMLElement>('button.series'); return b ? Number(b.dataset.i) : null; };
  const point = (i: number | null): void => { if (i !== pointed.current) onPoint((pointed.current = i)); };
  const ears = {
    title: t('Click or Enter: only this one, and back. Ctrl-click or Space: hide or show.'),
    onClick: (e: MouseEvent) => { const i = which(e); if (i !== null) onToggle(i, !(e.ctrlKey || e.metaKey || e.shiftKey)); },
    onKeyDown: (e: KeyboardEvent) => { const i = e.key === ' ' ? which(e) : null; if (i !== null) { e.preventDefault(); onToggle(i, false); } },
    onKeyUp: (e: KeyboardEvent) => { if (e.key === ' ' && which(e) !== null) e.preventDefault(); },
    onPointerOver: (e: Event) => point(which(e)), onPointerLeave: () => point(null), onFocusIn: (e: Event) => point(which(e)), onFocusOut: () => point(null),
  };
  if (options.displayMode === 'table') {
    const head = (label: string): JSX.Element => (
      <th scope="col" class={label === t('Name') ? '' : 'num'} aria-sort={sort?.by === label ? (sort.desc ? 'descending' : 'ascending') : undefined}><button type="button" class="sort" onClick={() => setSort(sort?.by !== label ? { by: label, desc: true } : sort.desc ? { by: label, desc: false } : null)}>{label}{sort?.by === label ? (sort.desc ? ' ▾' : ' ▴') : ''}</button></th>
    );
    return (
      <div class="legend-box" tabIndex={0} role="group" aria-label={t('Series')} {...ears} style={{ maxHeight: `${maxHeight}px` }}>
        <table class="legend-table"><thead><tr>{head(t('Name'))}{calcs.map((c) => head(reducerName(c)))}</tr></thead>
          <tbody>{shown.map(({ line, i, stats }) => <tr class={hidden.has(i) ? 'off' : ''}><td>{button(line, i)}</td>{calcs.map((c) => <td class="num">{text(line, stats[c], c)}</td>)}</tr>)}</tbody></table>
        {more}
      </div>
    );
  }
  return (
    <ul class="legend" aria-label={t('Series')} tabIndex={0} {...ears} style={{ maxHeight: `${maxHeight}px` }}>
      {shown.map(({ line, i, stats }) => <li>{button(line, i, calcs.map((c) => <span class="num">{reducerName(c)}: {text(line, stats[c], c)}</span>))}</li>)}
      {more && <li>{more}</li>}
    </ul>
  );
}

function Numbers({ lines, times, title, id, view }: { lines: Line[]; times: number[]; title: string; id: string; view: View }): JSX.Element {
  const last = (l: Line): number => l.values.findLastIndex((v) => v !== null);
  return (
    <div class="sr-only"><table id={id}>
      <caption>{title}</caption>
      <thead><tr><th scope="col">{t('Series')}</th><th scope="col">{t('First')}</th><th scope="col">{t('Last')}</th><th scope="col">{t('Time of last')}</th></tr></thead>
      <tbody>{lines.slice(0, 25).map((l) => <tr><th scope="row">{l.name}</th><td>{shownText(l.field.display(l.values.find((v) => v !== null) ?? null))}</td><td>{shownText(l.field.display(l.values[last(l)] ?? null))}</td><td>{last(l) < 0 ? '–' : formatMoment(times[last(l)] * 1000, 'YYYY-MM-DD HH:mm:ss', view.zone)}</td></tr>)}</tbody>
    </table></div>
  );
}

export interface TimeChartProps extends PanelProps { onZoom?: (from: number, to: number) => void; onZoomOut?: () => void; group: string }

export function TimeSeriesPanel(props: TimeChartProps): JSX.Element {
  const { panel, view, frames, theme, width, height } = props, o = panel.options;
  const box = useRef<HTMLDivElement>(null), tip = useRef<HTMLDivElement>(null), plot = useRef<uPlot | null>(null), id = useId();
  const [hidden, setHidden] = useState<Set<number>>(new Set()), [said, setSaid] = useState('');
  const { times, lines } = useMemo(() => linesOf(frames, theme), [frames, theme]);
  const plan = useMemo((): Plan => { const s = stacked(lines, hidden, times.length); return { times, lines, drawn: s.drawn.map((v, i) => spanned(v, times, lines[i].custom.spanNulls)), bands: s.bands }; }, [lines, hidden, times]);
  const names = lines.map((l) => `${l.name}\n${l.color}\n${l.scale}\n${l.custom.drawStyle}`).join('\u0000');
  const live = useRef<{ props: TimeChartProps; plan: Plan; hidden: Set<number>; byKey: boolean; fresh: uPlot | null }>({ props, plan, hidden, byKey: false, fresh: null });
  live.current = { ...live.current, props, plan, hidden };
  useEffect(() => setHidden(new Set()), [lines.map((l) => l.name).join('\u0000')]);

  const legend = o.legend ?? { showLegend: true, displayMode: 'list', placement: 'bottom', calcs: [] }, hasLegend = legend.showLegend !== false && legend.displayMode !== 'hidden' && lines.length > 0, beside = hasLegend && legend.placement === 'right' && width > 380;
  const table = legend.displayMode === 'table', sideWidth = beside ? Math.min(Math.max(Number(legend.width) || width * (table ? 0.38 : 0.28), 120), width * 0.6) : 0;
  const below = hasLegend && !beside ? Math.min(height * 0.42, table ? 26 + lines.length * 25 : Math.max(26, Math.ceil(lines.reduce((s, l) => s + 40 + (l.name.length + (legend.calcs?.length ?? 0) * 12) * 6.4, 0) / Math.max(width, 1)) * 26)) : 0;
  const plotWidth = Math.max(60, Math.floor(width - sideWidth - (beside ? 8 : 0))), plotHeight = Math.max(40, Math.floor(height - below));

  const place = (u: uPlot): void => {
    const e = tip.current, i = u.cursor.idx, { plan: p, hidden: h, byKey, props: own } = live.current;
    if (!e) return;
    const shared = own.view.dashboard.crosshair === 2, here = byKey || shared || u.over.matches(':hover');
    let near = -1, least = Infinity;
    if (i != null) p.lines.forEach((l, k) => {
      const v = p.drawn[k]?.[i];
      if (v == null || h.has(k)) return;
      const away = Math.abs(u.valToPos(v, l.scale) - (u.cursor.top ?? 0));
      if (away <= least) { least = away; near = k; }
    });
    if (i == null || !here || (u.cursor.left ?? -1) < 0 || !fillTip(e, p.lines, h, p.times, i, near, own.panel.options.tooltip?.mode ?? 'single', own.panel.options.tooltip?.sort ?? 'none', own.view)) {
      e.hidden = true;
      return;
    }
    e.hidden = false;
    const x = u.over.offsetLeft + (u.cursor.left ?? 0), y = u.over.offsetTop + (u.cursor.top ?? 0), room = u.root.clientWidth;
    e.style.left = `${Math.max(-8, Math.min(x + 16 + e.offsetWidth > room ? x - 16 - e.offsetWidth : x + 16, room - e.offsetWidth + 8))}px`;
    e.style.top = `${Math.max(-30, Math.min(y - e.offsetHeight / 2, u.root.clientHeight - e.offsetHeight + 60))}px`;
  };

  // With the page's own change, not after it: charts whose answers come together are then not all made in one task.
  useLayoutEffect(() => {
    const el = box.current;
    if (!el) return;
    const sync = view.dashboard.crosshair > 0;
    const u = new uPlot({
      width: plotWidth, height: plotHeight, padding: [8, 14, 0, 0], legend: { show: false }, focus: { alpha: 0.25 },
      cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 7 }, bind: { dblclick: () => () => (live.current.props.onZoomOut?.(), null) }, sync: sync ? { key: props.group, scales: ['x', null as unknown as string] } : undefined },
      scales: { x: { time: true, range: () => [live.current.props.answer.span.from / 1000, Math.max(live.current.props.answer.span.to, live.current.props.answer.span.from + 1) / 1000] }, ...scalesOf(lines, plan) },
      axes: axesOf(lines, view, theme, width),
      series: [{}, ...lines.map((l, i): uPlot.Series => {
        const c = l.custom, many = times.length > plotWidth / 6, points = c.drawStyle === 'points' || c.showPoints === 'always' || ((c.showPoints ?? 'auto') === 'auto' && !many && c.drawStyle !== 'bars');
        return {
          label: l.name, scale: l.scale, show: !hidden.has(i), stroke: strokeOf(l, theme), width: c.drawStyle === 'bars' ? Math.min(c.lineWidth ?? 1, 2) : (c.lineWidth ?? 1), fill: fillOf(l), dash: c.lineStyle?.fill === 'dash' ? (c.lineStyle.dash ?? [10, 10]) : c.lineStyle?.fill === 'dot' ? [0, 6] : undefined, cap: c.lineStyle?.fill === 'dot' ? 'round' : undefined, spanGaps: c.spanNulls === true, paths: pathOf(c),
          points: { show: points ? true : c.showPoints === 'never' ? false : undefined, size: Math.max(c.pointSize ?? 5, 2), width: Math.min(c.lineWidth ?? 1, Math.max(c.pointSize ?? 5, 2) / 2), fill: l.color, stroke: l.color, filter: points ? undefined : (loners as unknown as uPlot.Series.Points.Filter) },
        };
      })],
      bands: plan.bands.length ? plan.bands : undefined,
      hooks: {
        drawClear: [(p) => drawBack(p, live.current.plan.lines, theme)], draw: [(p) => drawRegions(p, live.current.props.view.regions.peek(), theme)], setCursor: [place],
        setSelect: [(p) => {
          if (p.select.width > 4) live.current.props.onZoom?.(p.posToVal(p.select.left, 'x') * 1000, p.posToVal(p.select.left + p.select.width, 'x') * 1000);
          p.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        }],
      },
    }, [times, ...plan.drawn] as uPlot.AlignedData, el);
    plot.current = u;
    live.current.fresh = u;
    return () => {
      u.destroy();
      plot.current = null;
    };
  }, [names, theme, lines.some((l) => l.custom.stacking?.mode && l.custom.stacking.mode !== 'none') ? hidden : null, panel, frames.length && times.length > plotWidth / 6]);
  // A chart just made has all this already.
  const old = (): uPlot | null => (plot.current === live.current.fresh ? null : plot.current);
  useEffect(() => old()?.setSize({ width: plotWidth, height: plotHeight }), [plotWidth, plotHeight]);
  useEffect(() => old()?.setData([times, ...plan.drawn] as uPlot.AlignedData), [plan]);
  useEffect(() => { const u = old(); u?.batch(() => lines.forEach((_, i) => u.series[i + 1] && u.series[i + 1].show !== !hidden.has(i) && u.setSeries(i + 1, { show: !hidden.has(i) }))); }, [hidden]);
  useEffect(() => old()?.redraw(false), [view.regions.value]);
  useEffect(() => { live.current.fresh = null; });

  const toggle = (i: number, only: boolean): void => {
    const next = new Set(hidden);
    if (only) {
      const alone = lines.every((_, k) => k === i || hidden.has(k)) && !hidden.has(i);
      next.clear();
      if (!alone) lines.forEach((_, k) => k !== i && next.add(k));
    } else if (!next.delete(i)) next.add(i);
    setHidden(next);
  };
  const leave = (): void => {
    live.current.byKey = false;
    plot.current?.setCursor({ left: -10, top: -10 });
  };
  const onKey = (e: KeyboardEvent): void => {
    const u = plot.current;
    if (!u || e.ctrlKey || e.metaKey || e.altKey) return;
    const end = times.length - 1, from = u.cursor.idx ?? end + 1, to = { ArrowLeft: from - 1, ArrowRight: from + 1, PageUp: from - 10, PageDown: from + 10, Home: 0, End: end }[e.key], { span } = props.answer;
    if (to !== undefined) {
      const i = Math.max(0, Math.min(end, to));
      live.current.byKey = true;
      u.setCursor({ left: u.valToPos(times[i], 'x'), top: u.over.clientHeight / 2 });
      const there = lines.filter((l, k) => !hidden.has(k) && l.values[i] !== null);
      setSaid(`${formatMoment(times[i] * 1000, 'YYYY-MM-DD HH:mm:ss', view.zone)}: ${there.slice(0, 12).map((l) => `${l.name} ${shownText(l.field.display(l.values[i]))}`).join(', ')}${there.length > 12 ? `, ${t('and {0} more', there.length - 12)}` : ''}`);
    } else if (e.key === 'Escape') leave();
    else if ((e.key === '+' || e.key === '=') && props.onZoom) { const mid = (times[u.cursor.idx ?? end >> 1] ?? span.from / 1000) * 1000, quarter = (span.to - span.from) / 4; props.onZoom(mid - quarter, mid + quarter); }
    else if (e.key === '-') props.onZoomOut?.();
    else return;
    e.preventDefault();
    e.stopPropagation();
  };
  if (!lines.length) return <div class="no-data">{frames.some((f) => f.length && !f.fields.some((x) => x.type === 'time')) ? t('The data has no time column.') : t('No data')}</div>;
  return (
    <figure class={`chart ${beside ? 'beside' : ''}`} aria-label={props.title}>
      <div class="plot-wrap" style={{ width: `${plotWidth}px` }}>
        <div ref={box} class="plot" style={{ height: `${plotHeight}px` }} tabIndex={0} role="img" aria-label={t('{0}: chart of {1} series. Arrow keys read values.', props.title, lines.length)} aria-describedby={id} onKeyDown={onKey} onBlur={leave} onPointerMove={() => (live.current.byKey = false)} />
        <div ref={tip} class="tip" hidden aria-hidden="true" />
      </div>
      {hasLegend && <div class="legend-side" style={beside ? { width: `${sideWidth}px`, height: `${height}px` } : undefined}><SeriesLegend lines={lines} hidden={hidden} options={legend} onToggle={toggle} maxHeight={beside ? height : below} onPoint={(i) => plot.current && lines.length > 1 && plot.current.setSeries(i === null ? (null as unknown as number) : i + 1, { focus: true })} /></div>}
      {useMemo(() => <Numbers lines={lines} times={times} title={props.title} id={id} view={view} />, [lines, props.title])}
      <span class="sr-only" role="status">{said}</span>
    </figure>
  );
}

/** Points that no line reaches are drawn as dots. */
function loners(u: uPlot, k: number): number[] | null {
  const row = u.data[k] as (number | null)[], out: number[] = [];
  if (finite.has(row as number[]) && row.length > 1) return null;
  for (let i = 0; i < row.length; i++) if (row[i] != null && row[i - 1] == null && row[i + 1] == null) out.push(i);
  return out.length ? out : null;
}
