#include "cuda/crop.h"

#include "cuda/launch.h"

namespace osprey::cuda {
namespace {

// One thread per value of y. Each draws the place for itself, which costs less than a launch that draws it
// for all.
template <class T>
__global__ void crop_forward_kernel(View<const T> x, View<T> y, const Step* step, ImageCrop crop) {
  const int i = global_thread();
  if (i >= y.size()) return;
  const auto [n, h, w, c] = y.shape.pixel(i);
  const ImageCrop::Place place = crop.place(x.shape, y.shape, step);
  const float value = float(x(n, place.h + h, place.column(w, y.shape.w), c));
  y[i] = T(crop.scale * value + crop.offset);
}

// One thread per value of dy, which has a value of dx to itself.
template <class T>
__global__ void crop_backward_kernel(View<const T> dy, View<T> dx, const Step* step, ImageCrop crop) {
  const int i = global_thread();
  if (i >= dy.size()) return;
  const auto [n, h, w, c] = dy.shape.pixel(i);
  const ImageCrop::Place place = crop.place(dx.shape, dy.shape, step);
  T& to = dx(n, place.h + h, place.column(w, dy.shape.w), c);
  to = T(float(to) + crop.scale * float(dy[i]));
}

}  // namespace

void crop_forward(Stream& s, Tensor x, Tensor y, const Step* step, ImageCrop crop) {
  with_type(x.type, [&](auto value) {
    using T = decltype(value);
    launch<crop_forward_kernel<T>>(s, one_thread_each(y.size()), x.view<const T>(), y.view<T>(), step, crop);
  });
}

void crop_backward(Stream& s, Tensor dy, Tensor dx, const Step* step, ImageCrop crop) {
  with_type(dy.type, [&](auto value) {
    using T = decltype(value);
    launch<crop_backward_kernel<T>>(s, one_thread_each(dy.size()), dy.view<const T>(), dx.view<T>(), step,
                                    crop);
  });
}

}  // namespace osprey::cuda
