// Portable SIMD on GCC/Clang vector extensions: one source for AVX-512, AVX2 and plain builds; the compiler's -march decides the width.
// Results depend on the width (order of lane sums), never on the number of threads.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

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
inline Vec splat(float x) { return x - Vec{}; }

// Fixed tree, so that the sum does not depend on the compiler's mood.
inline float sumLanes(Vec v) {
  float a[kLanes];
  store(a, v);
  for (int width = kLanes / 2; width >= 1; width /= 2)
    for (int i = 0; i < width; ++i) a[i] += a[i + width];
  return a[0];
}
inline float maxLanes(Vec v) {
  float a[kLanes];
  store(a, v);
  float m = a[0];
  for (int i = 1; i < kLanes; ++i) m = a[i] > m ? a[i] : m;
  return m;
}
inline Vec maxOf(Vec a, Vec b) { return a > b ? a : b; }
inline Vec minOf(Vec a, Vec b) { return a < b ? a : b; }

// exp(x): x = n ln2 + r, |r| <= ln2/2, degree-6 polynomial for e^r (Cephes coefficients), relative error < 2e-7.
// Below -87.3 the result is 0 (not a denormal: those are slow and nothing here needs them).
inline Vec expOf(Vec x) {
  const Vec low = splat(-87.3f), high = splat(88.3f);
  const IVec tiny = x < low;
  x = minOf(maxOf(x, low), high);
  const Vec scaled = x * 1.44269504088896341f;
  const Vec half = scaled < 0.0f ? splat(-0.5f) : splat(0.5f);
  const IVec n = __builtin_convertvector(scaled + half, IVec);
  const Vec nf = __builtin_convertvector(n, Vec);
  const Vec r = (x - nf * 0.693359375f) - nf * -2.12194440e-4f;
  Vec p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const IVec bits = (n + 127) << 23;
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
