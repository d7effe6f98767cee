// The builder: a metric, filters on its labels, and what is done with it, one step after the other.
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { Combo, type ComboOption } from '../combo';
import { labelNames, labelValues, listMetrics, selector, type Filter, type Metric } from '../metrics';
import { visible } from '../format';
import { Menu } from '../parts';
import { t } from '../strings';
import { fresh, hints, print, specOf, specs, withOperation, type Built, type Operation, type Spec } from './builder';

const groups: [Spec['group'], string][] = [['range', 'Over a range'], ['aggregate', 'Across series'], ['function', 'Functions'], ['arithmetic', 'Arithmetic'], ['compare', 'Comparison']];
const plainOptions = (list: string[]): ComboOption[] => list.map((value) => ({ value }));

function FilterRow({ built, at, onChange, onRemove }: { built: Built; at: number; onChange: (f: Filter) => void; onRemove: () => void }): JSX.Element {
  const f = built.filters[at], others = built.filters.filter((x, i) => i !== at && x.name && x.value), match = built.metric || others.length ? selector(built.metric, others) : '', n = at + 1;
  return (
    <span class="group filter" role="group" aria-label={t('Filter {0}', n)}>
      <Combo value={f.name} label={t('Label of filter {0}', n)} placeholder={t('label')} autoFocus={!f.name} options={() => labelNames(match).then(plainOptions)} onChange={(name) => onChange({ ...f, name })} />
      <select aria-label={t('Comparison of filter {0}', n)} value={f.op} onChange={(e) => onChange({ ...f, op: e.currentTarget.value })}>{['=', '!=', '=~', '!~'].map((o) => <option>{o}</option>)}</select>
      <Combo value={f.value} label={t('Value of filter {0}', n)} placeholder={t('value')} options={() => (f.name ? labelValues(f.name, match).then(plainOptions) : Promise.resolve([]))} onChange={(v) => onChange({ ...f, value: v, draft: undefined })} />
      <button type="button" class="remove" aria-label={t('Remove filter {0}', n)} onClick={onRemove}>✕</button>
    </span>
  );
}

function Labels({ op, built, onChange }: { op: Operation; built: Built; onChange: (labels: string[]) => void }): JSX.Element {
  const labels = op.by ?? [];
  return (
    <>
      {labels.map((l, i) => <button type="button" class="chip" title={t('Remove')} aria-label={t('Remove label {0}', l)} onClick={() => onChange(labels.filter((_, k) => k !== i))}>{visible(l)} ✕</button>)}
      <Combo adds value="" label={t('Add a label to {0}', op.id)} placeholder={t('+ label')} options={() => labelNames(built.metric ? selector(built.metric, []) : '').then((x) => plainOptions(x.filter((l) => !labels.includes(l))))} onChange={(l) => l && !labels.includes(l) && onChange([...labels, l])} />
    </>
  );
}

interface StepProps { op: Operation; at: number; built: Built; onChange: (o: Operation) => void; onMove: (by: number) => void; onRemove: () => void }
function Step({ op, at, built, onChange, onMove, onRemove }: StepProps): JSX.Element {
  const s = specOf(op.id), params = [...(s.before ?? []), ...(s.after ?? [])], isFree = s.group !== 'range', before = built.ops[at - 1];
  return (
    <li class="step-card" aria-label={t('Step {0}: {1}', at + 1, op.id)}>
      <div class="step-head"><b class="mono" title={t(s.says)}>{op.id}</b>
        {isFree && before && specOf(before.id).group !== 'range' && <button type="button" class="icon" aria-label={t('Move {0} earlier', op.id)} title={t('Earlier')} onClick={() => onMove(-1)}>←</button>}
        {isFree && at < built.ops.length - 1 && <button type="button" class="icon" aria-label={t('Move {0} later', op.id)} title={t('Later')} onClick={() => onMove(1)}>→</button>}
        <button type="button" class="icon" aria-label={t('Remove {0}', op.id)} title={t('Remove')} onClick={onRemove}>✕</button>
      </div>
      <div class="step-body">
        {params.map((p, i) => <label>{t(p.name)} <input type="text" spellcheck={false} inputMode={p.type === 'number' ? 'decimal' : 'text'} value={op.args[i] ?? ''} onChange={(e) => onChange({ ...op, args: params.map((_, k) => (k === i ? e.currentTarget.value : (op.args[k] ?? ''))) })} /></label>)}
        {s.group === 'range' && <label>{t('range')} <select value={op.range} onChange={(e) => onChange({ ...op, range: e.currentTarget.value })}>{[...new Set(['$__rate_interval', '$__interval', '$__range', '1m', '5m', '10m', '1h', '1d', op.range ?? ''])].filter(Boolean).map((r) => <option>{r}</option>)}</select></label>}
        {s.group === 'aggregate' && <><select aria-label={t('Which labels {0} keeps', op.id)} value={op.without ? 'without' : 'by'} onChange={(e) => onChange({ ...op, without: e.currentTarget.value === 'without' || undefined })}><option value="by">{t('by')}</option><option value="without">{t('without')}</option></select><Labels op={op} built={built} onChange={(by) => onChange({ ...op, by })} /></>}
        {s.group === 'compare' && <label class="check"><input type="checkbox" checked={!!op.bool} onChange={(e) => onChange({ ...op, bool: e.currentTarget.checked || undefined })} /> bool</label>}
      </div>
    </li>
  );
}

