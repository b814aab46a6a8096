import { CreateJobBody, scorerNames, targetNames } from '@rowsmith/contracts';
import { Ajv } from 'ajv';
import { expect, test } from 'vitest';
import { unstorableText } from './unstorable-text.js';
import { validationError } from './validation.js';

const validate = new Ajv({ allErrors: true, verbose: true, strict: false }).compile(CreateJobBody);
const minimal = { model: 'm', training_file: 'file-1' };
// Told once, though it breaks two rules.
const suffixMessage = "Invalid value for 'suffix': expected a string of 1 to 64 characters that matches ^[A-Za-z0-9][A-Za-z0-9._-]*$.";
function faultOf(body: unknown) {
  expect(validate(body)).toBe(false);
  const { message, code, param } = validationError(validate.errors ?? []);
  return { message, code, param };
}

test('the smallest body is valid', () => expect(validate(minimal)).toBe(true));

test.each([
  [{ ...minimal, learningRate: 1 }, 'unknown_parameter', 'learningRate', "Unknown parameter: 'learningRate'."],
  [
    { ...minimal, row_sparse: { rows: { ratio: 0.1, step: 3 } } },
    'unknown_parameter',
    'row_sparse.rows.step',
    "Unknown parameter: 'row_sparse.rows.step'.",
  ],
  [{ training_file: 'x' }, 'missing_required_parameter', 'model', "Missing required parameter: 'model'."],
  [{ ...minimal, model: 3 }, 'invalid_type', 'model', "Invalid type for 'model': expected a string of 1 to 256 characters, got a number."],
  [
    { ...minimal, method: { type: 'supervised', supervised: { hyperparameters: { n_epochs: 0 } } } },
    'invalid_value',
    'method.supervised.hyperparameters.n_epochs',
    'Invalid value for \'method.supervised.hyperparameters.n_epochs\': expected "auto" or an integer >= 1 and <= 50.',
  ],
  [{ ...minimal, seed: '7' }, 'invalid_type', 'seed', "Invalid type for 'seed': expected an integer >= 0 and <= 2147483647, got a string."],
  [
    { ...minimal, metadata: { k: 1 } },
    'invalid_type',
    'metadata.k',
    "Invalid type for 'metadata.k': expected a string of 0 to 512 characters, got a number.",
  ],
  [
    { ...minimal, metadata: { [`${'k'.repeat(65)}`]: 'v' } },
    'invalid_value',
    'metadata',
    `Invalid value for 'metadata': the key "${'k'.repeat(65)}" is not allowed (1 to 64 characters).`,
  ],
  [
    { ...minimal, metadata: { 'two\nlines': 1 } },
    'invalid_value',
    'metadata',
    `Invalid value for 'metadata': the key "two\\nlines" is not allowed (1 to 64 characters).`,
  ],
  [
    { ...minimal, row_sparse: { scorer: 'l3' } },
    'invalid_value',
    'row_sparse.scorer',
    `Invalid value for 'row_sparse.scorer': expected "auto" or one of ${scorerNames.map((name) => `"${name}"`).join(', ')}.`,
  ],
  [
    { ...minimal, row_sparse: { execution: 'xla' } },
    'invalid_value',
    'row_sparse.execution',
    `Invalid value for 'row_sparse.execution': expected one of "auto", "eager", "graph".`,
  ],
  [
    { ...minimal, row_sparse: { targets: ['q_proj', 'nope'] } },
    'invalid_value',
    'row_sparse.targets[1]',
    `Invalid value for 'row_sparse.targets[1]': expected one of ${targetNames.map((name) => `"${name}"`).join(', ')}.`,
  ],
  [
    { ...minimal, row_sparse: { rows: { ratio: 2 } } },
    'invalid_value',
    'row_sparse.rows.ratio',
    "Invalid value for 'row_sparse.rows.ratio': expected a number > 0 and <= 1.",
  ],
  [{ ...minimal, suffix: '' }, 'invalid_value', 'suffix', suffixMessage],
  [
    { ...minimal, integrations: [{ type: 'wandb', wandb: {} }] },
    'missing_required_parameter',
    'integrations[0].wandb.project',
    "Missing required parameter: 'integrations[0].wandb.project'.",
  ],
  [
    { ...minimal, integrations: [{ type: 'mlflow' }] },
    'missing_required_parameter',
    'integrations[0].mlflow',
    "Missing required parameter: 'integrations[0].mlflow'.",
  ],
  [
    { ...minimal, integrations: [{ type: 'comet', comet: {} }] },
    'invalid_value',
    'integrations[0].type',
    'Invalid value for \'integrations[0].type\': expected one of "wandb", "mlflow".',
  ],
  [
    { ...minimal, integrations: [{}] },
    'missing_required_parameter',
    'integrations[0].type',
    "Missing required parameter: 'integrations[0].type'.",
  ],
  [
    { ...minimal, integrations: [{ type: 'wandb', wandb: { project: 'x', team: 'y' } }] },
    'unknown_parameter',
    'integrations[0].wandb.team',
    "Unknown parameter: 'integrations[0].wandb.team'.",
  ],
])('%j', (body, code, param, message) => {
  expect(faultOf(body)).toEqual({ code, param, message });
});

test('several faults are told at once, misspelt names first', () => {
  expect(faultOf({ modle: 'm', training_file: 'x' }).message).toBe("Unknown parameter: 'modle'. Missing required parameter: 'model'.");
});

test('items of different kinds are each told by their own', () => {
  const integrations = [
    { type: 'mlflow', mlflow: {} },
    { type: 'wandb', wandb: {} },
  ];
  expect(faultOf({ ...minimal, integrations }).message).toBe(
    "Missing required parameter: 'integrations[0].mlflow.experiment'. Missing required parameter: 'integrations[1].wandb.project'.",
  );
});

test('a body that is no object', () => {
  expect(faultOf(null)).toMatchObject({ code: 'invalid_type', param: null });
});

test.each([
  [{ a: ['x', { b: 'y\0' }] }, ['a', '1', 'b']],
  [{ a: 'ok', 'k\0': 1 }, []],
  [{ metadata: { k: '\ud800' } }, ['metadata', 'k']],
  ['\0', []],
  [{ a: '\u{1f600}', b: null, c: [1, true] }, null],
])('text that the database cannot keep: %j', (value, path) => {
  expect(unstorableText(value)).toEqual(path);
});
