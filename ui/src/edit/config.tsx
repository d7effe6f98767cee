// How values are shown: thresholds, mappings, links, settings by field, and the rules that override them.
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { DataLink, Mapping, Thresholds } from '../dash/frames';
import { reducerIds, reducerName } from '../dash/reduce';
import type { Override, OverrideProperty, Panel } from '../dash/schema';
import { t } from '../strings';
import { CheckField, ColorField, Group, IconButton, ListTools, ManyField, movedItem, NumberField, SelectField, TextField, UnitField } from './fields';
import { colorModes, customOf, optionsOf, standard, type Option } from './options';
import { getPath, setPath } from './document';

export type Set = (label: string, path: string, value: unknown, key?: string) => void;
const reducers = (): [string, string][] => reducerIds().filter((r) => !/^p\d+$/.test(r) || /^p(25|50|75|90|95|99)$/.test(r)).map((r) => [r, reducerName(r)]);
const plain = <T,>(v: T): T => JSON.parse(JSON.stringify(v ?? null)) as T;

/** One setting as its kind is drawn. */
export function OptionField({ option: o, value, onChange, onDone }: { option: Option; value: unknown; onChange: (v: unknown) => void; onDone: () => void }): JSX.Element {
  const v = value ?? o.or, hint = o.hint && t(o.hint), label = t(o.label), clean = (x: unknown): unknown => (x === '' && o.or === undefined ? undefined : x);
  switch (o.kind) {
    case 'number': return <NumberField label={label} value={value as number} placeholder={o.or === undefined ? t('auto') : String(o.or)} hint={hint} onChange={onChange} onDone={onDone} />;
    case 'check': return <CheckField label={label} value={!!v} onChange={onChange} />;
    case 'select': return <SelectField label={label} value={v} options={(o.of ?? []).map(([x, text]) => [x, t(text)] as const)} hint={hint} onChange={onChange} />;
    case 'color': return <ColorField label={label} value={String(v ?? 'green')} onChange={onChange} />;
    case 'unit': return <UnitField label={label} value={value as string} onChange={onChange} onDone={onDone} />;
    case 'reducer': { const list = Array.isArray(v) ? v : [v]; return <SelectField label={label} value={String(list[0] ?? '')} options={reducers()} onChange={(x) => onChange([x])} />; }
    case 'reducers': return <ManyField label={label} value={(v as string[]) ?? []} options={reducers()} onChange={onChange} />;
    case 'many': return <ManyField label={label} value={(v as string[]) ?? []} options={(o.of ?? []).map(([x, text]) => [String(x), t(text)] as const)} onChange={onChange} />;
    case 'area': return <TextField label={label} value={v as string} rows={12} mono onChange={onChange} onDone={onDone} />;
    case 'text': return <TextField label={label} value={v as string} hint={hint} onChange={(x) => onChange(clean(x))} onDone={onDone} />;
  }
}

export function ThresholdsField({ value, onChange, onDone }: { value: Thresholds | undefined; onChange: (v: unknown, label: string, key?: string) => void; onDone: () => void }): JSX.Element {
  const th = value ?? { mode: 'absolute', steps: [{ value: -Infinity, color: 'green' }] }, steps = th.steps;
  const put = (next: { value: number | null; color: string }[], label: string, key?: string): void => onChange({ ...th, steps: [...next].sort((a, b) => (a.value ?? -Infinity) - (b.value ?? -Infinity)).map((s, i) => ({ color: s.color, value: i === 0 ? null : s.value })) }, label, key);
  const last = steps[steps.length - 1]?.value ?? 0;
  return (
    <div class="thresholds">
      <ol>
        {steps.map((s, i) => (
          <li>
            <ColorField bare label={t('Colour of step {0}', i + 1)} value={s.color} onChange={(color) => put(steps.map((x, k) => (k === i ? { ...x, color } : x)), t('Colour of a threshold'))} />
            {i === 0 ? <span class="muted">{t('Base')}</span> : <NumberField label={t('From')} value={s.value} onChange={(v) => v !== undefined && put(steps.map((x, k) => (k === i ? { ...x, value: v } : x)), t('Threshold'), `threshold${i}`)} onDone={onDone} />}
            {i > 0 && <IconButton label={t('Remove step {0}', i + 1)} onClick={() => put(steps.filter((_, k) => k !== i), t('Remove a threshold'))}>✕</IconButton>}
          </li>
        ))}
      </ol>
      <div class="bar">
        <button type="button" onClick={() => put([...steps, { value: Number.isFinite(last) ? last + (th.mode === 'percentage' ? 10 : Math.max(1, Math.abs(last) * 0.25)) : th.mode === 'percentage' ? 80 : 80, color: ['red', 'orange', 'yellow', 'blue'][(steps.length - 1) % 4] }], t('Add a threshold'))}>{t('Add a threshold')}</button>
        <SelectField label={t('Values are')} value={th.mode} options={[['absolute', t('absolute')], ['percentage', t('percent of min to max')]]} onChange={(mode) => onChange({ ...plain(th), mode, steps: steps.map((s, i) => ({ color: s.color, value: i === 0 ? null : s.value })) }, t('Mode of thresholds'))} />
      </div>
    </div>
  );
}

