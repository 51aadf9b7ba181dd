#include "cuda/centre.h"

namespace osprey::cpu {

void centre_gradients(Stream&, View<float> dweights) {
  const int values = dweights.size() / dweights.shape.n;
  for (float* filter = dweights.begin(); filter != dweights.end(); filter += values) {
    double sum = 0;
    for (int i = 0; i < values; ++i) sum += filter[i];
    for (int i = 0; i < values; ++i) filter[i] -= float(sum / values);
  }
}

}  // namespace osprey::cpu
