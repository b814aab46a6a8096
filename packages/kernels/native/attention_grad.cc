// Gradients of causal attention, block by block from the log-sum-exp of the forward pass (Dao et al., arXiv 2205.14135, appendix B).
// Sums over the heads of a kv group run in a fixed order, so bits do not depend on the number of threads.
#include "attention_blocks.h"

namespace rowsmith {
namespace {

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

void registerAttentionGrad() {
  registerOp<AttentionGrad>({"RowsmithAttentionGrad",
                             {"q: float", "k: float", "v: float", "starts: int32", "o: float", "lse: float", "do: float"},
                             {"dq: float", "dk: float", "dv: float"},
                             {"window: int", "softcap: float = 0.0"}});
}

}  // namespace rowsmith
