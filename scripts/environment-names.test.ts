/** Names of settings in containers, manifests and documents against those that the code reads, and what a container file names against what is there. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const under = (folder: string, wanted: (path: string) => boolean): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((path) => `${folder}/${path}`)
    .filter((path) => !/(^|\/)(node_modules|dist|generated|fixtures)\//.test(path) && wanted(path));
const namesIn = (paths: readonly string[]) =>
  new Set(
    paths.flatMap(
      (path) =>
        read(path).match(
          /\b(?:ROWSMITH_[A-Z0-9_]*[A-Z0-9](?![_*])|DATABASE_URL|REDIS_URL|AWS_(?:ACCESS_KEY_ID|SECRET_ACCESS_KEY)|(?:WANDB|MLFLOW)_[A-Z_]+)\b/g,
        ) ?? [],
    ),
  );

const isTest = (path: string) => /\.test\.ts$|\/testing\/|\/testkit\//.test(path);
const programs = ['apps', 'packages'].flatMap((folder) => under(folder, (path) => path.endsWith('.ts') && !isTest(path)));
const scripts = under('scripts', (path) => path.endsWith('.mjs'));
const tests = [
  ...['apps', 'packages'].flatMap((folder) => under(folder, (path) => path.endsWith('.ts') && isTest(path))),
  ...under('bench', (path) => path.endsWith('.mjs')),
];
const manifests = under('infra/kubernetes', (path) => path.endsWith('.yaml'));
const containers = ['docker-compose.yml', 'Dockerfile', 'Dockerfile.gpu', ...manifests];
const documents = [
  ...['README.md', 'CONTRIBUTING.md', 'bench/README.md', 'infra/README.md', ...under('docs', (path) => path.endsWith('.md'))],
  ...['apps', 'packages'].flatMap((folder) => under(folder, (path) => path.endsWith('README.md'))),
];
const missing = (some: ReadonlySet<string>, all: ReadonlySet<string>) => [...some].filter((name) => !all.has(name)).sort();

test('containers and manifests set what the programs read', () => {
  // ROWSMITH_PORT of compose is the port on the host as well.
  expect(namesIn(containers).size).toBeGreaterThan(15);
  expect(missing(namesIn(containers), namesIn([...programs, ...scripts]))).toEqual([]);
});

test('documents name no setting that nothing reads', () => {
  expect(missing(namesIn(documents), namesIn([...programs, ...scripts, ...tests]))).toEqual([]);
});

test('every setting of the programs is in a document', () => {
  expect(missing(namesIn(programs), namesIn(documents))).toEqual([]);
});

test('what docker-compose.yml asks for is in its example, or has a default', () => {
  const asked = [...read('docker-compose.yml').matchAll(/\$\{([A-Z0-9_]+)(:-)?/g)];
  const offered = new Set([...read('infra/compose.env.example').matchAll(/^([A-Z0-9_]+)=/gm)].map(([, name]) => name));
  expect(asked.length).toBeGreaterThan(10);
  for (const [, name] of asked) expect([...offered]).toContain(name);
});

test('container files copy and start what is there, and probe routes that are there', () => {
  const { paths } = JSON.parse(read('apps/api/openapi.json')) as { paths: Record<string, unknown> };
  for (const file of ['Dockerfile', 'Dockerfile.gpu']) {
    const text = read(file);
    for (const [, from = ''] of text.matchAll(/^COPY (?!--)(.+) \S+$/gm))
      for (const path of from.split(' ')) expect(existsSync(join(root, path)), path).toBe(true);
    for (const [, program = ''] of text.matchAll(/"node", "(apps\/[^"]+)\/dist\/main\.js"/g))
      expect(existsSync(join(root, program, 'src/main.ts')), program).toBe(true);
    for (const [, script = ''] of text.matchAll(/node (scripts\/\S+)/g)) expect(existsSync(join(root, script)), script).toBe(true);
  }
  const probes = containers.flatMap((file) =>
    [...read(file).matchAll(/(?:http:\/\/127\.0\.0\.1:\d+|path: )(\/\w+)/g)].map(([, path]) => path ?? ''),
  );
  expect(new Set(probes)).toEqual(new Set(['/healthz', '/readyz']));
  for (const path of probes) expect(Object.keys(paths)).toContain(path);
});

test('a GPU worker is never of the class cpu', () => {
  const [, gpu = ''] = read('docker-compose.yml').split('worker-gpu:');
  for (const text of [gpu, read('infra/kubernetes/worker-cuda.yaml'), read('Dockerfile.gpu')])
    expect(text).toMatch(/ROWSMITH_DEVICE_CLASS(?:: |, value: |=)cuda/);
});

test('containers of ours run with few rights and not as root', () => {
  const [, common = ''] = /^x-service: &service\n((?: .*\n)+)/m.exec(read('docker-compose.yml')) ?? [];
  for (const line of ['cap_drop: [ALL]', 'read_only: true', 'security_opt: ["no-new-privileges:true"]']) expect(common).toContain(line);
  for (const file of ['Dockerfile', 'Dockerfile.gpu']) {
    const starts = read(file)
      .split(/^FROM /m)
      .filter((stage) => stage.includes('\nCMD '));
    expect(starts.length).toBeGreaterThan(0);
    for (const stage of starts) expect(stage).toMatch(/\nUSER 1000:1000\n/);
  }
});
