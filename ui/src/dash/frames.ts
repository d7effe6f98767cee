// Tables of columns, as dashboards mean them: a query's answer becomes frames, transformations turn frames into frames, panels draw them.

export type Labels = Record<string, string>;
export type FieldType = 'time' | 'number' | 'string' | 'boolean' | 'enum' | 'frame' | 'nestedFrames' | 'other';
export interface ColorConfig { mode: string; fixedColor?: string; seriesBy?: 'last' | 'min' | 'max' }
export interface Step { value: number; color: string }
export interface Thresholds { mode: 'absolute' | 'percentage'; steps: Step[] }
export interface MappingResult { text?: string; color?: string; icon?: string; index?: number }
export type Mapping =
  | { type: 'value'; options: Record<string, MappingResult> }
  | { type: 'range'; options: { from?: number | null; to?: number | null; result: MappingResult } }
  | { type: 'regex'; options: { pattern: string; result: MappingResult } }
  | { type: 'special'; options: { match: string; result: MappingResult } };
export interface DataLink { title?: string; url?: string; targetBlank?: boolean; internal?: unknown; oneClick?: boolean }
export interface FieldConfig {
  displayName?: string; displayNameFromDS?: string; unit?: string; decimals?: number | null; min?: number | null; max?: number | null; fieldMinMax?: boolean; noValue?: string;
  color?: ColorConfig; thresholds?: Thresholds; mappings?: Mapping[]; links?: DataLink[]; custom?: Record<string, any>; nullValueMode?: string; interval?: number; filterable?: boolean; description?: string;
  type?: { enum?: { text?: string[]; color?: string[] } };
}
export interface Range { min: number | null; max: number | null; delta: number }
export interface FieldState { displayName?: string | null; multipleFrames?: boolean; seriesIndex?: number; range?: Range; calcs?: Record<string, unknown> }
export interface Field { name: string; type: FieldType; config: FieldConfig; values: any[]; labels?: Labels; state?: FieldState; entities?: unknown }
export interface Frame { name?: string; refId?: string; meta?: Record<string, any>; fields: Field[]; length: number }

export const timeName = 'Time', valueName = 'Value';

export function formatLabels(labels: Labels | undefined): string {
  const keys = labels ? Object.keys(labels).sort() : [];
  return keys.length ? `{${keys.map((k) => `${k}="${(labels as Labels)[k]}"`).join(', ')}}` : '';
}

/** The one label name that occurs in these frames; null when there are none or several. */
function onlyLabel(frames: Frame[]): string | null {
  let one: string | null = null;
  for (const frame of frames) {
    for (const { labels } of frame.fields) {
      for (const key in labels) {
        if (one === null) one = key;
        else if (one !== key) return null;
      }
    }
  }
  return one;
}

/** The second and later fields of one name in a frame are numbered. */
function numbered(field: Field, frame: Frame | undefined): string {
  let same = 0, at = 0;
  for (const other of frame?.fields ?? []) {
    if (other === field) at = same + 1;
    else if (other.name === field.name) same++;
    if (at && same) break;
  }
  return same ? `${field.name} ${at > 1 ? at : same}` : field.name;
}

function derivedName(field: Field, frame?: Frame, frames?: Frame[], single?: string | null): string {
  const { config, labels } = field;
  if (config.displayName) return config.displayName;
  if (frame && config.displayNameFromDS) return config.displayNameFromDS;
  if (field.type === 'time' && !labels) return field.name ?? timeName;
  const differ = !!frames && frames.length > 1 && frames.some((f, i) => i > 0 && f.name !== frames[i - 1].name);
  const parts: string[] = [];
  if (differ && frame?.name) parts.push(frame.name);
  const told = parts.length > 0;
  if (field.name && field.name !== valueName) parts.push(field.name);
  let labelled = false;
  if (labels && frame) {
    const key = single === undefined ? onlyLabel(frames ?? [frame]) : single;
    const text = key ? labels[key] : formatLabels(labels);
    if (text) {
      parts.push(text);
      labelled = true;
    }
  }
  if (frame?.name && !told && !labelled && field.name === valueName) parts.push(frame.name);
  const name = parts.join(' ') || field.name || valueName;
  return name === field.name ? numbered(field, frame) : name;
}

