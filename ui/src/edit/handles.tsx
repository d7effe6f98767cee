// Moving and sizing panels on the grid, by dragging and by keys; rows; what the menu of a panel offers while a dashboard is edited.
import type { JSX } from 'preact';
import { useRef } from 'preact/hooks';
import type { GridPos, Panel } from '../dash/schema';
import type { Action } from '../panels/frame';
import { Menu } from '../parts';
import { t } from '../strings';
import { moved, type Box } from './arrange';
import { boxesOf, classic, duplicatePanel, foldRow, inner, movePanel, moveRow, removePanel } from './document';
import type { Session } from './session';

export const panelActions = (session: Session, id: number): Action[] => [
  { text: t('Duplicate'), run: () => session.change(t('Duplicate a panel'), (d) => void duplicatePanel(d, id)) },
  { text: t('Remove'), run: () => session.change(t('Remove a panel'), (d) => removePanel(d, id)) },
];
export const fold = (session: Session, row: Panel): void => session.change(row.collapsed ? t('Open a row') : t('Close a row'), (d) => foldRow(d, row.id));

const say = (b: { x: number; y: number; w: number; h: number }): string => t('Column {0}, row {1}, {2} wide, {3} high', b.x + 1, b.y + 1, b.w, b.h);

interface ToolProps { session: Session; panel: Panel; at: GridPos; column: number; row: number }

/** The handles of a panel. Arrow keys move it, with Shift they size it. A drag shows where everything would go, and is one step when it ends. */
export function PanelTools({ session, panel, at, column, row }: ToolProps): JSX.Element {
  const from = useRef<{ x: number; y: number; boxes: Box[]; sizing: boolean } | null>(null), { id } = panel;
  const start = (e: PointerEvent, sizing: boolean): void => {
    if (e.button) return;
    e.preventDefault();
    (e.currentTarget as HTMLElement).setPointerCapture(e.pointerId);
    (e.currentTarget as HTMLElement).focus();
    from.current = { x: e.clientX, y: e.clientY + scrollY, boxes: boxesOf(inner(classic(session.json))), sizing };
  };
  const to = (e: PointerEvent): Partial<Box> | null => {
    const f = from.current, b = f?.boxes.find((x) => x.id === id);
    if (!f || !b) return null;
    const dx = Math.round((e.clientX - f.x) / column), dy = Math.round((e.clientY + scrollY - f.y) / row);
    return f.sizing ? { w: Math.min(24 - b.x, Math.max(1, b.w + dx)), h: Math.max(1, b.h + dy) } : { x: Math.min(24 - b.w, Math.max(0, b.x + dx)), y: Math.max(0, b.y + dy) };
  };
  const move = (e: PointerEvent): void => {
    const target = to(e), f = from.current;
    if (!target || !f) return;
    session.preview.value = new Map(moved(f.boxes, id, target).map((b) => [b.id, b]));
  };
  const end = (e: PointerEvent): void => {
    const target = to(e), sizing = !!from.current?.sizing;
    from.current = null;
    session.preview.value = null;
    if (target) session.change(sizing ? t('Size a panel') : t('Move a panel'), (d) => movePanel(d, id, target));
  };
  const stop = (): void => { from.current = null; session.preview.value = null; };
  const key = (e: KeyboardEvent): void => {
    const dx = e.key === 'ArrowRight' ? 1 : e.key === 'ArrowLeft' ? -1 : 0, dy = e.key === 'ArrowDown' ? 1 : e.key === 'ArrowUp' ? -1 : 0;
    if (e.key === 'Escape' && from.current) { e.stopPropagation(); stop(); return; }
    if (e.key === 'Delete') { e.preventDefault(); session.change(t('Remove a panel'), (d) => removePanel(d, id)); return; }
    if ((!dx && !dy) || e.ctrlKey || e.metaKey) return;
    e.preventDefault();
    e.stopPropagation();
    const b = boxesOf(session.dash).find((x) => x.id === id);
    if (!b) return;
    // Down and up go past a neighbour: one row would fall back to where it was.
    const others = boxesOf(session.dash).filter((o) => o.id !== id && o.x < b.x + b.w && b.x < o.x + o.w), next = dy > 0 ? Math.min(...others.filter((o) => o.y >= b.y + b.h).map((o) => o.y)) : Math.max(...others.filter((o) => o.y + o.h <= b.y).map((o) => o.y));
    session.change(e.shiftKey ? t('Size a panel') : t('Move a panel'), (d) => movePanel(d, id, e.shiftKey ? { w: Math.max(1, b.w + dx), h: Math.max(1, b.h + dy) } : dy ? { y: Number.isFinite(next) ? (dy > 0 ? next + 1 : next) : b.y } : { x: b.x + dx }), `${e.shiftKey ? 'size' : 'move'}/${id}`);
    const now = boxesOf(session.dash).find((x) => x.id === id);
    if (now) session.said.value = say(now);
  };
  const name = panel.title || t('Panel {0}', id), common = { onPointerMove: move, onPointerUp: end, onPointerCancel: stop, onLostPointerCapture: stop, onKeyDown: key, onBlur: () => session.seal() };
  return (
    <>
      <button type="button" class="icon move-handle" aria-label={t('Move {0}', name)} title={t('Drag, or arrow keys: move. Shift and arrow keys: size. Delete: remove.')} onPointerDown={(e) => start(e, false)} {...common}>
        <svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true" fill="currentColor">{[3, 7, 11].flatMap((y) => [4.5, 9.5].map((x) => <circle cx={x} cy={y} r="1.300" />))}</svg>
      </button>
      <button type="button" class="size-handle" aria-label={t('Size {0}', name)} tabIndex={-1} title={`${at.w} × ${at.h}`} onPointerDown={(e) => start(e, true)} {...common} />
    </>
  );
}

export function RowTools({ session, row }: { session: Session; row: Panel }): JSX.Element {
  const variables = session.dashboard.value.variables, { id } = row;
  return (
    <span class="row-tools">
      <input type="text" aria-label={t('Title of the row')} value={row.title} onInput={(e) => { const v = e.currentTarget.value; session.changePanel(id, t('Title of a row'), (p) => { p.title = v; }, 'title'); }} onBlur={() => session.seal()} />
      <select aria-label={t('Repeat the row by')} value={row.repeat ?? ''} onChange={(e) => { const v = e.currentTarget.value; session.changePanel(id, t('Repeat a row'), (p) => { if (v) p.repeat = v; else delete p.repeat; }); }}><option value="">{t('Not repeated')}</option>{variables.map((v) => <option value={v.name}>{t('for each {0}', v.label || v.name)}</option>)}</select>
      <button type="button" class="icon" aria-label={t('Move the row up')} onClick={() => session.change(t('Move a row'), (d) => moveRow(d, id, -1))}>↑</button><button type="button" class="icon" aria-label={t('Move the row down')} onClick={() => session.change(t('Move a row'), (d) => moveRow(d, id, 1))}>↓</button>
      <Menu text={<span aria-hidden="true">✕</span>} label={t('Remove the row')} align="right">{(close) => <ul class="panel-menu"><li><button type="button" onClick={() => { close(); session.change(t('Remove a row'), (d) => removePanel(d, id)); }}>{t('The row, not its panels')}</button></li><li><button type="button" onClick={() => { close(); session.change(t('Remove a row with its panels'), (d) => removePanel(d, id, true)); }}>{t('The row and its panels')}</button></li></ul>}</Menu>
    </span>
  );
}
