/** The parts of an upload: taken in one by one, joined in the order that the client names. */
import { createHash, type Hash, randomBytes } from 'node:crypto';
import { type CompleteUploadBody, newId } from '@rowsmith/contracts';
import type { FileRecord, FileStore, ObjectStore, UploadPartRecord, UploadRecord, UploadStore } from '@rowsmith/core';
import type { FastifyRequest } from 'fastify';
import { ApiError, badRequest, notFound, notPossible } from '../http/api-error.js';
import { projectOf } from '../http/auth.js';
import { shownName, takeIn } from './intake.js';
import { formError, multipartOnly, wholeFile } from './upload.js';

export interface UploadPartDeps {
  readonly uploads: UploadStore;
  readonly files: Pick<FileStore, 'get'>;
  readonly objects: ObjectStore;
  readonly maxFileBytes: number;
}

/** OpenAI's limits. */
export const maxPartBytes = 64 * 1024 ** 2;
export const maxParts = 10_000;

export const noSuchUpload = (id: string) => notFound(`No such upload: '${id}'.`, 'upload_not_found', 'id');
const notPending = (upload: Pick<UploadRecord, 'id' | 'status'>) =>
  notPossible(`Upload ${upload.id} is ${upload.status}; only a pending upload can be changed.`, `upload_${upload.status}`, 'id');

export async function pendingUpload(deps: UploadPartDeps, request: FastifyRequest, id: string): Promise<UploadRecord> {
  const upload = await deps.uploads.get(projectOf(request), id);
  if (upload === null) throw noSuchUpload(id);
  if (upload.status !== 'pending') throw notPending(upload);
  return upload;
}

export async function receivePart(request: FastifyRequest, upload: UploadRecord, deps: UploadPartDeps): Promise<UploadPartRecord> {
  if (!request.isMultipart()) throw multipartOnly('`data`');
  const id = newId('uploadPart', randomBytes);
  const key = `uploads/${upload.id}/${id}`;
  const broken = (error: unknown) => formError(error, request.server, maxPartBytes);
  try {
    const parts = request.parts({ limits: { fileSize: maxPartBytes, files: 1, fields: 0, parts: 1, headerPairs: 32 } });
    let bytes: number | null = null;
    for (;;) {
      const next = await parts.next().catch((error: unknown) => Promise.reject(broken(error)));
      if (next.done) break;
      const part = next.value;
      if (part.fieldname !== 'data') throw badRequest(`Unknown parameter: '${part.fieldname}'.`, 'unknown_parameter', part.fieldname);
      if (part.type !== 'file') throw badRequest("'data' must be sent as a file (curl: -F data=@part).", 'invalid_type', 'data');
      bytes = (await deps.objects.put(key, wholeFile(part, broken, maxPartBytes))).bytes;
    }
    if (bytes === null) throw badRequest("Missing required parameter: 'data'.", 'missing_required_parameter', 'data');
    const added = await deps.uploads.addPart(upload.projectId, upload.id, { id, bytes, key }, maxParts);
    if (added === 'not_pending') throw notPending({ ...upload, status: 'cancelled' });
    if (added === 'full') {
      const message = `The parts would have more than the ${upload.bytes} bytes that were announced, or there are more than ${maxParts}.`;
      throw badRequest(message, 'upload_too_large', 'data');
    }
    return added;
  } catch (error) {
    await deps.objects.delete(key);
    throw error;
  }
}

function inOrder(stored: readonly UploadPartRecord[], ids: readonly string[], upload: UploadRecord): readonly UploadPartRecord[] {
  const byId = new Map<string, UploadPartRecord>(stored.map((part) => [part.id, part]));
  const chosen = ids.map((id, i) => {
    const part = byId.get(id);
    if (part === undefined) throw badRequest(`Upload ${upload.id} has no part '${id}'.`, 'part_not_found', `part_ids[${i}]`);
    return part;
  });
  if (new Set(ids).size < ids.length) throw badRequest("'part_ids' names a part twice.", 'invalid_value', 'part_ids');
  const bytes = chosen.reduce((sum, part) => sum + part.bytes, 0);
  if (bytes !== upload.bytes)
    throw badRequest(`The parts have ${bytes} bytes together; ${upload.bytes} were announced.`, 'upload_size_mismatch', 'part_ids');
  return chosen;
}

async function* joined(objects: ObjectStore, parts: readonly UploadPartRecord[], md5: Hash): AsyncGenerator<Uint8Array> {
  for (const { key, id } of parts) {
    const body = await objects.get(key);
    if (body === null) throw new Error(`the object of upload part ${id} is gone`);
    for await (const chunk of body) {
      md5.update(chunk);
      yield chunk;
    }
  }
}

/** Of what was sent, so a gzip file has the sum of its packed bytes. */
function checkMd5(md5: Hash, wanted: string | undefined): void {
  if (wanted === undefined) return;
  const digest = md5.digest();
  if (wanted.toLowerCase() === digest.toString('hex') || wanted === digest.toString('base64')) return;
  const message = `The content has the MD5 ${digest.toString('hex')}, not '${wanted}'. Send the damaged parts again.`;
  throw badRequest(message, 'md5_mismatch', 'md5');
}

/** The file that the parts make. What is wrong with them is an ApiError 400, and the upload stays pending. */
export async function completeUpload(upload: UploadRecord, body: CompleteUploadBody, deps: UploadPartDeps): Promise<FileRecord> {
  const parts = inOrder(await deps.uploads.parts(upload.id), body.part_ids, upload);
  const { projectId, keepInvalid, fileSeconds: lifeSeconds } = upload;
  const id = newId('file', randomBytes);
  const key = `files/${projectId}/${id}`;
  const md5 = createHash('md5');
  const { stored, findings } = await takeIn(joined(deps.objects, parts, md5), key, deps, keepInvalid);
  try {
    checkMd5(md5, body.md5);
    const filename = shownName(upload.filename, findings.compression);
    const { examples } = findings;
    const file = { id, projectId, filename, purpose: 'fine-tune' as const, ...stored, key, examples, findings, lifeSeconds };
    const completed = await deps.uploads.complete(upload.id, file);
    if (completed === 'not_pending') {
      throw new ApiError(400, {
        message: `Upload ${upload.id} was ended by another request meanwhile.`,
        code: 'upload_not_pending',
        param: 'id',
      });
    }
    return completed;
  } catch (error) {
    await deps.objects.delete(key);
    throw error;
  }
}
