// A panel's field settings put onto the frames: what the query says, then the panel's defaults, then each override that fits, in order.
import type { Theme } from './colors';
import { displayOf, remembering, rangeOf, type Display } from './display';
import { guessType, nameFields, type DataLink, type Field, type FieldConfig, type Frame, type Range } from './frames';
import { fieldMatcher } from './matchers';
import type { Zone } from './moment';
import type { FieldSource } from './schema';

export interface ShownField extends Field { display: Display }
export interface ShownFrame extends Omit<Frame, 'fields'> { fields: ShownField[] }
export type Replace = (text: string, field?: Field, frame?: Frame) => string;

/** Over every number of every frame: fields without limits of their own share one scale. */
function allRange(frames: Frame[]): Range {
  let min = Infinity, max = -Infinity;
  for (const frame of frames) {
    for (const f of frame.fields) {
      if (f.type !== 'number') continue;
      const zero = f.config.nullValueMode === 'null as zero';
      for (let v of f.values) {
        if (v === null && zero) v = 0;
        if (v === null || Number.isNaN(v)) continue;
        if (v < min) min = v;
        if (v > max) max = v;
      }
    }
  }
  const low = min === Infinity ? null : min, high = max === -Infinity ? null : max;
  return { min: low, max: high, delta: (high ?? 0) - (low ?? 0) };
}

const isNumber = (v: unknown): v is number => typeof v === 'number';

function setPath(into: any, path: string, value: unknown): void {
  const keys = path.split('.');
  for (const k of keys.slice(0, -1)) {
    if (typeof into[k] !== 'object' || into[k] === null) into[k] = {};
    into = into[k];
  }
  const last = keys[keys.length - 1];
  if (last === '__proto__' || keys.includes('__proto__')) return;
  if (value === null || value === undefined) delete into[last];
  else if (Array.isArray(value) && Array.isArray(into[last])) into[last] = [...value, ...into[last]];
  else into[last] = value;
}

function asNumber(v: unknown, replace: Replace): number | undefined {
  if (v === null || v === undefined || v === '') return undefined;
  const n = typeof v === 'number' ? v : parseFloat(replace(String(v)));
  return Number.isFinite(n) ? n : undefined;
}

const numeric = new Set(['min', 'max', 'decimals']), texts = new Set(['unit', 'noValue', 'description']);

function process(id: string, value: unknown, replace: Replace, field: Field, frame: Frame): unknown {
  if (numeric.has(id)) return asNumber(value, replace);
  if (id === 'displayName') return typeof value === 'string' ? replace(value, field, frame) : undefined;
  if (texts.has(id)) return value === null || value === undefined ? undefined : replace(String(value), field, frame);
  if (id === 'thresholds' && value && typeof value === 'object') return structuredClone(value);
  return value;
}

function mergeDefaults(own: FieldConfig, defaults: FieldConfig, replace: Replace, field: Field, frame: Frame): FieldConfig {
  const out: FieldConfig = { ...own, custom: { ...defaults.custom, ...own.custom } };
  if (own.links && defaults.links) out.links = [...own.links, ...defaults.links];
  for (const key of Object.keys(defaults) as (keyof FieldConfig)[]) {
    if (key === 'custom' || out[key] != null) continue;
    const v = process(key, defaults[key], replace, field, frame);
    if (v != null) (out as any)[key] = v;
  }
  return out;
}

function finish(config: FieldConfig): void {
  if (!config.color) {
    if (config.thresholds) config.color = { mode: 'thresholds' };
  } else if (!config.color.mode) delete config.color;
  if (config.min != null && config.max != null && config.min > config.max) [config.min, config.max] = [config.max, config.min];
}

/** The frames with their settings, names, scales and printers. The frames given are left as they are. */
export function applyFieldConfig(frames: Frame[], source: FieldSource, theme: Theme, zone: Zone, replace: Replace): ShownFrame[] {
  const rules = source.overrides.map((o) => ({ matches: fieldMatcher(o.matcher), properties: o.properties })).filter((r) => r.matches);
  let all: Range | undefined, index = 0;
  const out = frames.map((frame) => ({ ...frame, fields: frame.fields.map((f) => ({ ...f, config: { ...f.config }, state: { ...f.state } })) })) as ShownFrame[];
  nameFields(frames);
  out.forEach((frame, at) => {
    for (const field of frame.fields) {
      const config = (field.config = mergeDefaults(field.config, source.defaults, replace, field, frame));
      finish(config);
      // Rules see the names as the query gives them, or as an earlier rule has renamed them.
      for (const r of rules) {
        if (!r.matches?.(field, frame, frames.length > 1 ? frames : [frames[at]])) continue;
        for (const p of r.properties) {
          const v = process(p.id, p.value, replace, field, frame);
          if (p.id === 'custom') continue;
          setPath(config, p.id, v);
        }
      }
      if (!field.type || field.type === 'other') field.type = guessType(field) ?? 'other';
      field.state = { ...field.state, displayName: null, seriesIndex: index, range: rangeFor(field, frames, () => (all ??= allRange(frames))) };
      if (field.type !== 'time') index++;
    }
  });
  nameFields(out);
  for (const frame of out) {
    for (const field of frame.fields) {
      const display = displayOf(field, theme, zone);
      field.display = field.config.unit === 'dateTimeFromNow' ? display : remembering(display);
    }
  }
  return out;
}

function rangeFor({ config, type, ...field }: Field, _frames: Frame[], all: () => Range): Range | undefined {
  const { min, max } = config;
  if (isNumber(min) && isNumber(max)) return { min, max, delta: max - min };
  if (type !== 'number') return undefined;
  const found = config.fieldMinMax ? rangeOf({ ...field, config, type }) : all(), low = min ?? found.min, high = max ?? found.max;
  return { min: low, max: high, delta: (high as number) - (low as number) };
}

export interface LinkModel { title: string; href: string; blank: boolean }

/** Only addresses of the web, of this place, and mail: anything else is no link. */
export function safeHref(url: string): string | null {
  const plain = url.replace(/[\u0000-\u0020\u007f-\u00a0\u200b-\u200f\u2028-\u202f\ufeff]/g, '');
  if (/^(https?:|mailto:)/i.test(plain)) return url.trim();
  if (/^[a-z][a-z0-9+.-]*:/i.test(plain)) return null;
  return plain ? url.trim() : null;
}

export function linkOf(link: DataLink, replace: (text: string, encode: boolean) => string): LinkModel | null {
  const href = link.url ? safeHref(replace(link.url.replace(/\n/g, ''), true)) : null;
  return href ? { href, title: replace(link.title ?? '', false), blank: !!link.targetBlank } : null;
}
