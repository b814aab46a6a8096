/** The manifests of a fleet against Kubernetes' own schemas and KEDA's, and the rights and probes of every pod. */
import { execFileSync } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pythonWith } from '@rowsmith/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';

const manifests = fileURLToPath(new URL('../infra/kubernetes', import.meta.url));
const program = fileURLToPath(new URL('support/validate_manifests.py', import.meta.url));
let python = '';
let folder = '';
beforeAll(async () => {
  python = await pythonWith(['kubernetes-validate==1.37.0']);
  folder = await mkdtemp(join(tmpdir(), 'rowsmith-manifests-'));
});
afterAll(() => rm(folder, { recursive: true }));
const faultsOf = (path: string) => execFileSync(python, [program, path, '1.37'], { encoding: 'utf8' }).trim();

test('every object keeps the schemas, every pod has few rights and is probed', () => expect(faultsOf(manifests)).toBe(''));

test.each([
  ['api.yaml', 'replicas: 2', 'replicas: two', /api\.yaml Deployment: spec\.replicas/],
  ['worker-cpu.yaml', 'restartPolicy: Never', 'restartPolicies: Never', /worker-cpu\.yaml ScaledJob: .*restartPolicies/],
  ['worker-cpu.yaml', 'strategy: accurate', 'strategie: accurate', /worker-cpu\.yaml ScaledJob: spec\.scalingStrategy: .*strategie/],
  ['worker-cpu.yaml', 'targetValue: "1"', 'targetValue: 1', /ScaledJob: spec\.triggers\.0\.metadata\.targetValue/],
  ['worker-cpu.yaml', 'parameter: token', 'parameters: token', /TriggerAuthentication: spec\.secretTargetRef\.0/],
  ['worker-cuda.yaml', 'drop: [ALL]', 'drop: [NET_RAW]', /worker-cuda\.yaml ScaledJob\/worker: keeps capabilities/],
  ['worker-cpu.yaml', 'path: /readyz', 'path: /ready', /has no readinessProbe/],
  ['worker-cpu.yaml', 'value: "9464"', 'value: "9465"', /ROWSMITH_METRICS_PORT/],
])('%s with "%s" as "%s" is refused', async (file, from, to, fault) => {
  const changed = join(folder, `${file}-${to.length}`);
  await cp(manifests, changed, { recursive: true });
  const text = await readFile(join(changed, file), 'utf8');
  expect(text).toContain(from);
  await writeFile(join(changed, file), text.replace(from, to));
  expect(faultsOf(changed)).toMatch(fault);
});
