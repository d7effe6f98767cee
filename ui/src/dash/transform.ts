// Transformations: each turns the frames of a panel's queries into other frames. The frames given are left as they are.
import { displayName, frameName, guessType, nameFields, sortFrame, timeField, timeName, valueName, type Field, type FieldConfig, type Frame } from './frames';
import { convertFieldTypes, extractFields, formatTimes } from './convert';
import { calculateField } from './calculate';
import { joinByField } from './joins';
import { toRegex } from './display';
import { byRefId, fieldMatcher, valueMatcher, type FieldMatcher, type MatcherConfig } from './matchers';
import { reduceAll, reducerId, reducerName, typeAfter } from './reduce';
import type { Zone } from './moment';

export interface Transformation { id: string; options?: any; disabled?: boolean; filter?: MatcherConfig; topic?: string }
export type Transformer = (frames: Frame[], options: any, context: Context) => Frame[];
export interface Context { replace: (text: string) => string; zone?: Zone }

const without = (config: FieldConfig, ...keys: (keyof FieldConfig)[]): FieldConfig => Object.fromEntries(Object.entries(config).filter(([k]) => !keys.includes(k as keyof FieldConfig)));
const joinedId = (id: string, frames: Frame[]): string => `${id}-${frames.map((f) => f.refId).join('-')}`;

// ---- which fields and rows ----

function keepFields(frames: Frame[], include: FieldMatcher | undefined, exclude: FieldMatcher | undefined): Frame[] {
  if (!include && !exclude) return frames;
  const kept: Frame[] = [];
  for (const frame of frames) {
    const fields = frame.fields.filter((f) => !exclude?.(f, frame, frames) && (!include || include(f, frame, frames)));
    if (fields.length) kept.push({ ...frame, fields });
  }
  return kept;
}

interface NameFilter { names?: string[]; pattern?: string; variable?: string }

function nameFilter(o: NameFilter | undefined, byVariable: boolean, context: Context): FieldMatcher | undefined {
  if (!o) return undefined;
  const { names = [], pattern, variable } = o;
  if (byVariable && variable) {
    const list = context.replace(variable);
    return fieldMatcher({ id: 'byNames', options: { names: (/^\{.*\}$/.test(list) ? list.slice(1, -1) : list).split(',') } });
  }
  if (!pattern) return names.length ? fieldMatcher({ id: 'byNames', options: { names } }) : undefined;
  const text = context.replace(pattern);
  return names.length ? fieldMatcher({ id: 'byRegexpOrNames', options: { names, pattern: text } }) : fieldMatcher({ id: 'byRegexp', options: text });
}

const filterFieldsByName: Transformer = (frames, o, context) => keepFields(frames, nameFilter(o.include, !!o.byVariable, context), nameFilter(o.exclude, !!o.byVariable, context));
const filterFields: Transformer = (frames, o) => keepFields(frames, o.include && fieldMatcher(o.include), o.exclude && fieldMatcher(o.exclude));

const filterByRefId: Transformer = (frames, o) => {
  const include = o.include ? byRefId(o.include) : undefined, exclude = o.exclude ? byRefId(o.exclude) : undefined;
  return include || exclude ? frames.filter((f) => !exclude?.(f) && (!include || include(f))) : frames;
};

const filterByValue: Transformer = (frames, o) => {
  const filters: { fieldName: string; config: MatcherConfig }[] = o.filters ?? [];
  if (!filters.length || !frames.length) return frames;
  const all = o.match === 'all', include = o.type === 'include';
  return frames.map((frame) => {
    const at = new Map(frame.fields.map((f, i) => [displayName(f, frame, frames), i]));
    const tests = filters.map(({ fieldName, config }) => {
      const field = frame.fields[at.get(fieldName) ?? -1], test = field && valueMatcher(config);
      return (row: number): boolean => !!test && test(field.values[row]);
    });
    const rows = Array.from({ length: frame.length }, (_, i) => i).filter((i) => (all ? tests.every((t) => t(i)) : tests.some((t) => t(i))) === include);
    return { ...frame, fields: frame.fields.map((f) => ({ ...f, values: rows.map((i) => f.values[i]), state: {} })), length: rows.length };
  });
};

