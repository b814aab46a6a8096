/**
 * TensorBoard event files: TFRecords (length, masked CRC-32C of it, data, masked CRC-32C of that) that hold `tensorflow.Event` protocol buffers.
 * The three messages that a scalar needs are written by hand: five fields, against a protobuf compiler in the build.
 */
import type { MetricPoint } from '@rowsmith/contracts';
import { crc32c } from './crc32c.js';
import { scalarsOf } from './scalars.js';

const wire = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
}
const tag = (field: number, type: number) => varint(field * 8 + type);
const delimited = (field: number, data: Buffer) => Buffer.concat([tag(field, wire.bytes), varint(data.length), data]);
function double(field: number, value: number): Buffer {
  const data = Buffer.alloc(8);
  data.writeDoubleLE(value);
  return Buffer.concat([tag(field, wire.fixed64), data]);
}
function float(field: number, value: number): Buffer {
  const data = Buffer.alloc(4);
  data.writeFloatLE(value);
  return Buffer.concat([tag(field, wire.fixed32), data]);
}

/** proto3 leaves a zero out. Event: 1 wall_time, 2 step, 3 file_version, 5 summary; Summary: 1 value; Value: 1 tag, 2 simple_value. */
const event = (wallTime: number, step: number, content: Buffer) =>
  Buffer.concat([double(1, wallTime), ...(step === 0 ? [] : [tag(2, wire.varint), varint(step)]), content]);

function record(data: Buffer): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(data.length));
  return Buffer.concat([length, checksum(length), data, checksum(data)]);
}
function checksum(data: Buffer): Buffer {
  const crc = crc32c(data);
  const masked = Buffer.alloc(4);
  masked.writeUInt32LE((((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0);
  return masked;
}

/** First record of a file. wallTime: unix seconds. */
export const tfeventsHeader = (wallTime: number): Buffer => record(event(wallTime, 0, delimited(3, Buffer.from('brain.Event:2'))));

/** One record with the scalars of a step; empty when the point holds none. The same input gives the same bytes. */
export function tfeventsRecord(point: MetricPoint, wallTime: number): Buffer {
  const values = scalarsOf(point).map(({ name, value }) => delimited(1, Buffer.concat([delimited(1, Buffer.from(name)), float(2, value)])));
  return values.length === 0 ? Buffer.alloc(0) : record(event(wallTime, point.step, delimited(5, Buffer.concat(values))));
}
