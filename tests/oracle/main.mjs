// Compares the dashboard model with @grafana/data (Apache-2.0) on generated cases:
//   (cd tests/oracle && npm install --no-save) && node tests/oracle/main.mjs [CASES [SEED]]
// Prints, per kind, how many cases agreed, and the first that did not. Ends with 1 when one did not.
import { createRequire } from 'node:module';
import { isDeepStrictEqual } from 'node:util';
import { load } from '../ui/bundle.mjs';

// The date of the test's clock; nothing in the comparison depends on it but "from now".
if (!globalThis.navigator?.languages) Object.defineProperty(globalThis, 'navigator', { value: { languages: ['en-US'], language: 'en-US' }, configurable: true });
const require = createRequire(import.meta.url), g = require('@grafana/data');
const ours = await load('dash/index.ts');
/** A copy without functions, which frames of the reference carry. */
const copyOf = (v) => (Array.isArray(v) ? Array.from(v, copyOf) : v && typeof v === 'object' ? Object.fromEntries(Object.entries(v).filter(([, x]) => typeof x !== 'function').map(([k, x]) => [k, copyOf(x)])) : v);
const wanted = Number(process.argv[2] ?? 20000), seed = Number(process.argv[3] ?? 1);

let state = seed >>> 0 || 1;
const random = () => { // mulberry32
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};
const int = (n) => Math.floor(random() * n), pick = (all) => all[int(all.length)], maybe = (p, v) => (random() < p ? v() : undefined);

const theme = g.createTheme({ colors: { mode: 'dark' } });
function number() {
  const r = random();
  if (r < 0.05) return 0;
  if (r < 0.08) return pick([Infinity, -Infinity, NaN, null, -0, 1, -1, 0.5, 2.5, 1e21, 5e-324, 1023.5, 999.9999]);
  if (r < 0.3) return int(2000) - 500;
  if (r < 0.5) return Math.round((random() - 0.3) * 1e6) / 1000;
  const v = (random() - 0.25) * 10 ** (int(34) - 12);
  return random() < 0.5 ? v : Number(v.toPrecision(1 + int(4)));
}
const ids = Object.keys(g.getValueFormatterIndex()).filter((id) => id !== 'dateTimeFromNow' && !/NoDateIfToday/.test(id));
const customs = ['', 'foo', 'req per sec', 'suffix:things', 'prefix:$', 'si:mF', 'si:kg', 'si:B', 'si:', 'count:msgs', 'currency:$$', 'currency:financial:€', 'currency:financial:€:suffix', 'currency:financial:', 'bool:on/off', 'bool:on', 'time:YYYY-MM-DD', 'time:HH:mm:ss.SSS', 'time:ddd, MMM Do YYYY h:mm a', 'a:b', ':x'];
const text = (t) => `${t.prefix ?? ''}|${t.text}|${t.suffix ?? ''}`;

function units() {
  const unit = random() < 0.9 ? pick(ids) : pick(customs), v = number(), decimals = pick([undefined, undefined, undefined, null, 0, 1, 2, 3, 5]), zone = pick(['utc', 'browser', 'America/New_York', 'Asia/Kolkata']);
  const isDate = /^(dateTime|time:)/.test(unit);
  const value = isDate ? Math.round((random() - 0.2) * 4e12) : v, showMs = random() < 0.3;
  if (!Number.isFinite(value) && (isDate || /^(clock|dth|dtd)/.test(unit))) return null;
  const a = g.getValueFormat(unit)(value, decimals, null, zone, showMs), b = ours.unitFormat(unit)(value, decimals, zone, showMs);
  return [text(a), text(b), { unit, value, decimals, zone }];
}

