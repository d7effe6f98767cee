// Reading dashboards of every age; variables; macros; steps; field settings. What @grafana/data knows too is compared in tests/oracle.
import assert from 'node:assert/strict';
import test from 'node:test';
import { load } from './bundle.mjs';

const m = await load('dash/index.ts');
const one = (panel, extra = {}) => m.readDashboard({ title: 't', schemaVersion: 12, panels: [panel], ...extra }).panels[0];

test('rows of twelve columns become a grid of twenty-four', () => {
  const d = m.readDashboard({ schemaVersion: 12, rows: [
    { title: 'A', showTitle: true, height: '250px', panels: [{ id: 1, type: 'graph', span: 6 }, { id: 2, type: 'graph', span: 6 }, { id: 3, type: 'text', span: 12, height: 100 }] },
    { title: 'B', collapse: true, height: 380, panels: [{ id: 4, type: 'singlestat', span: 3 }] },
  ] });
  assert.deepEqual(d.panels.map((p) => [p.type, p.title, p.gridPos.x, p.gridPos.y, p.gridPos.w, p.gridPos.h]), [
    ['row', 'A', 0, 0, 24, 1], ['timeseries', '', 0, 1, 12, 7], ['timeseries', '', 12, 1, 12, 7], ['text', '', 0, 8, 24, 3], ['row', 'B', 0, 11, 24, 1],
  ]);
  const b = d.panels.at(-1);
  assert.equal(b.collapsed, true);
  assert.deepEqual(b.panels.map((p) => [p.type, p.gridPos.w, p.gridPos.h]), [['stat', 6, 10]]);
});

test('rows without titles leave no headers', () => {
  const d = m.readDashboard({ rows: [{ height: 250, panels: [{ id: 1, type: 'graph', span: 8 }, { id: 2, type: 'graph', span: 8 }] }] });
  assert.deepEqual(d.panels.map((p) => [p.gridPos.x, p.gridPos.y, p.gridPos.w]), [[0, 0, 16], [0, 7, 16]]);
});

test('graph: axes, stacking, thresholds, legend, overrides', () => {
  const p = one({
    id: 1, type: 'graph', fill: 3, linewidth: 2, stack: true, percentage: false, nullPointMode: 'connected', steppedLine: true, yaxes: [{ format: 'bytes', min: 0, label: 'mem', logBase: 2 }, { format: 'percent', max: 100 }],
    legend: { show: true, values: true, current: true, max: true, alignAsTable: true, rightSide: true, sort: 'max', sortDesc: true }, tooltip: { shared: true, sort: 2 },
    seriesOverrides: [{ alias: '/^used/', yaxis: 2, color: '#f00', dashes: true }, { alias: 'out', transform: 'negative-Y' }], aliasColors: { free: 'green' },
    thresholds: [{ value: 80, op: 'gt', colorMode: 'critical', fill: true, line: true }], targets: [{ expr: 'x', refId: 'A' }],
  });
  assert.equal(p.type, 'timeseries');
  const { defaults, overrides } = p.fieldConfig;
  assert.equal(defaults.unit, 'bytes');
  assert.equal(defaults.min, 0);
  assert.deepEqual(defaults.custom.stacking, { mode: 'normal', group: 'A' });
  assert.equal(defaults.custom.fillOpacity, 30);
  assert.equal(defaults.custom.lineWidth, 2);
  assert.equal(defaults.custom.lineInterpolation, 'stepAfter');
  assert.equal(defaults.custom.spanNulls, true);
  assert.deepEqual(defaults.custom.scaleDistribution, { type: 'log', log: 2 });
  assert.equal(defaults.custom.thresholdsStyle.mode, 'line+area');
  assert.deepEqual(defaults.thresholds.steps.map((s) => [s.value, s.color]), [[-Infinity, 'transparent'], [80, 'red']]);
  assert.deepEqual(p.options.legend.calcs, ['max', 'lastNotNull']);
  assert.deepEqual([p.options.legend.displayMode, p.options.legend.placement, p.options.legend.sortBy, p.options.tooltip], ['table', 'right', 'Max', { mode: 'multi', sort: 'desc' }]);
  assert.deepEqual(overrides.map((o) => o.matcher), [{ id: 'byName', options: 'free' }, { id: 'byRegexp', options: '/^used/' }, { id: 'byName', options: 'out' }]);
  const used = Object.fromEntries(overrides[1].properties.map((x) => [x.id, x.value]));
  assert.deepEqual([used['custom.axisPlacement'], used.unit, used.max, used['custom.lineStyle']], ['right', 'percent', 100, { fill: 'dash', dash: [10, 10] }]);
});

