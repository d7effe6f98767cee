// The dashboard model of ui/src/dash as one module for Node.
import { mkdtempSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ui = fileURLToPath(new URL('../../ui/', import.meta.url));

/** Bundles one file under ui/src and imports it. */
export async function load(file) {
  const { build } = createRequire(join(ui, 'package.json'))('esbuild');
  const out = join(mkdtempSync(join(tmpdir(), 'pharos-ui-')), 'model.mjs');
  await build({ entryPoints: [join(ui, 'src', file)], bundle: true, format: 'esm', platform: 'node', outfile: out, logLevel: 'error', jsx: 'automatic', jsxImportSource: 'preact' });
  return import(pathToFileURL(out).href);
}
