// A dashboard that is open: its time, its variables and their choices, and the answers of its panels. Pages read the signals; nothing here draws.
import { signal, type Signal } from '@preact/signals';
import { api, ApiError, type QueryData, type Series } from '../api';
import { parseColumns, type ColumnSeries } from './columns';
import type { Field, Frame } from './frames';
import { aligned, durationMs, intervalFor, parseTime, printStep, stepsFor, type Span, type Steps } from './range';
import { RequestQueue } from './queue';
import type { Annotation, Dashboard, GridPos, Option, Panel, Target, Variable } from './schema';
import { bucketFrames, legendText, resolveSource, seriesFrames, tableFrame, type Store } from './source';
import { ALL, choose, customOptions, datasourceOptions, intervalOptions, looksLikeMetric, optionsFrom, parseVariableQuery, queryText, scopeOf, toUrl, validated, waves, withFilters } from './variables';
import { formats, interpolate, plain, promql, urlPart, type Format, type Scope, type Value } from './vars';

export interface Asked { refId: string; expr: string; kind: string; start?: number; end: number; step?: number; ms: number; series: number }
export interface Answer { frames: Frame[]; errors: { refId: string; error: ApiError }[]; notes: string[]; missing: string[]; unknown: string[]; asked: Asked[]; span: Span; steps: Steps }
export interface Region { from: number; to: number; title: string; text: string; tags: string[]; color: string; name: string }

export const queue = new RequestQueue(6);
const key = (path: string, params: Record<string, string | string[]>): string => `${path}?${JSON.stringify(params)}`;
const ask = <T>(path: string, params: Record<string, string | string[]>, signal?: AbortSignal): Promise<{ data: T; warnings: string[]; infos: string[] }> => queue.ask(key(path, params), (s) => api<T>(path, params, s), signal);
/** Ranges that become columns. */
const askColumns = (params: Record<string, string>, signal?: AbortSignal): Promise<{ data: QueryData; warnings: string[]; infos: string[] }> => queue.ask(`${key('query_range', params)} columns`, (s) => api<QueryData>('query_range', params, s, parseColumns), signal);
const asError = (e: unknown): ApiError => (e instanceof ApiError ? e : new ApiError('internal', e instanceof Error ? e.message : String(e), 0));

export type Locals = Record<string, Value>;

export class View {
  readonly variables: Signal<Variable[]>;
  readonly times: Signal<{ from: string; to: string }>;
  /** Raised at each refresh and each change of time or variables. */
  readonly turn = signal(0);
  readonly ready = signal(false);
  readonly regions = signal<Region[]>([]);
  readonly answers = new Map<number, Answer>();
  span: Span = { from: 0, to: 0 };
  now = Date.now();

  private defined: string;

  constructor(public dashboard: Dashboard, readonly stores: Store[], times: { from: string; to: string }, readonly scrapeMs = 15000) {
    this.variables = signal(dashboard.variables);
    this.times = signal(times);
    this.defined = definitions(dashboard.variables);
    this.resolveTime();
  }

  /** The same dashboard, edited. What did not change keeps its objects, so that none of it is asked or drawn again. */
  adopt(next: Dashboard): Dashboard {
    const before = new Map(this.dashboard.panels.flatMap((p) => [p, ...(p.panels ?? [])]).map((p) => [p.id, p]));
    const keep = (p: Panel): Panel => { const b = before.get(p.id); return b && JSON.stringify(b) === JSON.stringify(p) ? b : p.panels ? { ...p, panels: p.panels.map(keep) } : p; };
    const was = this.dashboard, defined = definitions(next.variables);
    this.dashboard = { ...next, panels: next.panels.map(keep) };
    if (defined !== this.defined) {
      this.defined = defined;
      const old = new Map(this.variables.value.map((v) => [v.name, v]));
      this.variables.value = next.variables.map((v) => { const o = old.get(v.name); return o && o.type === v.type && o.multi === v.multi ? { ...v, current: o.current } : v; });
      void this.loadVariables().then(() => this.refresh(), () => {});
    } else if (was.timezone !== next.timezone || was.weekStart !== next.weekStart || was.nowDelay !== next.nowDelay) this.refresh();
    return this.dashboard;
  }