interface Flat { type: string; a: string; b: string; text: string; color: string }
function flat(list: Mapping[]): Flat[] {
  return list.flatMap((m): Flat[] => {
    switch (m.type) {
      case 'value': return Object.entries(m.options).map(([k, r]) => ({ type: 'value', a: k, b: '', text: r.text ?? '', color: r.color ?? '' }));
      case 'range': return [{ type: 'range', a: m.options.from == null ? '' : String(m.options.from), b: m.options.to == null ? '' : String(m.options.to), text: m.options.result.text ?? '', color: m.options.result.color ?? '' }];
      case 'regex': return [{ type: 'regex', a: m.options.pattern, b: '', text: m.options.result.text ?? '', color: m.options.result.color ?? '' }];
      case 'special': return [{ type: 'special', a: m.options.match, b: '', text: m.options.result.text ?? '', color: m.options.result.color ?? '' }];
    }
  });
}
/** Values that follow each other are one mapping, as Grafana keeps them. */
function grouped(list: Flat[]): unknown[] {
  const out: any[] = [];
  list.forEach((f, index) => {
    const result = { ...(f.text ? { text: f.text } : {}), ...(f.color ? { color: f.color } : {}), index }, n = (x: string): number | null => (x.trim() === '' || !Number.isFinite(Number(x)) ? null : Number(x)), last = out[out.length - 1];
    if (f.type === 'value') { if (last?.type === 'value' && !Object.hasOwn(last.options, f.a)) last.options[f.a] = result; else out.push({ type: 'value', options: { [f.a]: result } }); } else if (f.type === 'range') out.push({ type: 'range', options: { from: n(f.a), to: n(f.b), result } });
    else out.push({ type: f.type, options: f.type === 'regex' ? { pattern: f.a, result } : { match: f.a, result } });
  });
  return out;
}

export function MappingsField({ value, onChange, onDone }: { value: Mapping[] | undefined; onChange: (v: unknown, label: string, key?: string) => void; onDone: () => void }): JSX.Element {
  const list = flat(value ?? []), put = (next: Flat[], label: string, key?: string): void => onChange(next.length ? grouped(next) : undefined, label, key), edit = (i: number, change: Partial<Flat>, key?: string): void => put(list.map((f, k) => (k === i ? { ...f, ...change } : f)), t('Value mapping'), key && `mapping${i}${key}`);
  return (
    <div class="mappings">
      {list.map((f, i) => (
        <div class="mapping" role="group" aria-label={t('Mapping {0}', i + 1)}>
          <SelectField label={t('When it is')} value={f.type} options={[['value', t('the value')], ['range', t('in the range')], ['regex', t('like the pattern')], ['special', t('special')]]} onChange={(type) => edit(i, { type, a: type === 'special' ? 'null' : '' })} />
          {f.type === 'special' ? <SelectField label={t('Special')} value={f.a} options={[['null', 'null'], ['nan', 'NaN'], ['null+nan', 'null, NaN'], ['true', 'true'], ['false', 'false'], ['empty', t('empty text')]]} onChange={(a) => edit(i, { a })} /> : <TextField label={f.type === 'range' ? t('From') : t('Value')} value={f.a} onChange={(a) => edit(i, { a }, 'a')} onDone={onDone} />}
          {f.type === 'range' && <TextField label={t('To')} value={f.b} onChange={(b) => edit(i, { b }, 'b')} onDone={onDone} />}
          <TextField label={t('Show')} value={f.text} onChange={(text) => edit(i, { text }, 't')} onDone={onDone} />
          <ColorField bare label={t('Colour of mapping {0}', i + 1)} value={f.color || 'transparent'} onChange={(color) => edit(i, { color: color === 'transparent' ? '' : color })} />
          <ListTools name={t('mapping {0}', i + 1)} at={i} length={list.length} onMove={(to) => put(movedItem(list, i, to), t('Move a mapping'))} onRemove={() => put(list.filter((_, k) => k !== i), t('Remove a mapping'))} />
        </div>
      ))}
      <button type="button" onClick={() => put([...list, { type: 'value', a: '', b: '', text: '', color: '' }], t('Add a mapping'))}>{t('Add a mapping')}</button>
    </div>
  );
}

