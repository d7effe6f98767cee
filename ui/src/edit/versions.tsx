// Versions of a dashboard: the list, what differs between two, and going back to one.
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { ApiError } from '../api';
import { restoreVersion, versionsOf, versionText } from '../dash/store';
import { visible } from '../format';
import { useLoad } from '../hooks';
import { Empty, Problem, Waiting } from '../parts';
import { t } from '../strings';
import { diffLines, hunks, type DiffLine } from './diff';
import type { Session } from './session';

const mark = { same: ' ', gone: '-', new: '+' };

export function Diff({ lines }: { lines: DiffLine[] }): JSX.Element {
  const [all, setAll] = useState(false), shown = hunks(lines);
  if (!shown.length) return <p class="hint">{t('There is no difference.')}</p>;
  return (
    <div class="diff" tabIndex={0} role="group" aria-label={t('Differences')}>
      <table><tbody>{(all ? lines : shown).slice(0, 3000).map((l) => (l ? <tr class={l.kind}><td class="no">{l.a ?? ''}</td><td class="no">{l.b ?? ''}</td><td class="sign">{mark[l.kind]}<span class="sr-only">{l.kind === 'gone' ? t('gone') : l.kind === 'new' ? t('new') : ''}</span></td><td class="line">{visible(l.text)}</td></tr> : <tr class="skip"><td colSpan={4}><button type="button" class="link" onClick={() => setAll(true)}>{t('… lines that are the same')}</button></td></tr>))}</tbody></table>
    </div>
  );
}

const when = (text: string): string => { const d = new Date(text); return Number.isNaN(d.getTime()) ? text : d.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' }); };

export function Versions({ session, onRestored }: { session: Session; onRestored: () => void }): JSX.Element {
  const load = useLoad(() => versionsOf(session.uid), [session.uid, session.version.value]), [pair, setPair] = useState<[number, number] | null>(null), [error, setError] = useState<ApiError | null>(null), list = load.data ?? [];
  const chosen: [number, number] | null = pair ?? (list.length > 1 ? [list[1].version, list[0].version] : null);
  const texts = useLoad(async () => (chosen ? Promise.all(chosen.map((v) => versionText(session.uid, v))) : null), [chosen?.join()]);
  const restore = (version: number): void => {
    if (!confirm(session.dirty ? t('Restore version {0}? What you changed and did not save is lost.', version) : t('Restore version {0}? It becomes the newest; nothing is lost.', version))) return;
    void restoreVersion(session.uid, version).then(() => { session.stored(session.version.value); onRestored(); }, (e: unknown) => setError(e instanceof ApiError ? e : new ApiError('internal', String(e), 0)));
  };
  if (load.error) return <Problem error={load.error} />;
  if (!load.data) return <Waiting />;
  if (!list.length) return <Empty><p>{t('No version is kept: this dashboard comes from a file.')}</p></Empty>;
  return (
    <>
      {error && <Problem error={error} />}
      <div class="scroll"><table class="data versions">
        <thead><tr><th scope="col">{t('From')}</th><th scope="col">{t('To')}</th><th scope="col" class="num">{t('Version')}</th><th scope="col">{t('Saved')}</th><th scope="col">{t('Note')}</th><th scope="col"><span class="sr-only">{t('Restore')}</span></th></tr></thead>
        <tbody>{list.map((v, i) => (
          <tr>
            <td><input type="radio" name="from" aria-label={t('Compare from version {0}', v.version)} checked={chosen?.[0] === v.version} onChange={() => setPair([v.version, chosen?.[1] ?? list[0].version])} /></td>
            <td><input type="radio" name="to" aria-label={t('Compare to version {0}', v.version)} checked={chosen?.[1] === v.version} onChange={() => setPair([chosen?.[0] ?? list[0].version, v.version])} /></td>
            <td class="num">{v.version}</td><td>{when(v.created)}</td><td>{visible(v.message)}</td>
            <td>{i > 0 ? <button type="button" aria-label={t('Restore version {0}', v.version)} onClick={() => restore(v.version)}>{t('Restore')}</button> : <span class="badge ok">{t('newest')}</span>}</td>
          </tr>
        ))}</tbody>
      </table></div>
      {chosen && texts.data && <><h2>{t('From version {0} to version {1}', chosen[0], chosen[1])}</h2><Diff lines={diffLines(texts.data[0], texts.data[1])} /></>}
      {texts.error && <Problem error={texts.error} />}
    </>
  );
}
