// Panels of old plugins, read as the ones that replaced them.
import { toRegex } from './display';
import type { FieldConfig, Mapping, Step, Thresholds } from './frames';
import { fixMappings, isObject, list, number, setOldKinds, stripEmpty, word, type Json } from './migrate-panels';
import { reducerId } from './reduce';
import type { Override, OverrideProperty, Panel } from './schema';

function oldMappings(p: Json, steps: Step[] | undefined): Mapping[] {
  const kind = p.mappingType ?? (list(p.valueMaps).length ? 1 : list(p.rangeMaps).length ? 2 : 0);
  return kind === 1 ? fixMappings(list(p.valueMaps).map((m) => ({ ...m, type: 1 })), steps) : kind === 2 ? fixMappings(list(p.rangeMaps).map((m) => ({ ...m, type: 2 })), steps) : [];
}

/** "50,80" and three colours. */
function oldThresholds(text: unknown, colors: unknown): Thresholds | undefined {
  const limits = (Array.isArray(text) ? text.map(String) : String(text ?? '').split(',')).map((x) => x.trim()).filter((x) => x !== '' && Number.isFinite(Number(x))).map(Number), names = list(colors).map(String);
  if (!names.length) return undefined;
  return { mode: 'absolute', steps: [-Infinity, ...limits].slice(0, Math.max(names.length, 1)).map((value, i) => ({ value, color: names[i] ?? names[names.length - 1] })) };
}

const byAlias = (alias: string): Override['matcher'] => (alias[0] === '/' && toRegex(alias) ? { id: 'byRegexp', options: alias } : { id: 'byName', options: alias });
const unitOf = (v: unknown): string | undefined => (v === 'none' || !v ? undefined : String(v));

// ---- graph ----

const legendCalcs: [string, string][] = [['min', 'min'], ['max', 'max'], ['avg', 'mean'], ['current', 'lastNotNull'], ['total', 'sum']];

function legendOf(g: Json): Json {
  const l = isObject(g.legend) ? g.legend : { show: true };
  const calcs = legendCalcs.filter(([old]) => l.values && l[old]).map(([, id]) => id);
  const sort = legendCalcs.find(([old]) => old === l.sort);
  return { showLegend: l.show !== false, displayMode: l.alignAsTable ? 'table' : 'list', placement: l.rightSide ? 'right' : 'bottom', calcs, sortBy: sort ? { min: 'Min', max: 'Max', avg: 'Mean', current: 'Last *', total: 'Total' }[sort[0]] : undefined, sortDesc: !!l.sortDesc, width: number(l.sideWidth), hideEmpty: !!l.hideEmpty, hideZero: !!l.hideZero };
}

function axisOf(y: Json | undefined): { config: FieldConfig; custom: Json } {
  const config: FieldConfig = {}, custom: Json = {};
  if (!y) return { config, custom };
  if (unitOf(y.format)) config.unit = String(y.format);
  if (number(y.min) !== undefined) config.min = number(y.min);
  if (number(y.max) !== undefined) config.max = number(y.max);
  if (number(y.decimals) !== undefined) config.decimals = number(y.decimals);
  if (word(y.label)) custom.axisLabel = y.label;
  if (Number(y.logBase) > 1) custom.scaleDistribution = { type: 'log', log: Number(y.logBase) };
  if (y.show === false) custom.axisPlacement = 'hidden';
  return { config, custom };
}

