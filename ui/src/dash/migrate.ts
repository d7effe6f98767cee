// Dashboards of every age, read into today's shape. Reading never fails as a whole: what is broken is named in `problems`, the rest opens.
//
// The ages differ in three ways: rows[] became a grid (schema 16), panels of old plugins (graph, singlestat, the first table) became others, and
// settings moved from a panel's root into options and fieldConfig. migrate-panels.ts holds the second and third.
import { migratePanel } from './migrate-panels';
import type { Annotation, DashLink, Dashboard, DatasourceRef, GridPos, Input, Panel, Target, Variable } from './schema';
import { fromV2, isV2 } from './v2';

type Json = Record<string, any>;
const isObject = (v: unknown): v is Json => typeof v === 'object' && v !== null && !Array.isArray(v);
const list = (v: unknown): any[] => (Array.isArray(v) ? v : []);
const text = (v: unknown): string | undefined => (typeof v === 'string' && v !== '' ? v : typeof v === 'number' ? String(v) : undefined);

export function datasourceOf(v: unknown): DatasourceRef | undefined {
  if (typeof v === 'string') return v ? { name: v } : undefined;
  if (!isObject(v)) return undefined;
  return v.type || v.uid || v.name ? { type: text(v.type), uid: text(v.uid), name: text(v.name) } : undefined;
}

/** Takes the dashboard out of what it may be wrapped in: an API's answer, a resource of Kubernetes, a list of one. */
export function unwrap(json: unknown): Json {
  let v: any = Array.isArray(json) && json.length === 1 ? json[0] : json;
  if (isObject(v) && isObject(v.dashboard) && !v.panels && !v.rows) v = v.dashboard;
  if (isObject(v) && isObject(v.spec) && (v.kind === 'Dashboard' || v.apiVersion)) {
    const { spec, metadata } = v;
    if (isV2(spec)) return { ...v };
    return { ...spec, uid: spec.uid ?? metadata?.name };
  }
  return isObject(v) ? v : {};
}

/** Does this look like a dashboard at all? */
export function isDashboard(json: unknown): boolean {
  const v = unwrap(json);
  return Array.isArray(v.panels) || Array.isArray(v.rows) || isV2(v.spec ?? v) || (typeof v.title === 'string' && v.schemaVersion !== undefined);
}

const columns = 24, cell = 38; // a row of the grid and its gap, in pixels

function heightOf(v: unknown, fallback = 250): number {
  const px = typeof v === 'number' ? v : parseInt(String(v ?? ''), 10) || fallback;
  return Math.ceil(Math.max(px, 90) / cell);
}

/** rows[] of twelve columns as a grid of twenty-four. */
export function placeRows(rows: Json[], nextId: () => number): Json[] {
  const out: Json[] = [], titled = rows.some((r) => r.collapse || r.showTitle || r.repeat);
  let y = 0;
  for (const row of rows) {
    const height = heightOf(row.height), header: Json | undefined = titled ? { id: nextId(), type: 'row', title: row.title ?? '', collapsed: !!row.collapse, repeat: row.repeat || undefined, panels: [], gridPos: { x: 0, y: y++, w: columns, h: 1 } } : undefined;
    if (header) out.push(header);
    let x = 0, line = 0;
    for (const p of list(row.panels)) {
      if (!isObject(p)) continue;
      const w = Math.min(columns, Math.max(1, Math.floor((Number(p.span) || 4) * 2))), h = p.height ? heightOf(p.height) : height;
      if (x + w > columns) {
        x = 0;
        y += line;
        line = 0;
      }
      const placed = { ...p, gridPos: { x, y, w, h }, maxPerRow: p.minSpan ? Math.max(1, Math.floor(12 / Number(p.minSpan))) : p.maxPerRow };
      x += w;
      line = Math.max(line, h);
      if (header?.collapsed) header.panels.push(placed);
      else out.push(placed);
    }
    if (!header?.collapsed) y += line || (list(row.panels).length ? height : 0);
  }
  return out;
}

function gridPosOf(v: unknown, y: number): GridPos {
  const g = isObject(v) ? v : {}, whole = (n: unknown, d: number, least: number, most: number): number => (Number.isFinite(Number(n)) && n !== null && n !== undefined ? Math.min(most, Math.max(least, Math.floor(Number(n)))) : d);
  const w = whole(g.w, 12, 1, columns);
  return { w, x: Math.min(whole(g.x, 0, 0, columns - 1), columns - w), h: whole(g.h, 8, 1, 1000), y: whole(g.y, y, 0, 100_000) };
}

