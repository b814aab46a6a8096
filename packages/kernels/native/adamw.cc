// AdamW on stacked row buffers with clipping folded in, and the write-back of merged rows, in one pass over memory.
// Loshchilov & Hutter, arXiv 1711.05101, in torch's form: p -= lr wd p; m, v as Adam; p -= lr mhat / (sqrt(vhat) + eps).
#include "op.h"
#include "vec.h"

namespace rowsmith {
namespace {

// grad [R,W] -> sum of squares [1] in double precision order by rows (deterministic): the caller takes the root over all buffers.
struct SquareSum {
  explicit SquareSum(Attributes&) {}
  void compute(Call& call) {
    TF_Tensor* t = call.input(0);
    const float* g = call.floats(t, 2, "grad");
    const int64_t rows = call.dim(t, 0), width = call.dim(t, 1);
    float* out = call.output(0, {1});
    if (!call.ok()) return;
    std::vector<double> sums(rows);
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; ++r) {
      double sum = 0.0;
      for (int64_t j = 0; j < width; ++j) sum += static_cast<double>(g[r * width + j]) * g[r * width + j];
      sums[r] = sum;
    }
    double total = 0.0;
    for (double s : sums) total += s;
    out[0] = static_cast<float>(total);
  }
};

// delta, m, v [R,W] (overwritten), grad [R,W], base [R,W], scalars [10] = lr, beta1, beta2, eps, weight decay, 1-beta1^t, 1-beta2^t, gradient factor,
// 1-beta1, 1-beta2 (taken from f32 betas the last would be wrong by 1e-5)
// -> merged rows base + delta [R,W]
struct AdamW {
  explicit AdamW(Attributes&) {}
  void compute(Call& call) {
    TF_Tensor *td = call.input(0), *tm = call.input(1), *tv = call.input(2), *tg = call.input(3), *tb = call.input(4), *ts = call.input(5);
    float *delta = call.floats(td, 2, "delta"), *m = call.floats(tm, 2, "m"), *v = call.floats(tv, 2, "v");
    const float *g = call.floats(tg, 2, "grad"), *base = call.floats(tb, 2, "base"), *s = call.floats(ts, 1, "scalars");
    const int64_t rows = call.dim(td, 0), width = call.dim(td, 1), count = rows * width;
    for (TF_Tensor* t : {tm, tv, tg, tb}) call.require(call.dim(t, 0) == rows && call.dim(t, 1) == width, "all buffers must have the shape of delta");
    call.require(call.dim(ts, 0) == 10, "scalars must have 10 entries");
    float* merged = call.output(0, {rows, width});
    if (!call.ok()) return;
    const float lr = s[0], b1 = s[1], b2 = s[2], eps = s[3], keep = 1.0f - s[0] * s[4], step = lr / s[5], root = 1.0f / std::sqrt(s[6]), factor = s[7];
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < count; ++i) {
      const float gi = g[i] * factor;
      const float mi = b1 * m[i] + s[8] * gi;
      const float vi = b2 * v[i] + s[9] * (gi * gi);
      const float di = delta[i] * keep - step * mi / (std::sqrt(vi) * root + eps);
      m[i] = mi;
      v[i] = vi;
      delta[i] = di;
      merged[i] = base[i] + di;
    }
  }
};

}  // namespace

void registerAdamW() {
  registerOp<SquareSum>({"RowsmithSquareSum", {"grad: float"}, {"sum: float"}, {}});
  registerOp<AdamW>({"RowsmithAdamW", {"delta: float", "m: float", "v: float", "grad: float", "base: float", "scalars: float"}, {"merged: float"}, {}});
}

}  // namespace rowsmith
