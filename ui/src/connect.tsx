// What sends data here, and how to make more do so: each source with a light, and the text to paste, with this server's own address.
import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { api, root, type QueryData, type Series } from './api';
import { formatCount } from './format';
import { useLoad } from './hooks';
import type { Own } from './own';
import { CopyButton } from './parts';
import { href } from './router';
import { t } from './strings';

const here = `${location.origin}${root}`;
interface Source { id: string; name: string; says: string; snippet?: string; file?: string }
const sources: Source[] = [
  { id: 'scrape', name: 'Scrape', says: 'Pharos asks the services itself, as Prometheus does. Add a job to its configuration; it is read again on POST {0}.', file: 'prometheus.yml', snippet: 'scrape_configs:\n  - job_name: my-service\n    static_configs:\n      - targets: [my-host:9100]' },
  { id: 'remote_write', name: 'Prometheus remote_write', says: 'A Prometheus that is there already sends a copy of every sample.', file: 'prometheus.yml', snippet: `remote_write:\n  - url: ${here}/api/v1/write` },
  { id: 'alloy', name: 'Grafana Alloy', says: 'An Alloy scrapes the host it runs on and itself, and sends both.', file: 'config.alloy', snippet: `prometheus.exporter.unix "host" { }\nprometheus.exporter.self "alloy" { }\n\nprometheus.scrape "host" {\n  targets    = prometheus.exporter.unix.host.targets\n  forward_to = [prometheus.remote_write.pharos.receiver]\n}\n\nprometheus.scrape "alloy" {\n  targets    = prometheus.exporter.self.alloy.targets\n  forward_to = [prometheus.remote_write.pharos.receiver]\n}\n\nprometheus.remote_write "pharos" {\n  endpoint {\n    url = "${here}/api/v1/write"\n  }\n}` },
  { id: 'otlp', name: 'OpenTelemetry', says: 'Not yet: this server does not receive OTLP. Until it does, let an OpenTelemetry Collector write with its prometheusremotewrite exporter.', file: 'collector.yaml', snippet: `exporters:\n  prometheusremotewrite:\n    endpoint: ${here}/api/v1/write` },
  { id: 'logs', name: 'Logs', says: 'Not yet: there is no log store here.' },
];

type Light = { state: 'on' | 'waits' | 'none'; says: string };
async function number(query: string, signal: AbortSignal): Promise<number> {
  const { data } = await api<QueryData>('query', { query }, signal);
  return data.resultType === 'vector' ? Number((data.result as Series[])[0]?.value?.[1] ?? 0) : 0;
}

export function Connect({ own, tick }: { own: Own | undefined; tick: number }): JSX.Element {
  const [open, setOpen] = useState<string | null>(null);
  const seen = useLoad(async (signal) => {
    // Our own targets are no connection: those on an instance that says it is a Pharos.
    const [targets, written, alloy] = await Promise.all([number('count(up == 1 unless on (instance) prometheus_build_info{pharos_version!=""})', signal), number('sum(max_over_time(prometheus_http_requests_total{handler="/api/v1/write", code=~"2.."}[1d]))', signal), number('count(alloy_build_info)', signal)]);
    return { targets, written, alloy };
  }, [tick]);
  const writes = (own?.sum('prometheus_http_requests_total', 'handler="/api/v1/write"', 'code="2') ?? 0) || (seen.data?.written ?? 0);
  const light = (id: string): Light => {
    if (id === 'otlp' || id === 'logs') return { state: 'none', says: t('not yet') };
    if (id === 'scrape') return seen.data?.targets ? { state: 'on', says: t('{0} targets up', seen.data.targets) } : { state: 'waits', says: t('only this server itself') };
    if (id === 'alloy') return seen.data?.alloy ? { state: 'on', says: t('{0} sending', seen.data.alloy) } : { state: 'waits', says: t('waiting for first data') };
    return writes ? { state: 'on', says: t('{0} requests received', formatCount(writes)) } : { state: 'waits', says: t('waiting for first data') };
  };
  const shown = sources.find((s) => s.id === open);
  return (
    <section class="connect" aria-label={t('Sources')}>
      <ul class="sources">
        {sources.map((s) => {
          const l = light(s.id);
          return <li><button type="button" class={`source ${l.state}`} aria-expanded={open === s.id} onClick={() => setOpen(open === s.id ? null : s.id)}><i class={`dot ${l.state}`} aria-hidden="true" /><b>{t(s.name)}</b> <span class="muted small">{l.says}</span></button></li>;
        })}
      </ul>
      {shown && (
        <div class="panel snippet" role="region" aria-label={t(shown.name)}>
          <p>{t(shown.says, `${here}/-/reload`)} {shown.id === 'scrape' && <a href={href('/targets')} data-page>{t('What is scraped now')}</a>}</p>
          {shown.snippet && <><p class="muted small">{shown.file}</p><div class="code-box"><CopyButton text={`${shown.snippet}\n`} label={t('Copy {0}', shown.file ?? '')} /><pre class="code" tabIndex={0} role="group" aria-label={shown.file}>{shown.snippet}</pre></div></>}
          {light(shown.id).state !== 'none' && <p role="status" class="light-says"><i class={`dot ${light(shown.id).state}`} aria-hidden="true" />{light(shown.id).says}</p>}
        </div>
      )}
    </section>
  );
}
