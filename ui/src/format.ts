// Numbers and times for people.

const prefixes: [number, string][] = [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']];
const binary: [number, string][] = [[2 ** 40, 'TiB'], [2 ** 30, 'GiB'], [2 ** 20, 'MiB'], [2 ** 10, 'KiB']];

function digits(v: number): string {
  const a = Math.abs(v);
  return v.toFixed(a >= 100 || a === 0 || Number.isInteger(v) ? 0 : a >= 10 ? 1 : a >= 1 ? 2 : 3).replace(/(\.\d*?)0+$/, '$1').replace(/\.$/, '');
}

export type Unit = 'short' | 'bytes' | 'percent' | 'seconds' | 'bytes/s';

export function formatNumber(v: number | null | undefined, unit: Unit = 'short'): string {
  if (v == null || Number.isNaN(v)) return '–';
  if (!Number.isFinite(v)) return v > 0 ? '+Inf' : '-Inf';
  if (unit === 'percent') return `${digits(v * 100)} %`;
  if (unit === 'seconds') {
    const a = Math.abs(v);
    return a === 0 ? '0 s' : a < 1e-3 ? `${digits(v * 1e6)} µs` : a < 1 ? `${digits(v * 1e3)} ms` : a < 120 ? `${digits(v)} s` : formatDuration(v);
  }
  const bytes = unit !== 'short';
  for (const [scale, name] of bytes ? binary : prefixes) {
    if (Math.abs(v) >= scale) return `${digits(v / scale)} ${name}${unit === 'bytes/s' ? '/s' : ''}`.trim();
  }
  if (!bytes && v !== 0 && Math.abs(v) < 1e-3) return v.toExponential(2);
  return bytes ? `${digits(v)} B${unit === 'bytes/s' ? '/s' : ''}` : digits(v);
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

export function formatTime(seconds: number): string {
  const d = new Date(seconds * 1000);
  const two = (n: number): string => String(n).padStart(2, '0');
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

/** "5m", "1h30m" and plain seconds; null when it is none. */
export function parseDuration(text: string): number | null {
  const units: Record<string, number> = { y: 31536000, w: 604800, d: 86400, h: 3600, m: 60, s: 1, ms: 0.001 };
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) || null;
  if (!/^(\d+(y|w|d|h|ms|m|s))+$/.test(text)) return null;
  let sum = 0;
  for (const m of text.matchAll(/(\d+)(ms|[ywdhms])/g)) sum += Number(m[1]) * units[m[2]];
  return sum || null;
}

export function ago(rfc3339: string | undefined): string {
  if (!rfc3339 || rfc3339.startsWith('0001')) return 'never';
  const s = (Date.now() - Date.parse(rfc3339)) / 1000;
  return s < 1 ? 'just now' : `${formatDuration(s)} ago`;
}
