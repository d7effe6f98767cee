// A new column computed from others: over each row, over a window, from two columns or one.
import { displayName, timeField, type Field, type Frame } from './frames';
import { onOneTime } from './joins';
import { fieldMatcher, type FieldMatcher } from './matchers';
import { reduceRow, reducerName, reducerId } from './reduce';

type Operand = { matcher?: { id: string; options?: any }; fixed?: string } | string | undefined;
interface Options {
  mode?: string; alias?: string; replaceFields?: boolean; timeSeries?: boolean;
  reduce?: { reducer?: string; include?: string[]; nullValueMode?: string };
  cumulative?: { field?: string; reducer?: string }; window?: { field?: string; reducer?: string; windowAlignment?: string; windowSizeMode?: string; windowSize?: number };
  binary?: { left?: Operand; operator?: string; right?: Operand }; unary?: { operator?: string; fieldName?: string }; index?: { asPercentile?: boolean };
}

const binaryOps: Record<string, (a: number, b: number) => number> = { '+': (a, b) => a + b, '-': (a, b) => a - b, '*': (a, b) => a * b, '/': (a, b) => a / b, '**': (a, b) => a ** b };
const unaryOps: Record<string, (a: number, sum: number) => number> = { abs: Math.abs, exp: Math.exp, ln: Math.log, floor: Math.floor, ceil: Math.ceil, round: Math.round, percent: (v, sum) => v / (sum || 1) };

const numericOr = (names: string[] | undefined): FieldMatcher => fieldMatcher(names?.length ? { id: 'byNames', options: { names } } : { id: 'numeric' }) as FieldMatcher;

function overRows(frame: Frame, frames: Frame[], o: NonNullable<Options['reduce']>): any[] {
  const matches = numericOr(o.include), columns = frame.fields.filter((f) => matches(f, frame, frames)).map((f) => f.values), id = o.reducer ?? 'sum';
  return Array.from({ length: frame.length }, (_, i) => reduceRow(columns.map((c) => c[i]), id, o.nullValueMode === 'connected', o.nullValueMode === 'null as zero'));
}

function runningTotal(frame: Frame, frames: Frame[], o: NonNullable<Options['cumulative']>): number[] | undefined {
  const matches = numericOr(o.field ? [o.field] : undefined), field = frame.fields.find((f) => matches(f, frame, frames)), id = o.reducer ?? 'sum';
  if (id !== 'sum' && id !== 'mean') throw new Error(`a running "${id}" is not known`);
  if (!field) return undefined;
  let total = 0;
  return Array.from({ length: frame.length }, (_, i) => {
    total += field.values[i] ?? 0;
    return id === 'sum' ? total : total / (i + 1);
  });
}

function spreadOf(values: any[]): number {
  let squares = 0, mean = 0, n = 0;
  for (const v of values) {
    if (v == null) continue;
    const before = mean;
    mean += (v - before) / ++n;
    squares += (v - before) * (v - mean);
  }
  return n ? squares / n : 0;
}

function overWindow(frame: Frame, frames: Frame[], o: NonNullable<Options['window']>): number[] | undefined {
  const { reducer = 'mean', windowAlignment = 'trailing', windowSizeMode = 'percentage', windowSize = 0.1 } = o;
  if (windowSize <= 0) throw new Error('a window must be longer than 0');
  if (!/^(mean|stdDev|variance)$/.test(reducer)) throw new Error(`a moving "${reducer}" is not known`);
  const matches = numericOr(o.field ? [o.field] : undefined), field = frame.fields.find((f) => matches(f, frame, frames));
  if (!field) return undefined;
  const v = field.values, window = Math.ceil(windowSize * (windowSizeMode === 'percentage' ? frame.length : 1)), centered = windowAlignment === 'centered';
  if (reducer === 'mean') return centered ? centeredMean(v, frame.length, window) : trailingMean(v, frame.length, window);
  const ahead = Math.ceil(window / 2) - 1, behind = Math.floor(window / 2);
  return Array.from({ length: frame.length }, (_, i) => {
    const part = centered ? v.slice(Math.max(0, i - behind), Math.min(i + ahead + 1, v.length)) : v.slice(Math.max(0, i - window + 1), i + 1);
    return reducer === 'variance' ? spreadOf(part) : Math.sqrt(spreadOf(part));
  });
}