const limit: Transformer = (frames, o) => {
  const most = o.limitField === undefined ? 10 : parseInt(o.limitField, 10);
  return frames.map((frame) => (frame.length <= most ? frame : {
    ...frame, length: Math.abs(most), fields: frame.fields.map((f) => ({ ...f, values: most >= 0 ? f.values.slice(0, most) : f.values.slice(most) })),
  }));
};

// ---- names and order ----

const naturally = new Intl.Collator(undefined, { sensitivity: 'base', numeric: true });

const order: Transformer = (frames, o) => {
  nameFields(frames);
  const { indexByName = {}, orderByMode = 'manual', orderBy = [] } = o;
  if (orderByMode !== 'manual') return frames.map((frame) => ({ ...frame, fields: orderedBy(frame.fields, orderBy) }));
  const place = (name: string): number => (Number.isInteger(indexByName[name]) ? indexByName[name] : Number.MAX_SAFE_INTEGER);
  return frames.map((frame) => ({ ...frame, fields: [...frame.fields].sort((a, b) => place(displayName(a, frame, frames)) - place(displayName(b, frame, frames))) }));
};

function orderedBy(fields: Field[], orderBy: { type: string; name?: string; desc?: boolean }[]): Field[] {
  const first = fields.find((f) => f.type === 'time');
  const value = (f: Field, type: string, name: string): string => (type === 'name' ? (f.state?.displayName ?? f.name) : (f.labels?.[name] ?? ''));
  return [...fields].sort((a, b) => {
    if (a === first || b === first) return a === first ? -1 : 1;
    for (const { type, name = '', desc } of orderBy) {
      const by = naturally.compare(value(a, type, name), value(b, type, name)) * (desc ? -1 : 1);
      if (by) return by;
    }
    return 0;
  });
}

const renamed = (field: Field, name: string): Field => ({ ...field, config: { ...field.config, displayName: name }, state: { ...field.state, displayName: name } });

const rename: Transformer = (frames, o) => {
  const names: Record<string, unknown> = o.renameByName ?? {};
  if (!Object.keys(names).length) return frames;
  return frames.map((frame) => ({
    ...frame, fields: frame.fields.map((f) => {
      const to = names[displayName(f, frame)];
      return typeof to === 'string' && to ? renamed(f, to) : f;
    }),
  }));
};

const chosen = (by: Record<string, boolean> | undefined): string[] => Object.keys(by ?? {}).filter((k) => by?.[k]);

const organize: Transformer = (frames, o, context) => {
  const filter = { include: o.includeByName ? { names: chosen(o.includeByName) } : undefined, exclude: { names: chosen(o.excludeByName) } };
  return rename(order(filterFieldsByName(frames, filter, context), { ...o, indexByName: o.indexByName ?? {} }, context), o, context);
};

const renameByRegex: Transformer = (frames, o, context) => {
  const re = toRegex(context.replace(o.regex ?? ''));
  if (!re) throw new Error(`"${o.regex}" is not a valid regular expression`);
  const to = context.replace(o.renamePattern ?? '');
  return frames.map((frame) => ({
    ...frame, fields: frame.fields.map((f) => {
      const name = displayName(f, frame);
      return re.test(name) ? renamed(f, name.replace(re, to)) : f;
    }),
  }));
};

const sortBy: Transformer = (frames, o, context) => {
  const first = o.sort?.[0];
  if (!first) return frames;
  const name = context.replace(first.field ?? '');
  return frames.map((frame) => {
    const at = first.index ?? frame.fields.findIndex((f) => displayName(f, frame) === name);
    return at < 0 ? frame : sortFrame(frame, at, first.desc);
  });
};

// ---- several frames into one ----

const concatenate: Transformer = (frames, o) => {
  if (frames.length < 2) return frames;
  const mode = o.frameNameMode ?? 'field', length = Math.max(...frames.map((f) => f.length));
  const fields = frames.flatMap((frame) => frame.fields.map((f): Field => {
    const copy: Field = { ...f, state: undefined };
    if (f.values.length !== length) copy.values = Array.from({ length }, (_, i) => f.values[i]);
    if (frame.name && mode === 'label') copy.labels = { ...f.labels, [o.frameNameLabel ?? 'frame']: frame.name };
    else if (frame.name && mode !== 'drop') copy.name = !f.name || f.name === valueName ? frame.name : `${frame.name} · ${f.name}`;
    return copy;
  }));
  return [{ fields, length }];
};