  get zone(): string {
    return this.dashboard.timezone === 'browser' || !this.dashboard.timezone ? 'browser' : this.dashboard.timezone;
  }

  resolveTime(): void {
    this.now = Date.now() - durationMs(this.dashboard.nowDelay);
    const { from, to } = this.times.value, week = this.dashboard.weekStart;
    const a = parseTime(from, this.now, this.zone, false, week) ?? this.now - 6 * 3600000, b = parseTime(to, this.now, this.zone, true, week) ?? this.now;
    this.span = b > a ? { from: a, to: b } : { from: b - 3600000, to: b };
  }

  refresh(): void {
    this.resolveTime();
    this.turn.value++;
  }

  /** Built-in names, then those of a repeat, then the dashboard's. */
  scope(locals: Locals = {}, span: Span = this.span): Scope {
    const seconds = Math.round((span.to - span.from) / 1000), d = this.dashboard;
    const builtIn = (name: string, path?: string): Value | undefined => {
      if (Object.hasOwn(locals, name)) return locals[name];
      switch (name) {
        case '__from': return { value: String(Math.round(span.from)) };
        case '__to': return { value: String(Math.round(span.to)) };
        case '__range': return { value: `${seconds}s` };
        case '__range_s': return { value: String(seconds) };
        case '__range_ms': return { value: String(Math.round(span.to - span.from)) };
        case '__dashboard': return { value: path === 'uid' ? d.uid : d.title };
        case '__org': return { value: path === 'name' ? 'Main' : '1' };
        case '__user': return { value: path === 'login' ? 'anonymous' : path === 'email' ? '' : '0' };
        case '__name': return undefined;
        case 'timezone': case '__timezone': return { value: this.zone };
        case 'timeFilter': case '__timeFilter': return { value: '' };
        case '__url_time_range': return { value: this.urlTime(), raw: true };
        case '__all_variables': return { value: this.urlVariables(), raw: true };
      }
      return undefined;
    };
    const own = scopeOf(this.variables.value, builtIn);
    return (name, path) => {
      const v = own(name, path);
      const chosen = v && typeof v.value === 'string' && v.value.startsWith('$__auto') ? this.autoInterval(name) : v;
      return chosen ?? (name.startsWith('__auto_interval_') ? this.autoInterval(name.slice(16)) : undefined);
    };
  }

  private autoInterval(name: string): Value | undefined {
    const v = this.variables.value.find((x) => x.name === name);
    return v && { value: printStep(intervalFor(this.span, v.autoCount ?? 30, v.autoMin)) };
  }

  urlTime(): string {
    const { from, to } = this.times.value;
    return `from=${encodeURIComponent(from)}&to=${encodeURIComponent(to)}`;
  }

  urlVariables(): string {
    return this.variables.value.flatMap((v) => toUrl(v).map((x) => `var-${encodeURIComponent(v.name)}=${encodeURIComponent(x)}`)).join('&');
  }

  text(text: string, locals: Locals = {}, format: Format = plain): string {
    return interpolate(text, this.scope(locals), format, this.zone);
  }

  // ---- variables ----

  /** Fills the choices of every variable, those that others need first. */
  async loadVariables(signal?: AbortSignal, onlyTime = false): Promise<void> {
    for (const wave of waves(this.variables.value)) {
      const done = await Promise.all(wave.map(async (given): Promise<Variable> => {
        const v = this.variables.value.find((x) => x.name === given.name) ?? given;
        if (onlyTime && v.refresh !== 2 && v.options.length) return v;
        try {
          const options = await this.optionsOf(v, signal);
          if (options === null) return v;
          const filled = { ...v, options, problem: undefined };
          return choose(filled, validated(filled));
        } catch (e) {
          if (signal?.aborted) throw e;
          return { ...v, problem: asError(e).message };
        }
      }));
      const by = new Map(done.map((v) => [v.name, v]));
      this.variables.value = this.variables.value.map((v) => by.get(v.name) ?? v);
    }
    this.ready.value = true;
  }

