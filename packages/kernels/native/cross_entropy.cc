// Softmax cross-entropy of labelled rows, forward and backward in one pass over the logits, in place: the [n,V] block is the largest tensor of a step.
#include <algorithm>
#include <vector>

#include "op.h"
#include "vec.h"

namespace rowsmith {
namespace {

// With softcap > 0 a logit l counts as softcap * tanh(l / softcap); the gradient is with respect to l.
// logits [n,V] (overwritten with dlogits = (softmax - onehot) * scale when scale != 0), labels [n], scale [1]
// -> loss [n] in nats, predicted [n] (id of the highest logit; ties go to the lower id)
struct CrossEntropy {
  explicit CrossEntropy(Attributes& a) : softcap(a.number("softcap")) {}
  void compute(Call& call) {
    TF_Tensor *tl = call.input(0), *ty = call.input(1), *ts = call.input(2);
    float* logits = call.floats(tl, 2, "logits");
    const int32_t* labels = call.data<int32_t>(ty, TF_INT32, 1, "labels");
    const float* scales = call.floats(ts, -1, "scale");
    const int64_t n = call.dim(tl, 0), v = call.dim(tl, 1);
    call.require(call.dim(ty, 0) == n && v > 0, "labels must have one entry per row of logits");
    for (int64_t i = 0; call.ok() && i < n; ++i) call.require(labels[i] >= 0 && labels[i] < v, "a label lies outside the vocabulary");
    float* loss = call.output(0, {n});
    int32_t* predicted = call.integerOutput(1, {n});
    if (!call.ok()) return;
    const float scale = scales[0];
    const bool sloped = softcap > 0.0f && scale != 0.0f;
#pragma omp parallel
    {
      std::vector<float> slopes(sloped ? v : 0);  // d capped / d logit of one row: the capped logits are gone when the gradient is written
#pragma omp for schedule(static)
      for (int64_t i = 0; i < n; ++i) {
        float* row = logits + i * v;
        if (softcap > 0.0f) capRow(row, v, sloped ? slopes.data() : nullptr);
        computeRow(row, v, labels[i], scale, loss[i], predicted[i]);
        if (sloped)
          for (int64_t j = 0; j < v; ++j) row[j] *= slopes[j];
      }
    }
  }

  static void computeRow(float* row, int64_t v, int32_t label, float scale, float& loss, int32_t& predicted) {
    const float own = row[label];
    int64_t j = 0;
    Vec m = splat(own);
    for (; j + kLanes <= v; j += kLanes) m = maxOf(m, load(row + j));
    float highest = maxLanes(m);
    for (; j < v; ++j) highest = row[j] > highest ? row[j] : highest;
    for (j = 0; row[j] != highest && j < v - 1;) ++j;  // NaN logits: ends at the last id
    predicted = static_cast<int32_t>(j);
    Vec sums{};
    for (j = 0; j + kLanes <= v; j += kLanes) {
      const Vec e = expOf(load(row + j) - highest);
      store(row + j, e);
      sums += e;
    }
    float total = sumLanes(sums);
    if (j < v) {
      Vec tail = splat(-1e30f);
      std::memcpy(&tail, row + j, (v - j) * sizeof(float));
      const Vec e = expOf(tail - highest);
      std::memcpy(row + j, &e, (v - j) * sizeof(float));
      total += sumLanes(e);
    }
    loss = std::log(total) + highest - own;
    if (scale == 0.0f) return;
    const float factor = scale / total;
    for (j = 0; j < v; ++j) row[j] *= factor;
    row[label] -= scale;
  }

  void capRow(float* row, int64_t v, float* slopes) const {
    for (int64_t j = 0; j < v; j += kLanes) {
      const size_t bytes = std::min<int64_t>(kLanes, v - j) * sizeof(float);
      Vec x{};
      std::memcpy(&x, row + j, bytes);
      const Vec t = tanhOf(x / softcap), capped = softcap * t, slope = 1.0f - t * t;
      std::memcpy(row + j, &capped, bytes);
      if (slopes) std::memcpy(slopes + j, &slope, bytes);
    }
  }
  float softcap;
};

}  // namespace

void registerCrossEntropy() {
  registerOp<CrossEntropy>({"RowsmithCrossEntropy", {"logits: float", "labels: int32", "scale: float"}, {"loss: float", "predicted: int32"}, {"softcap: float = 0.0"}});
}

}  // namespace rowsmith