/** Rows of all frames in one table; rows that agree in every column the frames share, and differ nowhere, are one. */
const merge: Transformer = (frames) => {
  if (frames.length <= 1) return frames;
  const data = frames.filter((f) => f.fields.length);
  if (!data.length) return [frames[0]];
  const at = new Map<string, number[]>(); // name -> index of the field in each frame
  const fields: Field[] = [];
  data.forEach((frame, k) => frame.fields.forEach((f, i) => {
    if (!at.has(f.name)) {
      at.set(f.name, []);
      const { values: _values, state: _state, labels: _labels, ...rest } = f;
      fields.push({ ...rest, values: [], config: without(f.config, 'displayName') });
    }
    (at.get(f.name) as number[])[k] = i;
  }));
  const names = [...at.keys()];
  const last = data[data.length - 1].fields, everywhere = (n: string): boolean => Object.keys(at.get(n) as number[]).length === data.length;
  const keys = last.map((f) => f.name).filter(everywhere);
  if (!keys.length) return frames;
  type Row = Record<string, unknown>;
  const byKey = new Map<string, Row[]>(), pointers: { rows: Row[]; index: number }[] = [];
  data.forEach((frame, k) => {
    const own = names.filter((n) => (at.get(n) as number[])[k] !== undefined).map((n): [string, any[]] => [n, frame.fields[(at.get(n) as number[])[k]].values]);
    const keyFields = keys.map((n) => frame.fields[(at.get(n) as number[])[k]].values);
    for (let i = 0; i < frame.length; i++) {
      const key = keyFields.reduce((text, v) => text + String(v[i]), ''), row: Row = {};
      for (const [n, v] of own) row[n] = v[i];
      let rows = byKey.get(key);
      if (!rows) byKey.set(key, (rows = []));
      let merged = false;
      for (let r = 0; r < rows.length; r++) {
        const there = rows[r];
        if (!Object.keys(row).every((n) => there[n] == null || there[n] === row[n])) continue;
        rows[r] = { ...there, ...row };
        merged = true;
      }
      if (merged) continue;
      rows.push(row);
      pointers.push({ rows, index: rows.length - 1 });
    }
  });
  for (const { rows, index } of pointers) for (const f of fields) f.values.push(rows[index][f.name]);
  for (const f of fields) if (f.type === 'other' && /^(date|time)$/i.test(f.name)) f.type = 'time';
  return [{ refId: joinedId('merge', data), fields, length: pointers.length }];
};

/** A time that only rises, and a number beside it. The first hundred rows tell. */
function isSeries(frame: Frame): boolean {
  const rises = (v: any[]): boolean => v.slice(0, 100).every((t, i) => i === 0 || (t !== null && t > v[i - 1]));
  return frame.fields.length > 1 && frame.fields.some((f) => f.type === 'number') && frame.fields.some((f) => f.type === 'time' && rises(f.values));
}

const seriesToRows: Transformer = (frames) => {
  const data = frames.filter((f) => f.length > 0);
  if (!frames.length || !data.every(isSeries)) return frames.length ? data : frames;
  if (!data.length) return [{ refId: joinedId('seriesToRows', data), fields: [], length: 0 }];
  const bare = (f: Field, name: string): Field => ({ name, type: f.type, values: [], config: without(f.config, 'displayName', 'displayNameFromDS') });
  const metric: Field = { name: 'Metric', type: 'string', values: [], config: {} };
  const columns: Field[] = []; // in the order in which their kinds are met
  for (const frame of data) {
    for (const f of frame.fields) {
      const name = f.type === 'time' ? timeName : valueName;
      if (columns.some((c) => c.name === name)) continue;
      columns.push(bare(f, name));
      if (name === timeName) columns.push(metric);
    }
  }
  const isNumeric = columns.find((c) => c.name === valueName)?.type === 'number';
  const into = (name: string): any[] => (columns.find((c) => c.name === name) as Field).values;
  for (const frame of data) {
    const t = frame.fields.findLastIndex((f) => f.type === 'time'), v = t === 0 ? 1 : 0, name = frameName(frame);
    for (let i = 0; i < frame.length; i++) {
      into(timeName).push(frame.fields[t].values[i]);
      metric.values.push(name);
      const value = frame.fields[v]?.values[i];
      into(valueName).push(typeof value === 'string' && isNumeric ? Number(value) : value);
    }
  }
  return [sortFrame({ refId: joinedId('seriesToRows', data), fields: columns, length: metric.values.length }, 0, true)];
};

