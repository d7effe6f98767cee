// The controls that forms of the editor are made of. Each is a label with its control; a change goes out as it is made.
import { cloneElement, type ComponentChildren, type JSX } from 'preact';
import { useEffect, useId, useState } from 'preact/hooks';
import { colorByName } from '../dash/colors';
import { join, unitFormat, unitIds } from '../dash/units';
import { Menu } from '../parts';
import { t } from '../strings';
import { theme } from '../theme';

/** A label over its control; the hint is read as its description. */
export function Field({ label, hint, children, wide }: { label: string; hint?: string; children: JSX.Element; wide?: boolean }): JSX.Element {
  const id = useId();
  return <div class={`field ${wide ? 'wide' : ''}`}><label for={id}>{label}</label>{cloneElement(children, { id, 'aria-describedby': hint ? `${id}-hint` : undefined })}{hint && <small id={`${id}-hint`}>{hint}</small>}</div>;
}

interface TextProps { label: string; value: string | undefined; onChange: (v: string) => void; onDone?: () => void; placeholder?: string; rows?: number; list?: string; mono?: boolean; hint?: string; wide?: boolean }
export function TextField({ label, value, onChange, onDone, placeholder, rows, list, mono, hint, wide }: TextProps): JSX.Element {
  const common = { value: value ?? '', placeholder, spellcheck: false, onBlur: onDone, class: mono ? 'mono' : '' };
  return <Field label={label} hint={hint} wide={wide ?? !!rows}>{rows ? <textarea {...common} rows={rows} onInput={(e) => onChange(e.currentTarget.value)} /> : <input type="text" {...common} list={list} onInput={(e) => onChange(e.currentTarget.value)} />}</Field>;
}

/** Empty is no number; what is no number is marked and stays where it is until it is one. */
export function NumberField({ label, value, onChange, onDone, placeholder, hint }: { label: string; value: number | null | undefined; onChange: (v: number | undefined) => void; onDone?: () => void; placeholder?: string; hint?: string }): JSX.Element {
  const shown = value === null || value === undefined || !Number.isFinite(value) ? '' : String(value), [draft, setDraft] = useState<string | null>(null), text = draft ?? shown, bad = text.trim() !== '' && !Number.isFinite(Number(text));
  useEffect(() => setDraft(null), [shown]);
  return <Field label={label} hint={hint}><input type="text" inputMode="decimal" value={text} placeholder={placeholder} aria-invalid={bad} onInput={(e) => { const x = e.currentTarget.value; setDraft(x); if (x.trim() === '') onChange(undefined); else if (Number.isFinite(Number(x)) && !/[.\-]$/.test(x)) onChange(Number(x)); }} onBlur={() => { setDraft(null); onDone?.(); }} /></Field>;
}

export function SelectField<T>({ label, value, options, onChange, hint }: { label: string; value: T; options: readonly (readonly [T, string])[]; onChange: (v: T) => void; hint?: string }): JSX.Element {
  const at = options.findIndex(([v]) => JSON.stringify(v) === JSON.stringify(value)), list = at < 0 ? [...options, [value, String(value ?? '')] as const] : options;
  return <Field label={label} hint={hint}><select value={String(at < 0 ? options.length : at)} onChange={(e) => onChange(list[Number(e.currentTarget.value)][0])}>{list.map(([, text], i) => <option value={i}>{text}</option>)}</select></Field>;
}

export function CheckField({ label, value, onChange }: { label: string; value: boolean; onChange: (v: boolean) => void }): JSX.Element {
  return <label class="check field-check"><input type="checkbox" checked={value} onChange={(e) => onChange(e.currentTarget.checked)} />{label}</label>;
}

/** One of a few, side by side. */
export function Choices<T extends string>({ label, value, options, onChange }: { label: string; value: T; options: readonly (readonly [T, string])[]; onChange: (v: T) => void }): JSX.Element {
  const name = useId();
  return <fieldset class="choices"><legend>{label}</legend><span class="tabs">{options.map(([v, text]) => <label class={v === value ? 'on' : ''}><input type="radio" name={name} checked={v === value} onChange={() => onChange(v)} />{text}</label>)}</span></fieldset>;
}

const hues = ['green', 'yellow', 'orange', 'red', 'blue', 'purple'], shades = ['super-light-', 'light-', '', 'semi-dark-', 'dark-'];

export function Swatch({ color }: { color: string }): JSX.Element {
  return <i class="color-dot" style={{ background: colorByName(color, theme.value) }} />;
}

/** A colour by the names dashboards use, or any other. */
export function ColorField({ label, value, onChange, bare }: { label: string; value: string; onChange: (v: string) => void; bare?: boolean }): JSX.Element {
  const hex = /^#[0-9a-f]{6}$/i.test(colorByName(value, theme.value)) ? colorByName(value, theme.value) : '#808080';
  return (
    <span class={bare ? 'color-field' : 'field color-field'}>
      {!bare && <span>{label}</span>}
      <Menu text={<><Swatch color={value} /> {!bare && value}</>} label={`${label}: ${value}`}>
        {(close) => (
          <div class="color-menu">
            <div class="color-grid">{hues.flatMap((h) => shades.map((s) => <button type="button" aria-label={s + h} title={s + h} aria-pressed={value === s + h} onClick={() => { close(); onChange(s + h); }}><Swatch color={s + h} /></button>))}</div>
            <div class="bar">{['text', 'transparent'].map((c) => <button type="button" onClick={() => { close(); onChange(c); }}>{c}</button>)}<label>{t('Other')} <input type="color" value={hex} onChange={(e) => { close(); onChange(e.currentTarget.value); }} /></label></div>
          </div>
        )}
      </Menu>
    </span>
  );
}

