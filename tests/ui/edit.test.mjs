// Editing: JSON texts that change only where they are changed, the grid, the history, and the comparison of versions.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import test from 'node:test';
import { load } from './bundle.mjs';

globalThis.location = { pathname: '/', search: '', origin: '' };
const m = await load('edit/model.ts');
const edit = (text, f) => { const root = m.parseJson(text), next = structuredClone(root.value); return m.rewrite(text, root, f(next) ?? next); };
const random = (seed) => () => ((seed = (seed * 1103515245 + 12345) & 0x7fffffff) / 0x7fffffff);

test('JSON is read as JSON.parse reads it, and refused where it is none, at the place', () => {
  for (const text of ['0', ' -1.5e3 ', '"a\\u00e4\\n\\""', '[]', '{}', '[1,[2,{"a":[]}]]', '{"a":1,"a":2}', '{"__proto__":{"x":1},"b":null}', 'true', '\ufeff{"a":1}']) {
    assert.deepEqual(JSON.stringify(m.parseJson(text).value), JSON.stringify(JSON.parse(text.replace('\ufeff', ''))), text);
  }
  const at = (text) => { try { m.parseJson(text); } catch (e) { return [e.line, e.column]; } return null; };
  assert.deepEqual(at('{"a": 1,\n "b": }'), [2, 7]);
  assert.deepEqual(at('{"a": 1\n "b": 2}'), [2, 2]);
  assert.deepEqual(at('[1,]'), [1, 4]);
  assert.deepEqual(at('{"a":"x'), [1, 6]);
  for (const bad of ['', '{', '[1', '{a:1}', "{'a':1}", '01', '1.', '+1', 'nul', '[1] 2', '{"a" 1}', '"\n"', '"\\x"', 'NaN', '{"a":1,}', '['.repeat(3000)]) {
    assert.throws(() => JSON.parse(bad));
    assert.notEqual(at(bad), null, bad);
  }
});

test('an edit leaves every other byte as it was', () => {
  const text = '{\n\t"uid" : "a",\n\t"big": 12345678901234567890, "n": 1.10,\n\t"panels": [\n\t\t{ "id": 1, "x": {"deep": [1, 2,3]} },\n\t\t{"id": 2}\n\t],\n\t"after": "\\u00e4"\n}\n';
  assert.equal(edit(text, () => {}), text);
  assert.equal(edit(text, (d) => { d.uid = 'b'; }), text.replace('"a"', '"b"'));
  assert.equal(edit(text, (d) => { d.panels[0].x.deep[1] = 9; }), text.replace('[1, 2,3]', '[1, 9,3]'));
  assert.equal(edit(text, (d) => { d.panels.reverse(); }).replace(/\s/g, ''), text.replace('{ "id": 1, "x": {"deep": [1, 2,3]} }', 'P').replace('{"id": 2}', '{ "id": 1, "x": {"deep": [1, 2,3]} }').replace('P', '{"id": 2}').replace(/\s/g, ''));
  const more = edit(text, (d) => { d.panels.push({ id: 3, title: 'T' }); d.note = { a: [] }; });
  assert(more.includes('12345678901234567890') && more.includes('1.10') && more.includes('{ "id": 1, "x": {"deep": [1, 2,3]} }') && more.includes('\\u00e4'));
  assert(more.includes('\n\t\t{\n\t\t\t"id": 3,'), more);
  assert.deepEqual(JSON.parse(more).note, { a: [] });
  const gone = edit(text, (d) => { delete d.uid; d.panels.shift(); });
  assert.deepEqual(Object.keys(JSON.parse(gone)), ['big', 'n', 'panels', 'after']);
  assert.equal(edit('{"a":[],"b":{}}', (d) => { d.a.push({ x: 1 }); d.b.y = [1]; }), '{"a":[{"x":1}],"b":{"y":[1]}}');
});

test('random edits of real files: the text says what the document says', () => {
  const dir = new URL('../../ui/dashboards/', import.meta.url), next = random(7);
  for (const file of readdirSync(dir)) {
    const text = readFileSync(new URL(file, dir), 'utf8');
    for (let round = 0; round < 60; round++) {
      let want;
      const out = edit(text, (d) => {
        for (let i = 0; i < 4; i++) {
          let at = d;
          for (let depth = 0; depth < 6; depth++) {
            const keys = Object.keys(at);
            if (!keys.length) break;
            const k = keys[Math.floor(next() * keys.length)];
            if (typeof at[k] === 'object' && at[k] !== null && next() < 0.8) { at = at[k]; continue; }
            const what = next();
            if (what < 0.3) { if (Array.isArray(at)) at.splice(Number(k), 1); else delete at[k]; } else if (what < 0.6) at[k] = { r: next(), list: [1, 'x', null] };
            else if (Array.isArray(at)) at.splice(Number(k), 0, structuredClone(at[k]));
            else at[`new${round}`] = [{ a: 1 }];
            break;
          }
        }
        want = d;
      });
      assert.deepEqual(JSON.parse(out), JSON.parse(JSON.stringify(want)), file);
    }
  }
});

