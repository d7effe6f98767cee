// Stat: big values with a line behind them. Gauge: an arc. Bar gauge: a bar each. All three show the same singles.
import type { JSX } from 'preact';
import { alpha, colorByName, readable, textOn, type Theme } from '../dash/colors';
import { rangeOf, stepFor, type Shown } from '../dash/display';
import type { Step } from '../dash/frames';
import { t } from '../strings';
import { dressed, fit, fullText, Linking, linksOf, singles, type PanelProps, type Single } from './common';

export function NoValue(): JSX.Element {
  return <div class="no-data">{t('No data')}</div>;
}

/** A path through the values, and the same closed at the bottom. */
function spark(values: number[], width: number, height: number): [string, string] | null {
  const there = values.map((v, i) => [i, v]).filter(([, v]) => Number.isFinite(v) && v !== null);
  if (there.length < 2) return null;
  let min = Infinity, max = -Infinity;
  for (const [, v] of there) {
    if (v < min) min = v;
    if (v > max) max = v;
  }
  const last = values.length - 1, at = ([i, v]: number[]): string => `${((i / last) * width).toFixed(1)} ${(height - 1 - (max > min ? (v - min) / (max - min) : 0.5) * (height - 3)).toFixed(1)}`;
  const line = `M${there.map(at).join('L')}`;
  return [line, `${line}L${((there[there.length - 1][0] / last) * width).toFixed(1)} ${height}L${((there[0][0] / last) * width).toFixed(1)} ${height}Z`];
}

/** Rows and columns that keep cells nearest to the shape values read best in. */
function cells(n: number, width: number, height: number, orientation: string): { across: number; down: number } {
  if (orientation === 'vertical') return { across: n, down: 1 };
  if (orientation === 'horizontal') return { across: 1, down: n };
  let best = { across: 1, down: n }, least = Infinity;
  for (let across = 1; across <= n; across++) {
    const down = Math.ceil(n / across), w = width / across, h = height / down, waste = (across * down - n) * 0.3;
    const off = Math.abs(Math.log(w / h / 2.4)) + waste;
    if (off < least) {
      least = off;
      best = { across, down };
    }
  }
  return best;
}

function Parts({ shown, size }: { shown: Shown; size: number }): JSX.Element {
  const small = { fontSize: `${(size * 0.62).toFixed(1)}px` };
  return <>{shown.prefix && <span style={small}>{shown.prefix}</span>}{shown.text}{shown.suffix && <span style={small}>{shown.suffix}</span>}</>;
}

function StatCell({ one, props, width, height, many }: { one: Single; props: PanelProps; width: number; height: number; many: boolean }): JSX.Element {
  const { panel, theme, view, locals } = props, o = panel.options, mode = String(o.colorMode ?? 'value'), text = String(o.textMode ?? 'auto');
  const shown = dressed(panel, view, locals, one.shown), color = shown.color, filled = mode === 'background' || mode === 'background_solid';
  const withName = text === 'value_and_name' || text === 'name' || (text === 'auto' && many), withValue = text !== 'name' && text !== 'none';
  const words = fullText(shown), nameHeight = withName && withValue ? Math.min(height * 0.3, 22) : 0, hasSpark = o.graphMode !== 'none' && o.graphMode !== undefined ? !!one.spark : o.graphMode === undefined && !!one.spark;
  const lines = hasSpark && height > 60 ? spark(one.spark as number[], width, Math.max(18, height * 0.34)) : null;
  const own = (k: string): number | undefined => { const v = o.text?.[k]; return typeof v === 'number' && v > 0 ? v : undefined; };
  const size = own('valueSize') ?? fit(words, width * 0.9, (height - nameHeight) * (lines ? 0.5 : 0.62), many ? 46 : 72);
  const ink = filled && color !== 'rgba(0,0,0,0)' ? textOn(color) : mode === 'none' ? undefined : readable(color, theme);
  const style: JSX.CSSProperties = { width: `${width}px`, height: `${height}px`, background: filled ? color : undefined, color: filled ? ink : undefined, alignItems: o.justifyMode === 'center' || !many && !withName ? 'center' : 'flex-start' };
  return (
    <div class={`stat-cell ${filled ? 'filled' : ''}`} style={style}>
      {lines && (
        <svg class="spark" width={width} height={Math.max(18, height * 0.34)} aria-hidden="true"><path d={lines[1]} fill={filled ? alpha(textOn(color), 0.18) : alpha(color, 0.2)} /><path d={lines[0]} fill="none" stroke={filled ? alpha(textOn(color), 0.55) : color} stroke-width="1.5" /></svg>
      )}
      <Linking links={linksOf(one.field, one.frame, view, locals, one.row)}>
        <span class="stat-text">
          {withName && <span class="stat-name" style={{ fontSize: `${(own('titleSize') ?? (withValue ? Math.max(11, nameHeight * 0.66) : size)).toFixed(1)}px`, color: withValue ? undefined : ink }}>{one.name}</span>}
          {withValue && <span class="stat-value" style={{ fontSize: `${size.toFixed(1)}px`, color: ink }}><Parts shown={shown} size={size} /></span>}
        </span>
      </Linking>
    </div>
  );
}

