// Products of matrices, in f32 or of operands rounded to bfloat16.
#include "gemm.h"
#include "op.h"
#include "tile_block.h"
#include "vector_block.h"

namespace rowsmith {
namespace {

// a [M,K] or, transposed, [K,M]; b [K,N] or, transposed, [N,K] -> a b [M,N].
// precision: "f32", or "bf16" (operands rounded to bfloat16, sums in f32).
struct MatMul {
  explicit MatMul(Attributes& a) : transposeA(a.integer("transpose_a") != 0), transposeB(a.integer("transpose_b") != 0), rounded(a.text("precision") == "bf16") {}
  void compute(Call& call) {
    TF_Tensor *ta = call.input(0), *tb = call.input(1);
    const float *a = call.floats(ta, 2, "a"), *b = call.floats(tb, 2, "b");
    const int64_t M = call.dim(ta, transposeA ? 1 : 0), K = call.dim(ta, transposeA ? 0 : 1);
    const int64_t N = call.dim(tb, transposeB ? 0 : 1);
    call.require(call.dim(tb, transposeB ? 1 : 0) == K, "the inner sizes of a and b differ");
    call.require(K > 0, "the inner size must be positive");
    float* c = call.output(0, {M, N});
    if (!call.ok()) return;
    const View left{a, transposeA ? 1 : K, transposeA ? M : 1}, right{b, transposeB ? 1 : N, transposeB ? K : 1};
#if defined(ROWSMITH_TILES)
    if (tiles::available()) return rounded ? multiply<TileBlock<1>>(M, N, K, left, right, c) : multiply<TileBlock<3>>(M, N, K, left, right, c);
#endif
    if (rounded) multiply<VectorBlock<Bf16>>(M, N, K, left, right, c);
    else multiply<VectorBlock<F32>>(M, N, K, left, right, c);
  }
  bool transposeA, transposeB, rounded;
};

}  // namespace

void registerMatMul() {
  registerOp<MatMul>({"RowsmithMatMul", {"a: float", "b: float"}, {"product: float"}, {"transpose_a: int", "transpose_b: int", "precision: string"}});
}

}  // namespace rowsmith
