/** `rowsmith jobs options`: every field of a job, read from the schema that the API checks with, so that none is missing here. */
import { CreateJobBody } from '@rowsmith/contracts';
import { table } from '../table.js';
import { isObject, type JsonObject } from './settings.js';

export interface JobOption {
  readonly path: string;
  readonly type: string;
  readonly description: string;
}

const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

function rangeOf(schema: JsonObject): string {
  const low = schema['minimum'] ?? schema['exclusiveMinimum'];
  const high = schema['maximum'] ?? schema['exclusiveMaximum'];
  const words = [
    ...(low === undefined ? [] : [`${schema['minimum'] === undefined ? 'above' : 'from'} ${String(low)}`]),
    ...(high === undefined ? [] : [`${schema['maximum'] === undefined ? 'below' : 'to'} ${String(high)}`]),
  ];
  return words.length === 0 ? '' : ` ${words.join(' ')}`;
}

function typeOf(schema: unknown): string {
  if (!isObject(schema)) return 'any';
  const branches = list(schema['anyOf']);
  if (branches.length > 0) return [...new Set(branches.map(typeOf))].join(' | ');
  if (schema['const'] !== undefined) return String(schema['const']);
  const names = list(schema['enum']);
  if (names.length > 0) return names.join(' | ');
  if (schema['type'] === 'array') return `list of ${typeOf(schema['items'])}`;
  if (schema['type'] === 'object') {
    const fields = Object.keys(isObject(schema['properties']) ? schema['properties'] : {});
    return fields.length === 0 ? 'object' : `{${fields.join(', ')}}`;
  }
  return `${String(schema['type'] ?? 'any')}${rangeOf(schema)}`;
}

/** The description may be on the field or on the branch that says how it looks. */
function descriptionOf(schema: JsonObject): string {
  if (typeof schema['description'] === 'string') return schema['description'];
  return list(schema['anyOf'])
    .filter(isObject)
    .map(descriptionOf)
    .filter((d) => d !== '')
    .join('; or ');
}

/** Objects are gone into where they have a fixed set of fields that --set can name. */
function optionsIn(schema: JsonObject, prefix: string): JobOption[] {
  const properties = isObject(schema['properties']) ? schema['properties'] : {};
  return Object.entries(properties).flatMap(([name, field]) => {
    if (!isObject(field)) return [];
    const path = `${prefix}${name}`;
    if (isObject(field['properties'])) return optionsIn(field, `${path}.`);
    return [{ path, type: typeOf(field), description: descriptionOf(field) }];
  });
}

export const jobOptions = (): JobOption[] => optionsIn(JSON.parse(JSON.stringify(CreateJobBody)) as JsonObject, '');
export const jobOptionsText = (options: readonly JobOption[]): string =>
  table(
    ['field', 'value', 'meaning'],
    options.map(({ path, type, description }) => [path, type, description]),
  );