const colors = ['red', 'green', 'semi-dark-blue', '#ff00ff', 'rgba(1, 2, 3, 0.5)', 'transparent', 'dark-orange'];
function steps() {
  const n = 1 + int(5), limits = Array.from({ length: n - 1 }, number).filter((x) => Number.isFinite(x)).sort((a, b) => a - b);
  return [{ value: -Infinity, color: pick(colors) }, ...limits.map((value) => ({ value, color: pick(colors) }))];
}
const mode = () => pick(['absolute', 'percentage']);
const modes = ['thresholds', 'fixed', 'palette-classic', 'continuous-GrYlRd', 'continuous-BlPu', 'continuous-YlRd', 'palette-classic-by-name'];
function values(type = 'number', n = int(20)) {
  return Array.from({ length: n }, () => (type === 'string' ? pick(['a', 'b', 'up', 'down', '', '12', '3.5', null, 'node-1', 'Node-2']) : type === 'boolean' ? random() < 0.5 : type === 'time' ? 1.6e12 + int(1e6) * 1000 : random() < 0.15 ? pick([null, NaN, undefined, 0]) : number()));
}
function mapping() {
  const result = { text: pick(['OK', 'Bad', '$1', '', undefined]), color: maybe(0.5, () => pick(colors)) };
  switch (int(4)) {
    case 0: return { type: 'value', options: { [pick(['0', '1', 'a', 'up', '12', 'true'])]: result, [pick(['2', 'b'])]: { text: 'two', color: 'red' } } };
    case 1: return { type: 'range', options: { from: pick([0, -5, 10, null, undefined]), to: pick([1, 100, null, undefined]), result } };
    case 2: return { type: 'special', options: { match: pick(['null', 'nan', 'null+nan', 'true', 'false', 'empty']), result } };
    default: return { type: 'regex', options: { pattern: pick(['/(n)ode/', '/^u/', 'up', '/(.*)/', 'node-.*']), result } };
  }
}
const anyValue = () => pick([number, () => pick(['a', 'up', '', '12', 'node-1', 'true', '3.5', '-2']), () => random() < 0.5, () => null, () => undefined])();

function mappings() {
  const field = { name: 'x', type: pick(['number', 'string', 'other']), config: { mappings: Array.from({ length: 1 + int(4) }, mapping) }, values: [] }, v = anyValue();
  const parts = (d) => [d.text, d.numeric, d.color, d.suffix ?? ''];
  return [parts(g.getDisplayProcessor({ field, theme, timeZone: 'utc' })(v)), parts(ours.displayOf(copyOf(field), 'dark', 'utc')(v)), { field, v }];
}

function thresholds() {
  const s = steps(), v = number();
  return [g.getActiveThreshold(v, s), ours.activeStep(v, s), { s, v }];
}

const config = () => ({
  unit: maybe(0.6, () => pick(['short', 'bytes', 'percent', 's', 'ms', 'none', 'currencyUSD', 'locale', 'bool', 'reqps', 'string'])), decimals: maybe(0.3, () => int(4)), min: maybe(0.3, () => int(10)), max: maybe(0.3, () => 10 + int(100)), noValue: maybe(0.2, () => '-'),
  thresholds: maybe(0.7, () => ({ mode: mode(), steps: steps() })), color: maybe(0.6, () => ({ mode: pick(modes), fixedColor: pick(colors) })), mappings: maybe(0.4, () => Array.from({ length: 1 + int(2) }, mapping)),
});
const drop = (o) => JSON.parse(JSON.stringify(o, (_, v) => (v === -Infinity ? '-inf' : v === Infinity ? 'inf' : Number.isNaN(v) ? 'nan' : v === undefined ? undefined : v)));
const panelBackground = theme.visualization.getColorByName('panel-bg');

function display() {
  const type = pick(['number', 'number', 'number', 'string', 'boolean']), field = { name: pick(['Value', 'up', 'x']), type, config: drop2(config()), values: values(type, 1 + int(10)), state: { seriesIndex: int(90), displayName: pick(['a', 'b', 'series three']) } };
  if (field.config.color?.mode === 'palette-classic-by-name') field.config.color.mode = 'palette-classic';
  const copy = copyOf(field), v = random() < 0.7 ? pick(field.values) : anyValue(), axis = maybe(0.2, () => int(4));
  const a = g.getDisplayProcessor({ field, theme, timeZone: 'utc' })(v, axis), b = ours.displayOf(copy, 'dark', 'utc')(v, axis);
  const parts = (d) => [d.text, d.prefix ?? '', d.suffix ?? '', d.numeric, color(d.color), d.percent ?? null];
  return [parts(a), parts(b), { field: copy, v, axis }];
}
const color = (c) => (c === panelBackground ? 'panel-bg' : c === ours.colorByName('panel-bg', 'dark') ? 'panel-bg' : c);
const drop2 = (o) => Object.fromEntries(Object.entries(o).filter(([, v]) => v !== undefined));