test('singlestat: value, thresholds, mappings, gauge', () => {
  const p = one({ id: 1, type: 'singlestat', format: 'percent', decimals: 1, valueName: 'current', thresholds: '50,80', colors: ['green', 'orange', 'red'], colorBackground: true, sparkline: { show: true }, valueMaps: [{ op: '=', text: 'N/A', value: 'null' }, { text: 'up', value: '1' }], nullText: 'none' });
  assert.equal(p.type, 'stat');
  assert.deepEqual(p.options.reduceOptions.calcs, ['lastNotNull']);
  assert.deepEqual([p.options.colorMode, p.options.graphMode], ['background', 'area']);
  assert.deepEqual(p.fieldConfig.defaults.thresholds.steps, [{ value: -Infinity, color: 'green' }, { value: 50, color: 'orange' }, { value: 80, color: 'red' }]);
  assert.deepEqual(p.fieldConfig.defaults.mappings.map((x) => x.type), ['special', 'value', 'special']);
  const g = one({ id: 1, type: 'singlestat', gauge: { show: true, minValue: 0, maxValue: 10 }, format: 'none' });
  assert.deepEqual([g.type, g.fieldConfig.defaults.max, g.options.showThresholdMarkers], ['gauge', 10, true]);
});

test('the first table: styles become overrides, transforms transformations', () => {
  const p = one({ id: 1, type: 'table', transform: 'timeseries_to_rows', styles: [{ pattern: 'Time', type: 'hidden' }, { pattern: '/Value/', type: 'number', unit: 's', decimals: 2, alias: 'Took', colorMode: 'cell', thresholds: ['1', '2'], colors: ['green', 'yellow', 'red'] }] });
  assert.equal(p.type, 'table');
  assert.deepEqual(p.transformations.map((t) => t.id), ['seriesToRows']);
  assert.deepEqual(p.fieldConfig.overrides.map((o) => o.matcher.id), ['byName', 'byRegexp']);
  assert.deepEqual(p.fieldConfig.overrides[1].properties.map((x) => x.id), ['displayName', 'unit', 'decimals', 'thresholds', 'custom.cellOptions']);
});

test('version 6 kept field settings under fieldOptions', () => {
  const p = one({ id: 1, type: 'gauge', options: { fieldOptions: { calcs: ['mean'], defaults: { unit: 'percent', max: 100, thresholds: { mode: 'absolute', steps: [{ color: 'green', value: null }, { color: 'red', value: 80 }] }, mappings: [{ id: 0, op: '=', text: 'none', type: 1, value: 'null' }] }, values: false } } });
  assert.equal(p.fieldConfig.defaults.unit, 'percent');
  assert.equal(p.fieldConfig.defaults.thresholds.steps[0].value, -Infinity);
  assert.deepEqual(p.options.reduceOptions.calcs, ['mean']);
  assert.equal(p.fieldConfig.defaults.mappings[0].type, 'special');
});

test('a panel whose file says nothing has the colours and thresholds people know', () => {
  const of = (type) => { const { defaults } = one({ id: 1, type }).fieldConfig; return [defaults.color.mode, ...defaults.thresholds.steps.map((s) => `${s.value} ${s.color}`)]; };
  assert.deepEqual(of('timeseries'), ['palette-classic', '-Infinity green', '80 red']);
  assert.deepEqual(of('stat'), ['thresholds', '-Infinity green', '80 red']);
  assert.equal(of('piechart')[0], 'palette-classic');
  assert.equal(one({ id: 1, type: 'stat', fieldConfig: { defaults: { color: { mode: 'fixed', fixedColor: 'blue' } }, overrides: [] } }).fieldConfig.defaults.color.fixedColor, 'blue');
});

