// Pies, bars over categories, histograms, states over time and heat maps.
import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { alpha, colorByName, continuous, paletteColor, textOn, type Theme } from '../dash/colors';
import { mapValue, shownText } from '../dash/display';
import type { ShownField, ShownFrame } from '../dash/fieldconfig';
import { formatMoment } from '../dash/moment';
import { roundStep } from '../dash/range';
import { unitFormat, join } from '../dash/units';
import { visible } from '../format';
import { t } from '../strings';
import { fullText, Linking, linksOf, singles, type PanelProps, type Single } from './common';
import { NoValue } from './stat';

// ---- pie ----

const point = (cx: number, cy: number, r: number, at: number): string => `${(cx + r * Math.sin(at * 2 * Math.PI)).toFixed(2)} ${(cy - r * Math.cos(at * 2 * Math.PI)).toFixed(2)}`;

function slice(cx: number, cy: number, r: number, inner: number, a: number, b: number): string {
  const big = b - a > 0.5 ? 1 : 0, end = b - a >= 1 ? b - 1e-5 : b;
  return inner ? `M${point(cx, cy, r, a)}A${r} ${r} 0 ${big} 1 ${point(cx, cy, r, end)}L${point(cx, cy, inner, end)}A${inner} ${inner} 0 ${big} 0 ${point(cx, cy, inner, a)}Z` : `M${cx} ${cy}L${point(cx, cy, r, a)}A${r} ${r} 0 ${big} 1 ${point(cx, cy, r, end)}Z`;
}

function pieColor(one: Single, i: number, theme: Theme): string {
  const mode = one.field.config.color?.mode ?? '';
  return one.row !== undefined && mode.startsWith('palette') && !one.field.config.mappings?.length ? paletteColor(mode, i, one.name, theme) : one.shown.color;
}

export function PiePanel(props: PanelProps): JSX.Element {
  const { panel, theme, view, locals, width, height } = props, o = panel.options, legend = o.legend ?? {};
  const all = singles(props).filter((s) => Number.isFinite(s.shown.numeric) && s.shown.numeric > 0).map((s, i) => ({ ...s, color: pieColor(s, i, theme) }));
  if (o.sort !== 'none') all.sort((a, b) => (o.sort === 'asc' ? a.shown.numeric - b.shown.numeric : b.shown.numeric - a.shown.numeric));
  const total = all.reduce((s, x) => s + x.shown.numeric, 0), [over, setOver] = useState(-1);
  if (!all.length) return <NoValue />;
  const shown = legend.showLegend !== false && legend.displayMode !== 'hidden', side = shown && legend.placement === 'right' && width > 300, values: string[] = legend.values ?? [], w = side ? Math.min(width * 0.55, height) : width, h = shown && !side ? height * 0.72 : height;
  const r = Math.max(20, Math.min(w, h) / 2 - 6), cx = w / 2, cy = h / 2, inner = o.pieType === 'donut' ? r * 0.62 : 0, labels: string[] = o.displayLabels ?? [];
  let at = 0;
  const share = (x: Single): string => `${((x.shown.numeric / total) * 100).toFixed(total && x.shown.numeric / total < 0.1 ? 1 : 0)}%`;
  return (
    <div class={`pie ${side ? 'beside' : ''}`}>
      <svg width={w} height={h} role="img" aria-label={`${props.title}: ${all.slice(0, 12).map((x) => `${x.name} ${fullText(x.shown)}`).join(', ')}`}>
        {all.map((x, i) => {
          const from = at, to = (at += x.shown.numeric / total), mid = (from + to) / 2, text = labels.map((l) => (l === 'name' ? x.name : l === 'percent' ? share(x) : fullText(x.shown))).join(' '), lr = (r + inner) / 2 + (inner ? 0 : r * 0.14);
          return (
            <g onPointerEnter={() => setOver(i)} onPointerLeave={() => setOver(-1)} opacity={over < 0 || over === i ? 1 : 0.45}>
              <Linking links={linksOf(x.field, x.frame, view, locals, x.row)}><path d={slice(cx, cy, r, inner, from, to)} fill={x.color} stroke="var(--panel)" stroke-width="1"><title>{`${x.name}: ${fullText(x.shown)} (${share(x)})`}</title></path></Linking>
              {text && to - from > 0.04 && <text x={cx + lr * Math.sin(mid * 2 * Math.PI)} y={cy - lr * Math.cos(mid * 2 * Math.PI) + 4} text-anchor="middle" class="slice" style={{ fill: textOn(x.color) }}>{text}</text>}
            </g>
          );
        })}
      </svg>
      {shown && (
        <ul class="legend" aria-label={t('Parts')} tabIndex={0} style={{ maxHeight: `${side ? height : height - h}px` }}>
          {all.map((x, i) => <li class="part" onPointerEnter={() => setOver(i)} onPointerLeave={() => setOver(-1)}><i class="swatch" style={{ background: x.color }} /><span class="name">{visible(x.name)}</span>{values.includes('value') && <span class="num">{fullText(x.shown)}</span>}{values.includes('percent') && <span class="num">{share(x)}</span>}</li>)}
        </ul>
      )}
    </div>
  );
}

