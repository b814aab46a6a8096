/** A stream of training data on its way into the store: unpacked, validated and hashed in one pass; whatever fails leaves nothing behind. */
import type { FileFindings } from '@rowsmith/contracts';
import type { ObjectStore } from '@rowsmith/core';
import { GzipError, openCompressed, type ValidationReport, validateJsonl } from '@rowsmith/data';
import { ApiError, badRequest } from '../http/api-error.js';
import { tee } from './tee.js';
import { invalidTrainingFile } from './training-file-message.js';

export interface IntakeDeps {
  readonly objects: ObjectStore;
  readonly maxFileBytes: number;
}
export interface Intake {
  readonly stored: { readonly sha256: string; readonly bytes: number };
  readonly findings: FileFindings;
}

export const fileTooLarge = (maxFileBytes: number) =>
  new ApiError(413, { message: `The file is larger than the limit of ${maxFileBytes} bytes.`, code: 'file_too_large', param: 'file' });

/** Clients' names are kept for show only; keys are made of our ids. What was sent as gzip is stored plain, and named so. */
export function shownName(name: string, compression: FileFindings['compression']): string {
  const plain = compression === 'gzip' ? name.replace(/\.gz$/i, '') : name;
  return plain.replace(/[\p{Cc}\p{Cf}]/gu, '').slice(-255) || 'upload.jsonl';
}

/** Unpacked data has a limit of its own: a few kilobytes can unpack to gigabytes. */
async function* limited(source: AsyncIterable<Uint8Array>, most: number): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    if (bytes > most) throw fileTooLarge(most);
    yield chunk;
  }
}

const findingsOf = (report: ValidationReport, compression: FileFindings['compression']): FileFindings => ({
  shape: report.shape,
  shape_line: report.shapeLine,
  compression,
  bytes: report.bytes,
  lines: report.lines,
  examples: report.examples,
  blank_lines: report.blankLines,
  bad_lines: report.badLines,
  duplicates: report.duplicates,
  error_count: report.errorCount,
  errors: report.errors.map(({ line, code, path, message }) => ({ line, code, param: path, message })),
  warnings: [...report.warnings],
});

/**
 * Stores `source` under `key`. ApiError 400 when it cannot be trained on: no line at all is good, or some are bad and `keepInvalid` is not set.
 * The object is gone again when this throws.
 */
export async function takeIn(source: AsyncIterable<Uint8Array>, key: string, deps: IntakeDeps, keepInvalid: boolean): Promise<Intake> {
  try {
    const { compression, body } = await openCompressed(source);
    const [toStore, toValidator] = tee(limited(body, deps.maxFileBytes));
    const [stored, report] = await Promise.allSettled([deps.objects.put(key, toStore), validateJsonl(toValidator)]);
    // The store's failure first: a cut upload fails both, and the validator would call it a bad last line.
    if (stored.status === 'rejected') throw stored.reason;
    if (report.status === 'rejected') throw report.reason;
    const fault = keepInvalid && report.value.examples > 0 ? null : invalidTrainingFile(report.value);
    if (fault !== null) throw fault;
    return { stored: stored.value, findings: findingsOf(report.value, compression) };
  } catch (error) {
    await deps.objects.delete(key);
    if (error instanceof GzipError) throw badRequest(`The file is not valid: ${error.message}.`, error.code, 'file');
    throw error;
  }
}
