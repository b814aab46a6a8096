// Operands of a product turned into the panels that a block of sums reads: units (operand.h) at Block::left(line, k, depth) for A, at Block::right(k) + line for B;
// a number's further parts lie kLeftPart or kRightPart units behind its first.
#pragma once
#include <algorithm>

#include "operand.h"

namespace rowsmith::gemm {

constexpr int kAhead = 16;  // units of k that are fetched ahead of packing across

// One unit, its parts `apart`: for edges, and for strides in both directions.
template <typename Block>
inline void packUnit(const float* p, int64_t step, bool whole, typename Block::Unit* out, int apart) {
  typename Block::Unit unit[Block::kParts];
  Block::Operand::unit(p, step, whole, unit);
  for (int part = 0; part < Block::kParts; ++part) out[part * apart] = unit[part];
}

// A vector of units, its parts `apart`.
template <typename Block>
inline void packVector(const typename Block::Operand::Units* units, typename Block::Unit* out, int apart) {
  for (int part = 0; part < Block::kParts; ++part) std::memcpy(out + part * apart, &units[part], sizeof(units[part]));
}

// A square of kLanes lines and units of k, turned. read(r, units): its r-th row as it is read; place(r): where the r-th row goes afterwards.
template <typename Block, typename Read, typename Place>
inline void packSquare(Read read, Place place, int apart) {
  using Units = typename Block::Operand::Units;
  Units square[Block::kParts][kLanes];
  for (int r = 0; r < kLanes; ++r) {
    Units units[Block::kParts];
    read(r, units);
    for (int part = 0; part < Block::kParts; ++part) square[part][r] = units[part];
  }
  for (int part = 0; part < Block::kParts; ++part) {
    transposeUnits(square[part]);
    for (int r = 0; r < kLanes; ++r) std::memcpy(place(r) + part * apart, &square[part][r], sizeof(square[part][r]));
  }
}

// `count` of Block::kRows lines, `line` apart, each `length` numbers `step` apart; missing units are zero.
template <typename Block>
inline void packLeft(const float* from, int64_t line, int64_t step, int count, int length, int depth, typename Block::Unit* out) {
  using Operand = typename Block::Operand;
  constexpr int d = Block::kDepth;
  if (count < Block::kRows || depth * d > length) std::fill(out, out + static_cast<int64_t>(Block::kRows) * depth * Block::kParts, typename Block::Unit{});
  int packed = 0;  // lines of which only units from `done` on are missing
  const int done = length / d / kLanes * kLanes;
  if (step == 1) {
    packed = count;
    for (int i = 0; i < packed; ++i)
      for (int k = 0; k < done; k += kLanes) {
        typename Operand::Units units[Block::kParts];
        Operand::along(from + i * line + k * d, units);
        packVector<Block>(units, out + Block::left(i, k, depth), Block::kLeftPart);
      }
  } else if (line == 1) {
    packed = count / kLanes * kLanes;
    for (int i = 0; i < packed; i += kLanes)
      for (int k = 0; k < done; k += kLanes)
        packSquare<Block>([&](int r, auto* units) { Operand::across(from + static_cast<int64_t>(k + r) * d * step + i, step, units); },
                          [&](int r) { return out + Block::left(i + r, k, depth); }, Block::kLeftPart);
  }
  for (int i = 0; i < count; ++i)
    for (int k = i < packed ? done : 0; k * d < length; ++k)
      packUnit<Block>(from + i * line + static_cast<int64_t>(k) * d * step, step, k * d + d <= length, out + Block::left(i, k, depth), Block::kLeftPart);
}

// `count` of Block::kColumns lines; missing units are zero.
template <typename Block>
inline void packRight(const float* from, int64_t line, int64_t step, int count, int length, int depth, typename Block::Unit* out) {
  using Operand = typename Block::Operand;
  constexpr int d = Block::kDepth;
  const int whole = length / d;
  if (count < Block::kColumns || depth > whole) std::fill(out, out + static_cast<int64_t>(depth) * Block::kColumns * Block::kParts, typename Block::Unit{});
  int packed = 0, done = 0;
  if (line == 1) {
    packed = count / kLanes * kLanes;
    done = whole;
    for (int k = 0; k < done; ++k)
      for (int i = 0; i < packed; i += kLanes) {
        typename Operand::Units units[Block::kParts];
        for (int ahead = 0; ahead < d; ++ahead) __builtin_prefetch(from + (static_cast<int64_t>(k + kAhead) * d + ahead) * step + i);
        Operand::across(from + static_cast<int64_t>(k) * d * step + i, step, units);
        packVector<Block>(units, out + Block::right(k) + i, Block::kRightPart);
      }
  } else if (step == 1) {
    packed = count / kLanes * kLanes;
    done = whole / kLanes * kLanes;
    for (int i = 0; i < packed; i += kLanes)
      for (int k = 0; k < done; k += kLanes)
        packSquare<Block>(
            [&](int r, auto* units) {
              const float* p = from + (i + r) * line + k * d;
              for (int ahead = 0; ahead < d; ++ahead) __builtin_prefetch(p + (d + ahead) * kLanes);
              Operand::along(p, units);
            },
            [&](int r) { return out + Block::right(k + r) + i; }, Block::kRightPart);
  }
  for (int i = 0; i < count; ++i)
    for (int k = i < packed ? done : 0; k * d < length; ++k)
      packUnit<Block>(from + i * line + static_cast<int64_t>(k) * d * step, step, k * d + d <= length, out + Block::right(k) + i, Block::kRightPart);
}

}  // namespace rowsmith::gemm