// ---- bars over categories ----

interface Bars { names: string[]; fields: ShownField[]; frame: ShownFrame; timed: boolean }

function barsOf(props: PanelProps): Bars | null {
  const { frames, panel, view } = props;
  for (const frame of frames) {
    const numbers = frame.fields.filter((f) => f.type === 'number' && !f.config.custom?.hideFrom?.viz);
    const x = (panel.options.xField && frame.fields.find((f) => (f.state?.displayName ?? f.name) === panel.options.xField || f.name === panel.options.xField)) || frame.fields.find((f) => f.type === 'string') || frame.fields.find((f) => f.type === 'time');
    if (!x || !numbers.length) continue;
    const fields = numbers.filter((f) => f !== x), names = x.values.map((v: any) => (x.type === 'time' ? formatMoment(v, 'MM/DD HH:mm', view.zone) : shownText(x.display(v))));
    // Several single series side by side are joined on their names.
    if (frames.length > 1 && frames.every((f) => f.fields.some((y) => y.type === 'string') && f !== frame ? true : f === frame)) {
      const rest = frames.filter((f) => f !== frame), more: ShownField[] = [];
      for (const other of rest) {
        const ox = other.fields.find((f) => f.type === x.type), on = other.fields.filter((f) => f.type === 'number');
        if (!ox) continue;
        const place = new Map(ox.values.map((v, i) => [String(v), i]));
        for (const f of on) more.push({ ...f, values: x.values.map((v: any) => f.values[place.get(String(v)) ?? -1] ?? null) });
      }
      return { names, fields: [...fields, ...more], frame, timed: x.type === 'time' };
    }
    return { names, fields, frame, timed: x.type === 'time' };
  }
  return null;
}

/** Limits an axis shows and the marks between them. */
function ticks(min: number, max: number, n: number): number[] {
  const raw = (max - min) / Math.max(n, 1), p = 10 ** Math.floor(Math.log10(raw || 1)), step = [1, 2, 2.5, 5, 10].map((m) => m * p).find((s) => s >= raw) ?? p * 10, out: number[] = [];
  for (let v = Math.ceil(min / step) * step; v <= max + step * 1e-6 && out.length < 50; v += step) out.push(Math.abs(v) < step * 1e-6 ? 0 : v);
  return out;
}

