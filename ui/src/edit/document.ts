// A dashboard's JSON while it is edited: plain functions that change it in place. What they do not know they leave alone.
import type { Panel } from '../dash/schema';
import { placeRows, readDashboard } from '../dash/migrate';
import '../dash/old-panels'; // panels of old plugins are brought to today's shape when they are edited
import { fromV2, isV2 } from '../dash/v2';
import { below, columns, moved, packed, type Box } from './arrange';
import { same } from './json';

export type Json = Record<string, any>;
const isObject = (v: unknown): v is Json => typeof v === 'object' && v !== null && !Array.isArray(v);
const list = (v: unknown): any[] => (Array.isArray(v) ? v : []);

/** The dashboard inside what wraps it: an API's answer, a resource, a list of one. */
export function inner(root: any): Json {
  const v = Array.isArray(root) && root.length === 1 ? root[0] : root;
  if (isObject(v) && isObject(v.dashboard) && !v.panels && !v.rows) return v.dashboard;
  if (isObject(v) && isObject(v.spec) && (v.kind === 'Dashboard' || v.apiVersion)) return v.spec;
  return isObject(v) ? v : {};
}

export const isSecond = (root: any): boolean => isV2(inner(root));

/** The root with panels[] in the first schema's shape, every panel with an id of its own. What has that already stays as it is. */
export function classic(root: any): any {
  let out = structuredClone(root), d = inner(out);
  if (isV2(d)) {
    const wrapped = Array.isArray(out) ? out[0] : out, v1 = JSON.parse(JSON.stringify(fromV2(d, wrapped.metadata)));
    out = v1;
    d = v1;
  }
  if (list(d.rows).length && !list(d.panels).length) {
    let spare = 1_000_000;
    d.panels = placeRows(d.rows.filter(isObject), () => spare++);
    delete d.rows;
  }
  if (!Array.isArray(d.panels)) d.panels = [];
  // As the reader counts them: rows' panels after the row.
  const taken = new Set<number>();
  const name = (p: Json): void => {
    if (!isObject(p)) return;
    if (!Number.isInteger(p.id) || p.id <= 0 || taken.has(p.id)) p.id = Math.max(0, ...taken) + 1;
    taken.add(p.id);
    if (p.type === 'row') for (const c of list(p.panels)) name(c);
  };
  d.panels.forEach(name);
  return out;
}

export function everyPanel(d: Json): Json[] {
  return list(d.panels).filter(isObject).flatMap((p) => [p, ...(p.type === 'row' ? list(p.panels).filter(isObject) : [])]);
}
export const panelOf = (d: Json, id: number): Json | undefined => everyPanel(d).find((p) => p.id === id);
export const freeId = (d: Json): number => Math.max(0, ...everyPanel(d).map((p) => Number(p.id) || 0)) + 1;

// ---- places ----

const whole = (v: unknown, d: number): number => (Number.isFinite(Number(v)) && v !== null && v !== undefined ? Math.floor(Number(v)) : d);
const boxOf = (p: Json): Box => ({ id: p.id, x: p.type === 'row' ? 0 : whole(p.gridPos?.x, 0), y: whole(p.gridPos?.y, 0), w: p.type === 'row' ? columns : whole(p.gridPos?.w, 12), h: p.type === 'row' ? 1 : whole(p.gridPos?.h, 8) });
export const boxesOf = (d: Json): Box[] => list(d.panels).filter(isObject).map(boxOf);

/** Writes places into the panels; those of other members of gridPos stay. */
function place(d: Json, boxes: Box[]): void {
  const by = new Map(boxes.map((b) => [b.id, b]));
  for (const p of list(d.panels)) {
    const b = isObject(p) && by.get(p.id);
    if (!b) continue;
    const was = boxOf(p);
    if (!isObject(p.gridPos) || was.x !== b.x || was.y !== b.y || was.w !== b.w || was.h !== b.h) p.gridPos = { ...(isObject(p.gridPos) ? p.gridPos : {}), h: b.h, w: b.w, x: b.x, y: b.y };
  }
}

export function movePanel(d: Json, id: number, to: Partial<Box>): void {
  place(d, moved(boxesOf(d), id, to));
}

