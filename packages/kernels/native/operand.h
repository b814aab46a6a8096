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
  static constexpr int kParts = 1;  // units whose sum a number is turned into
  static Vec step(Vec sum, float a, Vec b) { return sum + splat(a) * b; }
  // One unit; `whole`: there are numbers for all of it.
  static void unit(const float* p, int64_t, bool, Unit* out) { *out = *p; }
  // kLanes units of successive k.
  static void along(const float* p, Units* out) { *out = load(p); }
  // One unit of each of kLanes neighbours.
  static void across(const float* p, int64_t, Units* out) { *out = load(p); }
};

#if defined(__AVX512BF16__)
// Numbers as sums of PARTS bfloat16 numbers: rounded (ties to even), then what that leaves rounded, and so on; three parts hold all 24 bits of an f32.
// A unit holds the numbers of two successive k, whose products the processor makes at once.
template <int PARTS>
struct Bf16Parts {
  using Unit = uint32_t;
  using Units = IVec;
  static constexpr int kDepth = 2, kParts = PARTS;
  static Vec step(Vec sum, uint32_t a, IVec b) {
    static_assert(PARTS == 1);
    return (Vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32(static_cast<int32_t>(a)), (__m512bh)b);
  }
  static void unit(const float* p, int64_t step, bool whole, Unit* out) {
    float lower = p[0], upper = whole ? p[step] : 0.0f;
    for (int part = 0; part < PARTS; ++part) {
      const uint16_t l = bf16Bits(lower), u = bf16Bits(upper);
      out[part] = l | static_cast<uint32_t>(u) << 16;
      lower -= bf16Value(l);
      upper -= bf16Value(u);
    }
  }
  static void along(const float* p, Units* out) { split(load(p + kLanes), load(p), out); }
  static void across(const float* p, int64_t step, Units* out) {
    constexpr auto pairs = [] {
      struct { alignas(64) int16_t from[32]; } order{};
      for (int i = 0; i < 32; ++i) order.from[i] = static_cast<int16_t>(i / 2 + (i % 2) * 16);
      return order;
    }();
    split(load(p + step), load(p), out);
    for (int part = 0; part < PARTS; ++part) out[part] = (IVec)_mm512_permutexvar_epi16(_mm512_load_si512(pairs.from), (__m512i)out[part]);
  }

 private:
  static void split(Vec upper, Vec lower, Units* out) {
    for (int part = 0; part < PARTS; ++part) {
      const __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)upper, (__m512)lower);
      out[part] = (IVec)both;
      if (part + 1 == PARTS) break;
      lower -= number(_mm512_castsi512_si256(both));
      upper -= number(_mm512_extracti64x4_epi64(both, 1));
    }
  }
  static Vec number(__m256i halves) { return (Vec)_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16); }
};
using Bf16 = Bf16Parts<1>;
#else
// Rounded to bfloat16 (ties to even), multiplied in f32.
struct Bf16 {
  using Unit = float;
  using Units = Vec;
  static constexpr int kDepth = 1, kParts = 1;
  static Vec step(Vec sum, float a, Vec b) { return sum + splat(a) * b; }
  static void unit(const float* p, int64_t, bool, Unit* out) { *out = bf16Value(bf16Bits(*p)); }
  static void along(const float* p, Units* out) { *out = rounded(load(p)); }
  static void across(const float* p, int64_t, Units* out) { *out = rounded(load(p)); }

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