export function BarChartPanel(props: PanelProps): JSX.Element {
  const { panel, width, height, theme, view, locals } = props, o = panel.options, bars = useMemo(() => barsOf(props), [props.frames]);
  if (!bars?.names.length || !bars.fields.length) return <NoValue />;
  const { names, fields } = bars, flat = o.orientation === 'horizontal', stack = o.stacking && o.stacking !== 'none', legend = o.legend ?? {}, named = legend.showLegend !== false && legend.displayMode !== 'hidden' && fields.length > 1, below = named ? 30 : 0;
  const value = (f: ShownField, i: number): number => (Number.isFinite(f.values[i]) ? f.values[i] : 0), sums = names.map((_, i) => fields.reduce((s, f) => s + Math.max(0, value(f, i)), 0)), lows = names.map((_, i) => fields.reduce((s, f) => s + Math.min(0, value(f, i)), 0)), flatValues = fields.flatMap((f) => names.map((_, i) => value(f, i)));
  let top = Math.max(fields[0].config.max ?? -Infinity, ...(stack ? sums : flatValues)), bottom = Math.min(0, fields[0].config.min ?? 0, ...(stack ? lows : flatValues));
  if (o.stacking === 'percent') [bottom, top] = [0, 1];
  if (!(top > bottom)) top = bottom + 1;
  const show = (f: ShownField, i: number): string => shownText(f.display(f.values[i])), tick = (v: number): string => (o.stacking === 'percent' ? `${Math.round(v * 100)}%` : shownText(fields[0].display(v)));
  const longest = Math.max(...names.map((n) => n.length)), leftPad = flat ? Math.min(longest * 6.6 + 14, width * 0.4) : Math.min(90, Math.max(...ticks(bottom, top, 4).map((v) => tick(v).length)) * 6.8 + 12), plotW = width - leftPad - 8, across = plotW / names.length, tilt = !flat && longest * 6.4 > across && names.length > 1;
  const bottomPad = flat ? 22 : tilt ? Math.min(longest * 4.6 + 12, height * 0.4) : 22, plotH = height - below - bottomPad - 6, along = flat ? plotH / names.length : across, group = along * (o.groupWidth ?? 0.7), one = stack ? group * (o.barWidth ?? 0.97) : (group / fields.length) * (o.barWidth ?? 0.97), place = (v: number): number => (v - bottom) / (top - bottom);
  const every = Math.max(1, Math.ceil((flat ? 14 : tilt ? 16 : longest * 6.6 + 8) / along));
  const colorOf = (f: ShownField, i: number): string => { const c = f.display(f.values[i]).color; return f.config.mappings?.length || !(f.config.color?.mode ?? 'palette-classic').startsWith('palette') ? c : paletteColor(f.config.color?.mode ?? 'palette-classic', f.state?.seriesIndex ?? 0, f.state?.displayName ?? '', theme); };
  return (
    <div class="barchart">
      <svg width={width} height={height - below} role="img" aria-label={`${props.title}: ${names.slice(0, 10).map((n, i) => `${n} ${show(fields[0], i)}`).join(', ')}`}>
        {ticks(bottom, top, flat ? 4 : Math.max(2, plotH / 50)).map((v) => { const p = place(v); return flat ? <g><line x1={leftPad + p * plotW} x2={leftPad + p * plotW} y1="4" y2={plotH + 4} stroke="var(--grid)" /><text x={leftPad + p * plotW} y={plotH + 18} class="mark" text-anchor="middle">{tick(v)}</text></g> : <g><line x1={leftPad} x2={width - 8} y1={6 + plotH * (1 - p)} y2={6 + plotH * (1 - p)} stroke="var(--grid)" /><text x={leftPad - 6} y={10 + plotH * (1 - p)} class="mark" text-anchor="end">{tick(v)}</text></g>; })}
        {names.map((n, i) => {
          let up = 0, down = 0;
          const total = o.stacking === 'percent' ? sums[i] || 1 : 1, start = along * i + (along - group) / 2;
          return (
            <g>
              {fields.map((f, k) => {
                const v = value(f, i) / total, from = stack ? (v >= 0 ? up : down) : 0, to = from + v;
                if (stack) { if (v >= 0) up = to; else down = to; }
                const a = place(Math.min(from, to)), b = place(Math.max(from, to)), s = start + (stack ? (group - one) / 2 : k * (group / fields.length)), c = colorOf(f, i), opacity = Math.max(0.25, (f.config.custom?.fillOpacity ?? 80) / 100);
                const rect = flat ? { x: leftPad + a * plotW, y: 4 + s, width: Math.max(0, (b - a) * plotW), height: one } : { x: leftPad + s, y: 6 + plotH * (1 - b), width: one, height: Math.max(0, (b - a) * plotH) };
                return <Linking links={linksOf(f, bars.frame, view, locals, i)}><rect {...rect} fill={alpha(c, opacity)} stroke={c} stroke-width={f.config.custom?.lineWidth ?? 1}><title>{`${n} · ${f.state?.displayName ?? f.name}: ${show(f, i)}`}</title></rect></Linking>;
              })}
              {o.showValue !== 'never' && !stack && (flat ? one > 11 : one > 22) && fields.map((f, k) => { const s = start + k * (group / fields.length) + one / 2, p = place(Math.max(0, value(f, i))), text = show(f, i); return (o.showValue === 'always' || (flat ? true : text.length * 6.4 < one + 8)) && <text class="mark" x={flat ? Math.min(leftPad + p * plotW + 4, width - text.length * 6.4) : leftPad + s} y={flat ? 8 + s : Math.max(14, 2 + plotH * (1 - p))} text-anchor={flat ? 'start' : 'middle'}>{text}</text>; })}
              {i % every === 0 && (flat ? <text class="mark" x={leftPad - 6} y={8 + start + group / 2} text-anchor="end">{n.slice(0, Math.floor(leftPad / 6.4))}</text> : <text class="mark" text-anchor={tilt ? 'end' : 'middle'} transform={tilt ? `rotate(-40 ${leftPad + start + group / 2} ${plotH + 18})` : undefined} x={leftPad + start + group / 2} y={plotH + 20}>{n.slice(0, 40)}</text>)}
            </g>
          );
        })}
      </svg>
      {named && <ul class="legend" aria-label={t('Series')}>{fields.map((f, i) => <li class="part"><i class="swatch" style={{ background: colorOf(f, 0) }} /><span class="name">{visible(f.state?.displayName ?? f.name)}</span>{i > 40 && ''}</li>)}</ul>}
    </div>
  );
}