const reducerIds = g.fieldReducers.list().map((r) => r.id);
function reducers() {
  const type = pick(['number', 'number', 'number', 'string', 'boolean', 'time']), field = { name: 'x', type, config: drop2({ nullValueMode: maybe(0.3, () => pick(['null', 'connected', 'null as zero'])) }), values: values(type) };
  const ids = random() < 0.6 ? [pick(reducerIds)] : Array.from({ length: 1 + int(5) }, () => pick(reducerIds));
  const a = g.reduceField({ field: copyOf(field), reducers: ids }), b = ours.reduceAll(copyOf(field), ids);
  return [ids.map((i) => a[i]), ids.map((i) => b[i]), { field, ids }];
}

const names = ['Value', 'Time', 'up', 'cpu', 'host', 'Value #A', 'a b'];
const labels = () => maybe(0.6, () => drop2({ job: maybe(0.8, () => pick(['node', 'api'])), instance: maybe(0.5, () => pick(['a:1', 'b:2'])), __name__: maybe(0.2, () => pick(['up', 'cpu'])) }));
function series(at, n = 1 + int(8)) {
  const start = 1.6e12, times = Array.from({ length: n }, (_, i) => start + (random() < 0.8 ? i : i * 2) * 15000);
  const sorted = [...new Set(times)].sort((a, b) => a - b);
  return {
    refId: 'ABC'[at % 3], ...(random() < 0.4 ? { name: pick(['s1', 's2', 's3']) } : {}), length: sorted.length, fields: [
      { name: 'Time', type: 'time', config: {}, values: sorted },
      { name: pick(['Value', 'Value', 'up', 'cpu']), type: 'number', config: drop2({ displayName: maybe(0.1, () => 'shown'), displayNameFromDS: maybe(0.3, () => pick(['legend', 'other'])) }), values: sorted.map(() => (random() < 0.1 ? null : int(100))), labels: labels() },
    ],
  };
}
function table(at, n = int(7)) {
  const columns = 1 + int(4), used = new Set(), fields = [];
  for (let i = 0; i < columns; i++) {
    const name = pick(names);
    if (used.has(name) && random() < 0.8) continue;
    used.add(name);
    const type = name === 'Time' ? 'time' : name === 'host' ? 'string' : 'number';
    fields.push({ name, type, config: {}, values: type === 'string' ? Array.from({ length: n }, () => pick(['a', 'b', 'c'])) : type === 'time' ? Array.from({ length: n }, () => 1.6e12 + int(4) * 1000) : Array.from({ length: n }, () => (random() < 0.1 ? null : int(5))) });
  }
  return { refId: 'ABC'[at % 3], length: n, fields, ...(random() < 0.2 ? { name: pick(['t1', 't2']) } : {}) };
}
function frames() {
  const n = 1 + int(4), kind = random();
  return Array.from({ length: n }, (_, i) => (kind < 0.5 ? series(i) : kind < 0.9 ? table(i) : random() < 0.5 ? series(i) : table(i)));
}
const clean = (list) => list.map((f) => ({ ...f, fields: f.fields.map((x) => (x.labels === undefined ? (({ labels, ...rest }) => rest)(x) : x)) }));

function matchers() {
  const data = clean(frames());
  const m = pick([
    () => ({ id: 'byName', options: pick([...names, 'legend', 's1', '{job="node"}', 'time']) }), () => ({ id: 'byRegexp', options: pick(['/.*/', '/^V/', 'Value.*', '/node/', 'up', '/a|b/i']) }), () => ({ id: 'byNames', options: { names: [pick(names), pick(names)], mode: pick(['include', 'exclude', undefined]) } }),
    () => ({ id: 'byType', options: pick(['number', 'time', 'string']) }), () => ({ id: 'numeric' }), () => ({ id: 'time' }), () => ({ id: 'byFrameRefID', options: pick(['A', 'B']) }), () => ({ id: 'byRegexpOrNames', options: { pattern: pick(['/^V/', '']), names: [pick(names)] } }),
    () => ({ id: 'byValue', options: { reducer: pick(['max', 'min', 'mean', 'last', 'allIsZero', 'count', 'allIsNull']), op: pick(['gte', 'gt', 'lt', 'lte', 'eq', 'neq', undefined]), value: pick([0, 1, 5, 50, null]) } }), () => ({ id: 'firstTimeField', options: {} }), () => ({ id: 'first' }),
  ])();
  const copy = copyOf(data), fa = g.getFieldMatcher(m), fb = ours.fieldMatcher(m);
  return [data.map((f) => f.fields.map((x) => fa(x, f, data))), copy.map((f) => f.fields.map((x) => fb(x, f, copy))), { m, data: copy }];
}