export interface Section { row: Json | null; panels: Json[] }
/** The rows with what stands under each, from top to bottom. */
export function sections(d: Json): Section[] {
  const out: Section[] = [{ row: null, panels: [] }];
  for (const p of [...list(d.panels).filter(isObject)].sort((a, b) => boxOf(a).y - boxOf(b).y || boxOf(a).x - boxOf(b).x)) {
    if (p.type === 'row') out.push({ row: p, panels: [] });
    else out[out.length - 1].panels.push(p);
  }
  return out;
}

/** Exchanges a row and what stands under it with its neighbour. */
export function moveRow(d: Json, id: number, by: 1 | -1): void {
  const all = sections(d), at = all.findIndex((s) => s.row?.id === id), to = at + by;
  if (at < 1 || to < 1 || to >= all.length) return;
  [all[at], all[to]] = [all[to], all[at]];
  let y = 0;
  const boxes: Box[] = [];
  for (const s of all) {
    const own = s.panels.map(boxOf), top = Math.min(...own.map((b) => b.y)), from = y + (s.row ? 1 : 0);
    if (s.row) boxes.push({ ...boxOf(s.row), y });
    y = from;
    for (const b of own) {
      boxes.push({ ...b, y: from + b.y - top });
      y = Math.max(y, from + b.y - top + b.h);
    }
  }
  place(d, boxes);
}

/** Closes a row over its panels, or opens it and makes room for them. */
export function foldRow(d: Json, id: number): void {
  const row = panelOf(d, id);
  if (!row) return;
  if (row.collapsed) {
    const kept = list(row.panels).filter(isObject), top = Math.min(...kept.map((p) => boxOf(p).y)), y = boxOf(row).y + 1, height = below(kept.map(boxOf)) - top;
    row.collapsed = false;
    row.panels = [];
    for (const p of list(d.panels)) if (isObject(p) && p !== row && boxOf(p).y >= y) p.gridPos = { ...p.gridPos, y: boxOf(p).y + Math.max(0, height) };
    const at = d.panels.indexOf(row) + 1;
    for (const p of kept) p.gridPos = { ...p.gridPos, y: y + boxOf(p).y - top };
    d.panels.splice(at, 0, ...kept);
  } else {
    const mine = sections(d).find((s) => s.row === row)?.panels ?? [];
    row.collapsed = true;
    row.panels = mine;
    d.panels = d.panels.filter((p: Json) => !mine.includes(p));
  }
  place(d, packed(boxesOf(d)));
}

// ---- panels ----

export const freshPanel = (d: Json, type = 'timeseries'): Json => ({
  id: freeId(d), type, title: type === 'text' ? '' : 'New panel', gridPos: { h: 8, w: 12, x: 0, y: below(boxesOf(d)) },
  fieldConfig: { defaults: type === 'timeseries' ? { custom: { lineWidth: 1, fillOpacity: 10, showPoints: 'auto' } } : {}, overrides: [] }, options: type === 'text' ? { mode: 'markdown', content: '' } : type === 'timeseries' ? { legend: { showLegend: true, displayMode: 'list', placement: 'bottom', calcs: [] }, tooltip: { mode: 'multi', sort: 'desc' } } : {},
  ...(type === 'text' ? {} : { targets: [{ refId: 'A', expr: '', editorMode: 'code', range: true }] }),
});

export function addPanel(d: Json, panel: Json): void {
  const { gridPos } = panel, boxes = boxesOf(d), last = Math.max(0, ...boxes.map((b) => b.y));
  // Beside the last one, where there is room.
  const beside = { id: -1, x: columns - gridPos.w, y: last, w: gridPos.w, h: gridPos.h };
  if (last > 0 && !boxes.some((b) => b.x < beside.x + beside.w && beside.x < b.x + b.w && b.y + b.h > last)) Object.assign(gridPos, { x: beside.x, y: last });
  d.panels.push(panel);
  place(d, packed(boxesOf(d), panel.id));
}

export const addRow = (d: Json): number => {
  const id = freeId(d);
  d.panels.push({ id, type: 'row', title: 'New row', collapsed: false, panels: [], gridPos: { h: 1, w: columns, x: 0, y: below(boxesOf(d)) } });
  return id;
};