function seriesOverride(o: Json, stacked: boolean, right: ReturnType<typeof axisOf>, fill: number | undefined): Override | null {
  const alias = word(o.alias);
  if (!alias) return null;
  const properties: OverrideProperty[] = [], set = (id: string, value: unknown): void => void properties.push({ id, value });
  const style = (): void => {
    if (o.bars) set('custom.drawStyle', 'bars');
    else if (o.points && o.lines === false) set('custom.drawStyle', 'points');
    else if (o.lines) set('custom.drawStyle', 'line');
    else if (o.lines === false && !o.points && !o.bars) set('custom.lineWidth', 0);
    if (o.points && o.lines !== false) set('custom.showPoints', 'always');
    if (o.lines === false && !o.bars && !o.points) set('custom.fillOpacity', 0);
  };
  style();
  if (o.color) set('color', { mode: 'fixed', fixedColor: o.color });
  if (number(o.fill) !== undefined) set('custom.fillOpacity', Number(o.fill) * 10);
  else if (o.bars && fill === undefined) set('custom.fillOpacity', 80);
  if (number(o.linewidth) !== undefined) set('custom.lineWidth', Number(o.linewidth));
  if (number(o.pointradius) !== undefined) set('custom.pointSize', 2 + Number(o.pointradius) * 2);
  if (o.steppedLine) set('custom.lineInterpolation', 'stepAfter');
  if (o.dashes) set('custom.lineStyle', { fill: 'dash', dash: [number(o.dashLength) ?? 10, number(o.spaceLength) ?? 10] });
  if (o.transform === 'negative-Y') set('custom.transform', 'negative-Y');
  if (o.fillBelowTo) set('custom.fillBelowTo', o.fillBelowTo);
  if (o.stack !== undefined) set('custom.stacking', o.stack === false ? { mode: 'none', group: false } : { mode: 'normal', group: o.stack === true ? 'A' : o.stack });
  else if (o.fillBelowTo && stacked) set('custom.stacking', { mode: 'none' });
  if (o.nullPointMode) set('custom.spanNulls', o.nullPointMode === 'connected');
  if (o.legend === false || o.hiddenSeries || o.hideTooltip) set('custom.hideFrom', { legend: o.legend === false, viz: !!o.hiddenSeries, tooltip: !!o.hideTooltip });
  if (o.yaxis === 2) {
    set('custom.axisPlacement', right.custom.axisPlacement ?? 'right');
    set('unit', right.config.unit ?? 'none');
    for (const k of ['min', 'max', 'decimals'] as const) if (right.config[k] !== undefined) set(k, right.config[k]);
    for (const k of ['axisLabel', 'scaleDistribution']) if (right.custom[k] !== undefined) set(`custom.${k}`, right.custom[k]);
  }
  return properties.length ? { matcher: byAlias(alias), properties } : null;
}

const levelColors: Record<string, string> = { critical: 'red', warning: 'orange', ok: 'green' };

function graphThresholds(g: Json): { thresholds?: Thresholds; style?: string } {
  const all = list(g.thresholds).filter((t) => isObject(t) && number(t.value) !== undefined && t.yaxis !== 'right').sort((a, b) => a.value - b.value);
  if (!all.length) return {};
  const steps: Step[] = [];
  let line = false, area = false, before = 'transparent';
  all.forEach((t) => {
    const color = t.colorMode === 'custom' ? (t.fillColor ?? t.lineColor ?? 'red') : (levelColors[t.colorMode] ?? 'red');
    line ||= t.line !== false && t.line !== undefined ? true : !t.fill;
    area ||= !!t.fill;
    if (t.op === 'lt') {
      if (!steps.length) steps.push({ value: -Infinity, color });
      steps.push({ value: t.value, color: 'transparent' });
    } else {
      if (!steps.length) steps.push({ value: -Infinity, color: before });
      steps.push({ value: t.value, color });
      before = color;
    }
  });
  return { thresholds: { mode: 'absolute', steps }, style: line && area ? 'line+area' : area ? 'area' : 'line' };
}