test('the second schema is read: elements, layouts, variables', () => {
  const panel = (id, title) => ({ kind: 'Panel', spec: { id, title, data: { kind: 'QueryGroup', spec: { queries: [{ kind: 'PanelQuery', spec: { refId: 'A', hidden: false, query: { kind: 'DataQuery', group: 'prometheus', datasource: { name: 'ds' }, spec: { expr: 'up' } } } }], transformations: [{ kind: 'reduce', spec: { id: 'reduce', options: {} } }], queryOptions: { interval: '1m' } } }, vizConfig: { kind: 'VizConfig', group: 'stat', spec: { options: {}, fieldConfig: { defaults: { unit: 's' }, overrides: [] } } } } });
  const d = m.readDashboard({ apiVersion: 'dashboard.grafana.app/v2', kind: 'Dashboard', metadata: { name: 'abc' }, spec: {
    title: 'Two', cursorSync: 'Tooltip', elements: { a: panel(1, 'A'), b: panel(2, 'B') }, timeSettings: { from: 'now-1h', to: 'now', autoRefresh: '10s' },
    layout: { kind: 'RowsLayout', spec: { rows: [{ kind: 'RowsLayoutRow', spec: { title: 'R', layout: { kind: 'GridLayout', spec: { items: [{ kind: 'GridLayoutItem', spec: { x: 0, y: 0, width: 12, height: 4, element: { kind: 'ElementReference', name: 'a' } } }] } } } }, { kind: 'RowsLayoutRow', spec: { title: 'S', collapse: true, layout: { kind: 'AutoGridLayout', spec: { maxColumnCount: 2, items: [{ kind: 'AutoGridLayoutItem', spec: { element: { name: 'b' } } }] } } } }] } },
    variables: [{ kind: 'QueryVariable', spec: { name: 'job', multi: true, includeAll: true, hide: 'hideLabel', refresh: 'onTimeRangeChanged', sort: 'alphabeticalAsc', current: { text: 'a', value: 'a' }, query: { kind: 'DataQuery', group: 'prometheus', spec: { __legacyStringValue: 'label_values(up, job)' } } } }],
  } });
  assert.deepEqual([d.uid, d.title, d.crosshair, d.refresh, d.problems], ['abc', 'Two', 2, '10s', []]);
  assert.deepEqual(d.panels.map((p) => [p.type, p.title, p.gridPos.y]), [['row', 'R', 0], ['stat', 'A', 1], ['row', 'S', 5]]);
  assert.deepEqual(d.panels[2].panels.map((p) => [p.type, p.title, p.targets[0].expr, p.interval]), [['stat', 'B', 'up', '1m']]);
  assert.deepEqual([d.variables[0].hide, d.variables[0].refresh, d.variables[0].sort, m.queryText(d.variables[0])], [1, 2, 1, 'label_values(up, job)']);
});

test('what is broken is named, the rest opens', () => {
  const d = m.readDashboard({ title: 'x', panels: [null, 7, { id: 'x', type: 'stat', title: 'ok', gridPos: { x: 99, w: 'wide', h: -3 } }, { type: 'row', panels: 'none' }], templating: { list: [{ name: '' }, null, { name: 'a' }] } });
  assert.deepEqual(d.problems, ['panels[0]: not an object', 'panels[1]: not an object']);
  assert.deepEqual(d.panels.map((p) => p.type).sort(), ['row', 'stat']);
  assert.deepEqual(d.variables.map((v) => v.name), ['a']);
  for (const bad of [null, 7, 'x', [], {}, { panels: {} }, { dashboard: null }]) assert.deepEqual(m.readDashboard(bad).panels, []);
});

test('library panels travel in the file', () => {
  const d = m.readDashboard({ panels: [{ id: 1, libraryPanel: { uid: 'u', name: 'n' }, gridPos: { x: 0, y: 0, w: 6, h: 4 } }], __elements: { u: { uid: 'u', name: 'n', kind: 1, model: { type: 'gauge', title: 'G', targets: [{ refId: 'A', expr: 'up' }] } } } });
  assert.deepEqual([d.panels[0].type, d.panels[0].title, d.panels[0].targets[0].expr, d.panels[0].gridPos.w], ['gauge', 'G', 'up', 6]);
});

// ---- variables ----

const v = (extra) => m.readDashboard({ templating: { list: [{ name: 'v', type: 'query', ...extra }] } }).variables[0];
const scope = (all) => m.scopeOf(all);