// ---- histogram ----

export function HistogramPanel(props: PanelProps): JSX.Element {
  const o = props.panel.options, numbers = props.frames.flatMap((f) => f.fields.filter((x) => x.type === 'number')), values = numbers.flatMap((f) => f.values.filter((v) => Number.isFinite(v)));
  if (!values.length) return <NoValue />;
  const min = values.reduce((a, b) => Math.min(a, b), Infinity), max = values.reduce((a, b) => Math.max(a, b), -Infinity), raw = (max - min) / 30 || 1, p = 10 ** Math.floor(Math.log10(raw)), size = Number(o.bucketSize) > 0 ? Number(o.bucketSize) : ([1, 2, 2.5, 4, 5, 10].map((m) => m * p).find((s) => s >= raw) ?? raw), first = Math.floor(min / size), n = Math.min(400, Math.floor(max / size) - first + 1);
  const groups = o.combine ? [values] : numbers.map((f) => f.values.filter((v) => Number.isFinite(v))), counts = groups.map((g) => { const c = new Array<number>(n).fill(0); for (const v of g) c[Math.min(n - 1, Math.floor(v / size) - first)]++; return c; });
  const names: ShownField = { ...numbers[0], type: 'string', values: Array.from({ length: n }, (_, i) => shownText(numbers[0].display((first + i) * size))), display: (v) => ({ text: String(v), numeric: NaN, color: '' }) };
  const fields = counts.map((c, i): ShownField => ({ ...numbers[i], values: c, display: (v) => ({ text: String(v), numeric: Number(v), color: numbers[i].display(0).color }) }));
  return <BarChartPanel {...props} frames={[{ length: n, fields: [names, ...fields] }]} panel={{ ...props.panel, options: { ...o, groupWidth: 1, barWidth: 1, stacking: groups.length > 1 ? 'normal' : 'none', showValue: 'never', xField: undefined } }} />;
}

// ---- states over time ----

interface Run { from: number; to: number; value: unknown }

function runsOf(times: number[], values: unknown[], merge: boolean, step: number, end: number): Run[] {
  const out: Run[] = [];
  for (let i = 0; i < times.length; i++) {
    const v = values[i], last = out[out.length - 1], next = Math.min(i + 1 < times.length ? Math.min(times[i + 1], step ? times[i] + step * 1.5 : Infinity) : times[i] + (step || end - times[i]), end);
    if (v === null || v === undefined || (typeof v === 'number' && Number.isNaN(v))) continue;
    if (last && merge && Object.is(last.value, v) && times[i] - last.to <= (step || 0) * 0.6) last.to = next;
    else out.push({ from: times[i], to: next, value: v });
  }
  return out;
}

/** What runs together is one state: a threshold's step, a mapping's text, or the value itself. */
function stateOf(f: ShownField, v: unknown): string {
  const shown = f.display(v), mapped = f.config.mappings?.length ? mapValue(f.config.mappings, v) : null;
  return mapped?.text ?? (f.type === 'number' && (f.config.color?.mode ?? 'thresholds') === 'thresholds' && f.config.thresholds ? shown.color : shownText(shown));
}

