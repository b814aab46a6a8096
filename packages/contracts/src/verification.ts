/** What a verification of a job says: one line for each link of the chain from the adapter back to the first checkpoint, then a verdict. */
import { type Static, Type } from 'typebox';
import { nullable } from './errors.js';
import type { JobSpec } from './job-spec.js';

export const linkStatuses = ['ok', 'broken', 'removed', 'aside', 'unchecked'] as const;
export type LinkStatus = (typeof linkStatuses)[number];

export const VerificationLink = Type.Object(
  {
    object: Type.Literal('fine_tuning.job.verification.link'),
    of: Type.String({ description: '`job`, `adapter`, or `checkpoint-<step> (attempt <n>)`' }),
    link: Type.String({ description: 'manifest, predecessor, config, base, data, the name of a file ...' }),
    status: Type.Unsafe<LinkStatus>(
      Type.String({
        enum: [...linkStatuses],
        description:
          'removed: gone by the rules of retention; aside: no part of the chain, a later attempt did not go on from it; unchecked: what it would be compared with is not known here',
      }),
    ),
    expected: nullable(Type.String({ description: 'SHA-256' })),
    found: nullable(Type.String({ description: 'SHA-256, computed now; null: nothing was there' })),
    bytes: nullable(Type.Integer()),
    key: nullable(Type.String({ description: 'in the object store' })),
    message: nullable(Type.String({ description: 'what is wrong, or why it was not compared' })),
  },
  { additionalProperties: false },
);
export type VerificationLink = Static<typeof VerificationLink>;

/** The last line; without it the verification was cut off. */
export const Verification = Type.Object(
  {
    object: Type.Literal('fine_tuning.job.verification'),
    job_id: Type.String(),
    valid: Type.Boolean({ description: 'no link is broken' }),
    links: Type.Integer(),
    broken: Type.Integer(),
    checkpoints: Type.Integer({ description: 'that the chain consists of' }),
    bytes: Type.Integer({ description: 'that were read and hashed' }),
  },
  { additionalProperties: false },
);
export type Verification = Static<typeof Verification>;
export type VerificationLine = VerificationLink | Verification;

/** The config hash is the SHA-256 of the canonical JSON of this: everything but whose it is, so that two jobs that ask for the same have the same hash. */
export function configIdentity({ job_id: _, ...config }: JobSpec): Omit<JobSpec, 'job_id'> {
  return config;
}

/** Likewise the data hash: the files, and what turns them into tokens. */
export function dataIdentity(spec: JobSpec, tokenizerSha256: string): object {
  return {
    training: spec.mixture ? spec.mixture.map(({ data, weight }) => ({ sha256: data.sha256, weight })) : spec.training_data.sha256,
    ...(spec.validation_split === undefined ? {} : { split: spec.validation_split, seed: spec.seed }),
    validation: spec.validation_data?.sha256 ?? null,
    tokenizer: tokenizerSha256,
  };
}
