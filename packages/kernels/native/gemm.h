// C[M,N] = A[M,K] B[K,N] by packed panels (Goto & van de Geijn, "Anatomy of High-Performance Matrix Multiplication"). Each operand is read through
// two strides, so either may be transposed. Every element of C sums stretches of kDeep units of K, each from zero in ascending order,
// one after the other: its bits depend neither on the number of threads nor on the other rows of A, and its error grows with the stretch, not with K.
//
// Operands are rounded to bfloat16 (ties to even) as they are packed, sums are in f32: processors with AVX512_BF16 make two products at a time, others multiply
// the rounded numbers in f32.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <type_traits>
#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#include "bf16.h"
#include "vec.h"

namespace rowsmith {

#if defined(__AVX512BF16__)
// A unit holds the numbers of two neighbouring k.
struct Bf16 {
  using Unit = uint32_t;
  static constexpr int kDepth = 2;
  static Vec step(Vec sum, uint32_t a, IVec b) {
    return (Vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32(static_cast<int32_t>(a)), (__m512bh)b);
  }
};
#else
struct Bf16 {
  using Unit = float;
  static constexpr int kDepth = 1;
  static Vec step(Vec sum, float a, Vec b) { return sum + splat(a) * b; }
};
#endif

// Element (i, j) lies at data[i * row + j * column].
struct View {
  const float* data;
  int64_t row, column;
};

namespace gemm {

#if defined(__AVX512F__)
constexpr int kRows = 6, kVectors = 4;  // 24 of 32 registers hold sums
#else
constexpr int kRows = 6, kVectors = 2;  // 12 of 16
#endif
constexpr int kColumns = kVectors * kLanes;
constexpr int kDeep = 768;                   // units of K in a panel
constexpr int kPanelBlock = 16;              // panels of A that a task works on: they stay in L2
constexpr int kGroup = 8;                    // panels of B of a task
constexpr int kColumnBlock = 24 * kColumns;  // columns of B packed at a time: they stay in L3
constexpr int kMostRows = 2048;              // rows of A packed at a time,
constexpr int kMostDeep = 4 * kDeep;         // and units of K

template <typename Unit>
inline auto loadUnits(const Unit* p) {
  std::conditional_t<std::is_same_v<Unit, float>, Vec, IVec> v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}

inline void tile(const Bf16::Unit* a, const Bf16::Unit* b, float* c, int64_t ldc, int depth, bool first) {
  Vec sum[kRows][kVectors];
  for (int i = 0; i < kRows; ++i)
    for (int j = 0; j < kVectors; ++j) sum[i][j] = Vec{};
  for (int k = 0; k < depth; ++k) {
    decltype(loadUnits(b)) columns[kVectors];
    for (int j = 0; j < kVectors; ++j) columns[j] = loadUnits(b + k * kColumns + j * kLanes);
    for (int i = 0; i < kRows; ++i)
      for (int j = 0; j < kVectors; ++j) sum[i][j] = Bf16::step(sum[i][j], a[k * kRows + i], columns[j]);
  }
  for (int i = 0; i < kRows; ++i)
    for (int j = 0; j < kVectors; ++j) {
      float* to = c + i * ldc + j * kLanes;
      store(to, first ? sum[i][j] : load(to) + sum[i][j]);
    }
}

inline Bf16::Unit unitAt(const float* p, int64_t step, bool whole) {
  if constexpr (Bf16::kDepth == 2) return bf16Bits(p[0]) | (whole ? static_cast<uint32_t>(bf16Bits(p[step])) << 16 : 0u);
  else return bf16Value(bf16Bits(p[0]));
}

// `count` lines of the operand (rows of A or columns of B), `line` apart, each `length` numbers `step` apart -> out[depth][WIDTH], missing lines zero.
template <int WIDTH>
inline void pack(const float* from, int64_t line, int64_t step, int count, int length, Bf16::Unit* out) {
  constexpr int d = Bf16::kDepth;
  const int depth = (length + d - 1) / d;
  if (count < WIDTH) std::fill(out, out + static_cast<int64_t>(depth) * WIDTH, Bf16::Unit{});
  if (line == 1) {
    for (int k = 0; k < depth; ++k) {
      const float* p = from + static_cast<int64_t>(k) * d * step;
      const bool whole = d == 1 || k * d + 1 < length;
      if (count == WIDTH)
        for (int i = 0; i < WIDTH; ++i) out[k * WIDTH + i] = unitAt(p + i, step, whole);
      else
        for (int i = 0; i < count; ++i) out[k * WIDTH + i] = unitAt(p + i, step, whole);
    }
    return;
  }
  // Rounded in one pass over the line, which the compiler vectorises, then spread over the panel.
  Bf16::Unit units[kDeep];
  for (int i = 0; i < count; ++i) {
    const float* p = from + i * line;
    const int pairs = length / d;
    if (step == 1)
      for (int k = 0; k < pairs; ++k) units[k] = unitAt(p + k * d, 1, true);
    else
      for (int k = 0; k < pairs; ++k) units[k] = unitAt(p + static_cast<int64_t>(k) * d * step, step, true);
    if (pairs < depth) units[pairs] = unitAt(p + static_cast<int64_t>(pairs) * d * step, step, false);
    for (int k = 0; k < depth; ++k) out[k * WIDTH + i] = units[k];
  }
}

// Memory for packed panels that a thread keeps between products: asking the system each time would cost page faults.
template <typename Unit, int WHICH>
inline Unit* scratch(int64_t count) {
  thread_local std::unique_ptr<Unit, decltype(&std::free)> kept(nullptr, &std::free);
  thread_local int64_t size = 0;
  if (size < count) {
    kept.reset(static_cast<Unit*>(std::aligned_alloc(64, (count * sizeof(Unit) + 63) / 64 * 64)));
    size = count;
  }
  return kept.get();
}

// At most kMostRows rows and kMostDeep units of K. `fresh`: C is written, else added to.
inline void block(int64_t M, int64_t N, int64_t K, View A, View B, float* C, int64_t ldc, bool fresh) {
  using Unit = Bf16::Unit;
  constexpr int64_t step = static_cast<int64_t>(kDeep) * Bf16::kDepth;
  const int64_t deep = (K + Bf16::kDepth - 1) / Bf16::kDepth;
  const int64_t aPanels = (M + kRows - 1) / kRows;
  Unit* const a = scratch<Unit, 0>(aPanels * kRows * deep);
  Unit* const b = scratch<Unit, 1>(static_cast<int64_t>(kColumnBlock) * kDeep);
#pragma omp parallel
  {
    // Panel by panel within each stretch of K.
    for (int64_t k0 = 0, done = 0; k0 < K; k0 += step, done += kDeep) {
      const int length = static_cast<int>(std::min(step, K - k0));
      const int depth = (length + Bf16::kDepth - 1) / Bf16::kDepth;
#pragma omp for schedule(static) nowait
      for (int64_t p = 0; p < aPanels; ++p)
        pack<kRows>(A.data + p * kRows * A.row + k0 * A.column, A.row, A.column, static_cast<int>(std::min<int64_t>(kRows, M - p * kRows)), length,
                                a + done * aPanels * kRows + p * kRows * depth);
    }
    for (int64_t n0 = 0; n0 < N; n0 += kColumnBlock) {
      const int64_t width = std::min<int64_t>(kColumnBlock, N - n0), bPanels = (width + kColumns - 1) / kColumns;
      for (int64_t k0 = 0, done = 0; k0 < K; k0 += step, done += kDeep) {
        const int length = static_cast<int>(std::min(step, K - k0));
        const int depth = (length + Bf16::kDepth - 1) / Bf16::kDepth;
#pragma omp for schedule(static)
        for (int64_t p = 0; p < bPanels; ++p)
          pack<kColumns>(B.data + k0 * B.row + (n0 + p * kColumns) * B.column, B.column, B.row,
                                     static_cast<int>(std::min<int64_t>(kColumns, width - p * kColumns)), length, b + p * kColumns * depth);
        const bool begin = fresh && k0 == 0;
        const Unit* packed = a + done * aPanels * kRows;
        const int64_t rowBlocks = (aPanels + kPanelBlock - 1) / kPanelBlock, groups = (bPanels + kGroup - 1) / kGroup;
#pragma omp for schedule(dynamic, 1)
        for (int64_t t = 0; t < rowBlocks * groups; ++t) {
          const int64_t rowBlock = t / groups, group = t % groups;
          for (int64_t j = group * kGroup; j < std::min(bPanels, group * kGroup + kGroup); ++j) {
            const int columns = static_cast<int>(std::min<int64_t>(kColumns, width - j * kColumns));
            for (int64_t i = rowBlock * kPanelBlock; i < std::min(aPanels, rowBlock * kPanelBlock + kPanelBlock); ++i) {
              const int rows = static_cast<int>(std::min<int64_t>(kRows, M - i * kRows));
              float* c = C + i * kRows * ldc + n0 + j * kColumns;
              if (rows == kRows && columns == kColumns) {
                tile(packed + i * kRows * depth, b + j * kColumns * depth, c, ldc, depth, begin);
                continue;
              }
              float edge[kRows * kColumns];
              if (!begin)
                for (int r = 0; r < rows; ++r) std::copy(c + r * ldc, c + r * ldc + columns, edge + r * kColumns);
              tile(packed + i * kRows * depth, b + j * kColumns * depth, edge, kColumns, depth, begin);
              for (int r = 0; r < rows; ++r) std::copy(edge + r * kColumns, edge + r * kColumns + columns, c + r * ldc);
            }
          }
        }
      }
    }
  }
}

}  // namespace gemm

inline void multiply(int64_t M, int64_t N, int64_t K, View A, View B, float* C) {
  constexpr int64_t most = static_cast<int64_t>(gemm::kMostDeep) * Bf16::kDepth;
  for (int64_t m = 0; m < M; m += gemm::kMostRows)
    for (int64_t k = 0; k < K; k += most)
      gemm::block(std::min<int64_t>(gemm::kMostRows, M - m), N, std::min(most, K - k), View{A.data + m * A.row + k * A.column, A.row, A.column},
                              View{B.data + k * B.row, B.row, B.column}, C + m * N, N, k == 0);
}

}  // namespace rowsmith
