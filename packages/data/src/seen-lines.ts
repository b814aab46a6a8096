/**
 * Which lines were there before, by a 64-bit hash of their text: two different lines count as the same with a probability of about n^2 / 2^65.
 * Memory: 8 bytes a slot, at most `maxSlots` of them; the lines after that many are not counted.
 */
export class SeenLines {
  private slots = new Uint32Array(2 * 1024);
  private used = 0;
  duplicates = 0;
  /** False once there were too many different lines to hold all: `duplicates` is then a lower bound. */
  complete = true;

  constructor(private readonly maxSlots = 2 ** 23) {}

  add(text: string): void {
    const [high, low] = hash64(text);
    if (this.has(high, low)) {
      this.duplicates++;
      return;
    }
    if (2 * (this.used + 1) > this.slots.length / 2 && !this.grow()) {
      this.complete = false;
      return;
    }
    this.put(high, low);
  }

  private has(high: number, low: number): boolean {
    const at = this.find(high, low);
    return this.slots[at] !== 0 || this.slots[at + 1] !== 0;
  }

  private put(high: number, low: number): void {
    const at = this.find(high, low);
    this.slots[at] = high;
    this.slots[at + 1] = low;
    this.used++;
  }

  /** Where it is, or the free place where it would be. Half of the slots are free, so there is one. */
  private find(high: number, low: number): number {
    const mask = this.slots.length / 2 - 1;
    for (let slot = low & mask; ; slot = (slot + 1) & mask) {
      const [h, l] = [this.slots[2 * slot], this.slots[2 * slot + 1]];
      if ((h === high && l === low) || (h === 0 && l === 0)) return 2 * slot;
    }
  }

  private grow(): boolean {
    if (this.slots.length / 2 >= this.maxSlots) return false;
    const old = this.slots;
    this.slots = new Uint32Array(2 * old.length);
    this.used = 0;
    for (let i = 0; i < old.length; i += 2) if (old[i] !== 0 || old[i + 1] !== 0) this.put(old[i] as number, old[i + 1] as number);
    return true;
  }
}

/** Two multiplicative hashes with different constants and a final mix; never 0, 0. */
function hash64(text: string): readonly [number, number] {
  let a = 0x811c9dc5;
  let b = 0x9747b28c;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b ^ unit, 0x5bd1e995);
    b ^= b >>> 15;
  }
  a = Math.imul(a ^ (a >>> 16) ^ text.length, 0x85ebca6b);
  b = Math.imul(b ^ (b >>> 13), 0xc2b2ae35);
  const high = (a ^ (a >>> 13)) >>> 0;
  const low = (b ^ (b >>> 16)) >>> 0;
  return high === 0 && low === 0 ? [1, 0] : [high, low];
}

/** 53 bits of a hash of the text: 0 to 2^53 - 1. */
export function hashOfText(text: string): number {
  const [high, low] = hash64(text);
  return high * 2 ** 21 + (low >>> 11);
}
