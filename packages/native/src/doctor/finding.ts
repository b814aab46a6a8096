/** `needed`: Rowsmith cannot work on this machine without it. `optional` findings never make the doctor fail. */
export interface Finding {
  readonly name: string;
  readonly state: 'ok' | 'absent' | 'broken';
  readonly needed: boolean;
  /** What was found, in one line. */
  readonly detail: string;
  /** One sentence that tells what to do; only where state is not ok. */
  readonly repair?: string;
  /** The same facts for programs. */
  readonly data?: Readonly<Record<string, unknown>>;
}

export const ok = (name: string, detail: string, data?: Finding['data']): Finding => ({
  name,
  state: 'ok',
  needed: false,
  detail,
  ...(data ? { data } : {}),
});
export const absent = (name: string, detail: string): Finding => ({ name, state: 'absent', needed: false, detail });
export const broken = (name: string, detail: string, repair: string): Finding => ({ name, state: 'broken', needed: true, detail, repair });
export const isFailure = (finding: Finding): boolean => finding.needed && finding.state !== 'ok';
