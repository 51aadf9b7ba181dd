// What the kernel tests share: each kernel runs in the emulation's three orders of threads and must agree
// with plain loops, in double, written in the test.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/random.h"
#include "core/tensor.h"
#include "cuda/emulation.h"

namespace osprey::test {

using Values = std::vector<float>;

// Multiples of 1/8 from [-1, 1): so coarse that ties happen. Seeds give different values.
inline Values coarse_values(int64_t count, uint64_t seed) {
  Values v(count);
  for (size_t i = 0; i < v.size(); ++i)
    v[i] = std::floor(Random(seed, Purpose::test, 0, i).uniform(-8, 8)) / 8;
  return v;
}

template <class T>
View<T> view(std::vector<T>& v, Shape shape) {
  EXPECT_EQ(int64_t(v.size()), shape.elements());
  return {v.data(), shape};
}
inline View<const float> constant(const Values& v, Shape shape) {
  EXPECT_EQ(int64_t(v.size()), shape.elements());
  return {v.data(), shape};
}
template <class T>
View<T> channels(std::vector<T>& v) {
  return {v.data(), {1, 1, 1, int(v.size())}};
}

template <class Body>
void in_all_orders(Body&& body) {
  using emulation::Order;
  for (Order order : {Order::forward, Order::reverse, Order::shuffled}) {
    SCOPED_TRACE("order " + std::to_string(int(order)));
    emulation::set_order(order);
    body();
  }
  emulation::set_order(Order::forward);
}

// A sum as the plain loops make it, with what its rounding is measured by.
struct Sum {
  double value = 0, magnitude = 0;
  int terms = 0;
  void add(double term) {
    value += term;
    magnitude += std::fabs(term);
    ++terms;
  }
};
using Sums = std::vector<Sum>;

// Float sums of n terms err by about sqrt(n) half units of the sum of magnitudes, since roundings go both
// ways; twice that is allowed.
inline void expect_sums(const Values& got, const Sums& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], want[i].value, 2 * std::sqrt(want[i].terms) * 0x1p-24 * want[i].magnitude + 1e-30)
        << "at " << i;
}

}  // namespace osprey::test