// ---- figures ----

const reducing: Transformer = (frames, o) => {
  const ids: string[] = (o.reducers ?? []).map(reducerId).filter(Boolean);
  if (!o.reducers?.length) return frames;
  const byFields = o.mode === 'reduceFields';
  const matches = (o.fields && fieldMatcher(o.fields)) || (o.includeTimeField && byFields ? () => true : (f: Field) => f.type !== 'time');
  return byFields ? reduceEach(frames, matches, ids) : reduceToRows(frames, matches, ids, !!o.labelsToFields);
};

function reduceToRows(frames: Frame[], matches: FieldMatcher, ids: string[], spread: boolean): Frame[] {
  const keys = spread ? [...new Set(frames.flatMap((f) => f.fields.flatMap((x) => Object.keys(x.labels ?? {}))))] : [];
  const tables = frames.map((frame) => {
    const source = frame.fields.filter((f) => matches(f, frame, frames)), size = source.length;
    const text = (name: string, values: any[]): Field => ({ name, type: 'string', values, config: {} });
    const calcs = source.map((f) => reduceAll(f, ids));
    const fields = [
      text('Field', source.map((f) => (spread ? f.name : displayName(f, frame, frames)))),
      ...keys.map((k) => text(k, source.map((f) => f.labels?.[k]))),
      ...ids.map((id): Field => ({ name: reducerName(id), type: 'other', config: {}, values: calcs.map((c) => (c[id] === null ? NaN : c[id])) })),
    ];
    for (const f of fields) if (f.type === 'other') f.type = guessType(f) ?? 'other';
    return { ...frame, fields, length: size };
  });
  if (!tables.length) return [];
  const [base, ...rest] = tables;
  for (const table of rest) {
    base.fields.forEach((into, b) => table.fields.forEach((from, i) => {
      if ((b === 0 && i === 0) || (into.type === from.type && into.name === from.name)) into.values = into.values.concat(from.values);
    }));
  }
  return [{ ...base, name: undefined, length: base.fields[0].values.length, refId: joinedId('reduce', frames) }];
}

function reduceEach(frames: Frame[], matches: FieldMatcher, ids: string[]): Frame[] {
  const out: Frame[] = [];
  for (const frame of frames) {
    const fields = frame.fields.filter((f) => matches(f, frame, frames)).flatMap((f) => {
      const calcs = reduceAll(f, ids);
      return ids.map((id): Field => ({
        ...f, labels: ids.length > 1 ? { ...f.labels, reducer: reducerName(id) } : { ...f.labels }, values: [calcs[id]], state: undefined,
        type: /^(allValues|uniqueValues)$/.test(id) ? 'other' : /^(first|last)/.test(id) ? f.type : 'number',
      }));
    });
    if (fields.length) out.push({ ...frame, fields, length: 1 });
  }
  return out;
}

interface GroupRule { operation?: string | null; aggregations?: string[] }

