// Reads the second dashboard schema (elements and layouts) into the first one's shape, which migrate.ts goes on with.
type Json = Record<string, any>;

export const isV2 = (v: any): boolean => typeof v === 'object' && v !== null && typeof v.elements === 'object' && v.elements !== null && typeof v.layout === 'object';

/** A query's kind was its datasource's type; later versions say it in `group`. */
function datasource(kind: any, ref: any): Json | undefined {
  const type = kind?.group ?? (kind?.kind && kind.kind !== 'DataQuery' ? kind.kind : undefined), named = kind?.datasource?.name ?? ref?.uid;
  return type || named ? { type: type ?? ref?.type, uid: named } : undefined;
}

function target(q: Json): Json {
  const spec = q.spec ?? {}, inner = spec.query ?? {};
  return { ...(inner.spec ?? {}), refId: spec.refId, hide: !!spec.hidden, datasource: datasource(inner, spec.datasource) };
}

function panel(name: string, element: Json, place: Json): Json {
  const s = element?.spec ?? {};
  if (element?.kind === 'LibraryPanel') return { id: s.id, title: s.title, libraryPanel: s.libraryPanel ?? { name }, ...place };
  const viz = s.vizConfig ?? {}, data = s.data?.spec ?? {}, opts = data.queryOptions ?? {};
  return {
    id: s.id, title: s.title, description: s.description, links: s.links, transparent: s.transparent, type: viz.group ?? viz.kind, options: viz.spec?.options, fieldConfig: viz.spec?.fieldConfig, pluginVersion: viz.version ?? viz.spec?.pluginVersion,
    targets: (data.queries ?? []).map(target), transformations: (data.transformations ?? []).map((t: Json) => ({ id: t.group ?? t.kind, ...t.spec, ...(t.spec?.id ? { id: t.spec.id } : {}) })),
    interval: opts.interval, maxDataPoints: opts.maxDataPoints, timeFrom: opts.timeFrom, timeShift: opts.timeShift, hideTimeOverride: opts.hideTimeOverride, ...place,
  };
}

interface Placed { panels: Json[]; bottom: number }

function repeatOf(r: any): Json {
  return r ? { repeat: r.value, repeatDirection: r.direction, maxPerRow: r.maxPerRow } : {};
}

/** Every layout becomes the grid: columns of equal width for automatic ones, a row per tab. */
function place(layout: Json, elements: Json, y: number, depth: number): Placed {
  const items: Json[] = layout?.spec?.items ?? layout?.spec?.rows ?? layout?.spec?.tabs ?? [], panels: Json[] = [];
  let bottom = y;
  const add = (p: Json): void => {
    panels.push(p);
    bottom = Math.max(bottom, p.gridPos.y + p.gridPos.h);
  };
  if (depth > 8) return { panels, bottom };
  switch (layout?.kind) {
    case 'GridLayout':
      for (const item of items) {
        const s = item.spec ?? {};
        if (item.kind === 'GridLayoutRow') {
          const inner = place({ kind: 'GridLayout', spec: { items: s.elements ?? [] } }, elements, bottom + 1, depth + 1);
          add({ type: 'row', title: s.title, collapsed: !!s.collapsed, ...repeatOf(s.repeat), gridPos: { x: 0, y: bottom, w: 24, h: 1 }, panels: s.collapsed ? inner.panels : [] });
          if (!s.collapsed) inner.panels.forEach(add);
        } else add(panel(s.element?.name, elements[s.element?.name], { gridPos: { x: s.x ?? 0, y: y + (s.y ?? 0), w: s.width ?? 12, h: s.height ?? 8 }, ...repeatOf(s.repeat) }));
      }
      break;
    case 'AutoGridLayout': {
      const across = Math.max(1, Math.min(Number(layout.spec?.maxColumnCount) || 3, 6)), w = Math.floor(24 / across), h = 9;
      items.forEach((item, i) => {
        const s = item.spec ?? {};
        add(panel(s.element?.name, elements[s.element?.name], { gridPos: { x: (i % across) * w, y: y + Math.floor(i / across) * h, w, h }, ...repeatOf(s.repeat) }));
      });
      break;
    }
    case 'RowsLayout': case 'TabsLayout':
      for (const item of items) {
        const s = item.spec ?? {}, bare = s.hideHeader && !s.collapse, inner = place(s.layout, elements, bottom + (bare ? 0 : 1), depth + 1), closed = !!s.collapse;
        if (!bare) add({ type: 'row', title: s.title, collapsed: closed, ...repeatOf(s.repeat), gridPos: { x: 0, y: bottom, w: 24, h: 1 }, panels: closed ? inner.panels.filter((p) => p.type !== 'row') : [] });
        if (!closed) inner.panels.forEach(add);
      }
      break;
    default: throw new Error(`layout "${layout?.kind}" is not known`);
  }
  return { panels, bottom };
}