export function LinksField({ value, onChange, onDone, hint }: { value: DataLink[] | undefined; onChange: (v: unknown, label: string, key?: string) => void; onDone: () => void; hint: string }): JSX.Element {
  const list = value ?? [], edit = (i: number, change: Partial<DataLink>, key?: string): void => onChange(list.map((l, k) => (k === i ? { ...l, ...change } : l)), t('Link'), key && `link${i}${key}`);
  return (
    <div class="links-edit">
      {list.map((l, i) => (
        <div class="mapping" role="group" aria-label={t('Link {0}', i + 1)}>
          <TextField label={t('Title')} value={l.title} onChange={(title) => edit(i, { title }, 't')} onDone={onDone} /><TextField label={t('Address')} value={l.url} onChange={(url) => edit(i, { url }, 'u')} onDone={onDone} mono hint={i === list.length - 1 ? hint : undefined} wide />
          <CheckField label={t('In a new tab')} value={!!l.targetBlank} onChange={(targetBlank) => edit(i, { targetBlank })} />
          <ListTools name={t('link {0}', i + 1)} at={i} length={list.length} onMove={(to) => onChange(movedItem(list, i, to), t('Move a link'))} onRemove={() => onChange(list.length > 1 ? list.filter((_, k) => k !== i) : undefined, t('Remove a link'))} />
        </div>
      ))}
      <button type="button" onClick={() => onChange([...list, { title: t('New link'), url: '' }], t('Add a link'))}>{t('Add a link')}</button>
    </div>
  );
}

function ColorMode({ value, onChange }: { value: { mode: string; fixedColor?: string; seriesBy?: string } | undefined; onChange: (v: unknown, label: string) => void }): JSX.Element {
  const v = value ?? { mode: 'thresholds' };
  return (
    <>
      <SelectField label={t('Colour')} value={v.mode} options={colorModes.map(([m, text]) => [m, t(text)] as const)} onChange={(mode) => onChange({ ...v, mode, ...(mode === 'fixed' || mode === 'shades' ? { fixedColor: v.fixedColor ?? 'blue' } : {}) }, t('Colour'))} />
      {(v.mode === 'fixed' || v.mode === 'shades') && <ColorField label={t('Which')} value={v.fixedColor ?? 'gray'} onChange={(fixedColor) => onChange({ ...v, fixedColor }, t('Colour'))} />}
      {/^(thresholds|continuous-)/.test(v.mode) && <SelectField label={t('By its')} value={v.seriesBy ?? 'last'} options={[['last', t('last value')], ['min', t('least value')], ['max', t('greatest value')]]} onChange={(seriesBy) => onChange({ ...v, seriesBy }, t('Colour'))} />}
    </>
  );
}

