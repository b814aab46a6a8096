import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { createHttpMetrics } from './http-metrics.js';
import { createWorkerMetrics } from './worker-metrics.js';

interface Dashboard {
  readonly panels: readonly { readonly title: string; readonly targets: readonly { readonly expr: string }[] }[];
}

/** Of both processes; a histogram's series have endings. */
async function exportedNames(): Promise<Set<string>> {
  const api = await createHttpMetrics(() => Promise.reject(new Error('no tables here'))).text();
  const text = `${api}${await createWorkerMetrics().text()}`;
  const names = new Set<string>();
  for (const [, name = '', type] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
    names.add(name);
    if (type === 'histogram') for (const ending of ['bucket', 'count', 'sum']) names.add(`${name}_${ending}`);
  }
  return names;
}

test('every alert asks for metrics that are exported, and every metric that the documents say to watch has one', async () => {
  const rules = await readFile(new URL('../../../infra/prometheus/rowsmith.rules.yml', import.meta.url), 'utf8');
  const names = await exportedNames();
  const asked = new Set(rules.replaceAll(/^ *summary:.*$/gm, '').match(/\browsmith_\w+/g) ?? []);
  expect([...asked].filter((name) => !names.has(name))).toEqual([]);
  const operations = await readFile(new URL('../../../docs/operations.md', import.meta.url), 'utf8');
  const [, table = ''] = operations.split('| alert when');
  const watched = [...(table.split('\n\n')[0] ?? '').matchAll(/^\| `(rowsmith_\w+)/gm)].map(([, name]) => name ?? '');
  expect(watched.length).toBeGreaterThan(7);
  expect(watched.filter((name) => !asked.has(name))).toEqual([]);
  expect(rules.match(/- alert: \w+/g)).toHaveLength(new Set(rules.match(/- alert: \w+/g)).size);
});

test('every query of the dashboard names metrics that are exported, and every metric of ours is shown', async () => {
  const file = new URL('../../../infra/grafana/rowsmith.json', import.meta.url);
  const dashboard = JSON.parse(await readFile(file, 'utf8')) as Dashboard;
  const names = await exportedNames();
  const asked = dashboard.panels.flatMap(({ targets }) =>
    targets.flatMap(({ expr }) => expr.match(/\b(rowsmith|nodejs|process)_\w+/g) ?? []),
  );
  expect(asked.length).toBeGreaterThan(20);
  expect(asked.filter((name) => !names.has(name))).toEqual([]);
  const shown = new Set(asked.map((name) => name.replace(/_(bucket|count|sum)$/, '')));
  const ours = [...names].filter((name) => name.startsWith('rowsmith_') && !/_(bucket|count|sum)$/.test(name));
  expect(ours.filter((name) => !shown.has(name))).toEqual(['rowsmith_worker_attempt_seconds']);
});
