// C[M,N] += A[M,K] B[K,N] for blocks that fit in L1/L2. A may be read transposed (strides), B and C are row-major.
// N must be a multiple of kLanes; M and K are free. Sums run over K in ascending order for every element: bits do not depend on blocking.
#pragma once
#include "vec.h"

namespace rowsmith {

template <int MR, int NV>
inline void gemmTile(const float* a, int rowStride, int colStride, const float* b, int ldb, float* c, int ldc, int K) {
  Vec acc[MR][NV];
  for (int i = 0; i < MR; ++i)
    for (int j = 0; j < NV; ++j) acc[i][j] = load(c + i * ldc + j * kLanes);
  for (int k = 0; k < K; ++k) {
    Vec bv[NV];
    for (int j = 0; j < NV; ++j) bv[j] = load(b + static_cast<int64_t>(k) * ldb + j * kLanes);
    const float* ak = a + static_cast<int64_t>(k) * colStride;
    for (int i = 0; i < MR; ++i) {
      const Vec av = splat(ak[static_cast<int64_t>(i) * rowStride]);
      for (int j = 0; j < NV; ++j) acc[i][j] += av * bv[j];
    }
  }
  for (int i = 0; i < MR; ++i)
    for (int j = 0; j < NV; ++j) store(c + i * ldc + j * kLanes, acc[i][j]);
}

template <int NV>
inline void gemmColumns(const float* a, int rowStride, int colStride, const float* b, int ldb, float* c, int ldc, int M, int K) {
  int i = 0;
  for (; i + 4 <= M; i += 4) gemmTile<4, NV>(a + static_cast<int64_t>(i) * rowStride, rowStride, colStride, b, ldb, c + static_cast<int64_t>(i) * ldc, ldc, K);
  for (; i < M; ++i) gemmTile<1, NV>(a + static_cast<int64_t>(i) * rowStride, rowStride, colStride, b, ldb, c + static_cast<int64_t>(i) * ldc, ldc, K);
}

// a(i,k) = a[i*rowStride + k*colStride]: (lda, 1) reads A as it is, (1, lda) reads its transpose.
inline void gemmBlock(const float* a, int rowStride, int colStride, const float* b, int ldb, float* c, int ldc, int M, int N, int K) {
  constexpr int kWide = kLanes == 16 ? 4 : 2;
  int j = 0;
  for (; j + kWide * kLanes <= N; j += kWide * kLanes) gemmColumns<kWide>(a, rowStride, colStride, b + j, ldb, c + j, ldc, M, K);
  for (; j < N; j += kLanes) gemmColumns<1>(a, rowStride, colStride, b + j, ldb, c + j, ldc, M, K);
}

}  // namespace rowsmith
