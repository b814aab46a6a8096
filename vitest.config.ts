import { defineConfig } from 'vitest/config';

const base = { resolve: { conditions: ['source'] }, ssr: { resolve: { conditions: ['source'] } } };
const ours = ['packages/*/src/**/', 'apps/*/src/**/', 'scripts/**/'];
const under = (ending: string) => ours.map((folder) => `${folder}*${ending}`);

/** unit: no services. engine: TensorFlow in the process, one file at a time (two cores). int: real Postgres, Redis. e2e: whole journeys on the built code. */
export default defineConfig({
  ...base,
  test: {
    pool: 'forks',
    reporters: ['default', './scripts/setup/failed-tests.mjs'],
    // Most of the time goes into waiting for servers that start: two files at a time fill two cores.
    maxWorkers: 2,
    projects: [
      {
        ...base,
        test: {
          name: 'unit',
          include: under('.test.ts'),
          exclude: [...under('.int.test.ts'), 'packages/{engine,kernels}/**', '**/dist/**', '**/node_modules/**'],
        },
      },
      {
        ...base,
        test: {
          name: 'engine',
          include: ['packages/{engine,kernels}/src/**/*.test.ts'],
          exclude: ['**/dist/**'],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        ...base,
        test: {
          name: 'int',
          include: under('.int.test.ts'),
          exclude: ['**/dist/**', '**/node_modules/**'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      { ...base, test: { name: 'e2e', include: ['e2e/**/*.test.ts'], fileParallelism: false, testTimeout: 600_000, hookTimeout: 300_000 } },
    ],
  },
});
