import { randomBytes } from 'node:crypto';
import { CreateMultipartUploadCommand, ListMultipartUploadsCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { s3Servers, startFaultProxy, startS3, type TestS3 } from '@rowsmith/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { objectStoreContract } from './contract.js';
import { openS3Client, type S3Location } from './s3-client.js';
import { S3ObjectStore } from './s3-object-store.js';
import { partBytes } from './s3-upload.js';

describe.each(s3Servers())('%s', (name) => {
  let server: TestS3;
  let places = 0;
  const before = { ...process.env };
  beforeAll(async () => {
    server = await startS3(name);
    Object.assign(process.env, server.credentials);
  });
  afterAll(async () => {
    for (const key of Object.keys(server.credentials)) {
      if (before[key] === undefined) delete process.env[key];
      else process.env[key] = before[key];
    }
    await server.stop();
  });
  const place = (change: Partial<S3Location> = {}): S3Location => ({
    ...{ driver: 's3', bucket: 'objects', prefix: `place-${++places}`, region: 'us-east-1', endpoint: server.endpoint },
    ...change,
  });
  const fresh = async () => {
    const store = new S3ObjectStore(place());
    await store.prepare();
    return store;
  };

  objectStoreContract(fresh);

  test('conditions are proved, so that of many writers one is first', async () => {
    expect(await (await fresh()).conditionalWrites()).toBe(true);
  });

  test('what is larger than a part is stored in parts; a body that fails in the middle leaves no upload behind', async () => {
    const location = place();
    const store = new S3ObjectStore(location);
    const block = randomBytes(1 << 20);
    const body = async function* (blocks: number, fails: boolean) {
      for (let i = 0; i < blocks; i++) yield block;
      if (fails) throw new Error('the client hung up');
    };
    const stored = await store.put('big', body(35, false));
    expect(stored.bytes).toBe(35 << 20);
    expect((await store.head('big'))?.bytes).toBe(35 << 20);
    const around = await store.get('big', { start: partBytes - 3, end: partBytes + 2 });
    const bytes: number[] = [];
    for await (const part of around ?? []) bytes.push(...part);
    // partBytes is a multiple of the block.
    expect(bytes).toEqual([...block.subarray(-3), ...block.subarray(0, 3)]);
    await expect(store.put('cut', body(35, true))).rejects.toThrow('hung up');
    expect(await store.head('cut')).toBeNull();
    const left = await openS3Client(location).send(
      new ListMultipartUploadsCommand({ Bucket: location.bucket, Prefix: `${location.prefix}/` }),
    );
    expect(left.Uploads ?? []).toEqual([]);
  });

  test('uploads of writers that died are swept when they are old enough, and not before', async () => {
    const location = place();
    const store = new S3ObjectStore(location);
    await openS3Client(location).send(new CreateMultipartUploadCommand({ Bucket: location.bucket, Key: `${location.prefix}/half` }));
    expect(await store.sweepUnfinished(3_600_000)).toBe(0);
    expect(await store.sweepUnfinished(-5_000)).toBe(1);
    expect(await store.sweepUnfinished(-5_000)).toBe(0);
  });

  test('the server refuses a body that is not what its hash says', async () => {
    const location = place();
    const wrong = new PutObjectCommand({
      ...{ Bucket: location.bucket, Key: `${location.prefix}/wrong`, Body: Buffer.from('body') },
      ChecksumSHA256: Buffer.alloc(32).toString('base64'),
    });
    await expect(openS3Client(location).send(wrong)).rejects.toMatchObject({ $metadata: { httpStatusCode: 400 } });
    expect(await new S3ObjectStore(location).head('wrong')).toBeNull();
  });

  test('a reading whose connection breaks goes on where it was; a write whose answer is lost is known to be ours', async () => {
    const proxy = await startFaultProxy(Number(new URL(server.endpoint).port));
    const store = new S3ObjectStore(place({ endpoint: `http://127.0.0.1:${proxy.port}` }));
    await store.prepare();
    const content = randomBytes(3_000_000);
    await store.put('long', content);
    proxy.cutNextAnswerAfter(1_000_000);
    expect(Buffer.from((await store.getBytes('long')) ?? []).equals(content)).toBe(true);
    proxy.cutNextAnswerAfter(500_000);
    const middle: Uint8Array[] = [];
    for await (const part of (await store.get('long', { start: 5, end: 2_000_000 })) ?? []) middle.push(part);
    expect(Buffer.concat(middle).equals(content.subarray(5, 2_000_001))).toBe(true);
    proxy.cutNextAnswerAfter(0);
    expect(await store.putIfAbsent('once', Buffer.from('mine'))).toBe('created');
    expect(await store.putIfAbsent('once', Buffer.from('mine'))).toBe('exists');
    expect(proxy.cuts).toBe(3);
    store.close();
    await proxy.stop();
  });

  test('what was acknowledged is there after the server was killed', async () => {
    const store = await fresh();
    await store.put('kept/a', Buffer.from('whole'));
    await server.restart();
    expect(Buffer.from((await store.getBytes('kept/a')) ?? []).toString()).toBe('whole');
  });

  test('what is wrong with the store is said in our words, without the secret', async () => {
    const store = new S3ObjectStore(place({ bucket: 'no-such-bucket' }));
    await expect(store.list('')[Symbol.asyncIterator]().next()).rejects.toMatchObject({ name: 'StorageError', code: 'bucket_missing' });
    const refused = new S3ObjectStore(place());
    const secret = process.env['AWS_SECRET_ACCESS_KEY'] ?? '';
    process.env['AWS_SECRET_ACCESS_KEY'] = 'another';
    try {
      await expect(refused.put('x', Buffer.from('x'))).rejects.toMatchObject({ code: 'storage_refused' });
      await expect(refused.put('x', Buffer.from('x'))).rejects.not.toThrow(/another/);
    } finally {
      process.env['AWS_SECRET_ACCESS_KEY'] = secret;
    }
  });
});
