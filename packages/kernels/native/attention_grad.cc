// Gradients of causal attention, block by block from the log-sum-exp of the forward pass (Dao et al., arXiv 2205.14135, appendix B).
// Sums over the heads of a kv group run in a fixed order, so bits do not depend on the number of threads.
#include "attention_blocks.h"

namespace rowsmith {
namespace {

// Blocks of queries of a head that one thread works on: with few heads, several chunks of about the same work each, or threads would wait for the last head.
// By shape alone, never by the number of threads. A chunk needs keys up to its own end only.
struct Chunks {
  explicit Chunks(const Geometry& g) : count(std::min(g.blocks, (kItems + g.tasks() - 1) / g.tasks())), rowFloats(g.padded) {
    bounds.push_back(0);
    for (int64_t c = 1; c <= count; ++c) {
      const int64_t even = std::llround(static_cast<double>(g.blocks) * std::sqrt(static_cast<double>(c) / static_cast<double>(count)));
      bounds.push_back(std::min(std::max(even, bounds.back() + 1), g.blocks - (count - c)));
      offsets.push_back(floats);
      floats += size(c - 1);
    }
  }
  int64_t size(int64_t chunk) const { return bounds[chunk + 1] * kBlock * rowFloats; }
  int64_t at(int64_t task, int64_t chunk) const { return task * floats + offsets[chunk]; }
  int64_t firstWith(int64_t key) const {
    int64_t chunk = 0;
    while (key >= bounds[chunk + 1] * kBlock) ++chunk;
    return chunk;
  }
  static constexpr int64_t kItems = 16;
  int64_t count, rowFloats, floats = 0;
  std::vector<int64_t> bounds, offsets;
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
    const auto kt = transposePlanes(in.k, g), vt = transposePlanes(in.v, g);
    const Rows keys(in.k, g);
    const Chunks chunks(g);
    // Of every query head and chunk by itself, summed afterwards in a fixed order.
    const auto dkParts = scratch(g.tasks() * chunks.floats), dvParts = scratch(g.tasks() * chunks.floats);
#pragma omp parallel
    {
      const auto qb = scratch(kBlock * g.padded), gb = scratch(kBlock * g.padded), dqb = scratch(kBlock * g.padded), p = scratch(kBlock * kBlock), dp = scratch(kBlock * kBlock), dots = scratch(kBlock);
#pragma omp for schedule(dynamic, 1)
      for (int64_t item = 0; item < g.tasks() * chunks.count; ++item) {
        const int64_t task = item % g.tasks(), chunk = chunks.count - 1 - item / g.tasks(), plane = g.plane(task), base = g.queries(task), stride = g.stride();
        const Reach reach{in.startsOf(task / (g.kvHeads * g.group), g.length), window};
        float *dkPart = dkParts.get() + chunks.at(task, chunk), *dvPart = dvParts.get() + chunks.at(task, chunk);
        std::fill(dkPart, dkPart + chunks.size(chunk), 0.0f);
        std::fill(dvPart, dvPart + chunks.size(chunk), 0.0f);
        for (int64_t q0 = chunks.bounds[chunk] * kBlock; q0 < std::min(chunks.bounds[chunk + 1] * kBlock, g.length); q0 += kBlock) {
          const int rows = static_cast<int>(std::min<int64_t>(kBlock, g.length - q0));
          const int64_t at = base + q0 * stride;
          copyRows(in.q + at, stride, rows, g, qb.get());
          copyRows(dout + at, stride, rows, g, gb.get());
          for (int i = 0; i < rows; ++i) dots[i] = dot(dout + at + i * stride, o + at + i * stride, g.width);
          std::fill(dqb.get(), dqb.get() + kBlock * g.padded, 0.0f);
          for (int64_t k0 = reach.firstOf(q0, q0 + rows) / kBlock * kBlock; k0 < q0 + rows; k0 += kBlock) {
            const int64_t block = plane * g.transposedPlane() + k0 * g.padded;
            for (int i = 0; i < rows; i += kTileRows) {
              const Tile tile(q0, k0, i, rows, reach);
              float *tp = p.get() + i * kBlock, *td = dp.get() + i * kBlock;
              if (tile.hidden()) {
                std::fill(tp, tp + tile.rows * kBlock, 0.0f);
                std::fill(td, td + tile.rows * kBlock, 0.0f);
                continue;
              }
              gemmBlock<false>(qb.get() + i * g.padded, g.padded, 1, kt.get() + block, kBlock, tp, kBlock, tile.rows, tile.columns, g.width);
              gemmBlock<false>(gb.get() + i * g.padded, g.padded, 1, vt.get() + block, kBlock, td, kBlock, tile.rows, tile.columns, g.width);
              tile.capAndMask(tp, softcap, reach);
              for (int r = 0; r < tile.rows; ++r) softmaxGrad(tp + r * kBlock, td + r * kBlock, tile.columns, lse[g.lse(task) + (q0 + i + r) * g.group], dots[i + r]);
              gemmBlock<true>(td, kBlock, 1, keys.at(plane, k0, g), g.padded, dqb.get() + i * g.padded, g.padded, tile.rows, g.padded, tile.keys);
            }
            // A key is seen by the queries from its own place on.
            for (int j = 0; j < kBlock; j += kTileRows) {
              const int from = k0 == q0 ? j : 0;
              if (from >= rows) break;
              const float *pt = p.get() + from * kBlock + j, *dt = dp.get() + from * kBlock + j;
              gemmBlock<true>(pt, 1, kBlock, gb.get() + from * g.padded, g.padded, dvPart + (k0 + j) * g.padded, g.padded, kTileRows, g.padded, rows - from);
              gemmBlock<true>(dt, 1, kBlock, qb.get() + from * g.padded, g.padded, dkPart + (k0 + j) * g.padded, g.padded, kTileRows, g.padded, rows - from);
            }
          }
          for (int i = 0; i < rows; ++i) std::memcpy(dq + at + i * stride, dqb.get() + i * g.padded, g.width * sizeof(float));
        }
      }
#pragma omp for schedule(static)
      for (int64_t key = 0; key < g.planes() * g.length; ++key) {
        const int64_t plane = key / g.length, t = key % g.length;
        sumParts(dkParts.get(), chunks, g, plane, t, dk + key * g.width);
        sumParts(dvParts.get(), chunks, g, plane, t, dv + key * g.width);
      }
    }
  }

