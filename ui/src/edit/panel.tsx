// The editor of one panel: the panel as it will be, its queries and transformations under it, what can be set beside it.
import type { JSX } from 'preact';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { displayName } from '../dash/frames';
import type { Panel } from '../dash/schema';
import type { Answer } from '../dash/view';
import { PanelFrame } from '../panels/frame';
import { Empty, TabPanel, Tabs } from '../parts';
import { t } from '../strings';
import { LinksField, OptionsPane, OverridesPane, type Set } from './config';
import { modernise, setPath } from './document';
import { CheckField, Choices, Group, NumberField, SelectField, TextField } from './fields';
import { kinds } from './options';
import { QueriesPane } from './queries';
import type { Session } from './session';
import { TransformsPane } from './transforms';

interface Props { session: Session; id: number; zoom: { in: (a: number, b: number) => void; out: () => void }; onClose: () => void }

/** Kinds by name, with what each is for. */
function KindField({ panel, onChange }: { panel: Panel; onChange: (type: string) => void }): JSX.Element {
  const own = kinds.find(([id]) => id === panel.type);
  return <SelectField label={t('Visualization')} value={panel.type} options={[...kinds.map(([id, name]) => [id, t(name)] as const), ...(own ? [] : [[panel.type, panel.type] as const])]} hint={own && t(own[2])} onChange={onChange} />;
}

