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

void wait_asleep([[maybe_unused]] char** arguments) {
#ifdef _OPENMP
  if (std::getenv("OMP_WAIT_POLICY")) return;
  ::setenv("OMP_WAIT_POLICY", "PASSIVE", 1);
  ::execv("/proc/self/exe", arguments);  // should that fail, this one goes on, only slower
#endif
}

}  // namespace osprey