export function StatePanel(props: PanelProps & { history?: boolean }): JSX.Element {
  const { frames, panel, width, height, view, history } = props, o = panel.options, { span } = props.answer;
  const rows = useMemo(() => frames.flatMap((frame) => {
    const time = frame.fields.find((f) => f.type === 'time');
    return time ? frame.fields.filter((f) => f !== time && !f.config.custom?.hideFrom?.viz).map((field) => ({ field, name: visible(field.state?.displayName ?? field.name), runs: runsOf(time.values, field.values.map((v) => v), false, Number(field.config.interval) || 0, span.to) })) : [];
  }).slice(0, 200), [frames]);
  if (!rows.length) return <NoValue />;
  const left = Math.min(Math.max(...rows.map((r) => r.name.length)) * 6.6 + 12, width * 0.32), w = width - left - 8, legend = o.legend ?? {}, named = legend.showLegend !== false && legend.displayMode !== 'hidden', foot = 22 + (named ? 26 : 0), each = Math.max(16, Math.min(60, (height - foot) / rows.length)), bar = each * Math.min(1, o.rowHeight ?? 0.9), x = (at: number): number => left + ((Math.max(span.from, at) - span.from) / (span.to - span.from)) * w;
  const merged = rows.map((r) => ({ ...r, runs: history ? r.runs : r.runs.reduce<(Run & { state: string })[]>((out, run) => { const state = stateOf(r.field, run.value), last = out[out.length - 1]; if (last && o.mergeValues !== false && last.state === state && run.from - last.to <= 1) last.to = run.to; else out.push({ ...run, state }); return out; }, []) }));
  const parts = new Map<string, string>();
  for (const r of merged) for (const run of r.runs) { const s = r.field.display(run.value), text = r.field.config.mappings?.length || r.field.type !== 'number' ? shownText(s) : ''; if (text && parts.size < 30) parts.set(text, s.color); }
  const step = roundStep((span.to - span.from) / Math.max(2, w / 90)), marks: number[] = [];
  for (let at = Math.ceil(span.from / step) * step; at < span.to; at += step) marks.push(at);
  return (
    <div class="states" tabIndex={rows.length * each + foot > height + 2 ? 0 : undefined} role="group" aria-label={props.title} style={{ height: `${height}px` }}>
      <svg width={width} height={rows.length * each + 22} role="img" aria-label={merged.slice(0, 20).map((r) => `${r.name}: ${r.runs.length ? shownText(r.field.display(r.runs[r.runs.length - 1].value)) : t('No data')}`).join(', ')}>
        {merged.map((r, i) => (
          <g>
            <text class="mark" x={left - 6} y={i * each + each / 2 + 4} text-anchor="end">{r.name.slice(0, Math.floor(left / 6.2))}<title>{r.name}</title></text>
            {r.runs.map((run) => {
              const s = r.field.display(run.value), a = x(run.from), b = Math.max(a + 1, x(run.to) - (history ? Math.min(3, (x(run.to) - a) * (1 - (o.colWidth ?? 0.9))) : 0)), text = shownText(s), opacity = (r.field.config.custom?.fillOpacity ?? 70) / 100;
              if (run.to < span.from || run.from > span.to) return null;
              return <g><rect x={a} y={i * each + (each - bar) / 2} width={b - a} height={bar} rx={history ? 2 : 0} fill={alpha(s.color, Math.max(0.3, opacity))}><title>{`${r.name}: ${text}\n${formatMoment(run.from, 'YYYY-MM-DD HH:mm:ss', view.zone)} – ${formatMoment(run.to, 'YYYY-MM-DD HH:mm:ss', view.zone)}`}</title></rect>{o.showValue !== 'never' && !history && text.length * 6.6 + 8 < b - a && bar > 13 && <text class="slice" x={o.alignValue === 'center' ? (a + b) / 2 : a + 5} y={i * each + each / 2 + 4} text-anchor={o.alignValue === 'center' ? 'middle' : 'start'} style={{ fill: opacity > 0.6 ? textOn(s.color) : 'var(--text)' }}>{text}</text>}</g>;
            })}
          </g>
        ))}
        {marks.map((at) => <text class="mark" x={x(at)} y={rows.length * each + 16} text-anchor="middle">{formatMoment(at, step >= 86400000 ? 'MM/DD' : step < 60000 ? 'HH:mm:ss' : 'HH:mm', view.zone)}</text>)}
      </svg>
      {named && parts.size > 0 && <ul class="legend" aria-label={t('States')}>{[...parts].map(([text, color]) => <li class="part"><i class="swatch" style={{ background: color }} /><span class="name">{visible(text)}</span></li>)}</ul>}
    </div>
  );
}

