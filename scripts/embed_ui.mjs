// Compresses every file of a built UI (gzip and brotli, as the server sends them) and writes a C file that includes them:
//   node scripts/embed_ui.mjs DIST OUT.c
// Each page gets an HTML of its own that names the chunks it begins with, so that they come at once and not one after the other. What a
// page begins with is computed from Vite's manifest; a page over the budget, or a whole UI over its own, fails the build.
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const INITIAL_BROTLI_MAX = 100 * 1024, INITIAL_GZIP_MAX = 115 * 1024, WHOLE_BROTLI_MAX = 500 * 1024;
const [dist, out] = process.argv.slice(2);
const types = { html: 'text/html; charset=utf-8', js: 'text/javascript; charset=utf-8', css: 'text/css; charset=utf-8', svg: 'image/svg+xml', png: 'image/png', woff2: 'font/woff2', json: 'application/json' };

// The HTML of each page (src/dash/dash.c serves it at its addresses): the chunk it shows, and how many folders its address is down.
const pages = [
  ['home', 'home', 0], ['dashboard-1', 'dashboard', 1], ['dashboard-2', 'dashboard', 2], ['dashboards', 'dashboards', 0], ['explore', 'explore', 0], ['query', 'query', 0], ['targets', 'targets', 0],
  ['alerts', 'alerts', 0], ['rules', 'rules', 0], ['status', 'status', 0], ['alert', 'alert', 0], ['silences', 'silences', 0], ['routing', 'routing', 0], ['deliveries', 'deliveries', 0], ['rule', 'rule', 0],
];
// Chunks that only some dashboards load: panels of the rarer kinds and of old plugins, transformations, expressions over answers.
const more = { dashboard: ['src/panels/table.tsx', 'src/panels/text.tsx', 'src/panels/shapes.tsx', 'src/dash/transform.ts', 'src/dash/expr.ts', 'src/dash/old-panels.ts'] };

function* walk(dir) {
  for (const name of readdirSync(dir).sort()) {
    const path = join(dir, name);
    if (name.startsWith('.')) continue;
    if (statSync(path).isDirectory()) yield* walk(path);
    else yield path;
  }
}

const manifest = JSON.parse(readFileSync(join(dist, '.vite/manifest.json'), 'utf8'));
/** The files that the chunks of these sources need before they run. */
function needs(keys, found = new Set()) {
  for (const key of keys) {
    // A chunk that others share parts of is listed by its name, not by its source.
    const chunk = manifest[key] ?? Object.values(manifest).find((c) => c.isDynamicEntry && c.name === key.replace(/^.*\/|\.tsx?$/g, ''));
    if (!chunk) throw new Error(`ui: no chunk ${key}`);
    if (found.has(chunk.file)) continue;
    for (const file of [chunk.file, ...(chunk.css ?? [])]) found.add(file);
    needs(chunk.imports ?? [], found);
  }
  return found;
}
const shell = readFileSync(join(dist, 'index.html'), 'utf8'), first = needs(['index.html']);
const source = (name) => `src/pages/${name}.tsx`;
for (const [name, chunk, depth] of pages) {
  const links = [...needs([source(chunk)])].filter((f) => !first.has(f)).map((f) => (f.endsWith('.css') ? `<link rel="stylesheet" crossorigin href="./${f}">` : `<link rel="modulepreload" crossorigin href="./${f}">`));
  const html = shell.replace('</head>', `  ${links.join('\n    ')}\n  </head>`);
  writeFileSync(join(dist, `${name}.html`), depth ? html.replaceAll('"./', `"${'../'.repeat(depth)}`) : html);
}

const packed = `${out}.d`;
mkdirSync(packed, { recursive: true });
const rows = [], blobs = [], sizes = new Map();
let whole = 0;
for (const path of walk(dist)) {
  const name = relative(dist, path), body = readFileSync(path), type = types[name.split('.').pop()] ?? 'application/octet-stream';
  const gzip = gzipSync(body, { level: 9 });
  const brotli = brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: body.length } });
  whole += brotli.length;
  sizes.set(name, { gzip: gzip.length, brotli: brotli.length });
  const n = rows.length;
  for (const [kind, bytes] of [['gz', gzip], ['br', brotli]]) {
    const file = resolve(packed, `${n}.${kind}`);
    writeFileSync(file, bytes);
    blobs.push(`__asm__(".section .rodata\\n.balign 16\\nui_${n}_${kind}:\\n.incbin \\"${file}\\"\\n.previous\\n");\nextern const unsigned char ui_${n}_${kind}[];`);
  }
  const etag = createHash('sha256').update(body).digest('hex').slice(0, 16);
  rows.push(`    {"${name}", "${type}", "\\"${etag}\\"", ui_${n}_gz, ${gzip.length}, ui_${n}_br, ${brotli.length}, ${body.length}},`);
}
// What an address loads before it is complete: its HTML, the icon, the shell, the page's chunks.
const icon = [...sizes.keys()].find((f) => f.endsWith('.svg')), over = [], kb = (n) => (n / 1024).toFixed(1);
for (const [name, chunk] of pages) {
  for (const [what, extra] of [[name, []], ...(more[chunk] ? [[`${name}, every kind`, more[chunk]]] : [])]) {
    const sum = { gzip: 0, brotli: 0 };
    for (const f of [`${name}.html`, icon, ...needs(['index.html', source(chunk), ...extra])]) for (const k of ['gzip', 'brotli']) sum[k] += sizes.get(f)[k];
    if (process.env.PHAROS_UI_SIZES) console.log(`${what.padEnd(28)} ${kb(sum.brotli).padStart(6)} KB brotli ${kb(sum.gzip).padStart(6)} KB gzip`);
    if (!extra.length && (sum.gzip > INITIAL_GZIP_MAX || sum.brotli > INITIAL_BROTLI_MAX)) over.push(`${what}: ${sum.brotli} bytes brotli (at most ${INITIAL_BROTLI_MAX}), ${sum.gzip} gzip (at most ${INITIAL_GZIP_MAX})`);
  }
}
if (process.env.PHAROS_UI_SIZES) console.log(`${'whole UI'.padEnd(28)} ${kb(whole).padStart(6)} KB brotli`);
if (whole > WHOLE_BROTLI_MAX) over.push(`whole UI: ${whole} bytes brotli (at most ${WHOLE_BROTLI_MAX})`);
if (over.length) {
  console.error(`ui: over budget:\n  ${over.join('\n  ')}`);
  process.exit(1);
}
// Built-in dashboards as they are; the server keeps their text.
const boards = resolve(dirname(fileURLToPath(import.meta.url)), '../ui/dashboards'), boardRows = [];
for (const file of readdirSync(boards).sort()) {
  const n = boardRows.length;
  JSON.parse(readFileSync(join(boards, file), 'utf8'));
  blobs.push(`__asm__(".section .rodata\\n.balign 16\\nui_board_${n}:\\n.incbin \\"${join(boards, file)}\\"\\n.previous\\n");\nextern const unsigned char ui_board_${n}[];`);
  boardRows.push(`    {"${file.replace(/\.json$/, '')}", ui_board_${n}, ${statSync(join(boards, file)).size}},`);
}
writeFileSync(out, `/* Generated by scripts/embed_ui.mjs. */\n#include "dash/assets.h"\n\n${blobs.join('\n')}\n\nconst UiAsset ui_assets[] = {\n${rows.join('\n')}\n};\nconst unsigned ui_assets_len = ${rows.length};\n\nconst UiDashboard ui_dashboards[] = {\n${boardRows.join('\n')}\n};\nconst unsigned ui_dashboards_len = ${boardRows.length};\n`);
