// Rows of heads [N, H*D] to the attention layout [B, K, T*G, D] and back, with the rotary embedding on the way (Su et al., arXiv 2104.09864, rotate-half order).
#include "op.h"
#include "vec.h"

namespace rowsmith {
namespace {

// One position of one kv group: `width` = G*D floats. y = x cos + swap(x) sin, swap exchanging the halves of the first `rotary` floats of each head (the
// rest: y = x cos, cos holding the scale of queries); `sine` carries the sign of
// rotate-half. The adjoint is dy cos - swap(dy) sin, because swap(sin) = -sin.
inline void rotate(const float* x, float* y, const float* cosine, const float* sine, int64_t width, int64_t headDim, int64_t rotary, float sign) {
  const int64_t half = rotary / 2;
  for (int64_t at = 0; at < width; at += headDim) {
    for (int64_t d = 0; d < half; ++d) {
      const int64_t i = at + d, j = i + half;
      const float a = x[i], b = x[j];
      y[i] = a * cosine[i] + sign * b * sine[i];
      y[j] = b * cosine[j] + sign * a * sine[j];
    }
    for (int64_t i = at + rotary; i < at + headDim; ++i) y[i] = x[i] * cosine[i];
  }
}

// split: x [B*T, H*D] -> [B, K, T*G, D]; merge (the adjoint): [B, K, T*G, D] -> [B*T, H*D]. cos, sin [T, G*D], or [0]: no rotation.
template <bool kSplit>
struct Heads {
  explicit Heads(Attributes& a) : batch(a.integer("batch")), heads(a.integer("heads")), kvHeads(a.integer("kv_heads")), headDim(a.integer("head_dim")), rotary(a.integer("rotary")) {
    if (rotary == 0) rotary = headDim;
  }
  void compute(Call& call) {
    TF_Tensor *tx = call.input(0), *tc = call.input(1), *ts = call.input(2);
    const float *x = call.floats(tx, -1, "x"), *cosine = call.floats(tc, -1, "cos"), *sine = call.floats(ts, -1, "sin");
    call.require(batch > 0 && kvHeads > 0 && heads % kvHeads == 0 && headDim > 0 && headDim % 2 == 0, "heads must be a multiple of kv_heads and head_dim even");
    call.require(rotary > 0 && rotary <= headDim && rotary % 2 == 0, "rotary must be even and at most head_dim");
    if (!call.ok()) return;
    const int64_t width = heads / kvHeads * headDim, count = TF_TensorElementCount(tx), length = count / (batch * kvHeads * width);
    const bool turn = TF_TensorElementCount(tc) > 0;
    call.require(length > 0 && count == batch * kvHeads * length * width, "x does not fit batch, heads and head_dim");
    call.require(!turn || (call.dim(tc, 0) >= length && call.dim(tc, 1) == width && call.dim(ts, 0) >= length && call.dim(ts, 1) == width), "cos and sin must be [T, G*D]");
    float* y = kSplit ? call.output(0, {batch, kvHeads, length * (heads / kvHeads), headDim}) : call.output(0, {batch * length, heads * headDim});
    if (!call.ok()) return;
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < batch * length; ++row) {
      const int64_t b = row / length, t = row % length;
      for (int64_t k = 0; k < kvHeads; ++k) {
        const int64_t flat = (row * kvHeads + k) * width, split = ((b * kvHeads + k) * length + t) * width;
        const float* from = x + (kSplit ? flat : split);
        float* to = y + (kSplit ? split : flat);
        if (turn)
          rotate(from, to, cosine + t * width, sine + t * width, width, headDim, rotary, kSplit ? 1.0f : -1.0f);
        else
          std::memcpy(to, from, width * sizeof(float));
      }
    }
  }
  int64_t batch, heads, kvHeads, headDim, rotary;
};

}  // namespace

void registerHeads() {
  const std::vector<const char*> attributes{"batch: int", "heads: int", "kv_heads: int", "head_dim: int", "rotary: int = 0"};
  registerOp<Heads<true>>({"RowsmithSplitHeads", {"x: float", "cos: float", "sin: float"}, {"y: float"}, attributes});
  registerOp<Heads<false>>({"RowsmithMergeHeads", {"x: float", "cos: float", "sin: float"}, {"y: float"}, attributes});
}

}  // namespace rowsmith
