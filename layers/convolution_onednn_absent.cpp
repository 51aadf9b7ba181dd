// For builds without oneDNN, which is most of them: our own loops compute every convolution.
#include "core/error.h"
#include "layers/convolution_onednn.h"

namespace osprey {

struct OneDnnConvolution::Primitives {};

bool OneDnnConvolution::built() { return false; }

OneDnnConvolution::OneDnnConvolution(Shape, Shape, Convolution, Options) {
  fail(
      "--convolution onednn: this build has no oneDNN; it was configured without -DOSPREY_ONEDNN=ON, and all "
      "other algorithms do without");
}
OneDnnConvolution::~OneDnnConvolution() = default;

// Nothing below is reached: there is no object.
bool OneDnnConvolution::folds(Activation) { return false; }
int OneDnnConvolution::packed_size() const { return 0; }
int OneDnnConvolution::scratch_size() const { return 0; }
void OneDnnConvolution::pack(View<const float>, View<float>) {}
void OneDnnConvolution::forward(View<const float>, View<float>, const Epilogue&, View<float>, View<float>) {}
void OneDnnConvolution::backward_data(View<const float>, View<const float>, View<float>, bool, View<float>) {}
void OneDnnConvolution::backward_weights(View<const float>, View<const float>, View<float>, View<float>) {}

}  // namespace osprey