/** Options of a kind, in groups, then what every field can be told. */
export function OptionsPane({ panel, set, seal }: { panel: Panel; set: Set; seal: () => void }): JSX.Element {
  const [words, setWords] = useState(''), defaults = panel.fieldConfig.defaults, hasFields = panel.type !== 'text';
  const match = (o: Option): boolean => !words || words.toLowerCase().split(/\s+/).every((w) => `${o.group} ${t(o.label)}`.toLowerCase().includes(w));
  const all = [...optionsOf(panel.type).map((o) => ({ o, root: 'options', of: panel.options as unknown })), ...(hasFields ? [...customOf(panel.type), ...standard].map((o) => ({ o, root: 'fieldConfig.defaults', of: defaults as unknown })) : [])].filter(({ o }) => (!o.when || o.when(panel)) && match(o));
  const groups = [...new Set(all.map(({ o }) => o.group))].filter((g) => g !== 'Thresholds'), style = all.find(({ o }) => o.group === 'Thresholds');
  const field = ({ o, root, of }: (typeof all)[0]): JSX.Element => <OptionField key={root + o.path} option={o} value={getPath(of, o.path)} onDone={seal} onChange={(v) => set(t(o.label), `${root}.${o.path}`, v, /number|text|area|unit/.test(o.kind) ? o.path : undefined)} />;
  const shown = (title: string): boolean => !words || title.toLowerCase().includes(words.toLowerCase()), put = (path: string) => (v: unknown, label: string, key?: string): void => set(label, `fieldConfig.defaults.${path}`, v, key);
  return (
    <>
      <input type="search" class="option-search" placeholder={t('Search the options')} aria-label={t('Search the options')} value={words} onInput={(e) => setWords(e.currentTarget.value)} />
      {groups.map((g) => <Group key={g} title={t(g)}>{all.filter(({ o }) => o.group === g).map(field)}{g === 'Values' && <ColorMode value={defaults.color} onChange={put('color')} />}</Group>)}
      {hasFields && shown('Thresholds') && <Group title={t('Thresholds')} count={defaults.thresholds?.steps.length}><ThresholdsField value={defaults.thresholds} onChange={put('thresholds')} onDone={seal} />{style && field(style)}</Group>}
      {hasFields && shown('Value mappings') && <Group title={t('Value mappings')} open={!!defaults.mappings?.length} count={defaults.mappings?.length}><MappingsField value={defaults.mappings} onChange={put('mappings')} onDone={seal} /></Group>}
      {hasFields && shown('Data links') && <Group title={t('Data links')} open={!!defaults.links?.length} count={defaults.links?.length}><LinksField value={defaults.links} onChange={put('links')} onDone={seal} hint={'${__field.labels.name}, ${__value.raw}, ${__url_time_range}'} /></Group>}
      {!all.length && words && <p class="hint">{t('No option has these words.')}</p>}
    </>
  );
}

// ---- overrides ----

const matchers: readonly (readonly [string, string])[] = [['byName', 'of the name'], ['byRegexp', 'whose name is like'], ['byFrameRefID', 'of the query'], ['byType', 'of the type'], ['byNames', 'of the names']];
const extra: Option[] = [{ group: '', path: 'color', label: 'Colour', kind: 'color' }, { group: '', path: 'thresholds', label: 'Thresholds', kind: 'text' }, { group: '', path: 'mappings', label: 'Value mappings', kind: 'text' }, { group: '', path: 'links', label: 'Data links', kind: 'text' }];

