/** `rowsmith jobs create` flags -> the body of POST /jobs. Values are checked by the API; here only what a flag cannot say otherwise. */
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { CliError, exitCodes } from '../exit.js';
import { applySettings, isObject, type JsonObject } from './settings.js';

export interface JobFlags {
  readonly file?: string;
  readonly set?: readonly string[];
  readonly model?: string;
  readonly validationSplit?: string;
  readonly skipInvalid?: string;
  readonly suffix?: string;
  readonly seed?: string;
  readonly epochs?: string;
  readonly batchSize?: string;
  readonly learningRateMultiplier?: string;
  readonly rows?: string;
  readonly scorer?: string;
  readonly learningRate?: string;
  readonly schedule?: string;
  readonly maxSteps?: string;
  readonly maxSeqLength?: string;
  readonly prompt?: readonly string[];
  readonly metadata?: readonly string[];
  readonly priority?: string;
  readonly deviceClass?: string;
  readonly maxDuration?: string;
  readonly wandb?: string;
  readonly mlflow?: string;
  readonly rowSparse?: string;
}

function numeric(flag: string, value: string): number | 'auto' {
  if (value === 'auto') return 'auto';
  const parsed = Number(value);
  if (value.trim() === '' || !Number.isFinite(parsed))
    throw new CliError(`${flag} must be a number or "auto", not "${value}"`, exitCodes.usage);
  return parsed;
}

export function keyValues(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      if (at < 1) throw new CliError(`--metadata must be key=value, not "${pair}"`, exitCodes.usage);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

export function jsonObject(what: string, json: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new CliError(`${what} is not JSON: ${error instanceof Error ? error.message : String(error)}`, exitCodes.usage);
  }
  if (!isObject(value)) throw new CliError(`${what} must be a JSON object`, exitCodes.usage);
  return value;
}

/** The object in a file, or in what stdin brings for `-`. */
export async function readObject(path: string | undefined): Promise<JsonObject> {
  if (path === undefined) return {};
  return jsonObject(path === '-' ? 'stdin' : path, path === '-' ? await text(process.stdin) : await readFile(path, 'utf8'));
}

const present = (object: JsonObject) => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
const optional = (flag: string, value: string | undefined) => (value === undefined ? undefined : numeric(flag, value));
const objectAt = (object: JsonObject, field: string): JsonObject => {
  const value = object[field];
  return isObject(value) ? value : {};
};

/** `rows` below 1 is a ratio: `--rows 0.024`. */
function rowsOf(rows: string | undefined): unknown {
  if (rows === undefined) return undefined;
  const value = numeric('--rows', rows);
  return typeof value === 'number' && value < 1 ? { ratio: value } : value;
}

function integrationsOf({ wandb, mlflow }: JobFlags): unknown {
  const list = [
    ...(wandb === undefined ? [] : [{ type: 'wandb', wandb: { project: wandb } }]),
    ...(mlflow === undefined ? [] : [{ type: 'mlflow', mlflow: { experiment: mlflow } }]),
  ];
  return list.length === 0 ? undefined : list;
}

/** Fields of `base` (from --file) stay unless a flag names them; --set comes last. Files are names or ids as given. */
export function jobBody(flags: JobFlags, files: JsonObject = {}, base: JsonObject = {}): JsonObject {
  const hyperparameters = present({
    n_epochs: optional('--epochs', flags.epochs),
    batch_size: optional('--batch-size', flags.batchSize),
    learning_rate_multiplier: optional('--learning-rate-multiplier', flags.learningRateMultiplier),
  });
  const rowSparse = present({
    ...objectAt(base, 'row_sparse'),
    ...(flags.rowSparse === undefined ? {} : jsonObject('--row-sparse', flags.rowSparse)),
    ...present({
      rows: rowsOf(flags.rows),
      scorer: flags.scorer,
      learning_rate: optional('--learning-rate', flags.learningRate),
      lr_schedule: flags.schedule,
      max_steps: optional('--max-steps', flags.maxSteps),
      max_seq_length: optional('--max-seq-length', flags.maxSeqLength),
      sample_prompts: flags.prompt,
    }),
  });
  // The old place of the hyperparameters stays the place if the file uses it: both at once would be refused.
  const old = isObject(base['hyperparameters']);
  const before = old ? objectAt(base, 'hyperparameters') : objectAt(objectAt(objectAt(base, 'method'), 'supervised'), 'hyperparameters');
  const merged = { ...before, ...hyperparameters };
  const changed = Object.keys(hyperparameters).length > 0;
  const body = {
    ...base,
    ...present({
      ...files,
      model: flags.model,
      validation_split: optional('--validation-split', flags.validationSplit),
      invalid_sample_skip_percentage: optional('--skip-invalid', flags.skipInvalid),
      suffix: flags.suffix,
      seed: optional('--seed', flags.seed),
      metadata: flags.metadata ? { ...objectAt(base, 'metadata'), ...keyValues(flags.metadata) } : undefined,
      priority: optional('--priority', flags.priority),
      device_class: flags.deviceClass,
      max_duration_seconds: optional('--max-duration', flags.maxDuration),
      integrations: integrationsOf(flags),
      hyperparameters: changed && old ? merged : undefined,
      method: changed && !old ? { type: 'supervised', supervised: { hyperparameters: merged } } : undefined,
      row_sparse: Object.keys(rowSparse).length > 0 ? rowSparse : undefined,
    }),
  };
  return applySettings(body, flags.set ?? []);
}
