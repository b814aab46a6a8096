// What causal attention's forward and backward kernels share: the layout of its tensors, blocks of them, and which keys a query sees.
// A query sees keys from max(starts[query], query - window + 1) to itself: `starts` gives packed examples a block-diagonal mask, `window` a sliding one.
// With `softcap` > 0 a score s counts as softcap * tanh(s / softcap) (Gemma 2, arXiv 2408.00118).
#pragma once
#include <algorithm>

#include "gemm_block.h"
#include "op.h"
#include "scratch.h"

namespace rowsmith {

constexpr int kBlock = 64;
constexpr float kMasked = -1e30f;

inline int64_t roundUp(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// Queries, outputs and their gradients are [B, K, T*G, D]: query t of head g of a kv group lies at row t*G + g. One task is one (b, k, g).
struct Geometry {
  int64_t batch, kvHeads, group, length, width, padded, blocks;
  int64_t tasks() const { return batch * kvHeads * group; }
  int64_t planes() const { return batch * kvHeads; }
  int64_t plane(int64_t task) const { return task / group; }
  int64_t transposedPlane() const { return blocks * padded * kBlock; }
  int64_t queries(int64_t task) const { return task / group * group * length * width + task % group * width; }
  int64_t lse(int64_t task) const { return task / group * group * length + task % group; }
  int64_t stride() const { return group * width; }  // floats between a head's successive queries
};

// [T,D] -> transposed blocks [blocks][padded][kBlock], zero where there is no key.
inline void transposeBlocks(const float* in, const Geometry& g, float* out) {
  for (int64_t t0 = 0; t0 < g.length; t0 += kBlock, out += g.padded * kBlock) {
    const int64_t keys = std::min<int64_t>(kBlock, g.length - t0);
    if (keys < kBlock || g.width < g.padded) std::fill(out, out + g.padded * kBlock, 0.0f);
    for (int64_t t = 0; t < keys; ++t)
      for (int64_t d = 0; d < g.width; ++d) out[d * kBlock + t] = in[(t0 + t) * g.width + d];
  }
}

// The same planes for all heads of a group and all blocks of queries: packed once, by all threads.
inline Scratch<float> transposePlanes(const float* in, const Geometry& g) {
  auto out = scratch(g.planes() * g.transposedPlane());
#pragma omp parallel for schedule(static)
  for (int64_t plane = 0; plane < g.planes(); ++plane) transposeBlocks(in + plane * g.length * g.width, g, out.get() + plane * g.transposedPlane());
  return out;
}

// Keys or values as the right factor of a product: rows of `padded` floats, in place where the width needs no padding.
struct Rows {
  Rows(const float* in, const Geometry& g) : from(in) {
    if (g.width == g.padded) return;
    const int64_t count = g.planes() * g.length;
    own = scratch(count * g.padded);
    for (int64_t t = 0; t < count; ++t) {
      std::memcpy(own.get() + t * g.padded, in + t * g.width, g.width * sizeof(float));
      std::fill(own.get() + t * g.padded + g.width, own.get() + (t + 1) * g.padded, 0.0f);
    }
    from = own.get();
  }
  const float* at(int64_t plane, int64_t key, const Geometry& g) const { return from + (plane * g.length + key) * g.padded; }
  const float* from;
  Scratch<float> own;
};

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

// Queries q0 + [first, first + rows) against the keys k0 + [0, columns): a few queries at a time, so that the keys behind the diagonal cost nothing.
struct Tile {
  Tile(int64_t q0, int64_t k0, int first, int blockRows, const Reach& reach)
      : first(first), rows(std::min(kTileRows, blockRows - first)), query(q0 + first), k0(k0),
        keys(static_cast<int>(std::min<int64_t>(kBlock, query + rows - k0))), columns(static_cast<int>(roundUp(keys, kLanes))),
        least(reach.firstOf(query, query + rows)) {}
  bool hidden() const { return least >= k0 + keys; }

  // `s`: rows of kBlock scores.
  void capAndMask(float* s, float softcap, const Reach& reach) const {
    if (softcap > 0.0f)
      for (int i = 0; i < rows; ++i)
        for (int j = 0; j < columns; j += kLanes) store(s + i * kBlock + j, softcap * tanhOf(load(s + i * kBlock + j) / softcap));
    // The first of them sees the fewest of the newest keys, some other one the fewest of the oldest.
    if (query - k0 + 1 < columns)
      for (int i = 0; i < rows; ++i)
        for (int64_t j = query + i + 1 - k0; j < columns; ++j) s[i * kBlock + j] = kMasked;
    for (int i = 0; i < rows; ++i) {
      const int64_t from = std::min<int64_t>(reach.first(query + i) - k0, columns);
      for (int64_t j = 0; j < from; ++j) s[i * kBlock + j] = kMasked;
    }
  }

  int first, rows;
  int64_t query, k0;
  int keys, columns;  // keys that at least one of them sees by order, and the same in whole vectors
  int64_t least;      // the first key that any of them sees
};

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