const groupBy: Transformer = (frames, o) => {
  const rules: Record<string, GroupRule> = o.fields ?? {};
  const names = Object.keys(rules).filter((k) => rules[k].operation === 'groupby');
  if (!names.length) return frames;
  const isKey = fieldMatcher({ id: 'byNames', options: { names } }) as FieldMatcher;
  const out: Frame[] = [];
  for (const frame of frames) {
    const keys = frame.fields.filter((f) => isKey(f, frame, frames));
    if (!keys.length) continue;
    const groups = new Map<string, number[]>();
    for (let i = 0; i < frame.length; i++) {
      const key = String(keys.map((f) => f.values[i])), rows = groups.get(key);
      if (rows) rows.push(i);
      else groups.set(key, [i]);
    }
    const lists = [...groups.values()];
    const fields: Field[] = keys.map((f) => ({ name: f.name, type: f.type, config: { ...f.config }, values: lists.map((rows) => f.values[rows[0]]) }));
    for (const f of frame.fields) {
      const name = displayName(f), rule = rules[name] ?? rules[f.name], ids = rule?.aggregations ?? [];
      const wanted = rule?.operation === 'aggregate' ? ids.length > 0 : rule?.operation === 'groupby' && ids.length === 1 && ids[0] === 'count';
      if (!wanted) continue;
      const calcs = lists.map((rows) => reduceAll({ ...f, values: rows.map((i) => f.values[i]) }, ids));
      for (const id of ids) fields.push({ name: `${name} (${id})`, type: typeAfter(id, f.type), config: {}, values: calcs.map((c) => c[id]) });
    }
    out.push({ refId: frame.refId, fields, length: groups.size });
  }
  return out;
};

const special: Record<string, unknown> = { true: true, false: false, null: null, zero: 0, empty: '' };

const groupingToMatrix: Transformer = (frames, o) => {
  if (frames.length !== 1) return frames;
  const [frame] = frames, columnName = o.columnField || timeName, rowName = o.rowField || timeName, valueField = o.valueField || valueName;
  const find = (name: string): Field | undefined => frame.fields.find((f) => (fieldMatcher({ id: 'byName', options: name }) as FieldMatcher)(f, frame, frames));
  const column = find(columnName), row = find(rowName), value = find(valueField);
  if (!column || !row || !value) return frames;
  const columns = [...new Set(column.values)], rows = [...new Set(row.values)], cells = new Map<string, any>();
  const key = (c: unknown, r: unknown): string => JSON.stringify([String(c), String(r)]);
  value.values.forEach((v, i) => cells.set(key(column.values[i], row.values[i]), v));
  const filler = special[o.emptyValue || 'empty'];
  const fields: Field[] = [{ name: `${rowName}\\${columnName}`, values: rows, type: row.type, config: { ...row.config } }];
  let config = without(value.config, 'displayName');
  for (const c of columns) {
    if (typeof c === 'number') config = { ...config, displayNameFromDS: undefined };
    fields.push({ name: c?.toString() ?? null, values: rows.map((r) => cells.get(key(c, r)) ?? filler), config, type: value.type });
  }
  return [{ fields, length: rows.length }];
};

// ---- labels ----

const labelsToFields: Transformer = (frames, o) => {
  const keep: Set<string> | undefined = o.keepLabels?.length ? new Set(o.keepLabels) : undefined;
  if (o.mode === 'rows') return labelsToRows(frames, o.keepLabels);
  return frames.map((frame) => {
    const fields: Field[] = [], found = new Map<string, Set<string>>();
    for (const f of frame.fields) {
      if (!f.labels) {
        fields.push(f);
        continue;
      }
      const bare: Field = { ...f, config: { ...f.config, displayName: undefined, displayNameFromDS: undefined }, labels: undefined };
      fields.push(bare);
      for (const [name, value] of Object.entries(f.labels)) {
        if (keep && !keep.has(name)) continue;
        if (o.valueLabel === name) bare.name = value;
        else found.set(name, (found.get(name) ?? new Set()).add(value));
      }
    }
    for (const [name, values] of found) for (const v of values) fields.push({ name, type: 'string', config: {}, values: new Array(frame.length).fill(v) });
    return { ...frame, fields };
  });
};

function labelsToRows(frames: Frame[], keep: string[] | undefined): Frame[] {
  const out: Frame[] = [];
  for (const frame of frames) {
    for (const f of frame.fields) {
      if (!f.labels) continue;
      const keys = keep ?? Object.keys(f.labels), values = keys.map((k) => f.labels?.[k]);
      const text = (name: string, v: any[]): Field => ({ name, type: 'string', config: {}, values: v });
      if (keys.length) out.push({ ...frame, name: displayName(f, frame, frames), fields: [text('label', [...keys]), text('value', values)], length: keys.length });
    }
  }
  return out;
}

