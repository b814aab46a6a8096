// RMSNorm, y = x / sqrt(mean(x^2) + eps) * weight (Zhang & Sennrich, arXiv 1910.07467), with the residual addition in front of it; forward and backward.
#include "op.h"
#include "vec.h"

namespace rowsmith {
namespace {

inline float inverseRms(const float* row, int64_t c, float eps) {
  Vec squares{};
  int64_t j = 0;
  for (; j + kLanes <= c; j += kLanes) squares += load(row + j) * load(row + j);
  float total = sumLanes(squares);
  for (; j < c; ++j) total += row[j] * row[j];
  return 1.0f / std::sqrt(total / static_cast<float>(c) + eps);
}

// x [N,C], delta [N,C] or [0], weight [C] -> normed [N,C], sum = x + delta [N,C] ([0] without delta)
struct RmsNorm {
  explicit RmsNorm(Attributes& a) : eps(a.number("eps")) {}
  void compute(Call& call) {
    TF_Tensor *tx = call.input(0), *td = call.input(1), *tw = call.input(2);
    const float *x = call.floats(tx, 2, "x"), *weight = call.floats(tw, 1, "weight"), *delta = call.floats(td, -1, "delta");
    const int64_t n = call.dim(tx, 0), c = call.dim(tx, 1);
    call.require(call.dim(tw, 0) == c, "weight has another width than x");
    const bool add = call.ok() && TF_TensorElementCount(td) > 0;
    call.require(!add || TF_TensorElementCount(td) == n * c, "delta has another shape than x");
    float* y = call.output(0, {n, c});
    float* sum = add ? call.output(1, {n, c}) : call.output(1, {0});
    if (!call.ok()) return;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; ++i) {
      const float* row = x + i * c;
      if (add) {
        float* s = sum + i * c;
        const float* r = delta + i * c;
        for (int64_t j = 0; j < c; ++j) s[j] = row[j] + r[j];
        row = s;
      }
      const float scale = inverseRms(row, c, eps);
      float* out = y + i * c;
      for (int64_t j = 0; j < c; ++j) out[j] = row[j] * scale * weight[j];
    }
  }
  float eps;
};

// dy [N,C], x [N,C], weight [C], residual [N,C] or [0] -> dx [N,C], normed = rmsNorm(x) [N,C]
// With u = dy weight and r = 1/rms: dx = r u - x r^3 mean(u x) + residual. r is computed again: cheaper than keeping it.
struct RmsNormGrad {
  explicit RmsNormGrad(Attributes& a) : eps(a.number("eps")) {}
  void compute(Call& call) {
    TF_Tensor *tdy = call.input(0), *tx = call.input(1), *tw = call.input(2), *tr = call.input(3);
    const float *dy = call.floats(tdy, 2, "dy"), *x = call.floats(tx, 2, "x"), *weight = call.floats(tw, 1, "weight"), *residual = call.floats(tr, -1, "residual");
    const int64_t n = call.dim(tx, 0), c = call.dim(tx, 1);
    call.require(call.dim(tdy, 0) == n && call.dim(tdy, 1) == c && call.dim(tw, 0) == c, "shapes of dy, x and weight do not agree");
    const bool add = call.ok() && TF_TensorElementCount(tr) > 0;
    call.require(!add || TF_TensorElementCount(tr) == n * c, "residual has another shape than x");
    float* dx = call.output(0, {n, c});
    float* normed = call.output(1, {n, c});
    if (!call.ok()) return;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; ++i) {
      const float *d = dy + i * c, *row = x + i * c;
      const float r = inverseRms(row, c, eps);
      Vec dots{};
      int64_t j = 0;
      for (; j + kLanes <= c; j += kLanes) dots += load(d + j) * load(weight + j) * load(row + j);
      float dot = sumLanes(dots);
      for (; j < c; ++j) dot += d[j] * weight[j] * row[j];
      const float k = dot * r * r / static_cast<float>(c);
      float *out = dx + i * c, *y = normed + i * c;
      for (j = 0; j < c; ++j) {
        out[j] = r * (d[j] * weight[j] - row[j] * k);
        y[j] = row[j] * r * weight[j];
      }
      if (add)
        for (j = 0; j < c; ++j) out[j] += residual[i * c + j];
    }
  }
  float eps;
};

}  // namespace

void registerRmsNorm() {
  registerOp<RmsNorm>({"RowsmithRmsNorm", {"x: float", "delta: float", "weight: float"}, {"normed: float", "sum: float"}, {"eps: float"}});
  registerOp<RmsNormGrad>({"RowsmithRmsNormGrad", {"dy: float", "x: float", "weight: float", "residual: float"}, {"dx: float", "normed: float"}, {"eps: float"}});
}

}  // namespace rowsmith
