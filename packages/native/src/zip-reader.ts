import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createInflateRaw } from 'node:zlib';
import { NativeError } from './errors.js';

/** A member of a zip archive, as its central directory lists it. Sizes and offsets in bytes. */
export interface ZipMember {
  readonly name: string;
  readonly method: number;
  readonly compressedBytes: number;
  readonly bytes: number;
  readonly headerOffset: number;
}

const endSignature = 0x06054b50;
const memberSignature = 0x02014b50;
const headerSignature = 0x04034b50;
const longestEnd = 22 + 0xffff;

const damaged = (path: string, what: string) =>
  new NativeError('archive_damaged', `${path} is not a whole zip archive: ${what}`, 'delete the file and run the set-up again');

/**
 * Lists a zip archive. Written here because set-up may rely on no package and no unzip program.
 * Archives above 4 GB (zip64) are refused: no wheel that is used needs them.
 */
export async function listZip(path: string): Promise<readonly ZipMember[]> {
  const file = await open(path, 'r');
  try {
    const directory = await readDirectory(file, path);
    const members: ZipMember[] = [];
    for (let at = 0; at < directory.length; ) {
      if (at + 46 > directory.length || directory.readUInt32LE(at) !== memberSignature) throw damaged(path, 'bad directory entry');
      const nameBytes = directory.readUInt16LE(at + 28);
      members.push({
        name: directory.toString('utf8', at + 46, at + 46 + nameBytes),
        method: directory.readUInt16LE(at + 10),
        compressedBytes: directory.readUInt32LE(at + 20),
        bytes: directory.readUInt32LE(at + 24),
        headerOffset: directory.readUInt32LE(at + 42),
      });
      at += 46 + nameBytes + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
    }
    return members;
  } finally {
    await file.close();
  }
}

async function readDirectory(file: FileHandle, path: string): Promise<Buffer> {
  const { size } = await file.stat();
  const tail = await readExactly(file, path, Math.max(0, size - longestEnd), Math.min(size, longestEnd));
  for (let at = tail.length - 22; at >= 0; at--) {
    if (tail.readUInt32LE(at) !== endSignature) continue;
    const bytes = tail.readUInt32LE(at + 12);
    const offset = tail.readUInt32LE(at + 16);
    if (offset === 0xffffffff || offset + bytes > size) throw damaged(path, 'the directory lies outside the file');
    return readExactly(file, path, offset, bytes);
  }
  throw damaged(path, 'no end of directory');
}

async function readExactly(file: FileHandle, path: string, offset: number, bytes: number): Promise<Buffer> {
  const buffer = Buffer.alloc(bytes);
  const { bytesRead } = await file.read(buffer, 0, bytes, offset);
  if (bytesRead !== bytes) throw damaged(path, 'it ends early');
  return buffer;
}

/** Unpacks one member to `target` (new file), and returns its SHA-256 as hex. `onBytes` gets the count of each written piece. */
export async function extractMember(path: string, member: ZipMember, target: string, onBytes: (bytes: number) => void): Promise<string> {
  const file = await open(path, 'r');
  let start: number;
  try {
    const header = await readExactly(file, path, member.headerOffset, 30);
    if (header.readUInt32LE(0) !== headerSignature) throw damaged(path, `no header for ${member.name}`);
    start = member.headerOffset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
  } finally {
    await file.close();
  }
  if (member.method !== 0 && member.method !== 8) throw damaged(path, `unknown compression of ${member.name}`);
  await mkdir(dirname(target), { recursive: true });
  if (member.bytes === 0) {
    await (await open(target, 'wx')).close();
    return createHash('sha256').digest('hex');
  }
  const hash = createHash('sha256');
  let written = 0;
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      written += chunk.length;
      onBytes(chunk.length);
      done(null, chunk);
    },
  });
  const source = createReadStream(path, { start, end: start + member.compressedBytes - 1, highWaterMark: 1 << 20 });
  const sink = createWriteStream(target, { flags: 'wx', flush: true });
  if (member.method === 8) await pipeline(source, createInflateRaw({ chunkSize: 1 << 20 }), meter, sink);
  else await pipeline(source, meter, sink);
  if (written !== member.bytes) throw damaged(path, `${member.name} has ${written} bytes instead of ${member.bytes}`);
  return hash.digest('hex');
}
