// Columns made into columns of another type, and columns found inside columns.
import { displayName, type Field, type FieldType, type Frame } from './frames';
import { fieldMatcher, type FieldMatcher } from './matchers';
import { formatMoment, fromClock, type Zone } from './moment';
import type { Context } from './transform';

interface Conversion { targetField?: string; destinationType?: string; dateFormat?: string; timezone?: Zone; joinWith?: string; enumConfig?: { text?: string[]; color?: string[] } }

const isoText = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{3,})?(?:Z|[-+]\d{2}:?\d{2})$/;

/** A date as a person or a program wrote it, by a pattern or (without one) by its own form; NaN when it is none. */
export function parseDate(v: any, pattern: string | undefined, zone: Zone): number {
  if (typeof v === 'number') return pattern === 'X' ? v * 1000 : v;
  const text = String(v).trim();
  if (pattern === 'X') return Number(text) * 1000;
  if (pattern === 'x') return Number(text);
  if (pattern) return byPattern(text, pattern, zone);
  const m = /^(\d{4})-?(\d\d)(?:-?(\d\d)(?:[T ](\d\d)(?::?(\d\d)(?::?(\d\d)(?:[.,](\d+))?)?)?)?)?(Z|[-+]\d\d:?\d\d)?$/.exec(text);
  if (!m) return Date.parse(text);
  const [, y, mo, d, h, mi, s, frac, z] = m, ms = frac ? Math.trunc(Number(`0.${frac}`) * 1000) : 0;
  if (!z) return fromClock(zone, Number(y), Number(mo) - 1, Number(d ?? 1), Number(h ?? 0), Number(mi ?? 0), Number(s ?? 0), ms);
  const shift = z === 'Z' ? 0 : (z[0] === '-' ? -1 : 1) * (Number(z.slice(1, 3)) * 60 + Number(z.slice(-2)));
  return Date.UTC(Number(y), Number(mo) - 1, Number(d ?? 1), Number(h ?? 0), Number(mi ?? 0), Number(s ?? 0), ms) - shift * 60000;
}

const months = 'jan feb mar apr may jun jul aug sep oct nov dec'.split(' ');

function byPattern(text: string, pattern: string, zone: Zone): number {
  const at = { year: new Date().getFullYear(), month: 0, day: 1, hour: 0, minute: 0, second: 0, ms: 0 };
  let rest = text, pm: boolean | null = null;
  for (const t of pattern.match(/\[[^\]]*\]|YYYY|YY|MMMM|MMM|MM|M|DD|D|HH|H|hh|h|mm|m|ss|s|S+|A|a|./g) ?? []) {
    const word = /^(MMMM|MMM|A|a)$/.test(t), m = (word ? /^\s*([A-Za-z]+)/ : /^\D*(\d+)/).exec(rest);
    if (!/^([YMDHhmsSAa]+)$/.test(t)) continue;
    if (!m) return NaN;
    const digits = t === 'YYYY' ? m[1].slice(0, 4) : /^S/.test(t) || word ? m[1] : m[1].slice(0, 2);
    rest = rest.slice(m.index + m[0].length - m[1].length + digits.length);
    const n = Number(digits);
    if (t === 'YYYY') at.year = n;
    else if (t === 'YY') at.year = 2000 + n - (n > 68 ? 100 : 0);
    else if (word && t[0] === 'M') at.month = months.indexOf(digits.slice(0, 3).toLowerCase());
    else if (t[0] === 'M') at.month = n - 1;
    else if (t[0] === 'D') at.day = n;
    else if (t[0] === 'H' || t[0] === 'h') at.hour = n;
    else if (t[0] === 'm') at.minute = n;
    else if (t[0] === 's') at.second = n;
    else if (t[0] === 'S') at.ms = Math.trunc(Number(`0.${digits}`) * 1000);
    else pm = /^p/i.test(digits);
  }
  if (pm !== null) at.hour = (at.hour % 12) + (pm ? 12 : 0);
  if (at.month < 0 || at.month > 11 || at.day > 31) return NaN;
  return fromClock(zone, at.year, at.month, at.day, at.hour, at.minute, at.second, at.ms);
}

function toTime(field: Field, format: string | undefined, zone: Zone): Field {
  const isNumber = typeof field.values[0] === 'number';
  if (isNumber && (field.type === 'time' || format !== 'X')) return field.type === 'time' ? field : { ...field, type: 'time' };
  const first = field.values.find((v) => v != null), iso = typeof first === 'string' && isoText.test(first);
  const values = field.values.map((v) => {
    const at = !v ? NaN : iso ? Date.parse(v) : parseDate(v, format || undefined, zone);
    return Number.isFinite(at) ? at : null;
  });
  return { ...field, type: 'time', values };
}

function toNumber(field: Field): Field {
  const texts = field.values.some((v) => typeof v === 'string');
  const values = field.values.map((v) => {
    const plain = texts && typeof v === 'string' ? v.replace(/,/g, '') : v;
    if (plain == null || plain === '') return null;
    const n = Number(plain);
    return Number.isFinite(n) ? n : null;
  });
  return { ...field, type: 'number', values };
}

