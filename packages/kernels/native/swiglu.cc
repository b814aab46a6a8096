// Gated activations on the fused matrix [gate | up]: y = act(gate) * up. act = SiLU (Llama, Qwen, Mistral, Phi) or tanh-GELU (Gemma).
#include "op.h"
#include "vec.h"

namespace rowsmith {
namespace {

constexpr float kGeluA = 0.7978845608028654f;  // sqrt(2/pi)
constexpr float kGeluB = 0.044715f;

inline Vec sigmoid(Vec x) { return 1.0f / (1.0f + expOf(-x)); }

struct Gate {
  Vec value, slope;
};
// act(x) and act'(x)
inline Gate gateOf(Vec x, bool gelu) {
  if (!gelu) {
    const Vec s = sigmoid(x);
    return {x * s, s * (1.0f + x * (1.0f - s))};
  }
  const Vec inner = kGeluA * (x + kGeluB * x * x * x);
  const Vec t = 2.0f * sigmoid(2.0f * inner) - 1.0f;
  const Vec value = 0.5f * x * (1.0f + t);
  return {value, 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * kGeluA * (1.0f + 3.0f * kGeluB * x * x)};
}

// Runs `body(gate, up, store)` over a row of width f; the tail goes through a padded copy so that every element sees the same arithmetic.
template <typename Body>
inline void forRow(int64_t f, Body body) {
  int64_t j = 0;
  for (; j + kLanes <= f; j += kLanes) body(j, kLanes);
  if (j < f) body(j, static_cast<int>(f - j));
}
inline Vec loadPart(const float* p, int count) {
  if (count == kLanes) return load(p);
  Vec v{};
  std::memcpy(&v, p, count * sizeof(float));
  return v;
}
inline void storePart(float* p, Vec v, int count) { std::memcpy(p, &v, count * sizeof(float)); }

// gate_up [N,2F] -> y [N,F]
struct Swiglu {
  explicit Swiglu(Attributes& a) : gelu(a.text("act") == "gelu_tanh") {}
  void compute(Call& call) {
    TF_Tensor* t = call.input(0);
    const float* in = call.floats(t, 2, "gate_up");
    const int64_t n = call.dim(t, 0), f = call.dim(t, 1) / 2;
    call.require(call.dim(t, 1) == 2 * f, "gate_up must have an even width");
    float* y = call.output(0, {n, f});
    if (!call.ok()) return;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; ++i) {
      const float *g = in + i * 2 * f, *u = g + f;
      float* out = y + i * f;
      forRow(f, [&](int64_t j, int count) { storePart(out + j, gateOf(loadPart(g + j, count), gelu).value * loadPart(u + j, count), count); });
    }
  }
  bool gelu;
};

// dy [N,F], gate_up [N,2F] -> dgate_up [N,2F]
struct SwigluGrad {
  explicit SwigluGrad(Attributes& a) : gelu(a.text("act") == "gelu_tanh") {}
  void compute(Call& call) {
    TF_Tensor *td = call.input(0), *t = call.input(1);
    const float *dy = call.floats(td, 2, "dy"), *in = call.floats(t, 2, "gate_up");
    const int64_t n = call.dim(t, 0), f = call.dim(td, 1);
    call.require(call.dim(t, 1) == 2 * f && call.dim(td, 0) == n, "shapes of dy and gate_up do not agree");
    float* out = call.output(0, {n, 2 * f});
    if (!call.ok()) return;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; ++i) {
      const float *g = in + i * 2 * f, *u = g + f, *d = dy + i * f;
      float *dg = out + i * 2 * f, *du = dg + f;
      forRow(f, [&](int64_t j, int count) {
        const Gate a = gateOf(loadPart(g + j, count), gelu);
        const Vec dv = loadPart(d + j, count);
        storePart(dg + j, dv * loadPart(u + j, count) * a.slope, count);
        storePart(du + j, dv * a.value, count);
      });
    }
  }
  bool gelu;
};

}  // namespace

void registerSwiglu() {
  registerOp<Swiglu>({"RowsmithSwiglu", {"gate_up: float"}, {"y: float"}, {"act: string"}});
  registerOp<SwigluGrad>({"RowsmithSwigluGrad", {"dy: float", "gate_up: float"}, {"dgate_up: float"}, {"act: string"}});
}

}  // namespace rowsmith
