import { HUB_URL, HubApiError, modelInfo, pathsInfo } from '@huggingface/hub';
import { ModelError, quoted } from '../errors.js';

export interface HubAccess {
  /** Default: the public hub. The program passes HF_ENDPOINT. */
  readonly endpoint?: string | undefined;
  /** Sent to the endpoint only, never logged. */
  readonly token?: string | undefined;
}
export interface HubRepo {
  /** `owner/name` */
  readonly id: string;
  /** Branch, tag or commit as the user gave it. */
  readonly revision: string;
}
export interface HubFile {
  readonly path: string;
  readonly size: number;
  /** Large files have a SHA-256, small ones git's SHA-1 of "blob <size>\0<content>". */
  readonly hash: { readonly kind: 'sha256' | 'git'; readonly hex: string };
}

/** `owner/name[@revision]`, or null when the text cannot be one. */
export function parseHubReference(text: string): HubRepo | null {
  const match = /^([A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*)(?:@([A-Za-z0-9][\w./-]*))?$/.exec(text);
  if (!match?.[1] || text.includes('..')) return null;
  return { id: match[1], revision: match[2] ?? 'main' };
}

/** The hub through its official client; the token goes into a header of our own because the client accepts only one form of token. */
export class HubClient {
  readonly endpoint: string;
  private readonly headers: Readonly<Record<string, string>>;

  constructor(access: HubAccess) {
    this.endpoint = (access.endpoint || HUB_URL).replace(/\/+$/, '');
    this.headers = access.token ? { authorization: `Bearer ${access.token}` } : {};
  }

  private readonly authorised: typeof fetch = (input, init) =>
    fetch(input, { ...init, headers: { ...(init?.headers as Record<string, string> | undefined), ...this.headers } });

  /** The commit a revision stands for now. */
  async commit(repo: HubRepo): Promise<string> {
    const info = await this.asking(repo, () =>
      modelInfo({ name: repo.id, revision: repo.revision, additionalFields: ['sha'], hubUrl: this.endpoint, fetch: this.authorised }),
    );
    const sha: unknown = info.sha;
    if (typeof sha !== 'string' || !/^[0-9a-f]{40}$/.test(sha))
      throw new ModelError('network', `the hub named no commit for ${repo.id}@${repo.revision}`);
    return sha;
  }

  /** Those of `paths` that exist at the commit. */
  async files(repo: HubRepo, commit: string, paths: readonly string[]): Promise<ReadonlyMap<string, HubFile>> {
    const infos = await this.asking(repo, () =>
      pathsInfo({ repo: repo.id, paths: [...paths], revision: commit, hubUrl: this.endpoint, fetch: this.authorised }),
    );
    const files = new Map<string, HubFile>();
    for (const info of infos) {
      if (info.type !== 'file' || !paths.includes(info.path)) continue;
      const hash = info.lfs ? { kind: 'sha256' as const, hex: info.lfs.oid } : { kind: 'git' as const, hex: info.oid ?? '' };
      const size = info.lfs?.size ?? info.size;
      if (!Number.isSafeInteger(size) || size < 0 || !/^[0-9a-f]{40}(?:[0-9a-f]{24})?$/.test(hash.hex)) {
        throw new ModelError('network', `the hub gave no usable size and hash for ${quoted(info.path)} of ${repo.id}`);
      }
      files.set(info.path, { path: info.path, size, hash });
    }
    return files;
  }

  /** Response to a GET of the file from byte `from`; the status is the caller's to judge. */
  open(repo: HubRepo, commit: string, path: string, from: number, signal: AbortSignal): Promise<Response> {
    const url = `${this.endpoint}/${repo.id}/resolve/${commit}/${path.split('/').map(encodeURIComponent).join('/')}`;
    return this.authorised(url, { headers: from > 0 ? { range: `bytes=${from}-` } : {}, signal });
  }

  private async asking<T>(repo: HubRepo, ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (cause) {
      if (cause instanceof HubApiError) throw statusError(cause.statusCode, `${repo.id}@${repo.revision}`, this.endpoint, cause);
      throw new ModelError(
        'network',
        `${this.endpoint} cannot be asked about ${repo.id} (${reason(cause)}); check the connection, HF_ENDPOINT and proxies`,
        { cause },
      );
    }
  }
}

/** What an HTTP status means to the user. */
export function statusError(status: number, what: string, endpoint: string, cause?: unknown): ModelError {
  if (status === 401 || status === 403) {
    const how = 'it may be private or gated, or not exist: accept its licence on the hub and set HF_TOKEN to a token with read access';
    return new ModelError('hub_unauthorised', `${what}: ${endpoint} refuses access (${status}); ${how}`, { cause });
  }
  if (status === 404)
    return new ModelError('hub_not_found', `${what}: not found at ${endpoint} (404); check the id and the revision`, { cause });
  return new ModelError('network', `${what}: ${endpoint} answered ${status}; try again later`, { cause });
}

/** fetch says only "fetch failed"; the cause knows why. */
export function reason(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? `${message}: ${cause.message || String((cause as NodeJS.ErrnoException).code)}` : message;
}
