// C[M,N] = A[M,K] B[K,N] by packed panels (Goto & van de Geijn, "Anatomy of High-Performance Matrix Multiplication"). Each operand is read through
// two strides, so either may be transposed. Every element of C sums stretches of kDeep units of K, each from zero in ascending order,
// one after the other: its bits depend neither on the number of threads nor on the other rows of A, and its error grows with the stretch, not with K.
#pragma once
#include <algorithm>
#include <type_traits>

#include "operand.h"
#include "scratch.h"

namespace rowsmith {

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
constexpr int kPanelBlock = 8;               // panels of A that a task works on: they stay in L2
constexpr int kGroup = 4;                    // panels of B of a task
constexpr int kColumnBlock = 24 * kColumns;  // columns of B packed at a time: they stay in L3
constexpr int kMostRows = 2048;              // rows of A packed at a time,
constexpr int kMostDeep = 4 * kDeep;         // and units of K

template <typename Units, typename Unit>
inline Units loadUnits(const Unit* p) {
  Units v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}

// A: kRows lines of units, `lda` apart; B: depth lines of kColumns units.
template <int ROWS, typename Operand>
inline void tileOf(const typename Operand::Unit* a, int64_t lda, const typename Operand::Unit* b, float* c, int64_t ldc, int depth, bool first) {
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

template <typename Operand>
inline void tile(int rows, const typename Operand::Unit* a, int64_t lda, const typename Operand::Unit* b, float* c, int64_t ldc, int depth, bool first) {
  switch (rows) {
    case 1: return tileOf<1, Operand>(a, lda, b, c, ldc, depth, first);
    case 2: return tileOf<2, Operand>(a, lda, b, c, ldc, depth, first);
    case 3: return tileOf<3, Operand>(a, lda, b, c, ldc, depth, first);
    case 4: return tileOf<4, Operand>(a, lda, b, c, ldc, depth, first);
    case 5: return tileOf<5, Operand>(a, lda, b, c, ldc, depth, first);
    default: return tileOf<kRows, Operand>(a, lda, b, c, ldc, depth, first);
  }
}

// One unit after the other, for edges and for strides in both directions: `length` numbers of a line, `step` apart -> units `apart` from one another.
template <typename Operand>
inline void packLine(const float* p, int64_t step, int from, int length, typename Operand::Unit* out, int64_t apart) {
  constexpr int d = Operand::kDepth;
  for (int k = from; k * d < length; ++k) out[k * apart] = Operand::unit(p + static_cast<int64_t>(k) * d * step, step, k * d + d <= length);
}

// `count` of kRows lines, `line` apart, each `length` numbers `step` apart -> out[kRows][depth], missing lines zero.
template <typename Operand>
inline void packRows(const float* from, int64_t line, int64_t step, int count, int length, typename Operand::Unit* out) {
  constexpr int d = Operand::kDepth;
  const int depth = (length + d - 1) / d, vectors = step == 1 ? length / (d * kLanes) : 0;
  for (int i = 0; i < kRows; ++i, from += line, out += depth) {
    if (i >= count) {
      std::fill(out, out + depth, typename Operand::Unit{});
      continue;
    }
    for (int v = 0; v < vectors; ++v) {
      const auto units = Operand::along(from + v * kLanes * d);
      std::memcpy(out + v * kLanes, &units, sizeof(units));
    }
    packLine<Operand>(from, step, vectors * kLanes, length, out, 1);
  }
}

// `count` of kColumns lines -> out[depth][kColumns], missing lines zero.
template <typename Operand>
inline void packColumns(const float* from, int64_t line, int64_t step, int count, int length, typename Operand::Unit* out) {
  constexpr int d = Operand::kDepth;
  const int depth = (length + d - 1) / d, whole = length / d;
  if (count < kColumns) std::fill(out, out + static_cast<int64_t>(depth) * kColumns, typename Operand::Unit{});
  int packed = 0;  // lines of which only units from `done` on are missing
  int done = 0;
  if (line == 1) {
    packed = count / kLanes * kLanes;
    done = whole;
    for (int k = 0; k < whole; ++k)
      for (int i = 0; i < packed; i += kLanes) {
        const auto units = Operand::across(from + static_cast<int64_t>(k) * d * step + i, step);
        std::memcpy(out + k * kColumns + i, &units, sizeof(units));
      }
  } else if (step == 1) {
    packed = count / kLanes * kLanes;
    done = whole / kLanes * kLanes;
    for (int i = 0; i < packed; i += kLanes)
      for (int k = 0; k < done; k += kLanes) {
        typename Operand::Units square[kLanes];
        for (int r = 0; r < kLanes; ++r) square[r] = Operand::along(from + (i + r) * line + k * d);
        transposeUnits(square);
        for (int r = 0; r < kLanes; ++r) std::memcpy(out + static_cast<int64_t>(k + r) * kColumns + i, &square[r], sizeof(square[r]));
      }
  }
  for (int i = 0; i < count; ++i) packLine<Operand>(from + i * line, step, i < packed ? done : 0, length, out + i, kColumns);
}

// Memory for packed panels that a thread keeps between products: asking the system each time would cost page faults.
template <typename Unit, int WHICH>
inline Unit* keptScratch(int64_t count) {
  thread_local Scratch<Unit> kept;
  thread_local int64_t size = 0;
  if (size < count) {
    kept.reset();
    kept = scratch<Unit>(count);
    size = count;
  }
  return kept.get();
}

// At most kMostRows rows and kMostDeep units of K. `fresh`: C is written, else added to.
template <typename Operand>
inline void block(int64_t M, int64_t N, int64_t K, View A, View B, float* C, int64_t ldc, bool fresh) {
  using Unit = typename Operand::Unit;
  constexpr int64_t step = static_cast<int64_t>(kDeep) * Operand::kDepth;
  const int64_t deep = (K + Operand::kDepth - 1) / Operand::kDepth;
  const int64_t aPanels = (M + kRows - 1) / kRows;
  // Numbers that are read as they are, along their rows, need no copy.
  const bool inPlace = std::is_same_v<Operand, F32> && A.column == 1;
  Unit* const a = inPlace ? nullptr : keptScratch<Unit, 0>(aPanels * kRows * deep);
  Unit* const b = keptScratch<Unit, 1>(static_cast<int64_t>(kColumnBlock) * kDeep);
#pragma omp parallel
  {
    // Panel by panel within each stretch of K.
    for (int64_t k0 = 0, done = 0; k0 < K && !inPlace; k0 += step, done += kDeep) {
      const int length = static_cast<int>(std::min(step, K - k0));
      const int depth = (length + Operand::kDepth - 1) / Operand::kDepth;
#pragma omp for schedule(static) nowait
      for (int64_t p = 0; p < aPanels; ++p)
        packRows<Operand>(A.data + p * kRows * A.row + k0 * A.column, A.row, A.column, static_cast<int>(std::min<int64_t>(kRows, M - p * kRows)), length,
                                a + done * aPanels * kRows + p * kRows * depth);
    }
    for (int64_t n0 = 0; n0 < N; n0 += kColumnBlock) {
      const int64_t width = std::min<int64_t>(kColumnBlock, N - n0), bPanels = (width + kColumns - 1) / kColumns;
      for (int64_t k0 = 0, done = 0; k0 < K; k0 += step, done += kDeep) {
        const int length = static_cast<int>(std::min(step, K - k0));
        const int depth = (length + Operand::kDepth - 1) / Operand::kDepth;
#pragma omp for schedule(static)
        for (int64_t p = 0; p < bPanels; ++p)
          packColumns<Operand>(B.data + k0 * B.row + (n0 + p * kColumns) * B.column, B.column, B.row,
                                     static_cast<int>(std::min<int64_t>(kColumns, width - p * kColumns)), length, b + p * kColumns * depth);
        const bool begin = fresh && k0 == 0;
        const Unit* lines = a + done * aPanels * kRows;
        int64_t lda = depth;
        if constexpr (std::is_same_v<Operand, F32>)
          if (inPlace) {
            lines = A.data + k0;
            lda = A.row;
          }
        const int64_t rowBlocks = (aPanels + kPanelBlock - 1) / kPanelBlock, groups = (bPanels + kGroup - 1) / kGroup;
#pragma omp for schedule(dynamic, 1)
        for (int64_t t = 0; t < rowBlocks * groups; ++t) {
          const int64_t rowBlock = t / groups, group = t % groups;
          for (int64_t j = group * kGroup; j < std::min(bPanels, group * kGroup + kGroup); ++j) {
            const int columns = static_cast<int>(std::min<int64_t>(kColumns, width - j * kColumns));
            for (int64_t i = rowBlock * kPanelBlock; i < std::min(aPanels, rowBlock * kPanelBlock + kPanelBlock); ++i) {
              const int rows = static_cast<int>(std::min<int64_t>(kRows, M - i * kRows));
              float* c = C + i * kRows * ldc + n0 + j * kColumns;
              if (columns == kColumns) {
                tile<Operand>(rows, lines + i * kRows * lda, lda, b + j * kColumns * depth, c, ldc, depth, begin);
                continue;
              }
              float edge[kRows * kColumns];
              if (!begin)
                for (int r = 0; r < rows; ++r) std::copy(c + r * ldc, c + r * ldc + columns, edge + r * kColumns);
              tile<Operand>(rows, lines + i * kRows * lda, lda, b + j * kColumns * depth, edge, kColumns, depth, begin);
              for (int r = 0; r < rows; ++r) std::copy(edge + r * kColumns, edge + r * kColumns + columns, c + r * ldc);
            }
          }
        }
      }
    }
  }
}

}  // namespace gemm

template <typename Operand>
inline void multiply(int64_t M, int64_t N, int64_t K, View A, View B, float* C) {
  constexpr int64_t most = static_cast<int64_t>(gemm::kMostDeep) * Operand::kDepth;
  for (int64_t m = 0; m < M; m += gemm::kMostRows)
    for (int64_t k = 0; k < K; k += most)
      gemm::block<Operand>(std::min<int64_t>(gemm::kMostRows, M - m), N, std::min(most, K - k), View{A.data + m * A.row + k * A.column, A.row, A.column},
                              View{B.data + k * B.row, B.row, B.column}, C + m * N, N, k == 0);
}

}  // namespace rowsmith
