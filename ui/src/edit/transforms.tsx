// A panel's transformations: the common ones as forms over the fields they see, every other as its JSON.
import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { displayName, type Frame } from '../dash/frames';
import { reducerIds, reducerName } from '../dash/reduce';
import type { Panel } from '../dash/schema';
import { transform, transformers, type Transformation } from '../dash/transform';
import type { View } from '../dash/view';
import { t } from '../strings';
import { CheckField, IconButton, ListTools, ManyField, movedItem, NumberField, SelectField, TextField } from './fields';
import { JsonError, parseJson } from './json';
import type { Session } from './session';
import { Group } from './fields';

const known: readonly (readonly [string, string, string])[] = [
  ['organize', 'Organize fields', 'Rename, hide and order columns'], ['merge', 'Merge', 'Tables into one, rows that agree joined'], ['joinByField', 'Join by field', 'Tables side by side on a field they share'], ['reduce', 'Reduce', 'Each series to one or more figures'], ['filterFieldsByName', 'Filter fields by name', 'Keep some columns'],
  ['filterByValue', 'Filter rows by value', 'Keep or drop rows'], ['filterByRefId', 'Filter by query', 'Keep the answers of some queries'], ['sortBy', 'Sort by', 'Order rows by a field'], ['groupBy', 'Group by', 'Rows that share a value as one'], ['calculateField', 'Add a calculated field', 'A column from others'], ['renameByRegex', 'Rename by pattern', 'Names by a regular expression'],
  ['labelsToFields', 'Labels to fields', 'A column for each label'], ['seriesToRows', 'Series to rows', 'All series as rows of one table'], ['limit', 'Limit', 'The first rows'], ['timeSeriesTable', 'Time series to table', 'A row per series, with a line'], ['convertFieldType', 'Convert field type', 'Texts to numbers or times'], ['groupingToMatrix', 'Grouping to matrix', 'Two fields as rows and columns'],
  ['extractFields', 'Extract fields', 'Columns out of JSON or labels'], ['concatenate', 'Concatenate', 'All columns in one table'], ['transpose', 'Transpose', 'Rows as columns'], ['rowsToFields', 'Rows to fields', 'Rows as fields'], ['configFromData', 'Config from data', 'Settings from a query'], ['partitionByValues', 'Partition by values', 'A table for each value'], ['prepareTimeSeries', 'Prepare time series', 'Wide, many or long'], ['formatTime', 'Format time', 'Times as texts'],
];
const reducers = (): [string, string][] => reducerIds().filter((r) => !/^p\d+$/.test(r) || /^p(50|90|95|99)$/.test(r)).map((r) => [r, reducerName(r)]);

interface Props { o: any; names: string[]; panel: Panel; put: (o: any, key?: string) => void; seal: () => void }

function Organize({ o, names, put, seal }: Props): JSX.Element {
  const order = (n: string): number => (Number.isInteger(o.indexByName?.[n]) ? o.indexByName[n] : 1e6), sorted = [...names].sort((a, b) => order(a) - order(b));
  return (
    <ul class="organize">{sorted.map((n, i) => {
      const hidden = !!o.excludeByName?.[n];
      return (
        <li class={hidden ? 'off' : ''}>
          <CheckField label={n} value={!hidden} onChange={(on) => { const next = { ...o.excludeByName }; if (on) delete next[n]; else next[n] = true; put({ ...o, excludeByName: next }); }} />
          <input type="text" aria-label={t('New name of {0}', n)} placeholder={n} value={o.renameByName?.[n] ?? ''} onInput={(e) => { const next = { ...o.renameByName }; if (e.currentTarget.value) next[n] = e.currentTarget.value; else delete next[n]; put({ ...o, renameByName: next }, `rename${n}`); }} onBlur={seal} />
          <IconButton label={t('Move {0} up', n)} disabled={i === 0} onClick={() => put({ ...o, indexByName: Object.fromEntries(movedItem(sorted, i, i - 1).map((x, k) => [x, k])) })}>↑</IconButton><IconButton label={t('Move {0} down', n)} disabled={i === sorted.length - 1} onClick={() => put({ ...o, indexByName: Object.fromEntries(movedItem(sorted, i, i + 1).map((x, k) => [x, k])) })}>↓</IconButton>
        </li>
      );
    })}</ul>
  );
}

const tests = [['equal', '='], ['notEqual', '≠'], ['greater', '>'], ['greaterOrEqual', '≥'], ['lower', '<'], ['lowerOrEqual', '≤'], ['regex', 'like'], ['isNull', 'is null'], ['isNotNull', 'is not null'], ['substring', 'contains']] as const;

