/** A job's chain, whole and broken in every way that there is, over the API and by the built command (`npx tsc -b apps/cli`). */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { createRowsmithClient } from '@rowsmith/client';
import type { VerificationLine, VerificationLink } from '@rowsmith/contracts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Chain, type ChainOptions, encode, leaveChain, sha256 } from '../testing/leave-chain.js';
import { openTestApi, type TestApi } from '../testing/test-api.js';

let api: TestApi;
let trainingFile = '';
const tokenizerSha256 = '0'.repeat(64);

beforeAll(async () => {
  api = await openTestApi({ listen: true });
  trainingFile = (await api.uploadExamples()).id;
});
afterAll(() => api.close());

async function finished(
  options: Partial<ChainOptions> = {},
  row_sparse: object = { keep_checkpoints: 3 },
): Promise<{ id: string; chain: Chain }> {
  const payload = { model: api.modelId, training_file: trainingFile, validation_file: trainingFile, row_sparse };
  const answer = await api.app.inject({ method: 'POST', url: '/jobs', headers: api.headers(), payload });
  expect(answer.statusCode, answer.payload).toBe(200);
  const { id } = answer.json<{ id: string }>();
  return { id, chain: await leaveChain(api.worker, id, { tokenizerSha256, ...options }) };
}

async function verified(id: string) {
  const answer = await api.inject('GET', `/jobs/${id}/verify`);
  expect([answer.statusCode, answer.headers['content-type']]).toEqual([200, 'application/x-ndjson; charset=utf-8']);
  const lines = answer.payload
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as VerificationLine);
  const verdict = lines.at(-1);
  if (verdict?.object !== 'fine_tuning.job.verification') throw new Error('no verdict');
  const links = lines.slice(0, -1) as VerificationLink[];
  const named = (status: string) => links.filter((link) => link.status === status).map(({ of, link }) => `${of}: ${link}`);
  expect(verdict).toMatchObject({ job_id: id, links: links.length, broken: named('broken').length, valid: named('broken').length === 0 });
  return { verdict, links, broken: named('broken'), removed: named('removed'), aside: named('aside'), unchecked: named('unchecked') };
}

async function flip(key: string): Promise<void> {
  const bytes = Buffer.from((await api.worker.objects.getBytes(key)) ?? []);
  const middle = bytes.length >> 1;
  bytes[middle] = (bytes[middle] ?? 0) ^ 1;
  await api.putObject(key, bytes);
}
const checkpoint = (chain: Chain, place: string) => {
  const found = chain.checkpoints.get(place);
  if (!found) throw new Error(`no checkpoint ${place}`);
  return found;
};
const rowsKey = (chain: Chain, place: string) => checkpoint(chain, place).manifest.files[0]?.key as string;