// ---- heat map ----

interface Heat { times: number[]; step: number; rows: { label: string; from: number; to: number; counts: (number | null)[] }[]; numeric: boolean }
type NativeBucket = [number, string, string, string];

/** Native histograms: every bucket that occurs is a row. */
function nativeHeat(frames: ShownFrame[]): Heat | null {
  const times = new Set<number>(), rows = new Map<string, { from: number; to: number; at: Map<number, number> }>();
  let step = 0;
  for (const f of frames) {
    step ||= Number(f.fields.find((x) => x.type === 'number')?.config.interval) || 0;
    for (const [at, h] of (f.meta?.histograms ?? []) as [number, { buckets?: NativeBucket[] }][]) {
      times.add(at * 1000);
      for (const [, lower, upper, n] of h.buckets ?? []) {
        const key = `${lower}/${upper}`, row = rows.get(key) ?? { from: Number(lower), to: Number(upper), at: new Map() };
        row.at.set(at * 1000, (row.at.get(at * 1000) ?? 0) + Number(n));
        rows.set(key, row);
      }
    }
  }
  if (!times.size) return null;
  const sorted = [...times].sort((a, b) => a - b);
  return { times: sorted, step, numeric: true, rows: [...rows.values()].sort((a, b) => a.from - b.from).slice(0, 400).map((r) => ({ label: String(r.to), from: r.from, to: r.to, counts: sorted.map((x) => r.at.get(x) ?? null) })) };
}

function heatOf(frames: ShownFrame[], o: Record<string, any>): Heat | null {
  const native = nativeHeat(frames);
  if (native) return native;
  const parts = frames.flatMap((frame) => { const time = frame.fields.find((f) => f.type === 'time'); return time ? frame.fields.filter((f) => f.type === 'number').map((field) => ({ time: time.values, field, le: frame.meta?.le as number | undefined, name: field.state?.displayName ?? field.name })) : []; });
  if (!parts.length) return null;
  const step = Number(parts[0].field.config.interval) || (parts[0].time[1] - parts[0].time[0]) || 60000;
  if (o.calculate) return calculated(parts, step, o);
  const times = [...new Set(parts.flatMap((p) => p.time))].sort((a, b) => a - b), limit = (p: (typeof parts)[0]): number => p.le ?? (/^\+?inf/i.test(p.name) ? Infinity : parseFloat(p.name)), numeric = parts.every((p) => !Number.isNaN(limit(p))), sorted = numeric ? [...parts].sort((a, b) => limit(a) - limit(b)) : parts;
  let below = 0;
  const rows = sorted.map((p, i) => { const at = new Map(p.time.map((x: number, k: number) => [x, p.field.values[k]])), to = numeric ? limit(p) : i + 1, row = { label: p.name, from: below, to, counts: times.map((x) => at.get(x) ?? null) }; below = to; return row; });
  return { times, step, rows, numeric };
}

/** Values gathered into buckets of time and value. */
function calculated(parts: { time: number[]; field: ShownField }[], step: number, o: Record<string, any>): Heat {
  let min = Infinity, max = -Infinity;
  for (const p of parts) for (const v of p.field.values) if (Number.isFinite(v)) { min = Math.min(min, v); max = Math.max(max, v); }
  const want = o.calculation?.yBuckets, n = want?.mode === 'count' && Number(want.value) > 0 ? Math.min(200, Number(want.value)) : 20, raw = (max - min) / n || 1, p10 = 10 ** Math.floor(Math.log10(raw)), size = want?.mode === 'size' && Number(want.value) > 0 ? Number(want.value) : ([1, 2, 2.5, 5, 10].map((m) => m * p10).find((s) => s >= raw) ?? raw);
  const first = Math.floor(min / size), count = Math.max(1, Math.min(400, Math.floor(max / size) - first + 1)), all = [...new Set(parts.flatMap((p) => p.time))].sort((a, b) => a - b), wide = Math.max(step, roundStep(((all[all.length - 1] ?? 0) - (all[0] ?? 0)) / 60)), times = [...new Set(all.map((x) => Math.floor(x / wide) * wide))], at = new Map(times.map((x, i) => [x, i])), rows = Array.from({ length: count }, (_, i) => ({ label: String((first + i + 1) * size), from: (first + i) * size, to: (first + i + 1) * size, counts: times.map((): number | null => null) }));
  for (const p of parts) p.time.forEach((x, i) => { const v = p.field.values[i]; if (!Number.isFinite(v)) return; const r = rows[Math.min(count - 1, Math.floor(v / size) - first)], k = at.get(Math.floor(x / wide) * wide) as number; r.counts[k] = (r.counts[k] ?? 0) + 1; });
  return { times, step: wide, rows, numeric: true };
}

