// Gated activations: y = act(gate) * up. act = SiLU (Llama, Qwen, Mistral, Phi) or tanh-GELU (Gemma).
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

// gate, up [N,F] -> y [N,F]
struct Swiglu {
  explicit Swiglu(Attributes& a) : gelu(a.text("act") == "gelu_tanh") {}
  void compute(Call& call) {
    TF_Tensor *tg = call.input(0), *tu = call.input(1);
    const float *gate = call.floats(tg, 2, "gate"), *up = call.floats(tu, 2, "up");
    const int64_t n = call.dim(tg, 0), f = call.dim(tg, 1);
    call.require(call.dim(tu, 0) == n && call.dim(tu, 1) == f, "shapes of gate and up do not agree");
    float* y = call.output(0, {n, f});
    if (!call.ok()) return;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; ++i)
      forRow(f, [&](int64_t j, int count) {
        const int64_t at = i * f + j;
        storePart(y + at, gateOf(loadPart(gate + at, count), gelu).value * loadPart(up + at, count), count);
      });
  }
  bool gelu;
};

// dact, gate, up [N,F] -> act = act(gate) * up again, dgate, dup [N,F]
struct SwigluGrad {
  explicit SwigluGrad(Attributes& a) : gelu(a.text("act") == "gelu_tanh") {}
  void compute(Call& call) {
    TF_Tensor *td = call.input(0), *tg = call.input(1), *tu = call.input(2);
    const float *d = call.floats(td, 2, "dact"), *gate = call.floats(tg, 2, "gate"), *up = call.floats(tu, 2, "up");
    const int64_t n = call.dim(tg, 0), f = call.dim(tg, 1);
    call.require(call.dim(td, 0) == n && call.dim(td, 1) == f && call.dim(tu, 0) == n && call.dim(tu, 1) == f, "shapes of dact, gate and up do not agree");
    float *act = call.output(0, {n, f}), *dgate = call.output(1, {n, f}), *dup = call.output(2, {n, f});
    if (!call.ok()) return;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; ++i)
      forRow(f, [&](int64_t j, int count) {
        const int64_t at = i * f + j;
        const Gate g = gateOf(loadPart(gate + at, count), gelu);
        const Vec u = loadPart(up + at, count), dv = loadPart(d + at, count);
        storePart(act + at, g.value * u, count);
        storePart(dgate + at, dv * u * g.slope, count);
        storePart(dup + at, dv * g.value, count);
      });
  }
  bool gelu;
};

}  // namespace

void registerSwiglu() {
  registerOp<Swiglu>({"RowsmithSwiglu", {"gate: float", "up: float"}, {"y: float"}, {"act: string"}});
  registerOp<SwigluGrad>({"RowsmithSwigluGrad", {"dact: float", "gate: float", "up: float"}, {"act_again: float", "dgate: float", "dup: float"}, {"act: string"}});
}

}  // namespace rowsmith
