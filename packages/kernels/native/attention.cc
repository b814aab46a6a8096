// Causal attention with grouped kv heads, block by block with a running softmax (FlashAttention, Dao et al., arXiv 2205.14135): no [T,T] matrix exists.
// A query sees keys from max(starts[query], query - window + 1) to itself: `starts` gives packed examples a block-diagonal mask, `window` a sliding one.
// With `softcap` > 0 a score s counts as softcap * tanh(s / softcap) (Gemma 2, arXiv 2408.00118).
// Tasks (one query head of one sequence) share nothing, so bits do not depend on the number of threads.
#include <algorithm>
#include <vector>

#include "gemm_block.h"
#include "op.h"

namespace rowsmith {
namespace {

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
void transposeBlocks(const float* in, const Geometry& g, float* out) {
  std::fill(out, out + g.blocks * g.padded * kBlock, 0.0f);
  for (int64_t t = 0; t < g.length; ++t) {
    float* block = out + (t / kBlock) * g.padded * kBlock + t % kBlock;
    const float* row = in + t * g.width;
    for (int64_t d = 0; d < g.width; ++d) block[d * kBlock] = row[d];
  }
}

// Rows of `width` floats, `stride` apart, into rows of `padded`; missing rows and columns are zero.
void copyRows(const float* in, int64_t stride, int rows, const Geometry& g, float* out) {
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

void maskBlock(float* s, int64_t q0, int64_t k0, int rows, const Reach& reach) {
  for (int i = 0; i < rows; ++i) {
    const int64_t from = reach.first(q0 + i) - k0, to = q0 + i - k0;  // inclusive
    float* row = s + i * kBlock;
    for (int64_t j = 0; j < std::min<int64_t>(from, kBlock); ++j) row[j] = kMasked;
    for (int64_t j = std::max<int64_t>(to + 1, 0); j < kBlock; ++j) row[j] = kMasked;
  }
}

void capBlock(float* s, float softcap) {
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

Geometry geometryOf(Call& call, TF_Tensor* tq, TF_Tensor* tk, TF_Tensor* tv) {
  Geometry g{call.dim(tq, 0), call.dim(tk, 1), 0, call.dim(tk, 2), call.dim(tk, 3), 0, 0};
  call.require(g.length > 0 && call.dim(tq, 2) % g.length == 0 && call.dim(tq, 2) > 0, "q must have a whole number of queries for each key");
  call.require(call.dim(tk, 0) == g.batch && call.dim(tq, 1) == g.kvHeads && call.dim(tq, 3) == g.width, "k does not fit q");
  if (call.ok()) g.group = call.dim(tq, 2) / g.length;
  call.require(call.dim(tv, 0) == g.batch && call.dim(tv, 1) == g.kvHeads && call.dim(tv, 2) == g.length && call.dim(tv, 3) == g.width, "v does not fit k");
  g.padded = roundUp(g.width, kLanes);
  g.blocks = (g.length + kBlock - 1) / kBlock;
  return g;
}

Inputs inputsOf(Call& call, TF_Tensor* tq, TF_Tensor* tk, TF_Tensor* tv, TF_Tensor* ts, const char* startsName) {
  Inputs in{call.floats(tq, 4, "q"), call.floats(tk, 4, "k"), call.floats(tv, 4, "v"), call.data<int32_t>(ts, TF_INT32, -1, startsName), 0};
  in.startCount = call.ok() ? TF_TensorElementCount(ts) : 0;
  return in;
}

// Reads nothing outside the tensors, whatever `starts` holds.
void checkStarts(Call& call, const Inputs& in, const Geometry& g) {
  call.require(in.startCount == 0 || in.startCount == g.length || in.startCount == g.batch * g.length, "starts must have one entry per token");
  for (int64_t i = 0; call.ok() && i < in.startCount; ++i)
    call.require(in.starts[i] >= 0 && in.starts[i] <= i % g.length, "a query's first key must lie between 0 and the query");
}

// q [B,K,T*G,D] (scaled already), k [B,K,T,D], v [B,K,T,D], starts [B,T], [B*T], [T] or [0] -> o [B,K,T*G,D], lse [B,K,T*G,1]
struct Attention {
  explicit Attention(Attributes& a) : window(a.integer("window")), softcap(a.number("softcap")) {}
  void compute(Call& call) {
    TF_Tensor *tq = call.input(0), *tk = call.input(1), *tv = call.input(2), *ts = call.input(3);
    const Inputs in = inputsOf(call, tq, tk, tv, ts, "starts");
    const Geometry g = geometryOf(call, tq, tk, tv);
    checkStarts(call, in, g);
    float* o = call.output(0, {g.batch, g.kvHeads, g.length * g.group, g.width});
    float* lse = call.output(1, {g.batch, g.kvHeads, g.length * g.group, 1});
    if (!call.ok()) return;
#pragma omp parallel
    {
      std::vector<float> kt(g.blocks * g.padded * kBlock), vp(kBlock * g.padded), qb(kBlock * g.padded), ob(kBlock * g.padded), s(kBlock * kBlock);
      std::vector<float> highest(kBlock), total(kBlock);
#pragma omp for schedule(dynamic, 1)
      for (int64_t task = 0; task < g.tasks(); ++task) {
        const float *q = in.q + g.queries(task), *k = in.k + g.kvPlane(task), *v = in.v + g.kvPlane(task);
        const Reach reach{in.startsOf(task / (g.kvHeads * g.group), g.length), window};
        transposeBlocks(k, g, kt.data());
        for (int64_t q0 = 0; q0 < g.length; q0 += kBlock) {
          const int rows = static_cast<int>(std::min<int64_t>(kBlock, g.length - q0));
          copyRows(q + q0 * g.stride(), g.stride(), rows, g, qb.data());
          std::fill(ob.begin(), ob.end(), 0.0f);
          std::fill(highest.begin(), highest.end(), kMasked);
          std::fill(total.begin(), total.end(), 0.0f);
          for (int64_t kb = reach.firstOf(q0, q0 + rows) / kBlock; kb * kBlock < q0 + rows; ++kb) {
            const int64_t k0 = kb * kBlock;
            const int keys = static_cast<int>(std::min<int64_t>(kBlock, g.length - k0));
            std::fill(s.begin(), s.end(), 0.0f);
            gemmBlock(qb.data(), g.padded, 1, kt.data() + kb * g.padded * kBlock, kBlock, s.data(), kBlock, rows, kBlock, g.width);
            capBlock(s.data(), softcap);
            maskBlock(s.data(), q0, k0, rows, reach);
            softmaxStep(s.data(), rows, ob.data(), g.padded, highest.data(), total.data());
            copyRows(v + k0 * g.width, g.width, keys, g, vp.data());
            gemmBlock(s.data(), kBlock, 1, vp.data(), g.padded, ob.data(), g.padded, rows, g.padded, keys);
          }
          for (int i = 0; i < rows; ++i) {
            const float inverse = 1.0f / total[i];
            float* out = o + g.queries(task) + (q0 + i) * g.stride();
            for (int64_t d = 0; d < g.width; ++d) out[d] = ob[i * g.padded + d] * inverse;
            lse[g.lse(task) + (q0 + i) * g.group] = highest[i] + std::log(total[i]);
          }
        }
      }
    }
  }

  // Turns scores into exp(score - running maximum) and rescales what was summed under an older maximum.
  static void softmaxStep(float* s, int rows, float* o, int64_t padded, float* highest, float* total) {
    for (int i = 0; i < rows; ++i) {
      float* row = s + i * kBlock;
      Vec m = load(row);
      for (int j = kLanes; j < kBlock; j += kLanes) m = maxOf(m, load(row + j));
      const float now = std::max(highest[i], maxLanes(m));
      Vec sum{};
      for (int j = 0; j < kBlock; j += kLanes) {
        const Vec p = expOf(load(row + j) - now);
        store(row + j, p);
        sum += p;
      }
      if (now > highest[i]) {
        const float shrink = std::exp(highest[i] - now);
        total[i] *= shrink;
        for (int64_t d = 0; d < padded; d += kLanes) store(o + i * padded + d, load(o + i * padded + d) * shrink);
        highest[i] = now;
      }
      total[i] += sumLanes(sum);
    }
  }
  int64_t window;
  float softcap;
};

// q, k, v, starts, o [B,K,T*G,D], lse [B,K,T*G,1], do [B,K,T*G,D] -> dq [B,K,T*G,D] (of the scaled q), dk [B,K,T,D], dv [B,K,T,D]
// P = exp(S - lse), with a cap S = cap tanh(s / cap) and dS/ds = 1 - (S / cap)^2; dV = P^T dO, dP = dO V^T, dS = P (dP - rowsum(dO o)), dQ = dS K, dK = dS^T Q
struct AttentionGrad {
  explicit AttentionGrad(Attributes& a) : window(a.integer("window")), softcap(a.number("softcap")) {}
  void compute(Call& call) {
    TF_Tensor *tq = call.input(0), *tk = call.input(1), *tv = call.input(2), *ts = call.input(3), *to = call.input(4), *tl = call.input(5), *td = call.input(6);
    const Inputs in = inputsOf(call, tq, tk, tv, ts, "starts");
    const Geometry g = geometryOf(call, tq, tk, tv);
    const float *o = call.floats(to, 4, "o"), *lse = call.floats(tl, 4, "lse"), *dout = call.floats(td, 4, "do");
    const int64_t all = call.ok() ? TF_TensorElementCount(tq) : 0;
    call.require(call.ok() && TF_TensorElementCount(to) == all && TF_TensorElementCount(td) == all && TF_TensorElementCount(tl) * g.width == all, "o, lse and do do not fit q");
    checkStarts(call, in, g);
    float* dq = call.output(0, {g.batch, g.kvHeads, g.length * g.group, g.width});
    float* dk = call.output(1, {g.batch, g.kvHeads, g.length, g.width});
    float* dv = call.output(2, {g.batch, g.kvHeads, g.length, g.width});
    if (!call.ok()) return;
    const int64_t padPlane = g.blocks * kBlock * g.padded, stride = g.stride();
    // Per query head, summed over the group afterwards in a fixed order.
    std::vector<float> dkHeads(g.tasks() * padPlane), dvHeads(g.tasks() * padPlane);
#pragma omp parallel
    {
      std::vector<float> kt(padPlane), vt(padPlane), kp(padPlane), qb(kBlock * g.padded), gb(kBlock * g.padded), dqb(kBlock * g.padded), p(kBlock * kBlock), dp(kBlock * kBlock);
      std::vector<float> dots(kBlock);
#pragma omp for schedule(dynamic, 1)
      for (int64_t task = 0; task < g.tasks(); ++task) {
        const int64_t kv = g.kvPlane(task), base = g.queries(task);
        const Reach reach{in.startsOf(task / (g.kvHeads * g.group), g.length), window};
        float *dkh = dkHeads.data() + task * padPlane, *dvh = dvHeads.data() + task * padPlane;
        transposeBlocks(in.k + kv, g, kt.data());
        transposeBlocks(in.v + kv, g, vt.data());
        for (int64_t k0 = 0; k0 < g.length; k0 += kBlock)
          copyRows(in.k + kv + k0 * g.width, g.width, static_cast<int>(std::min<int64_t>(kBlock, g.length - k0)), g, kp.data() + k0 * g.padded);
        for (int64_t q0 = 0; q0 < g.length; q0 += kBlock) {
          const int rows = static_cast<int>(std::min<int64_t>(kBlock, g.length - q0));
          const int64_t at = base + q0 * stride;
          copyRows(in.q + at, stride, rows, g, qb.data());
          copyRows(dout + at, stride, rows, g, gb.data());
          for (int i = 0; i < rows; ++i) {
            float dot = 0.0f;
            for (int64_t d = 0; d < g.width; ++d) dot += dout[at + i * stride + d] * o[at + i * stride + d];
            dots[i] = dot;
          }
          std::fill(dqb.begin(), dqb.end(), 0.0f);
          for (int64_t kb = reach.firstOf(q0, q0 + rows) / kBlock; kb * kBlock < q0 + rows; ++kb) {
            const int64_t k0 = kb * kBlock;
            std::fill(p.begin(), p.end(), 0.0f);
            std::fill(dp.begin(), dp.end(), 0.0f);
            gemmBlock(qb.data(), g.padded, 1, kt.data() + kb * g.padded * kBlock, kBlock, p.data(), kBlock, rows, kBlock, g.width);
            gemmBlock(gb.data(), g.padded, 1, vt.data() + kb * g.padded * kBlock, kBlock, dp.data(), kBlock, rows, kBlock, g.width);
            capBlock(p.data(), softcap);
            maskBlock(p.data(), q0, k0, rows, reach);
            for (int i = 0; i < rows; ++i) {
              const float l = lse[g.lse(task) + (q0 + i) * g.group], dot = dots[i];
              for (int j = 0; j < kBlock; j += kLanes) {
                const Vec score = load(p.data() + i * kBlock + j);
                const Vec e = expOf(score - l);
                store(p.data() + i * kBlock + j, e);
                Vec ds = e * (load(dp.data() + i * kBlock + j) - dot);
                if (softcap > 0.0f) {
                  const Vec t = maxOf(score, splat(-softcap)) / softcap;  // masked scores would overflow, and e = 0 times infinity is NaN
                  ds *= 1.0f - t * t;
                }
                store(dp.data() + i * kBlock + j, ds);
              }
            }
            gemmBlock(p.data(), 1, kBlock, gb.data(), g.padded, dvh + k0 * g.padded, g.padded, kBlock, g.padded, rows);
            gemmBlock(dp.data(), 1, kBlock, qb.data(), g.padded, dkh + k0 * g.padded, g.padded, kBlock, g.padded, rows);
            gemmBlock(dp.data(), kBlock, 1, kp.data() + k0 * g.padded, g.padded, dqb.data(), g.padded, rows, g.padded, kBlock);
          }
          for (int i = 0; i < rows; ++i)
            for (int64_t d = 0; d < g.width; ++d) dq[at + i * stride + d] = dqb[i * g.padded + d];
        }
      }
#pragma omp for schedule(static)
      for (int64_t kvTask = 0; kvTask < g.batch * g.kvHeads; ++kvTask) {
        const int64_t first = kvTask * g.group, plane = g.length * g.width;
        for (int64_t t = 0; t < g.length; ++t)
          for (int64_t d = 0; d < g.width; ++d) {
            float sumK = 0.0f, sumV = 0.0f;
            for (int64_t h = first; h < first + g.group; ++h) {
              sumK += dkHeads[h * padPlane + t * g.padded + d];
              sumV += dvHeads[h * padPlane + t * g.padded + d];
            }
            dk[kvTask * plane + t * g.width + d] = sumK;
            dv[kvTask * plane + t * g.width + d] = sumV;
          }
      }
    }
  }
  int64_t window;
  float softcap;
};

}  // namespace

void registerAttention() {
  registerOp<Attention>({"RowsmithAttention", {"q: float", "k: float", "v: float", "starts: int32"}, {"o: float", "lse: float"}, {"window: int", "softcap: float = 0.0"}});
  registerOp<AttentionGrad>({"RowsmithAttentionGrad",
                             {"q: float", "k: float", "v: float", "starts: int32", "o: float", "lse: float", "do: float"},
                             {"dq: float", "dk: float", "dv: float"},
                             {"window: int", "softcap: float = 0.0"}});
}

}  // namespace rowsmith
