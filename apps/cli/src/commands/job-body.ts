/** `rowsmith jobs create` flags -> the body of POST /jobs. Values are checked by the API; here only what a flag cannot say otherwise. */
import type { CreateJobBody } from '@rowsmith/contracts';
import { CliError, exitCodes } from '../exit.js';

export interface JobFlags {
  readonly model: string;
  readonly suffix?: string;
  readonly seed?: string;
  readonly epochs?: string;
  readonly batchSize?: string;
  readonly rows?: string;
  readonly scorer?: string;
  readonly learningRate?: string;
  readonly schedule?: string;
  readonly maxSteps?: string;
  readonly maxSeqLength?: string;
  readonly prompt?: readonly string[];
  readonly metadata?: readonly string[];
  readonly rowSparse?: string;
}

function numeric(flag: string, value: string): number | 'auto' {
  if (value === 'auto') return 'auto';
  const parsed = Number(value);
  if (value.trim() === '' || !Number.isFinite(parsed))
    throw new CliError(`${flag} must be a number or "auto", not "${value}"`, exitCodes.usage);
  return parsed;
}

function keyValues(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      if (at < 1) throw new CliError(`--metadata must be key=value, not "${pair}"`, exitCodes.usage);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

/** `--row-sparse '{"targets":["q_proj"]}'` gives any field of the extension object; single flags win over it. */
function rowSparseObject(text: string | undefined): Record<string, unknown> {
  if (text === undefined) return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CliError(`--row-sparse is not JSON: ${error instanceof Error ? error.message : String(error)}`, exitCodes.usage);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new CliError('--row-sparse must be a JSON object', exitCodes.usage);
  return value as Record<string, unknown>;
}

const present = (object: Record<string, unknown>) => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
const optional = (flag: string, value: string | undefined) => (value === undefined ? undefined : numeric(flag, value));

/** `rows` below 1 is a ratio: `--rows 0.024`. */
function rowsOf(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  const value = numeric('--rows', text);
  return typeof value === 'number' && value < 1 ? { ratio: value } : value;
}

/** Typed as the API's body although names such as the scorer are the user's: the API's own refusal is clearer than a second one made here. */
export function jobBody(flags: JobFlags, trainingFile: string, validationFile: string | null): CreateJobBody {
  const hyperparameters = present({ n_epochs: optional('--epochs', flags.epochs), batch_size: optional('--batch-size', flags.batchSize) });
  const rowSparse = present({
    ...rowSparseObject(flags.rowSparse),
    rows: rowsOf(flags.rows),
    scorer: flags.scorer,
    learning_rate: optional('--learning-rate', flags.learningRate),
    lr_schedule: flags.schedule,
    max_steps: optional('--max-steps', flags.maxSteps),
    max_seq_length: optional('--max-seq-length', flags.maxSeqLength),
    sample_prompts: flags.prompt,
  });
  const body: unknown = present({
    model: flags.model,
    training_file: trainingFile,
    validation_file: validationFile ?? undefined,
    suffix: flags.suffix,
    seed: optional('--seed', flags.seed),
    metadata: flags.metadata ? keyValues(flags.metadata) : undefined,
    method: Object.keys(hyperparameters).length > 0 ? { type: 'supervised', supervised: { hyperparameters } } : undefined,
    row_sparse: Object.keys(rowSparse).length > 0 ? rowSparse : undefined,
  });
  return body as CreateJobBody;
}
