// Causal attention with grouped kv heads, block by block with a running softmax (FlashAttention, Dao et al., arXiv 2205.14135): no [T,T] matrix exists.
// A block of queries of one head is computed by one thread, so bits do not depend on the number of threads.
#include "attention_blocks.h"

namespace rowsmith {
namespace {

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
    const auto kt = transposePlanes(in.k, g);
    const Rows values(in.v, g);
#pragma omp parallel
    {
      const auto qb = scratch(kBlock * g.padded), ob = scratch(kBlock * g.padded), s = scratch(kTileRows * kBlock), highest = scratch(kBlock), total = scratch(kBlock);
      // The blocks of queries with most keys come first: what is left for the end is small.
#pragma omp for schedule(dynamic, 1)
      for (int64_t item = 0; item < g.tasks() * g.blocks; ++item) {
        const int64_t task = item % g.tasks(), q0 = (g.blocks - 1 - item / g.tasks()) * kBlock, plane = g.plane(task);
        const Reach reach{in.startsOf(task / (g.kvHeads * g.group), g.length), window};
        const int rows = static_cast<int>(std::min<int64_t>(kBlock, g.length - q0));
        copyRows(in.q + g.queries(task) + q0 * g.stride(), g.stride(), rows, g, qb.get());
        std::fill(ob.get(), ob.get() + kBlock * g.padded, 0.0f);
        std::fill(highest.get(), highest.get() + kBlock, kMasked);
        std::fill(total.get(), total.get() + kBlock, 0.0f);
        for (int64_t k0 = reach.firstOf(q0, q0 + rows) / kBlock * kBlock; k0 < q0 + rows; k0 += kBlock) {
          const float *keysT = kt.get() + plane * g.transposedPlane() + k0 * g.padded, *v = values.at(plane, k0, g);
          for (int i = 0; i < rows; i += kTileRows) {
            const Tile tile(q0, k0, i, rows, reach);
            if (tile.hidden()) continue;
            gemmBlock<false>(qb.get() + i * g.padded, g.padded, 1, keysT, kBlock, s.get(), kBlock, tile.rows, tile.columns, g.width);
            tile.capAndMask(s.get(), softcap, reach);
            softmaxStep(s.get(), tile, ob.get() + i * g.padded, g.padded, highest.get() + i, total.get() + i);
            gemmBlock<true>(s.get(), kBlock, 1, v, g.padded, ob.get() + i * g.padded, g.padded, tile.rows, g.padded, tile.keys);
          }
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

  // Turns scores into exp(score - running maximum) and rescales what was summed under an older maximum.
  static void softmaxStep(float* s, const Tile& tile, float* o, int64_t padded, float* highest, float* total) {
    for (int i = 0; i < tile.rows; ++i) {
      float* row = s + i * kBlock;
      Vec m = load(row);
      for (int j = kLanes; j < tile.columns; j += kLanes) m = maxOf(m, load(row + j));
      const float now = std::max(highest[i], maxLanes(m));
      Vec sum{};
      for (int j = 0; j < tile.columns; j += kLanes) {
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

}  // namespace

void registerAttention() {
  registerOp<Attention>({"RowsmithAttention", {"q: float", "k: float", "v: float", "starts: int32"}, {"o: float", "lse: float"}, {"window: int", "softcap: float = 0.0"}});
  registerAttentionGrad();
}

}  // namespace rowsmith
