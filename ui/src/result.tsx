// An instant answer as a table, and as the text format writes it.
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { seriesName, type QueryData, type Series } from './api';
import { CopyButton, Empty, LabelSet } from './parts';
import { t } from './strings';

export function QueryTable({ data }: { data: QueryData }): JSX.Element {
  const [all, setAll] = useState(false);
  if (data.resultType === 'scalar' || data.resultType === 'string') {
    return <table class="data"><tbody><tr><th scope="row">{data.resultType}</th><td class="num">{data.result[1]}</td></tr></tbody></table>;
  }
  const rows: Series[] = data.result as Series[];
  if (!rows.length) return <Empty>{t('No series match at this time.')}</Empty>;
  const shown = all ? rows : rows.slice(0, 500);
  return (
    <>
      <div class="scroll" tabIndex={0} role="group" aria-label={t('Result')}>
        <table class="data result">
          <thead><tr><th>{t('Series')}</th><th class="num">{t('Value')}</th></tr></thead>
          <tbody>
            {shown.map((s) => (
              <tr>
                <td><div class="cell"><span>{s.metric.__name__ && <span class="metric">{s.metric.__name__} </span>}<LabelSet labels={s.metric} skip={['__name__']} />{!Object.keys(s.metric).length && '{}'}</span><CopyButton text={seriesName(s.metric)} label={t('Copy the series {0}', seriesName(s.metric))} /></div></td>
                <td class="num">
                  {s.value?.[1]}
                  {s.values?.map(([at, v]) => <div>{v} <span class="muted">@ {at}</span></div>)}
                  {s.histogram && t('{0} observations, sum {1}', s.histogram[1].count, s.histogram[1].sum)}
                  {s.histograms?.map(([at, h]) => <div>{t('{0} observations, sum {1}', h.count, h.sum)} <span class="muted">@ {at}</span></div>)}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {rows.length > shown.length && <button type="button" onClick={() => setAll(true)}>{t('Show all {0} series', rows.length)}</button>}
    </>
  );
}

const textOf = (s: Series): string => s.value?.[1] ?? s.values?.map(([at, v]) => `${v} @${at}`).join('\n    ') ?? (s.histogram ? `{count:${s.histogram[1].count}, sum:${s.histogram[1].sum}}` : s.histograms?.map(([at, h]) => `{count:${h.count}, sum:${h.sum}} @${at}`).join('\n    ') ?? '');

/** One line a series: name{labels} value. */
export function rawText(data: QueryData, most = 2000): string {
  if (data.resultType === 'scalar' || data.resultType === 'string') return data.result[1];
  const rows = data.result as Series[];
  return rows.slice(0, most).map((s) => `${seriesName(s.metric)} ${textOf(s)}`).join('\n') + (rows.length > most ? `\n${t('and {0} more', rows.length - most)}` : '');
}

export function RawResult({ data }: { data: QueryData }): JSX.Element {
  const text = rawText(data);
  return text ? <div class="code-box"><CopyButton text={text} label={t('Copy')} /><pre class="code raw" tabIndex={0} role="group" aria-label={t('Raw result')}>{text}</pre></div> : <Empty>{t('No series match at this time.')}</Empty>;
}
