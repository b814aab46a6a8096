// C[M,N] = A[M,K] B[K,N] by packed panels (Goto & van de Geijn, "Anatomy of High-Performance Matrix Multiplication"). Each operand is read through
// two strides, so either may be transposed. Every element of C sums equal stretches of at most kDeep units of K, each from zero in ascending order,
// one after the other: its bits depend neither on the number of threads nor on the other rows of A, and its error grows with the stretch, not with K.
#pragma once
#include <omp.h>

#include <algorithm>

#include "pack.h"
#include "scratch.h"

namespace rowsmith {

// Element (i, j) lies at data[i * row + j * column].
struct View {
  const float* data;
  int64_t row, column;
};

namespace gemm {

constexpr int64_t kLeftBytes = 24 << 20;  // of A packed at a time

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

// K in stretches of equal length, so that the last one is not too short for its cost.
template <typename Block>
struct Stretches {
  explicit Stretches(int64_t K) : K(K) {
    constexpr int64_t most = static_cast<int64_t>(Block::kDeep) * Block::kDepth, whole = static_cast<int64_t>(Block::kAlign) * Block::kDepth;
    const int64_t count = (K + most - 1) / most;
    step = ((K + count - 1) / count + whole - 1) / whole * whole;
  }
  int length(int64_t from) const { return static_cast<int>(std::min(step, K - from)); }
  // Units that a line of the stretch takes in a panel.
  int depth(int64_t from) const {
    const int units = (length(from) + Block::kDepth - 1) / Block::kDepth;
    return (units + Block::kAlign - 1) / Block::kAlign * Block::kAlign;
  }
  int64_t K, step;
};

struct Tasks {
  int64_t groups, rowBlocks;
};

// The division of panels into tasks that ends first. Where columns do not divide well, rows are divided too, and columns packed once for each of their blocks.
inline Tasks divide(int64_t aPanels, int64_t bPanels, int64_t mostGroup, int64_t threads) {
  constexpr int64_t packing = 3, fetching = 2;  // what packing a panel of B and fetching one of A take, in products of two panels; measured for both kinds of blocks
  const auto above = [](int64_t a, int64_t b) { return (a + b - 1) / b; };
  const int64_t fewest = above(bPanels, mostGroup);
  Tasks best{fewest, 1};
  int64_t least = INT64_MAX;
  for (int64_t rowBlocks = 1; rowBlocks <= std::min(aPanels, 2 * threads); ++rowBlocks)
    for (int64_t groups = fewest; groups <= std::min(bPanels, fewest + 2 * threads); ++groups) {
      const int64_t rows = above(aPanels, rowBlocks), columns = above(bPanels, groups);
      const int64_t time = above(groups * rowBlocks, threads) * (rows * (columns + fetching) + columns * packing);
      if (time < least) least = time, best = {groups, rowBlocks};
    }
  return best;
}

// `fresh`: C is written, else added to. A task is a group of columns: its thread packs them into its own L2 and takes all rows past them, so that only A
// is shared and threads meet twice.
template <typename Block>
inline void block(int64_t M, int64_t N, int64_t K, View A, View B, float* C, int64_t ldc, bool fresh) {
  using Unit = typename Block::Unit;
  constexpr int kRows = Block::kRows, kColumns = Block::kColumns, parts = Block::kParts;
  const Stretches<Block> stretches(K);
  const int64_t aPanels = (M + kRows - 1) / kRows, bPanels = (N + kColumns - 1) / kColumns;
  // Numbers that are read as they are, along their rows, need no copy.
  const bool inPlace = Block::kInPlace && A.column == 1;
  int64_t units = 0;  // of a line of A, all stretches
  for (int64_t k0 = 0; k0 < K; k0 += stretches.step) units += stretches.depth(k0);
  Unit* const a = inPlace ? nullptr : keptScratch<Unit, 0>(aPanels * kRows * units * parts);
#pragma omp parallel
  {
    [[maybe_unused]] const typename Block::Setup setup;
    Unit* const b = keptScratch<Unit, 1>(static_cast<int64_t>(Block::kGroup) * kColumns * Block::kDeep * parts);
    // Panel by panel within each stretch of K.
    for (int64_t k0 = 0, done = 0; k0 < K && !inPlace; done += stretches.depth(k0), k0 += stretches.step) {
      const int length = stretches.length(k0), depth = stretches.depth(k0);
#pragma omp for schedule(static) nowait
      for (int64_t p = 0; p < aPanels; ++p)
        packLeft<Block>(A.data + p * kRows * A.row + k0 * A.column, A.row, A.column, static_cast<int>(std::min<int64_t>(kRows, M - p * kRows)), length, depth,
                        a + (done * aPanels + p * depth) * kRows * parts);
    }
    if (!inPlace) {
#pragma omp barrier
    }
    const auto [groups, rowBlocks] = divide(aPanels, bPanels, Block::kGroup, omp_get_num_threads());
#pragma omp for schedule(dynamic, 1)
    for (int64_t t = 0; t < rowBlocks * groups; ++t) {
      const int64_t rowBlock = t / groups, group = t % groups;
      const int64_t top = rowBlock * aPanels / rowBlocks, bottom = (rowBlock + 1) * aPanels / rowBlocks;
      const int64_t left = group * bPanels / groups, right = (group + 1) * bPanels / groups;
      for (int64_t k0 = 0, done = 0; k0 < K; done += stretches.depth(k0), k0 += stretches.step) {
        const int length = stretches.length(k0), depth = stretches.depth(k0);
        const int64_t bPanel = static_cast<int64_t>(depth) * kColumns * parts;
        for (int64_t j = left; j < right; ++j)
          packRight<Block>(B.data + k0 * B.row + j * kColumns * B.column, B.column, B.row, static_cast<int>(std::min<int64_t>(kColumns, N - j * kColumns)), length,
                           depth, b + (j - left) * bPanel);
        const bool begin = fresh && k0 == 0;
        const Unit* lines = a + done * aPanels * kRows * parts;
        int64_t lda = depth, aPanel = static_cast<int64_t>(depth) * kRows * parts;
        if constexpr (Block::kInPlace)
          if (inPlace) {
            lines = A.data + k0;
            lda = A.row;
            aPanel = kRows * lda;
          }
        for (int64_t i = top; i < bottom; ++i) {
          const int rows = static_cast<int>(std::min<int64_t>(kRows, M - i * kRows));
          for (int64_t j = left; j < right; ++j) {
            const int columns = static_cast<int>(std::min<int64_t>(kColumns, N - j * kColumns));
            const Unit* panel = b + (j - left) * bPanel;
            float* c = C + i * kRows * ldc + j * kColumns;
            if (columns == kColumns && (rows == kRows || Block::kAnyRows)) {
              Block::sum(rows, lines + i * aPanel, lda, panel, c, ldc, depth, begin);
              continue;
            }
            alignas(64) float edge[kRows * kColumns];
            if (!begin)
              for (int r = 0; r < rows; ++r) std::copy(c + r * ldc, c + r * ldc + columns, edge + r * kColumns);
            Block::sum(rows, lines + i * aPanel, lda, panel, edge, kColumns, depth, begin);
            for (int r = 0; r < rows; ++r) std::copy(edge + r * kColumns, edge + r * kColumns + columns, c + r * ldc);
          }
        }
      }
    }
  }
}

}  // namespace gemm

template <typename Block>
inline void multiply(int64_t M, int64_t N, int64_t K, View A, View B, float* C) {
  constexpr int64_t deepest = static_cast<int64_t>(4) * Block::kDeep * Block::kDepth;
  // Rows and units of K at a time, of which the packed form is not too large.
  const int64_t deep = std::min(K, deepest), unit = sizeof(typename Block::Unit) * Block::kParts;
  const int64_t rows = std::max<int64_t>(Block::kRows, gemm::kLeftBytes * Block::kDepth / (unit * deep) / 48 * 48);
  for (int64_t m = 0; m < M; m += rows)
    for (int64_t k = 0; k < K; k += deepest)
      gemm::block<Block>(std::min(rows, M - m), N, std::min(deepest, K - k), View{A.data + m * A.row + k * A.column, A.row, A.column},
                         View{B.data + k * B.row, B.row, B.column}, C + m * N, N, k == 0);
}

}  // namespace rowsmith
