#include "layers/convolution_device.h"

#include "cuda/convert.h"

namespace osprey {

DeviceConvolution::DeviceConvolution(Plan& p, cuda::ConvolutionProblem problem, MakeFast* make_fast)
    : problem_(problem) {
  problem_.training = p.training();
  problem_.needs_dx = p.needs_dx();
  problem_.allow_tf32 = p.options().allow_tf32;
  if (p.options().convolution != ConvolutionAlgorithm::reference) fast_ = make_fast(problem_);
  if (const size_t bytes = fast_ ? fast_->workspace_bytes() : 0; bytes > 0)
    p.scratch(workspace_, {1, 1, 1, int(bytes)}, Type::u8);
  if (!p.training()) return;
  if (p.output_type() != problem_.input_type) p.scratch(rounded_dy_, problem_.y(), problem_.input_type);
  const int sums = cuda::convolution_scratch(problem_.x, problem_.filters, problem_.convolution);
  if (!fast_ && sums > 0) p.scratch(partial_sums_, {1, 1, 1, sums});
}

void DeviceConvolution::forward(Stream& s, Tensor x, Tensor weights, View<const float> bias, Tensor residual,
                                Tensor y) {
  if (fast_) return fast_->forward(s, x, weights, bias, residual, y, workspace_.data);
  cuda::convolution_forward(s, x, weights,
                            {bias, problem_.activation, residual, problem_.residual_activation}, y,
                            problem_.convolution);
}

void DeviceConvolution::backward(Stream& s, Tensor x, Tensor weights, Tensor dy, View<float> dweights,
                                 Tensor dx, Write write) {
  if (rounded_dy_) {
    cuda::convert(s, dy, rounded_dy_);
    dy = rounded_dy_;
  }
  const bool add = write == Write::add;
  if (fast_) {
    fast_->backward_weights(s, x, dy, dweights, workspace_.data);
    if (dx) fast_->backward_data(s, dy, weights, dx, add, workspace_.data);
    return;
  }
  cuda::convolution_backward_weights(s, x, dy, dweights, partial_sums_, problem_.convolution);
  if (dx) cuda::convolution_backward_data(s, dy, weights, dx, add, problem_.convolution);
}

}  // namespace osprey
