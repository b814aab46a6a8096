/** One report of a long step. `total` is left out where it is unknown; both count bytes. */
export interface NativeProgress {
  readonly step: 'download' | 'unpack' | 'verify' | 'compile' | 'link';
  readonly message: string;
  readonly done?: number;
  readonly total?: number;
}
export type OnProgress = (progress: NativeProgress) => void;
