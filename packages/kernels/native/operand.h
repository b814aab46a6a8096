// What the operands of a matrix product are turned into as they are packed, a vector of units at a time.
#pragma once
#include "bf16.h"
#include "vec.h"

namespace rowsmith {

// Numbers as they are.
struct F32 {
  using Unit = float;
  using Units = Vec;
  static constexpr int kDepth = 1;  // numbers of successive k in a unit
  static Vec step(Vec sum, float a, Vec b) { return sum + splat(a) * b; }
  static Unit unit(const float* p, int64_t, bool) { return *p; }
  // kLanes units of successive k.
  static Units along(const float* p) { return load(p); }
  // One unit of each of kLanes neighbours.
  static Units across(const float* p, int64_t) { return load(p); }
};

#if defined(__AVX512BF16__)
// Rounded to bfloat16 (ties to even); a unit holds the numbers of two successive k, and the processor makes both products at once.
struct Bf16 {
  using Unit = uint32_t;
  using Units = IVec;
  static constexpr int kDepth = 2;
  static Vec step(Vec sum, uint32_t a, IVec b) {
    return (Vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32(static_cast<int32_t>(a)), (__m512bh)b);
  }
  static Unit unit(const float* p, int64_t step, bool whole) { return bf16Bits(p[0]) | (whole ? static_cast<uint32_t>(bf16Bits(p[step])) << 16 : 0u); }
  static Units along(const float* p) { return both(p + kLanes, p); }
  static Units across(const float* p, int64_t step) {
    constexpr auto pairs = [] {
      struct { alignas(64) int16_t from[32]; } order{};
      for (int i = 0; i < 32; ++i) order.from[i] = static_cast<int16_t>(i / 2 + (i % 2) * 16);
      return order;
    }();
    return (IVec)_mm512_permutexvar_epi16(_mm512_load_si512(pairs.from), (__m512i)both(p + step, p));
  }

 private:
  static Units both(const float* upper, const float* lower) { return (IVec)_mm512_cvtne2ps_pbh((__m512)load(upper), (__m512)load(lower)); }
};
#else
// Rounded to bfloat16 (ties to even), multiplied in f32.
struct Bf16 {
  using Unit = float;
  using Units = Vec;
  static constexpr int kDepth = 1;
  static Vec step(Vec sum, float a, Vec b) { return sum + splat(a) * b; }
  static Unit unit(const float* p, int64_t, bool) { return bf16Value(bf16Bits(*p)); }
  static Units along(const float* p) { return rounded(load(p)); }
  static Units across(const float* p, int64_t) { return rounded(load(p)); }

 private:
  static Vec rounded(Vec x) {
    IVec bits;
    std::memcpy(&bits, &x, sizeof(Vec));
    const IVec up = bits + 0x7fff + ((bits >> 16) & 1), number = up & static_cast<int32_t>(0xffff0000u);
    const IVec nan = (bits & static_cast<int32_t>(0xffff0000u)) | 0x400000, out = x == x ? number : nan;
    std::memcpy(&x, &out, sizeof(Vec));
    return x;
  }
};
#endif

// A square of units, lines to columns: half of the lanes change places with the other half, then quarters, and so on.
template <int WIDTH = kLanes / 2, typename Units>
inline void transposeUnits(Units (&rows)[kLanes]) {
  IVec upper, lower;
  for (int i = 0; i < kLanes; ++i) {
    upper[i] = (i & WIDTH) ? kLanes + i - WIDTH : i;
    lower[i] = (i & WIDTH) ? kLanes + i : i + WIDTH;
  }
  for (int i = 0; i < kLanes; ++i) {
    if (i & WIDTH) continue;
    const Units a = rows[i], b = rows[i + WIDTH];
    rows[i] = __builtin_shuffle(a, b, upper);
    rows[i + WIDTH] = __builtin_shuffle(a, b, lower);
  }
  if constexpr (WIDTH > 1) transposeUnits<WIDTH / 2>(rows);
}

}  // namespace rowsmith
