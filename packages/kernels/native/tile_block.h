// A block of C summed in the processor's matrix tiles (AMX) of 16 x 16 sums: 16 times the multiply-adds a cycle of its vectors, of bfloat16 numbers only.
// An f32 is the sum of three of these (8 + 8 + 8 bits), so that six products, all but the three smallest, give f32 sums: Henry, Tang and Heinecke,
// "Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision Computations" (arXiv 1904.06376).
#pragma once
#include "operand.h"

#if defined(__AMX_TILE__) && defined(__AMX_BF16__) && defined(__AVX512BF16__) && defined(__linux__)
#define ROWSMITH_TILES
#include <sys/syscall.h>
#include <unistd.h>

namespace rowsmith {

namespace tiles {

// Tiles are too much state to save for every process: the system gives them to those that ask.
inline bool available() {
  constexpr int kRequest = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
  static const bool given = syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
  return given;
}

// All eight tiles of 16 lines of 64 bytes, until the end of a parallel region.
struct Setup {
  Setup() {
    struct { uint8_t palette, start, reserved[14]; uint16_t bytes[16]; uint8_t lines[16]; } config{};
    static_assert(sizeof(config) == 64);
    config.palette = 1;
    for (int i = 0; i < 8; ++i) {
      config.bytes[i] = 64;
      config.lines[i] = 16;
    }
    asm volatile("ldtilecfg %0" ::"m"(config) : "memory");
  }
  ~Setup() { asm volatile("tilerelease" ::: "memory"); }
  Setup(const Setup&) = delete;
  Setup& operator=(const Setup&) = delete;
};

template <int TILE>
inline void load(const uint32_t* p, int64_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(p), "r"(stride * 4), "i"(TILE) : "memory");
}
template <int TILE>
inline void store(float* p, int64_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(p), "r"(stride * 4), "i"(TILE) : "memory");
}
template <int TILE>
inline void clear() {
  asm volatile("tilezero %%tmm%c0" ::"i"(TILE));
}
// SUM += A B
template <int SUM, int A, int B>
inline void multiply() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(SUM), "i"(A), "i"(B));
}

}  // namespace tiles

// PARTS 1: operands rounded to bfloat16. PARTS 3: f32.
template <int PARTS>
struct TileBlock {
  static_assert(PARTS == 1 || PARTS == 3);
  using Operand = Bf16Parts<PARTS>;
  using Unit = uint32_t;
  using Setup = tiles::Setup;
  static constexpr int kRows = 32, kColumns = 32;  // 2 x 2 tiles of sums; two more hold A, and two B
  static constexpr int kDepth = 2, kParts = PARTS, kAlign = 16;
  static constexpr int kDeep = PARTS == 1 ? 768 : 288;
  static constexpr int kGroup = 10;  // panels of B that a task packs: they stay in L2
  static constexpr bool kAnyRows = false, kInPlace = false;

  // In the order in which they are read: 16 units of k of all lines, part after part, then the next 16.
  static constexpr int kLeftPart = 16 * kRows, kRightPart = 16 * kColumns;
  static int64_t left(int line, int k, int) { return static_cast<int64_t>(k / 16) * kLeftPart * PARTS + line * 16 + k % 16; }
  static int64_t right(int k) { return static_cast<int64_t>(k / 16) * kRightPart * PARTS + k % 16 * kColumns; }

  static void sum(int, const Unit* a, int64_t, const Unit* b, float* c, int64_t ldc, int depth, bool first) {
    // What is written, and below what is read next, is fetched while the tiles multiply: else they wait for L2, a quarter of their time.
    for (int i = 0; i < kRows; ++i)
      for (int j : {0, kLanes}) __builtin_prefetch(c + i * ldc + j, 1);
    tiles::clear<0>();
    tiles::clear<1>();
    tiles::clear<2>();
    tiles::clear<3>();
    for (int k = 0; k < depth; k += 16, a += PARTS * kLeftPart, b += PARTS * kRightPart) {
      if constexpr (PARTS == 3) {
        // Each step takes over one operand of the one before.
        takeLeft(a), takeRight(b + 2 * kRightPart), products<0>(a, b);
        takeRight(b + kRightPart), products<1>(a, b);
        takeLeft(a + kLeftPart), products<2>(a, b);
        takeRight(b), products<3>(a, b);
        takeLeft(a + 2 * kLeftPart), products<4>(a, b);
        takeLeft(a), products<5>(a, b);
      } else {
        takeLeft(a), takeRight(b), products<0>(a, b);
      }
    }
    if (first) return storeAll(c, ldc);
    alignas(64) float sums[kRows * kColumns];
    storeAll(sums, kColumns);
    for (int i = 0; i < kRows; ++i)
      for (int j = 0; j < kColumns; j += kLanes) store(c + i * ldc + j, load(c + i * ldc + j) + load(sums + i * kColumns + j));
  }

 private:
  static void takeLeft(const Unit* a) {
    tiles::load<4>(a, 16);
    tiles::load<5>(a + 16 * 16, 16);
  }
  static void takeRight(const Unit* b) {
    tiles::load<6>(b, kColumns);
    tiles::load<7>(b + 16, kColumns);
  }
  // Spread over the steps: all at once they would hold up the reads of this one.
  template <int STEP>
  static void products(const Unit* a, const Unit* b) {
    if constexpr (PARTS == 3) {
      constexpr int sixth = PARTS * kLeftPart / 6;
      for (int line = STEP * sixth; line < (STEP + 1) * sixth; line += 16) {
        __builtin_prefetch(a + PARTS * kLeftPart + line);
        __builtin_prefetch(b + PARTS * kRightPart + line);
      }
    }
    tiles::multiply<0, 4, 6>();
    tiles::multiply<1, 4, 7>();
    tiles::multiply<2, 5, 6>();
    tiles::multiply<3, 5, 7>();
  }
  static void storeAll(float* c, int64_t ldc) {
    tiles::store<0>(c, ldc);
    tiles::store<1>(c + 16, ldc);
    tiles::store<2>(c + 16 * ldc, ldc);
    tiles::store<3>(c + 16 * ldc + 16, ldc);
  }
};

}  // namespace rowsmith
#endif
