// Time as dashboards write it ("now-6h", "now/d", milliseconds, ISO), and the steps queries are asked in.
import { clockOf, formatMoment, fromClock, type Zone } from './moment';

export interface Span { from: number; to: number } // milliseconds

const unitMs: Record<string, number> = { ms: 1, s: 1000, m: 60000, h: 3600000, d: 86400000, w: 604800000 };

function add(at: number, n: number, unit: string, zone: Zone): number {
  if (unit === 's' || unit === 'm' || unit === 'h') return at + n * unitMs[unit];
  const c = clockOf(at, zone), months = unit === 'M' ? n : unit === 'Q' ? 3 * n : unit === 'y' ? 12 * n : 0, days = unit === 'd' ? n : unit === 'w' ? 7 * n : 0;
  // A month on from the 31st is the last day of a shorter one.
  const last = new Date(Date.UTC(c.year, c.month + months + 1, 0)).getUTCDate();
  return fromClock(zone, c.year, c.month + months, (months ? Math.min(c.day, last) : c.day) + days, c.hour, c.minute, c.second, c.ms);
}

const weekdays: Record<string, number> = { sunday: 0, monday: 1, saturday: 6 };

function startOf(at: number, unit: string, zone: Zone, weekStart: number): number {
  const c = clockOf(at, zone);
  switch (unit) {
    case 's': return Math.floor(at / 1000) * 1000;
    // Subtracted, not looked up: an hour that a change of clocks repeats keeps its place.
    case 'm': return at - (c.second * 1000 + c.ms);
    case 'h': return at - (c.minute * 60000 + c.second * 1000 + c.ms);
    case 'd': return fromClock(zone, c.year, c.month, c.day);
    case 'w': return fromClock(zone, c.year, c.month, c.day - ((c.weekday - weekStart + 7) % 7));
    case 'M': return fromClock(zone, c.year, c.month);
    case 'Q': return fromClock(zone, c.year, c.month - (c.month % 3));
    case 'y': return fromClock(zone, c.year, 0);
  }
  return at;
}

/** A point in time; `end` rounds up ("now/d" as an end is the last moment of today). null when it cannot be read. */
export function parseTime(text: string | null | undefined, now: number, zone: Zone, end = false, weekStart = 'sunday'): number | null {
  if (!text) return null;
  if (/^-?\d+$/.test(text)) return text.length <= 10 && Math.abs(Number(text)) < 1e10 && Number(text) > 1e8 ? Number(text) * 1000 : Number(text);
  if (!text.startsWith('now')) {
    const anchored = /^(.+?)\|\|(.*)$/.exec(text), at = absolute(anchored ? anchored[1] : text, zone);
    return at === null || !anchored ? at : steps(at, anchored[2], zone, end, weekStart);
  }
  return steps(now, text.slice(3), zone, end, weekStart);
}

function absolute(text: string, zone: Zone): number | null {
  const m = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,3}))?)?)?$/.exec(text.trim());
  if (m) return fromClock(zone, Number(m[1]), Number(m[2]) - 1, Number(m[3]), Number(m[4] ?? 0), Number(m[5] ?? 0), Number(m[6] ?? 0), Number((m[7] ?? '0').padEnd(3, '0')));
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : at;
}

function steps(at: number, rest: string, zone: Zone, end: boolean, weekStart: string): number | null {
  const text = rest.replace(/\s+/g, '');
  let used = 0;
  for (const m of text.matchAll(/([-+/])(\d*)(f?[smhdwMQy])/g)) {
    if (m.index !== used) return null;
    used += m[0].length;
    const unit = m[3].replace('f', '');
    if (m[1] !== '/') at = add(at, (m[1] === '-' ? -1 : 1) * (m[2] === '' ? 1 : Number(m[2])), unit, zone);
    else {
      const start = startOf(at, unit, zone, weekdays[weekStart] ?? 0);
      at = end ? startOf(add(start, 1, unit, zone), unit, zone, weekdays[weekStart] ?? 0) - 1 : start;
    }
  }
  return used === text.length ? at : null;
}

/** "5m", "1h30m", "90s", "500ms", "2w"; plain figures are seconds. 0 when it is none. */
export function durationMs(text: string | undefined | null): number {
  if (!text) return 0;
  const plain = text.trim().replace(/^[<>]=?/, '');
  if (/^\d+(\.\d+)?$/.test(plain)) return Number(plain) * 1000;
  let sum = 0, used = 0;
  for (const m of plain.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdwMy])/g)) {
    sum += Number(m[1]) * (unitMs[m[2]] ?? (m[2] === 'M' ? 30 * unitMs.d : 365 * unitMs.d));
    used += m[0].length;
  }
  return used === plain.length ? sum : 0;
}

// Up to each limit, the step that people read easily.
const nice: [number, number][] = [[10, 1], [15, 10], [35, 20], [75, 50], [150, 100], [350, 200], [750, 500], [1500, 1e3], [3500, 2e3], [7500, 5e3], [12500, 1e4], [17500, 15e3], [25000, 2e4], [45000, 3e4], [9e4, 6e4], [21e4, 12e4], [45e4, 3e5], [75e4, 6e5],
  [105e4, 9e5], [15e5, 12e5], [27e5, 18e5], [54e5, 36e5], [9e6, 72e5], [162e5, 108e5], [324e5, 216e5], [864e5, 432e5], [6048e5, 864e5], [18144e5, 6048e5], [36288e5, 2592e6]];
export function roundStep(ms: number): number {
  return nice.find(([limit]) => ms < limit)?.[1] ?? 31536e6;
}

/** How a step is written: the largest whole unit. */
export function printStep(ms: number): string {
  const s = ms / 1000;
  for (const [size, name] of [[31536000, 'y'], [86400, 'd'], [3600, 'h'], [60, 'm'], [1, 's']] as const) if (Math.floor(s / size)) return `${Math.floor(s / size)}${name}`;
  return Math.floor(ms) ? `${Math.floor(ms)}ms` : 'less than a millisecond';
}

/** $__interval: the range over as many points as the panel is wide, rounded, and not under the least. */
export function intervalFor(span: Span, points: number, least: string | undefined): number {
  const floor = durationMs(least?.replace('>', '')), raw = roundStep((span.to - span.from) / Math.max(points, 1));
  return Math.max(raw, floor, 1);
}

export interface Steps { interval: number; step: number; rate: number } // milliseconds

/** What a PromQL query is asked with: $__interval, the step (under 11,000 points), and $__rate_interval. */
export function stepsFor(span: Span, points: number, minInterval: string | undefined, minStep: string | undefined, factor: number, scrape: number): Steps {
  const own = durationMs(minStep), interval = Math.max(intervalFor(span, points, minInterval), own);
  let safe = (span.to - span.from) / 11000;
  if (safe > 1000) safe = Math.ceil(safe / 1000) * 1000;
  const step = Math.max(interval * Math.max(factor, 1), own, safe), base = own || scrape;
  return { interval: step, step, rate: Math.max(step + base, 4 * base) };
}

/** Both ends fall on multiples of the step, so that the same question has the same points a moment later. */
export function aligned(span: Span, step: number): Span {
  return { from: Math.floor(span.from / step) * step, to: Math.floor(span.to / step) * step };
}

export const dateText = (at: number, zone: Zone): string => formatMoment(at, 'YYYY-MM-DD HH:mm:ss', zone);
