// Convolutions one after another, of which only the last keeps what it makes: a band of rows goes through all
// of them before the next band begins, so that what lies between never leaves the cache.
#pragma once

#include <span>
#include <vector>

#include "core/tensor.h"
#include "cuda/convolution.h"
#include "layers/simd/epilogue.h"

namespace osprey {

// A convolution that can be computed row by row.
class ConvolutionRows {
 public:
  // The rows [first, last) of image 0 in `out`, by the calling thread alone. `in` and `out` are where the
  // first row of the image is, or would be: only rows that are read or written need to be there.
  virtual void run_rows(const void* in, const float* packed, const simd::Epilogue&, void* out, int first,
                        int last) const = 0;

 protected:
  ~ConvolutionRows() = default;
};

struct ChainLink {
  const ConvolutionRows* rows;
  Shape x, y;
  Window window;  // of the rows
  const float* packed;
  simd::Epilogue epilogue;  // a residual only of the last link
};

// y of the last link from x of the first, both of floats.
void run_chain(std::span<const ChainLink>, const float* x, float* y);

// A layer that can be a link, in a network that never trains.
class ChainedLayer {
 public:
  enum class Kind { none, narrow, wide };  // no link; in groups narrower than a vector; any other
  virtual Kind kind() const = 0;           // once it is planned, and the same for all sizes
  // The layers before it, in order: its forward runs them, too. The last of its inputs is theirs.
  virtual void take_over(std::vector<const ChainedLayer*> before) = 0;
  virtual ChainLink link() const = 0;

 protected:
  ~ChainedLayer() = default;
};

}  // namespace osprey