function OperationMenu({ onAdd }: { onAdd: (id: string) => void }): JSX.Element {
  const [filter, setFilter] = useState('');
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean), fits = (s: Spec): boolean => words.every((w) => `${s.id} ${t(s.says)}`.toLowerCase().includes(w));
  return (
    <Menu text={<>+ {t('Operation')}</>}>
      {(close) => (
        <div class="operations">
          <input type="search" autofocus aria-label={t('Filter operations')} placeholder={t('Filter')} value={filter} onInput={(e) => setFilter(e.currentTarget.value)} />
          {groups.map(([g, name]) => {
            const some = specs.filter((s) => s.group === g && fits(s));
            return some.length > 0 && <section><b class="menu-group">{t(name)}</b><ul>{some.map((s) => <li><button type="button" onClick={() => { close(); setFilter(''); onAdd(s.id); }}><span class="mono">{s.id}</span> <span class="muted small">{t(s.says)}</span></button></li>)}</ul></section>;
          })}
        </div>
      )}
    </Menu>
  );
}

export function Builder({ built, metrics, onChange }: { built: Built; metrics: Metric[]; onChange: (b: Built) => void }): JSX.Element {
  const metric = metrics.find((m) => m.name === built.metric), set = (change: Partial<Built>): void => onChange({ ...built, ...change });
  const ops = (next: Operation[]): void => set({ ops: next }), swap = (i: number, by: number): void => { const next = [...built.ops]; [next[i], next[i + by]] = [next[i + by], next[i]]; ops(next); };
  const offered = hints(built, metric?.kind ?? 'unknown'), text = print(built);
  return (
    <div class="builder">
      <div class="bar">
        <label class="field"><span>{t('Metric')}</span>
          <Combo wide value={built.metric} label={t('Metric')} placeholder={t('Search metrics by name or help')} options={() => listMetrics().then((all) => all.map((m) => ({ value: m.name, note: m.type, about: m.help })))} onChange={(m) => set({ metric: m })} />
        </label>
        <span class="field" role="group" aria-label={t('Label filters')}><span>{t('Label filters')}</span>
          <span class="filters">
            {built.filters.map((_, i) => <FilterRow key={i} built={built} at={i} onChange={(f) => set({ filters: built.filters.map((x, k) => (k === i ? f : x)) })} onRemove={() => set({ filters: built.filters.filter((_, k) => k !== i) })} />)}
            <button type="button" aria-label={t('Add a filter')} onClick={() => set({ filters: [...built.filters, { name: '', op: '=', value: '', draft: true }] })}>+</button>
          </span>
        </span>
      </div>
      {metric?.help && <p class="muted small about-metric">{metric.type && <span class="badge neutral">{metric.type}</span>} {visible(metric.help)}</p>}
      <div class="steps">
        <ol>{built.ops.map((op, i) => <Step key={`${i}/${op.id}`} op={op} at={i} built={built} onChange={(o) => ops(built.ops.map((x, k) => (k === i ? o : x)))} onMove={(by) => swap(i, by)} onRemove={() => ops(built.ops.filter((_, k) => k !== i))} />)}</ol>
        <OperationMenu onAdd={(id) => onChange(withOperation(built, fresh(id)))} />
        {offered.map((h) => <button type="button" class="hint-chip" title={t('It fits this kind of metric')} onClick={() => onChange(h.ops.reduce(withOperation, built))}>{t(h.text)}</button>)}
      </div>
      {text && <pre class="built mono" tabIndex={0} role="group" aria-label={t('The expression')}>{visible(text)}</pre>}
    </div>
  );
}
