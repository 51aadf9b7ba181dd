#include "models/parameters.h"

#include <algorithm>
#include <cstring>

#include "core/lifetimes.h"
#include "core/parallel.h"
#include "core/random.h"

namespace osprey {

void Parameters::add(ParameterSpan span) {
  span.offset = size_;
  constexpr size_t line = kAlignment / sizeof(float);
  size_ += (size_t(span.shape.elements()) + line - 1) / line * line;
  spans_.push_back(std::move(span));
}

void Parameters::allocate(bool training) {
  const size_t bytes = std::max(size_, size_t(1)) * sizeof(float);
  values_.reserve(bytes);
  std::memset(values_.data(), 0, bytes);
  if (!training) return;
  gradients_.reserve(bytes);
  momentum_.reserve(bytes);
  std::memset(gradients_.data(), 0, bytes);
  std::memset(momentum_.data(), 0, bytes);
}

int64_t Parameters::count() const {
  int64_t count = 0;
  for (const ParameterSpan& s : spans_) count += s.shape.elements();
  return count;
}

void Parameters::initialise(uint64_t seed) {
  for (size_t k = 0; k < spans_.size(); ++k) {
    const ParameterSpan& s = spans_[k];
    const View<float> v = value(s);
    if (s.info.uniform == 0) {
      std::fill(v.begin(), v.end(), s.info.fill);
      continue;
    }
    parallel_for(v.size(), 1 << 14, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i)
        v.data[i] =
            Random(seed, Purpose::initialise, k, uint64_t(i)).uniform(-s.info.uniform, s.info.uniform);
    });
  }
}

void Parameters::zero_gradients() { std::memset(gradients(), 0, size_ * sizeof(float)); }

}  // namespace osprey
