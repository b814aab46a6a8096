/** One multipart upload: validated and hashed while it streams into the object store; whatever fails leaves nothing behind. */
import { randomBytes } from 'node:crypto';
import type { MultipartFile } from '@fastify/multipart';
import { ExpiresAfter, invalidLinePolicies, newId, type ProjectId } from '@rowsmith/contracts';
import type { FileRecord, FileStore } from '@rowsmith/core';
import type { FastifyRequest } from 'fastify';
import { Value } from 'typebox/value';
import { ApiError, badRequest } from '../http/api-error.js';
import { projectOf } from '../http/auth.js';
import { fileTooLarge, type Intake, type IntakeDeps, shownName, takeIn } from './intake.js';

export interface UploadDeps extends IntakeDeps {
  readonly files: Pick<FileStore, 'insert'>;
}

const unknownField = (name: string, hint = '') => badRequest(`Unknown parameter: '${name}'.${hint}`, 'unknown_parameter', name);

interface Received {
  readonly filename: string;
  readonly intake: Intake;
}
interface Form extends Received {
  readonly lifeSeconds: number | null;
}

export const multipartOnly = (fields: string) =>
  new ApiError(415, { message: `This route takes multipart/form-data with the fields ${fields}.`, code: 'unsupported_content_type' });

/** The bytes of a form's file; a limit or a cut form becomes an ApiError. */
export async function* wholeFile(part: MultipartFile, broken: (error: unknown) => ApiError, maxBytes: number): AsyncGenerator<Uint8Array> {
  try {
    yield* part.file;
  } catch (error) {
    throw broken(error);
  }
  if (part.file.truncated) throw fileTooLarge(maxBytes);
}

/** What went wrong while the form was read: a limit, a broken form, or a client that went away. */
export function formError(error: unknown, { multipartErrors }: FastifyRequest['server'], maxFileBytes: number): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof multipartErrors.RequestFileTooLargeError) return fileTooLarge(maxFileBytes);
  if (error instanceof multipartErrors.FilesLimitError) return badRequest('Send one file per request.', 'too_many_files', 'file');
  if (error instanceof multipartErrors.FieldsLimitError || error instanceof multipartErrors.PartsLimitError) {
    return badRequest('The form has too many fields.', 'too_many_fields');
  }
  return badRequest('The multipart form is cut off or malformed.', 'malformed_form');
}

/** Fields of the form beside `file`; `expires_after[...]` as the SDKs write an object in a form. */
class FormFields {
  readonly #values = new Map<string, string>();

  add(name: string, value: string): void {
    const known = ['purpose', 'on_invalid', 'expires_after[anchor]', 'expires_after[seconds]'];
    if (!known.includes(name)) throw unknownField(name);
    if (this.#values.has(name)) throw badRequest(`The field '${name}' is there twice.`, 'invalid_value', name);
    if (name === 'purpose' && value !== 'fine-tune')
      throw badRequest("Invalid value for 'purpose': only 'fine-tune' can be uploaded.", 'invalid_value', 'purpose');
    if (name === 'on_invalid' && !(invalidLinePolicies as readonly string[]).includes(value))
      throw badRequest("Invalid value for 'on_invalid': use 'refuse' or 'keep'.", 'invalid_value', name);
    this.#values.set(name, value);
  }

  get keepInvalid(): boolean {
    return this.#values.get('on_invalid') === 'keep';
  }

  requirePurpose(): void {
    if (this.#values.has('purpose')) return;
    throw badRequest("Missing required parameter: 'purpose' (it must be 'fine-tune').", 'missing_required_parameter', 'purpose');
  }

  lifeSeconds(): number | null {
    const anchor = this.#values.get('expires_after[anchor]');
    const text = this.#values.get('expires_after[seconds]');
    if (anchor === undefined && text === undefined) return null;
    const seconds = /^\d{1,9}$/.test(text ?? '') ? Number(text) : Number.NaN;
    if (Value.Check(ExpiresAfter, { anchor, seconds })) return seconds;
    const message = "Invalid value for 'expires_after': expected anchor 'created_at' and seconds, an integer >= 3600 and <= 2592000.";
    throw badRequest(message, 'invalid_value', 'expires_after');
  }
}

/** `on_invalid` decides what happens to bad lines while they arrive, so it must stand before the file. */
async function readForm(request: FastifyRequest, key: string, deps: UploadDeps): Promise<Form> {
  const { maxFileBytes } = deps;
  let received: Received | null = null;
  const fields = new FormFields();
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
      const intake = await takeIn(wholeFile(part, broken, maxFileBytes), key, deps, fields.keepInvalid);
      received = { filename: shownName(part.filename, intake.findings.compression), intake };
    } else if (part.fieldname === 'file') {
      throw badRequest("'file' must be sent as a file, with a file name (curl: -F file=@data.jsonl).", 'invalid_type', 'file');
    } else {
      if (part.fieldname === 'on_invalid' && received !== null)
        throw badRequest("Send the field 'on_invalid' before the file.", 'invalid_value', 'on_invalid');
      fields.add(part.fieldname, String(part.value));
    }
  }
  if (received === null) throw badRequest("Missing required parameter: 'file'.", 'missing_required_parameter', 'file');
  fields.requirePurpose();
  return { ...received, lifeSeconds: fields.lifeSeconds() };
}

/** The stored and registered file; ApiError names what is wrong with the upload. */
export async function receiveFile(request: FastifyRequest, deps: UploadDeps): Promise<FileRecord> {
  const projectId: ProjectId = projectOf(request);
  if (!request.isMultipart()) throw multipartOnly('`file` and `purpose`');
  const id = newId('file', randomBytes);
  const key = `files/${projectId}/${id}`;
  try {
    const { filename, lifeSeconds, intake } = await readForm(request, key, deps);
    const { stored, findings } = intake;
    const { examples } = findings;
    return await deps.files.insert({ id, projectId, filename, purpose: 'fine-tune', ...stored, key, examples, findings, lifeSeconds });
  } catch (error) {
    await deps.objects.delete(key);
    throw error;
  }
}