test('every format of a variable', () => {
  const values = { value: ['a.b', "c'd"], text: ['A', 'C'], multi: true }, s = (name) => (name === 'v' ? values : name === 'one' ? { value: 'x y', text: 'X' } : name === 't' ? { value: '1594671549254' } : undefined);
  const f = (text) => m.interpolate(text, s, undefined, 'utc');
  for (const [text, want] of [
    ['$v', "{a.b,c'd}"], ['${v:csv}', "a.b,c'd"], ['${v:pipe}', "a.b|c'd"], ['${v:regex}', "(a\\.b|c'd)"], ['${v:json}', '["a.b","c\'d"]'], ['${v:glob}', "{a.b,c'd}"], ['${v:distributed}', "a.b,v=c'd"], ['${v:singlequote}', "'a.b','c\\'d'"], ['${v:doublequote}', '"a.b","c\'d"'],
    ['${v:sqlstring}', "'a.b','c''d'"], ['${v:text}', 'A + C'], ['${v:queryparam}', 'var-v=a.b&var-v=c%27d'], ['${v:customqueryparam:p:x-}', 'p=x-a.b&p=x-c%27d'], ['${v:join:;}', "a.b;c'd"], ['${v:raw}', "a.b,c'd"], ['${v:lucene}', "(\"a.b\" OR \"c'd\")"],
    ['${v:percentencode}', '%7Ba.b%2Cc%27d%7D'], ['${one:percentencode}', 'x%20y'], ['${one:uriencode}', 'x%20y'], ['[[one]]', 'x y'], ['[[v:csv]]', "a.b,c'd"], ['${one:text}', 'X'], ['$none ${none:csv} [[none]]', '$none ${none:csv} [[none]]'], ['$one$one', 'x yx y'],
    ['${t:date}', '2020-07-13T20:19:09.254Z'], ['${t:date:iso}', '2020-07-13T20:19:09.254Z'], ['${t:date:seconds}', '1594671549'], ['${t:date:YYYY-MM}', '2020-07'],
  ]) assert.equal(f(text), want, text);
});

test('PromQL: alternations are escaped, All and hand-written All', () => {
  const multi = m.choose({ ...v({ multi: true, includeAll: true }), options: [{ text: 'a.b', value: 'a.b' }, { text: 'c', value: 'c' }] }, ['a.b', 'c']);
  assert.equal(m.interpolate('{x=~"$v"}', scope([multi]), m.promql), '{x=~"(a\\\\.b|c)"}');
  assert.equal(m.interpolate('{x=~"$v"}', scope([m.choose(multi, ['a.b'])]), m.promql), '{x=~"a\\\\.b"}');
  assert.equal(m.interpolate('{x=~"$v"}', scope([m.choose(multi, ['$__all'])]), m.promql), '{x=~"(a\\\\.b|c)"}');
  assert.equal(m.interpolate('{x=~"$v"}', scope([m.choose({ ...multi, allValue: '.+' }, ['$__all'])]), m.promql), '{x=~".+"}');
  const single = m.choose(v({}), ['a.b"c\\']);
  assert.equal(m.interpolate('{x="$v"}', scope([single]), m.promql), '{x="a.b\\"c\\\\"}');
});

test('queries of variables', () => {
  const p = m.parseVariableQuery;
  assert.deepEqual(p('label_values(up{job="a",x=~"b, c"}, instance)'), { kind: 'label_values', label: 'instance', match: 'up{job="a",x=~"b, c"}' });
  assert.deepEqual(p('label_values(job)'), { kind: 'label_values', label: 'job', match: undefined });
  assert.deepEqual(p('label_names()'), { kind: 'label_names', match: undefined });
  assert.deepEqual(p('metrics(node_.*)'), { kind: 'metrics', pattern: 'node_.*' });
  assert.deepEqual(p('query_result(topk(5, sum by (job) (up)))'), { kind: 'query_result', expr: 'topk(5, sum by (job) (up))' });
  assert.deepEqual(p('up{job="x"}'), { kind: 'series', match: 'up{job="x"}' });
  assert.equal(p('  '), null);
  assert.equal(m.queryText(v({ query: { query: 'label_values(a)', refId: 'x' } })), 'label_values(a)');
  assert.equal(m.queryText(v({ query: { qryType: 1, metric: 'up', label: 'job' } })), 'label_values(up,job)');
});

