// A rule as a form, as YAML, and as part of a group that the server keeps.

export interface Draft {
  kind: 'alert' | 'record'; name: string; expr: string; hold: string; keep: string; labels: [string, string][]; annotations: [string, string][]; namespace: string; group: string; interval: string;
}

/** What the server's preview and test take. */
export function ruleForm(d: Draft): URLSearchParams {
  const form = new URLSearchParams({ [d.kind]: d.name || (d.kind === 'alert' ? 'Test' : 'test'), expr: d.expr });
  if (d.kind === 'alert') {
    if (d.hold) form.set('for', d.hold);
    if (d.keep) form.set('keep_firing_for', d.keep);
    for (const [k, v] of d.annotations) if (k) form.append('annotation', `${k}=${v}`);
  }
  for (const [k, v] of d.labels) if (k) form.append('label', `${k}=${v}`);
  return form;
}

// A text that needs no quotes in YAML; rather too seldom than once too often.
const isPlain = (s: string): boolean => /^[a-zA-Z_(/][\x20-\x7e]*$/.test(s) && !/: | #|:$| $/.test(s) && !/^(true|false|yes|no|on|off|null|y|n|nan|inf)$/i.test(s);

function scalar(text: string, indent: number): string {
  if (text.includes('\n') && /^[^\s][\x20-\x7e\n]*[^\n]$/.test(text)) return `|-\n${text.split('\n').map((l) => (l ? ' '.repeat(indent) + l : '')).join('\n')}`;
  return isPlain(text) ? text : JSON.stringify(text);
}

/** The rule as an item of a list; the lines after the first are indented by two more. */
export function printItem(d: Draft, indent: number): string {
  const pad = ' '.repeat(indent + 2), inner = ' '.repeat(4 * Math.floor((indent + 6) / 4));
  const map = (name: string, of: [string, string][]): string[] => {
    const given = of.filter(([k]) => k);
    return given.length ? [`${pad}${name}:`, ...given.map(([k, v]) => `${inner}${isPlain(k) ? k : JSON.stringify(k)}: ${scalar(v, inner.length + 4)}`)] : [];
  };
  return [
    `${' '.repeat(indent)}- ${d.kind}: ${scalar(d.name, indent + 6)}`, `${pad}expr: ${scalar(d.expr, inner.length)}`,
    ...(d.kind === 'alert' && d.hold ? [`${pad}for: ${d.hold}`] : []), ...(d.kind === 'alert' && d.keep ? [`${pad}keep_firing_for: ${d.keep}`] : []),
    ...map('labels', d.labels), ...(d.kind === 'alert' ? map('annotations', d.annotations) : []),
  ].join('\n');
}

export function printRule(d: Draft): string {
  return `groups:\n    - name: ${scalar(d.group || 'example', 8)}\n${d.interval ? `      interval: ${d.interval}\n` : ''}      rules:\n${printItem(d, 8)}\n`;
}

/** The group as the server printed it (empty: there is none yet), with the rule in the place of one with its kind and name, or at the end. */
export function withRule(group: string, d: Draft): string {
  if (!group.trim()) return `name: ${scalar(d.group, 4)}\n${d.interval ? `interval: ${d.interval}\n` : ''}rules:\n${printItem(d, 4)}\n`;
  const lines = group.replace(/\n+$/, '').split('\n'), from = lines.findIndex((l) => /^rules:/.test(l));
  const head = lines.slice(0, from), items: string[] = [];
  for (const line of lines.slice(from + 1)) {
    if (line.startsWith('    - ')) items.push(line);
    else if (items.length) items[items.length - 1] += `\n${line}`;
  }
  const first = printItem(d, 4).split('\n')[0], at = items.findIndex((x) => x.split('\n')[0] === first);
  if (at >= 0) items[at] = printItem(d, 4);
  else items.push(printItem(d, 4));
  return `${head.join('\n')}\nrules:\n${items.join('\n')}\n`;
}
