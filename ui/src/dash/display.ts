// One value as it is shown: its text with unit and decimals, what a mapping makes of it, its colour by thresholds or scheme.
import { colorByName, continuous, fallbackColor, paletteColor, schemeEnds, shade, type Theme } from './colors';
import { type Field, type Mapping, type MappingResult, type Range, type Step, type Thresholds } from './frames';
import type { Zone } from './moment';
import { reduceAll } from './reduce';
import { isBooleanUnit, isDateUnit, join, unitFormat } from './units';

export interface Shown { text: string; prefix?: string; suffix?: string; numeric: number; color: string; percent?: number; icon?: string }
export type Display = (value: unknown, axisDecimals?: number | null) => Shown;
export const shownText = (s: Shown): string => join(s);

const regexes = new Map<string, RegExp | null>();

/** "/pattern/flags" is a pattern; any other text must be the whole. null when it is no valid pattern. */
export function toRegex(text: string): RegExp | null {
  let made = regexes.get(text);
  if (made === undefined) {
    try {
      const parts = /^\/([^\n\r]*?)\/(g?i?m?y?s?)$/.exec(text);
      made = text[0] !== '/' ? new RegExp(`^${text}$`) : parts ? new RegExp(parts[1], parts[2]) : null;
    } catch {
      made = null;
    }
    if (regexes.size > 500) regexes.clear();
    regexes.set(text, made);
  }
  if (made) made.lastIndex = 0;
  return made;
}

function isSpecial(match: string, v: unknown): boolean {
  const nan = typeof v === 'number' && Number.isNaN(v);
  switch (match) {
    case 'null': return v == null;
    case 'nan': return nan;
    case 'null+nan': return nan || v == null;
    case 'true': return v === true || v === 'true';
    case 'false': return v === false || v === 'false';
    case 'empty': return v === '';
  }
  return false;
}

/** The first mapping that fits. */
export function mapValue(mappings: Mapping[], v: any): MappingResult | null {
  for (const m of mappings) {
    if (m.type === 'special') {
      if (isSpecial(m.options.match, v)) return m.options.result;
      continue;
    }
    if (v == null) continue;
    if (m.type === 'value') {
      if (Object.hasOwn(m.options, v) && m.options[v]) return m.options[v];
    } else if (m.type === 'range') {
      const n = parseFloat(v), from = m.options.from ?? -Infinity, to = m.options.to ?? Infinity;
      if (!Number.isNaN(n) && !(n < from) && !(n > to)) return m.options.result;
    } else if (m.type === 'regex' && typeof v === 'string') {
      const re = toRegex(m.options.pattern);
      if (re?.test(v)) {
        re.lastIndex = 0;
        const { result } = m.options;
        return result.text == null ? { ...result } : { ...result, text: v.replace(re, result.text || '') };
      }
    }
  }
  return null;
}

export const fallbackStep: Step = { value: 0, color: fallbackColor };

/** The last step whose value is reached; the first one when none is. */
export function activeStep(value: number, steps: Step[] | undefined): Step {
  if (!steps?.length) return fallbackStep;
  let active = steps[0];
  for (const step of steps) {
    if (!(value >= step.value)) break;
    active = step;
  }
  return active;
}

export function stepFor(thresholds: Thresholds | undefined, value: number, share: number): Step {
  return activeStep(thresholds?.mode === 'percentage' ? share * 100 : value, thresholds?.steps);
}

/** The least and the greatest value a field's scale spans. */
export function rangeOf(field: Field): Range {
  if (field.type !== 'number') return { min: 0, max: 100, delta: 100 };
  let { min, max } = field.config;
  if (typeof min !== 'number' || typeof max !== 'number') {
    if (field.values.length) {
      const found = reduceAll(field, ['min', 'max']);
      if (typeof min !== 'number') min = found.min;
      if (typeof max !== 'number') max = found.max;
    } else {
      min = 0;
      max = 100;
    }
  }
  return { min: min as number, max: max as number, delta: (max as number) - (min as number) };
}

export interface Scaled { color: string; percent: number; step?: Step }

/** The colour of each value of a field. */
export function scaleOf(field: Field, theme: Theme): (value: number) => Scaled {
  const mode = field.config.color?.mode ?? 'thresholds', ends = schemeEnds(mode, theme);
  if (field.type === 'boolean') {
    const yes = { color: ends?.[1] ?? colorByName('green', theme), percent: 1 }, no = { color: ends?.[0] ?? colorByName('red', theme), percent: 0 };
    return (v) => (v ? yes : no);
  }
  const range = field.state?.range ?? rangeOf(field), by = continuous(mode, theme);
  const own = by || isByThreshold(mode) ? '' : seriesColor(field, theme);
  return (v) => {
    let percent = v === -Infinity ? 0 : (v - (range.min as number)) / range.delta;
    if (Number.isNaN(percent)) percent = 0;
    const step = stepFor(field.config.thresholds, v, percent);
    return { percent, step, color: by ? by(percent) : own || colorByName(step.color, theme) };
  };
}