function toText(field: Field, format: string | undefined, zone: Zone, joinWith?: string): Field {
  const one = (v: any): string => {
    if (field.type === 'time') return formatMoment(typeof v === 'number' ? v : Date.parse(v), format || 'YYYY-MM-DDTHH:mm:ssZ', zone);
    if (field.type === 'string' || field.type === 'other') return joinWith && Array.isArray(v) ? v.join(joinWith) : JSON.stringify(v);
    return `${v}`;
  };
  return { ...field, type: 'string', values: field.values.map(one) };
}

function convert(field: Field, c: Conversion): Field {
  switch (c.destinationType) {
    case 'time': return toTime(field, c.dateFormat, c.timezone);
    case 'number': return toNumber(field);
    case 'string': return toText(field, c.dateFormat, c.timezone, c.joinWith);
    case 'boolean': return { ...field, type: 'boolean', values: field.values.map((v) => !!v) };
    case 'other': return { ...field, type: 'other', values: field.values.map(parsed) };
    case 'enum': {
      const text = c.enumConfig?.text;
      return text?.length ? { ...field, type: 'enum', config: { ...field.config, type: { enum: { ...c.enumConfig } } }, values: field.values.map((v) => (text.includes(v) ? text.lastIndexOf(v) : undefined)) } : field;
    }
  }
  return field;
}

function parsed(v: any): unknown {
  try {
    return JSON.parse(v);
  } catch {
    return null;
  }
}

export function convertFieldTypes(frames: Frame[], o: { conversions?: Conversion[] }): Frame[] {
  const out = frames.map((f) => ({ ...f }));
  for (const c of o.conversions ?? []) {
    if (!c.targetField) continue;
    const matches = fieldMatcher({ id: 'byName', options: c.targetField }) as FieldMatcher;
    for (const frame of out) frame.fields = frame.fields.map((f) => (matches(f, frame, out) ? convert(f, c) : f));
  }
  return out;
}

export function formatTimes(frames: Frame[], o: { timeField?: string; outputFormat?: string; timezone?: Zone; useTimezone?: boolean }, context: Context): Frame[] {
  const format = context.replace(o.outputFormat ?? '');
  return frames.map((frame) => ({ ...frame, fields: frame.fields.map((f) => (displayName(f, frame, frames) === o.timeField ? toText(f, format, o.timezone ?? context.zone) : f)) }));
}

function pairsOf(text: string): Record<string, string> {
  const out: Record<string, string> = {};
  for (const m of text.matchAll(/([^\s=:,;{}"]+)\s*[=:]\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,;}]*))/g)) out[m[1]] = m[2] ?? m[3];
  return out;
}

const inside = (v: any, path: string): any => path.split(/[.[\]]+/).filter(Boolean).reduce((at, key) => (at == null ? undefined : at[key]), v);

/** The parts of a column of JSON, of key=value texts or of labels, as columns of their own. */
export function extractFields(frames: Frame[], o: { source?: string; format?: string; jsonPaths?: { path: string; alias?: string }[]; replace?: boolean; keepTime?: boolean; regExp?: string; delimiter?: string }): Frame[] {
  if (!o.source) return frames;
  const matches = fieldMatcher({ id: 'byName', options: o.source }) as FieldMatcher;
  return frames.map((frame) => {
    const source = frame.fields.find((f) => matches(f, frame, frames));
    if (!source) return frame;
    const format = o.format ?? 'auto', re = o.format === 'regexp' && o.regExp ? new RegExp(o.regExp.replace(/^\/|\/[gimsuy]*$/g, '')) : null;
    const columns = new Map<string, any[]>();
    source.values.forEach((v, i) => {
      let parts: any = v;
      if (typeof v === 'string') {
        const tried = format === 'json' || format === 'auto' ? parsed(v) : null;
        parts = re ? (re.exec(v)?.groups ?? {}) : format === 'delimiter' ? Object.fromEntries(v.split(o.delimiter ?? ',').map((x) => [x.trim(), x.trim()])) : tried && typeof tried === 'object' ? tried : format === 'json' ? {} : pairsOf(v);
      }
      const rows: [string, any][] = o.jsonPaths?.length && format === 'json' ? o.jsonPaths.map((p) => [p.alias || p.path, inside(parts, p.path)]) : Object.entries(parts ?? {});
      for (const [key, value] of rows) {
        let column = columns.get(key);
        if (!column && columns.size < 500) columns.set(key, (column = new Array(frame.length).fill(undefined)));
        if (column) column[i] = value;
      }
    });
    const made = [...columns].map(([name, values]): Field => {
      const first = values.find((v) => v != null), kind = typeof first;
      const type: FieldType = kind === 'number' || kind === 'boolean' || kind === 'string' ? kind : 'other';
      return { name, type, config: {}, values };
    });
    const time = frame.fields.filter((f) => f.type === 'time').slice(0, 1);
    return { ...frame, fields: o.replace ? [...(o.keepTime ? time : []), ...made] : [...frame.fields, ...made] };
  });
}