export function OverridesPane({ panel, names, set, seal }: { panel: Panel; names: string[]; set: Set; seal: () => void }): JSX.Element {
  const list = panel.fieldConfig.overrides, known = [...standard, ...extra, ...customOf(panel.type)];
  const put = (next: Override[], label: string, key?: string): void => set(label, 'fieldConfig.overrides', plain(next), key), edit = (i: number, change: Partial<Override>, label: string, key?: string): void => put(list.map((o, k) => (k === i ? { ...o, ...change } : o)), label, key);
  const property = (i: number, p: OverrideProperty, n: number): JSX.Element => {
    const o = known.find((x) => x.path === p.id), change = (value: unknown, label: string = t(o?.label ?? p.id), key?: string): void => edit(i, { properties: list[i].properties.map((x, k) => (k === n ? { ...x, value } : x)) }, label, key && `override${i}${n}${key}`);
    const control = p.id === 'color' ? <ColorMode value={p.value} onChange={change} /> : p.id === 'thresholds' ? <ThresholdsField value={p.value} onChange={change} onDone={seal} /> : p.id === 'mappings' ? <MappingsField value={p.value} onChange={change} onDone={seal} /> : p.id === 'links' ? <LinksField value={p.value} onChange={change} onDone={seal} hint="" />
      : o ? <OptionField option={o} value={p.value} onDone={seal} onChange={(v) => change(v === undefined ? null : v, undefined, 'v')} /> : <TextField label={p.id} value={JSON.stringify(p.value)} mono onChange={(v) => { try { change(JSON.parse(v), undefined, 'v'); } catch { /* not JSON yet */ } }} />;
    return <div class="override-property">{control}<IconButton label={t('Remove {0}', t(o?.label ?? p.id))} onClick={() => edit(i, { properties: list[i].properties.filter((_, k) => k !== n) }, t('Remove a setting'))}>✕</IconButton></div>;
  };
  return (
    <div class="overrides">
      {list.map((o, i) => {
        const id = o.matcher.id, value = o.matcher.options, text = Array.isArray(value?.names) ? value.names.join(', ') : typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value);
        const matcher = (next: string): void => edit(i, { matcher: { ...o.matcher, options: id === 'byNames' ? { ...value, mode: value?.mode ?? 'include', names: next.split(',').map((x) => x.trim()).filter(Boolean) } : next } }, t('Rule'), `matcher${i}`);
        return (
          <section class="edit-group override" aria-label={t('Rule {0}', i + 1)}>
            <div class="override-head">
              <SelectField label={t('Fields')} value={id} options={matchers.map(([m, x]) => [m, t(x)] as const)} onChange={(m) => edit(i, { matcher: { id: m, options: m === 'byNames' ? { mode: 'include', names: [] } : m === 'byType' ? 'number' : '' } }, t('Rule'))} />
              {id === 'byType' ? <SelectField label={t('Type')} value={text} options={['number', 'string', 'time', 'boolean'].map((x) => [x, t(x)] as const)} onChange={matcher} />
                : id === 'byFrameRefID' ? <SelectField label={t('Query')} value={text} options={panel.targets.map((x) => [x.refId, x.refId] as const)} onChange={matcher} /> : id === 'byValue' ? <TextField label={t('Rule')} value={text} mono onChange={() => {}} /> : <TextField label={id === 'byRegexp' ? t('Pattern') : t('Name')} value={text} list={id === 'byName' ? 'edit-names' : undefined} onChange={matcher} onDone={seal} />}
              <ListTools name={t('rule {0}', i + 1)} at={i} length={list.length} onMove={(to) => put(movedItem(list, i, to), t('Move a rule'))} onRemove={() => put(list.filter((_, k) => k !== i), t('Remove a rule'))} />
            </div>
            <div class="edit-fields">{o.properties.map((p, n) => property(i, p, n))}</div>
            <select aria-label={t('Add a setting to rule {0}', i + 1)} value="" onChange={(e) => { const id2 = e.currentTarget.value; e.currentTarget.value = ''; const opt = known.find((x) => x.path === id2); if (id2) edit(i, { properties: [...o.properties, { id: id2, value: id2 === 'color' ? { mode: 'fixed', fixedColor: 'red' } : id2 === 'thresholds' ? { mode: 'absolute', steps: [{ color: 'green', value: null }] } : id2 === 'mappings' || id2 === 'links' ? [] : (opt?.or ?? '') }] }, t('Add a setting')); }}>
              <option value="">{t('Add a setting …')}</option>{known.filter((x) => !o.properties.some((p) => p.id === x.path)).map((x) => <option value={x.path}>{x.group ? `${t(x.group)}: ` : ''}{t(x.label)}</option>)}
            </select>
          </section>
        );
      })}
      <datalist id="edit-names">{names.map((n) => <option value={n} />)}</datalist>
      {!list.length && <p class="hint">{t('A rule gives some fields settings of their own: a colour for one series, a unit for one column.')}</p>}
      <button type="button" onClick={() => put([...list, { matcher: { id: 'byName', options: '' }, properties: [] }], t('Add a rule'))}>{t('Add a rule')}</button>
    </div>
  );
}

export { setPath };
