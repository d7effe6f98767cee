// Panels as the file has them, with their settings at today's places. Those of old plugins (old-panels.ts) are read by a part that loads
// when a file has some.
import type { FieldConfig, Mapping, Step, Thresholds } from './frames';
import { reducerId } from './reduce';
import type { Panel } from './schema';

export type Json = Record<string, any>;
export const isObject = (v: unknown): v is Json => typeof v === 'object' && v !== null && !Array.isArray(v);
export const list = (v: unknown): any[] => (Array.isArray(v) ? v : []);
export const number = (v: unknown): number | undefined => (v === null || v === undefined || v === '' || !Number.isFinite(Number(v)) ? undefined : Number(v));
export const word = (v: unknown): string | undefined => (typeof v === 'string' && v !== '' ? v : undefined);

// ---- pieces that several old panels share ----

/** The first step counts from nowhere: JSON has no -Infinity. */
function fixThresholds(t: any): Thresholds | undefined {
  if (!isObject(t) || !Array.isArray(t.steps)) return undefined;
  const steps = t.steps.filter(isObject).map((s, i): Step => ({ color: String(s.color ?? 'green'), value: s.value === null || s.value === undefined || (i === 0 && s.value === '') ? -Infinity : Number(s.value) }));
  return { mode: t.mode === 'percentage' ? 'percentage' : 'absolute', steps: steps.sort((a, b) => a.value - b.value) };
}

function isNewMapping(m: Json): boolean {
  return /^(value|range|regex|special)$/.test(m.type) && isObject(m.options);
}

/** Mappings were numbered kinds with from, to and value beside them. */
export function fixMappings(given: any, steps?: Step[]): Mapping[] {
  const out: Mapping[] = [];
  for (const m of list(given).filter(isObject)) {
    if (isNewMapping(m)) {
      out.push(m as Mapping);
      continue;
    }
    const n = parseFloat(m.text), color = steps?.length && !Number.isNaN(n) ? [...steps].reverse().find((s) => n >= s.value)?.color : undefined;
    const result = { text: m.text === undefined ? undefined : String(m.text), ...(color ? { color } : {}) };
    if (m.type === 2 || (m.from !== undefined && m.value === undefined)) {
      if (m.from === 'null' || m.to === 'null') out.push({ type: 'special', options: { match: 'null', result } });
      else out.push({ type: 'range', options: { from: number(m.from) ?? null, to: number(m.to) ?? null, result } });
    } else if (m.value === 'null' || m.value === null) out.push({ type: 'special', options: { match: 'null', result } });
    else if (m.value !== undefined) out.push({ type: 'value', options: { [String(m.value)]: result } });
  }
  return out;
}

export function stripEmpty(o: Json): Json {
  return Object.fromEntries(Object.entries(o).filter(([k, v]) => v !== null && v !== undefined && !(Array.isArray(v) && !v.length) && !(isObject(v) && !Object.keys(v).length) && k !== 'custom'));
}

/** What reads panels of old plugins. */
export interface OldKinds { graph: Reader; singlestat: Reader; oldTable: Reader; oldHeatmap: Reader; oldPie: Reader }
type Reader = (panel: Panel, old: Json) => void;
let oldKinds: OldKinds | null = null;
export function setOldKinds(kinds: OldKinds): void {
  oldKinds = kinds;
}

const oldWords = /"(graph|singlestat|grafana-singlestat-panel|table-old|heatmap|grafana-piechart-panel|styles|yaxes|seriesOverrides)"/;
/** Brings that part when the text of a dashboard names any of it. */
export async function readyFor(text: string): Promise<void> {
  if (!oldKinds && oldWords.test(text)) await import('./old-panels');
}

/** stat, gauge and bargauge of version 6 kept field settings under options.fieldOptions. */
function fieldOptions(panel: Panel): void {
  const fo = panel.options.fieldOptions ?? (panel.options.valueOptions ? { defaults: { unit: panel.options.valueOptions.unit, decimals: panel.options.valueOptions.decimals, min: panel.options.minValue, max: panel.options.maxValue }, calcs: [panel.options.valueOptions.stat], mappings: panel.options.valueMappings, thresholds: panel.options.thresholds } : null);
  if (!isObject(fo)) return;
  const defaults: FieldConfig = { ...(isObject(fo.defaults) ? fo.defaults : {}), ...stripEmpty(panel.fieldConfig.defaults) };
  if (list(fo.thresholds).length && !defaults.thresholds) defaults.thresholds = { mode: 'absolute', steps: list(fo.thresholds).map((s: any, i: number) => ({ color: s.color, value: i === 0 || s.value === null ? -Infinity : s.value })).sort((a, b) => a.value - b.value) };
  if (list(fo.mappings).length && !defaults.mappings?.length) defaults.mappings = fo.mappings;
  if ((defaults as Json).title && !defaults.displayName) defaults.displayName = (defaults as Json).title;
  panel.fieldConfig = { defaults, overrides: [...panel.fieldConfig.overrides, ...list(fo.overrides).filter((o) => isObject(o?.matcher))] };
  panel.options = { ...panel.options, reduceOptions: { calcs: list(fo.calcs).map((c) => reducerId(c) ?? 'mean'), values: !!fo.values, limit: number(fo.limit), fields: '' } };
}

