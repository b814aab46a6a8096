// Products of matrices on our own packed panels: 32 columns of sums stay in registers, and bfloat16 operands where asked for.
#include "gemm.h"
#include "op.h"

namespace rowsmith {
namespace {

// a [M,K] or, transposed, [K,M]; b [K,N] or, transposed, [N,K], f32 or bfloat16 -> a b [M,N].
// precision: "f32", or "bf16" (operands rounded to bfloat16, sums in f32).
struct MatMul {
  explicit MatMul(Attributes& a) : transposeA(a.integer("transpose_a") != 0), transposeB(a.integer("transpose_b") != 0), rounded(a.text("precision") == "bf16") {}
  void compute(Call& call) {
    TF_Tensor *ta = call.input(0), *tb = call.input(1);
    const float* a = call.floats(ta, 2, "a");
    if (!call.ok()) return;
    const int64_t M = call.dim(ta, transposeA ? 1 : 0), K = call.dim(ta, transposeA ? 0 : 1);
    const int64_t N = call.dim(tb, transposeB ? 0 : 1);
    const bool half = TF_TensorType(tb) == TF_BFLOAT16;
    const uint16_t* halves = half ? call.data<uint16_t>(tb, TF_BFLOAT16, 2, "b") : nullptr;
    const float* b = half ? nullptr : call.floats(tb, 2, "b");
    call.require(call.dim(tb, transposeB ? 1 : 0) == K, "the inner sizes of a and b differ");
    call.require(K > 0, "the inner size must be positive");
    float* c = call.output(0, {M, N});
    if (!call.ok()) return;
    const View<float> left{a, transposeA ? 1 : K, transposeA ? M : 1};
    const int64_t row = transposeB ? 1 : N, column = transposeB ? K : 1;
    if (half) run(M, N, K, left, View<uint16_t>{halves, row, column}, c);
    else run(M, N, K, left, View<float>{b, row, column}, c);
  }
  template <typename T>
  void run(int64_t M, int64_t N, int64_t K, View<float> a, View<T> b, float* c) const {
    if (rounded) multiply<Bf16>(M, N, K, a, b, c);
    else multiply<F32>(M, N, K, a, b, c);
  }
  bool transposeA, transposeB, rounded;
};

}  // namespace

void registerMatMul() {
  registerOp<MatMul>({"RowsmithMatMul",
                      {"a: float", "b: T"},
                      {"product: float"},
                      {"T: {float, bfloat16}", "transpose_a: int", "transpose_b: int", "precision: string"}});
}

}  // namespace rowsmith
