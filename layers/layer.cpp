#include "layers/layer.h"

#include <limits>

namespace osprey {
namespace {

constexpr int kMostRows = 1 << 28;  // so that a window and its padding can be added without a second thought

}  // namespace

void Plan::refuse_huge(Shape shape, int parts) const {
  // In double: keys can ask for what 64 bits do not hold.
  require(double(shape.n) * shape.h * shape.w * shape.c * parts < std::numeric_limits<int>::max(),
          fmt::format("needs a tensor of {}: 2^31 elements are too many; use a smaller batch or input",
                      shape.text()));
}

void Plan::output(Shape shape, Type type) {
  require(shape.h > 0 && shape.w > 0 && shape.c > 0,
          fmt::format("makes an output of {}{}", shape.text(),
                      inputs_.empty() ? "" : " from an input of " + input().text()));
  refuse_huge(shape);
  require(shape.h < kMostRows && shape.w < kMostRows,
          fmt::format("makes an output of {}: rows and columns must be fewer than 2^28", shape.text()));
  output_ = shape;
  output_type_ = type;
}

void Plan::parameter(View<float>& value, View<float>& gradient, Shape shape, ParameterInfo info,
                     Tensor* copy) {
  refuse_huge(shape);
  parameters_.push_back({shape, info, &value, &gradient, copy});
}

void Plan::statistic(View<float>& value, Shape shape, ParameterInfo info) {
  refuse_huge(shape);
  info.role = Role::statistic;
  parameters_.push_back({shape, info, &value, nullptr, nullptr});
}

void Plan::truths(Truths& truths, int capacity) {
  refuse_huge({options_.network_input.n, 1, capacity, 5});
  truths_ = &truths;
  truth_capacity_ = capacity;
}

void Plan::targets(View<float>& targets, Shape shape) {
  targets_ = &targets;
  targets_shape_ = shape;
}

void Plan::proposals(Proposals& proposals, int capacity) {
  refuse_huge({options_.network_input.n, 1, capacity, 5});
  proposals_ = &proposals;
  proposal_capacity_ = capacity;
}

}  // namespace osprey
