// Sums over windows as products of packed weights with pixels that are read where they lie: no matrix of
// patches is made. One form serves the forward pass of a convolution and the gradient of its input.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"
#include "cuda/convolution.h"
#include "layers/filter_weights.h"
#include "layers/simd/epilogue.h"
#include "layers/simd/lattice.h"

namespace osprey::simd {

class WindowProduct {
 public:
  // `rounds`: both factors are rounded to bf16, which has_bf16_products() must allow; only then the input may
  // be in bf16 already, and the output, as its epilogue says.
  WindowProduct(PitchedShape in, PitchedShape out, int groups, LatticeAxis h, LatticeAxis w, WeightOrder,
                bool rounds, Type in_type);

  // y = x * weights, for weights {filters, h, w, c / groups}.
  static WindowProduct forward(PitchedShape x, PitchedShape y, const Convolution&, bool rounds = false,
                               Type x_type = Type::f32);
  // dx from dy: for each phase of the stride the taps are others, and each makes its own pixels of dx. Where
  // the stride is larger than the window, no tap reaches some pixels, and nothing here makes them.
  static std::vector<WindowProduct> backward_data(Shape x, Shape y, const Convolution&, bool rounds = false,
                                                  Type y_type = Type::f32);

  int64_t pixels() const { return int64_t(h_.count) * w_.count; }  // that it makes of an image
  int64_t packed_size() const;                                     // in floats
  void pack(const FilterWeights&, float* packed) const;
  void run(const void* in, const float* packed, const Epilogue&, void* out) const;
  // Some rows of one image, as ConvolutionRows::run_rows; only where it makes every row.
  void run_rows(const void* in, const float* packed, const Epilogue&, void* out, int first, int last) const;

  // For the loops of window_product.cpp, which are compiled for several kinds of processor.
  PitchedShape in_, out_;
  int groups_, in_channels_, out_channels_;  // of a group
  LatticeAxis h_, w_;
  WeightOrder order_;
  struct Tap {
    int h, w;         // from the pixel that the window belongs to
    int64_t weights;  // where those of the tap begin in the unpacked ones
  };
  std::vector<Tap> taps_;
  bool rounds_;
  Type in_type_;
  // Where neighbours of a window lie side by side in memory, and their channels are few, a row of the window
  // is one run; otherwise each tap is.
  int runs_ = 0, taps_in_run_ = 1;
  // Values of a run. In bf16 they are multiplied two by two, and for few filters so many together: behind
  // them the next ones that lie there meet weights of 0.
  int run_length_ = 0;
  std::vector<int64_t> offsets_;  // of each run from the pixel that its window belongs to
  struct {
    int top, bottom;  // rows of `in`,
    int left, right;  // and columns of the lattice: windows between them do not reach over an edge
  } inside_;
  bool pointwise_ = false;  // each pixel is made of the one in its place
  // Windows of a picture, for the filters of one vector: too few for what must be loaded, so that values
  // which several windows see are loaded once, while the weights of a row of the window stay in registers.
  static constexpr int kColumns = 3, kColours = 3;
  bool columns_shared_ = false;
  int together_ = 1;  // input channels whose weights share a vector, where filters are too few to fill it
  int panel_ = 0;     // filters that are packed side by side
  int lanes_ = 0;
  std::vector<float> zeros_;  // what lies outside of the image

  // The pixels [first, last) of the lattice, and the panels [first_panel, last_panel) of each group.
  struct Part {
    int64_t first, last;
    int first_panel, last_panel;
  };

 private:
  Finish finish_of(const Epilogue&) const;
  const void* in_bf16(const void* in, int64_t first, int64_t last) const;
  template <class T>
  void pack_as(const FilterWeights&, T* packed) const;
};

}  // namespace osprey::simd
