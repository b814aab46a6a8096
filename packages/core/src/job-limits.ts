/**
 * What a job on a model may ask for. Nothing here is a second copy of a rule: bounds are those of the request's schema, and what the model itself rules out is
 * found by asking `resolveJob`, which refuses the same at creation. Each field is tried by itself, the others at their defaults. A few hundred calls of a pure
 * function, a few milliseconds. Pure.
 */
import { CreateJobBody, channelsNames, type FieldLimit, HyperparametersRequest, RowSparseRequest, targetNames } from '@rowsmith/contracts';
import { choicesOf } from './channels.js';
import { type JobFacts, type ResolvedJob, resolveJob } from './resolve-job.js';

export interface JobLimits {
  /** Of a layer: those that can be targets. */
  readonly matrices: readonly { readonly target: string; readonly rows: number; readonly columns: number }[];
  readonly rowsOfChannels: Readonly<Record<string, number>>;
  readonly job: Readonly<Record<string, FieldLimit>>;
  readonly hyperparameters: Readonly<Record<string, FieldLimit>>;
  readonly rowSparse: Readonly<Record<string, FieldLimit>>;
  /** A job with nothing asked for but a batch of one. */
  readonly smallest: ResolvedJob;
}

/** As much of JSON Schema as requests are written in. */
interface Schema {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly string[];
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly maxLength?: number;
}
const propertiesOf = ({ properties }: { readonly properties: object }) => properties as Readonly<Record<string, Schema>>;
type Asked = Readonly<Record<string, unknown>>;
/** Whether a job that asks for nothing but this is taken. */
type Admits = (asked: Asked) => boolean;

/** Files that rule nothing out: enough rows for any batch, and something to validate with. */
const plenty = { trainingExamples: 1_000_000, validationExamples: 100_000, randomSeed: 0 };
const least = { trainingExamples: 1, validationExamples: null, randomSeed: 0 };
/** What a field needs beside it to mean anything. */
const companions: Readonly<Record<string, Asked>> = {
  double_quantization: { quantization: 'nf4' },
  sample_every_evals: { sample_prompts: ['?'] },
};

export function jobLimits(model: JobFacts['model']): JobLimits {
  const resolve = (rowSparse: Asked, facts: Omit<JobFacts, 'model'> = plenty, batch?: number) =>
    resolveJob(
      {
        model: '',
        ...(batch && { hyperparameters: { batch_size: batch } }),
        row_sparse: rowSparse as NonNullable<CreateJobBody['row_sparse']>,
      },
      { ...facts, model },
    );
  // The default number of rows is more than a small matrix has, and no ratio goes with every selection.
  const admits: Admits = (asked) => !('fault' in resolve({ rows: 1, ...asked }));
  const sure = (resolved: ReturnType<typeof resolveJob>): ResolvedJob => {
    if ('fault' in resolved)
      throw new Error(`a job with nothing but defaults is refused: ${resolved.fault.param}: ${resolved.fault.message}`);
    return resolved;
  };
  const [many, less] = [sure(resolve({})), sure(resolve({}, least))];

  const { rows, layers, ...others } = propertiesOf(RowSparseRequest);
  const rowSparse: Record<string, FieldLimit> = {};
  const modelRows = narrowed('rows', rows ?? {}, admits);
  for (const [name, limit] of Object.entries({ ...modelRows, ...narrowed('layers', layers ?? {}, (asked) => admits(upTo(asked))) }))
    rowSparse[name] = limit;
  for (const [name, schema] of Object.entries(others))
    Object.assign(
      rowSparse,
      narrowed(name, schema, (asked) => admits({ ...companions[name], ...asked })),
    );
  const countOf = (channels: 'out' | 'in', target: (typeof targetNames)[number]) =>
    choicesOf({ channels, targets: [target] }, model)[0] ?? 0;
  return {
    matrices: targetNames
      .filter((target) => rowSparse['targets']?.values?.includes(target))
      .map((target) => ({ target, rows: countOf('out', target), columns: countOf('in', target) })),
    rowsOfChannels: Object.fromEntries(
      channelsNames.flatMap((channels) => {
        const most = narrowed('rows', rows ?? {}, (asked) => admits({ channels, ...asked }))['rows']?.maximum;
        return most === undefined ? [] : [[channels, most]];
      }),
    ),
    job: limitsOf(jobFields()),
    hyperparameters: withDefaults(limitsOf(propertiesOf(HyperparametersRequest)), many.hyperparameters, less.hyperparameters),
    rowSparse: withDefaults(rowSparse, many.rowSparse, less.rowSparse),
    smallest: sure(resolve({}, least, 1)),
  };
}

