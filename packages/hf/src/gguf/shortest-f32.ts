/** GGUF keeps f32: 1e-5 comes back as 0.0000099999997. The shortest decimal with the same f32 value is what the author wrote. */
export function shortestF32(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === Math.fround(value)) return short;
  }
  return value;
}
