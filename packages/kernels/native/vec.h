// Portable SIMD on GCC/Clang vector extensions: one source for AVX-512, AVX2 and plain builds; the compiler's -march decides the width.
// Results depend on the width (order of lane sums), never on the number of threads.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#if defined(__AVX__)
#include <immintrin.h>
#endif

namespace rowsmith {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float Vec __attribute__((vector_size(kLanes * 4)));
typedef int32_t IVec __attribute__((vector_size(kLanes * 4)));

inline Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof(Vec));
  return v;
}
inline void store(float* p, Vec v) { std::memcpy(p, &v, sizeof(Vec)); }
// Else GCC reads a vector from memory again for each of its uses, and reads become what a product waits for.
inline void keepInRegister(Vec& v) {
#if defined(__x86_64__)
  asm("" : "+v"(v));
#elif defined(__aarch64__)
  asm("" : "+w"(v));
#endif
}
inline Vec splat(float x) { return x - Vec{}; }

// The upper half of the lanes beside the lower one, in registers: a detour by memory costs a dozen cycles a sum.
template <int WIDTH>
inline Vec upperHalf(Vec v) {
  IVec from;
  for (int i = 0; i < kLanes; ++i) from[i] = (i + WIDTH) % kLanes;
  return __builtin_shuffle(v, from);
}
// Fixed tree, so that the sum does not depend on the compiler's mood.
template <int WIDTH = kLanes / 2>
inline float sumLanes(Vec v) {
  v += upperHalf<WIDTH>(v);
  if constexpr (WIDTH > 1) return sumLanes<WIDTH / 2>(v);
  return v[0];
}
// One instruction where GCC makes two of a vector's `a > b ? a : b`; the same result, NaN (b) and zeros (b) included.
inline Vec maxOf(Vec a, Vec b) {
#if defined(__AVX512F__)
  return (Vec)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX__)
  return (Vec)_mm256_max_ps((__m256)a, (__m256)b);
#else
  return a > b ? a : b;
#endif
}
inline Vec minOf(Vec a, Vec b) {
#if defined(__AVX512F__)
  return (Vec)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX__)
  return (Vec)_mm256_min_ps((__m256)a, (__m256)b);
#else
  return a < b ? a : b;
#endif
}
template <int WIDTH = kLanes / 2>
inline float maxLanes(Vec v) {
  v = maxOf(v, upperHalf<WIDTH>(v));
  if constexpr (WIDTH > 1) return maxLanes<WIDTH / 2>(v);
  return v[0];
}

// exp(x): x = n ln2 + r, |r| <= ln2/2, degree-6 polynomial for e^r (Cephes coefficients), relative error < 2e-7.
// Below -87.3 the result is 0 (not a denormal: those are slow and nothing here needs them).
inline Vec expOf(Vec x) {
  const Vec low = splat(-87.3f), high = splat(88.3f);
  const IVec tiny = x < low;
  x = minOf(maxOf(x, low), high);
  // Added to a number below 2^22 it leaves the nearest integer in the lowest bits, and taken away again that integer.
  const Vec rounding = splat(12582912.0f);
  const Vec shifted = x * 1.44269504088896341f + rounding;
  const Vec nf = shifted - rounding;
  IVec n;
  std::memcpy(&n, &shifted, sizeof(Vec));
  const Vec r = (x - nf * 0.693359375f) - nf * -2.12194440e-4f;
  Vec p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const IVec bits = (n + 127) << 23;  // what `rounding` holds above is shifted out
  Vec power;
  std::memcpy(&power, &bits, sizeof(Vec));
  const Vec result = p * power;
  return tiny ? Vec{} : result;
}

// tanh(x): odd polynomial near 0 (Cephes coefficients), where 1 - 2/(e^2x + 1) would lose digits; absolute error below 2e-7.
inline Vec tanhOf(Vec x) {
  const Vec size = maxOf(x, -x), z = x * x;
  Vec p = splat(-5.70498872745e-3f);
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const Vec near = p * z * x + x;
  const Vec far = 1.0f - 2.0f / (expOf(2.0f * size) + 1.0f);
  return size < 0.625f ? near : (x < 0.0f ? -far : far);
}

}  // namespace rowsmith
