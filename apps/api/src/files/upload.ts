/** One multipart upload: validated and hashed while it streams into the object store; whatever fails leaves nothing behind. */
import { randomBytes } from 'node:crypto';
import { newId, type ProjectId } from '@rowsmith/contracts';
import type { FileRecord, FileStore, ObjectStore } from '@rowsmith/core';
import { type ValidationReport, validateJsonl } from '@rowsmith/data';
import type { FastifyRequest } from 'fastify';
import { ApiError, badRequest } from '../http/api-error.js';
import { projectOf } from '../http/auth.js';
import { tee } from './tee.js';
import { invalidTrainingFile } from './training-file-message.js';

export interface UploadDeps {
  readonly files: Pick<FileStore, 'insert'>;
  readonly objects: ObjectStore;
  readonly maxFileBytes: number;
}

export const fileTooLarge = (maxFileBytes: number) =>
  new ApiError(413, { message: `The file is larger than the limit of ${maxFileBytes} bytes.`, code: 'file_too_large', param: 'file' });

const unknownField = (name: string, hint = '') => badRequest(`Unknown parameter: '${name}'.${hint}`, 'unknown_parameter', name);

/** Clients' names are kept for show only; keys are made of our ids. */
const safeName = (name: string) => name.replace(/[\p{Cc}\p{Cf}]/gu, '').slice(-255) || 'upload.jsonl';

interface Received {
  readonly filename: string;
  readonly report: ValidationReport;
  readonly stored: { readonly sha256: string; readonly bytes: number };
}

async function storeValidated(
  source: AsyncIterable<Uint8Array>,
  key: string,
  { objects }: UploadDeps,
): Promise<Pick<Received, 'report' | 'stored'>> {
  const [toStore, toValidator] = tee(source);
  const [stored, report] = await Promise.allSettled([objects.put(key, toStore), validateJsonl(toValidator)]);
  // The store's failure first: a cut upload fails both, and the validator would call it a bad last line.
  if (stored.status === 'rejected') throw stored.reason;
  if (report.status === 'rejected') throw report.reason;
  return { stored: stored.value, report: report.value };
}

/** What went wrong while the form was read: a limit, a broken form, or a client that went away. */
function formError(error: unknown, { multipartErrors }: FastifyRequest['server'], maxFileBytes: number): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof multipartErrors.RequestFileTooLargeError) return fileTooLarge(maxFileBytes);
  if (error instanceof multipartErrors.FilesLimitError) return badRequest('Send one file per request.', 'too_many_files', 'file');
  if (error instanceof multipartErrors.FieldsLimitError || error instanceof multipartErrors.PartsLimitError) {
    return badRequest('The form has too many fields.', 'too_many_fields');
  }
  return badRequest('The multipart form is cut off or malformed.', 'malformed_form');
}

async function readForm(request: FastifyRequest, key: string, deps: UploadDeps): Promise<Received> {
  const { maxFileBytes } = deps;
  let received: Received | null = null;
  let purpose: string | null = null;
  const parts = request.parts({
    limits: { fileSize: maxFileBytes, files: 1, fields: 8, parts: 10, fieldSize: 1_024, fieldNameSize: 128, headerPairs: 32 },
  });
  const broken = (error: unknown) => formError(error, request.server, maxFileBytes);
  for (;;) {
    const next = await parts.next().catch((error: unknown) => Promise.reject(broken(error)));
    if (next.done) break;
    const part = next.value;
    if (part.type === 'file') {
      if (part.fieldname !== 'file') throw unknownField(part.fieldname, " The file goes into the field 'file'.");
      const whole = async function* () {
        try {
          yield* part.file;
        } catch (error) {
          throw broken(error);
        }
        if (part.file.truncated) throw fileTooLarge(maxFileBytes);
      };
      received = { filename: safeName(part.filename), ...(await storeValidated(whole(), key, deps)) };
    } else if (part.fieldname === 'purpose') {
      if (purpose !== null) throw badRequest("The field 'purpose' is there twice.", 'invalid_value', 'purpose');
      purpose = String(part.value);
      if (purpose !== 'fine-tune')
        throw badRequest("Invalid value for 'purpose': only 'fine-tune' can be uploaded.", 'invalid_value', 'purpose');
    } else if (part.fieldname === 'file') {
      throw badRequest("'file' must be sent as a file, with a file name (curl: -F file=@data.jsonl).", 'invalid_type', 'file');
    } else {
      throw unknownField(part.fieldname);
    }
  }
  if (received === null) throw badRequest("Missing required parameter: 'file'.", 'missing_required_parameter', 'file');
  if (purpose === null)
    throw badRequest("Missing required parameter: 'purpose' (it must be 'fine-tune').", 'missing_required_parameter', 'purpose');
  return received;
}

/** The stored and registered file; ApiError names what is wrong with the upload. */
export async function receiveFile(request: FastifyRequest, deps: UploadDeps): Promise<FileRecord> {
  const projectId: ProjectId = projectOf(request);
  if (!request.isMultipart()) {
    throw new ApiError(415, {
      message: 'This route takes multipart/form-data with the fields `file` and `purpose`.',
      code: 'unsupported_content_type',
    });
  }
  const id = newId('file', randomBytes);
  const key = `files/${projectId}/${id}`;
  try {
    const { filename, report, stored } = await readForm(request, key, deps);
    const fault = invalidTrainingFile(report);
    if (fault !== null) throw fault;
    return await deps.files.insert({
      id,
      projectId,
      filename,
      purpose: 'fine-tune',
      ...stored,
      key,
      examples: report.examples,
      expiresAt: null,
    });
  } catch (error) {
    await deps.objects.delete(key);
    throw error;
  }
}