const common: [string, string][] = [['short', 'Short: 1.2 K'], ['none', 'Number'], ['percent', 'Percent (0–100)'], ['percentunit', 'Percent (0.0–1.0)'], ['s', 'Seconds'], ['ms', 'Milliseconds'], ['bytes', 'Bytes (IEC)'], ['decbytes', 'Bytes (SI)'], ['Bps', 'Bytes per second (SI)'], ['binBps', 'Bytes per second (IEC)'], ['bps', 'Bits per second'], ['ops', 'Operations per second'], ['reqps', 'Requests per second'], ['pps', 'Packets per second'], ['cps', 'Counts per second'], ['dtdurations', 'Duration (seconds)'], ['dateTimeAsIso', 'Date and time'], ['celsius', 'Celsius'], ['watt', 'Watt'], ['hertz', 'Hertz'], ['bool', 'True or false'], ['bool_on_off', 'On or off']];

/** Units with the way each prints a number; any other text is a suffix. */
export function UnitField({ label, value, onChange, onDone }: { label: string; value: string | undefined; onChange: (v: string | undefined) => void; onDone?: () => void }): JSX.Element {
  const id = useId(), named = new Map(common), example = (u: string): string => { try { return join(unitFormat(u)(/^date/.test(u) ? 1.7e12 : /percentunit/.test(u) ? 0.4242 : 42424.2, undefined, 'utc')); } catch { return ''; } };
  return (
    <>
      <TextField label={label} value={value} list={id} onDone={onDone} placeholder={t('none')} onChange={(v) => onChange(v === '' ? undefined : v)} hint={value ? t('42424.2 is shown as {0}', example(value)) : undefined} />
      <datalist id={id}>{[...common.map(([u]) => u), ...unitIds().filter((u) => !named.has(u))].map((u) => <option value={u}>{named.has(u) ? t(named.get(u) as string) : example(u)}</option>)}</datalist>
    </>
  );
}

/** Several of many, as little buttons that go away by a click, and a list to add from. */
export function ManyField({ label, value, options, onChange }: { label: string; value: string[]; options: readonly (readonly [string, string])[]; onChange: (v: string[]) => void }): JSX.Element {
  const names = new Map(options);
  return (
    <div class="field wide many" role="group" aria-label={label}>
      <span>{label}</span>
      <span class="many-row">
        {value.map((v, i) => <button type="button" class="filter" aria-label={t('Remove {0}', names.get(v) ?? v)} onClick={() => onChange(value.filter((_, k) => k !== i))}>{names.get(v) ?? v} ✕</button>)}
        <select aria-label={t('Add to {0}', label)} value="" onChange={(e) => { if (e.currentTarget.value) onChange([...value, e.currentTarget.value]); e.currentTarget.value = ''; }}><option value="">{t('add …')}</option>{options.filter(([v]) => !value.includes(v)).map(([v, text]) => <option value={v}>{text}</option>)}</select>
      </span>
    </div>
  );
}

/** A part of a form that folds. */
export function Group({ title, children, open = true, count }: { title: string; children: ComponentChildren; open?: boolean; count?: number }): JSX.Element {
  const [on, setOn] = useState(open);
  return <section class="edit-group"><h3><button type="button" class="fold" aria-expanded={on} onClick={() => setOn(!on)}>{title}{count ? <span class="badge neutral">{count}</span> : ''}</button></h3>{on && <div class="edit-fields">{children}</div>}</section>;
}

export const IconButton = ({ label, children, onClick, disabled, pressed }: { label: string; children: ComponentChildren; onClick: () => void; disabled?: boolean; pressed?: boolean }): JSX.Element => <button type="button" class="icon" aria-label={label} title={label} disabled={disabled} aria-pressed={pressed} onClick={onClick}>{children}</button>;

/** The next, the one before, or out: for lists whose order counts. */
export function ListTools({ name, at, length, onMove, onRemove, onCopy, onToggle, on }: { name: string; at: number; length: number; onMove: (to: number) => void; onRemove: () => void; onCopy?: () => void; onToggle?: () => void; on?: boolean }): JSX.Element {
  return (
    <span class="list-tools">
      {onToggle && <IconButton label={on ? t('Hide {0}', name) : t('Show {0}', name)} pressed={on} onClick={onToggle}><svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.4"><path d="M1.500 8S4 3.500 8 3.500 14.500 8 14.500 8 12 12.500 8 12.500 1.500 8 1.500 8z" /><circle cx="8" cy="8" r="2" />{!on && <path d="m2.500 13.500 11-11" />}</svg></IconButton>}
      {onCopy && <IconButton label={t('Duplicate {0}', name)} onClick={onCopy}><svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.4"><rect x="4.500" y="4.500" width="7.500" height="7.500" rx="1.500" /><path d="M9.500 2H3.500A1.500 1.500 0 0 0 2 3.500v6" /></svg></IconButton>}
      <IconButton label={t('Move {0} up', name)} disabled={at === 0} onClick={() => onMove(at - 1)}>↑</IconButton>
      <IconButton label={t('Move {0} down', name)} disabled={at === length - 1} onClick={() => onMove(at + 1)}>↓</IconButton>
      <IconButton label={t('Remove {0}', name)} onClick={onRemove}>✕</IconButton>
    </span>
  );
}

export function movedItem<T>(list: T[], from: number, to: number): T[] {
  const out = [...list], [one] = out.splice(from, 1);
  out.splice(to, 0, one);
  return out;
}
