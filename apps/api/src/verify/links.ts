/** Lines of a verification, and their count. Pure. */
import type { LinkStatus, Verification, VerificationLink } from '@rowsmith/contracts';

export interface Compared {
  /** null: what it should be is not known here. */
  readonly expected: string | null;
  /** null: nothing is there. */
  readonly found: string | null;
  readonly bytes?: number;
  readonly key?: string;
  /** Instead of what the comparison says. */
  readonly status?: LinkStatus;
  readonly message?: string;
}

function judged({ expected, found }: Compared): readonly [LinkStatus, string | null] {
  if (found === null) return ['broken', 'It is missing.'];
  if (expected === null) return ['unchecked', 'What it should be was not recorded.'];
  return found === expected ? ['ok', null] : ['broken', 'The hash is another one.'];
}

export class Links {
  #links = 0;
  #broken = 0;
  #bytes = 0;

  /** of: `job`, `adapter` or a checkpoint. */
  line(of: string, link: string, compared: Compared): VerificationLink {
    const { expected, found, bytes = null, key = null } = compared;
    const [status, message] = judged(compared);
    const line: VerificationLink = {
      object: 'fine_tuning.job.verification.link',
      ...{ of, link, expected, found, bytes, key },
      status: compared.status ?? status,
      message: compared.message ?? (compared.status === undefined ? message : null),
    };
    this.#links += 1;
    this.#broken += line.status === 'broken' ? 1 : 0;
    this.#bytes += bytes ?? 0;
    return line;
  }

  verdict(jobId: string, checkpoints: number): Verification {
    return {
      object: 'fine_tuning.job.verification',
      job_id: jobId,
      valid: this.#broken === 0,
      ...{ links: this.#links, broken: this.#broken, checkpoints, bytes: this.#bytes },
    };
  }
}
