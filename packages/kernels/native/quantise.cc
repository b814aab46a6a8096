// Weights in 4 or 8 bits and back, one matrix at a time.
// NF4 (Dettmers et al., arXiv 2305.14314): blocks of `block` numbers along the row-major matrix, scale = largest |w| of the block, code = nearest
// of 16 levels to w / scale. int8: one scale a row, largest |w| / 127; stored with 128 added, so that bytes are unsigned.
#include <algorithm>
#include <cmath>

#include "op.h"
#include "vec.h"

// A product and a sum contracted into one rounding would differ from the stock-operator twin in the last bit.
#pragma GCC optimize("fp-contract=off")

namespace rowsmith {
namespace {

constexpr float kLevels[16] = {-1.0f,
                               -0.6961928009986877f,
                               -0.5250730514526367f,
                               -0.39491748809814453f,
                               -0.28444138169288635f,
                               -0.18477343022823334f,
                               -0.09105003625154495f,
                               0.0f,
                               0.07958029955625534f,
                               0.16093020141124725f,
                               0.24611230194568634f,
                               0.33791524171829224f,
                               0.44070982933044434f,
                               0.5626170039176941f,
                               0.7229568362236023f,
                               1.0f};
// Midpoints of the levels; a tie goes to the lower one.
constexpr float kThresholds[15] = {-0.8480964004993439f,   -0.6106329262256622f,  -0.4599952697753906f,  -0.33967943489551544f, -0.23460740596055984f,
                                   -0.13791173323988914f,  -0.045525018125772476f, 0.03979014977812767f, 0.1202552504837513f,   0.2035212516784668f,
                                   0.2920137718319893f,    0.3893125355243683f,   0.5016634166240692f,   0.6427869200706482f,   0.8614784181118011f};

constexpr int kChunk = 64;

// NaN wins: a damaged block has a scale that is not finite, which the caller refuses.
inline float largest(const float* w, int64_t count) {
  float most = 0.0f;
  bool ordered = true;
  for (int64_t i = 0; i < count; ++i) {
    const float a = std::fabs(w[i]);
    ordered &= a == a;
    most = a > most ? a : most;
  }
  return ordered ? most : NAN;
}

// weights [R,C], attribute block -> codes [ceil(RC/2)] u8 (the first of two in the high half), scales [ceil(RC/block)]
struct QuantizeNf4 {
  explicit QuantizeNf4(Attributes& a) : block(a.integer("block")) {}
  void compute(Call& call) {
    TF_Tensor* t = call.input(0);
    const float* w = call.floats(t, 2, "weights");
    call.require(block > 0, "block must be positive");
    if (!call.ok()) return;
    const int64_t n = call.dim(t, 0) * call.dim(t, 1), blocks = (n + block - 1) / block;
    uint8_t* codes = call.byteOutput(0, {(n + 1) / 2});
    float* scales = call.output(1, {blocks});
    if (!call.ok()) return;
    // Two blocks begin at an even number, so no two threads share a byte, whatever the block.
#pragma omp parallel for schedule(static)
    for (int64_t pair = 0; pair < (blocks + 1) / 2; ++pair)
      for (int64_t b = 2 * pair; b < std::min(blocks, 2 * pair + 2); ++b) {
        const int64_t begin = b * block, end = std::min(n, begin + block);
        const float scale = scales[b] = largest(w + begin, end - begin);
        const float divisor = scale > 0.0f ? scale : 1.0f;
        for (int64_t from = begin; from < end; from += kChunk) {
          const int count = static_cast<int>(std::min<int64_t>(kChunk, end - from));
          int32_t code[kChunk];
          for (int i = 0; i < count; ++i) {
            const float x = w[from + i] / divisor;
            int32_t c = 0;
            for (float threshold : kThresholds) c += x > threshold;
            code[i] = c;
          }
          for (int i = 0; i < count; ++i) {
            uint8_t& byte = codes[(from + i) / 2];
            byte = (from + i) % 2 == 0 ? static_cast<uint8_t>(code[i] << 4) : static_cast<uint8_t>(byte | code[i]);
          }
        }
      }
  }
  int64_t block;
};

// level[code] for kLanes codes, of levels that are multiplied by the block's scale already
struct Table {
  explicit Table(float scale) {
    for (int i = 0; i < 16; ++i) value[i] = kLevels[i] * scale;
  }
  Vec at(const int32_t* code) const {
    IVec index;
    std::memcpy(&index, code, sizeof(IVec));
    if constexpr (kLanes == 16) return __builtin_shuffle(load(value), index);
    if constexpr (kLanes == 8) return index > 7 ? __builtin_shuffle(load(value + 8), index) : __builtin_shuffle(load(value), index);
    Vec v;
    for (int i = 0; i < kLanes; ++i) v[i] = value[code[i]];
    return v;
  }
  float value[16];
};

// codes, scales as above (or, with double quantisation, scales [ceil(blocks/256)], scale_codes [blocks] u8 and levels [257]: 256 levels, then the mean:
// a block's scale is levels[code] * scales[block / 256] + mean), place [3] = first row, rows, columns -> [rows, columns]
struct DequantizeNf4 {
  explicit DequantizeNf4(Attributes& a) : block(a.integer("block")) {}
  void compute(Call& call) {
    TF_Tensor *tc = call.input(0), *ts = call.input(1), *tk = call.input(2), *tl = call.input(3), *tp = call.input(4);
    const uint8_t *codes = call.data<uint8_t>(tc, TF_UINT8, 1, "codes"), *scaleCodes = call.data<uint8_t>(tk, TF_UINT8, 1, "scale_codes");
    const float *scales = call.floats(ts, 1, "scales"), *levels = call.floats(tl, 1, "levels");
    const int32_t* place = call.data<int32_t>(tp, TF_INT32, 1, "place");
    call.require(block > 0 && call.dim(tp, 0) == 3, "block must be positive, place must be first row, rows, columns");
    if (!call.ok()) return;
    const int64_t rows = place[1], columns = place[2], begin = place[0] * columns, end = begin + rows * columns;
    call.require(begin >= 0 && end > begin && (end + 1) / 2 <= call.dim(tc, 0), "place lies outside of the matrix");
    const int64_t first = begin / block, last = (end - 1) / block;
    const bool twice = call.dim(tk, 0) > 0;
    call.require((twice ? call.dim(tk, 0) : call.dim(ts, 0)) > last, "the scales end before the matrix");
    call.require(!twice || (call.dim(ts, 0) > last / 256 && call.dim(tl, 0) == 257), "the scales' own scales or levels are incomplete");
    float* y = call.output(0, {rows, columns});
    if (!call.ok()) return;
#pragma omp parallel for schedule(static)
    for (int64_t b = first; b <= last; ++b) {
      float scale = scales[twice ? b / 256 : b];
      if (twice) {
        scale *= levels[scaleCodes[b]];
        scale += levels[256];
      }
      const Table table(scale);
      const int64_t to = std::min(end, (b + 1) * block);
      for (int64_t i = std::max(begin, b * block); i < to;) {
        if (i % 2 == 0 && i + kChunk <= to) {
          int32_t code[kChunk];
          for (int k = 0; k < kChunk / 2; ++k) {
            code[2 * k] = codes[i / 2 + k] >> 4;
            code[2 * k + 1] = codes[i / 2 + k] & 15;
          }
          for (int k = 0; k < kChunk; k += kLanes) store(y + i - begin + k, table.at(code + k));
          i += kChunk;
        } else {
          y[i - begin] = table.value[i % 2 == 0 ? codes[i / 2] >> 4 : codes[i / 2] & 15];
          ++i;
        }
      }
    }
  }
  int64_t block;
};

// weights [R,C] -> codes [R,C] u8, scales [R]
struct QuantizeInt8 {
  explicit QuantizeInt8(Attributes&) {}
  void compute(Call& call) {
    TF_Tensor* t = call.input(0);
    const float* w = call.floats(t, 2, "weights");
    const int64_t rows = call.dim(t, 0), columns = call.dim(t, 1);
    uint8_t* codes = call.byteOutput(0, {rows, columns});
    float* scales = call.output(1, {rows});
    if (!call.ok()) return;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; ++r) {
      const float scale = scales[r] = largest(w + r * columns, columns) / 127.0f;
      const float divisor = scale > 0.0f ? scale : 1.0f;
      for (int64_t j = 0; j < columns; ++j) {
        // Ties to even. A row of denormals may give more than 127.
        const float x = std::nearbyint(w[r * columns + j] / divisor);
        codes[r * columns + j] = static_cast<uint8_t>(static_cast<int32_t>(x > 127.0f ? 127.0f : x > -127.0f ? x : -127.0f) + 128);
      }
    }
  }
};

// codes [R,C] u8, scales [R], place [3] = first row, rows, columns -> [rows, columns]
struct DequantizeInt8 {
  explicit DequantizeInt8(Attributes&) {}
  void compute(Call& call) {
    TF_Tensor *tc = call.input(0), *ts = call.input(1), *tp = call.input(2);
    const uint8_t* codes = call.data<uint8_t>(tc, TF_UINT8, 2, "codes");
    const float* scales = call.floats(ts, 1, "scales");
    const int32_t* place = call.data<int32_t>(tp, TF_INT32, 1, "place");
    call.require(call.dim(tp, 0) == 3, "place must be first row, rows, columns");
    if (!call.ok()) return;
    const int64_t first = place[0], rows = place[1], columns = place[2];
    call.require(first >= 0 && rows > 0 && first + rows <= call.dim(tc, 0) && columns == call.dim(tc, 1), "place lies outside of the matrix");
    call.require(call.dim(ts, 0) == call.dim(tc, 0), "one scale a row is needed");
    float* y = call.output(0, {rows, columns});
    if (!call.ok()) return;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; ++r) {
      const float scale = scales[first + r];
      const uint8_t* from = codes + (first + r) * columns;
      for (int64_t j = 0; j < columns; ++j) y[r * columns + j] = static_cast<float>(static_cast<int32_t>(from[j]) - 128) * scale;
    }
  }
};

}  // namespace

void registerQuantise() {
  registerOp<QuantizeNf4>({"RowsmithQuantizeNf4", {"weights: float"}, {"codes: uint8", "scales: float"}, {"block: int"}});
  registerOp<DequantizeNf4>({"RowsmithDequantizeNf4",
                             {"codes: uint8", "scales: float", "scale_codes: uint8", "levels: float", "place: int32"},
                             {"weights: float"},
                             {"block: int"}});
  registerOp<QuantizeInt8>({"RowsmithQuantizeInt8", {"weights: float"}, {"codes: uint8", "scales: float"}, {}});
  registerOp<DequantizeInt8>({"RowsmithDequantizeInt8", {"codes: uint8", "scales: float", "place: int32"}, {"weights: float"}, {}});
}

}  // namespace rowsmith