export function duplicatePanel(d: Json, id: number): number {
  const p = panelOf(d, id), copy = structuredClone(p) as Json, home = list(d.panels).includes(p) ? d : everyPanel(d).find((r) => list(r.panels).includes(p));
  copy.id = freeId(d);
  delete copy.libraryPanel;
  const b = boxOf(copy), right = b.x + 2 * b.w <= columns;
  copy.gridPos = { ...copy.gridPos, x: right ? b.x + b.w : b.x, y: right ? b.y : b.y + b.h };
  home?.panels.splice(home.panels.indexOf(p) + 1, 0, copy);
  if (home === d) place(d, packed(boxesOf(d), copy.id));
  return copy.id;
}

export function removePanel(d: Json, id: number, withPanels = false): void {
  const p = panelOf(d, id);
  if (!p) return;
  if (p.type === 'row' && !withPanels && p.collapsed) foldRow(d, id);
  const under = p.type === 'row' && withPanels ? (sections(d).find((s) => s.row === p)?.panels ?? []) : [];
  for (const holder of [d, ...everyPanel(d).filter((x) => x.type === 'row')]) if (Array.isArray(holder.panels)) holder.panels = holder.panels.filter((x: Json) => x !== p && !under.includes(x));
  place(d, packed(boxesOf(d)));
}

/** What old plugins kept at a panel's root: their successors have it elsewhere. */
const left = ('aliasColors bars dashLength dashes fill fillGradient hiddenSeries legend lines linewidth nullPointMode percentage pointradius points renderer seriesOverrides spaceLength stack steppedLine thresholds timeRegions tooltip xaxis yaxes yaxis grid x-axis y-axis '
  + 'colorBackground colorPostfix colorPrefix colorValue colors format gauge mappingType mappingTypes nullText postfix postfixFontSize prefix prefixFontSize rangeMaps sparkline tableColumn valueFontSize valueMaps valueName decimals columns fontSize scroll showHeader sort styles transform '
  + 'pageSize span height editable error minSpan content mode cards color dataFormat heatmap highlightCards hideZeroBuckets reverseYBuckets tooltipDecimals xBucketNumber xBucketSize yBucketBound yBucketNumber yBucketSize yAxis xAxis pieType breakPoint combine legendType strokeWidth').split(' ');

/** A panel of an old plugin, or with settings at old places, as the reader sees it; others are left as they are. Is it changed? */
export function modernise(raw: Json, seen: Panel): boolean {
  const old = raw.type !== seen.type || raw.options?.fieldOptions || raw.options?.valueOptions || (raw.type === 'table' && Array.isArray(raw.styles) && !isObject(raw.options)) || (raw.type === 'text' && raw.options?.content === undefined && raw.content !== undefined);
  if (!old) return false;
  const plain = JSON.parse(JSON.stringify({ type: seen.type, options: seen.options, fieldConfig: seen.fieldConfig })), before = structuredClone(raw);
  for (const k of left) delete raw[k];
  Object.assign(raw, plain);
  delete raw.pluginVersion;
  if (seen.transformations.length) raw.transformations = JSON.parse(JSON.stringify(seen.transformations));
  if (Array.isArray(raw.targets)) raw.targets.forEach((x: Json, i: number) => { if (isObject(x) && seen.targets[i]) { x.refId ??= seen.targets[i].refId; for (const k of ['format', 'instant', 'range', 'legendFormat']) if (x[k] === undefined && seen.targets[i][k] !== undefined) x[k] = seen.targets[i][k]; } });
  return !same(before, raw);
}

/** Sets a value at a path ("custom.lineWidth"), or takes it away; empty holders that are left go too. */
export function setPath(into: Json, path: string, value: unknown): void {
  const [first, ...rest] = path.split('.');
  if (first === '__proto__') return;
  if (!rest.length) {
    if (value === undefined) delete into[first];
    else into[first] = value;
    return;
  }
  if (!isObject(into[first])) {
    if (value === undefined) return;
    into[first] = {};
  }
  setPath(into[first], rest.join('.'), value);
}
export function getPath(from: any, path: string): any {
  return path.split('.').reduce((v, k) => (v === null || v === undefined ? undefined : v[k]), from);
}

export const read = (root: unknown): ReturnType<typeof readDashboard> => readDashboard(root);
