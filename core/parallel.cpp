#include "core/parallel.h"

#include "core/error.h"

namespace osprey {

void set_threads(int count) {
  if (count < 1) fail("--threads must be at least 1, not {}", count);
#ifdef _OPENMP
  omp_set_num_threads(count);
#endif
}

}  // namespace osprey
