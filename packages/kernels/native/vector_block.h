// A block of C summed in vector registers.
#pragma once
#include <type_traits>

#include "operand.h"

namespace rowsmith {

template <typename Units, typename Unit>
inline Units loadUnits(const Unit* p) {
  Units v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}

template <typename OPERAND>
struct VectorBlock {
  using Operand = OPERAND;
  using Unit = typename Operand::Unit;
  struct Setup {};
#if defined(__AVX512F__)
  static constexpr int kRows = 6, kVectors = 4;  // 24 of 32 registers hold sums
#else
  static constexpr int kRows = 6, kVectors = 2;  // 12 of 16
#endif
  static constexpr int kColumns = kVectors * kLanes;
  static constexpr int kDepth = Operand::kDepth, kParts = 1, kAlign = 1, kLeftPart = 0, kRightPart = 0;
  static constexpr int kDeep = 768;      // units of K in a panel
  static constexpr int kGroup = 4;   // panels of B that a task packs: they stay in L2
  static constexpr bool kAnyRows = true, kInPlace = std::is_same_v<Operand, F32>;

  static int64_t left(int line, int k, int depth) { return static_cast<int64_t>(line) * depth + k; }
  static int64_t right(int k) { return static_cast<int64_t>(k) * kColumns; }

  // a: lines of units, `lda` apart; b: depth lines of kColumns units.
  static void sum(int rows, const Unit* a, int64_t lda, const Unit* b, float* c, int64_t ldc, int depth, bool first) {
    switch (rows) {
      case 1: return sumOf<1>(a, lda, b, c, ldc, depth, first);
      case 2: return sumOf<2>(a, lda, b, c, ldc, depth, first);
      case 3: return sumOf<3>(a, lda, b, c, ldc, depth, first);
      case 4: return sumOf<4>(a, lda, b, c, ldc, depth, first);
      case 5: return sumOf<5>(a, lda, b, c, ldc, depth, first);
      default: return sumOf<kRows>(a, lda, b, c, ldc, depth, first);
    }
  }

 private:
  template <int ROWS>
  static void sumOf(const Unit* a, int64_t lda, const Unit* b, float* c, int64_t ldc, int depth, bool first) {
    Vec sum[ROWS][kVectors];
    for (int i = 0; i < ROWS; ++i)
      for (int j = 0; j < kVectors; ++j) sum[i][j] = Vec{};
#pragma GCC unroll 4
    for (int k = 0; k < depth; ++k) {
      typename Operand::Units columns[kVectors];
      for (int j = 0; j < kVectors; ++j) columns[j] = loadUnits<typename Operand::Units>(b + k * kColumns + j * kLanes);
      for (int i = 0; i < ROWS; ++i)
        for (int j = 0; j < kVectors; ++j) sum[i][j] = Operand::step(sum[i][j], a[i * lda + k], columns[j]);
    }
    for (int i = 0; i < ROWS; ++i)
      for (int j = 0; j < kVectors; ++j) {
        float* to = c + i * ldc + j * kLanes;
        store(to, first ? sum[i][j] : load(to) + sum[i][j]);
      }
  }
};

}  // namespace rowsmith
