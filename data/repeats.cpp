#include "data/repeats.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace osprey {
namespace {

std::set<int> classes_of(const Sample& sample) {
  std::set<int> classes(sample.classes.begin(), sample.classes.end());
  for (const Label& label : sample.labels)
    if (!label.crowd && !label.difficult) classes.insert(label.class_id);
  return classes;
}

}  // namespace

std::vector<float> repeat_factors(const Dataset& dataset, float threshold, float power) {
  if (threshold <= 0) return {};
  std::vector<int64_t> images(dataset.names.size());
  for (const Sample& sample : dataset.samples)
    for (const int c : classes_of(sample)) ++images[size_t(c)];
  const auto factor = [&](int c) {
    const double share = double(images[size_t(c)]) / double(dataset.samples.size());
    return std::max(1.0, std::pow(threshold / share, power));
  };
  std::vector<float> factors;
  for (const Sample& sample : dataset.samples) {
    double most = 1;
    for (const int c : classes_of(sample)) most = std::max(most, factor(c));
    factors.push_back(float(most));
  }
  if (std::all_of(factors.begin(), factors.end(), [](float r) { return r == 1; })) return {};
  return factors;
}

std::vector<int> repeated(const std::vector<float>& factors, double offset) {
  double sum = 0;
  for (const float r : factors) sum += r;
  const double total = std::round(sum);
  std::vector<int> samples;
  double reached = 0;
  for (size_t i = 0; i < factors.size(); ++i) {
    reached += factors[i];
    const bool last = i + 1 == factors.size();
    const double end = last ? total : std::floor(reached * total / sum + offset);
    while (double(samples.size()) < end) samples.push_back(int(i));
  }
  return samples;
}

}  // namespace osprey