  private async optionsOf(v: Variable, signal?: AbortSignal): Promise<Option[] | null> {
    switch (v.type) {
      case 'custom': return customOptions(typeof v.query === 'string' ? this.text(v.query) : v.query);
      case 'constant': { const x = String(this.input(v.query) ?? v.current.value[0] ?? ''); return [{ text: x, value: x }]; }
      case 'textbox': { const x = v.current.value[0] ?? String(v.query ?? ''); return [{ text: x, value: x }]; }
      case 'interval': return [...(v.auto ? [{ text: 'auto', value: `$__auto_interval_${v.name}` }] : []), ...intervalOptions(v.query)];
      case 'datasource': return datasourceOptions({ ...v, regex: v.regex && this.text(v.regex) }, this.stores);
      case 'adhoc': case 'groupby': case 'switch': case 'snapshot': return v.options;
    }
    const where = resolveSource(v.datasource, { refId: 'v', expr: 'x' }, this.dashboard, this.scope(), this.stores);
    if (where.kind === 'missing') throw new ApiError('unavailable', `${where.what} is not here.`, 0);
    const q = parseVariableQuery(interpolate(queryText(v), this.scope(), promql, this.zone));
    if (!q) return [];
    const range = { start: (this.span.from / 1000).toFixed(3), end: (this.span.to / 1000).toFixed(3) }, re = v.regex && interpolate(v.regex, this.scope(), (x) => formats.regex(x, [], '', { value: x }, this.zone), this.zone);
    const found = async (): Promise<{ text: string; value: string }[]> => {
      const plainList = (all: string[]): { text: string; value: string }[] => all.map((x) => ({ text: x, value: x }));
      switch (q.kind) {
        case 'label_names': return plainList((await ask<string[]>('labels', { ...range, ...(q.match ? { 'match[]': q.match } : {}) }, signal)).data);
        case 'label_values': return plainList((await ask<string[]>(`label/${encodeURIComponent(q.label)}/values`, { ...range, ...(q.match ? { 'match[]': q.match } : {}) }, signal)).data);
        case 'metrics': { const name = new RegExp(q.pattern); return plainList((await ask<string[]>('label/__name__/values', range, signal)).data.filter((x) => name.test(x))); }
        case 'query_result': {
          const { data } = await ask<QueryData>('query', { query: q.expr, time: range.end }, signal);
          if (data.resultType === 'scalar' || data.resultType === 'string') return plainList([String(data.result[1])]);
          return plainList((data.result as Series[]).map((s) => {
            const { __name__: name = '', ...rest } = s.metric, [at, value] = s.value ?? s.values?.at(-1) ?? [0, ''];
            return `${name}{${Object.entries(rest).map(([k, x]) => `${k}="${x}"`).join(',')}} ${value} ${Math.round(at * 1000)}`;
          }));
        }
        case 'series': return plainList((await ask<Record<string, string>[]>('series', { ...range, 'match[]': q.match }, signal)).data.map(({ __name__: name = '', ...rest }) => `${name}{${Object.entries(rest).map(([k, x]) => `${k}="${x}"`).join(',')}}`));
      }
    };
    return optionsFrom(await found(), re, v.sort);
  }

  private input(text: unknown): unknown {
    const m = typeof text === 'string' ? /^\$\{(\w+)\}$/.exec(text) : null, input = m && this.dashboard.inputs.find((i) => i.name === m[1]);
    return input ? (input.value ?? '') : text;
  }

  choose(name: string, value: string[]): void {
    this.variables.value = this.variables.value.map((v) => (v.name === name ? choose(v.type === 'textbox' ? { ...v, options: [] } : v, value) : v));
  }

  setFilters(name: string, filters: NonNullable<Variable['filters']>): void {
    this.variables.value = this.variables.value.map((v) => (v.name === name ? { ...v, filters } : v));
  }

  // ---- panels ----

