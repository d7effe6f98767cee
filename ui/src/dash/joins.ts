// Frames side by side on one column: time, or a column they name.
import { sortFrame, timeField, valueName, type Field, type Frame } from './frames';
import { fieldMatcher, type FieldMatcher } from './matchers';

/** Looks at fifty values only: a column that is sorted almost everywhere is taken for sorted. */
function isAscending(values: any[]): boolean {
  let first = 0, last = values.length - 1;
  while (first <= last && values[first] == null) first++;
  while (last >= first && values[last] == null) last--;
  if (last <= first) return true;
  const stride = Math.max(1, Math.floor((last - first + 1) / 50));
  for (let before = values[first], i = first + stride; i <= last; i += stride) {
    const v = values[i];
    if (v == null || before == null) continue;
    if (v <= before) return false;
    before = v;
  }
  return true;
}

interface Part { key: Field; fields: Field[] }

/** A frame's column to join on, and its others under names that say which frame they came from. */
function partOf(frame: Frame, frames: Frame[], matches: FieldMatcher): Part | null {
  let key: Field | undefined;
  const fields: Field[] = [];
  for (const f of frame.fields) {
    f.state ??= {};
    if (!key && matches(f, frame, frames)) {
      key = f;
      continue;
    }
    let name = f.name, labels = f.labels ?? {};
    if (frame.name) {
      if (f.name === valueName) name = frame.name;
      else if (labels.name == null) labels = { ...labels, name: frame.name };
    }
    fields.push({ ...f, name, labels });
  }
  return key ? { key, fields } : null;
}

const column = (f: Field, values: any[]): Field => ({ ...f, values });

/** All times of all frames in one sorted column; gaps stay undefined, and nulls beside them spread so that lines break there. */
function outer(parts: Part[]): any[][] {
  const heads = parts.map((p) => p.key.values);
  if (heads.every((h) => h === heads[0] || (h.length === heads[0].length && h.every((v, i) => v === heads[0][i])))) {
    const columns = [heads[0], ...parts.flatMap((p) => p.fields.map((f) => f.values))];
    if (isAscending(heads[0])) return columns;
    const frame: Frame = { length: heads[0].length, fields: columns.map((values): Field => ({ name: '', type: 'number', config: {}, values })) };
    return sortFrame(frame, 0).fields.map((f) => f.values);
  }
  const keys = new Set<any>();
  for (const h of heads) for (const v of h) keys.add(v);
  const all = [...keys].sort((a, b) => a - b), at = new Map(all.map((v, i) => [v, i]));
  const out: any[][] = [all];
  for (const { key, fields } of parts) {
    for (const f of fields) {
      const span = f.config.custom?.spanNulls, values: any[] = new Array(all.length).fill(undefined), nulls: number[] = [];
      f.values.forEach((v, i) => {
        const k = at.get(key.values[i]) as number;
        if (v !== null) values[k] = v;
        else if (span !== true) {
          values[k] = null;
          if (span !== -1) nulls.push(k);
        }
      });
      spread(values, nulls);
      out.push(values);
    }
  }
  return out;
}

function spread(values: any[], nulls: number[]): void {
  let reached = -1;
  for (const k of nulls) {
    if (k <= reached) continue;
    for (let i = k - 1; i >= 0 && values[i] == null; i--) values[i] = null;
    for (let i = k + 1; i < values.length && values[i] == null; i++) values[(reached = i)] = null;
  }
}

/** As a database joins: each pair of rows with equal keys, and, when outer, those that found none. */
function tabular(parts: Part[], isOuter: boolean): any[][] {
  let left: any[][] = [parts[0].key.values, ...parts[0].fields.map((f) => f.values)];
  for (const { key, fields } of parts.slice(1)) {
    const right = [key.values, ...fields.map((f) => f.values)];
    const rows: Record<string, number[]> = {}; // keys as an object orders them: whole numbers first
    key.values.forEach((v, i) => (rows[v] ??= []).push(i));
    const pairs: [number, number][] = [], alone: number[] = [], seen = new Set<any>();
    left[0].forEach((v, i) => {
      const hits = v == null ? undefined : rows[v];
      if (hits) {
        for (const r of hits) pairs.push([i, r]);
        seen.add(v);
      } else if (isOuter) alone.push(i);
    });
    for (const i of alone) pairs.push([i, -1]);
    if (isOuter) for (const k in rows) if (!seen.has(k)) for (const r of rows[k]) pairs.push([-1, r]);
    left = [
      pairs.map(([l, r]) => (l >= 0 ? left[0][l] : right[0][r])),
      ...left.slice(1).map((c) => pairs.map(([l]) => (l >= 0 ? c[l] : null))), ...right.slice(1).map((c) => pairs.map(([, r]) => (r >= 0 ? c[r] : null))),
    ];
  }
  return left;
}

function keyOf(frames: Frame[], byField: string | undefined): FieldMatcher {
  if (byField) return fieldMatcher({ id: 'byName', options: byField }) as FieldMatcher;
  if (timeField(frames[0])) return fieldMatcher({ id: 'firstTimeField' }) as FieldMatcher;
  return () => false;
}

export function joinByField(frames: Frame[], o: { byField?: string; mode?: string }, _context?: unknown): Frame[] {
  if (frames.length < 2) return frames;
  const matches = keyOf(frames, o.byField), parts: Part[] = [];
  let dropped = false;
  for (const frame of frames) {
    const part = frame.fields.length ? partOf(frame, frames, matches) : null;
    if (part) parts.push(part);
    else dropped = true;
  }
  const refId = `joinByField-${frames.map((f) => f.refId).join('-')}`;
  if (!parts.length) return [{ refId, length: 0, fields: [] }];
  const originals = [parts[0].key, ...parts.flatMap((p) => p.fields)];
  for (const p of parts) for (const f of p.fields) if (f.state) delete f.state.displayName;
  if (dropped && o.mode === 'inner') return [{ refId, length: 0, fields: originals.map((f) => column(f, [])) }];
  const columns = o.mode === 'outerTabular' ? tabular(parts, true) : o.mode === 'inner' ? tabular(parts, false) : outer(parts);
  return [{ refId, length: columns[0]?.length ?? 0, fields: originals.map((f, i) => column(f, columns[i])) }];
}

/** Frames that all have one time column of the same name become one; others stay. */
export function onOneTime(frames: Frame[]): Frame[] {
  const names = new Set(frames.map((f) => timeField(f)?.name));
  const [name] = names;
  return frames.length > 1 && names.size === 1 && name ? joinByField(frames, { byField: name }) : frames;
}

