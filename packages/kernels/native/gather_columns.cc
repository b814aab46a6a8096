// Some columns of a matrix: TensorFlow's own gather copies number by number in one thread.
#include "op.h"

namespace rowsmith {
namespace {

// x [N,m], ids [r] i32 -> x[:, ids] [N,r]
struct GatherColumns {
  explicit GatherColumns(Attributes&) {}
  void compute(Call& call) {
    TF_Tensor *tx = call.input(0), *ti = call.input(1);
    const float* x = call.floats(tx, 2, "x");
    const int32_t* ids = call.data<int32_t>(ti, TF_INT32, 1, "ids");
    const int64_t n = call.dim(tx, 0), m = call.dim(tx, 1), r = call.dim(ti, 0);
    for (int64_t j = 0; call.ok() && j < r; ++j)
      call.require(ids[j] >= 0 && ids[j] < m, "ids[" + std::to_string(j) + "] is " + std::to_string(ids[j]) + ", x has " + std::to_string(m) + " columns");
    float* out = call.output(0, {n, r});
    if (!call.ok()) return;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; ++i) {
      const float* row = x + i * m;
      float* to = out + i * r;
      for (int64_t j = 0; j < r; ++j) to[j] = row[ids[j]];
    }
  }
};

}  // namespace

void registerGatherColumns() { registerOp<GatherColumns>({"RowsmithGatherColumns", {"x: float", "ids: int32"}, {"columns: float"}, {}}); }

}  // namespace rowsmith