/** The form of a transformation; null when there is none for it. */
function Form({ id, ...p }: Props & { id: string }): JSX.Element | null {
  const { o, names, panel, put, seal } = p, pick = (label: string, value: string | undefined, to: (v: string) => void): JSX.Element => <SelectField label={label} value={value ?? ''} options={[['', t('choose …')], ...names.map((n) => [n, n] as const)]} onChange={to} />;
  switch (id) {
    case 'merge': case 'seriesToRows': case 'concatenate': case 'timeSeriesTable': case 'transpose': return <p class="hint">{t('It has nothing to set.')}</p>;
    case 'organize': return <Organize {...p} />;
    case 'joinByField': case 'seriesToColumns': return <>{pick(t('Field'), o.byField, (byField) => put({ ...o, byField }))}<SelectField label={t('Mode')} value={o.mode ?? 'outer'} options={[['outer', t('all rows')], ['inner', t('rows in all')], ['outerTabular', t('all rows of tables')]]} onChange={(mode) => put({ ...o, mode })} /></>;
    case 'reduce': return <><SelectField label={t('Mode')} value={o.mode ?? 'seriesToRows'} options={[['seriesToRows', t('series as rows')], ['reduceFields', t('fields to figures')]]} onChange={(mode) => put({ ...o, mode })} /><ManyField label={t('Figures')} value={o.reducers ?? []} options={reducers()} onChange={(v) => put({ ...o, reducers: v })} /><CheckField label={t('Labels as columns')} value={!!o.labelsToFields} onChange={(labelsToFields) => put({ ...o, labelsToFields })} /></>;
    case 'filterFieldsByName': return <><ManyField label={t('Keep')} value={o.include?.names ?? []} options={names.map((n) => [n, n] as const)} onChange={(v) => put({ ...o, include: { ...o.include, names: v } })} /><TextField label={t('or those like the pattern')} value={o.include?.pattern} onChange={(pattern) => put({ ...o, include: { ...o.include, pattern: pattern || undefined } }, 'pattern')} onDone={seal} /></>;
    case 'filterByRefId': return <ManyField label={t('Queries')} value={String(o.include ?? '').split('|').filter(Boolean)} options={panel.targets.map((x) => [x.refId, x.refId] as const)} onChange={(v) => put({ ...o, include: v.join('|') })} />;
    case 'filterByValue': {
      const filters: any[] = o.filters ?? [], edit = (i: number, f: any, key?: string): void => put({ ...o, filters: filters.map((x, k) => (k === i ? f : x)) }, key);
      return (
        <>
          <SelectField label={t('Rows that match')} value={o.type ?? 'include'} options={[['include', t('are kept')], ['exclude', t('are dropped')]]} onChange={(type) => put({ ...o, type })} /><SelectField label={t('They match')} value={o.match ?? 'any'} options={[['all', t('all conditions')], ['any', t('any condition')]]} onChange={(match) => put({ ...o, match })} />
          {filters.map((f, i) => <div class="mapping">{pick(t('Field'), f.fieldName, (fieldName) => edit(i, { ...f, fieldName }))}<SelectField label={t('Comparison')} value={f.config?.id ?? 'equal'} options={tests} onChange={(m) => edit(i, { ...f, config: { ...f.config, id: m, options: f.config?.options ?? { value: '' } } })} />{!/Null/.test(f.config?.id ?? '') && <TextField label={t('Value')} value={String(f.config?.options?.value ?? '')} onChange={(v) => edit(i, { ...f, config: { ...f.config, options: { value: v !== '' && Number.isFinite(Number(v)) ? Number(v) : v } } }, `value${i}`)} onDone={seal} />}<IconButton label={t('Remove condition {0}', i + 1)} onClick={() => put({ ...o, filters: filters.filter((_, k) => k !== i) })}>✕</IconButton></div>)}
          <button type="button" onClick={() => put({ ...o, type: o.type ?? 'include', match: o.match ?? 'any', filters: [...filters, { fieldName: names[0] ?? '', config: { id: 'greater', options: { value: 0 } } }] })}>{t('Add a condition')}</button>
        </>
      );
    }
    case 'sortBy': return <>{pick(t('Field'), o.sort?.[0]?.field, (field) => put({ ...o, sort: [{ ...o.sort?.[0], field }] }))}<CheckField label={t('Greatest first')} value={!!o.sort?.[0]?.desc} onChange={(desc) => put({ ...o, sort: [{ ...o.sort?.[0], desc }] })} /></>;
    case 'groupBy': return <ul class="organize">{names.map((n) => { const f = o.fields?.[n] ?? {}, set = (next: any): void => put({ ...o, fields: { ...o.fields, [n]: next } }); return <li><SelectField label={n} value={f.operation ?? ''} options={[['', t('left out')], ['groupby', t('group by it')], ['aggregate', t('calculate')]]} onChange={(operation) => set({ aggregations: f.aggregations ?? [], ...(operation ? { operation } : {}) })} />{f.operation === 'aggregate' && <ManyField label={t('Figures of {0}', n)} value={f.aggregations ?? []} options={reducers()} onChange={(aggregations) => set({ ...f, aggregations })} />}</li>; })}</ul>;
    case 'calculateField': {
      const mode = o.mode ?? 'reduceRow', side = (v: any): string => (typeof v === 'string' ? v : (v?.matcher?.options ?? v?.fixed ?? ''));
      return (
        <>
          <SelectField label={t('Mode')} value={mode} options={[['binary', t('two fields')], ['reduceRow', t('figure of each row')], ['index', t('number of the row')]]} onChange={(m) => put({ ...o, mode: m })} />
          {mode === 'binary' && <>{pick(t('Left'), side(o.binary?.left), (left) => put({ ...o, binary: { operator: '+', right: '', ...o.binary, left } }))}<SelectField label={t('Operation')} value={o.binary?.operator ?? '+'} options={['+', '-', '*', '/', '%', '^'].map((x) => [x, x] as const)} onChange={(operator) => put({ ...o, binary: { ...o.binary, operator } })} /><TextField label={t('Right')} value={side(o.binary?.right)} list="transform-names" onChange={(right) => put({ ...o, binary: { operator: '+', left: '', ...o.binary, right } }, 'right')} onDone={seal} /></>}
          {mode === 'reduceRow' && <><SelectField label={t('Figure')} value={o.reduce?.reducer ?? 'sum'} options={reducers()} onChange={(reducer) => put({ ...o, reduce: { ...o.reduce, reducer } })} /><ManyField label={t('Of the fields')} value={o.reduce?.include ?? []} options={names.map((n) => [n, n] as const)} onChange={(include) => put({ ...o, reduce: { reducer: 'sum', ...o.reduce, include: include.length ? include : undefined } })} /></>}
          <TextField label={t('Name')} value={o.alias} placeholder={t('made of the fields')} onChange={(alias) => put({ ...o, alias: alias || undefined }, 'alias')} onDone={seal} /><CheckField label={t('Drop all other fields')} value={!!o.replaceFields} onChange={(replaceFields) => put({ ...o, replaceFields })} />
        </>
      );
    }
    case 'renameByRegex': return <><TextField label={t('Pattern')} value={o.regex} mono onChange={(regex) => put({ ...o, regex }, 'regex')} onDone={seal} /><TextField label={t('Becomes')} value={o.renamePattern} mono placeholder="$1" onChange={(renamePattern) => put({ ...o, renamePattern }, 'to')} onDone={seal} /></>;
    case 'labelsToFields': return <><SelectField label={t('Mode')} value={o.mode ?? 'columns'} options={[['columns', t('a column each')], ['rows', t('a row each')]]} onChange={(mode) => put({ ...o, mode })} /><TextField label={t('Label that names the value')} value={o.valueLabel} onChange={(v) => put({ ...o, valueLabel: v || undefined }, 'label')} onDone={seal} /></>;
    case 'limit': return <NumberField label={t('Rows')} value={Number(o.limitField ?? 10)} onChange={(v) => put({ ...o, limitField: v ?? 10 }, 'rows')} onDone={seal} />;
    case 'convertFieldType': { const c: any[] = o.conversions ?? [], edit = (i: number, x: any, key?: string): void => put({ ...o, conversions: c.map((y, k) => (k === i ? x : y)) }, key); return <>{c.map((x, i) => <div class="mapping">{pick(t('Field'), x.targetField, (targetField) => edit(i, { ...x, targetField }))}<SelectField label={t('As')} value={x.destinationType ?? 'number'} options={['number', 'string', 'time', 'boolean'].map((y) => [y, t(y)] as const)} onChange={(destinationType) => edit(i, { ...x, destinationType })} /><IconButton label={t('Remove conversion {0}', i + 1)} onClick={() => put({ ...o, conversions: c.filter((_, k) => k !== i) })}>✕</IconButton></div>)}<button type="button" onClick={() => put({ ...o, conversions: [...c, { targetField: names[0] ?? '', destinationType: 'number' }] })}>{t('Add a conversion')}</button></>; }
    case 'groupingToMatrix': return <>{pick(t('Columns from'), o.columnField, (columnField) => put({ ...o, columnField }))}{pick(t('Rows from'), o.rowField, (rowField) => put({ ...o, rowField }))}{pick(t('Values from'), o.valueField, (valueField) => put({ ...o, valueField }))}</>;
  }
  return null;
}

