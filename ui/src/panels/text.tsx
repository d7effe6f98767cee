// Text panels. Markdown becomes elements of the page by hand: nothing of it is ever read as HTML, and only web addresses are links.
import type { ComponentChildren, JSX } from 'preact';
import { visible } from '../format';
import { safeHref } from '../dash/fieldconfig';
import type { PanelProps } from './common';
import { words } from '../dash/vars';
import { t } from '../strings';

const blank = { target: '_blank', rel: 'noreferrer noopener' };

function anchor(url: string, children: ComponentChildren, title?: string): ComponentChildren {
  const href = safeHref(url);
  return href ? <a href={href} title={title} {...(/^https?:/i.test(href) ? blank : {})}>{children}</a> : children;
}

// What runs inside a line, in the order in which it binds.
const inline = /(`+)([\s\S]*?[^`])\1(?!`)|\\([\\`*_{}[\]()#+\-.!|>~<&"'$/:;=?@^%,])|(!?)\[((?:[^[\]\\]|\\.|\[[^\]]*\])*)\]\(\s*<?([^\s)>]+)>?(?:\s+["'(]([^)"']*)["')])?\s*\)|<(https?:\/\/[^\s<>]+)>|(\*\*|__)(?=\S)([\s\S]*?\S)\9|~~(?=\S)([\s\S]*?\S)~~|(\*|_)(?=\S)([\s\S]*?\S)\12(?!\w)|(https?:\/\/[^\s<>()"']+[^\s<>()"'.,;:!?])|<br\s*\/?>|<\/?(?:b|strong|i|em|u|s|code|span|div|p|center|font|small|big|h[1-6]|a|img|sub|sup|hr|table|tr|td|th|tbody|thead|ul|ol|li|style|script|iframe|section|blockquote|pre|kbd|details|summary|mark|svg|path|g|label|button|input|form|meta|link|title|head|body|html|header|footer|nav|main|object|embed|video|audio|canvas)\b[^>]*>|&(amp|lt|gt|quot|nbsp|#39|copy|middot|mdash|ndash|hellip|rarr|larr|bull);/gi;
const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', nbsp: '\u00a0', '#39': "'", copy: '©', middot: '·', mdash: '—', ndash: '–', hellip: '…', rarr: '→', larr: '←', bull: '•' };

/** Elements a text may name in HTML are drawn by their meaning; all others vanish, and their text stays. */
export function spans(text: string, depth = 0): ComponentChildren[] {
  const out: ComponentChildren[] = [];
  let at = 0, open: { tag: string; href: string; from: number }[] = [];
  if (depth > 12) return [visible(text)];
  for (const m of text.matchAll(inline)) {
    if (m.index < at) continue;
    if (m.index > at) out.push(visible(text.slice(at, m.index)));
    at = m.index + m[0].length;
    if (m[1]) out.push(<code>{visible(m[2])}</code>);
    else if (m[3]) out.push(m[3]);
    else if (m[6] !== undefined) out.push(m[4] ? picture(m[6], m[5]) : anchor(m[6], spans(m[5], depth + 1), m[7]));
    else if (m[8]) out.push(anchor(m[8], visible(m[8])));
    else if (m[9]) out.push(<strong>{spans(m[10], depth + 1)}</strong>);
    else if (m[11]) out.push(<s>{spans(m[11], depth + 1)}</s>);
    else if (m[12]) out.push(<em>{spans(m[13], depth + 1)}</em>);
    else if (m[14]) out.push(anchor(m[14], visible(m[14])));
    else if (m[15]) out.push(entities[m[15].toLowerCase()] ?? m[0]);
    else if (/^<br/i.test(m[0])) out.push(<br />);
    else {
      const tag = /^<(\/?)([a-z0-9]+)/i.exec(m[0]) as RegExpExecArray, name = tag[2].toLowerCase();
      if (tag[1]) {
        const k = open.findLastIndex((o) => o.tag === name);
        if (k >= 0) {
          const inner = out.splice(open[k].from), { href } = open[k];
          out.push(name === 'a' ? anchor(href, inner) : /^(b|strong|h[1-6]|th)$/.test(name) ? <strong>{inner}</strong> : /^(i|em)$/.test(name) ? <em>{inner}</em> : name === 'code' || name === 'kbd' || name === 'pre' ? <code>{inner}</code> : name === 's' ? <s>{inner}</s> : name === 'u' ? <u>{inner}</u> : /^(style|script|iframe|object|title)$/.test(name) ? '' : <span>{inner}</span>);
          open = open.slice(0, k);
        }
        if (/^(p|div|tr|h[1-6]|li)$/.test(name)) out.push(<br />);
        else if (/^(td|th)$/.test(name)) out.push(' ');
      } else if (name === 'img') out.push(picture(/\bsrc\s*=\s*["']?([^"'\s>]+)/i.exec(m[0])?.[1] ?? '', /\balt\s*=\s*["']([^"']*)/i.exec(m[0])?.[1] ?? ''));
      else if (name === 'hr') out.push(<hr />);
      else if (!/\/>$/.test(m[0])) open.push({ tag: name, href: /\bhref\s*=\s*["']?([^"'\s>]+)/i.exec(m[0])?.[1] ?? '', from: out.length });
    }
  }
  if (at < text.length) out.push(visible(text.slice(at)));
  return out;
}

/** Pictures of other hosts are not fetched: the policy forbids it. Their words link to them. */
function picture(src: string, alt: string): ComponentChildren {
  const href = safeHref(src);
  if (!href) return visible(alt);
  return /^https?:/i.test(href) ? anchor(href, visible(alt || t('picture'))) : <img src={href} alt={alt} loading="lazy" />;
}

interface Item { text: string; children: string[] }

function listItems(lines: string[], marker: RegExp): Item[] {
  const items: Item[] = [];
  for (const line of lines) {
    const m = marker.exec(line);
    if (m) items.push({ text: line.slice(m[0].length), children: [] });
    else items[items.length - 1]?.children.push(line.replace(/^( {1,4}|\t)/, ''));
  }
  return items;
}

const bullet = /^ {0,3}[-*+]\s+/, numbered = /^ {0,3}\d+[.)]\s+/;
const cellsOf = (row: string): string[] => row.trim().replace(/^\||\|$/g, '').split(/(?<!\\)\|/).map((c) => c.trim().replace(/\\\|/g, '|'));

/** Blocks: headings, lists, quotes, code, tables, rules and paragraphs. */
export function blocks(source: string, depth = 0): JSX.Element[] {
  const lines = source.replace(/\r\n?/g, '\n').replace(/<!--[\s\S]*?-->/g, '').replace(/<(style|script)\b[\s\S]*?(<\/\1>|$)/gi, '').split('\n'), out: JSX.Element[] = [];
  let i = 0;
  if (depth > 8) return [<p>{visible(source)}</p>];
  const take = (test: (l: string) => boolean): string[] => {
    const got: string[] = [];
    while (i < lines.length && test(lines[i])) got.push(lines[i++]);
    return got;
  };
  while (i < lines.length) {
    const line = lines[i], fence = /^ {0,3}(```+|~~~+)/.exec(line), heading = /^ {0,3}(#{1,6})\s*(.*?)\s*#*\s*$/.exec(line);
    if (!line.trim()) i++;
    else if (fence) {
      i++;
      const code = take((l) => !l.trim().startsWith(fence[1]));
      i++;
      out.push(<pre tabIndex={0}><code>{visible(code.join('\n'))}</code></pre>);
    } else if (heading && (heading[2] || heading[1].length > 1)) {
      i++;
      // The page's own heading is the first; those of a panel begin under its title.
      const Tag = `h${Math.min(6, heading[1].length + 2)}` as 'h3';
      out.push(<Tag class={`md-h${heading[1].length}`}>{spans(heading[2])}</Tag>);
    } else if (/^ {0,3}([-*_])( *\1){2,}\s*$/.test(line) || /^\s*<hr\s*\/?>\s*$/i.test(line)) {
      i++;
      out.push(<hr />);
    } else if (/^ {0,3}>/.test(line)) out.push(<blockquote>{blocks(take((l) => /^ {0,3}>/.test(l)).map((l) => l.replace(/^ {0,3}> ?/, '')).join('\n'), depth + 1)}</blockquote>);
    else if (bullet.test(line) || numbered.test(line)) {
      const marker = bullet.test(line) ? bullet : numbered, own = take((l) => marker.test(l) || (/^\s+\S/.test(l) && !/^ {0,1}\S/.test(l)));
      const body = listItems(own, marker).map((it) => <li>{spans(it.text)}{it.children.length > 0 && blocks(it.children.join('\n'), depth + 1)}</li>);
      out.push(marker === bullet ? <ul>{body}</ul> : <ol>{body}</ol>);
    } else if (line.includes('|') && /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/.test(lines[i + 1] ?? '') && (lines[i + 1] ?? '').includes('-')) {
      const head = cellsOf(line);
      i += 2;
      const rows = take((l) => l.includes('|') && !!l.trim()).map(cellsOf);
      out.push(<table class="data"><thead><tr>{head.map((h) => <th scope="col">{spans(h)}</th>)}</tr></thead><tbody>{rows.map((r) => <tr>{head.map((_, k) => <td>{spans(r[k] ?? '')}</td>)}</tr>)}</tbody></table>);
    } else {
      const first = i, text = take((l) => !!l.trim() && !/^ {0,3}(#{1,6}\s|>|```|~~~)/.test(l) && !(i > first && (bullet.test(l) || numbered.test(l))));
      if (!text.length) text.push(lines[i++]);
      out.push(<p>{text.flatMap((l, k) => [...(k ? [/ {2,}$/.test(text[k - 1]) ? <br /> : '\n'] : []), ...spans(l.trimEnd())])}</p>);
    }
  }
  return out;
}

/** HTML of a text panel: the same elements, line by line. */
/** Markdown as elements, where a part that loads later is wanted. */
export function Blocks({ text }: { text: string }): JSX.Element {
  return <>{blocks(text)}</>;
}

export function TextPanel({ panel, view, locals }: PanelProps): JSX.Element {
  const o = panel.options, mode = String(o.mode ?? 'markdown'), source = view.text(String(o.content ?? ''), locals, words).slice(0, 200_000);
  if (mode === 'code') return <pre class="text-panel" tabIndex={0}><code>{visible(source)}</code></pre>;
  return <div class="text-panel" tabIndex={0} role="group" aria-label={panel.title || t('Text')}>{mode === 'html' ? <p>{spans(source.replace(/<!--[\s\S]*?-->/g, '').replace(/<(style|script)\b[\s\S]*?(<\/\1>|$)/gi, '').replace(/\s+/g, ' '))}</p> : blocks(source)}</div>;
}