function displayNames() {
  const data = clean(frames()), copy = copyOf(data);
  return [data.map((f) => f.fields.map((x) => g.getFieldDisplayName(x, f, data))), copy.map((f) => f.fields.map((x) => ours.displayName(x, f, copy))), { data: copy }];
}

function options(id, data) {
  const all = data.flatMap((f) => f.fields.map((x) => g.getFieldDisplayName(copyOf(x), copyOf(f), copyOf(data)))), some = () => (random() < 0.8 && all.length ? pick(all) : pick(names));
  const reducer = () => pick(['max', 'min', 'mean', 'sum', 'last', 'lastNotNull', 'first', 'count', 'range', 'stdDev', 'median', 'p95', 'distinctCount', 'allIsNull', 'delta', 'diff', 'countAll']);
  switch (id) {
    case 'organize': return { excludeByName: maybe(0.7, () => ({ [some()]: true, [some()]: random() < 0.5 })), indexByName: { [some()]: int(4), [some()]: int(4) }, renameByName: { [some()]: pick(['New', '', 'Other']) }, ...(random() < 0.2 ? { includeByName: { [some()]: true } } : {}) };
    case 'filterFieldsByName': return { include: maybe(0.7, () => ({ names: maybe(0.7, () => [some(), some()]), pattern: maybe(0.4, () => pick(['/^V/', '/.*/', 'up'])) })), exclude: maybe(0.4, () => ({ names: [some()] })) };
    case 'renameByRegex': return { regex: pick(['(.*)', '/(.)(.*)/', '/a/g', 'Value(.*)', '/^(Time)$/']), renamePattern: pick(['$1', 'x-$1', '$2$1', '']) };
    case 'sortBy': return { fields: {}, sort: [{ field: some(), desc: random() < 0.5 }] };
    case 'groupBy': return { fields: { [some()]: { operation: 'groupby', aggregations: random() < 0.2 ? ['count'] : [] }, [some()]: { operation: 'aggregate', aggregations: [...new Set([reducer(), ...(random() < 0.3 ? [reducer()] : [])])] }, ...(random() < 0.3 ? { [some()]: { operation: 'groupby', aggregations: [] } } : {}) } };
    case 'calculateField': return pick([
      () => ({ mode: 'reduceRow', reduce: { reducer: reducer(), include: maybe(0.5, () => [some(), some()]) }, alias: maybe(0.4, () => 'Total'), replaceFields: random() < 0.3 }),
      () => ({ mode: 'binary', binary: { left: some(), operator: pick(['+', '-', '*', '/']), right: pick([some(), '2', { fixed: '10' }, { matcher: { id: 'byName', options: some() } }]) }, alias: maybe(0.3, () => 'calc'), replaceFields: random() < 0.3, ...(random() < 0.3 ? { timeSeries: false } : {}) }),
      () => ({ mode: 'unary', unary: { operator: pick(['abs', 'exp', 'ln', 'floor', 'ceil', 'round', 'percent']), fieldName: some() } }), () => ({ mode: 'cumulativeFunctions', cumulative: { reducer: pick(['sum', 'mean']), field: maybe(0.5, some) } }),
      () => ({ mode: 'windowFunctions', window: { reducer: pick(['mean', 'stdDev', 'variance']), windowAlignment: pick(['trailing', 'centered']), windowSizeMode: pick(['fixed', 'percentage']), windowSize: pick([1, 2, 3, 0.5]), field: maybe(0.5, some) } }),
      () => ({ mode: 'index', index: { asPercentile: random() < 0.5 }, alias: maybe(0.5, () => 'n') }), () => ({ reduce: { reducer: 'sum' } }),
      () => ({ mode: 'binary', binary: { left: { matcher: { id: 'byType', options: 'number' } }, operator: pick(['+', '*']), right: { fixed: '3' } } }),
    ])();
    case 'reduce': return { reducers: [...new Set([reducer(), ...(random() < 0.5 ? [reducer()] : [])])], mode: pick(['seriesToRows', 'reduceFields', undefined]), includeTimeField: random() < 0.2, labelsToFields: random() < 0.3 };
    case 'labelsToFields': return { mode: pick(['columns', 'rows', undefined]), keepLabels: maybe(0.3, () => ['job']), valueLabel: maybe(0.3, () => 'job') };
    case 'joinByField': case 'seriesToColumns': return { byField: maybe(0.7, () => pick(['Time', some()])), mode: pick(['outer', 'outer', 'inner', 'outerTabular', undefined]) };
    case 'groupingToMatrix': return { columnField: some(), rowField: some(), valueField: some(), emptyValue: maybe(0.5, () => pick(['null', 'zero', 'empty', 'true', 'false'])) };
    case 'filterByValue': return { type: pick(['include', 'exclude']), match: pick(['all', 'any']), filters: Array.from({ length: 1 + int(2) }, () => ({ fieldName: some(), config: pick([{ id: 'greater', options: { value: 2 } }, { id: 'lowerOrEqual', options: { value: 3 } }, { id: 'equal', options: { value: 'a' } }, { id: 'isNull', options: {} }, { id: 'isNotNull', options: {} }, { id: 'between', options: { from: 1, to: '4' } }, { id: 'regex', options: { value: 'a|b' } }, { id: 'notEqual', options: { value: '1' } }, { id: 'substring', options: { value: 'A' } }]) })) };
    case 'convertFieldType': { // texts as times only by a pattern: without one the reference reads "a:1" as a year before Christ
      const targetField = some(), isTime = /^time$/i.test(targetField);
      return { fields: {}, conversions: [{ targetField, destinationType: pick(['number', 'string', 'boolean', isTime ? 'time' : 'number', 'other']), dateFormat: pick([undefined, undefined, 'YYYY']) }] };
    }
    case 'limit': return { limitField: pick([1, 3, '2', undefined]) };
    case 'concatenate': return { frameNameMode: pick(['field', 'label', 'drop', undefined]), frameNameLabel: maybe(0.3, () => 'src') };
    case 'filterByRefId': return { include: pick(['A', 'A|B', '/A|C/', undefined]), exclude: maybe(0.2, () => 'B') };
    case 'order': return { indexByName: { [some()]: 1, [some()]: 0 }, ...(random() < 0.3 ? { orderByMode: 'auto', orderBy: [{ type: 'name', desc: random() < 0.5 }] } : {}) };
    case 'rename': return { renameByName: { [some()]: 'N' } };
  }
  return {};
}
const transformIds = ['organize', 'merge', 'filterFieldsByName', 'renameByRegex', 'sortBy', 'groupBy', 'calculateField', 'reduce', 'labelsToFields', 'joinByField', 'seriesToColumns', 'groupingToMatrix', 'filterByValue', 'convertFieldType', 'limit', 'concatenate', 'filterByRefId', 'order', 'rename', 'seriesToRows'];
const registry = new Map(Object.values(g.standardTransformers).map((t) => [t.id, t]));
registry.set('seriesToColumns', registry.get('joinByField'));
const rx = require('rxjs');
const context = { interpolate: (s) => s };