  /** The time a panel shows, when it has its own or is shifted. */
  panelSpan(panel: Panel): { span: Span; label: string } {
    let { from, to } = this.span, label = '';
    const own = panel.timeFrom && this.text(panel.timeFrom), shift = panel.timeShift && this.text(panel.timeShift);
    if (own) {
      const start = parseTime(/^now/.test(own) ? own : `now-${own}`, this.now, this.zone);
      if (start !== null) {
        [from, to] = [start, this.now];
        label = own;
      }
    }
    if (shift) {
      const by = durationMs(shift.replace(/^now-?/, ''));
      from -= by;
      to -= by;
      label += `${label ? ' ' : ''}-${shift}`;
    }
    return { span: { from, to }, label: panel.hideTimeOverride ? '' : label };
  }

  /** The least step: the panel's own, or how often the store is filled. */
  private least(panel: Panel, locals: Locals): string {
    return (panel.interval && this.text(panel.interval, locals)) || `${this.scrapeMs}ms`;
  }

  private adhoc(expr: string): string {
    const filters = this.variables.value.filter((v) => v.type === 'adhoc').flatMap((v) => v.filters ?? []);
    return filters.length ? withFilters(expr, filters, looksLikeMetric) : expr;
  }

  private async prometheus(t: Target, panel: Panel, steps: Steps, span: Span, locals: Locals, many: boolean, signal?: AbortSignal): Promise<{ frames: Frame[]; asked: Asked[]; notes: string[] }> {
    const minStep = t.interval && this.text(t.interval, locals), base = durationMs(minStep) || this.scrapeMs, all = stepsFor(span, panel.maxDataPoints ?? Math.round((span.to - span.from) / steps.interval), minStep || this.least(panel, locals), minStep || undefined, Number(t.intervalFactor) || 1, base);
    const step = all.step, inside: Locals = {
      ...locals, __interval: { value: printStep(step) }, __interval_ms: { value: String(step) }, __rate_interval: { value: `${all.rate / 1000}s` }, __rate_interval_ms: { value: String(all.rate) }, interval: locals.interval ?? (this.variables.value.some((v) => v.name === 'interval') ? undefined : { value: printStep(step) }) as Value,
    };
    if (!inside.interval) delete inside.interval;
    const expr = this.adhoc(interpolate(String(t.expr), this.scope(inside, span), promql, this.zone)), isTable = t.format === 'table', isInstant = !!t.instant && !t.range;
    const ends = aligned(span, step), start = (ends.from / 1000).toFixed(3), end = (ends.to / 1000).toFixed(3), began = performance.now();
    const kinds = isInstant ? ['instant'] : t.instant && t.range ? ['range', 'instant'] : ['range'];
    const frames: Frame[] = [], asked: Asked[] = [], notes: string[] = [];
    for (const kind of kinds) {
      const at = (span.to / 1000).toFixed(3);
      const got = await (kind === 'instant' ? ask<QueryData>('query', { query: expr, time: at }, signal) : isTable ? ask<QueryData>('query_range', { query: expr, start, end, step: String(step / 1000) }, signal) : askColumns({ query: expr, start, end, step: String(step / 1000) }, signal));
      notes.push(...got.warnings, ...got.infos);
      const result: ColumnSeries[] = got.data.resultType === 'scalar' || got.data.resultType === 'string' ? [{ metric: {}, value: got.data.result as Series['value'] }] : (got.data.result as ColumnSeries[]);
      asked.push({ refId: t.refId, expr, kind, start: kind === 'range' ? Number(start) : undefined, end: Number(kind === 'range' ? end : at), step: kind === 'range' ? step / 1000 : undefined, ms: performance.now() - began, series: result.length });
      if (isTable) {
        if (result.length) frames.push(tableFrame(result, t.refId, !many));
        continue;
      }
      const legend = t.legendFormat === undefined ? undefined : interpolate(t.legendFormat, this.scope(inside, span), plain, this.zone);
      const made = seriesFrames(result, t.refId, legend, expr, step);
      frames.push(...(t.format === 'heatmap' && !made.some((f) => f.meta?.histograms) ? bucketFrames(made) : made));
    }
    return { frames, asked, notes };
  }