function targetsOf(p: Json, panelSource: DatasourceRef | undefined): Target[] {
  const taken = new Set(list(p.targets).map((t) => t?.refId).filter(Boolean));
  const free = (): string => {
    for (const c of 'ABCDEFGHIJKLMNOPQRSTUVWXYZ') if (!taken.has(c)) return taken.add(c), c;
    return `Q${taken.size}`;
  };
  return list(p.targets).filter(isObject).map((t): Target => ({ ...t, refId: text(t.refId) ?? free(), datasource: datasourceOf(t.datasource) ?? panelSource }));
}

interface Reading { problems: string[]; ids: Set<number>; elements: Json; depth: number }

function panelOf(given: unknown, at: string, r: Reading, y: number): Panel | null {
  if (!isObject(given)) {
    r.problems.push(`${at}: not an object`);
    return null;
  }
  let p = given;
  const library = isObject(p.libraryPanel) ? { uid: text(p.libraryPanel.uid), name: text(p.libraryPanel.name) } : undefined;
  if (library) {
    // Its model travels inside the file, or in the export's list of elements.
    const model = p.libraryPanel.model ?? Object.values(r.elements).find((e: any) => e?.uid === library.uid || e?.name === library.name)?.model;
    if (isObject(model)) p = { ...model, id: p.id, gridPos: p.gridPos, title: p.title || model.title, repeat: p.repeat ?? model.repeat };
  }
  let id = Number(p.id);
  if (!Number.isInteger(id) || id <= 0 || r.ids.has(id)) id = Math.max(0, ...r.ids) + 1;
  r.ids.add(id);
  const datasource = datasourceOf(p.datasource);
  const panel: Panel = {
    id, type: text(p.type) ?? (library ? 'library' : ''), title: text(p.title) ?? '', description: text(p.description), transparent: !!p.transparent, gridPos: gridPosOf(p.gridPos, y), datasource, targets: targetsOf(p, datasource),
    options: isObject(p.options) ? structuredClone(p.options) : {}, fieldConfig: { defaults: isObject(p.fieldConfig?.defaults) ? structuredClone(p.fieldConfig.defaults) : {}, overrides: list(p.fieldConfig?.overrides).filter((o) => isObject(o?.matcher)).map((o) => ({ matcher: structuredClone(o.matcher), properties: structuredClone(list(o.properties).filter((x) => isObject(x) && x.id)) })) },
    transformations: list(p.transformations).filter((x) => isObject(x) && x.id), links: list(p.links).filter(isObject).map((l) => ({ title: text(l.title) ?? text(l.dashboard) ?? '', url: text(l.url) ?? text(l.dashUri), targetBlank: !!l.targetBlank })), repeat: text(p.repeat),
    repeatDirection: p.repeatDirection === 'v' ? 'v' : 'h', maxPerRow: Number(p.maxPerRow) || undefined, interval: text(p.interval), maxDataPoints: Number(p.maxDataPoints) > 0 ? Number(p.maxDataPoints) : undefined, timeFrom: text(p.timeFrom), timeShift: text(p.timeShift), hideTimeOverride: !!p.hideTimeOverride, library,
  };
  if (panel.type === 'row') {
    panel.collapsed = !!p.collapsed;
    panel.gridPos = { ...panel.gridPos, x: 0, w: columns, h: 1 };
    panel.panels = r.depth > 0 ? [] : list(p.panels).map((c, i) => panelOf(c, `${at}.panels[${i}]`, { ...r, depth: r.depth + 1 }, panel.gridPos.y + 1)).filter((c): c is Panel => c !== null);
    return panel;
  }
  try {
    migratePanel(panel, p);
  } catch (e) {
    r.problems.push(`${at} ("${panel.title}"): ${e instanceof Error ? e.message : String(e)}`);
  }
  return panel;
}

const asList = (v: unknown): string[] => (Array.isArray(v) ? v : v === undefined || v === null ? [] : [v]).map(String);

