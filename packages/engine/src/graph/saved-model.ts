import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import protobuf from 'protobufjs/light.js';
import { EngineError } from '../errors.js';

/** AttrValue of TensorFlow: one member. `s` and `tensorContent` are bytes, `type` and `dtype` codes of DataType. */
export type AttrValue =
  | { readonly s: Uint8Array }
  | { readonly i: number }
  | { readonly f: number }
  | { readonly b: boolean }
  | { readonly type: number }
  | { readonly shape: ShapeProto }
  | { readonly tensor: { readonly dtype: number; readonly tensorShape: ShapeProto; readonly tensorContent: Uint8Array } }
  | { readonly list: { readonly f: readonly number[] } };

export interface ShapeProto {
  readonly dim?: readonly { readonly size: number }[];
  readonly unknownRank?: boolean;
}

export interface NodeDef {
  readonly name: string;
  readonly op: string;
  /** `node`, `node:output`, `^node` (control). */
  readonly input: readonly string[];
  readonly attr: Readonly<Record<string, AttrValue>>;
}

/** protobuf refuses messages of 2 GiB; weights are never in the graph, so that this is a mistake long before. */
const maxBytes = 1 << 30;

type Fields = Record<string, { type: string; id: number; rule?: 'repeated'; keyType?: string }>;
const message = (fields: Fields, oneofs?: Record<string, { oneof: string[] }>) => ({ fields, ...(oneofs && { oneofs }) });

/** The few fields of TensorFlow's saved_model.proto, meta_graph.proto, graph.proto, node_def.proto, attr_value.proto and tensor.proto that a graph needs. */
const schema = protobuf.Root.fromJSON({
  nested: {
    SavedModel: message({
      savedModelSchemaVersion: { type: 'int64', id: 1 },
      metaGraphs: { rule: 'repeated', type: 'MetaGraphDef', id: 2 },
    }),
    MetaGraphDef: message({ metaInfoDef: { type: 'MetaInfoDef', id: 1 }, graphDef: { type: 'GraphDef', id: 2 } }),
    MetaInfoDef: message({ tags: { rule: 'repeated', type: 'string', id: 4 } }),
    GraphDef: message({ node: { rule: 'repeated', type: 'NodeDef', id: 1 }, versions: { type: 'VersionDef', id: 4 } }),
    VersionDef: message({ producer: { type: 'int32', id: 1 }, minConsumer: { type: 'int32', id: 2 } }),
    NodeDef: message({
      name: { type: 'string', id: 1 },
      op: { type: 'string', id: 2 },
      input: { rule: 'repeated', type: 'string', id: 3 },
      attr: { keyType: 'string', type: 'AttrValue', id: 5 },
    }),
    AttrValue: message(
      {
        list: { type: 'ListValue', id: 1 },
        s: { type: 'bytes', id: 2 },
        i: { type: 'int64', id: 3 },
        f: { type: 'float', id: 4 },
        b: { type: 'bool', id: 5 },
        type: { type: 'int32', id: 6 },
        shape: { type: 'TensorShapeProto', id: 7 },
        tensor: { type: 'TensorProto', id: 8 },
      },
      { value: { oneof: ['list', 's', 'i', 'f', 'b', 'type', 'shape', 'tensor'] } },
    ),
    ListValue: message({ f: { rule: 'repeated', type: 'float', id: 4 } }),
    TensorProto: message({
      dtype: { type: 'int32', id: 1 },
      tensorShape: { type: 'TensorShapeProto', id: 2 },
      tensorContent: { type: 'bytes', id: 4 },
    }),
    TensorShapeProto: message({ dim: { rule: 'repeated', type: 'Dim', id: 2 }, unknownRank: { type: 'bool', id: 3 } }),
    Dim: message({ size: { type: 'int64', id: 1 } }),
  },
});
const SavedModel = schema.lookupType('SavedModel');

/** GraphDef version of TensorFlow 2.18's operators. */
const producer = 1994;

export function encodeSavedModel(nodes: readonly NodeDef[]): Uint8Array {
  const content = {
    savedModelSchemaVersion: 1,
    metaGraphs: [{ metaInfoDef: { tags: ['serve'] }, graphDef: { node: nodes, versions: { producer, minConsumer: 0 } } }],
  };
  const bytes = SavedModel.encode(SavedModel.fromObject(content)).finish();
  if (bytes.length > maxBytes) throw new EngineError('infra', 'tensorflow', `a graph of ${bytes.length} bytes is too large`);
  return bytes;
}

/** Hands `use` a folder that holds the SavedModel; it is gone afterwards. TensorFlow reads SavedModels from folders only. */
export function withSavedModel<T>(nodes: readonly NodeDef[], use: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'rowsmith-graph-'));
  try {
    writeFileSync(join(folder, 'saved_model.pb'), encodeSavedModel(nodes));
    return use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