function run(id, o, data) {
  let out, error;
  rx.of(data).pipe(registry.get(id).operator(o, context)).subscribe({ next: (v) => (out = v), error: (e) => (error = e) });
  if (error) throw error;
  // Its filter by value miscounts the rows of second frames; the columns themselves are right, and those are compared.
  if (id === 'filterByValue') for (const f of out) if (f.fields.length) f.length = f.fields[0].values.length;
  // Rows it fills tables up with are holes; as undefined they mean the same to a person.
  for (const f of out) for (const x of f.fields) x.values = Array.from(x.values);
  return out;
}
// What a person can tell apart: names on the screen, types, values, labels, configuration.
const seen = (list, name) => list.map((f) => ({ refId: f.refId, length: f.length, fields: f.fields.map((x) => ({ name: x.name, shown: name(x, f, list), type: x.type, values: [...x.values], labels: x.labels && Object.keys(x.labels).length ? { ...x.labels } : undefined, config: { ...drop(x.config ?? {}) } })) }));
// An undefined and a null differ to charts only (gap or line across), which joins are compared for; -0 and 0 print alike.

function transformations() {
  let a = clean(frames()), b = copyOf(a);
  const given = copyOf(a), chain = [];
  for (let n = random() < 0.75 ? 1 : 1 + int(3); n > 0; n--) {
    const id = pick(transformIds), o = drop2(options(id, a));
    chain.push({ id, o: copyOf(o) });
    // Columns of one name in one table: the reference mixes their rows when it groups. Such tables are not compared.
    if (id === 'groupBy' && a.some((f) => [undefined, f].some((frame) => new Set(f.fields.map((x) => ours.displayName({ ...copyOf(x), state: {} }, frame))).size < f.fields.length))) return null;
    // A time that is not there prints as the present moment in the reference.
    if (id === 'convertFieldType' && a.some((f) => f.fields.some((x) => x.type === 'time' && x.values.includes(undefined)))) return null;
    let failA, failB;
    try { a = run(id, copyOf(o), a); } catch (e) { failA = e; }
    try { b = ours.transformers[id](b, copyOf(o), { replace: (s) => s, zone: 'utc' }); } catch (e) { failB = e; }
    if (failA) return null; // the reference itself breaks: nothing to compare with
    if (failB) return ['ran', `threw ${failB.stack}`, { chain, given }];
  }
  return [seen(a, g.getFieldDisplayName), seen(b, ours.displayName), { chain, given }];
}

