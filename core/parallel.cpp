#include "core/parallel.h"

#include <unistd.h>

#include <cstdlib>

#include "core/error.h"

namespace osprey {

void set_threads(int count) {
  if (count < 1) fail("--threads must be at least 1, not {}", count);
#ifdef _OPENMP
  omp_set_num_threads(count);
#endif
}

namespace {

void start_anew([[maybe_unused]] const char* variable, [[maybe_unused]] const char* value,
                [[maybe_unused]] char** arguments) {
#ifdef _OPENMP
  if (std::getenv("OMP_WAIT_POLICY") || std::getenv("GOMP_SPINCOUNT")) return;
  ::setenv(variable, value, 1);
  ::execv("/proc/self/exe", arguments);  // should that fail, this one goes on, only slower
#endif
}

}  // namespace

void wait_asleep(char** arguments) { start_anew("OMP_WAIT_POLICY", "PASSIVE", arguments); }

// 1000 rounds of GNU's OpenMP are some 15 microseconds, longer than most of what lies between two loops. On
// two cores with other work ResNet-50's forward pass took a fifth of the time so, and on quiet ones the same.
void wait_briefly(char** arguments) {
  if (threads() > 1) start_anew("GOMP_SPINCOUNT", "1000", arguments);
}

}  // namespace osprey
