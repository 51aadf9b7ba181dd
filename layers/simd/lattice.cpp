#include "layers/simd/lattice.h"

#include <map>
#include <utility>

namespace osprey::simd {
namespace {

// Whether a tap ever meets the image. Those of a window much larger than the image mostly do not.
bool meets_image(const LatticeAxis& axis, int offset, int size) {
  const int last = axis.scale * (axis.count - 1) + offset;
  if (offset >= size || last < 0) return false;
  const int first_inside = offset >= 0 ? 0 : (-offset + axis.scale - 1) / axis.scale;
  return first_inside < axis.count && axis.scale * first_inside + offset < size;
}

}  // namespace

LatticeAxis forward_axis(const Window& w, int inputs, int outputs) {
  LatticeAxis axis{outputs, 0, 1, w.stride, {}};
  for (int tap = 0; tap < w.size; ++tap) {
    const int offset = w.start(0) + tap * w.dilation;
    if (meets_image(axis, offset, inputs)) axis.taps.push_back({tap, offset});
  }
  return axis;
}

std::vector<LatticeAxis> backward_axes(const Window& w, int inputs, int outputs) {
  std::map<int, LatticeAxis> phases;  // by their start
  for (int tap = 0; tap < w.size; ++tap) {
    const int start = ((tap * w.dilation - w.before) % w.stride + w.stride) % w.stride;
    if (start >= inputs) continue;
    const LatticeAxis axis{(inputs - start + w.stride - 1) / w.stride, start, w.stride, 1, {}};
    const int offset = (start + w.before - tap * w.dilation) / w.stride;
    if (meets_image(axis, offset, outputs))
      phases.try_emplace(start, axis).first->second.taps.push_back({tap, offset});
  }
  std::vector<LatticeAxis> result;
  for (auto& [start, phase] : phases) result.push_back(std::move(phase));
  return result;
}

WeightOrder WeightOrder::forward(Shape x, Shape y, const Convolution& c) {
  const int64_t channels = x.c / c.groups, row = c.window.w.size * channels, filter = c.window.h.size * row;
  return {y.c / c.groups * filter, 1, filter, row, channels};
}

WeightOrder WeightOrder::backward(Shape x, Shape y, const Convolution& c) {
  WeightOrder order = forward(x, y, c);
  std::swap(order.in, order.out);
  return order;
}

}  // namespace osprey::simd