// Sums are carried along, as the figures people compare with are: the rounding is the same.
function trailingMean(v: any[], length: number, window: number): number[] {
  let sum = 0, n = 0;
  return Array.from({ length }, (_, i) => {
    if (v[i] != null) {
      n++;
      sum += v[i];
      const gone = i > window - 1 ? v[i - window] : null;
      if (gone != null) {
        sum -= gone;
        n--;
      }
    }
    return n ? sum / n : 0;
  });
}

function centeredMean(v: any[], length: number, window: number): number[] {
  const ahead = Math.ceil(window / 2) - 1, behind = Math.floor(window / 2);
  let sum = 0, n = 0;
  const add = (x: any, sign: number): void => {
    if (x == null) return;
    sum += sign * x;
    n += sign;
  };
  return Array.from({ length }, (_, i) => {
    if (i === 0) for (let k = 0; k <= ahead && k < v.length; k++) add(v[k], 1);
    else {
      if (i + ahead < v.length) add(v[i + ahead], 1);
      if (i - behind > 0) add(v[i - behind - 1], -1);
    }
    return n ? sum / n : 0;
  });
}

function operand(given: Operand, names: string[]): Exclude<Operand, string> {
  if (typeof given !== 'string') return given;
  return Number.isNaN(Number(given)) || names.includes(given) ? { matcher: { id: 'byName', options: given } } : { fixed: given };
}

function valuesOf(frame: Frame, frames: Frame[], o: Exclude<Operand, string>): any[] | undefined {
  if (!o) return undefined;
  if (o.matcher?.id === 'byName') {
    const f = frame.fields.find((x) => displayName(x, frame, frames) === (o.matcher?.options ?? ''));
    if (f) return f.type === 'boolean' ? f.values.map((v) => (v ? 1 : 0)) : f.values;
  }
  const n = parseFloat(o.fixed ?? o.matcher?.options ?? '');
  return Number.isNaN(n) ? undefined : new Array(frame.length).fill(n);
}

function ofTwo(frame: Frame, frames: Frame[], left: Exclude<Operand, string>, op: string, right: Exclude<Operand, string>): number[] | undefined {
  const a = valuesOf(frame, frames, left), b = valuesOf(frame, frames, right), f = binaryOps[op];
  return a && b && f ? Array.from({ length: a.length }, (_, i) => f(a[i], b[i])) : undefined;
}

function ofOne(frame: Frame, frames: Frame[], o: NonNullable<Options['unary']>): number[] | undefined {
  const id = o.operator ?? 'abs', op = unaryOps[id], field = frame.fields.findLast((f) => f.type === 'number' && displayName(f, frame, frames) === (o.fieldName ?? ''));
  if (!field?.values.length || !op) return undefined;
  const sum = id === 'percent' ? field.values.reduce((s, v) => (Number.isFinite(v) ? s + v : s), 0) : 0;
  return field.values.map((v) => op(v, sum));
}

const sideName = (o: Exclude<Operand, string>): string => o?.matcher?.options ?? o?.fixed ?? '';

