// Rotary position embedding (rotate-half form) together with the split of the fused [q | k | v] rows into heads, and its inverse for gradients.
#include "op.h"
#include "vec.h"

namespace rowsmith {
namespace {


// Rotates one head vector by its position's angles; sign -1 is the inverse (= transpose) rotation. table: cos, sin [T, D/2].
inline void rotate(const float* in, float* out, const float* cosine, const float* sine, int64_t half, float sign) {
  for (int64_t d = 0; d < half; ++d) {
    const float a = in[d], b = in[d + half], c = cosine[d], s = sign * sine[d];
    out[d] = a * c - b * s;
    out[d + half] = b * c + a * s;
  }
}

// qkv [B*T, (H+2K)D], cos and sin [>=T, D/2] -> q [B,H,T,D], k [B,K,T,D], v [B,K,T,D]
struct RopeSplit {
  explicit RopeSplit(Attributes& a) : batch(a.integer("batch")), heads(a.integer("heads")), kvHeads(a.integer("kv_heads")) {}
  void compute(Call& call) {
    TF_Tensor *t = call.input(0), *tc = call.input(1), *ts = call.input(2);
    const float *in = call.floats(t, 2, "qkv"), *cosine = call.floats(tc, 2, "cos"), *sine = call.floats(ts, 2, "sin");
    const int64_t rows = call.dim(t, 0), half = call.dim(tc, 1), d = 2 * half, all = heads + 2 * kvHeads;
    call.require(batch > 0 && rows % batch == 0 && call.dim(t, 1) == all * d, "qkv does not fit batch, heads and the tables");
    const int64_t length = call.ok() ? rows / batch : 0;
    call.require(call.dim(tc, 0) >= length && call.dim(ts, 0) >= length && call.dim(ts, 1) == half, "cos and sin tables are too short");
    float* q = call.output(0, {batch, heads, length, d});
    float* k = call.output(1, {batch, kvHeads, length, d});
    float* v = call.output(2, {batch, kvHeads, length, d});
    if (!call.ok()) return;
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t b = row / length, pos = row % length;
      const float *src = in + row * all * d, *c = cosine + pos * half, *s = sine + pos * half;
      for (int64_t h = 0; h < heads; ++h) rotate(src + h * d, q + ((b * heads + h) * length + pos) * d, c, s, half, 1.0f);
      for (int64_t h = 0; h < kvHeads; ++h) {
        const int64_t at = ((b * kvHeads + h) * length + pos) * d;
        rotate(src + (heads + h) * d, k + at, c, s, half, 1.0f);
        std::memcpy(v + at, src + (heads + kvHeads + h) * d, d * sizeof(float));
      }
    }
  }
  int64_t batch, heads, kvHeads;
};

// dq [B,H,T,D], dk [B,K,T,D], dv [B,K,T,D], cos, sin -> dqkv [B*T, (H+2K)D]
struct RopeMerge {
  explicit RopeMerge(Attributes&) {}
  void compute(Call& call) {
    TF_Tensor *tq = call.input(0), *tk = call.input(1), *tv = call.input(2), *tc = call.input(3), *ts = call.input(4);
    const float *dq = call.floats(tq, 4, "dq"), *dk = call.floats(tk, 4, "dk"), *dv = call.floats(tv, 4, "dv"), *cosine = call.floats(tc, 2, "cos"), *sine = call.floats(ts, 2, "sin");
    const int64_t batch = call.dim(tq, 0), heads = call.dim(tq, 1), length = call.dim(tq, 2), d = call.dim(tq, 3), kvHeads = call.dim(tk, 1), half = d / 2;
    call.require(call.dim(tc, 1) == half && call.dim(tc, 0) >= length && call.dim(ts, 1) == half && call.dim(ts, 0) >= length, "cos and sin tables do not fit");
    call.require(call.dim(tk, 2) == length && call.dim(tv, 2) == length && call.dim(tv, 1) == kvHeads && call.dim(tk, 3) == d && call.dim(tv, 3) == d, "dk and dv do not fit dq");
    const int64_t all = heads + 2 * kvHeads, rows = batch * length;
    float* out = call.output(0, {rows, all * d});
    if (!call.ok()) return;
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t b = row / length, pos = row % length;
      float* dst = out + row * all * d;
      const float *c = cosine + pos * half, *s = sine + pos * half;
      for (int64_t h = 0; h < heads; ++h) rotate(dq + ((b * heads + h) * length + pos) * d, dst + h * d, c, s, half, -1.0f);
      for (int64_t h = 0; h < kvHeads; ++h) {
        const int64_t at = ((b * kvHeads + h) * length + pos) * d;
        rotate(dk + at, dst + (heads + h) * d, c, s, half, -1.0f);
        std::memcpy(dst + (heads + kvHeads + h) * d, dv + at, d * sizeof(float));
      }
    }
  }
};

}  // namespace

void registerRope() {
  registerOp<RopeSplit>({"RowsmithRopeSplit", {"qkv: float", "cos: float", "sin: float"}, {"q: float", "k: float", "v: float"}, {"batch: int", "heads: int", "kv_heads: int"}});
  registerOp<RopeMerge>({"RowsmithRopeMerge", {"dq: float", "dk: float", "dv: float", "cos: float", "sin: float"}, {"dqkv: float"}, {}});
}

}  // namespace rowsmith
