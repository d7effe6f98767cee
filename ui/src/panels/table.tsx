// Tables: sorting by a click, cells with colours and bars, only the rows in sight are in the page.
import type { JSX } from 'preact';
import { useMemo, useRef, useState } from 'preact/hooks';
import { alpha, readable, textOn } from '../dash/colors';
import { shownText } from '../dash/display';
import type { ShownField, ShownFrame } from '../dash/fieldconfig';
import { sortFrame } from '../dash/frames';
import { reduceAll, reducerName } from '../dash/reduce';
import { visible } from '../format';
import { t } from '../strings';
import { Linking, linksOf, type PanelProps } from './common';

const rowHeight = 34;
interface Cell { type?: string; mode?: string; applyToRow?: boolean }

function Spark({ values, color }: { values: (number | null)[]; color: string }): JSX.Element | null {
  const there = values.filter((v): v is number => Number.isFinite(v as number));
  if (there.length < 2) return null;
  const min = Math.min(...there), max = Math.max(...there), at = (v: number, i: number): string => `${((i / (there.length - 1)) * 100).toFixed(1)} ${(19 - (max > min ? (v - min) / (max - min) : 0.5) * 18).toFixed(1)}`;
  return <svg class="spark-cell" viewBox="0 0 100 20" preserveAspectRatio="none" aria-hidden="true"><path d={`M${there.map(at).join('L')}`} fill="none" stroke={color} stroke-width="1.5" vector-effect="non-scaling-stroke" /></svg>;
}

function Value({ field, frame, row, props }: { field: ShownField; frame: ShownFrame; row: number; props: PanelProps }): JSX.Element {
  const cell: Cell = field.config.custom?.cellOptions ?? {}, raw = field.values[row];
  if (field.type === 'frame' && raw && typeof raw === 'object') {
    const inner = (raw as { value?: unknown; fields: { type: string; values: (number | null)[] }[] }), numbers = inner.fields.find((f) => f.type === 'number')?.values ?? [], shown = field.display(inner.value);
    return <span class="with-spark"><Spark values={numbers} color={shown.color} /><span class="num">{shownText(shown)}</span></span>;
  }
  const shown = field.display(raw), text = visible(field.type === 'other' && raw && typeof raw === 'object' ? JSON.stringify(raw) : shownText(shown)), links = linksOf(field, frame, props.view, props.locals, row);
  if (cell.type === 'gauge' && !Number.isNaN(shown.numeric)) {
    const range = field.state?.range, min = range?.min ?? 0, max = range?.max ?? 100, share = max > min ? Math.min(1, Math.max(0, (shown.numeric - min) / (max - min))) : 0;
    return <Linking links={links}><span class="cell-gauge"><span class="bar-track"><i style={{ width: `${(share * 100).toFixed(1)}%`, background: cell.mode === 'basic' ? shown.color : `linear-gradient(90deg, ${alpha(shown.color, 0.4)}, ${shown.color})` }} /></span><span class="num">{text}</span></span></Linking>;
  }
  if (cell.type === 'color-text') return <Linking links={links}><span style={{ color: readable(shown.color, props.theme) }}>{text}</span></Linking>;
  return <Linking links={links}>{text}</Linking>;
}

function background(field: ShownField, row: number): JSX.CSSProperties | undefined {
  const cell: Cell = field.config.custom?.cellOptions ?? {};
  if (cell.type !== 'color-background') return undefined;
  const { color } = field.display(field.values[row]);
  return /rgba\([^)]*, ?0\)/.test(color) ? undefined : { background: color, color: textOn(color) };
}

function Footer({ fields, panel }: { fields: ShownField[]; panel: PanelProps['panel'] }): JSX.Element | null {
  const f = panel.options.footer ?? {};
  if (!f.show || f.countRows) return null;
  const id = f.reducer?.[0] ?? 'sum', only: string[] = f.fields?.length ? [f.fields].flat() : [];
  const of = (x: ShownField): string => (x.type === 'number' && (!only.length || only.includes(x.state?.displayName ?? x.name)) ? shownText(x.display(reduceAll(x, [id])[id])) : '');
  return <tfoot><tr>{fields.map((x, i) => <td class={x.type === 'number' ? 'num' : ''}>{of(x) || (i === 0 ? reducerName(id) : '')}</td>)}</tr></tfoot>;
}

