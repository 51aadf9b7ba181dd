#include "train/schedule.h"

#include <algorithm>
#include <cmath>

#include "core/random.h"

namespace osprey {

namespace {

double policy_rate(const NetSection& net, int64_t iteration, uint64_t seed) {
  const double base = net.learning_rate, it = double(iteration);
  switch (net.policy) {
    case Policy::constant:
      return base;
    case Policy::step:
      return base * std::pow(net.scale, double(iteration / net.step));
    case Policy::steps: {
      double rate = base;
      for (size_t k = 0; k < net.steps.size() && net.steps[k] <= iteration; ++k) rate *= net.scales[k];
      return rate;
    }
    case Policy::exp:
      return base * std::pow(net.gamma, it);
    case Policy::poly: {
      const double left = net.max_batches ? 1 - it / double(net.max_batches) : 1;
      return base * std::pow(std::max(left, 0.0), net.power);
    }
    case Policy::sigmoid:
      return base / (1 + std::exp(net.gamma * (it - double(net.step))));
    case Policy::random:
      return base * std::pow(Random(seed, Purpose::sample, uint64_t(iteration), ~0ull).uniform(), net.power);
    case Policy::sgdr: {
      int64_t start = 0, cycle = std::max<int64_t>(net.sgdr_cycle, 1);
      while (start + cycle < iteration) {
        start += cycle;
        cycle *= net.sgdr_mult;
      }
      const double low = net.learning_rate_min, turn = M_PI * double(iteration - start) / double(cycle);
      return low + 0.5 * (base - low) * (1 + std::cos(turn));
    }
  }
  return base;
}

}  // namespace

float learning_rate(const NetSection& net, int64_t iteration, uint64_t seed) {
  const double base = net.learning_rate, warm = double(net.burn_in), start = net.warmup_start;
  if (net.warmup == WarmUp::power && iteration < net.burn_in)
    return float(base * std::pow(double(iteration) / warm, net.power));
  double factor = 1;
  const double done = double(iteration - 1);  // iterations before this one
  if (net.warmup == WarmUp::constant && done < warm) factor = start;
  if (net.warmup == WarmUp::linear && done < warm) factor = start + (1 - start) * done / warm;
  return float(factor * policy_rate(net, iteration, seed));
}

MultiScale::MultiScale(const NetSection& net, float random, uint64_t seed)
    : width_(net.width),
      height_(net.height),
      step_(net.resize_step),
      max_batches_(net.max_batches),
      coefficient_(random == 1 ? 1.4f : random),
      seed_(seed) {}

std::pair<int, int> MultiScale::scaled(float factor) const {
  auto size = [&](int side) {
    return std::max(int(std::lround(factor * float(side) / float(step_))) + 1, 1) * step_;
  };
  return {size(width_), size(height_)};
}

std::pair<int, int> MultiScale::largest() const {
  return on() ? scaled(coefficient_) : std::pair(width_, height_);
}

std::pair<int, int> MultiScale::size(int64_t iteration) const {
  if (!on()) return {width_, height_};
  if (iteration < 10 || iteration + 100 >= max_batches_) return largest();
  const float factor = Random(seed_, Purpose::resize, uint64_t(iteration / 10)).scale(coefficient_);
  const auto size = scaled(factor);
  if (factor < 1 && (size.first > width_ || size.second > height_)) return {width_, height_};
  return size;
}

}  // namespace osprey