function graph(panel: Panel, g: Json): void {
  const y = Array.isArray(g.yaxes) ? g.yaxes : oldAxes(g), left = axisOf(y[0]), right = axisOf(y[1]);
  const lines = g.lines !== false, width = number(g.linewidth) ?? 1, fill = number(g.fill);
  const custom: Json = {
    ...left.custom, drawStyle: g.bars ? 'bars' : !lines && g.points ? 'points' : 'line', lineWidth: g.bars ? 1 : lines ? width : 0, fillOpacity: g.bars ? (fill === undefined ? 100 : Math.max(fill * 10, 60)) : lines ? (fill ?? 1) * 10 : 0,
    showPoints: g.points ? 'always' : 'never', pointSize: 2 + (number(g.pointradius) ?? 2), lineInterpolation: g.steppedLine ? 'stepAfter' : 'linear', spanNulls: g.nullPointMode === 'connected', gradientMode: number(g.fillGradient) ? 'opacity' : 'none',
    stacking: { mode: g.stack ? (g.percentage ? 'percent' : 'normal') : 'none', group: 'A' },
  };
  if (g.dashes) custom.lineStyle = { fill: 'dash', dash: [number(g.dashLength) ?? 10, number(g.spaceLength) ?? 10] };
  const { thresholds, style } = graphThresholds(g);
  if (style) custom.thresholdsStyle = { mode: style };
  const overrides: Override[] = Object.entries(isObject(g.aliasColors) ? g.aliasColors : {}).filter(([, c]) => typeof c === 'string').map(([alias, c]) => ({ matcher: { id: 'byName', options: alias }, properties: [{ id: 'color', value: { mode: 'fixed', fixedColor: c } }] }));
  for (const o of list(g.seriesOverrides).filter(isObject)) {
    const made = seriesOverride(o, !!g.stack, right, fill);
    if (made) overrides.push(made);
  }
  // A panel of fields configured in the new way keeps that.
  const defaults = { ...left.config, color: { mode: 'palette-classic' }, ...(number(g.decimals) !== undefined && left.config.decimals === undefined ? { decimals: number(g.decimals) } : {}), ...(thresholds ? { thresholds } : {}), ...stripEmpty(panel.fieldConfig.defaults) };
  panel.fieldConfig = { defaults: { ...defaults, custom: { ...custom, ...(panel.fieldConfig.defaults.custom ?? {}) } }, overrides: [...overrides, ...panel.fieldConfig.overrides] };
  panel.was = 'graph';
  if (g.nullPointMode === 'null as zero') panel.fieldConfig.defaults.nullValueMode = 'null as zero';
  const tooltip = isObject(g.tooltip) ? g.tooltip : {};
  panel.options = { legend: legendOf(g), tooltip: { mode: tooltip.shared === false ? 'single' : 'multi', sort: ['none', 'asc', 'desc'][tooltip.sort] ?? 'none' }, dataLinks: panel.options.dataLinks };
  panel.type = 'timeseries';
  const xaxis = isObject(g.xaxis) ? g.xaxis : {};
  if (xaxis.mode === 'series') {
    const calc = reducerId(list(xaxis.values)[0] ?? 'avg') ?? 'mean';
    panel.type = 'bargauge';
    panel.options = { orientation: 'vertical', displayMode: 'basic', reduceOptions: { calcs: [calc], values: false } };
  } else if (xaxis.mode === 'histogram') {
    panel.type = 'histogram';
    panel.options = { ...panel.options, bucketSize: undefined };
  }
  const data = list(panel.options.dataLinks);
  if (data.length && !panel.fieldConfig.defaults.links) panel.fieldConfig.defaults.links = data;
}

/** Before yaxes there were y_formats and a grid. */
function oldAxes(g: Json): Json[] {
  const formats = list(g.y_formats), grid = isObject(g.grid) ? g.grid : {};
  return [{ format: formats[0], min: grid.leftMin, max: grid.leftMax, logBase: grid.leftLogBase, label: g.leftYAxisLabel }, { format: formats[1], min: grid.rightMin, max: grid.rightMax, logBase: grid.rightLogBase, label: g.rightYAxisLabel }];
}

// ---- singlestat ----

const statNames: Record<string, string> = { avg: 'mean', current: 'lastNotNull', total: 'sum', last: 'lastNotNull', first: 'firstNotNull', name: 'name', last_time: 'last' };

