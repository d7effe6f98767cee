// Which fields, frames and rows a rule means.
import { toRegex } from './display';
import { displayName, timeName, valueName, type Field, type Frame } from './frames';
import { reduceAll, reducerId } from './reduce';

export type FieldMatcher = (field: Field, frame: Frame, frames: Frame[]) => boolean;
export interface MatcherConfig { id: string; options?: any }

/** A name from older versions still finds its field: "Value" one named as its metric, "Time" any time field. */
function oldName(names: Set<string>): FieldMatcher | undefined {
  if (names.has(valueName)) return (f) => !!f.labels && f.labels.__name__ === f.name;
  if (names.has(timeName) || names.has('time')) return (f, frame) => frame.meta?.typeVersion == null && f.type === 'time';
  return undefined;
}

function byNames(names: string[]): FieldMatcher {
  const set = new Set(names), old = oldName(set);
  return (f, frame, frames) => set.has(f.name) || set.has(displayName(f, frame, frames)) || !!old?.(f, frame, frames);
}

function byPattern(pattern: string | undefined): FieldMatcher {
  const re = pattern ? toRegex(pattern) : null;
  return (f, frame, frames) => {
    if (!re) return false;
    return re.test(displayName(f, frame, frames)); // a global pattern goes on where it stopped, as it does elsewhere
  };
}

export function compare(left: any, op: string, right: any): boolean {
  if (left == null || right == null) {
    left ??= 'null';
    right ??= 'null';
    if (op === 'gte' || op === 'lte') op = 'eq';
  }
  switch (op) {
    case 'eq': return `${left}` === `${right}`;
    case 'neq': return `${left}` !== `${right}`;
    case 'gt': return left > right;
    case 'gte': return left >= right;
    case 'lt': return left < right;
    case 'lte': return left <= right;
  }
  return false;
}

function byValue(o: { reducer?: string; op?: string; value?: number } | undefined): FieldMatcher {
  if (!o?.reducer || !reducerId(o.reducer)) return () => false;
  const id = o.reducer;
  return (f) => {
    const left = reduceAll(f, [id])[id];
    return id === 'allIsNull' || id === 'allIsZero' ? !!left : compare(left, o.op || 'eq', o.value);
  };
}

/** Which fields a matcher of the given id means; undefined for an id nobody knows. */
export function fieldMatcher({ id, options: o }: MatcherConfig): FieldMatcher | undefined {
  switch (id) {
    case 'byName': return byNames([o]);
    case 'byNames': {
      const inner = byNames(o?.names ?? []);
      return o?.mode === 'exclude' ? (f, frame, frames) => !inner(f, frame, frames) : inner;
    }
    case 'byRegexp': return byPattern(o);
    case 'byRegexpOrNames': {
      const names = byNames(o?.names ?? []), pattern = byPattern(o?.pattern || '');
      return (f, frame, frames) => names(f, frame, frames) || pattern(f, frame, frames);
    }
    case 'byType': return (f) => f.type === o;
    case 'byTypes': return (f) => (o instanceof Set ? o : new Set(o)).has(f.type);
    case 'numeric': return (f) => f.type === 'number';
    case 'time': return (f) => f.type === 'time';
    case 'byFrameRefID': return (_f, frame) => frame.refId === o;
    case 'byValue': return byValue(o);
    case 'first': return (f, frame) => f === frame.fields[0];
    case 'firstTimeField': return (f, frame) => f.type === 'time' && f === frame.fields.find((x) => x.type === 'time');
    case 'anyMatch': case 'allMatch': {
      const inner = (o as MatcherConfig[]).map(fieldMatcher).filter((m) => !!m) as FieldMatcher[];
      return id === 'anyMatch' ? (...a) => inner.some((m) => m(...a)) : (...a) => inner.every((m) => m(...a));
    }
    case 'invertMatch': {
      const inner = fieldMatcher(o);
      return inner && ((...a) => !inner(...a));
    }
    case 'alwaysMatch': return () => true;
    case 'neverMatch': return () => false;
  }
  return undefined;
}

const escaped = (text: string): string => text.replace(/[([{}\])\\|*+\-.?<>#&^$]/g, '\\$&');

/** Frames by the id of their query; "A|B" and "/pattern/" too. */
export function byRefId(pattern: string): (frame: Frame) => boolean {
  const re = pattern[0] === '/' ? toRegex(pattern) : pattern.includes('|') ? new RegExp(`^(?:${pattern.split('|').map(escaped).join('|')})$`) : null;
  return (frame) => (re ? re.test(frame.refId || '') : frame.refId === pattern);
}

export type ValueMatcher = (value: any) => boolean;

export function valueMatcher({ id, options: o = {} }: MatcherConfig): ValueMatcher {
  const compared = (test: (v: any) => boolean): ValueMatcher => (v) => !Number.isNaN(Number(v)) && test(v);
  switch (id) {
    case 'equal': return (v) => v == o.value; // eslint-disable-line eqeqeq -- "1" equals 1 here
    case 'notEqual': return (v) => v != o.value;
    case 'isNull': return (v) => v == null;
    case 'isNotNull': return (v) => v != null;
    case 'greater': return compared((v) => v > o.value);
    case 'greaterOrEqual': return compared((v) => v >= o.value);
    case 'lower': return compared((v) => v < o.value);
    case 'lowerOrEqual': return compared((v) => v <= o.value);
    case 'between': {
      const end = (x: unknown): number => (typeof x === 'number' ? x : parseInt(String(x), 10)), from = end(o.from), to = end(o.to);
      return compared((v) => v > from && v < to);
    }
    case 'regex': {
      const re = new RegExp(o.value);
      return (v) => v != null && re.test(v);
    }
    case 'substring': return (v) => o.value === '' || (typeof v === 'string' && !!v && !!o.value && v.toLowerCase().includes(o.value.toLowerCase()));
    case 'notSubstring': return (v) => typeof v === 'string' && !!v && !!o.value && !v.toLowerCase().includes(o.value.toLowerCase());
  }
  throw new Error(`unknown condition "${id}"`);
}
