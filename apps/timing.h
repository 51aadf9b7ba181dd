// How long something takes, and what is usual of many times.
#pragma once

#include <algorithm>
#include <chrono>
#include <vector>

namespace osprey {

// Wall clock in milliseconds.
template <class Body>
double milliseconds(Body&& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

}  // namespace osprey
