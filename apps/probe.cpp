// Rates are the best of many runs of a millisecond, so that other work of the machine lowers them little.
// Products are chains in registers, so many that none waits for the one before; each kind is compiled for its
// instructions, whatever the build is for, and runs where the processor has them.
#include "apps/probe.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <numeric>
#include <vector>

#include "core/parallel.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace osprey {
namespace {

constexpr int kChains = 12;  // 4 cycles of latency in 2 units need 8; 16 registers hold 12 and two factors

// Keeps what is computed from being left out.
void use(float value) {
  static std::atomic<float> sink;
  sink.store(value, std::memory_order_relaxed);
}

#ifdef __x86_64__

__attribute__((target("avx2,fma"))) float products_avx2(int64_t steps) {
  const __m256 a = _mm256_set1_ps(0.5f), b = _mm256_set1_ps(0.25f);
  __m256 sums[kChains];
  for (__m256& sum : sums) sum = _mm256_setzero_ps();
  for (int64_t i = 0; i < steps; ++i)
#pragma GCC unroll 12
    for (int k = 0; k < kChains; ++k) sums[k] = _mm256_fmadd_ps(sums[k], a, b);
  __m256 all = sums[0];
  for (int k = 1; k < kChains; ++k) all = _mm256_add_ps(all, sums[k]);
  return _mm256_cvtss_f32(all);
}

__attribute__((target("avx512f"))) float products_avx512(int64_t steps) {
  const __m512 a = _mm512_set1_ps(0.5f), b = _mm512_set1_ps(0.25f);
  __m512 sums[kChains];
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < steps; ++i)
#pragma GCC unroll 12
    for (int k = 0; k < kChains; ++k) sums[k] = _mm512_fmadd_ps(sums[k], a, b);
  __m512 all = sums[0];
  for (int k = 1; k < kChains; ++k) all = _mm512_add_ps(all, sums[k]);
  return _mm512_cvtss_f32(all);
}

__attribute__((target("avx512f,avx512bf16"))) float products_bf16(int64_t steps) {
  const __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5f), _mm512_set1_ps(0.5f)), b = a;
  __m512 sums[kChains];
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < steps; ++i)
#pragma GCC unroll 12
    for (int k = 0; k < kChains; ++k) sums[k] = _mm512_dpbf16_ps(sums[k], a, b);
  __m512 all = sums[0];
  for (int k = 1; k < kChains; ++k) all = _mm512_add_ps(all, sums[k]);
  return _mm512_cvtss_f32(all);
}

#endif

// Of the instructions that the build is for, as many values as vectors of 16 bytes and the chains hold.
float products_plain(int64_t steps) {
  constexpr int kValues = 4 * kChains;
  float sums[kValues] = {};
  for (int64_t i = 0; i < steps; ++i)
    for (float& sum : sums) sum = sum * 0.5f + 0.25f;
  float all = 0;
  for (float sum : sums) all += sum;
  return all;
}

// Of this thread alone: while it waits for a core, nothing passes.
double processor_seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

// GFLOP/s of products(steps), which does `operations` in each step: of all threads together, the best of
// each.
double rate_of(float (*products)(int64_t), int operations, int threads) {
  constexpr int64_t kSteps = 400000;
  std::vector<double> rates(size_t(threads), 0.0);
  parallel_for(threads, 1, [&](int64_t first, int64_t last) {
    for (int64_t thread = first; thread < last; ++thread)
      for (int run = 0; run < 100; ++run) {
        const double start = processor_seconds();
        use(products(kSteps));
        const double rate = double(kSteps) * operations / (processor_seconds() - start) / 1e9;
        rates[size_t(thread)] = std::max(rates[size_t(thread)], rate);
      }
  });
  return std::accumulate(rates.begin(), rates.end(), 0.0);
}

void measure_products(Ceilings& c) {
  constexpr int kPerByte = 2 * kChains / int(sizeof(float));  // operations, of a vector's bytes
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    c.avx2 = rate_of(products_avx2, 32 * kPerByte, c.threads);
  if (__builtin_cpu_supports("avx512f")) c.avx512 = rate_of(products_avx512, 64 * kPerByte, c.threads);
  if (__builtin_cpu_supports("avx512bf16")) c.bf16 = rate_of(products_bf16, 2 * 64 * kPerByte, c.threads);
#endif
  c.fp32 = std::max(c.avx2, c.avx512);
  if (c.fp32 == 0) c.fp32 = rate_of(products_plain, 16 * kPerByte, c.threads);
}

// As many sums as vectors, so that none waits for another.
float sum_of(const float* values, int64_t count) {
  constexpr int kSums = 64;
  float sums[kSums] = {};
  for (int64_t i = 0; i + kSums <= count; i += kSums)
    for (int k = 0; k < kSums; ++k) sums[k] += values[i + k];
  float all = 0;
  for (float sum : sums) all += sum;
  return all;
}

// body(run, thread) on every thread, in so many runs one after the other: the seconds of the fastest.
template <class Body>
double least_seconds(int threads, int runs, Body&& body) {
  double least = 1e9;
  for (int run = 0; run < runs; ++run) {
    const auto start = std::chrono::steady_clock::now();
    parallel_for(threads, 1, [&](int64_t first, int64_t last) {
      for (int64_t thread = first; thread < last; ++thread) body(run, thread);
    });
    least = std::min(least, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return least;
}

// A run goes over one part of the arrays, the next over the next: when it comes back, the caches hold others.
void measure_memory(Ceilings& c) {
  constexpr int64_t kCount = int64_t(16) << 20, kParts = 8, kRuns = 6 * kParts;  // 64 MiB in each of three
  std::vector<float> a(kCount, 1.0f), b(kCount, 2.0f), d(kCount, 3.0f);
  constexpr int64_t kPart = kCount / kParts;
  const auto first = [&](int run, int64_t thread) {
    return run % kParts * kPart + kPart * thread / c.threads;
  };
  const double reading = least_seconds(c.threads, kRuns, [&](int run, int64_t thread) {
    const int64_t count = first(run, thread + 1) - first(run, thread);
    for (const std::vector<float>* array : {&a, &b, &d})
      use(sum_of(array->data() + first(run, thread), count));
  });
  const double adding = least_seconds(c.threads, kRuns, [&](int run, int64_t thread) {
    const float *y = b.data(), *z = d.data();
    float* x = a.data();
    for (int64_t i = first(run, thread); i < first(run, thread + 1); ++i) x[i] = y[i] + 0.5f * z[i];
  });
  constexpr double kBytes = 3.0 * double(kPart) * sizeof(float);
  c.read = kBytes / reading / 1e9;
  c.triad = kBytes / adding / 1e9;
}

}  // namespace

Ceilings measure_ceilings(int threads) {
  Ceilings c;
  c.threads = threads;
  measure_products(c);
  measure_memory(c);
  return c;
}

}  // namespace osprey