const hides: Record<string, number> = { dontHide: 0, hideLabel: 1, hideVariable: 2, inControlsMenu: 0 }, refreshes: Record<string, number> = { never: 0, onDashboardLoad: 1, onTimeRangeChanged: 2 };
const sorts = ['disabled', 'alphabeticalAsc', 'alphabeticalDesc', 'numericalAsc', 'numericalDesc', 'alphabeticalCaseInsensitiveAsc', 'alphabeticalCaseInsensitiveDesc', 'naturalAsc', 'naturalDesc'];
const kinds: Record<string, string> = { QueryVariable: 'query', CustomVariable: 'custom', ConstantVariable: 'constant', IntervalVariable: 'interval', DatasourceVariable: 'datasource', TextVariable: 'textbox', AdhocVariable: 'adhoc', GroupByVariable: 'groupby', SwitchVariable: 'switch' };

function variable(v: Json): Json {
  const s = v.spec ?? {}, type = kinds[v.kind] ?? 'custom';
  const query = type === 'query' ? (s.query?.spec?.__legacyStringValue ?? s.query?.spec ?? s.query) : type === 'datasource' ? s.pluginId : s.query;
  return {
    ...s, type, hide: hides[s.hide] ?? 0, refresh: refreshes[s.refresh] ?? 0, sort: Math.max(0, sorts.indexOf(s.sort)), query, datasource: type === 'query' ? datasource(s.query, s.datasource) : (s.datasource ?? datasource(v, undefined)),
    auto_count: s.auto_count, auto_min: s.auto_min,
    ...(type === 'switch' ? { type: 'custom', query: `${s.enabledValue ?? 'true'},${s.disabledValue ?? 'false'}`, current: { text: s.current, value: s.current } } : {}),
  };
}

function annotation(a: Json): Json {
  const s = a.spec ?? {}, q = s.query ?? {};
  return { ...s, ...(s.legacyOptions ?? {}), builtIn: s.builtIn, datasource: datasource(q, s.datasource), target: q.spec, expr: q.spec?.expr };
}

export function fromV2(spec: Json, metadata?: Json): Json {
  const t = spec.timeSettings ?? {}, { panels } = place(spec.layout, spec.elements, 0, 0);
  return {
    uid: metadata?.name ?? spec.uid, title: spec.title, description: spec.description, tags: spec.tags, editable: spec.editable, links: spec.links, time: { from: t.from, to: t.to }, timezone: t.timezone, refresh: t.autoRefresh, weekStart: t.weekStart,
    timepicker: { refresh_intervals: t.autoRefreshIntervals, hidden: t.hideTimepicker, nowDelay: t.nowDelay }, graphTooltip: spec.cursorSync === 'Crosshair' ? 1 : spec.cursorSync === 'Tooltip' ? 2 : 0, panels,
    templating: { list: (spec.variables ?? []).map(variable) }, annotations: { list: (spec.annotations ?? []).map(annotation) }, schemaVersion: 42,
  };
}
