// The CPU side of cuda/sinkhorn.h.
#include "cuda/sinkhorn.h"

#include <algorithm>

#include "core/parallel.h"

namespace osprey::cpu {
namespace {

// ln of the sum of exp(term(i)), i from 0 to count - 1, without overflow.
template <class Term>
double log_sum_exp(int count, Term term) {
  double largest = -INFINITY, sum = 0;
  for (int i = 0; i < count; ++i) largest = std::max(largest, term(i));
  for (int i = 0; i < count; ++i) sum += std::exp(float(term(i) - largest));
  return largest + std::log(sum);
}

}  // namespace

void sinkhorn(Stream&, Transport t, SinkhornRule rule) {
  std::fill(t.u.begin(), t.u.end(), 1.0);
  for (int image = 0; image < t.images(); ++image) {
    const int rows = t.suppliers(image), customers = t.customers();
    for (int i = 0; i < rule.iterations; ++i) {
      parallel_for(customers, 64, [&](int64_t first, int64_t last) {
        for (int p = int(first); p < int(last); ++p)
          t.v(image, 0, 0, p) =
              rule.eps * (rule.log_amount(t.wanted(image, p)) - log_sum_exp(rows, [&](int r) {
                            return (t.u(image, 0, 0, r) - t.cost(image, 0, r, p)) / rule.eps;
                          }));
      });
      parallel_for(rows, 1, [&](int64_t first, int64_t last) {
        for (int r = int(first); r < int(last); ++r)
          t.u(image, 0, 0, r) =
              rule.eps * (rule.log_amount(t.supply(image, 0, 0, r)) - log_sum_exp(customers, [&](int p) {
                            return (t.v(image, 0, 0, p) - t.cost(image, 0, r, p)) / rule.eps;
                          }));
      });
    }
  }
}

void transport_plan(Stream&, Transport t, SinkhornRule rule, View<float> plan) {
  for (int image = 0; image < t.images(); ++image)
    for (int r = 0; r < t.suppliers(image); ++r)
      for (int p = 0; p < t.customers(); ++p)
        plan(image, 0, r, p) =
            std::exp(float((t.u(image, 0, 0, r) + t.v(image, 0, 0, p) - t.cost(image, 0, r, p)) / rule.eps));
}

}  // namespace osprey::cpu