function text(panel: Panel, t: Json): void {
  if (panel.options.content === undefined && t.content !== undefined) panel.options = { ...panel.options, mode: t.mode ?? 'markdown', content: String(t.content) };
}

function renamedTitle(config: Json): void {
  if (config.title && !config.displayName) config.displayName = config.title;
}

const bySeries = new Set(['timeseries', 'trend', 'piechart', 'barchart', 'histogram']);

function fixConfig(panel: Panel): void {
  const { defaults, overrides } = panel.fieldConfig;
  renamedTitle(defaults as Json);
  const fixed = fixThresholds(defaults.thresholds);
  if (fixed) defaults.thresholds = fixed;
  else defaults.thresholds = { mode: 'absolute', steps: [{ value: -Infinity, color: 'green' }, { value: 80, color: 'red' }] };
  if (defaults.mappings) defaults.mappings = fixMappings(defaults.mappings, defaults.thresholds?.steps);
  const color = defaults.color as any;
  if (typeof color === 'string') defaults.color = { mode: color };
  // What a panel has when its file says nothing.
  if (!defaults.color?.mode) defaults.color = { mode: bySeries.has(panel.type) ? 'palette-classic' : panel.type === 'state-timeline' ? 'continuous-GrYlRd' : 'thresholds' };
  if (!isObject(defaults.custom)) delete defaults.custom;
  else {
    // `displayMode` of table cells became cellOptions.
    const { displayMode } = defaults.custom;
    if (panel.type === 'table' && displayMode && !defaults.custom.cellOptions) defaults.custom.cellOptions = cellOptionsOf(displayMode);
  }
  for (const o of overrides) {
    for (const p of o.properties) {
      if (p.id === 'title') p.id = 'displayName';
      if (p.id === 'thresholds') p.value = fixThresholds(p.value) ?? p.value;
      if (p.id === 'mappings') p.value = fixMappings(p.value);
      if (p.id === 'custom.displayMode') {
        p.id = 'custom.cellOptions';
        p.value = cellOptionsOf(p.value);
      }
    }
  }
}

function cellOptionsOf(mode: unknown): Json {
  switch (mode) {
    case 'color-background-solid': return { type: 'color-background', mode: 'basic' };
    case 'color-background': return { type: 'color-background', mode: 'gradient' };
    case 'basic': return { type: 'gauge', mode: 'basic' };
    case 'gradient-gauge': return { type: 'gauge', mode: 'gradient' };
    case 'lcd-gauge': return { type: 'gauge', mode: 'lcd' };
  }
  return { type: String(mode ?? 'auto') };
}

const aliases: Record<string, string> = { 'grafana-singlestat-panel': 'singlestat', 'vonage-status-panel': 'vonage-status-panel', 'natel-discrete-panel': 'state-timeline', 'flant-statusmap-panel': 'status-history', 'michaeldmoore-multistat-panel': 'bargauge', 'farski-blendstat-panel': 'stat', bar: 'barchart' };

/** Brings a panel to today's type and places; `old` is the panel as the file has it. */
export function migratePanel(panel: Panel, old: Json): void {
  const kinds = (): OldKinds => { if (!oldKinds) throw new Error('a panel of an old plugin; reload the page'); return oldKinds; };
  const type = aliases[panel.type] ?? panel.type;
  if (type !== panel.type) {
    panel.was = panel.type;
    panel.type = type;
  }
  switch (type) {
    case 'graph': case '': if (type === 'graph' || old.yaxes || old.seriesOverrides) kinds().graph(panel, old); break;
    case 'singlestat': kinds().singlestat(panel, old); break;
    case 'table-old': kinds().oldTable(panel, old); break;
    case 'table': if (Array.isArray(old.styles) && !isObject(old.options)) kinds().oldTable(panel, old); break;
    case 'heatmap': if (!isObject(old.options) && (isObject(old.color) || isObject(old.yAxis))) kinds().oldHeatmap(panel, old); break;
    case 'grafana-piechart-panel': kinds().oldPie(panel, old); break;
    case 'text': text(panel, old); break;
    case 'state-timeline': case 'status-history': if (panel.was) panel.fieldConfig.defaults.color ??= { mode: 'thresholds' }; break;
    case 'stat': case 'gauge': case 'bargauge': fieldOptions(panel); break;
  }
  fixConfig(panel);
}