export function StatPanel(props: PanelProps): JSX.Element {
  const all = singles(props);
  if (!all.length) return <NoValue />;
  const { across, down } = cells(all.length, props.width, props.height, String(props.panel.options.orientation ?? 'auto')), gap = 4;
  const w = Math.max(40, Math.floor((props.width - gap * (across - 1)) / across)), h = Math.max(26, Math.floor((props.height - gap * (down - 1)) / down));
  return <div class="stat-grid" role="group" aria-label={props.title} tabIndex={down * (h + gap) > props.height + gap ? 0 : undefined} style={{ gridTemplateColumns: `repeat(${across}, ${w}px)` }}>{all.map((one) => <StatCell one={one} props={props} width={w} height={h} many={all.length > 1} />)}</div>;
}

// ---- gauge ----

function limits(one: Single): { min: number; max: number } {
  const { config } = one.field, r = one.field.state?.range ?? rangeOf(one.field);
  const min = config.min ?? (one.field.config.unit === 'percent' || one.field.config.unit === 'percentunit' ? 0 : (r.min ?? 0)), max = config.max ?? (config.unit === 'percent' ? 100 : config.unit === 'percentunit' ? 1 : (r.max ?? 100));
  return max > min ? { min, max } : { min, max: min + 1 };
}

const share = (v: number, { min, max }: { min: number; max: number }): number => Math.min(1, Math.max(0, (v - min) / (max - min)));
const from = -210, sweep = 240; // degrees, clockwise from the right

function arc(cx: number, cy: number, r: number, a: number, b: number): string {
  const p = (at: number): string => { const x = ((from + at * sweep) * Math.PI) / 180; return `${(cx + r * Math.cos(x)).toFixed(2)} ${(cy + r * Math.sin(x)).toFixed(2)}`; };
  return `M${p(a)}A${r} ${r} 0 ${(b - a) * sweep > 180 ? 1 : 0} 1 ${p(b)}`;
}

function stepsOf(one: Single, l: { min: number; max: number }): { at: number; step: Step }[] {
  const { thresholds } = one.field.config;
  return (thresholds?.steps ?? []).map((step) => ({ step, at: thresholds?.mode === 'percentage' ? Math.min(1, Math.max(0, step.value / 100)) : share(step.value, l) }));
}

function GaugeCell({ one, props, width, height, many }: { one: Single; props: PanelProps; width: number; height: number; many: boolean }): JSX.Element {
  const { panel, theme, view, locals } = props, shown = dressed(panel, view, locals, one.shown), l = limits(one), named = many || panel.options.text?.titleSize ? 18 : 0;
  const r = Math.max(14, Math.min(width / 2 - 6, (height - named) / 1.62 - 4)), cx = width / 2, cy = r + 6, thick = r * 0.2, marks = stepsOf(one, l), at = Number.isNaN(shown.numeric) ? 0 : share(shown.numeric, l), words = fullText(shown), size = fit(words, (r - thick - 8) * 1.7, r * 0.42, 44);
  return (
    <div class="gauge-cell" style={{ width: `${width}px` }}>
      <Linking links={linksOf(one.field, one.frame, view, locals, one.row)}>
        <svg width={width} height={Math.min(height - named, cy + r * 0.62)} role="img" aria-label={`${one.name}: ${words}`}>
          <path d={arc(cx, cy, r - thick / 2 - 5, 0, 1)} fill="none" stroke="var(--neutral-bg)" stroke-width={thick} />
          {at > 0 && <path d={arc(cx, cy, r - thick / 2 - 5, 0, at)} fill="none" stroke={shown.color} stroke-width={thick} />}
          {panel.options.showThresholdMarkers !== false && marks.map(({ at: a, step }, i) => { const b = marks[i + 1]?.at ?? 1; return b > a && <path d={arc(cx, cy, r - 1, a, b)} fill="none" stroke={colorByName(step.color, theme)} stroke-width="3" />; })}
          {panel.options.showThresholdLabels && marks.filter(({ at: a }) => a > 0 && a < 1).map(({ at: a, step }) => { const x = ((from + a * sweep) * Math.PI) / 180; return <text x={cx + (r - thick - 12) * Math.cos(x)} y={cy + (r - thick - 12) * Math.sin(x)} class="mark" text-anchor="middle">{fullText(one.field.display(step.value))}</text>; })}
          <text x={cx} y={cy + size * 0.3} text-anchor="middle" style={{ fontSize: `${size.toFixed(1)}px`, fontWeight: 600, fill: readable(shown.color, theme) }}>{words}</text>
        </svg>
      </Linking>
      {named > 0 && <span class="stat-name">{one.name}</span>}
    </div>
  );
}