const schemes: Record<string, string[]> = { Oranges: ['#fff5eb', '#fd8d3c', '#7f2704'], Spectral: ['#5e4fa2', '#66c2a5', '#e6f598', '#fee08b', '#f46d43', '#9e0142'], Greens: ['#f7fcf5', '#74c476', '#00441b'], Blues: ['#f7fbff', '#6baed6', '#08306b'], Reds: ['#fff5f0', '#fb6a4a', '#67000d'], Greys: ['#ffffff', '#969696', '#000000'], Purples: ['#fcfbfd', '#9e9ac8', '#3f007d'], RdYlGn: ['#a50026', '#ffffbf', '#006837'], YlOrRd: ['#ffffcc', '#fd8d3c', '#800026'], Turbo: ['#23171b', '#4a58dd', '#2f9df5', '#27d7c4', '#4df884', '#95fb51', '#dedd32', '#ffa423', '#f65f18', '#ba2208', '#900c00'], Viridis: ['#440154', '#3f4a8a', '#26838f', '#6cce5a', '#fee825'], Magma: ['#000004', '#4f127b', '#b5367a', '#fb8761', '#fbfdbf'], Inferno: ['#000004', '#550f6d', '#ba3655', '#f98c0a', '#fcffa4'], Plasma: ['#0d0887', '#7e03a8', '#cb4679', '#f89441', '#f0f921'], RdYlBu: ['#a50026', '#ffffbf', '#313695'], Cool: ['#6e40aa', '#1ac7c2', '#aff05b'] };

function heatColor(o: Record<string, any>, theme: Theme): (t: number) => string {
  const c = o.color ?? {};
  if (c.mode === 'opacity') { const base = colorByName(c.fill ?? 'dark-orange', theme), e = c.scale === 'linear' ? 1 : (Number(c.exponent) || 0.5); return (x) => alpha(base, Math.min(1, Math.max(0.04, x ** e))); }
  const list = schemes[c.scheme ?? 'Oranges'] ?? schemes.Oranges, order = (c.reverse ?? false) !== (theme === 'dark' && /^(Oranges|Greens|Blues|Reds|Greys|Purples|YlOrRd)$/.test(c.scheme ?? 'Oranges')) ? [...list].reverse() : list, named = continuous('continuous-GrYlRd', theme);
  return (x) => { if (!order.length && named) return named(x); const at = Math.min(1, Math.max(0, x)) * (order.length - 1), i = Math.min(order.length - 2, Math.floor(at)), u = at - i, a = [1, 3, 5].map((k) => parseInt(order[i].slice(k, k + 2), 16)), b = [1, 3, 5].map((k) => parseInt(order[i + 1].slice(k, k + 2), 16)); return `rgb(${a.map((v, k) => Math.round(v + (b[k] - v) * u)).join(',')})`; };
}

