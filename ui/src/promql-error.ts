// Where the server found an expression wrong: its messages carry "line:column: parse error: what".

export interface Fault { message: string; from: number; to: number; line: number; column: number }

/** The fault as a range of the text; null when the message names no place. Columns count bytes from 1. */
export function faultOf(text: string, error: string): Fault | null {
  const m = /(?:^|\s)(\d+):(\d+): parse error: ([\s\S]*)$/.exec(error);
  if (!m) return null;
  const line = Number(m[1]), column = Number(m[2]);
  const lines = text.split('\n');
  if (line < 1 || line > lines.length) return null;
  const before = lines.slice(0, line - 1).reduce((n, l) => n + l.length + 1, 0);
  const bytes = new TextEncoder().encode(lines[line - 1]);
  const into = new TextDecoder().decode(bytes.slice(0, Math.max(0, column - 1))).length;
  const from = Math.min(text.length, before + into);
  // To the end of the word there, or the one character; past the end, the last one.
  const word = /^(?:[\w:.]+|\S)/.exec(text.slice(from));
  const to = word ? from + word[0].length : text.length;
  return { message: m[3], from: to > from ? from : Math.max(0, text.length - 1), to, line, column };
}