function intervals() {
  const span = 10 ** (2 + random() * 10), points = 10 + int(3000), least = pick([undefined, '15s', '1m', '10ms', '1h']);
  const to = 1.7e12, a = g.rangeUtil.calculateInterval({ from: g.dateTime(to - Math.round(span)), to: g.dateTime(to), raw: { from: 'a', to: 'b' } }, points, least), b = ours.intervalFor({ from: to - Math.round(span), to }, points, least);
  return [[a.intervalMs, a.interval], [b, ours.printStep(b)], { span, points, least }];
}

function times() {
  const now = 1.6e12 + int(1e9) * 100, zone = pick(['utc', 'America/New_York', 'Asia/Kolkata']), end = random() < 0.5;
  const t = `now${random() < 0.6 ? `-${1 + int(30)}${pick(['s', 'm', 'h', 'd', 'w', 'M', 'y'])}` : ''}${random() < 0.5 ? `/${pick(['m', 'h', 'd', 'M', 'y'])}` : ''}`;
  const real = Date.now;
  Date.now = () => now;
  const a = g.dateMath.parse(t, end, zone);
  Date.now = real;
  return [a.valueOf(), ours.parseTime(t, now, zone, end), { t, now, zone, end }];
}

const kinds = [[units, 0.4], [display, 0.14], [mappings, 0.07], [thresholds, 0.05], [reducers, 0.12], [matchers, 0.07], [displayNames, 0.03], [transformations, 0.09], [intervals, 0.02], [times, 0.01]];
console.warn = console.error = () => {};
let total = 0, wrong = 0, skipped = 0;
const began = Date.now();
for (const [kind, share] of kinds) {
  let same = 0, different = 0;
  for (const end = Math.round(wanted * share); same + different < end;) {
    const one = kind();
    if (!one) { skipped++; continue; }
    // Rows that a table is filled up with are holes there and undefined here.
    const norm = (v) => JSON.parse(JSON.stringify(v, (_, x) => (typeof x === 'number' ? (Number.isNaN(x) ? 'NaN' : Object.is(x, -0) ? 0 : Number.isFinite(x) ? x : String(x)) : x === undefined || x === 'undefined' ? null : x)) ?? 'null');
    if (isDeepStrictEqual(norm(one[0]), norm(one[1]))) same++;
    else {
      if (different < Number(process.env.SHOW ?? 1)) console.log(`${kind.name}: expected ${JSON.stringify(norm(one[0]))}\n${' '.repeat(kind.name.length)}       got ${JSON.stringify(norm(one[1]))}\n  for ${JSON.stringify(one[2])}`);
      different++;
    }
  }
  total += same + different;
  wrong += different;
  console.log(`${kind.name.padEnd(16)} ${same} agree, ${different} differ`);
}
console.log(`${total} cases, ${wrong} mismatches (${((Date.now() - began) / 1000).toFixed(0)} s, seed ${seed}; ${skipped} made the reference fail and were drawn again)`);
process.exit(wrong ? 1 : 0);
