// A range's answer as columns: what JSON.parse says, figure by figure.
import assert from 'node:assert/strict';
import test from 'node:test';
import { load } from './bundle.mjs';

const m = await load('dash/columns.ts');
const answer = (result, extra = {}) => JSON.stringify({ status: 'success', data: { resultType: 'matrix', result }, ...extra });
const number = (x) => (x === '+Inf' ? Infinity : x === '-Inf' ? -Infinity : Number(x));

function check(text) {
  const want = JSON.parse(text), got = m.parseColumns(text);
  want.data.result.forEach((s, i) => {
    const { columns, ...rest } = got.data.result[i];
    if (!columns) { assert.deepEqual(rest, s); return; }
    const { values, ...other } = s;
    assert.deepEqual(rest, other);
    assert.deepEqual(columns.values, values.map(([, v]) => number(v)));
    columns.times.forEach((t, k) => assert(Math.abs(t - values[k][0] * 1000) < 1e-3, `${t} ${values[k][0]}`));
    assert.equal(columns.times.length, values.length);
    assert.equal(m.finite.has(columns.values), values.every(([, v]) => Number.isFinite(number(v))));
  });
  assert.deepEqual({ ...got, data: 0 }, { ...want, data: 0 });
  return got;
}

test('figures of every form', () => {
  const forms = ['0', '-0', '1', '-1.5', '0.1', '123456789012345', '1234567890123456', '0.1234567890123456789', '1e+21', '-2.5e-7', 'NaN', '+Inf', '-Inf', '9007199254740993', '0.000001', '99999999999.99999', '4.9e-324', '1.7976931348623157e+308'];
  const got = check(answer([{ metric: { a: 'b' }, values: forms.map((v, i) => [1700000000 + i * 15, v]) }]));
  assert(Object.is(got.data.result[0].columns.values[1], -0));
});

test('random figures are read to the last bit', () => {
  let seed = 5;
  const next = () => ((seed = (seed * 1103515245 + 12345) & 0x7fffffff) / 0x7fffffff);
  for (let round = 0; round < 40; round++) check(answer([0, 1].map((k) => ({ metric: { k: String(k) }, values: Array.from({ length: 200 }, (_, i) => [1.7e9 + i * 0.337, String((next() - 0.5) * 10 ** Math.floor(next() * 30 - 15))]) }))));
});

test('equal times are one column, others are not', () => {
  const values = (n, from = 0) => Array.from({ length: n }, (_, i) => [from + i, '1']), got = check(answer([{ metric: {}, values: values(5) }, { metric: {}, values: values(5) }, { metric: {}, values: values(3) }, { metric: {}, values: values(6) }, { metric: {}, values: values(4, 2) }])).data.result.map((s) => s.columns.times);
  assert.equal(got[0], got[1]);
  assert.deepEqual(got.map((t) => t.length), [5, 5, 3, 6, 4]);
  assert.deepEqual(got[0], [0, 1000, 2000, 3000, 4000], 'what later series have does not change it');
});

test('labels that look like answers, other shapes and broken texts', () => {
  check(answer([{ metric: { '"values":[[1,"2"]]': '"values":[[3,"4"]]', values: 'x', b: '\\"values":[[' }, values: [[1, '2']] }], { warnings: ['"values":[['] }));
  for (const text of [answer([]), answer([{ metric: {}, values: [] }]), answer([{ metric: {}, histograms: [[1, { count: '1', sum: '2' }]] }]), '{"status":"error","error":"x"}', '{"data":{"result":[{"values":[[1, "2"]]}]}}', '{"data":{"result":[{"values":[[1,2]]}]}}', '{"data":{"result":[{"values":[[1,"x"]]}]}}', '{"data":{"result":[{"values":[[1e3,"2"]]}]}}']) assert.deepEqual(m.parseColumns(text), JSON.parse(text), text);
  for (const bad of ['', '{', '{"values":[[1,"2"', '{"values":[[1,"2"]}', '{"values":[[', '<html>']) assert.throws(() => m.parseColumns(bad), bad);
});
