/**
 * Memory of the API while it takes in a large file, once as a form and once in parts, and while it makes the file's report.
 *   npm run bench:intake -- [--gigabytes 2] [--out FILE]
 * The rows are made as they are sent; three times the size must be free on the disk. Everything is removed afterwards.
 */
import { writeFile } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { Readable } from 'node:stream';
import { residentMiB, startService, watchMemory } from './load/service.mjs';
import { commandLine } from '../scripts/command-line.mjs';

const { values } = commandLine(import.meta.url, { options: { gigabytes: { type: 'string', default: '2' }, out: { type: 'string' } } });
const total = Math.floor(Number(values.gigabytes) * 1e9);
const say = (line) => process.stderr.write(`${line}\n`);

/** Chat rows that all differ, of about 500 bytes, in chunks of about 64 KiB; `total` bytes at most, ending with a whole row. */
function* rows(limit) {
  let chunk = '';
  let sent = 0;
  for (let i = 0; ; i += 1) {
    const user = `Order ${i}: ${'please send the usual things to the usual place. '.repeat(6)}`;
    const row = `${JSON.stringify({
      messages: [
        { role: 'user', content: user },
        { role: 'assistant', content: `{"order":${i},"items":["shutter","tray"],"due":"fri"}` },
      ],
    })}\n`;
    if (sent + chunk.length + row.length > limit) break;
    chunk += row;
    if (chunk.length < 65_536) continue;
    sent += chunk.length;
    yield Buffer.from(chunk);
    chunk = '';
  }
  if (chunk !== '') yield Buffer.from(chunk);
}

const boundary = 'rowsmith-intake-boundary';
function* form(name, content, fields = []) {
  for (const [field, value] of fields)
    yield Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="${field}"\r\n\r\n${value}\r\n`);
  yield Buffer.from(
    `--${boundary}\r\nContent-Disposition: form-data; name="${name}"; filename="large.jsonl"\r\nContent-Type: application/jsonl\r\n\r\n`,
  );
  yield* content;
  yield Buffer.from(`\r\n--${boundary}--\r\n`);
}
const send = (service, path, body) =>
  service.json(path, {
    method: 'POST',
    headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
    body: Readable.toWeb(Readable.from(body)),
    duplex: 'half',
  });

/** Slices of `size` bytes, each a list of chunks. */
function* slices(chunks, size) {
  let slice = [];
  let bytes = 0;
  for (let chunk of chunks) {
    for (; bytes + chunk.length >= size; chunk = chunk.subarray(size - bytes), bytes = 0, slice = [])
      yield [...slice, chunk.subarray(0, size - bytes)];
    slice.push(chunk);
    bytes += chunk.length;
  }
  if (bytes > 0) yield slice;
}

const lines = [];
async function measured(service, what, work) {
  say(what);
  const before = await residentMiB(service.pids.api);
  const stop = watchMemory(service.pids.api);
  const began = performance.now();
  const result = await work();
  const seconds = (performance.now() - began) / 1_000;
  const seen = stop().map(({ mib }) => mib);
  const quarters = [0, 1, 2, 3].map((k) => Math.round(Math.max(...seen.slice((k * seen.length) / 4, ((k + 1) * seen.length) / 4), 0)));
  lines.push(`| ${what} | ${seconds.toFixed(0)} | ${Math.round(before)} | ${quarters.join(' ')} |`);
  say(lines.at(-1));
  return result;
}

const service = await startService();
try {
  // Past the first use of every part.
  const warm = await send(service, '/v1/files', form('file', rows(1e6), [['purpose', 'fine-tune']]));
  await service.json(`/v1/files/${warm.id}/report?model=smollm2-135m-instruct`);
  const file = await measured(service, 'one form', () => send(service, '/v1/files', form('file', rows(total), [['purpose', 'fine-tune']])));
  await measured(service, 'report with lengths', () => service.json(`/v1/files/${file.id}/report?model=smollm2-135m-instruct`));
  const size = 48 * 2 ** 20;
  const bytes = file.bytes;
  const upload = await service.post('/v1/uploads', {
    filename: 'parts.jsonl',
    purpose: 'fine-tune',
    bytes,
    mime_type: 'application/jsonl',
  });
  const parts = await measured(service, 'parts of 48 MiB', async () => {
    const ids = [];
    for (const slice of slices(rows(total), size))
      ids.push((await send(service, `/v1/uploads/${upload.id}/parts`, form('data', slice))).id);
    return ids;
  });
  const whole = await measured(service, 'joining the parts', () => service.post(`/v1/uploads/${upload.id}/complete`, { part_ids: parts }));
  if (whole.file.bytes !== bytes) throw new Error(`the joined file has ${whole.file.bytes} bytes, not ${bytes}`);
  const text = [
    `${bytes} bytes; Node ${process.version}, load average ${loadavg()[0].toFixed(1)} at the end`,
    '',
    '| step | seconds | memory of the API before, MiB | largest in each quarter, MiB |',
    '|---|---|---|---|',
    ...lines,
  ].join('\n');
  process.stdout.write(`${text}\n`);
  if (values.out) await writeFile(values.out, `${text}\n`);
} finally {
  await service.stop();
}
