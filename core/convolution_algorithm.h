// The ways in which the CPU computes a convolution; they differ in speed and in the last digits.
#pragma once

namespace osprey {

enum class ConvolutionAlgorithm {
  automatic,  // the fastest of those that keep to float's accuracy, measured once for each shape
  reference,  // the readable loops; on a GPU, our own plain kernels
  onednn,
  direct,     // products with the pixels where they lie
  winograd2,  // F(2 x 2, 3 x 3), for 3x3 windows of stride 1; where one does not fit, direct
  winograd4,  // in inference with stride 2, too
  winograd5,  // only in inference; in training winograd4
  winograd6,
};
inline constexpr const char* kConvolutionAlgorithms[] = {"automatic", "reference", "onednn",    "direct",
                                                         "winograd2", "winograd4", "winograd5", "winograd6"};

}  // namespace osprey
