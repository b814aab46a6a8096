// What causal attention's forward and backward kernels share: the layout of its tensors, blocks of them, and which keys a query sees.
// A query sees keys from max(starts[query], query - window + 1) to itself: `starts` gives packed examples a block-diagonal mask, `window` a sliding one.
// With `softcap` > 0 a score s counts as softcap * tanh(s / softcap) (Gemma 2, arXiv 2408.00118).
#pragma once
#include <algorithm>
#include <vector>

#include "gemm_block.h"
#include "op.h"

namespace rowsmith {

constexpr int kBlock = 64;
constexpr float kMasked = -1e30f;

inline int64_t roundUp(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// Queries, outputs and their gradients are [B, K, T*G, D]: query t of head g of a kv group lies at row t*G + g. One task is one (b, k, g).
struct Geometry {
  int64_t batch, kvHeads, group, length, width, padded, blocks;
  int64_t tasks() const { return batch * kvHeads * group; }
  int64_t kvPlane(int64_t task) const { return task / group * length * width; }
  int64_t queries(int64_t task) const { return task / group * group * length * width + task % group * width; }
  int64_t lse(int64_t task) const { return task / group * group * length + task % group; }
  int64_t stride() const { return group * width; }  // floats between a head's successive queries
};

// [T,D] -> transposed blocks [blocks][padded][kBlock], zero where there is no key.
inline void transposeBlocks(const float* in, const Geometry& g, float* out) {
  std::fill(out, out + g.blocks * g.padded * kBlock, 0.0f);
  for (int64_t t = 0; t < g.length; ++t) {
    float* block = out + (t / kBlock) * g.padded * kBlock + t % kBlock;
    const float* row = in + t * g.width;
    for (int64_t d = 0; d < g.width; ++d) block[d * kBlock] = row[d];
  }
}

// Rows of `width` floats, `stride` apart, into rows of `padded`; missing rows and columns are zero.
inline void copyRows(const float* in, int64_t stride, int rows, const Geometry& g, float* out) {
  if (rows < kBlock || g.width < g.padded) std::fill(out, out + kBlock * g.padded, 0.0f);
  for (int i = 0; i < rows; ++i) std::memcpy(out + i * g.padded, in + i * stride, g.width * sizeof(float));
}

// First key that each query of a block may see, and the first block that any of them needs.
struct Reach {
  const int32_t* starts;  // of this sequence, or null
  int64_t window;         // 0: none
  int64_t first(int64_t query) const {
    const int64_t from = starts ? starts[query] : 0;
    return window > 0 ? std::max(from, query - window + 1) : from;
  }
  int64_t firstOf(int64_t begin, int64_t end) const {
    int64_t least = begin;
    for (int64_t q = begin; q < end; ++q) least = std::min(least, first(q));
    return least;
  }
};

inline void maskBlock(float* s, int64_t q0, int64_t k0, int rows, const Reach& reach) {
  for (int i = 0; i < rows; ++i) {
    const int64_t from = reach.first(q0 + i) - k0, to = q0 + i - k0;  // inclusive
    float* row = s + i * kBlock;
    for (int64_t j = 0; j < std::min<int64_t>(from, kBlock); ++j) row[j] = kMasked;
    for (int64_t j = std::max<int64_t>(to + 1, 0); j < kBlock; ++j) row[j] = kMasked;
  }
}

inline void capBlock(float* s, float softcap) {
  if (softcap <= 0.0f) return;
  for (int j = 0; j < kBlock * kBlock; j += kLanes) store(s + j, softcap * tanhOf(load(s + j) / softcap));
}

struct Inputs {
  const float *q, *k, *v;
  const int32_t* starts;
  int64_t startCount;
  // One entry per token of all sequences, or of one sequence for all.
  const int32_t* startsOf(int64_t sequence, int64_t length) const {
    return startCount == 0 ? nullptr : startCount == length ? starts : starts + sequence * length;
  }
};

inline Geometry geometryOf(Call& call, TF_Tensor* tq, TF_Tensor* tk, TF_Tensor* tv) {
  Geometry g{call.dim(tq, 0), call.dim(tk, 1), 0, call.dim(tk, 2), call.dim(tk, 3), 0, 0};
  call.require(g.length > 0 && call.dim(tq, 2) % g.length == 0 && call.dim(tq, 2) > 0, "q must have a whole number of queries for each key");
  call.require(call.dim(tk, 0) == g.batch && call.dim(tq, 1) == g.kvHeads && call.dim(tq, 3) == g.width, "k does not fit q");
  if (call.ok()) g.group = call.dim(tq, 2) / g.length;
  call.require(call.dim(tv, 0) == g.batch && call.dim(tv, 1) == g.kvHeads && call.dim(tv, 2) == g.length && call.dim(tv, 3) == g.width, "v does not fit k");
  g.padded = roundUp(g.width, kLanes);
  g.blocks = (g.length + kBlock - 1) / kBlock;
  return g;
}

inline Inputs inputsOf(Call& call, TF_Tensor* tq, TF_Tensor* tk, TF_Tensor* tv, TF_Tensor* ts, const char* startsName) {
  Inputs in{call.floats(tq, 4, "q"), call.floats(tk, 4, "k"), call.floats(tv, 4, "v"), call.data<int32_t>(ts, TF_INT32, -1, startsName), 0};
  in.startCount = call.ok() ? TF_TensorElementCount(ts) : 0;
  return in;
}

// Reads nothing outside the tensors, whatever `starts` holds.
inline void checkStarts(Call& call, const Inputs& in, const Geometry& g) {
  call.require(in.startCount == 0 || in.startCount == g.length || in.startCount == g.batch * g.length, "starts must have one entry per token");
  for (int64_t i = 0; call.ok() && i < in.startCount; ++i)
    call.require(in.starts[i] >= 0 && in.starts[i] <= i % g.length, "a query's first key must lie between 0 and the query");
}

void registerAttentionGrad();

}  // namespace rowsmith