function variableOf(v: Json): Variable {
  const current = isObject(v.current) ? v.current : {};
  const options = list(v.options).filter(isObject).map((o) => ({ text: String(o.text ?? o.value ?? ''), value: asList(o.value ?? o.text)[0] ?? '', selected: !!o.selected })).filter((o) => o.value !== '$__all');
  const value = current.value === undefined && current.text === undefined ? [] : asList(current.value ?? current.text);
  return {
    type: text(v.type) ?? 'query', name: text(v.name) ?? '', label: text(v.label), description: text(v.description), hide: v.hide === 2 || v.hide === 1 ? v.hide : v.hide === true ? 2 : 0, multi: !!v.multi, includeAll: !!v.includeAll,
    allValue: text(v.allValue), options, current: { value, text: current.text === undefined ? value : asList(current.text) }, query: v.query, datasource: datasourceOf(v.datasource), regex: text(v.regex), sort: Number(v.sort) || 0,
    refresh: v.refresh === 2 ? 2 : v.refresh === 1 || v.refresh === true ? 1 : 0, auto: !!v.auto, autoCount: Number(v.auto_count) || 30, autoMin: text(v.auto_min) ?? '10s', skipUrlSync: !!v.skipUrlSync,
    filters: list(v.filters).filter(isObject).map((f) => ({ key: String(f.key ?? ''), operator: String(f.operator ?? '='), value: String(f.value ?? ''), values: Array.isArray(f.values) ? f.values.map(String) : undefined })),
  };
}

function annotationOf(a: Json): Annotation {
  return {
    name: text(a.name) ?? '', enable: a.enable !== false, hide: !!a.hide, color: text(a.iconColor) ?? 'red', datasource: datasourceOf(a.datasource), builtIn: !!a.builtIn || a.type === 'dashboard', expr: text(a.expr) ?? text(a.target?.expr), step: text(a.step),
    titleFormat: text(a.titleFormat), textFormat: text(a.textFormat), tagKeys: text(a.tagKeys), useValueForTime: a.useValueForTime === true || a.useValueForTime === 'on', target: a.target, filter: isObject(a.filter) ? a.filter : undefined,
  };
}

function linkOf(l: Json): DashLink {
  return { type: l.type === 'dashboards' ? 'dashboards' : 'link', title: text(l.title) ?? '', url: text(l.url), icon: text(l.icon), tags: list(l.tags).map(String), asDropdown: !!l.asDropdown, includeVars: !!l.includeVars, keepTime: !!l.keepTime, targetBlank: !!l.targetBlank, tooltip: text(l.tooltip) };
}

/** Reads a parsed file. `inputs` fills what an export asks for ("${DS_PROMETHEUS}"). */
export function readDashboard(json: unknown): Dashboard {
  let d = unwrap(json);
  const problems: string[] = [];
  if (isV2(d.spec ?? d)) {
    try {
      d = fromV2(d.spec ?? d, d.metadata);
    } catch (e) {
      problems.push(`the file's layout could not be read: ${e instanceof Error ? e.message : String(e)}`);
      d = {};
    }
  }
  const r: Reading = { problems, ids: new Set(), elements: isObject(d.__elements) ? d.__elements : Object.fromEntries(list(d.__elements).map((e, i) => [i, e])), depth: 0 };
  const version = Number(d.schemaVersion) || 0;
  let spare = 1_000_000;
  const given = Array.isArray(d.rows) && d.rows.length && !list(d.panels).length ? placeRows(d.rows.filter(isObject), () => spare++) : list(d.panels);
  const panels: Panel[] = [];
  let bottom = 0;
  given.forEach((p, i) => {
    const panel = panelOf(p, `panels[${i}]`, r, bottom);
    if (!panel) return;
    bottom = Math.max(bottom, panel.gridPos.y + panel.gridPos.h);
    panels.push(panel);
  });
  panels.sort((a, b) => a.gridPos.y - b.gridPos.y || a.gridPos.x - b.gridPos.x);
  const named = <T extends { name: string }>(v: T): boolean => v.name !== '';
  const inputs = list(d.__inputs).filter(isObject).map((i): Input => ({ name: String(i.name ?? ''), type: String(i.type ?? ''), label: text(i.label), pluginId: text(i.pluginId), value: text(i.value) }));
  return {
    uid: text(d.uid) ?? '', title: text(d.title) ?? '', description: text(d.description), tags: list(d.tags).map(String), timezone: text(d.timezone) ?? 'browser', weekStart: text(d.weekStart), refresh: text(d.refresh) ?? '',
    time: { from: text(d.time?.from) ?? 'now-6h', to: text(d.time?.to) ?? 'now' }, intervals: list(d.timepicker?.refresh_intervals).map(String), hideControls: !!(d.hideControls || d.timepicker?.hidden), nowDelay: text(d.timepicker?.nowDelay),
    crosshair: d.sharedCrosshair ? 1 : d.graphTooltip === 1 || d.graphTooltip === 2 ? d.graphTooltip : 0, panels, variables: list(d.templating?.list).filter(isObject).map(variableOf).filter(named),
    annotations: list(d.annotations?.list).filter(isObject).map(annotationOf), links: list(d.links).filter(isObject).map(linkOf), schemaVersion: version, editable: d.editable !== false, inputs, problems,
  };
}
