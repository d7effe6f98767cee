import { defineConfig } from 'vite';

const server = process.env.PHAROS ?? 'http://127.0.0.1:9090';

export default defineConfig({
  base: './',
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact' },
  build: {
    target: 'es2022',
    outDir: process.env.PHAROS_UI_OUT ?? 'dist',
    emptyOutDir: true,
    manifest: true, // scripts/embed_ui.mjs reads from it what each page loads
    assetsInlineLimit: 0, // the CSP allows no data: scripts or styles
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rollupOptions: {
      output: {
        // The editor loads beside the page, not before it.
        manualChunks: (id) => (/codemirror|lezer|lru-cache/.test(id) ? 'editor' : undefined),
      },
    },
  },
  server: { proxy: { '/api': server, '/-': server, '/metrics': server } },
});
