// What every kind of panel is given, and small parts several use.
import type { JSX } from 'preact';
import type { Theme } from '../dash/colors';
import { displayOf, shownText, type Shown } from '../dash/display';
import type { ShownField, ShownFrame } from '../dash/fieldconfig';
import { linkOf, type LinkModel } from '../dash/fieldconfig';
import type { Field } from '../dash/frames';
import { reduceAll, reducerId } from '../dash/reduce';
import type { Panel } from '../dash/schema';
import type { Answer, Locals, View } from '../dash/view';

export interface PanelProps { panel: Panel; view: View; answer: Answer; frames: ShownFrame[]; width: number; height: number; theme: Theme; locals: Locals; title: string }

/** One value to show: what it is called, its text, colour and scale, and (for a background line) the series behind it. */
export interface Single { name: string; shown: Shown; field: ShownField; frame: ShownFrame; row?: number; spark?: number[] }

/** Which fields a "fields" option means: numbers when empty, otherwise those of a name, or of a pattern between slashes. */
function wanted(field: Field, filter: string): boolean {
  const name = field.state?.displayName ?? field.name;
  if (!filter) return field.type === 'number';
  const m = /^\/(.*)\/$/.exec(filter);
  if (!m) return name === filter;
  try {
    return new RegExp(m[1].replace(/^\^|\$$/g, (x) => x)).test(name);
  } catch {
    return false;
  }
}

/** A panel's values: one per field (reduced), or one per row where the panel shows all values. */
export function singles({ panel, frames, view, theme }: Pick<PanelProps, 'panel' | 'frames' | 'view' | 'theme'>, most = 200): Single[] {
  const o = panel.options.reduceOptions ?? {}, calc = reducerId(o.calcs?.[0] ?? 'lastNotNull') ?? 'lastNotNull', out: Single[] = [], filter = String(o.fields ?? '');
  for (const frame of frames) {
    for (const field of frame.fields) {
      if (!wanted(field, filter) || field.config.custom?.hideFrom?.viz) continue;
      const title = field.state?.displayName ?? field.name;
      if (o.values) {
        const names = frame.fields.find((f) => f.type === 'string');
        for (let i = 0; i < Math.min(frame.length, o.limit ?? 25) && out.length < most; i++) out.push({ name: field.config.displayName ?? (names ? `${String(names.values[i] ?? '')}` : title), shown: field.display(field.values[i]), field, frame, row: i });
        continue;
      }
      const value = reduceAll(field, [calc])[calc];
      // A count has no unit of its own, a change in percent has that one.
      const display = calc === 'count' || calc === 'distinctCount' || calc === 'changeCount' || calc === 'countAll' ? displayOf({ ...field, config: { ...field.config, unit: field.config.unit === 'none' ? 'none' : undefined } }, theme, view.zone) : calc === 'diffperc' ? displayOf({ ...field, config: { ...field.config, unit: 'percent' } }, theme, view.zone) : field.display;
      const values = field.type === 'number' && field.values.length > 1 ? field.values : undefined;
      out.push({ name: title, shown: display(value), field, frame, spark: values });
      if (out.length >= most) return out;
    }
  }
  return out;
}

export const fullText = shownText;

/** Text before and after a value, as the first stat panel had it. */
export function dressed(panel: Panel, view: View, locals: Locals, shown: Shown): Shown {
  const prefix = panel.options.prefix ? view.text(String(panel.options.prefix), locals) : '', postfix = panel.options.postfix ? view.text(String(panel.options.postfix), locals) : '';
  return prefix || postfix ? { ...shown, prefix: `${prefix}${shown.prefix ?? ''}`, suffix: `${shown.suffix ?? ''}${postfix}` } : shown;
}

export function linksOf(field: ShownField | undefined, frame: ShownFrame | undefined, view: View, locals: Locals, row?: number): LinkModel[] {
  if (!field?.config.links?.length) return [];
  const raw = row === undefined ? field.values[field.values.length - 1] : field.values[row], shown = field.display(raw), time = frame?.fields.find((f) => f.type === 'time');
  const scope = view.linkScope(field, frame as never, { raw, text: shownText(shown), numeric: shown.numeric, time: time?.values[row ?? time.values.length - 1] }, row, locals);
  return field.config.links.map((l) => linkOf(l, (text, encode) => view.link(text, scope, encode))).filter((l): l is LinkModel => l !== null);
}

export function Linking({ links, children, class: name }: { links: LinkModel[]; children: JSX.Element | string; class?: string }): JSX.Element {
  const [first] = links;
  if (!first) return <>{children}</>;
  return <a class={name} href={first.href} title={first.title || undefined} target={first.blank ? '_blank' : undefined} rel="noreferrer noopener" data-page={!first.blank && /^\/?(d|explore|query)\//.test(first.href) ? '' : undefined}>{children}</a>;
}

/** Text that fits a box: the largest size at which its letters (about 0.58 of their height wide) do. */
export function fit(text: string, width: number, height: number, most: number): number {
  return Math.max(9, Math.min(most, height, width / Math.max(1, text.length * 0.58)));
}

