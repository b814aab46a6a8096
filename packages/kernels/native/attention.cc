// Causal attention with grouped kv heads, block by block with a running softmax (FlashAttention, Dao et al., arXiv 2205.14135): no [T,T] matrix exists.
// Tasks (one query head of one sequence) share nothing, so bits do not depend on the number of threads.
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

}  // namespace

void registerAttention() {
  registerOp<Attention>({"RowsmithAttention", {"q: float", "k: float", "v: float", "starts: int32"}, {"o: float", "lse: float"}, {"window: int", "softcap: float = 0.0"}});
  registerAttentionGrad();
}

}  // namespace rowsmith