function nameFor(o: Options, left: Exclude<Operand, string>, right: Exclude<Operand, string>): string {
  if (o.alias) return o.alias;
  switch (o.mode) {
    case 'cumulativeFunctions': return `cumulative ${o.cumulative?.reducer ?? ''}${o.cumulative?.field ? `(${o.cumulative.field})` : ''}`;
    case 'windowFunctions': return `${o.window?.windowAlignment ?? ''} moving ${o.window?.reducer ?? ''}${o.window?.field ? `(${o.window.field})` : ''}`;
    case 'unary': return `${o.unary?.operator ?? ''}${o.unary?.fieldName ? `(${o.unary.fieldName})` : ''}`;
    case 'binary': {
      const a = sideName(left), b = sideName(right);
      return /\$/.test(a + b) || !a || !b ? '' : `${a} ${o.binary?.operator ?? '+'} ${b}`;
    }
    case 'reduceRow': return o.reduce?.reducer && reducerId(o.reduce.reducer) ? reducerName(o.reduce.reducer) : 'math';
    case 'index': return 'Row';
  }
  return 'math';
}

/** Every field of a type beside one number or column. */
function eachOfType(frames: Frame[], o: Options, left: Exclude<Operand, string>, op: string, right: Exclude<Operand, string>): Frame[] {
  const type = left?.matcher?.options, f = binaryOps[op];
  return frames.flatMap((frame) => {
    const fields: Field[] = [], time = timeField(frame);
    let added = false;
    if (time && o.timeSeries !== false) fields.push(time);
    for (const field of frame.fields) {
      if (!o.replaceFields && !fields.includes(field)) fields.push(field);
      if (field.type !== type) continue;
      const b = valuesOf(frame, frames, right);
      if (!b || !f) continue;
      const made: Field = { ...field, name: `${field.name} ${o.binary?.operator ?? ''} ${right?.matcher?.options ?? right?.fixed}`, values: field.values.map((v, i) => f(v, b[i])) };
      delete made.state;
      fields.push(made);
      added = true;
    }
    return o.replaceFields && !added ? [] : [{ ...frame, fields }];
  });
}

export function calculateField(given: Frame[], o: Options): Frame[] {
  const mode = o.mode ?? 'reduceRow', side = o.binary?.right, fixedText = typeof side === 'string' ? side : side?.fixed;
  const isFixed = mode === 'binary' && !Number.isNaN(Number(fixedText));
  const frames = o.timeSeries !== false && !isFixed ? onOneTime(given) : given;
  const names = frames.flatMap((f) => f.fields.map((x) => x.name)), left = operand(o.binary?.left ?? '', names), right = operand(o.binary?.right ?? '', names), op = o.binary?.operator ?? '+';
  if (mode === 'binary' && left?.matcher?.id === 'byType') return eachOfType(frames, o, left, op, right);
  if (mode === 'index') {
    return frames.map((frame) => {
      const share = o.index?.asPercentile, values = Array.from({ length: frame.length }, (_, i) => (share ? i / frame.length : i));
      const field: Field = { name: o.alias ?? 'Row', type: 'number', values, config: share ? { unit: 'percentunit' } : {} };
      return { ...frame, fields: o.replaceFields ? [field] : [...frame.fields, field] };
    });
  }
  const make = (frame: Frame): any[] | undefined => {
    switch (mode) {
      case 'reduceRow': return overRows(frame, frames, o.reduce ?? {});
      case 'cumulativeFunctions': return runningTotal(frame, frames, o.cumulative ?? {});
      case 'windowFunctions': return overWindow(frame, frames, o.window ?? {});
      case 'unary': return ofOne(frame, frames, o.unary ?? {});
      case 'binary': return ofTwo(frame, frames, left, op, right);
    }
    return undefined;
  };
  if (!/^(reduceRow|cumulativeFunctions|windowFunctions|unary|binary)$/.test(mode)) return frames;
  return frames.flatMap((frame) => {
    const values = make(frame);
    if (!values) return o.replaceFields ? [] : [frame];
    const field: Field = { name: nameFor(o, left, right), type: 'number', config: o.alias ? { displayName: o.alias } : {}, values };
    const time = timeField(frame);
    return [{ ...frame, fields: !o.replaceFields ? [...frame.fields, field] : time && o.timeSeries !== false ? [time, field] : [field] }];
  });
}