/** The last of the layers is what a bound is looked for of: all before it are there too. */
const upTo = ({ layers }: Asked): Asked => ({ layers: [0, layers] });

/** These have lists of their own. */
const settings: readonly string[] = ['model', 'method', 'hyperparameters', 'row_sparse'];
const jobFields = (): Readonly<Record<string, Schema>> =>
  Object.fromEntries(Object.entries(propertiesOf(CreateJobBody)).filter(([name]) => !settings.includes(name)));

const limitsOf = (fields: Readonly<Record<string, Schema>>): Record<string, FieldLimit> =>
  Object.fromEntries(Object.entries(fields).flatMap(([name, schema]) => Object.entries(narrowed(name, schema, () => true))));

/** What the schema allows of a field, less what the model rules out. Objects that a field may be are fields of their own, named by their path. */
function narrowed(name: string, schema: Schema, admits: Admits): Record<string, FieldLimit> {
  const limits: Record<string, FieldLimit> = { [name]: {} };
  for (const branch of branchesOf(schema)) {
    Object.assign(
      limits[name] as FieldLimit,
      limitOf(branch, (value) => admits({ [name]: value })),
    );
    for (const [inner, part] of Object.entries(branch.properties ?? {}))
      Object.assign(
        limits,
        narrowed(`${name}.${inner}`, part, () => true),
      );
  }
  return limits;
}

/** Without "auto" and null, which say that nothing is asked for. */
const branchesOf = ({ anyOf, ...schema }: Schema): readonly Schema[] =>
  anyOf ? anyOf.flatMap(branchesOf).filter((branch) => branch.const === undefined && branch.type !== 'null') : [schema];

function limitOf(schema: Schema, admits: (value: unknown) => boolean): FieldLimit {
  const { items } = schema;
  switch (schema.type) {
    case 'string':
      return schema.enum ? { values: schema.enum.filter(admits) } : whole({ max_length: schema.maxLength });
    case 'boolean':
      return { values: [false, true].filter(admits) };
    case 'array':
      return {
        ...(items && arrayItems(items, admits)),
        ...whole({
          min_items: schema.minItems,
          max_items: items?.type === 'string' && !items.enum && !admits(['?']) ? 0 : schema.maxItems,
        }),
      };
    case 'integer':
    case 'number':
      return whole({
        minimum: schema.minimum,
        exclusive_minimum: schema.exclusiveMinimum,
        maximum: schema.type === 'integer' ? largest(schema, admits) : schema.maximum,
        exclusive_maximum: schema.exclusiveMaximum,
      });
    default:
      return {};
  }
}

/** Of lists of names each name is tried alone; of lists of numbers (layers) a number stands for the list that ends with it. */
const arrayItems = (items: Schema, admits: (value: unknown) => boolean): FieldLimit => {
  if (items.enum) return { values: items.enum.filter((value) => admits([value])) };
  return items.type === 'integer' ? limitOf({ ...items, maximum: items.maximum ?? mostOfAll }, admits) : {};
};
/** Above any number of layers. */
const mostOfAll = 2 ** 20;

/** The largest number up to the schema's maximum that is admitted, where all smaller ones are too. */
function largest({ minimum = 0, maximum }: Schema, admits: (value: unknown) => boolean): number | undefined {
  if (maximum === undefined || admits(maximum)) return maximum;
  let [low, high] = [minimum, maximum];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (admits(middle)) low = middle;
    else high = middle;
  }
  return low;
}

const whole = (limit: { readonly [K in keyof FieldLimit]: FieldLimit[K] | undefined }): FieldLimit =>
  Object.fromEntries(Object.entries(limit).filter(([, value]) => value !== undefined)) as FieldLimit;

/** Where two jobs that differ in their files have the same. */
function withDefaults(limits: Readonly<Record<string, FieldLimit>>, many: object, less: object): Record<string, FieldLimit> {
  const [a, b] = [many, less] as [Asked, Asked];
  return Object.fromEntries(
    Object.entries(limits).map(([name, limit]) => [
      name,
      a[name] !== undefined && JSON.stringify(a[name]) === JSON.stringify(b[name]) ? { ...limit, default: a[name] } : limit,
    ]),
  );
}
