// Loops over all cores. A body gets a range, so that its own inner loop stays a plain, vectorised one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace osprey {

inline int threads() {
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

void set_threads(int count);  // for all later loops, ours and the libraries'

// Between loops OpenMP's threads wait spinning, for milliseconds, which keeps the cores from threads with
// other work; where another program has one of the cores, all wait for it so. How they wait is read when the
// program is loaded: these start it anew, with the arguments of main(), so that they sleep at once, or after
// a moment. They return where that is so already, or OMP_WAIT_POLICY or GOMP_SPINCOUNT says otherwise.
void wait_asleep(char** arguments);
void wait_briefly(char** arguments);

// body(first, last) over disjoint ranges that cover [0, n), on all threads; in one call when n <= grain.
// Ranges depend only on n and the number of threads. An exception of any range is thrown again here.
template <class Body>
void parallel_for(int64_t n, [[maybe_unused]] int64_t grain, Body&& body) {
  if (n <= 0) return;
#ifdef _OPENMP
  const int64_t parts = std::min<int64_t>(threads(), (n + grain - 1) / std::max<int64_t>(grain, 1));
  if (parts > 1 && !omp_in_parallel()) {
    std::exception_ptr error;
#pragma omp parallel for num_threads(int(parts)) schedule(static)
    for (int64_t part = 0; part < parts; ++part) {
      try {
        body(n * part / parts, n * (part + 1) / parts);
      } catch (...) {
#pragma omp critical(osprey_parallel_error)
        error = std::current_exception();
      }
    }
    if (error) std::rethrow_exception(error);
    return;
  }
#endif
  body(int64_t(0), n);
}

}  // namespace osprey