const fixedModes = new Set(['fixed', 'shades', 'gradient', 'palette-classic', 'palette-classic-by-name', 'palette-colorblind']);
const isByThreshold = (mode: string): boolean => !fixedModes.has(mode);

/** The one colour of a series; where colours follow values, that of its last (or least, or greatest) one. */
export function seriesColor(field: Field, theme: Theme): string {
  const color = field.config.color, mode = color?.mode ?? 'thresholds', at = field.state?.seriesIndex ?? 0;
  if (mode === 'fixed' || mode === 'gradient') return colorByName(color?.fixedColor, theme);
  if (mode === 'shades') return shade(colorByName(color?.fixedColor, theme), at);
  if (!isByThreshold(mode)) return paletteColor(mode, at, field.state?.displayName ?? field.name, theme);
  const stat = color?.seriesBy ?? 'last', value = reduceAll(field, [stat])[stat];
  return scaleOf(field, theme)((value as number) ?? 0).color;
}

function toNumber(v: unknown): number {
  if (typeof v === 'number') return v;
  if (typeof v === 'boolean') return v ? 1 : 0;
  if (v === '' || v == null || Array.isArray(v)) return NaN;
  return Number(v);
}

function textOf(v: unknown): string {
  if (v == null) return '';
  if (Array.isArray(v)) return v.join(', ');
  return Object.is(v, -0) ? '-0' : String(v);
}

interface Plan { unit?: string; isDate: boolean; showMs: boolean; trims: boolean }

function planFor(field: Field): Plan {
  let { unit } = field.config, isDate = isDateUnit(unit), showMs = false;
  if (field.type === 'time' && !isDate) {
    unit = 'dateTimeAsSystem';
    isDate = true;
    if (field.values.length > 1) {
      const end = (v: any): number => (typeof v === 'string' ? Date.parse(v) : v) / 1000;
      showMs = Math.abs(end(field.values[field.values.length - 1]) - end(field.values[0])) < 60;
    }
  } else if (field.type === 'boolean') {
    if (!isBooleanUnit(unit)) unit = 'bool';
  } else if (!unit && field.type === 'string') unit = 'string';
  const trims = !isDate && !unit?.startsWith('currency') && !isBooleanUnit(unit) && unit !== 'locale' && field.type === 'number' && field.config.decimals == null;
  return { unit, isDate, showMs, trims };
}

/** How the values of a field are shown. */
export function displayOf(field: Field, theme: Theme, zone?: Zone): Display {
  const { config } = field, { unit, isDate, showMs, trims } = planFor(field);
  const format = unitFormat(unit || 'none'), scale = scaleOf(field, theme), plain = unit === 'string';
  return (value, axisDecimals) => {
    if (isDate && typeof value === 'string') value = Date.parse(value);
    const numeric = plain ? NaN : toNumber(value);
    const out: Shown = { text: '', numeric, color: '' };
    let text: string | undefined;
    if (config.mappings?.length) {
      const m = mapValue(config.mappings, value);
      if (m?.text != null) text = m.text;
      if (m?.color != null) out.color = colorByName(m.color, theme);
      if (m?.icon != null) out.icon = m.icon;
    } else if (field.type === 'enum' && config.type?.enum) {
      text = config.type.enum.text?.[Number(value)];
      out.color = config.type.enum.color?.[Number(value)] ?? paletteColor('palette-classic', Number(value), '', theme);
    }
    if (!Number.isNaN(numeric)) {
      if (text == null && typeof value !== 'boolean') {
        const t = trims && axisDecimals != null ? { ...format(numeric, axisDecimals, zone, showMs) } : format(numeric, config.decimals, zone, showMs);
        if (trims && axisDecimals != null && !Number.isNaN(Number(t.text))) t.text = `${Number(t.text)}`;
        text = t.text;
        out.suffix = t.suffix;
        out.prefix = t.prefix;
      }
      if (!out.color) {
        const s = scale(numeric);
        out.color = s.color;
        out.percent = s.percent;
      }
    }
    out.text = text ?? (textOf(value) || config.noValue || '');
    if (!out.color) {
      const s = scale(-Infinity);
      out.color = s.color;
      out.percent = s.percent;
    }
    return out;
  };
}

/** Remembers what it has printed: axes, legends and cells ask for the same numbers again and again. */
export function remembering(display: Display, most = 2500): Display {
  const kept = new Map<unknown, Shown>();
  return (v, d) => {
    if (d != null) return display(v, d);
    let one = kept.get(v);
    if (!one) {
      one = display(v);
      if (kept.size >= most) kept.clear();
      kept.set(v, one);
    }
    return one;
  };
}