function singlestat(panel: Panel, s: Json): void {
  const gauge = isObject(s.gauge) && s.gauge.show, thresholds = oldThresholds(s.thresholds, s.colors), calc = statNames[s.valueName] ?? reducerId(s.valueName ?? 'avg') ?? 'mean';
  const defaults: FieldConfig = { ...stripEmpty(panel.fieldConfig.defaults) };
  if (unitOf(s.format)) defaults.unit = String(s.format);
  if (number(s.decimals) !== undefined) defaults.decimals = number(s.decimals);
  const mappings = oldMappings(s, thresholds?.steps);
  if (word(s.nullText)) mappings.push({ type: 'special', options: { match: 'null', result: { text: s.nullText } } });
  if (mappings.length) defaults.mappings = mappings;
  if (thresholds) defaults.thresholds = thresholds;
  const colored = s.colorBackground || s.colorValue;
  defaults.color = colored || gauge ? { mode: 'thresholds' } : { mode: 'fixed', fixedColor: 'text' };
  if (word(s.prefix)) panel.options.prefix = s.prefix;
  if (word(s.postfix)) panel.options.postfix = s.postfix;
  if (gauge) {
    defaults.min = number(s.gauge.minValue) ?? 0;
    defaults.max = number(s.gauge.maxValue) ?? 100;
  }
  const column = word(s.tableColumn), prefix = panel.options.prefix, postfix = panel.options.postfix;
  const reduceOptions = { calcs: [calc === 'name' ? 'lastNotNull' : calc], values: false, fields: column ? column : '' };
  panel.options = gauge
    ? { reduceOptions, showThresholdLabels: !!s.gauge.thresholdLabels, showThresholdMarkers: s.gauge.thresholdMarkers !== false }
    : { reduceOptions, colorMode: s.colorBackground ? 'background' : s.colorValue ? 'value' : 'none', graphMode: isObject(s.sparkline) && s.sparkline.show ? 'area' : 'none', justifyMode: 'center', orientation: 'horizontal', textMode: calc === 'name' ? 'name' : 'auto' };
  Object.assign(panel.options, { prefix, postfix });
  panel.was = 'singlestat';
  panel.type = gauge ? 'gauge' : 'stat';
  panel.fieldConfig = { defaults, overrides: panel.fieldConfig.overrides };
}

// ---- the first table ----

const cellModes: Record<string, string> = { cell: 'color-background', row: 'color-background', value: 'color-text' };

function tableStyle(s: Json): Override | null {
  const pattern = word(s.pattern);
  if (!pattern) return null;
  const properties: OverrideProperty[] = [], set = (id: string, value: unknown): void => void properties.push({ id, value });
  if (word(s.alias)) set('displayName', s.alias);
  if (s.type === 'hidden') set('custom.hidden', true);
  if (s.type === 'date' && s.dateFormat) set('unit', `time: ${s.dateFormat}`);
  if (s.type === 'number') {
    if (unitOf(s.unit)) set('unit', s.unit);
    if (number(s.decimals) !== undefined) set('decimals', Number(s.decimals));
  }
  const thresholds = s.colorMode ? oldThresholds(s.thresholds, s.colors) : undefined;
  if (thresholds) {
    set('thresholds', thresholds);
    set('custom.cellOptions', { type: cellModes[s.colorMode] ?? 'auto', applyToRow: s.colorMode === 'row' });
  }
  const mappings = oldMappings(s, undefined);
  if (mappings.length) set('mappings', mappings);
  if (s.link && s.linkUrl) set('links', [{ title: s.linkTooltip ?? '', url: String(s.linkUrl).replace(/\$\{?__cell(_\d+)?(?::raw)?\}?/g, (_, i) => (i ? `\${__data.fields[${i.slice(1)}]}` : '${__value.text}')), targetBlank: !!s.linkTargetBlank }]);
  if (word(s.align) && s.align !== 'auto') set('custom.align', s.align);
  return properties.length ? { matcher: byAlias(pattern), properties } : null;
}

