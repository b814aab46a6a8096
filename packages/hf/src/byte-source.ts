import { type FileHandle, open } from 'node:fs/promises';
import { ModelError } from './errors.js';

/** Something of known size that is read by ranges: a file, or an object of a store. */
export interface RangeSource {
  /** Its name in error messages. */
  readonly file: string;
  readonly size: number;
  /** Exactly `length` bytes from `offset`; the caller has checked both against `size`. */
  read(offset: number, length: number): Promise<Buffer>;
  close(): Promise<void>;
}

/** A file of known size that is read by ranges; never whole. */
export class ByteSource implements RangeSource {
  private constructor(
    readonly file: string,
    readonly size: number,
    private readonly handle: FileHandle,
  ) {}

  /** `label` is the name in error messages. */
  static async open(path: string, label: string): Promise<ByteSource> {
    let handle: FileHandle;
    try {
      handle = await open(path, 'r');
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT')
        throw new ModelError('missing_file', 'does not exist', { file: label, cause });
      throw new ModelError('disk', `cannot be opened (${(cause as Error).message})`, { file: label, cause });
    }
    const stat = await handle.stat();
    if (!stat.isFile()) {
      await handle.close();
      throw new ModelError('missing_file', 'is not a regular file', { file: label });
    }
    return new ByteSource(label, stat.size, handle);
  }

  async read(offset: number, length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(length);
    let done = 0;
    while (done < length) {
      const { bytesRead } = await this.handle.read(bytes, done, length - done, offset + done);
      if (bytesRead === 0) throw new ModelError('disk', `ended at byte ${offset + done} while it was being read`, { file: this.file });
      done += bytesRead;
    }
    return bytes;
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}