test('choices: regex, groups, orders, once each', () => {
  const all = ['n10', 'n2', 'n1', 'N3', 'n2'].map((x) => ({ text: x, value: x })), values = (re, sort) => m.optionsFrom(all, re, sort).map((o) => o.value);
  assert.deepEqual(values(undefined, 0), ['n10', 'n2', 'n1', 'N3']);
  assert.deepEqual(values('/n(\\d+)/', 3), ['1', '2', '10']);
  assert.deepEqual(values('/n.*/', 1), ['n1', 'n10', 'n2']);
  assert.deepEqual(values(undefined, 5), ['n1', 'n10', 'n2', 'N3']);
  assert.deepEqual(values(undefined, 4), ['n10', 'N3', 'n2', 'n1']);
  assert.deepEqual(values(undefined, 7), ['n1', 'n2', 'N3', 'n10']);
  const named = m.optionsFrom([{ text: '', value: 'up{instance="a:1",job="j"} 1 2' }], '/instance="(?<text>[^"]+)".*job="(?<value>[^"]+)"/', 0);
  assert.deepEqual(named, [{ text: 'a:1', value: 'j' }]);
  assert.deepEqual(m.customOptions('a, b : c ,d\\,e'), [{ text: 'a', value: 'a' }, { text: 'b', value: 'c' }, { text: 'd,e', value: 'd,e' }]);
});

test('chains are asked in waves, circles end', () => {
  const list = m.readDashboard({ templating: { list: [{ name: 'c', query: 'label_values(up{b="$b"}, c)' }, { name: 'a', query: 'label_values(a)' }, { name: 'b', query: 'label_values(up{a="${a}"}, b)' }, { name: 'x', query: '$y' }, { name: 'y', query: '$x' }] } }).variables;
  assert.deepEqual(m.waves(list).map((w) => w.map((o) => o.name)), [['a'], ['b'], ['c'], ['x'], ['y']]);
});

test('what was chosen is kept while it is there', () => {
  const options = ['a', 'b'].map((x) => ({ text: x.toUpperCase(), value: x }));
  const of = (current, extra = {}) => m.validated({ ...v(extra), options, current: { value: current, text: current } });
  assert.deepEqual(of(['b']), ['b']);
  assert.deepEqual(of(['z']), ['a']);
  assert.deepEqual(of(['z'], { includeAll: true }), ['$__all']);
  assert.deepEqual(of(['B']), ['b'], 'older files keep the text');
  assert.deepEqual(of(['a', 'z', 'b'], { multi: true }), ['a', 'b']);
});

test('addresses carry variables, All by name', () => {
  const list = [{ ...v({ multi: true, includeAll: true }), options: [{ text: 'a', value: 'a' }] }];
  assert.deepEqual(m.fromUrl(list, new URLSearchParams('var-v=All'))[0].current.value, ['$__all']);
  assert.deepEqual(m.toUrl(m.fromUrl(list, new URLSearchParams('var-v=a&var-v=b'))[0]), ['a', 'b']);
});

test('filters go into every selector', () => {
  const add = (e) => m.withFilters(e, [{ key: 'env', operator: '=', value: 'p"q' }], m.looksLikeMetric);
  assert.equal(add('sum by (job) (rate(http_total{code="}{"}[5m])) / on (a) up'), 'sum by (job) (rate(http_total{env="p\\"q",code="}{"}[5m])) / on (a) up{env="p\\"q"}');
  assert.equal(add('up{} offset 5m + 1e3'), 'up{env="p\\"q"} offset 5m + 1e3');
  assert.equal(add('topk(3, a) and b unless c'), 'topk(3, a{env="p\\"q"}) and b{env="p\\"q"} unless c{env="p\\"q"}');
});

test('steps', () => {
  const hour = { from: 0, to: 3600000 };
  assert.deepEqual(m.stepsFor(hour, 240, undefined, undefined, 1, 15000), { interval: 15000, step: 15000, rate: 60000 });
  assert.deepEqual(m.stepsFor(hour, 1000, undefined, '1m', 1, 15000), { interval: 60000, step: 60000, rate: 240000 });
  assert.deepEqual(m.stepsFor({ from: 0, to: 7 * 86400000 }, 1000, undefined, undefined, 1, 15000), { interval: 600000, step: 600000, rate: 615000 });
  assert.deepEqual(m.aligned({ from: 7, to: 25 }, 10), { from: 0, to: 20 });
});

test('times', () => {
  const now = Date.UTC(2026, 2, 31, 12, 34, 56), p = (t, end) => m.parseTime(t, now, 'utc', end), iso = (t, end) => new Date(p(t, end)).toISOString();
  assert.equal(iso('now-1M'), '2026-02-28T12:34:56.000Z');
  assert.equal(iso('now/d'), '2026-03-31T00:00:00.000Z');
  assert.equal(iso('now/d', true), '2026-03-31T23:59:59.999Z');
  assert.equal(iso('now-1d/d'), '2026-03-30T00:00:00.000Z');
  assert.equal(iso('2026-01-02 03:04:05'), '2026-01-02T03:04:05.000Z');
  assert.equal(p('1594671549254'), 1594671549254);
  assert.equal(p('1594671549'), 1594671549000);
  for (const bad of ['', 'now-', 'nowx', 'yesterday', 'now-5', 'now/q']) assert.equal(p(bad), null, bad);
});

