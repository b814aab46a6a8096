/** The export of rows that lie in a file, module by module: the bytes are those of `exportPeft`, the memory is A and B of one module, whatever the adapter's size. */
import type { ModuleRows } from '@rowsmith/contracts';
import { safetensorsLayout } from '@rowsmith/hf';
import { AdapterError } from './errors.js';
import { exportModules, type Placements } from './fused-modules.js';
import { type LoraMatrices, loraMatrices } from './lora-matrices.js';
import {
  adapterConfigName,
  adapterWeightsName,
  configFile,
  type PeftExportOptions,
  peftA,
  peftB,
  readmeName,
  weightsMetadata,
} from './peft-export.js';
import { peftReadme } from './peft-readme.js';
import type { RowsFile } from './rows-file.js';

export type PeftStreamOptions = Pick<
  PeftExportOptions,
  'baseModel' | 'revision' | 'baseSha256' | 'basePrecision' | 'placements' | 'modelLayers'
>;
export interface PeftStream {
  readonly rank: number;
  /** `adapter_config.json` and `README.md`. */
  readonly small: ReadonlyMap<string, Uint8Array>;
  readonly weights: {
    readonly name: string;
    readonly bytes: number;
    /** Names and shapes of all tensors: with equal rows, equal headers are equal files. */
    readonly header: Uint8Array;
    /** Header and tensors, in order. Throws what reading the rows throws. */
    readonly read: () => AsyncGenerator<Uint8Array, void, void>;
  };
}

/** A module of the export and the trained matrices in it, as they lie there. */
interface Group {
  readonly name: string;
  readonly members: readonly string[];
  readonly outFeatures: number;
  readonly inFeatures: number;
  /** Components in use. */
  readonly rank: number;
}

/**
 * Not for trained biases and heads of classifiers, which PEFT stores whole: these need the base's own. Throws AdapterError `bad_rows` for them, and what reading
 * the rows throws; a file that is damaged beyond its header shows only while the weights are read.
 */
export async function streamPeft(rows: RowsFile, options: PeftStreamOptions): Promise<PeftStream> {
  const whole = [...rows.modules].find(([, { biases }]) => biases)?.[0];
  if (whole !== undefined) throw new AdapterError('bad_rows', `${whole}: its base bias is needed to store the trained one`);
  const groups = await groupsOf(rows, options.placements ?? new Map());
  const rank = Math.max(...groups.map((group) => group.rank));
  const places = new Map<string, { readonly group: Group; readonly part: keyof LoraMatrices; readonly shape: readonly number[] }>();
  for (const group of groups) {
    places.set(peftA(group.name), { group, part: 'a', shape: [rank, group.inFeatures] });
    places.set(peftB(group.name), { group, part: 'b', shape: [group.outFeatures, rank] });
  }
  const shapes = Array.from(places, ([name, { shape }]) => [name, { dtype: 'F32', shape }] as const);
  const { header, names, bytes } = safetensorsLayout(new Map(shapes), weightsMetadata);
  const matricesOf = async ({ members }: Group) => {
    const [module] = exportModules(await readAll(rows, members), options.placements);
    if (!module) throw new AdapterError('bad_rows', 'a module of the export has no part');
    return loraMatrices(module, rank);
  };
  return {
    rank,
    small: new Map([
      [
        adapterConfigName,
        configFile(
          groups.map(({ name }) => name),
          { rank, trainsBiases: false, saved: [] },
          options,
        ),
      ],
      [readmeName, new TextEncoder().encode(peftReadme({ ...options, rank, modules: rows.modules }))],
    ]),
    weights: {
      name: adapterWeightsName,
      bytes,
      header,
      async *read() {
        yield header;
        // A and B of a module are neighbours: their names differ in one letter.
        let at: Group | undefined;
        let matrices: LoraMatrices = { a: new Float32Array(0), b: new Float32Array(0) };
        for (const name of names) {
          const { group, part } = places.get(name) as { group: Group; part: keyof LoraMatrices };
          if (at !== group) [at, matrices] = [group, await matricesOf(group)];
          const { buffer, byteOffset, byteLength } = matrices[part];
          yield new Uint8Array(buffer, byteOffset, byteLength);
        }
      },
    },
  };
}

/** Parts of a fused module in the order in which they lie there: the trainer's order of matrices, which a file sorted by names has lost. */
async function groupsOf(rows: RowsFile, placements: Placements): Promise<Group[]> {
  const members = new Map<string, string[]>();
  for (const name of rows.modules.keys()) {
    const module = placements.get(name)?.module ?? name;
    members.set(module, [...(members.get(module) ?? []), name]);
  }
  const groups: Group[] = [];
  const offsetOf = (name: string) => placements.get(name)?.rowOffset ?? 0;
  for (const [name, parts] of members) {
    parts.sort((a, b) => offsetOf(a) - offsetOf(b));
    const sizes = parts.flatMap((part) => rows.modules.get(part) ?? []);
    const own = sizes.reduce((sum, size) => sum + size.rows, 0);
    const outFeatures = placements.get(parts[0] ?? '')?.outFeatures ?? sizes[0]?.outFeatures ?? 0;
    groups.push({ name, members: parts, outFeatures, inFeatures: sizes[0]?.inFeatures ?? 0, rank: own + (await columnsOf(rows, parts)) });
  }
  return groups;
}

/** Parts share the columns that both train, and which these are only the numbers say. */
async function columnsOf(rows: RowsFile, parts: readonly string[]): Promise<number> {
  const counts = parts.map((part) => rows.modules.get(part)?.columns ?? 0);
  if (counts.filter((count) => count > 0).length < 2) return Math.max(...counts);
  const columns = new Set<number>();
  for (const { columns: chosen } of (await readAll(rows, parts)).values()) for (const column of chosen ?? []) columns.add(column);
  return columns.size;
}

async function readAll(rows: RowsFile, names: readonly string[]): Promise<Map<string, ModuleRows>> {
  const delta = new Map<string, ModuleRows>();
  for (const name of names) delta.set(name, await rows.read(name));
  return delta;
}