export function GaugePanel(props: PanelProps): JSX.Element {
  const all = singles(props);
  if (!all.length) return <NoValue />;
  const { across, down } = cells(all.length, props.width, props.height * 1.9, String(props.panel.options.orientation ?? 'auto') === 'auto' ? 'auto' : props.panel.options.orientation), w = Math.floor(props.width / across), h = Math.max(70, Math.floor(props.height / down));
  return <div class="stat-grid" role="group" aria-label={props.title} style={{ gridTemplateColumns: `repeat(${across}, ${w}px)` }}>{all.map((one) => <GaugeCell one={one} props={props} width={w} height={h} many={all.length > 1} />)}</div>;
}

// ---- bar gauge ----

function fill(one: Single, mode: string, theme: Theme, l: { min: number; max: number }, vertical: boolean): string {
  const { color } = one.shown, marks = stepsOf(one, l);
  if (mode !== 'gradient' || one.field.config.color?.mode === 'fixed' || marks.length < 2) return mode === 'gradient' ? `linear-gradient(${vertical ? '0deg' : '90deg'}, ${alpha(color, 0.35)}, ${color})` : color;
  const at = Math.max(0.001, share(one.shown.numeric, l));
  return `linear-gradient(${vertical ? '0deg' : '90deg'}, ${marks.filter((m) => m.at <= at || m.at === 0).map((m) => `${colorByName(m.step.color, theme)} ${Math.min(100, (m.at / at) * 100).toFixed(1)}%`).join(', ')}, ${color} 100%)`;
}

function Lcd({ one, theme, l, vertical, cellsAcross }: { one: Single; theme: Theme; l: { min: number; max: number }; vertical: boolean; cellsAcross: number }): JSX.Element {
  const at = share(one.shown.numeric, l), n = Math.max(6, Math.min(60, cellsAcross));
  return <span class={`lcd ${vertical ? 'vertical' : ''}`}>{Array.from({ length: n }, (_, i) => { const v = l.min + ((i + 0.5) / n) * (l.max - l.min), c = colorByName(stepFor(one.field.config.thresholds, v, (i + 0.5) / n).color, theme); return <i style={{ background: i / n < at ? c : alpha(c, 0.16) }} />; })}</span>;
}

export function BarGaugePanel(props: PanelProps): JSX.Element {
  const { panel, theme, view, locals } = props, o = panel.options, all = singles(props);
  if (!all.length) return <NoValue />;
  const vertical = o.orientation === 'vertical' || (o.orientation !== 'horizontal' && props.width > props.height * 1.7 && all.length > 0 && props.width / all.length > 40), mode = String(o.displayMode ?? 'gradient');
  const empty = o.showUnfilled !== false;
  if (vertical) {
    const w = Math.max(36, Math.floor(props.width / all.length) - 8);
    return (
      <div class="bars-vertical" role="group" aria-label={props.title} tabIndex={(w + 8) * all.length > props.width + 8 ? 0 : undefined} style={{ height: `${props.height}px` }}>
        {all.map((one) => {
          const shown = dressed(panel, view, locals, one.shown), l = limits(one), words = fullText(shown);
          return (
            <div class="bar-column" style={{ width: `${w}px` }}>
              <span class="num" style={{ color: readable(shown.color, theme), fontSize: `${fit(words, w, 18, 18).toFixed(1)}px` }}>{words}</span>
              <span class={`bar-track ${empty ? '' : 'bare'}`}>{mode === 'lcd' ? <Lcd one={one} theme={theme} l={l} vertical cellsAcross={(props.height - 40) / 9} /> : <i style={{ height: `${(share(shown.numeric, l) * 100).toFixed(2)}%`, background: fill(one, mode, theme, l, true) }} />}</span>
              <span class="stat-name">{one.name}</span>
            </div>
          );
        })}
      </div>
    );
  }
  const h = Math.max(18, Math.min(44, Math.floor(props.height / all.length) - (o.namePlacement === 'top' ? 22 : 8))), top = o.namePlacement === 'top';
  const onlyOne = all.length === 1 && o.namePlacement !== 'left' && o.namePlacement !== 'top';
  return (
    <div class="bars-horizontal" role="group" aria-label={props.title} tabIndex={all.length * (h + 8) > props.height + 8 ? 0 : undefined}>
      {all.map((one) => {
        const shown = dressed(panel, view, locals, one.shown), l = limits(one), words = fullText(shown);
        return (
          <div class={`bar-row ${top ? 'top' : ''}`}>
            {!onlyOne && o.namePlacement !== 'hidden' && <span class="stat-name" title={one.name}><Linking links={linksOf(one.field, one.frame, view, locals, one.row)}>{one.name}</Linking></span>}
            <span class={`bar-track ${empty ? '' : 'bare'}`} style={{ height: `${h}px` }}>{mode === 'lcd' ? <Lcd one={one} theme={theme} l={l} vertical={false} cellsAcross={(props.width - 200) / 11} /> : <i style={{ width: `${(share(shown.numeric, l) * 100).toFixed(2)}%`, background: fill(one, mode, theme, l, false) }} />}</span>
            {o.valueMode !== 'hidden' && <span class="num" style={{ color: readable(shown.color, theme), fontSize: `${Math.min(16, h * 0.7).toFixed(1)}px` }}>{words}</span>}
          </div>
        );
      })}
    </div>
  );
}