export function FrameTable({ frame, props, sort, onSort }: { frame: ShownFrame; props: PanelProps; sort: { index: number; desc: boolean } | null; onSort: (s: { index: number; desc: boolean } | null) => void }): JSX.Element {
  const fields = frame.fields.filter((f) => !f.config.custom?.hidden && !f.config.custom?.hideFrom?.viz), box = useRef<HTMLDivElement>(null), [top, setTop] = useState(0);
  const sorted = useMemo(() => (sort && fields[sort.index] ? sortFrame({ ...frame, fields } as never, sort.index, sort.desc) : { ...frame, fields }) as ShownFrame, [frame, sort?.index, sort?.desc]);
  const first = Math.max(0, Math.floor(top / rowHeight) - 6), count = Math.ceil(props.height / rowHeight) + 14, rows = Array.from({ length: Math.max(0, Math.min(count, frame.length - first)) }, (_, i) => first + i);
  const rowCell = fields.find((f) => f.config.custom?.cellOptions?.applyToRow), rowField = rowCell && sorted.fields[fields.indexOf(rowCell)];
  return (
    <div class="table-panel" ref={box} tabIndex={0} role="group" aria-label={props.title || t('Table')} style={{ height: `${props.height}px` }} onScroll={(e) => { const y = e.currentTarget.scrollTop; if (Math.abs(y - top) > rowHeight * 4) setTop(y); }}>
      <table class="data" aria-rowcount={frame.length}>
        {props.panel.options.showHeader !== false && (
          <thead><tr>{fields.map((f, i) => {
            const on = sort?.index === i, w = f.config.custom?.width;
            return (
              <th scope="col" class={align(f)} style={w ? { width: `${w}px`, minWidth: `${w}px` } : f.config.custom?.minWidth ? { minWidth: `${f.config.custom.minWidth}px` } : undefined} aria-sort={on ? (sort?.desc ? 'descending' : 'ascending') : undefined}>
                <button type="button" class="sort" title={f.config.description} onClick={() => onSort(!on ? { index: i, desc: false } : !sort?.desc ? { index: i, desc: true } : null)}>{visible(f.state?.displayName ?? f.name)}<span aria-hidden="true">{on ? (sort?.desc ? ' ▾' : ' ▴') : ''}</span></button>
              </th>
            );
          })}</tr></thead>
        )}
        <tbody>
          {first > 0 && <tr class="filler" aria-hidden="true"><td colSpan={fields.length} style={{ height: `${first * rowHeight}px` }} /></tr>}
          {rows.map((r) => <tr aria-rowindex={r + 1} style={rowField ? background(rowField, r) : undefined}>{sorted.fields.map((f) => <td class={align(f)} style={background(f, r)}><Value field={f} frame={sorted} row={r} props={props} /></td>)}</tr>)}
          {frame.length - first - rows.length > 0 && <tr class="filler" aria-hidden="true"><td colSpan={fields.length} style={{ height: `${(frame.length - first - rows.length) * rowHeight}px` }} /></tr>}
        </tbody>
        <Footer fields={fields} panel={props.panel} />
      </table>
    </div>
  );
}

const align = (f: ShownField): string => { const a = f.config.custom?.align; return a === 'left' || a === 'center' || a === 'right' ? `align-${a}` : f.type === 'number' ? 'num' : ''; };

export function TablePanel(props: PanelProps): JSX.Element {
  const [at, setAt] = useState(Number(props.panel.options.frameIndex) || 0), frame = props.frames[Math.min(at, props.frames.length - 1)];
  const initial = (): { index: number; desc: boolean } | null => {
    const by = props.panel.options.sortBy?.[0], shown = frame?.fields.filter((f) => !f.config.custom?.hidden) ?? [], index = by ? shown.findIndex((f) => (f.state?.displayName ?? f.name) === by.displayName) : (props.panel.options.sortAt?.index ?? -1);
    return index >= 0 && index < shown.length ? { index, desc: !!(by?.desc ?? props.panel.options.sortAt?.desc) } : null;
  };
  const [sort, setSort] = useState<{ index: number; desc: boolean } | null | undefined>(undefined), used = sort === undefined ? initial() : sort;
  if (!frame?.fields.length) return <div class="no-data">{t('No data')}</div>;
  const several = props.frames.length > 1;
  return (
    <>
      <FrameTable frame={frame} props={several ? { ...props, height: props.height - 36 } : props} sort={used} onSort={setSort} />
      {several && <select class="frame-choice" aria-label={t('Which table')} value={String(at)} onChange={(e) => setAt(Number(e.currentTarget.value))}>{props.frames.slice(0, 200).map((f, i) => <option value={i}>{visible(f.name || (f.fields.find((x) => x.type !== 'time')?.state?.displayName ?? '') || `${t('Table')} ${i + 1}`)}</option>)}</select>}
    </>
  );
}
