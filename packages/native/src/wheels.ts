/** A wheel on the Python package index, pinned. `bytes` only feeds the progress bar; the hash decides. */
export interface PinnedWheel {
  readonly project: string;
  readonly version: string;
  readonly sha256: string;
  readonly bytes: number;
  /** pip's tag; undefined for wheels of pure Python or plain data. */
  readonly platform?: string;
}

export type NativeDevice = 'cpu' | 'cuda';

export const tensorflowVersion = '2.18.1';

/** Keyed by device and Node's name of the processor. On aarch64 the CPU build is the project `tensorflow` itself. */
export const tensorflowWheels: Readonly<Record<string, PinnedWheel>> = {
  'cpu-x64': {
    project: 'tensorflow_cpu',
    version: tensorflowVersion,
    sha256: '810c75d7149d2da0cb2092187817b0dcabb80728ca9f9cf3a61f3f42fadd1298',
    bytes: 230_236_181,
    platform: 'manylinux_2_17_x86_64',
  },
  'cpu-arm64': {
    project: 'tensorflow',
    version: tensorflowVersion,
    sha256: '8a6485edd2148f70d011dbd1d8dc2c775e91774a5a159466e83d0d1f21580944',
    bytes: 231_000_000,
    platform: 'manylinux_2_17_aarch64',
  },
  'cuda-x64': {
    project: 'tensorflow',
    version: tensorflowVersion,
    sha256: 'c9f87e5d2a680a4595f5dc30daf6bbaec9d4129b46d7ef1b2af63c46ac7d2828',
    bytes: 615_000_000,
    platform: 'manylinux_2_17_x86_64',
  },
};