  /** Asks a panel's queries, then runs its transformations. */
  async query(panel: Panel, width: number, locals: Locals = {}, signal?: AbortSignal): Promise<Answer> {
    const { span } = this.panelSpan(panel), points = panel.maxDataPoints ?? Math.max(100, Math.round(width)), steps = stepsFor(span, points, this.least(panel, locals), undefined, 1, this.scrapeMs);
    const out: Answer = { frames: [], errors: [], notes: [], missing: [], unknown: [], asked: [], span, steps }, shown = panel.targets.filter((t) => !t.hide), needed = neededBy(panel.targets), answers = new Map<string, Frame[]>();
    const real = panel.targets.filter((t) => (!t.hide || needed.has(t.refId)) && (typeof t.expr !== 'string' || t.expr.trim() !== ''));
    const wide: Panel = { ...panel, maxDataPoints: points };
    await Promise.all(real.map(async (t) => {
      const where = resolveSource(t.datasource, t, this.dashboard, this.scope(locals), this.stores);
      try {
        if (where.kind === 'missing') out.missing.push(where.what);
        else if (where.kind === 'prometheus' && typeof t.expr === 'string') {
          const got = await this.prometheus(t, wide, steps, span, locals, real.length > 1, signal);
          answers.set(t.refId, got.frames);
          out.asked.push(...got.asked);
          out.notes.push(...got.notes);
        } else if (where.kind === 'dashboard') answers.set(t.refId, await this.fromPanel(Number(t.panelId), width, locals, !!t.withTransforms, signal));
      } catch (e) {
        if (signal?.aborted) throw e;
        out.errors.push({ refId: t.refId, error: asError(e) });
      }
    }));
    for (const t of ordered(panel.targets.filter((x) => resolveSource(x.datasource, x, this.dashboard, this.scope(locals), this.stores).kind === 'expr'))) {
      try {
        const { evaluate } = await import('./expr');
        answers.set(t.refId, evaluate({ ...t, expression: this.text(String(t.expression ?? ''), {}) === t.expression ? t.expression : t.expression }, answers));
      } catch (e) {
        out.errors.push({ refId: t.refId, error: asError(e) });
      }
    }
    const raw = shown.flatMap((t) => answers.get(t.refId) ?? []);
    try {
      // Most panels have none; those that do load them.
      const done = panel.transformations.length ? (await import('./transform')).transform(raw, panel.transformations, { replace: (x) => this.text(x, locals), zone: this.zone }) : { frames: raw, unknown: [] };
      out.frames = done.frames;
      out.unknown = done.unknown;
    } catch (e) {
      out.frames = raw;
      out.errors.push({ refId: '', error: asError(e) });
    }
    out.missing = [...new Set(out.missing)];
    return out;
  }

  private async fromPanel(id: number, width: number, locals: Locals, transformed: boolean, signal?: AbortSignal): Promise<Frame[]> {
    const all = this.dashboard.panels.flatMap((p) => [p, ...(p.panels ?? [])]), other = all.find((p) => p.id === id);
    if (!other || other.targets.some((t) => t.panelId !== undefined)) return [];
    return (await this.query(transformed ? other : { ...other, transformations: [] }, width, locals, signal)).frames;
  }

  // ---- annotations ----

  async loadRegions(enabled: Record<string, boolean>, signal?: AbortSignal): Promise<void> {
    const list = this.dashboard.annotations.filter((a) => !a.builtIn && a.expr && (enabled[a.name] ?? a.enable));
    const found = await Promise.all(list.map((a) => this.regionsOf(a, signal).catch((e) => {
      if (signal?.aborted) throw e;
      return [] as Region[];
    })));
    this.regions.value = found.flat();
  }