test('the grid: nothing overlaps, nothing floats, others make room', () => {
  const next = random(3), overlap = (a, b) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
  for (let round = 0; round < 300; round++) {
    let boxes = Array.from({ length: 2 + Math.floor(next() * 14) }, (_, id) => ({ id, x: Math.floor(next() * 24), y: Math.floor(next() * 20), w: 1 + Math.floor(next() * 24), h: 1 + Math.floor(next() * 9) }));
    boxes = m.packed(boxes);
    const id = Math.floor(next() * boxes.length), out = m.moved(boxes, id, { x: Math.floor(next() * 30) - 3, y: Math.floor(next() * 20) - 2 });
    assert.equal(out.length, boxes.length);
    for (const a of out) {
      assert(a.x >= 0 && a.x + a.w <= 24 && a.y >= 0);
      for (const b of out) if (a !== b) assert(!overlap(a, b));
      assert(a.y === 0 || out.some((b) => b !== a && overlap({ ...a, y: a.y - 1 }, b)), 'nothing floats');
    }
    assert.deepEqual(m.packed(out), out, 'and it stays so');
  }
  const two = [{ id: 1, x: 0, y: 0, w: 12, h: 8 }, { id: 2, x: 0, y: 8, w: 12, h: 8 }];
  assert.deepEqual(m.moved(two, 1, { y: 9 }).map((b) => b.y), [8, 0], 'down past another');
  assert.deepEqual(m.moved(two, 2, { y: 0 }).map((b) => b.y), [8, 0], 'up onto another');
  assert.deepEqual(m.moved(two, 1, { w: 24, h: 4 }).map((b) => [b.w, b.y]), [[24, 0], [12, 4]]);
});

const board = () => ({ uid: 'u', title: 'T', schemaVersion: 39, extra: { kept: 1.5 }, panels: [
  { id: 1, type: 'stat', title: 'A', gridPos: { x: 0, y: 0, w: 12, h: 8 }, mine: true, targets: [{ refId: 'A', expr: 'up' }], fieldConfig: { defaults: {}, overrides: [] } },
  { id: 5, type: 'row', title: 'R', gridPos: { x: 0, y: 8, w: 24, h: 1 }, panels: [] }, { id: 2, type: 'text', title: 'B', gridPos: { x: 0, y: 9, w: 8, h: 4 } },
  { id: 6, type: 'row', title: 'S', collapsed: true, gridPos: { x: 0, y: 13, w: 24, h: 1 }, panels: [{ id: 3, type: 'text', title: 'C', gridPos: { x: 0, y: 14, w: 8, h: 4 } }] },
] });
const ys = (d) => Object.fromEntries(d.panels.map((p) => [p.id, p.gridPos.y]));

test('rows: fold, open, move with what stands under them, remove with and without', () => {
  let d = board();
  m.foldRow(d, 5);
  assert.deepEqual([ys(d), d.panels[1].panels.map((p) => p.id)], [{ 1: 0, 5: 8, 6: 9 }, [2]]);
  m.foldRow(d, 5);
  assert.deepEqual(ys(d), { 1: 0, 5: 8, 2: 9, 6: 13 });
  m.foldRow(d, 6);
  assert.deepEqual(ys(d), { 1: 0, 5: 8, 2: 9, 6: 13, 3: 14 });
  m.moveRow(d, 6, -1);
  assert.deepEqual(ys(d), { 1: 0, 6: 8, 3: 9, 5: 13, 2: 14 });
  d = board();
  m.removePanel(d, 6);
  assert.deepEqual(ys(d), { 1: 0, 5: 8, 2: 9, 3: 13 });
  d = board();
  m.removePanel(d, 5, true);
  assert.deepEqual(ys(d), { 1: 0, 6: 8 });
  assert.equal(m.duplicatePanel(d, 3), 7, 'a copy in a closed row stays there');
  assert.deepEqual(d.panels[1].panels.map((p) => p.id), [3, 7]);
});

test('ids are given where they are missing or taken twice, as the reader counts them', () => {
  const d = m.classic({ panels: [{ type: 'stat' }, { id: 4, type: 'row', panels: [{ id: 4, type: 'text' }] }, { id: 0, type: 'text' }] });
  const ids = (x) => x.panels.flatMap((p) => [p.id, ...(p.panels ?? []).map((c) => c.id)]);
  assert.deepEqual(ids(d), [1, 4, 5, 6]);
  assert.deepEqual(ids(m.read(d)), [1, 4, 5, 6]);
});

