// A field's many values as one: last, mean, 95th percentile.
import type { Field, FieldType } from './frames';

export type Reducer = (field: Field, skipNulls: boolean, nullIsZero: boolean) => unknown;

const missing = (v: unknown): boolean => v == null || Number.isNaN(v);

/** The figures that one walk gives. */
interface Stats {
  sum: number; max: number | null; min: number | null; logmin: number; mean: number | null; last: any; first: any; lastNotNull: any; firstNotNull: any; count: number; nonNullCount: number;
  allIsNull: boolean; allIsZero: boolean; range: number | null; diff: number | null; delta: number; step: number | null; diffperc: number; previousDeltaUp: boolean;
}

export function walk(field: Field, skipNulls: boolean, nullIsZero: boolean): Stats {
  const isNumber = field.type === 'number' || field.type === 'time', values = field.values, n = values.length;
  let max = -Number.MAX_VALUE, min = Number.MAX_VALUE, logmin = Number.MAX_VALUE, step = Number.MAX_VALUE;
  let sum = 0, count = 0, there = 0, delta = 0, rising = true, allIsNull = true, allIsZero = true, first: any = null, last: any = null, firstThere: any = null, lastThere: any = null;
  for (let i = 0; i < n; i++) {
    let v = values[i];
    if (i === 0) first = v;
    last = v;
    if (v == null) {
      if (skipNulls) continue;
      if (nullIsZero) v = 0;
    }
    count++;
    if (missing(v)) continue;
    const isFirst = firstThere === null;
    if (isFirst) firstThere = v;
    if (isNumber) {
      sum += v || 0;
      allIsNull = false;
      there++;
      if (!isFirst) {
        const by = v - lastThere;
        if (step > by) step = by;
        if (lastThere > v) rising = false; // a counter that began anew
        else {
          if (rising) delta += by;
          rising = true;
        }
      }
      if (v > max) max = v;
      if (v < min) min = v;
      if (v < logmin && v > 0) logmin = v;
    }
    if (v !== 0) allIsZero = false;
    lastThere = v;
  }
  const none = max === -Number.MAX_VALUE, noMin = min === Number.MAX_VALUE;
  const isDiff = typeof firstThere === 'number' && typeof lastThere === 'number', diff = isDiff ? lastThere - firstThere : null;
  return {
    sum, count, nonNullCount: there, allIsNull, allIsZero: allIsNull ? false : allIsZero, logmin, delta, first, last, firstNotNull: firstThere, lastNotNull: lastThere,
    max: none ? null : max, min: noMin ? null : min, step: step === Number.MAX_VALUE ? null : step, mean: there > 0 ? sum / there : null,
    range: none || noMin ? null : max - min, diff, diffperc: diff === null ? 0 : (diff / firstThere) * 100, previousDeltaUp: rising,
  };
}

function variance(field: Field): number {
  if (field.type !== 'number' && field.type !== 'time') return 0;
  let squares = 0, mean = 0, n = 0;
  for (const v of field.values) {
    if (v == null) continue;
    const before = mean;
    mean += (v - before) / ++n;
    squares += (v - before) * (v - mean);
  }
  return n ? squares / n : 0;
}

function chosen(field: Field, skipNulls: boolean, nullIsZero: boolean): any[] {
  return skipNulls ? field.values.filter((v) => v !== null) : nullIsZero ? field.values.map((v) => (v === null ? 0 : v)) : field.values;
}

function median(field: Field, skipNulls: boolean, nullIsZero: boolean): number {
  const all = (skipNulls ? field.values.filter((v) => v != null) : nullIsZero ? field.values.map((v) => v ?? 0) : [...field.values]).sort((a, b) => a - b);
  const mid = Math.floor(all.length / 2);
  return all.length % 2 ? all[mid] : (all[mid - 1] + all[mid]) / 2;
}

function percentile(p: number): Reducer {
  return (f, skip, zero) => {
    const sorted = [...chosen(f, skip, zero)].sort((a, b) => a - b);
    return sorted[Math.round((sorted.length - 1) * p)];
  };
}

function changes(field: Field, skip: boolean, zero: boolean): number {
  const all = chosen(field, skip, zero);
  return all.reduce((n: number, v, i) => n + (i > 0 && v !== all[i - 1] ? 1 : 0), 0);
}