  private async regionsOf(a: Annotation, signal?: AbortSignal): Promise<Region[]> {
    if (resolveSource(a.datasource, { refId: 'a', expr: a.expr }, this.dashboard, this.scope(), this.stores).kind !== 'prometheus') return [];
    const step = Math.max(durationMs(a.step) || 60000, Math.ceil((this.span.to - this.span.from) / 11000)), ends = aligned(this.span, step);
    const inside: Locals = { __interval: { value: printStep(step) }, __rate_interval: { value: `${(4 * this.scrapeMs) / 1000}s` } };
    const expr = interpolate(String(a.expr), this.scope(inside), promql, this.zone);
    const { data } = await ask<QueryData>('query_range', { query: expr, start: (ends.from / 1000).toFixed(3), end: (ends.to / 1000).toFixed(3), step: String(step / 1000) }, signal);
    const out: Region[] = [];
    for (const s of data.resultType === 'matrix' ? data.result : []) {
      const fill = (text: string | undefined, standard: string): string => legendText(text ?? standard, s.metric);
      const make = (from: number, to: number): Region => ({ from, to, title: fill(a.titleFormat, a.name), text: fill(a.textFormat, ''), tags: (a.tagKeys ?? '').split(',').map((k) => s.metric[k.trim()]).filter(Boolean), color: a.color, name: a.name });
      if (a.useValueForTime) {
        for (const t of new Set((s.values ?? []).map(([, v]) => Number(v)))) out.push(make(t, t));
        continue;
      }
      let open: Region | null = null;
      for (const [at, v] of s.values ?? []) {
        const ms = at * 1000;
        if (!(Number(v) > 0)) continue;
        if (open && ms - open.to <= step) open.to = ms;
        else out.push((open = make(ms, ms)));
      }
    }
    return out.slice(0, 500);
  }

  /** What stands for a place in a data link: the series, the field, the value. */
  linkScope(field: Field | undefined, frame: Frame | undefined, value?: { raw: unknown; text: string; numeric: number; time?: number }, row?: number, locals: Locals = {}): Scope {
    const base = this.scope(locals);
    return (name, path) => {
      const labels = field?.labels ?? {}, at = /^labels?\.(.+)$|^labels\["?([^"\]]+)"?\]$/.exec(path ?? '');
      switch (name) {
        case '__field': case '__series':
          if (at) return { value: labels[at[1] ?? at[2]] ?? '' };
          if (path === 'labels') return { value: Object.entries(labels).map(([k, v]) => `${k}="${v}"`).join(', ') };
          return { value: field?.state?.displayName ?? field?.name ?? '' };
        case '__value':
          if (!value) return { value: '' };
          return { value: path === 'text' ? value.text : path === 'numeric' ? String(value.numeric) : path === 'time' ? String(value.time ?? '') : String(value.raw ?? '') };
        case '__data': {
          const m = /^fields(?:\[(\d+)\]|\["?([^"\]]+)"?\]|\.([^.]+))(?:\.(text|numeric))?$/.exec(path ?? '');
          const f = m && frame && (m[1] !== undefined ? frame.fields[Number(m[1])] : frame.fields.find((x) => x.name === (m[2] ?? m[3]) || x.state?.displayName === (m[2] ?? m[3])));
          return { value: f && row !== undefined ? String(f.values[row] ?? '') : '' };
        }
      }
      return base(name, path);
    };
  }

  link(text: string, scope: Scope, encode: boolean): string {
    return interpolate(text, scope, encode ? urlPart : plain, this.zone);
  }
}

/** What variables are, without what is chosen. */
const definitions = (list: Variable[]): string => JSON.stringify(list.map((v) => ({ ...v, current: 0, options: v.type === 'custom' ? 0 : undefined, problem: undefined, filters: undefined })));

/** Hidden queries that expressions read are asked all the same. */
function neededBy(targets: Target[]): Set<string> {
  const out = new Set<string>(), ids = targets.map((t) => t.refId);
  for (const t of targets) if (typeof t.expression === 'string') for (const id of ids) if (t.expression === id || t.expression.includes(`$${id}`) || t.expression.includes(`\${${id}}`)) out.add(id);
  return out;
}

/** Expressions after those they read. */
function ordered(targets: Target[]): Target[] {
  const out: Target[] = [], left = [...targets];
  while (left.length) {
    const at = left.findIndex((t) => !left.some((o) => o !== t && (String(t.expression) === o.refId || String(t.expression).includes(`$${o.refId}`) || String(t.expression).includes(`\${${o.refId}}`))));
    out.push(...left.splice(at < 0 ? 0 : at, 1));
  }
  return out;
}

// ---- repeats ----

export interface Placed { panel: Panel; at: GridPos; locals: Locals; key: string }