export function PanelEditor({ session, id, zoom, onClose }: Props): JSX.Element {
  const { view } = session, dashboard = session.dashboard.value, panel = dashboard.panels.flatMap((p) => [p, ...(p.panels ?? [])]).find((p) => p.id === id);
  const box = useRef<HTMLDivElement>(null), [width, setWidth] = useState(0), [height, setHeight] = useState(0), [answer, setAnswer] = useState<Answer | null>(null), [tab, setTab] = useState<'queries' | 'transforms' | 'json'>('queries'), [side, setSide] = useState<'options' | 'overrides'>('options'), [exact, setExact] = useState<'fill' | 'actual'>('fill');
  useLayoutEffect(() => {
    const el = box.current;
    if (!el) return;
    const measure = (): void => { setWidth(el.clientWidth); setHeight(Math.max(220, Math.min(460, Math.round(innerHeight * 0.42)))); }, watch = new ResizeObserver(measure);
    watch.observe(el);
    measure();
    return () => watch.disconnect();
  }, [!panel]);
  // The fields before the transformations: asked once more, from what the browser has just been given.
  const [raw, setRaw] = useState<Answer['frames']>([]);
  useEffect(() => {
    if (tab !== 'transforms' || !panel || !answer) return;
    const abort = new AbortController();
    void view.query({ ...panel, transformations: [] }, width, {}, abort.signal).then((a) => setRaw(a.frames), () => {});
    return () => abort.abort();
  }, [tab, answer, panel && JSON.stringify(panel.targets)]);
  const names = useMemo(() => [...new Set((answer?.frames ?? []).flatMap((f) => f.fields.map((x) => x.state?.displayName ?? displayName(x, f, answer?.frames))))], [answer]);
  if (!panel) return <Empty><p>{t('There is no such panel.')}</p><button type="button" onClick={onClose}>{t('Back to the dashboard')}</button></Empty>;
  const seal = (): void => session.seal();
  const set: Set = (label, path, value, key) => session.changePanel(id, label, (p) => setPath(p, path, value === undefined ? undefined : JSON.parse(JSON.stringify(value))), key ? `${path}/${key}` : '');
  const kind = (type: string): void => session.changePanel(id, t('Visualization'), (p) => {
    modernise(p, panel);
    // What the new kind does not know is left behind, but for what all share.
    p.type = type;
    delete p.pluginVersion;
    const { legend, tooltip, reduceOptions, orientation } = p.options ?? {};
    p.options = JSON.parse(JSON.stringify({ ...(/^(timeseries|barchart|piechart|histogram|state-timeline|status-history)$/.test(type) ? { legend } : {}), ...(type === 'timeseries' ? { tooltip } : {}), ...(/^(stat|gauge|bargauge|piechart)$/.test(type) ? { reduceOptions: reduceOptions ?? { calcs: ['lastNotNull'], fields: '', values: false }, orientation } : {}), ...(type === 'text' ? { mode: 'markdown', content: p.options?.content ?? '' } : {}) }));
    if (type === 'table') for (const x of Array.isArray(p.targets) ? p.targets : []) if (x.format === undefined) Object.assign(x, { format: 'table', instant: true, range: false });
    if (p.fieldConfig?.defaults) delete p.fieldConfig.defaults.custom;
  });
  const text = (label: string, path: string, value: string): void => set(label, path, value === '' ? undefined : value, 'text');
  const span = exact === 'actual' ? Math.min(width, Math.round((Math.min(1500, innerWidth) * panel.gridPos.w) / 24)) : width;
  return (
    <div class="panel-editor">
      <div class="panel-editor-main">
        <div class="bar preview-bar"><h1>{t('Edit {0}', panel.title || t('panel {0}', id))}</h1><span class="spacer" /><Choices label={t('Size')} value={exact} options={[['fill', t('Fill')], ['actual', t('Actual')]]} onChange={setExact} /></div>
        <div class="preview" ref={box}>{width > 0 && <PanelFrame key={id} panel={panel} view={view} locals={{}} width={span} height={exact === 'actual' ? panel.gridPos.h * 38 - 8 : height} alone onZoom={zoom.in} onZoomOut={zoom.out} onView={onClose} onAnswer={setAnswer} />}</div>
        {panel.type !== 'text' && (
          <>
            <Tabs id="edit" label={t('Data')} value={tab} onChange={setTab} tabs={[['queries', `${t('Queries')} ${panel.targets.length}`], ['transforms', `${t('Transformations')} ${panel.transformations.length || ''}`]]} />
            <TabPanel id="edit" value={tab}>{tab === 'queries' ? <QueriesPane session={session} panel={panel} answer={answer} /> : <TransformsPane session={session} panel={panel} raw={raw} view={view} />}</TabPanel>
          </>
        )}
      </div>
      <aside class="panel-editor-side" aria-label={t('Options')}>
        <div class="edit-fields"><KindField panel={panel} onChange={kind} /></div>
        <Tabs id="side" label={t('Options')} value={side} onChange={setSide} tabs={[['options', t('Options')], ['overrides', `${t('Overrides')} ${panel.fieldConfig.overrides.length || ''}`]]} />
        <TabPanel id="side" value={side}>
          {side === 'overrides' ? <OverridesPane panel={panel} names={names} set={set} seal={seal} /> : (
            <>
              <Group title={t('Panel')}>
                <TextField label={t('Title')} value={panel.title} wide onChange={(v) => set(t('Title'), 'title', v, 'text')} onDone={seal} />
                <TextField label={t('Description')} value={panel.description} rows={2} onChange={(v) => text(t('Description'), 'description', v)} onDone={seal} />
                <CheckField label={t('No background')} value={!!panel.transparent} onChange={(v) => set(t('Background'), 'transparent', v || undefined)} />
              </Group>
              <Group title={t('Panel links')} open={panel.links.length > 0} count={panel.links.length}><LinksField value={panel.links} onDone={seal} hint={'${var}, ${__url_time_range}'} onChange={(v, label, key) => set(label, 'links', v, key)} /></Group>
              <Group title={t('Repeat')} open={!!panel.repeat}>
                <SelectField label={t('By the variable')} value={panel.repeat ?? ''} options={[['', t('Not repeated')], ...dashboard.variables.map((v) => [v.name, v.label || v.name] as const)]} onChange={(v) => session.changePanel(id, t('Repeat'), (p) => { if (v) Object.assign(p, { repeat: v, repeatDirection: p.repeatDirection ?? 'h' }); else for (const k of ['repeat', 'repeatDirection', 'maxPerRow']) delete p[k]; })} />
                {panel.repeat && <><SelectField label={t('Side by side, or below each other')} value={panel.repeatDirection ?? 'h'} options={[['h', t('Side by side')], ['v', t('Below each other')]]} onChange={(v) => set(t('Repeat'), 'repeatDirection', v)} />{panel.repeatDirection !== 'v' && <NumberField label={t('Most in a row')} value={panel.maxPerRow} placeholder="4" onChange={(v) => set(t('Repeat'), 'maxPerRow', v, 'most')} onDone={seal} />}</>}
              </Group>
              <OptionsPane panel={panel} set={set} seal={seal} />
            </>
          )}
        </TabPanel>
      </aside>
    </div>
  );
}
