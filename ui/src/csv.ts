// A query's result as CSV (RFC 4180): one column per label, then time and value; a row per sample.
import type { QueryData, Series } from './api';

// A cell that a spreadsheet would run as a formula is kept as text.
function cell(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) && text !== '+Inf' && text !== '-Inf' ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function toCsv(data: QueryData): string {
  const line = (cells: string[]): string => `${cells.map(cell).join(',')}\r\n`;
  if (data.resultType === 'scalar' || data.resultType === 'string') return line(['time', 'value']) + line([String(data.result[0]), data.result[1]]);
  const rows = data.result as Series[];
  const names = [...new Set(rows.flatMap((s) => Object.keys(s.metric)))].sort();
  let out = line([...names, 'time', 'value']);
  for (const s of rows) {
    const labels = names.map((n) => s.metric[n] ?? '');
    for (const [at, v] of s.values ?? (s.value ? [s.value] : [])) out += line([...labels, String(at), v]);
    for (const [at, h] of s.histograms ?? (s.histogram ? [s.histogram] : [])) out += line([...labels, String(at), h.count]);
  }
  return out;
}
