// The processor's own limits, in registers and from memory: what no matrix product can exceed. Usage: peak <threads>. Prints one JSON object.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>
#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif
#if defined(__AMX_TILE__) && defined(__AMX_BF16__) && defined(__linux__)
#define TILES
#include <sys/syscall.h>
#include <unistd.h>
#endif

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
typedef float Vec __attribute__((vector_size(kLanes * 4)));

// Twelve chains hide four cycles of latency at two products a cycle, with room to spare, and fit sixteen registers.
constexpr int kChains = 12;
constexpr long kRounds = 1'000'000;
volatile float sink;

double fma32() {
  Vec sums[kChains];
  const Vec a = Vec{} + 0.999f, b = Vec{} + 1e-3f;
  for (int i = 0; i < kChains; ++i) sums[i] = Vec{} + static_cast<float>(i);
  for (long round = 0; round < kRounds; ++round)
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) sums[i] = sums[i] * a + b;
  Vec sum = {};
  for (int i = 0; i < kChains; ++i) sum += sums[i];
  sink = sum[0];
  return 2.0 * kLanes * kChains * kRounds;
}

double dotBf16() {
#if defined(__AVX512BF16__)
  __m512 sums[kChains];
  const __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5f), _mm512_set1_ps(0.25f));
  for (int i = 0; i < kChains; ++i) sums[i] = _mm512_set1_ps(static_cast<float>(i));
  for (long round = 0; round < kRounds; ++round)
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) sums[i] = _mm512_dpbf16_ps(sums[i], a, a);
  __m512 sum = _mm512_setzero_ps();
  for (int i = 0; i < kChains; ++i) sum = _mm512_add_ps(sum, sums[i]);
  sink = _mm512_reduce_add_ps(sum);
  return 64.0 * kChains * kRounds;
#else
  return 0;
#endif
}

// Matrix tiles (AMX): 16 x 16 sums of 32 bf16 products in an instruction. 0 without them.
double tilesBf16() {
#if defined(TILES)
  if (syscall(SYS_arch_prctl, 0x1023, 18) != 0) return 0;  // the system gives them to those that ask
  struct { unsigned char palette, start, reserved[14]; unsigned short bytes[16]; unsigned char lines[16]; } config{};
  config.palette = 1;
  for (int i = 0; i < 8; ++i) config.bytes[i] = 64, config.lines[i] = 16;
  asm volatile("ldtilecfg %0" ::"m"(config));
  asm volatile("tilezero %tmm4\n tilezero %tmm5");
  constexpr long rounds = 1'000'000;
  for (long round = 0; round < rounds; ++round)
    asm volatile("tdpbf16ps %tmm5, %tmm4, %tmm0\n tdpbf16ps %tmm5, %tmm4, %tmm1\n tdpbf16ps %tmm5, %tmm4, %tmm2\n tdpbf16ps %tmm5, %tmm4, %tmm3");
  asm volatile("tilerelease");
  return 4.0 * 16 * 16 * 32 * 2 * rounds;
#else
  return 0;
#endif
}

// Bytes read from 64 MiB a thread, beyond the caches.
double readMemory() {
  static thread_local std::vector<float> data(16 << 20, 1.0f);
  Vec sums[8] = {};
  for (size_t i = 0; i + 8 * kLanes <= data.size(); i += 8 * kLanes)
    for (int k = 0; k < 8; ++k) {
      Vec v;
      std::memcpy(&v, data.data() + i + k * kLanes, sizeof(v));
      sums[k] += v;
    }
  Vec sum = {};
  for (int k = 0; k < 8; ++k) sum += sums[k];
  sink = sum[0];
  return data.size() * 4.0;
}

// Billions a second of what `work` returns, all threads together; the best of twenty, because other programs can only slow it down.
template <class Work>
double best(int threads, Work work) {
  double found = 0;
  for (int round = 0; round < 20; ++round) {
    std::vector<double> rates(threads);
    std::vector<std::thread> running;
    for (int t = 0; t < threads; ++t)
      running.emplace_back([&, t] {
        const double warm = work();
        const auto began = std::chrono::steady_clock::now();
        const double done = work();
        rates[t] = (done + 0 * warm) / std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count() / 1e9;
      });
    double sum = 0;
    for (int t = 0; t < threads; ++t) running[t].join(), sum += rates[t];
    if (sum > found) found = sum;
  }
  return found;
}

int main(int count, char** arguments) {
  const int threads = count > 1 ? std::atoi(arguments[1]) : 1;
  const double f32 = best(threads, fma32), bf16 = best(threads, dotBf16), tiles = best(threads, tilesBf16), memory = best(threads, readMemory);
  std::printf("{\"f32_gflops\": %.1f, \"bf16_gflops\": %.1f, \"tile_gflops\": %.1f, \"read_gb_per_second\": %.1f}\n", f32, bf16, tiles, memory);
}
