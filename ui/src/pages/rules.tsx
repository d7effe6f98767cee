// Rules with their health, from /api/v1/rules.
import type { JSX } from 'preact';
import { loadRules, type Rule, type RuleGroup } from '../alerting/model';
import { ago, formatDuration, formatNumber, printDuration } from '../format';
import { useLoad } from '../hooks';
import { Badge, Empty, LabelSet, Problem, Waiting } from '../parts';
import { href, route, setParams } from '../router';
import { t } from '../strings';
import '../alerting.css';

function Expression({ text }: { text: string }): JSX.Element {
  return <a class="mono" href={href('/query', { 'g0.expr': text, 'g0.tab': '0' })} data-page>{text}</a>;
}

/** The rule's page, with everything the rule is. */
function editHref(r: Rule, g: RuleGroup): string {
  const p = new URLSearchParams({ [r.type === 'alerting' ? 'name' : 'record']: r.name, expr: r.query, group: g.name });
  if (r.duration) p.set('for', printDuration(r.duration));
  if (r.keepFiringFor) p.set('keep', printDuration(r.keepFiringFor));
  if (g.interval) p.set('interval', printDuration(g.interval));
  if (!g.file.includes('.yml') && !g.file.includes('.yaml')) p.set('namespace', g.file);
  for (const [k, v] of Object.entries(r.labels ?? {})) p.append('label', `${k}=${v}`);
  for (const [k, v] of Object.entries(r.annotations ?? {})) p.append('annotation', `${k}=${v}`);
  return `${href('/rule')}?${p}`;
}

export function RulesPage(): JSX.Element {
  const load = useLoad((signal) => loadRules(signal, ''), [], 5000);
  const filter = route.value.params.get('search') ?? '';
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const groups = (load.data ?? []).map((g) => ({ ...g, rules: g.rules.filter((r) => words.every((w) => `${g.name} ${r.name} ${r.query} ${r.health}`.toLowerCase().includes(w))) })).filter((g) => g.rules.length);
  const failing = (load.data ?? []).flatMap((g) => g.rules).filter((r) => r.health === 'err').length;
  return (
    <div class="page">
      <div class="bar head">
        <h1>{t('Rules')}</h1>
        {failing > 0 && <Badge kind="bad">{t('{0} failing', failing)}</Badge>}
        <span class="spacer" />
        <a class="button" href={href('/rule')} data-page>{t('New rule')}</a>
        <input type="search" placeholder={t('Name or expression')} aria-label={t('Filter')} value={filter} onInput={(e) => setParams({ search: e.currentTarget.value || null })} />
      </div>
      {load.error && <Problem error={load.error} />}
      {!load.data && !load.error && <Waiting rows={2} />}
      {load.data && !groups.length && <Empty>{filter ? t('No rule matches.') : t('No rules loaded. Name rule files under rule_files in prometheus.yml.')}</Empty>}
      {groups.map((g) => (
        <section class="panel" key={`${g.file};${g.name}`}>
          <h2>{g.name} <span class="muted small">{g.file}</span></h2>
          <p class="muted small under">{t('every {0}, last {1}, took {2}', formatDuration(g.interval), ago(g.lastEvaluation), formatNumber(g.evaluationTime, 'seconds'))}</p>
          <table class="data rules">
            <thead><tr><th class="w-url">{t('Rule')}</th><th>{t('Expression')}</th><th class="w-state">{t('Health')}</th><th class="num w-time">{t('Took')}</th></tr></thead>
            <tbody>
              {g.rules.map((r) => (
                <>
                  <tr>
                    <td data-label={t('Rule')}><a class="name" href={editHref(r, g)} data-page title={t('Look at it, change it, test it')}>{r.name}</a><div class="muted small">{r.type === 'alerting' ? t('alert') : t('record')}{r.duration ? ` · ${t('for {0}', formatDuration(r.duration))}` : ''}{r.keepFiringFor ? ` · ${t('keeps firing for {0}', formatDuration(r.keepFiringFor))}` : ''}</div></td>
                    <td data-label={t('Expression')}><Expression text={r.query} /> {r.labels && <div><LabelSet labels={r.labels} /></div>}</td>
                    <td data-label={t('Health')}><Badge kind={r.health === 'ok' ? 'ok' : r.health === 'err' ? 'bad' : 'neutral'}>{r.health}</Badge></td>
                    <td data-label={t('Took')} class="num">{formatNumber(r.evaluationTime, 'seconds')}</td>
                  </tr>
                  {r.lastError && <tr class="error"><td colSpan={4}>{r.lastError}</td></tr>}
                </>
              ))}
            </tbody>
          </table>
        </section>
      ))}
    </div>
  );
}
