#include <fmt/format.h>

#include "cuda/fast_convolution.h"
#include "core/error.h"

namespace osprey::cuda {

std::string ConvolutionProblem::text() const {
  const Window &h = convolution.window.h, &w = convolution.window.w;
  std::string text = fmt::format("convolution {}x{}", h.size, w.size);
  if (h.stride != 1 || w.stride != 1) text += fmt::format(" stride {}x{}", h.stride, w.stride);
  if (h.padding || w.padding)
    text +=
        fmt::format(" padding {}+{}x{}+{}", h.before, h.padding - h.before, w.before, w.padding - w.before);
  if (h.dilation != 1 || w.dilation != 1) text += fmt::format(" dilation {}x{}", h.dilation, w.dilation);
  if (convolution.groups != 1) text += fmt::format(" groups {}", convolution.groups);
  text += fmt::format(" of {} by {} filters", x.text(), filters);
  const auto name = [](Type type) { return type == Type::bf16 ? "bf16" : "f32"; };
  text += fmt::format(", {} to {}", name(input_type), name(output_type));
  if (allow_tf32 && input_type == Type::f32) text += " tf32";
  return text;
}

}  // namespace osprey::cuda
