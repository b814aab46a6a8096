import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { importGguf } from '../gguf/import-gguf.js';
import { addModel } from '../packed/add-reference.js';
import { parseHubReference } from './hub-client.js';

const fixture = (name: string) => fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url));
const commit = 'c'.repeat(40);
const limits = { attempts: 2, backoffMs: 1, stallMs: 300 };

/** A hub of our own on a random port: the three routes that are used, and a fault that a test can set for the weights. */
class SmallHub {
  files = new Map<string, Buffer>();
  requests: string[] = [];
  token: string | null = null;
  status = 200;
  /** Called for each GET of the weights with the first byte asked for; returns true when it answered. */
  fault: (from: number, response: ServerResponse, body: Buffer) => boolean = () => false;
  private readonly server: Server = createServer((request, response) => this.answer(request, response));

  listen = () => new Promise<void>((done) => this.server.listen(0, '127.0.0.1', done));
  close = () =>
    new Promise<void>((done) => {
      this.server.closeAllConnections();
      this.server.close(() => done());
    });
  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', this.url);
    const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
    this.requests.push(`${request.method} ${url.pathname}${range ? ` from ${range[1]}` : ''}`);
    if (this.status !== 200) return void response.writeHead(this.status).end();
    if (this.token && request.headers.authorization !== `Bearer ${this.token}`) return void response.writeHead(401).end();
    if (url.pathname.startsWith('/api/models/org/Tiny-Llama/revision/')) {
      const revision = url.pathname.split('/').pop();
      if (revision !== 'main' && revision !== commit) return void response.writeHead(404).end();
      return void response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ _id: '1', id: 'org/Tiny-Llama', sha: commit }));
    }
    if (url.pathname === `/api/models/org/Tiny-Llama/paths-info/${commit}`) {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        const { paths } = JSON.parse(body) as { paths: string[] };
        response
          .writeHead(200, { 'content-type': 'application/json' })
          .end(JSON.stringify(paths.filter((p) => this.files.has(p)).map((p) => this.info(p))));
      });
      return;
    }
    const name = url.pathname.split(`/org/Tiny-Llama/resolve/${commit}/`)[1] ?? '';
    const body = this.files.get(name);
    if (!body) return void response.writeHead(404).end();
    const from = Number(range?.[1] ?? 0);
    if (name === 'model.safetensors' && this.fault(from, response, body)) return;
    if (range) response.writeHead(206, { 'content-range': `bytes ${from}-${body.length - 1}/${body.length}` });
    response.end(body.subarray(from));
  }

  private info(path: string) {
    const body = this.files.get(path) as Buffer;
    const git = createHash('sha1').update(`blob ${body.length}\0`).update(body).digest('hex');
    const lfs = path.endsWith('.safetensors')
      ? { lfs: { oid: createHash('sha256').update(body).digest('hex'), size: body.length, pointerSize: 130 } }
      : {};
    return { type: 'file', path, size: body.length, oid: git, ...lfs };
  }
}

let hub: SmallHub;
let store: string;
beforeEach(async () => {
  hub = new SmallHub();
  await hub.listen();
  store = mkdtempSync(join(tmpdir(), 'hf-hub-'));
  for (const name of ['config.json', 'model.safetensors']) hub.files.set(name, readFileSync(join(fixture('tiny-llama'), name)));
  const model = await importGguf(fixture('tiny-llama.gguf'));
  await model.tensors.close();
  for (const name of ['tokenizer.json', 'tokenizer_config.json'] as const) hub.files.set(name, Buffer.from(model.documents[name]));
});
afterEach(async () => {
  await hub.close();
  rmSync(store, { recursive: true });
});
const add = (reference = 'org/Tiny-Llama', token?: string) =>
  addModel(reference, { store, hub: { endpoint: hub.url, token }, downloadLimits: limits, now: () => 1 });
const download = () => join(store, `.download-org--Tiny-Llama-${commit}`);
const gets = () => hub.requests.filter((r) => r.includes('/resolve/') && r.includes('model.safetensors'));