export function HeatmapPanel(props: PanelProps): JSX.Element {
  const { panel, width, height, theme, view, frames } = props, o = panel.options, canvas = useRef<HTMLCanvasElement>(null), [tip, setTip] = useState<{ x: number; y: number; text: string } | null>(null), heat = useMemo(() => heatOf(frames, o), [frames]), { span } = props.answer;
  const unit = o.yAxis?.unit ?? frames[0]?.fields.find((f) => f.type === 'number')?.config.unit ?? 'short', label = (v: number): string => (Number.isFinite(v) ? join(unitFormat(unit)(v, o.yAxis?.decimals)) : v > 0 ? '+Inf' : '-Inf'), left = heat ? Math.min(width * 0.3, Math.max(30, ...heat.rows.map((r) => (heat.numeric ? label(r.to) : r.label).length * 6.6)) + 10) : 0, w = width - left - 6, h = height - 24;
  const color = heatColor(o, theme), least = Number(o.filterValues?.le ?? 1e-9), flat = heat?.rows.flatMap((r) => r.counts.filter((c): c is number => c !== null && c > least)) ?? [], high = o.color?.max ?? flat.reduce((a, b) => Math.max(a, b), 0), low = o.color?.min ?? Math.min(0, flat.reduce((a, b) => Math.min(a, b), 0)), down = !!o.yAxis?.reverse;
  const xOf = (at: number): number => ((at - span.from) / (span.to - span.from)) * w, rowTop = (i: number): number => (down ? i : (heat?.rows.length ?? 1) - 1 - i) * (h / (heat?.rows.length || 1));
  useEffect(() => {
    const el = canvas.current, ctx = el?.getContext('2d');
    if (!el || !ctx || !heat) return;
    const ratio = devicePixelRatio || 1;
    el.width = w * ratio;
    el.height = h * ratio;
    ctx.scale(ratio, ratio);
    const gap = Math.min(o.cellGap ?? 1, 2), rh = h / heat.rows.length, shade = (v: number): string => color(high > low ? (v - low) / (high - low) : 1);
    heat.rows.forEach((r, i) => r.counts.forEach((c, k) => {
      if (c === null || c <= least) return;
      const a = Math.max(0, xOf(heat.times[k])), b = Math.min(w, xOf(heat.times[k] + heat.step));
      if (b <= a) return;
      ctx.fillStyle = shade(c);
      ctx.fillRect(a, rowTop(i), Math.max(1, b - a - gap), Math.max(1, rh - (rh > 4 ? gap : 0)));
    }));
  }, [heat, w, h, theme]);
  if (!heat?.rows.length) return <NoValue />;
  const every = Math.max(1, Math.ceil((15 * heat.rows.length) / h)), step = roundStep((span.to - span.from) / Math.max(2, w / 90)), marks: number[] = [];
  for (let at = Math.ceil(span.from / step) * step; at < span.to; at += step) marks.push(at);
  const onMove = (e: PointerEvent): void => {
    const b = (e.currentTarget as Element).getBoundingClientRect(), x = e.clientX - b.left, y = e.clientY - b.top, at = span.from + (x / w) * (span.to - span.from), k = heat.times.findLastIndex((v) => v <= at), n = Math.floor(y / (h / heat.rows.length)), i = down ? n : heat.rows.length - 1 - n, r = heat.rows[i], c = r?.counts[k];
    setTip(r && c != null && at - heat.times[k] <= heat.step ? { x: left + x, y, text: `${formatMoment(heat.times[k], 'YYYY-MM-DD HH:mm:ss', view.zone)}\n${heat.numeric ? `${label(r.from)} – ${label(r.to)}` : r.label}: ${join(unitFormat('short')(c))}` } : null);
  };
  return (
    <div class="heatmap" style={{ height: `${height}px` }}>
      <canvas ref={canvas} style={{ left: `${left}px`, width: `${w}px`, height: `${h}px` }} role="img" aria-label={t('{0}: heat map of {1} buckets, greatest count {2}', props.title, heat.rows.length, join(unitFormat('short')(high)))} onPointerMove={onMove} onPointerLeave={() => setTip(null)} />
      <svg width={width} height={height} aria-hidden="true">
        {heat.rows.map((r, i) => i % every === 0 && <text class="mark" x={left - 6} y={Math.max(10, rowTop(i) + (heat.numeric ? 4 : h / heat.rows.length / 2 + 4))} text-anchor="end">{heat.numeric ? label(r.to) : r.label.slice(0, 24)}</text>)}
        {marks.map((at) => <text class="mark" x={left + xOf(at)} y={height - 6} text-anchor="middle">{formatMoment(at, step >= 86400000 ? 'MM/DD' : 'HH:mm', view.zone)}</text>)}
      </svg>
      {tip && <div class="tip" style={{ left: `${Math.min(tip.x + 12, width - 190)}px`, top: `${tip.y}px`, whiteSpace: 'pre' }}>{tip.text}</div>}
    </div>
  );
}