const session = (d, text = JSON.stringify(d, null, 2)) => new m.Session(new m.View(m.read(JSON.parse(text)), [], { from: 'now-1h', to: 'now' }), 'u', text, 1, '', '');

test('undo and redo walk the documents; what is not known survives; equal keys are one step', () => {
  const s = session(board()), first = s.text;
  s.changePanel(1, 'Title', (p) => { p.title = 'A1'; }, 'title');
  s.changePanel(1, 'Title', (p) => { p.title = 'A12'; }, 'title');
  assert.equal(s.steps.value.length, 2);
  s.changePanel(1, 'Unit', (p) => m.setPath(p, 'fieldConfig.defaults.unit', 'bytes'));
  assert.deepEqual([s.dash.extra, s.dash.panels[0].mine, s.dashboard.value.panels[0].fieldConfig.defaults.unit], [{ kept: 1.5 }, true, 'bytes']);
  assert.equal(s.text.split('\n').length, first.split('\n').length + 2);
  const other = s.dashboard.value.panels[1];
  s.undo();
  assert.equal(s.dashboard.value.panels[1], other, 'what did not change is the same object');
  assert.deepEqual([s.undoLabel, s.redoLabel, s.dashboard.value.panels[0].title], ['Title', 'Unit', 'A12']);
  s.undo();
  assert.equal(s.text, first);
  assert.equal(s.dirty, false);
  s.redo();
  s.stored(2);
  assert.equal(s.dirty, false);
  s.changePanel(1, 'Title', (p) => { p.title = 'A3'; }, 'title');
  assert.deepEqual([s.steps.value.length, s.redoLabel, s.dirty], [3, '', true], 'what was undone is gone, what was saved is a step of its own');
  s.setText('{"title":"X","panels":[]}', 'JSON');
  assert.deepEqual([s.text, s.dashboard.value.title], ['{"title":"X","panels":[]}', 'X']);
  s.undo();
  s.discard('Discard');
  assert.equal(s.dashboard.value.panels[0].title, 'A12');
});

test('an old panel is brought to today\'s shape when it is edited, others stay', () => {
  const old = { title: 't', schemaVersion: 14, rows: [{ title: 'R', panels: [{ id: 1, type: 'graph', span: 6, fill: 3, yaxes: [{ format: 'bytes' }, {}], mine: 7, targets: [{ expr: 'up', refId: 'A' }] }, { id: 2, type: 'singlestat', span: 6, format: 'percent' }] }] };
  const s = session(old), before = s.dashboard.value.panels;
  s.changePanel(1, 'Title', (p) => { p.title = 'New'; });
  const [a, b] = s.dash.panels;
  assert.deepEqual([a.type, a.fieldConfig.defaults.unit, a.fieldConfig.defaults.custom.fillOpacity, a.mine, a.fill, a.yaxes, b.type, b.format], ['timeseries', 'bytes', 30, 7, undefined, undefined, 'singlestat', 'percent']);
  const strip = ({ was: _w, title: _t, ...p }) => JSON.parse(JSON.stringify(p));
  assert.deepEqual(strip(s.dashboard.value.panels[0]), strip(before[0]), 'and it looks the same');
});

test('two texts side by side', () => {
  const show = (a, b) => m.diffLines(a, b).map((l) => ({ same: ' ', gone: '-', new: '+' })[l.kind] + l.text);
  assert.deepEqual(show('a\nb\nc', 'a\nx\nc'), [' a', '-b', '+x', ' c']);
  assert.deepEqual(show('a\nb\nc\nd', 'b\nc\nq\nd'), ['-a', ' b', ' c', '+q', ' d']);
  const next = random(11), lines = (n) => Array.from({ length: n }, () => 'abcdef'[Math.floor(next() * 6)]).join('\n');
  for (let i = 0; i < 300; i++) {
    const a = lines(1 + Math.floor(next() * 30)), b = lines(1 + Math.floor(next() * 30)), d = m.diffLines(a, b);
    assert.equal(d.filter((l) => l.kind !== 'new').map((l) => l.text).join('\n'), a);
    assert.equal(d.filter((l) => l.kind !== 'gone').map((l) => l.text).join('\n'), b);
    d.forEach((l) => { if (l.a) assert.equal(a.split('\n')[l.a - 1], l.text); if (l.b) assert.equal(b.split('\n')[l.b - 1], l.text); });
  }
  assert.deepEqual(m.hunks(m.diffLines('a\nb', 'a\nb')), []);
  const many = Array.from({ length: 40 }, (_, i) => `${i}`);
  assert.equal(m.hunks(m.diffLines(many.join('\n'), many.with(20, 'x').join('\n')), 2).length, 1 + 2 + 2 + 2 + 1);
});