  // One row of P and dP to P and dS.
  void softmaxGrad(float* p, float* dp, int columns, float lse, float dot) const {
    for (int j = 0; j < columns; j += kLanes) {
      const Vec score = load(p + j);
      const Vec e = expOf(score - lse);
      store(p + j, e);
      Vec ds = e * (load(dp + j) - dot);
      if (softcap > 0.0f) {
        const Vec t = maxOf(score, splat(-softcap)) / softcap;  // masked scores would overflow, and e = 0 times infinity is NaN
        ds *= 1.0f - t * t;
      }
      store(dp + j, ds);
    }
  }

  static float dot(const float* a, const float* b, int64_t width) {
    Vec sums{};
    int64_t d = 0;
    for (; d + kLanes <= width; d += kLanes) sums += load(a + d) * load(b + d);
    float sum = sumLanes(sums);
    for (; d < width; ++d) sum += a[d] * b[d];
    return sum;
  }

  static void sumParts(const float* parts, const Chunks& chunks, const Geometry& g, int64_t plane, int64_t t, float* out) {
    std::fill(out, out + g.width, 0.0f);
    for (int64_t task = plane * g.group; task < (plane + 1) * g.group; ++task)
      for (int64_t chunk = chunks.firstWith(t); chunk < chunks.count; ++chunk) {
        const float* part = parts + chunks.at(task, chunk) + t * g.padded;
        for (int64_t d = 0; d < g.width; ++d) out[d] += part[d];
      }
  }

  int64_t window;
  float softcap;
};

}  // namespace

void registerAttentionGrad() {
  registerOp<AttentionGrad>({"RowsmithAttentionGrad",
                             {"q: float", "k: float", "v: float", "starts: int32", "o: float", "lse: float", "do: float"},
                             {"dq: float", "dk: float", "dv: float"},
                             {"window: int", "softcap: float = 0.0"}});
}

}  // namespace rowsmith