describe('a whole chain', () => {
  it('every link, from the adapter back to the first checkpoint, over two attempts', async () => {
    const { id, chain } = await finished();
    const { verdict, links, aside, unchecked, removed } = await verified(id);
    expect(verdict).toMatchObject({ valid: true, broken: 0, checkpoints: 4 });
    expect(links.flatMap(({ of, link }) => (link === 'manifest' ? [of] : []))).toEqual([
      'adapter',
      'checkpoint-4 (attempt 2)',
      'checkpoint-3 (attempt 2)',
      'checkpoint-2 (attempt 1)',
      'checkpoint-1 (attempt 1)',
      'checkpoint-3 (attempt 1)',
    ]);
    expect(links.filter(({ of }) => of === 'checkpoint-4 (attempt 2)').map(({ link }) => link)).toEqual([
      ...['manifest', 'config', 'base', 'data', 'rows.safetensors', 'optimizer.safetensors', 'predecessor'],
    ]);
    expect(links.find(({ of, link }) => of === 'checkpoint-4 (attempt 2)' && link === 'rows.safetensors')).toMatchObject({
      ...{ status: 'ok', found: sha256('rows 4'), expected: sha256('rows 4'), bytes: 6, key: rowsKey(chain, 'e2/4') },
    });
    expect(aside).toEqual(['checkpoint-3 (attempt 1): manifest']);
    expect(links.filter(({ link }) => link.endsWith('repeated')).map(({ status }) => status)).toEqual(['ok', 'ok']);
    expect([unchecked, removed]).toEqual([[], []]);
  });

  it('older checkpoints that retention took are no fault, and the best one is looked at all the same', async () => {
    const { id, chain } = await finished({ cursor: { best_step: 1 } }, { keep_checkpoints: 1, keep_best: true });
    await api.worker.objects.delete(checkpoint(chain, 'e2/3').key);
    await api.worker.objects.delete(checkpoint(chain, 'e1/2').key);
    const { verdict, links, removed } = await verified(id);
    expect(verdict.valid).toBe(true);
    expect(removed).toEqual(['checkpoint-3 (attempt 2): manifest', 'checkpoint-2 (attempt 1): manifest']);
    expect(links.some(({ of, link, status }) => of === 'checkpoint-1 (attempt 1)' && link === 'rows.safetensors' && status === 'ok')).toBe(
      true,
    );
    await api.worker.objects.delete(checkpoint(chain, 'e1/1').key);
    expect((await verified(id)).broken).toEqual(['job: best checkpoint']);
  });

  it('of a job that has not begun: nothing to compare but its data', async () => {
    const { id } = await api.createJob(trainingFile);
    expect((await verified(id)).links.map(({ of, link, status }) => [of, link, status])).toEqual([['job', 'training data 1', 'ok']]);
  });
});

describe('a broken chain: the link is named', () => {
  const ways: Readonly<Record<string, readonly [(chain: Chain) => Promise<unknown>, readonly string[]]>> = {
    'a flipped byte in a file of a checkpoint': [(chain) => flip(rowsKey(chain, 'e2/3')), ['checkpoint-3 (attempt 2): rows.safetensors']],
    'a file of a checkpoint that is cut short': [
      (chain) => api.putObject(rowsKey(chain, 'e1/2'), Buffer.from('rows')),
      ['checkpoint-2 (attempt 1): rows.safetensors'],
    ],
    'a missing file': [(chain) => api.worker.objects.delete(rowsKey(chain, 'e1/1')), ['checkpoint-1 (attempt 1): rows.safetensors']],
    'a flipped byte in a manifest': [(chain) => flip(checkpoint(chain, 'e2/3').key), ['checkpoint-3 (attempt 2): manifest']],
    'a missing manifest that should be there': [
      (chain) => api.worker.objects.delete(checkpoint(chain, 'e2/4').key),
      ['checkpoint-4 (attempt 2): manifest'],
    ],
    'a flipped byte in the adapter': [
      (chain) => flip(chain.adapter.manifest.files[0]?.key as string),
      ['adapter: adapter_model.safetensors'],
    ],
    'a missing file of the adapter': [
      (chain) => api.worker.objects.delete(chain.adapter.manifest.files[0]?.key as string),
      ['adapter: adapter_model.safetensors'],
    ],
    "an adapter's manifest that was written again": [
      (chain) => api.putObject(chain.adapter.key, encode({ ...chain.adapter.manifest, rank: 2 })),
      ['adapter: manifest'],
    ],
    "a missing adapter's manifest": [(chain) => api.worker.objects.delete(chain.adapter.key), ['adapter: manifest']],
  };

  it.each(Object.entries(ways))('%s', async (_, [damage, expected]) => {
    const { id, chain } = await finished();
    await damage(chain);
    expect((await verified(id)).broken).toEqual(expected);
  });

  const foreign: readonly (readonly [string, Partial<ChainOptions>, readonly string[]])[] = [
    ['a foreign config', { change: { config_sha256: 'c'.repeat(64) } }, ['config']],
    ['a foreign base', { change: { base_sha256: 'c'.repeat(64) } }, ['base']],
    ['foreign data', { change: { data_sha256: 'c'.repeat(64) } }, ['data']],
    ['a foreign job', { change: { job_id: 'ftjob-other' } }, ['job']],
    ['a predecessor that nobody knows', { change: { previous_sha256: 'c'.repeat(64) } }, ['predecessor']],
  ];
  it.each(foreign)('%s', async (_, options, expected) => {
    const { id } = await finished(options);
    const { broken } = await verified(id);
    expect(broken.slice(0, expected.length)).toEqual(expected.map((link) => `checkpoint-4 (attempt 2): ${link}`));
    expect(broken.every((name) => name.startsWith('checkpoint-'))).toBe(true);
  });

  it('an attempt that repeated a step with other bytes, and an adapter of other rows', async () => {
    const repeated = await finished({ rows: { 'e1/3': 'other rows' } });
    expect((await verified(repeated.id)).broken).toEqual(['checkpoint-3 (attempt 1): rows.safetensors repeated']);
    const other = await finished({ rows: { 'e2/4': 'other rows' } });
    expect((await verified(other.id)).broken).toEqual(['adapter: rows of the checkpoint']);
  });

  it('a data hash of another tokenizer', async () => {
    const { id } = await finished({ tokenizerSha256: '1'.repeat(64) });
    const { broken } = await verified(id);
    expect(broken).toContain('adapter: data');
    expect(broken.every((name) => name.endsWith(': data'))).toBe(true);
  });

  it("404 for another project's job", async () => {
    const { id } = await api.createJob(trainingFile);
    const answer = await api.app.inject({ method: 'GET', url: `/jobs/${id}/verify`, headers: api.headers('other') });
    expect(answer.statusCode).toBe(404);
  });
});