function oldTable(panel: Panel, t: Json): void {
  const styles = list(t.styles).filter(isObject), all = styles.find((s) => s.pattern === '/.*/'), rest = styles.filter((s) => s !== all);
  const defaults: FieldConfig = { ...panel.fieldConfig.defaults };
  if (all?.type === 'number') {
    if (unitOf(all.unit)) defaults.unit = all.unit;
    if (number(all.decimals) !== undefined) defaults.decimals = Number(all.decimals);
  }
  const overrides = rest.map(tableStyle).filter((o): o is Override => o !== null);
  if (all?.colorMode) {
    const t2 = tableStyle({ ...all, pattern: '/.*/' });
    for (const p of t2?.properties ?? []) if (p.id === 'thresholds') defaults.thresholds = p.value;
      else if (p.id === 'custom.cellOptions') defaults.custom = { ...defaults.custom, cellOptions: p.value };
  }
  const before = [...panel.transformations];
  switch (t.transform) {
    case 'timeseries_to_columns': before.push({ id: 'seriesToColumns', options: { byField: 'Time' } }); break;
    case 'timeseries_to_rows': before.push({ id: 'seriesToRows', options: {} }); break;
    case 'timeseries_aggregations': before.push({ id: 'reduce', options: { includeTimeField: false, reducers: list(t.columns).map((c) => reducerId(c?.value) ?? 'mean') } }); break;
    case 'table': if (panel.targets.filter((x) => !x.hide).length > 1) before.push({ id: 'merge', options: {} }); break;
  }
  panel.transformations = before;
  const sort = isObject(t.sort) && number(t.sort.col) !== undefined ? t.sort : null;
  panel.options = { showHeader: t.showHeader !== false, footer: {}, sortAt: sort ? { index: Number(sort.col), desc: !!sort.desc } : undefined };
  panel.fieldConfig = { defaults, overrides: [...overrides, ...panel.fieldConfig.overrides] };
  panel.was = 'table-old';
  panel.type = 'table';
}

// ---- others ----

function oldHeatmap(panel: Panel, h: Json): void {
  const color = isObject(h.color) ? h.color : {}, y = isObject(h.yAxis) ? h.yAxis : {};
  const schemes: Record<string, string> = { interpolateOranges: 'Oranges', interpolateSpectral: 'Spectral' }, scheme = String(color.colorScheme ?? 'interpolateOranges');
  panel.options = {
    calculate: h.dataFormat !== 'tsbuckets', calculation: {}, cellGap: number(h.cards?.cardPadding) ?? 2, cellRadius: number(h.cards?.cardRound), legend: { show: !!h.legend?.show }, rowsFrame: { layout: h.yBucketBound === 'lower' ? 'ge' : 'le' },
    color: { mode: color.mode === 'opacity' ? 'opacity' : 'scheme', scheme: schemes[scheme] ?? scheme.replace('interpolate', ''), fill: color.cardColor ?? 'dark-orange', exponent: number(color.exponent) ?? 0.5, steps: 64, min: number(color.min), max: number(color.max), reverse: false, scale: color.colorScale === 'linear' ? 'linear' : 'exponential' },
    yAxis: { unit: unitOf(y.format), decimals: number(y.decimals), min: number(y.min), max: number(y.max), reverse: !!h.reverseYBuckets, axisPlacement: y.show === false ? 'hidden' : 'left' }, filterValues: h.hideZeroBuckets ? { le: 1e-9 } : {}, tooltip: { show: h.tooltip?.show !== false, yHistogram: !!h.tooltip?.showHistogram }, showValue: 'never',
  };
  panel.was = 'heatmap-old';
}

function oldPie(panel: Panel, p: Json): void {
  const calc = statNames[p.valueName] ?? 'lastNotNull', legend = isObject(p.legend) ? p.legend : {};
  panel.options = {
    pieType: p.pieType === 'donut' ? 'donut' : 'pie', reduceOptions: { calcs: [calc], values: false, fields: '' }, displayLabels: [], tooltip: { mode: 'single' },
    legend: { showLegend: legend.show !== false, displayMode: legend.header || legend.values ? 'table' : 'list', placement: /right/i.test(p.legendType ?? '') || legend.rightSide ? 'right' : 'bottom', values: [...(legend.values !== false ? ['value'] : []), ...(legend.percentage ? ['percent'] : [])] },
  };
  const overrides = Object.entries(isObject(p.aliasColors) ? p.aliasColors : {}).map(([alias, c]): Override => ({ matcher: { id: 'byName', options: alias }, properties: [{ id: 'color', value: { mode: 'fixed', fixedColor: c } }] }));
  panel.fieldConfig = { defaults: { ...stripEmpty(panel.fieldConfig.defaults), unit: unitOf(p.format), decimals: number(p.decimals), color: { mode: 'palette-classic' } }, overrides: [...overrides, ...panel.fieldConfig.overrides] };
  panel.was = 'grafana-piechart-panel';
  panel.type = 'piechart';
}

setOldKinds({ graph, singlestat, oldTable, oldHeatmap, oldPie });
