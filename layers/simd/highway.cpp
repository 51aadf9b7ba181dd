// What Highway's dispatch calls of its library: which of the compiled forms this processor can run. Written
// here, the program needs Highway's headers alone, and no library of it where it runs.
#include <hwy/highway.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace hwy {
namespace {

std::atomic<int64_t> g_for_test = 0;  // 0: what the processor has

int64_t targets_of_processor() {
  int64_t targets = HWY_STATIC_TARGET;
#if HWY_ARCH_X86
  __builtin_cpu_init();
  const auto has = [&](bool all, int64_t target) {
    if (all) targets |= target;
  };
  has(__builtin_cpu_supports("ssse3"), HWY_SSSE3);
  has(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
          __builtin_cpu_supports("bmi2"),
      HWY_AVX2);
  has(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
          __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
          __builtin_cpu_supports("avx512vl"),
      HWY_AVX3);
#endif
  return targets;
}

}  // namespace

int64_t SupportedTargets() {
  static const int64_t of_processor = targets_of_processor();
  const int64_t for_test = g_for_test;
  return for_test ? for_test : of_processor;
}

void SetSupportedTargetsForTest(int64_t targets) {
  g_for_test = targets;
  GetChosenTarget().DeInit();  // it is chosen anew
}

ChosenTarget& GetChosenTarget() {
  static ChosenTarget chosen;
  return chosen;
}

void Abort(const char* file, int line, const char* format, ...) {
  std::fprintf(stderr, "%s:%d: %s\n", file, line, format);
  std::abort();
}

}  // namespace hwy
