// Numbers and times for people.
import { t } from './strings';

const prefixes: [number, string][] = [[1e18, 'E'], [1e15, 'P'], [1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']];
const binary: [number, string][] = [[2 ** 50, 'PiB'], [2 ** 40, 'TiB'], [2 ** 30, 'GiB'], [2 ** 20, 'MiB'], [2 ** 10, 'KiB'], [1, 'B']];
const clock: [number, string][] = [[1, 's'], [1e-3, 'ms'], [1e-6, 'µs'], [1e-9, 'ns']];

export type Unit = 'short' | 'bytes' | 'percent' | 'seconds' | 'bytes/s';

/** Three significant digits or the whole integer part, without trailing zeros. */
function digits(v: number): string {
  const a = Math.abs(v);
  if (a >= 100 || Number.isInteger(v)) return v.toFixed(0);
  const places = a >= 1 ? 2 - Math.floor(Math.log10(a)) : Math.min(8, 2 - Math.floor(Math.log10(a)));
  return v.toFixed(places).replace(/\.?0+$/, '');
}

/** The scale in which a number of this size reads best, and its name. */
function scaleOf(size: number, unit: Unit): [number, string] {
  if (unit === 'percent') return [0.01, '%'];
  const table = unit === 'short' ? prefixes : unit === 'seconds' ? clock : binary;
  const last: [number, string] = unit === 'short' ? [1, ''] : table[table.length - 1];
  const [scale, name] = size === 0 ? (unit === 'seconds' ? clock[0] : last) : (table.find(([s]) => size >= s) ?? last);
  return [scale, unit === 'bytes/s' ? `${name}/s` : name];
}

export function formatNumber(v: number | null | undefined, unit: Unit = 'short'): string {
  if (v == null || Number.isNaN(v)) return '–';
  if (!Number.isFinite(v)) return v > 0 ? '+Inf' : '-Inf';
  const size = Math.abs(v);
  if (unit === 'seconds' && size >= 120) return (v < 0 ? '-' : '') + formatDuration(v);
  if (unit === 'short' && v !== 0 && (size < 1e-4 || size >= 1e21)) return v.toExponential(2);
  const [scale, name] = scaleOf(size, unit);
  return name ? `${digits(v / scale)} ${name}` : digits(v / scale);
}

/** A count in full while it fits a tile. */
export function formatCount(v: number | null | undefined): string {
  return v != null && Math.abs(v) >= 100 && Math.abs(v) < 1e6 ? Math.round(v).toLocaleString() : formatNumber(v);
}

/** The labels of an axis: one scale for all, and as many places as tell neighbours `step` apart. */
export function formatTicks(values: number[], step: number, unit: Unit = 'short'): string[] {
  const most = Math.max(...values.map(Math.abs), 0);
  if (unit === 'seconds' && most >= 120) return values.map((v) => formatDuration(v));
  if (unit === 'short' && most > 0 && (most < 1e-4 || most >= 1e21)) return values.map((v) => (v === 0 ? '0' : v.toExponential(1)));
  const [scale, name] = scaleOf(most, unit);
  let places = 0;
  while (places < 8 && Math.abs((step / scale) * 10 ** places - Math.round((step / scale) * 10 ** places)) > 1e-6) places++;
  return values.map((v) => {
    const text = (v / scale).toFixed(places);
    return name ? `${text} ${name}` : text;
  });
}

export function formatDuration(seconds: number): string {
  const parts: string[] = [];
  let rest = Math.round(Math.abs(seconds));
  for (const [size, name] of [[86400, 'd'], [3600, 'h'], [60, 'm'], [1, 's']] as const) {
    const n = Math.floor(rest / size);
    rest -= n * size;
    if (n && parts.length < 2) parts.push(`${n}${name}`);
  }
  return parts.join(' ') || '0s';
}

const two = (n: number): string => String(n).padStart(2, '0');

export function formatDate(seconds: number): string {
  const d = new Date(seconds * 1000);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
}

export function formatClock(seconds: number, withSeconds = true): string {
  const d = new Date(seconds * 1000);
  return `${two(d.getHours())}:${two(d.getMinutes())}${withSeconds ? `:${two(d.getSeconds())}` : ''}`;
}

export function formatTime(seconds: number): string {
  return `${formatDate(seconds)} ${formatClock(seconds)}`;
}

/** Labels of a time axis: the clock, and the day under the first tick and wherever it changes. */
export function formatTimeTicks(times: number[], step: number): string[] {
  let day = '';
  return times.map((at) => {
    const today = new Date(at * 1000).toLocaleDateString(undefined, { day: 'numeric', month: 'short' });
    if (step >= 86400) return today;
    const text = formatClock(at, step < 60) + (today === day ? '' : `\n${today}`);
    day = today;
    return text;
  });
}

/** "5m", "1h30m" and plain seconds; null when it is none. */
export function parseDuration(text: string): number | null {
  const units: Record<string, number> = { y: 31536000, w: 604800, d: 86400, h: 3600, m: 60, s: 1, ms: 0.001 };
  const plain = text.replace(/\s+/g, '');
  if (/^\d+(\.\d+)?$/.test(plain)) return Number(plain) || null;
  if (!/^(\d+(y|w|d|h|ms|m|s))+$/.test(plain)) return null;
  let sum = 0;
  for (const m of plain.matchAll(/(\d+)(ms|[ywdhms])/g)) sum += Number(m[1]) * units[m[2]];
  return sum || null;
}

/** Seconds as the duration a link carries: "1h30m". */
export function printDuration(seconds: number): string {
  let rest = Math.round(seconds), text = '';
  for (const [size, name] of [[604800, 'w'], [86400, 'd'], [3600, 'h'], [60, 'm'], [1, 's']] as const) {
    const n = Math.floor(rest / size);
    rest -= n * size;
    if (n) text += `${n}${name}`;
  }
  return text || '1s';
}

/** The time of Prometheus's links: UTC, "2026-11-24 08:20:00", or seconds. */
export function parseLinkTime(text: string | null): number | null {
  if (!text) return null;
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text);
  const at = Date.parse(/[zZ]|[+-]\d\d:?\d\d$/.test(text) ? text : `${text.replace(' ', 'T')}Z`);
  return Number.isNaN(at) ? null : at / 1000;
}

export function printLinkTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ');
}

export function ago(rfc3339: string | undefined): string {
  if (!rfc3339 || rfc3339.startsWith('0001')) return t('never');
  const s = (Date.now() - Date.parse(rfc3339)) / 1000;
  return s < 1 ? t('just now') : t('{0} ago', formatDuration(s));
}

/** A foreign text with what could not be seen, or would turn the text around it, spelled out. */
export function visible(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