/** Any options as JSON; what is none is named and waits. */
function Raw({ value, put }: { value: unknown; put: (o: unknown) => void }): JSX.Element {
  const shown = JSON.stringify(value ?? {}, null, 2), [draft, setDraft] = useState<string | null>(null), [error, setError] = useState('');
  const done = (): void => {
    if (draft === null) return;
    try { const v = parseJson(draft).value; setError(''); setDraft(null); put(v); } catch (e) { setError(e instanceof JsonError ? e.message : String(e)); }
  };
  return <><TextField label={t('Options as JSON')} value={draft ?? shown} rows={Math.min(14, shown.split('\n').length + 1)} mono onChange={setDraft} onDone={done} />{error && <p class="hint bad" role="alert">{error}</p>}</>;
}

export function TransformsPane({ session, panel, raw, view }: { session: Session; panel: Panel; raw: Frame[]; view: View }): JSX.Element {
  const list = panel.transformations, [asJson, setAsJson] = useState<Record<number, boolean>>({});
  const put = (next: Transformation[], label: string, key = ''): void => session.changePanel(panel.id, label, (p) => { if (next.length) p.transformations = JSON.parse(JSON.stringify(next)); else delete p.transformations; }, key);
  // What each one sees: the frames that those before it give.
  const seen = useMemo(() => list.map((_, i) => {
    try {
      const { frames } = transform(raw, list.slice(0, i), { replace: (x) => view.text(x), zone: view.zone });
      const fresh = frames.map((f) => ({ ...f, fields: f.fields.map((x) => ({ ...x, state: undefined })) }));
      return [...new Set(fresh.flatMap((f) => f.fields.map((x) => displayName(x, f, fresh))))];
    } catch {
      return [];
    }
  }), [raw, list]);
  return (
    <div class="queries">
      {!list.length && <p class="hint">{t('Transformations join, rename, calculate and filter what the queries give, before it is drawn.')}</p>}
      {list.map((x, i) => {
        const name = t(known.find(([id]) => id === x.id)?.[1] ?? x.id), edit = (options: unknown, key?: string): void => put(list.map((y, k) => (k === i ? { ...y, options } : y)), name, key && `transform${i}${key}`);
        const form = asJson[i] ? null : <Form id={x.id} o={x.options ?? {}} names={seen[i]} panel={panel} put={edit} seal={() => session.seal()} />;
        return (
          <section class={`edit-group query-edit ${x.disabled ? 'off' : ''}`} aria-label={t('Transformation {0}: {1}', i + 1, name)}>
            <div class="query-head"><b>{i + 1}. {name}</b>{!transformers[x.id] && <span class="badge warn">{t('not known here')}</span>}<span class="spacer" />
              <IconButton label={t('{0} as JSON', name)} pressed={!!asJson[i]} onClick={() => setAsJson({ ...asJson, [i]: !asJson[i] })}>{'{}'}</IconButton>
              <ListTools name={name} at={i} length={list.length} on={!x.disabled} onToggle={() => put(list.map((y, k) => (k === i ? { ...y, disabled: y.disabled ? undefined : true } : y)), x.disabled ? t('Use {0}', name) : t('Pass over {0}', name))} onMove={(to) => put(movedItem(list, i, to), t('Move {0}', name))} onRemove={() => put(list.filter((_, k) => k !== i), t('Remove {0}', name))} /></div>
            <div class="edit-fields">{form ? <Shown form={form} fallback={<Raw value={x.options} put={edit} />} id={x.id} /> : <Raw value={x.options} put={edit} />}</div>
            <datalist id="transform-names">{seen[i].map((n) => <option value={n} />)}</datalist>
          </section>
        );
      })}
      <Group title={t('Add a transformation')} open={!list.length}>
        <ul class="pick-list">{known.map(([id, name, what]) => <li><button type="button" onClick={() => put([...list, { id, options: {} }], t('Add {0}', t(name)))}><b>{t(name)}</b> <span class="muted small">{t(what)}</span></button></li>)}</ul>
      </Group>
    </div>
  );
}

const formed = new Set(['merge', 'seriesToRows', 'concatenate', 'timeSeriesTable', 'transpose', 'organize', 'joinByField', 'seriesToColumns', 'reduce', 'filterFieldsByName', 'filterByRefId', 'filterByValue', 'sortBy', 'groupBy', 'calculateField', 'renameByRegex', 'labelsToFields', 'limit', 'convertFieldType', 'groupingToMatrix']);
const Shown = ({ form, fallback, id }: { form: JSX.Element; fallback: JSX.Element; id: string }): JSX.Element => (formed.has(id) ? form : fallback);