/** One row per series: its labels, and a figure (or the whole series) of it. */
const timeSeriesTable: Transformer = (frames, o) => {
  const byRef = new Map<string, Frame[]>();
  const rest: Frame[] = [];
  for (const f of frames) {
    if (!timeField(f) || !f.fields.some((x) => x.type === 'number')) rest.push(f);
    else byRef.set(f.refId ?? '', [...(byRef.get(f.refId ?? '') ?? []), f]);
  }
  const out = [...byRef].map(([refId, list]): Frame => {
    const labels = [...new Set(list.flatMap((f) => f.fields.flatMap((x) => Object.keys(x.labels ?? {}))))];
    const rows = list.flatMap((frame) => frame.fields.filter((x) => x.type === 'number').map((field) => ({ frame, field })));
    const stat = o?.[refId]?.stat ?? 'lastNotNull';
    const fields: Field[] = labels.map((l) => ({ name: l, type: 'string', config: {}, values: rows.map(({ field }) => field.labels?.[l]) }));
    const trends = rows.map(({ frame, field }) => ({ ...frame, fields: [timeField(frame) as Field, field], value: reduceAll(field, [stat])[stat] }));
    fields.push({ name: `Trend${refId ? ` #${refId}` : ''}`, type: 'frame', config: {}, values: trends });
    return { refId, fields, length: rows.length };
  });
  return [...out, ...rest];
};

const rowsToFields: Transformer = (frames, o) => {
  const mappings: { fieldName: string; handlerKey?: string }[] = o.mappings ?? [];
  return frames.map((frame) => {
    const handled = (key: string): Field | undefined => frame.fields.find((f) => mappings.some((m) => m.handlerKey === key && m.fieldName === displayName(f, frame, frames)));
    const name = handled('field.name') ?? frame.fields.find((f) => f.type === 'string'), value = handled('field.value') ?? frame.fields.find((f) => f.type === 'number');
    if (!name || !value) return frame;
    const others = frame.fields.filter((f) => f !== name && f !== value);
    const fields: Field[] = [];
    for (let i = 0; i < frame.length; i++) {
      const config: FieldConfig = { ...value.config }, labels: Record<string, string> = {};
      for (const f of others) {
        const rule = mappings.find((m) => m.fieldName === displayName(f, frame, frames))?.handlerKey;
        const key = rule ?? (/^(unit|min|max|decimals|color|displayName)$/i.test(f.name) ? f.name : '');
        if (rule === '__ignore') continue;
        if (/^(unit|min|max|decimals|displayName)$/.test(key)) (config as any)[key] = /^(unit|displayName)$/.test(key) ? String(f.values[i]) : Number(f.values[i]);
        else if (key === 'color') config.color = { mode: 'fixed', fixedColor: String(f.values[i]) };
        else labels[f.name] = String(f.values[i]);
      }
      fields.push({ name: String(name.values[i]), type: value.type, config, values: [value.values[i]], labels: Object.keys(labels).length ? labels : undefined });
    }
    return { ...frame, fields, length: 1 };
  });
};

/** Figures of one query become the configuration (limits, unit, thresholds) of the others. */
const configFromData: Transformer = (frames, o) => {
  const source = frames.find((f) => f.refId === o.configRefId);
  if (!source) return frames;
  const applyTo = fieldMatcher(o.applyTo ?? { id: 'numeric' });
  const change: FieldConfig = {};
  for (const f of source.fields) {
    const rule = (o.mappings ?? []).find((m: any) => m.fieldName === displayName(f, source, frames)), key = rule?.handlerKey ?? f.name.toLowerCase();
    const id = reducerId(rule?.reducerId ?? 'lastNotNull') ?? 'lastNotNull', v = reduceAll(f, [id])[id];
    if (v == null || key === '__ignore') continue;
    if (/^(min|max|decimals)$/.test(key)) (change as any)[key] = Number(v);
    else if (/^(unit|displayName|noValue)$/.test(key)) (change as any)[key] = String(v);
    else if (key === 'color') change.color = { mode: 'fixed', fixedColor: String(v) };
    else if (key === 'threshold1') change.thresholds = { mode: 'absolute', steps: [{ value: -Infinity, color: 'green' }, { value: Number(v), color: rule?.handlerArguments?.threshold?.color ?? 'red' }] };
  }
  return frames.filter((f) => f !== source).map((frame) => ({ ...frame, fields: frame.fields.map((f) => (applyTo?.(f, frame, frames) ? { ...f, config: { ...f.config, ...change } } : f)) }));
};

const prepareTimeSeries: Transformer = (frames, o, context) => {
  if (o.format === 'wide') return joinByField(frames, {}, context);
  return frames.flatMap((frame) => {
    const time = timeField(frame), numbers = frame.fields.filter((f) => f.type === 'number');
    return time ? numbers.map((f) => ({ ...frame, fields: [time, f] })) : [frame];
  });
};

const partitionByValues: Transformer = (frames, o) => {
  if (!o.fields?.length) return frames;
  return frames.flatMap((frame) => {
    const keys = frame.fields.filter((f) => o.fields.includes(displayName(f, frame)));
    if (!keys.length) return [frame];
    const groups = new Map<string, number[]>();
    for (let i = 0; i < frame.length; i++) {
      const key = JSON.stringify(keys.map((f) => f.values[i]));
      groups.set(key, [...(groups.get(key) ?? []), i]);
    }
    const rest = o.keepFields ? frame.fields : frame.fields.filter((f) => !keys.includes(f));
    return [...groups.values()].map((rows): Frame => {
      const labels = Object.fromEntries(keys.map((f) => [f.name, String(f.values[rows[0]])]));
      return { ...frame, name: o.naming?.asLabels ? frame.name : Object.values(labels).join(' '), length: rows.length, fields: rest.map((f) => ({ ...f, state: undefined, labels: o.naming?.asLabels && f.type !== 'time' ? { ...f.labels, ...labels } : f.labels, values: rows.map((i) => f.values[i]) })) };
    });
  });
};

const transpose: Transformer = (frames, o) => frames.slice(0, 1).map((frame) => {
  const [head, ...rest] = frame.fields;
  if (!head) return frame;
  const names = rest.map((f) => displayName(f, frame));
  const same = rest.every((f) => f.type === rest[0]?.type);
  return {
    ...frame, length: names.length, fields: [
      { name: o.restFieldsName ?? 'Field', type: 'string', config: {}, values: names } as Field,
      ...head.values.map((v, i): Field => ({ name: String(v ?? ''), type: same ? (rest[0]?.type ?? 'string') : 'string', config: {}, values: rest.map((f) => (same ? f.values[i] : String(f.values[i] ?? ''))) })),
    ],
  };
});

export const transformers: Record<string, Transformer> = {
  organize, merge, filterFieldsByName, filterFields, filterByRefId, filterByValue, groupBy, groupingToMatrix, labelsToFields, limit, order, rename, renameByRegex, sortBy, concatenate, seriesToRows, timeSeriesTable,
  rowsToFields, configFromData, prepareTimeSeries, partitionByValues, transpose, calculateField, joinByField, seriesToColumns: joinByField, reduce: reducing, convertFieldType: convertFieldTypes, extractFields, formatTime: formatTimes,
};

/** Runs a panel's transformations in order; one that is not known is passed over and named. */
export function transform(frames: Frame[], list: Transformation[], context: Context): { frames: Frame[]; unknown: string[] } {
  const unknown: string[] = [];
  for (const { id, options, disabled, filter } of list) {
    if (disabled) continue;
    const run = transformers[id];
    if (!run) {
      unknown.push(id);
      continue;
    }
    if (filter?.options && filter.id === 'byRefId') {
      const mine = byRefId(String(filter.options)), at = frames.findIndex(mine);
      if (at < 0) continue;
      const done = run(frames.filter(mine), options ?? {}, context), others = frames.filter((f) => !mine(f));
      frames = [...others.slice(0, at), ...done, ...others.slice(at)];
    } else frames = run(frames, options ?? {}, context);
  }
  return { frames, unknown };
}