describe('rowsmith verify', () => {
  const main = fileURLToPath(new URL('../../../cli/dist/main.js', import.meta.url));
  const rowsmith = (...args: string[]) =>
    new Promise<{ code: number; stdout: string }>((done) => {
      const env = { ...process.env, ROWSMITH_URL: api.url, ROWSMITH_API_KEY: api.key };
      const child = execFile(process.execPath, [main, ...args], { env }, (_error, stdout) => done({ code: child.exitCode ?? -1, stdout }));
    });

  it('prints each link and ends with 0; with 1 when one is broken, which it names', async () => {
    const { id, chain } = await finished();
    const whole = await rowsmith('verify', id);
    expect(whole.code, whole.stdout).toBe(0);
    expect(whole.stdout).toMatch(new RegExp(`ok +checkpoint-4 \\(attempt 2\\): rows\\.safetensors  ${sha256('rows 4')}  6 bytes`));
    expect(whole.stdout).toContain(checkpoint(chain, 'e1/2').sha256);
    expect(whole.stdout).toMatch(/is whole: \d+ links, 4 checkpoints/);
    await flip(rowsKey(chain, 'e2/4'));
    const broken = await rowsmith('verify', id);
    expect(broken.code).toBe(1);
    expect(broken.stdout).toMatch(
      new RegExp(`BROKEN +checkpoint-4 .attempt 2.: rows\\.safetensors.*\\n +expected ${sha256('rows 4')}\\n +${rowsKey(chain, 'e2/4')}`),
    );
    const json = await rowsmith('verify', id, '--json');
    expect([json.code, JSON.parse(json.stdout)]).toEqual([1, expect.objectContaining({ valid: false, broken: 1, job_id: id })]);
    const { links } = JSON.parse(json.stdout) as { links: VerificationLink[] };
    expect(links.filter(({ status }) => status === 'broken')).toEqual([
      expect.objectContaining({ of: 'checkpoint-4 (attempt 2)', link: 'rows.safetensors', expected: sha256('rows 4') }),
    ]);
  });

  it('an answer that is cut off is no verdict', async () => {
    const { id } = await finished();
    const whole = (await api.inject('GET', `/v1/fine_tuning/jobs/${id}/verify`)).payload.trimEnd().split('\n');
    const cut = createRowsmithClient({
      ...{ baseUrl: api.url, apiKey: api.key },
      fetch: async () => new Response(whole.slice(0, -1).join('\n')),
    });
    const lines = cut.verifyJob(id);
    await expect(
      (async () => {
        for (;;) if ((await lines.next()).done) return;
      })(),
    ).rejects.toThrow(/cut off/);
  });
});