interface Info { name: string; empty?: unknown; own?: Reducer }

/** In the order people see them; without `own` the figure comes from walk(). */
const infos: Record<string, Info> = {
  lastNotNull: { name: 'Last *', own: (f) => f.values.findLast((v) => !missing(v)) ?? null },
  last: { name: 'Last', own: (f) => f.values[f.values.length - 1] },
  firstNotNull: { name: 'First *', own: (f) => f.values.find((v) => !missing(v)) ?? null },
  first: { name: 'First', own: (f) => f.values[0] },
  min: { name: 'Min' }, max: { name: 'Max' }, mean: { name: 'Mean' },
  median: { name: 'Median', own: median },
  variance: { name: 'Variance', own: variance },
  stdDev: { name: 'StdDev', own: (f) => Math.sqrt(variance(f)) },
  sum: { name: 'Total', empty: 0 }, count: { name: 'Count', empty: 0 },
  countAll: { name: 'Count all', empty: 0, own: (f) => f.values.length },
  range: { name: 'Range' }, delta: { name: 'Delta' }, step: { name: 'Step' }, diff: { name: 'Difference' }, logmin: { name: 'Min (above zero)' },
  allIsZero: { name: 'All Zeros', empty: false }, allIsNull: { name: 'All Nulls', empty: true },
  changeCount: { name: 'Change Count', own: changes },
  distinctCount: { name: 'Distinct Count', own: (f, skip, zero) => new Set(chosen(f, skip, zero)).size },
  diffperc: { name: 'Difference percent' },
  allValues: { name: 'All values', own: (f) => [...f.values] },
  uniqueValues: { name: 'All unique values', own: (f) => [...new Set(f.values)] },
};
for (let p = 1; p < 100; p++) {
  const end = p > 3 && p < 21 ? 'th' : (['th', 'st', 'nd', 'rd'][p % 10] ?? 'th');
  infos[`p${p}`] = { name: `${p}${end} %`, own: percentile(p / 100) };
}
/** With own ways, but the walk knows them too. */
const walked = new Set(['lastNotNull', 'last', 'firstNotNull', 'first']);
const aliases: Record<string, string> = { current: 'lastNotNull', avg: 'mean', total: 'sum' };

/** The id as it is now; undefined for one nobody knows. */
export const reducerId = (id: string): string | undefined => (Object.hasOwn(infos, id) ? id : aliases[id]);
export const reducerIds = (): string[] => Object.keys(infos);
export const reducerName = (id: string): string => infos[reducerId(id) ?? '']?.name ?? id;

export function reduce(field: Field, id: string): unknown {
  return reduceAll(field, [id])[id];
}

/** Several figures of one field; ids nobody knows are left out. Old ids (avg, current) answer under their own. */
export function reduceAll(field: Field, ids: string[]): Record<string, any> {
  const out: Record<string, unknown> = {};
  const mode = field.config.nullValueMode ?? 'connected', skip = mode === 'connected', zero = mode === 'null as zero';
  let stats: Stats | undefined;
  for (const given of ids) {
    const id = reducerId(given);
    if (!id) continue;
    const info = infos[id];
    if (!field.values.length) out[given] = info.empty;
    else if (info.own && (ids.length === 1 || !walked.has(id))) out[given] = info.own(field, skip, zero);
    else out[given] = (stats ??= walk(field, skip, zero))[id as keyof Stats];
  }
  return out;
}

/** Used where a row and not a field is reduced: null rules as given, not from the configuration. */
export function reduceRow(values: any[], id: string, skip: boolean, zero: boolean): unknown {
  const field: Field = { name: '', type: 'number', config: {}, values }, info = infos[reducerId(id) ?? ''];
  if (!info) throw new Error(`unknown reducer "${id}"`);
  return info.own ? info.own(field, skip, zero) : walk(field, skip, zero)[(reducerId(id) ?? id) as keyof Stats];
}

export function typeAfter(id: string, before: FieldType): FieldType {
  return /^(count|distinctCount|changeCount|countAll)$/.test(id) ? 'number' : /^allIs/.test(id) ? 'boolean' : before;
}