/** What a field is called on the screen. It is remembered in its state, as transformations in a row rely on. */
export function displayName(field: Field, frame?: Frame, frames?: Frame[]): string {
  const many = !!frames && frames.length > 1, kept = field.state?.displayName;
  if (kept && many === field.state?.multipleFrames) return kept;
  const name = derivedName(field, frame, frames);
  field.state ??= {};
  field.state.displayName = name;
  field.state.multipleFrames = many;
  return name;
}

/** Names every field at once: the search for the one label that differs is done once and not once per field. */
export function nameFields(frames: Frame[]): void {
  const many = frames.length > 1, single = onlyLabel(frames);
  for (const frame of frames) {
    for (const field of frame.fields) {
      if (field.state?.displayName && field.state.multipleFrames === many) continue;
      field.state ??= {};
      field.state.displayName = derivedName(field, frame, frames, single);
      field.state.multipleFrames = many;
    }
  }
}

export function frameName(frame: Frame, index?: number): string {
  if (frame.name) return frame.name;
  const names = frame.fields.filter((f) => f.type !== 'time').slice(0, 2).map((f) => displayName(f, frame));
  if (names.length === 1) return names[0];
  if (index === undefined && frame.fields.length) return frame.fields.filter((f) => f.type !== 'time').map((f) => displayName(f, frame)).join(', ');
  return `Series (${frame.refId || index})`;
}

export const timeField = (frame: Frame): Field | undefined => frame.fields.find((f) => f.type === 'time');

const numberText = /^\s*(-?(\d*\.?\d+|\d+\.?\d*)(e[-+]?\d+)?|NAN)\s*$/i;

function typeOfValue(v: unknown): FieldType {
  if (v instanceof Date) return 'time';
  if (typeof v === 'number') return 'number';
  if (typeof v === 'boolean') return 'boolean';
  if (typeof v === 'string') return numberText.test(v) ? 'number' : /^(true|TRUE|True|false|FALSE|False)$/.test(v) ? 'boolean' : 'string';
  return 'other';
}

/** What a column holds, judged by its name and its first value; undefined when there is none. */
export function guessType(field: Field): FieldType | undefined {
  if (/^(date|time)$/i.test(field.name)) return 'time';
  const first = field.values.find((v) => v != null);
  return first === undefined ? undefined : typeOfValue(first);
}

type Compare = (a: number, b: number) => number;
const collator = new Intl.Collator('en', { sensitivity: 'base' });

/** Empty values come last, as in the tables people know. */
function compareTexts(a: unknown, b: unknown): number {
  return !a || !b ? Number(!a) - Number(!b) : collator.compare(String(a), String(b));
}

function compareTimes(a: any, b: any): number {
  if (!a || !b) return Number(!a) - Number(!b);
  return typeof a === 'number' && typeof b === 'number' ? a - b : Date.parse(a) - Date.parse(b) || 0;
}

function comparerOf({ type, values: v }: Field): Compare {
  switch (type) {
    case 'number': return (a, b) => v[a] - v[b];
    case 'time': return typeof v[0] === 'number' ? (a, b) => v[a] - v[b] : (a, b) => compareTimes(v[a], v[b]);
    case 'boolean': return (a, b) => Number(!v[a]) - Number(!v[b]);
    case 'string': return (a, b) => compareTexts(v[a], v[b]);
    default: return (a, b) => a - b;
  }
}

/** A frame with its rows in the order of one field; equal rows keep theirs. */
export function sortFrame(frame: Frame, at: number, descending = false): Frame {
  const field = frame.fields[at];
  if (!field) return frame;
  const compare = comparerOf(field), order = Array.from({ length: frame.length }, (_, i) => i);
  order.sort(descending ? (a, b) => compare(b, a) : compare);
  return { ...frame, fields: frame.fields.map((f) => ({ ...f, values: f.values.map((_, i) => f.values[order[i]]) })) };
}