// ---- field settings ----

test('defaults, overrides in order, names, scales', () => {
  const frames = [{ refId: 'A', length: 2, fields: [{ name: 'Time', type: 'time', config: {}, values: [1, 2] }, { name: 'Value', type: 'number', config: {}, values: [1, 5], labels: { host: 'a' } }] }, { refId: 'B', length: 2, fields: [{ name: 'Time', type: 'time', config: {}, values: [1, 2] }, { name: 'Value', type: 'number', config: {}, values: [10, 50], labels: { host: 'b' } }] }];
  const out = m.applyFieldConfig(frames, { defaults: { unit: 'bytes', custom: { lineWidth: 1 }, links: [{ title: 'x', url: 'y' }] }, overrides: [{ matcher: { id: 'byName', options: 'b' }, properties: [{ id: 'custom.lineWidth', value: 3 }, { id: 'displayName', value: 'Bee ${__field.labels.host}' }, { id: 'unit', value: 'percent' }] }, { matcher: { id: 'byFrameRefID', options: 'A' }, properties: [{ id: 'decimals', value: 2 }] }] }, 'dark', 'utc', (t, f) => t.replace('${__field.labels.host}', f?.labels?.host ?? ''));
  const [a, b] = [out[0].fields[1], out[1].fields[1]];
  assert.deepEqual([a.state.displayName, b.state.displayName], ['a', 'Bee b']);
  assert.deepEqual([a.config.custom.lineWidth, b.config.custom.lineWidth, a.config.unit, b.config.unit], [1, 3, 'bytes', 'percent']);
  assert.deepEqual([a.state.range.min, a.state.range.max], [1, 50]);
  assert.equal(m.shownText(a.display(1024)), '1.00 KiB');
  assert.equal(m.shownText(b.display(7)), '7%');
  assert.equal(frames[1].fields[1].config.unit, undefined, 'what was given is left as it was');
});

test('links lead to the web or nowhere', () => {
  for (const bad of ['javascript:alert(1)', ' JaVaScRiPt:alert(1)', 'java\nscript:alert(1)', '\u0001javascript:1', 'data:text/html,x', 'vbscript:x', 'file:///etc/passwd']) assert.equal(m.safeHref(bad), null, bad);
  for (const good of ['https://a.b/c', '/d/abc', '?var-x=1', 'd/abc/x', 'mailto:a@b.c', '#x']) assert.equal(m.safeHref(good), good);
});

test('a time series table has a row per series', () => {
  const frames = ['a', 'b'].map((host, i) => ({ refId: 'A', length: 2, fields: [{ name: 'Time', type: 'time', config: {}, values: [1, 2] }, { name: 'Value', type: 'number', config: {}, values: [i, i + 1], labels: { host } }] }));
  const [t] = m.transformers.timeSeriesTable(frames, {}, { replace: (x) => x });
  assert.deepEqual(t.fields.map((f) => [f.name, f.type]), [['host', 'string'], ['Trend #A', 'frame']]);
  assert.deepEqual(t.fields[1].values.map((x) => x.value), [1, 2]);
});

test('fields come out of JSON and labels', () => {
  const run = (values, o) => m.transformers.extractFields([{ length: values.length, fields: [{ name: 'l', type: 'string', config: {}, values }] }], { source: 'l', ...o }, { replace: (x) => x })[0].fields.map((f) => [f.name, f.type, f.values]);
  assert.deepEqual(run(['{"a":1,"b":{"c":2}}', 'x'], { format: 'json', replace: true, jsonPaths: [{ path: 'b.c', alias: 'C' }] }), [['C', 'number', [2, undefined]]]);
  assert.deepEqual(run(['level=info msg="a b"'], { replace: true }), [['level', 'string', ['info']], ['msg', 'string', ['a b']]]);
});

test('a transformation nobody knows is passed over and named', () => {
  const frames = [{ length: 0, fields: [] }];
  assert.deepEqual(m.transform(frames, [{ id: 'spatial', options: {} }, { id: 'limit', disabled: true }], { replace: (x) => x }), { frames, unknown: ['spatial'] });
});