/** What a repeat runs over: the chosen values, all of them for All. */
function valuesFor(v: Variable | undefined): Option[] {
  if (!v) return [];
  const { value } = v.current;
  if (value.includes(ALL)) return v.options;
  return value.map((x) => ({ value: x, text: v.options.find((o) => o.value === x)?.text ?? x }));
}

const localOf = (name: string, o: Option): Locals => ({ [name]: { value: o.value, text: o.text, multi: true } });

/** A panel for each value: side by side up to maxPerRow, or below each other. Returns the extra height. */
function repeatPanel(panel: Panel, g: GridPos, locals: Locals, variables: Variable[], key: string): { placed: Placed[]; extra: number } {
  const options = panel.repeat ? valuesFor(variables.find((v) => v.name === panel.repeat)) : [];
  if (!panel.repeat || !options.length) return { placed: [{ panel, at: g, locals, key }], extra: 0 };
  const list = options.slice(0, 100), down = panel.repeatDirection === 'v', across = down ? 1 : Math.min(panel.maxPerRow ?? 4, list.length, 24), w = Math.floor(24 / across);
  const at = (i: number): GridPos => (down ? { ...g, y: g.y + i * g.h } : { x: (i % across) * w, y: g.y + Math.floor(i / across) * g.h, w, h: g.h });
  return { placed: list.map((o, i) => ({ panel, at: at(i), locals: { ...locals, ...localOf(panel.repeat as string, o) }, key: `${key}/${o.value}` })), extra: (Math.ceil(list.length / across) - 1) * g.h };
}

interface Section { row: Panel | null; panels: Panel[] }

/** The panels as they stand on the page: rows repeated, repeats side by side, closed rows left out. The panels are the dashboard's own objects. */
export function layout(d: Dashboard, variables: Variable[], closed: (row: Panel, key: string) => boolean): Placed[] {
  const sections: Section[] = [{ row: null, panels: [] }];
  for (const p of d.panels) {
    if (p.type === 'row') sections.push({ row: p, panels: p.panels?.length ? [...p.panels] : [] });
    else sections[sections.length - 1].panels.push(p);
  }
  const out: Placed[] = [];
  let shift = 0;
  for (const { row, panels } of sections) {
    const repeats = row?.repeat ? valuesFor(variables.find((v) => v.name === row.repeat)).slice(0, 50) : [];
    const copies: { locals: Locals; suffix: string }[] = row?.repeat && repeats.length ? repeats.map((o) => ({ locals: localOf(row.repeat as string, o), suffix: `:${o.value}` })) : [{ locals: {}, suffix: '' }];
    const first = Math.min(...panels.map((p) => p.gridPos.y), ...(panels.length ? [] : [0])), last = Math.max(...panels.map((p) => p.gridPos.y + p.gridPos.h), first), top = row ? row.gridPos.y : 0;
    copies.forEach(({ locals, suffix }, n) => {
      const key = `${row?.id ?? 0}${suffix}`;
      const isClosed = !!row && closed(row, key), height = last - first;
      if (n > 0) shift += 1 + (isClosed ? 0 : height);
      if (row) out.push({ panel: row, at: { ...row.gridPos, y: top + shift }, locals, key });
      if (isClosed) {
        if (row && !row.collapsed) shift -= height;
        return;
      }
      // A row that was closed in the file has its panels' places where they were when it was closed.
      const delta = row?.collapsed ? top + 1 - first : 0;
      if (row?.collapsed && n === 0) shift += height;
      const before = row?.collapsed && n === 0 ? shift - height : shift;
      let grown = 0;
      const lines = [...new Set(panels.map((p) => p.gridPos.y))].sort((a, b) => a - b);
      for (const y of lines) {
        let most = 0;
        for (const p of panels.filter((x) => x.gridPos.y === y)) {
          const { placed, extra } = repeatPanel(p, { ...p.gridPos, y: p.gridPos.y + delta + before + grown }, locals, variables, `${p.id}${suffix}`);
          out.push(...placed);
          most = Math.max(most, extra);
        }
        grown += most;
      }
      shift += grown;
    });
  }
  return out;
}

