// RMSNorm, y = x / sqrt(mean(x^2) + eps) * gamma, with the residual addition in front of it, forward and backward.
#include "op.h"
#include "vec.h"

namespace rowsmith {
namespace {

// x [N,C], residual [N,C] or [0], gamma [C] -> y [N,C], sum = x + residual [N,C] (or [0] without one), rstd [N]
struct RmsNorm {
  explicit RmsNorm(Attributes& a) : eps(a.number("eps")) {}
  void compute(Call& call) {
    TF_Tensor *tx = call.input(0), *tr = call.input(1), *tg = call.input(2);
    const float *x = call.floats(tx, 2, "x"), *gamma = call.floats(tg, 1, "gamma"), *residual = call.floats(tr, -1, "residual");
    const int64_t n = call.dim(tx, 0), c = call.dim(tx, 1);
    call.require(call.dim(tg, 0) == c, "gamma has another width than x");
    const bool add = call.ok() && TF_TensorElementCount(tr) > 0;
    call.require(!add || TF_TensorElementCount(tr) == n * c, "residual has another shape than x");
    float* y = call.output(0, {n, c});
    float* sum = add ? call.output(1, {n, c}) : call.output(1, {0});
    float* rstd = call.output(2, {n});
    if (!call.ok()) return;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; ++i) {
      const float* row = x + i * c;
      if (add) {
        float* s = sum + i * c;
        const float* r = residual + i * c;
        for (int64_t j = 0; j < c; ++j) s[j] = row[j] + r[j];
        row = s;
      }
      Vec squares{};
      int64_t j = 0;
      for (; j + kLanes <= c; j += kLanes) squares += load(row + j) * load(row + j);
      float total = sumLanes(squares);
      for (; j < c; ++j) total += row[j] * row[j];
      const float scale = 1.0f / std::sqrt(total / static_cast<float>(c) + eps);
      rstd[i] = scale;
      float* out = y + i * c;
      for (j = 0; j < c; ++j) out[j] = row[j] * scale * gamma[j];
    }
  }
  float eps;
};

// dy [N,C], x [N,C] (the sum that was normalised), gamma [C], rstd [N], dresidual [N,C] or [0] -> dx [N,C]
// dx = rstd (g - xhat mean(g xhat)) + dresidual, g = dy gamma, xhat = x rstd
struct RmsNormGrad {
  explicit RmsNormGrad(Attributes&) {}
  void compute(Call& call) {
    TF_Tensor *tdy = call.input(0), *tx = call.input(1), *tg = call.input(2), *ts = call.input(3), *tr = call.input(4);
    const float *dy = call.floats(tdy, 2, "dy"), *x = call.floats(tx, 2, "x"), *gamma = call.floats(tg, 1, "gamma"), *rstd = call.floats(ts, 1, "rstd"),
                *more = call.floats(tr, -1, "dresidual");
    const int64_t n = call.dim(tx, 0), c = call.dim(tx, 1);
    call.require(call.dim(tdy, 0) == n && call.dim(tdy, 1) == c && call.dim(tg, 0) == c && call.dim(ts, 0) == n, "shapes of dy, x, gamma and rstd do not agree");
    const bool add = call.ok() && TF_TensorElementCount(tr) > 0;
    call.require(!add || TF_TensorElementCount(tr) == n * c, "dresidual has another shape than x");
    float* dx = call.output(0, {n, c});
    if (!call.ok()) return;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; ++i) {
      const float *d = dy + i * c, *row = x + i * c;
      Vec dots{};
      int64_t j = 0;
      for (; j + kLanes <= c; j += kLanes) dots += load(d + j) * load(gamma + j) * load(row + j);
      float dot = sumLanes(dots);
      for (; j < c; ++j) dot += d[j] * gamma[j] * row[j];
      const float s = rstd[i];
      const float k = dot * s * s / static_cast<float>(c);
      float* out = dx + i * c;
      if (add) {
        const float* r = more + i * c;
        for (j = 0; j < c; ++j) out[j] = s * (d[j] * gamma[j] - row[j] * k) + r[j];
      } else {
        for (j = 0; j < c; ++j) out[j] = s * (d[j] * gamma[j] - row[j] * k);
      }
    }
  }
};

}  // namespace

void registerRmsNorm() {
  registerOp<RmsNorm>({"RowsmithRmsNorm", {"x: float", "residual: float", "gamma: float"}, {"y: float", "sum: float", "rstd: float"}, {"eps: float"}});
  registerOp<RmsNormGrad>({"RowsmithRmsNormGrad", {"dy: float", "x: float", "gamma: float", "rstd: float", "dresidual: float"}, {"dx: float"}, {}});
}

}  // namespace rowsmith