/** Sends bytes up to `until`, then breaks the connection. */
const cutAt = (until: number) => (from: number, response: ServerResponse, body: Buffer) => {
  response.writeHead(from > 0 ? 206 : 200, {
    'content-length': body.length - from,
    'content-range': `bytes ${from}-${body.length - 1}/${body.length}`,
  });
  response.write(body.subarray(from, until), () => response.destroy());
  return true;
};

describe('models from the hub', () => {
  it('are pinned to the commit, packed, and equal to the same folder', async () => {
    const added = await add('org/Tiny-Llama@main');
    expect(added.outcome).toBe('added');
    expect(added.index.source).toMatchObject({ kind: 'hub', name: 'org/Tiny-Llama', revision: commit });
    expect(added.index.base_sha256).toBe((await addModel(fixture('tiny-llama.gguf'), { store, id: 'g', now: () => 1 })).index.base_sha256);
    expect(readdirSync(store).sort()).toEqual(['g', 'tiny-llama']);
    hub.requests = [];
    expect((await add(`org/Tiny-Llama@${commit}`)).outcome).toBe('present');
    expect(hub.requests).toHaveLength(1);
  });

  it('resume after a cut connection, by themselves', async () => {
    let cuts = 0;
    hub.fault = (from, response, body) => cuts < 3 && cutAt(20_000 * ++cuts)(from, response, body);
    expect((await add()).outcome).toBe('added');
    const starts = gets().map((r) => Number(r.split(' from ')[1] ?? 0));
    expect(starts).toHaveLength(4);
    expect(starts[0]).toBe(0);
    expect(starts.slice(1).every((s, i) => s > 0 && s >= (starts[i] ?? 0))).toBe(true);
  });

  it('resume in a later run', async () => {
    hub.fault = cutAt(50_000);
    await expect(add()).rejects.toMatchObject({
      code: 'network',
      fault: 'infra',
      message: expect.stringMatching(/stopped at 50000 of 86120 bytes/) as string,
    });
    hub.fault = () => false;
    hub.requests = [];
    expect((await add()).outcome).toBe('added');
    expect(gets()).toEqual([`GET /org/Tiny-Llama/resolve/${commit}/model.safetensors from 50000`]);
    expect(hub.requests.some((r) => r.endsWith('/tokenizer.json'))).toBe(false);
  });

  it('start over when the server does not do ranges', async () => {
    hub.fault = cutAt(50_000);
    await expect(add()).rejects.toMatchObject({ code: 'network' });
    hub.fault = (_from, response, body) => {
      response.writeHead(200).end(body);
      return true;
    };
    expect((await add()).outcome).toBe('added');
  });

  it('refuse wrong bytes of the right length, and delete them', async () => {
    hub.fault = (_from, response, body) => {
      const wrong = Buffer.from(body);
      wrong[wrong.length - 1] = (wrong.at(-1) ?? 0) ^ 1;
      response.writeHead(200).end(wrong);
      return true;
    };
    await expect(add()).rejects.toMatchObject({ code: 'hash_mismatch', fault: 'infra', file: 'model.safetensors' });
    expect(readdirSync(download()).filter((n) => n.startsWith('model'))).toEqual([]);
    hub.fault = () => false;
    expect((await add()).outcome).toBe('added');
  });

  it('refuse small files that are not what git has', async () => {
    const honest = hub.files.get('config.json') as Buffer;
    const lying = Buffer.from(honest.toString().replace('"silu"', '"gelu"'));
    const get = hub.files.get.bind(hub.files);
    let asked = 0;
    hub.files.get = (name) => (name === 'config.json' && ++asked > 1 ? lying : get(name));
    await expect(add()).rejects.toMatchObject({ code: 'hash_mismatch', file: 'config.json' });
  });

  it('stop a server that sends more than it promised, or nothing at all', async () => {
    hub.fault = (_from, response, body) => {
      response.writeHead(200).end(Buffer.concat([body, body]));
      return true;
    };
    await expect(add()).rejects.toMatchObject({
      code: 'hash_mismatch',
      message: expect.stringMatching(/more than the promised/) as string,
    });
    hub.fault = (_from, response) => {
      response.writeHead(200).flushHeaders();
      return true;
    };
    await expect(add()).rejects.toMatchObject({ code: 'network', message: expect.stringMatching(/nothing received for 300 ms/) as string });
  });

  it('name what 401, 404, 500 and a dead server mean', async () => {
    hub.token = 'any-form-of-token';
    await expect(add()).rejects.toMatchObject({ code: 'hub_unauthorised', message: expect.stringMatching(/set HF_TOKEN/) as string });
    expect((await add('org/Tiny-Llama', 'any-form-of-token')).outcome).toBe('added');
    hub.token = null;
    await expect(add('org/Tiny-Llama@v9')).rejects.toMatchObject({ code: 'hub_not_found', fault: 'model' });
    await expect(add('org/other')).rejects.toMatchObject({ code: 'hub_not_found' });
    hub.status = 500;
    await expect(add()).rejects.toMatchObject({ code: 'network', message: expect.stringMatching(/answered 500/) as string });
    const gone = hub.url;
    await hub.close();
    const asked = addModel('org/Tiny-Llama', { store, id: 'x', hub: { endpoint: gone }, downloadLimits: limits, now: () => 1 });
    await expect(asked).rejects.toMatchObject({ code: 'network', message: expect.stringMatching(/ECONNREFUSED/) as string });
    await hub.listen();
  });

  it('with only pickled weights are refused before anything is fetched', async () => {
    hub.files.delete('model.safetensors');
    hub.files.set('pytorch_model.bin', Buffer.from('x'));
    await expect(add()).rejects.toMatchObject({ code: 'pickle_refused' });
    expect(hub.requests.some((r) => r.includes('/resolve/'))).toBe(false);
  });

  it('in shards are fetched by their index, which cannot point elsewhere', async () => {
    const weights = hub.files.get('model.safetensors') as Buffer;
    hub.files.delete('model.safetensors');
    const headerEnd = 8 + Number(weights.readBigUInt64LE(0));
    const names = Object.keys(JSON.parse(weights.subarray(8, headerEnd).toString()) as object).filter((n) => n !== '__metadata__');
    const index = (shard: string) => Buffer.from(JSON.stringify({ weight_map: Object.fromEntries(names.map((n) => [n, shard])) }));
    hub.files.set('model.safetensors.index.json', index('../../x.safetensors'));
    await expect(add()).rejects.toMatchObject({
      code: 'bad_safetensors',
      message: expect.stringMatching(/not the name of a safetensors file/) as string,
    });
    rmSync(download(), { recursive: true });
    hub.files.set('model.safetensors.index.json', index('model-00001-of-00001.safetensors'));
    await expect(add()).rejects.toMatchObject({ code: 'missing_file' });
    hub.files.set('model-00001-of-00001.safetensors', weights);
    expect((await add()).outcome).toBe('added');
    expect(existsSync(download())).toBe(false);
  });

  it('refuse an id in use before downloading', async () => {
    await addModel(fixture('tiny-llama.gguf'), { store, now: () => 1 });
    await expect(add()).rejects.toMatchObject({ code: 'id_in_use' });
    expect(gets()).toEqual([]);
  });
});

describe('parseHubReference', () => {
  it('takes owner/name with a revision, and nothing that could be a path elsewhere', () => {
    expect(parseHubReference('a/b')).toEqual({ id: 'a/b', revision: 'main' });
    expect(parseHubReference('a/b.c-d@refs/pr/1')).toEqual({ id: 'a/b.c-d', revision: 'refs/pr/1' });
    for (const bad of ['a', 'a/b/c', '../b', 'a/..', 'a/b@', 'a/b@../x', 'a/b?x', '', 'a b/c', '/a/b'])
      expect(parseHubReference(bad), bad).toBeNull();
  });
});
