import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { extractMember, listZip } from './zip-reader.js';

/** Python's zipfile is the reference writer: one deflated, one stored, one empty member, and a comment after the directory. */
const writer = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as z:
    z.comment = b'a comment'
    z.write(sys.argv[2], 'folder/deflated.bin')
    z.write(sys.argv[2], 'stored.bin', zipfile.ZIP_STORED)
    z.writestr('empty', b'')
`;
let folder: string;
let archive: string;
let content: Buffer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'zip-reader-'));
  archive = join(folder, 'a.zip');
  content = Buffer.concat([randomBytes(200_000), Buffer.alloc(2_000_000, 'row-sparse ')]);
  await writeFile(join(folder, 'content'), content);
  execFileSync('python3', ['-c', writer, archive, join(folder, 'content')]);
});
afterAll(() => rm(folder, { recursive: true }));

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

test('lists and unpacks what another program packed', async () => {
  const members = await listZip(archive);
  expect(members.map((m) => [m.name, m.bytes])).toEqual([
    ['folder/deflated.bin', content.length],
    ['stored.bin', content.length],
    ['empty', 0],
  ]);
  for (const [i, member] of members.entries()) {
    const target = join(folder, 'out', String(i));
    let reported = 0;
    const hash = await extractMember(archive, member, target, (bytes) => {
      reported += bytes;
    });
    expect(hash).toBe(sha256(await readFile(target)));
    expect(hash).toBe(sha256(member.bytes === 0 ? Buffer.alloc(0) : content));
    expect(reported).toBe(member.bytes);
  }
});

test('refuses a cut, a foreign and a damaged archive by name', async () => {
  const cut = join(folder, 'cut.zip');
  await writeFile(cut, await readFile(archive));
  await truncate(cut, 1000);
  await expect(listZip(cut)).rejects.toMatchObject({ code: 'archive_damaged' });
  await expect(listZip(join(folder, 'content'))).rejects.toMatchObject({ code: 'archive_damaged' });

  const [member] = await listZip(archive);
  if (!member) throw new Error('no member');
  await expect(extractMember(archive, { ...member, headerOffset: 7 }, join(folder, 'x'), () => {})).rejects.toThrow(/no header/);
  await expect(extractMember(archive, { ...member, bytes: member.bytes + 1 }, join(folder, 'y'), () => {})).rejects.toThrow(/instead of/);
});
