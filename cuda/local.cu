#include "cuda/local.h"

#include "cuda/block.cuh"
#include "cuda/launch.h"
#include "cuda/pack.cuh"

namespace osprey::cuda {
namespace {

// Weights are many, one bank for each place, and each is read from memory once for so many images.
constexpr int kImages = 4;
constexpr int kWarps = 8;  // of a block

__host__ __device__ int chunks_of_images(int n) { return (n + kImages - 1) / kImages; }

// One warp per place, filter and chunk of images; its lanes take the channels under the window in turn.
// Warps beyond the last have no images, and only take part in the sums.
template <class X, class Y>
__global__ void local_forward_kernel(View<const X> x, View<const float> weights, View<const float> biases,
                                     View<Y> y, Window2 window) {
  const int warp = global_thread() / 32, lane = threadIdx.x % 32, filters = biases.size();
  const int filter = warp % filters, first = warp / filters * kImages;
  const int images = min(max(x.shape.n - first, 0), kImages);
  const auto [zero, oh, ow, f] = biases.shape.pixel(filter);
  float sums[kImages] = {};
  for (int p = 0; p < window.h.size; ++p)
    for (int q = 0; q < window.w.size; ++q) {
      const int h = window.h.start(oh) + p, w = window.w.start(ow) + q;
      if (h < 0 || h >= x.shape.h || w < 0 || w >= x.shape.w || images == 0) continue;
      for (int c = lane; c < x.shape.c; c += 32) {
        const float weight = weights(filter, p, q, c);
        for (int k = 0; k < images; ++k) sums[k] += weight * float(x(first + k, h, w, c));
      }
    }
  for (int k = 0; k < kImages; ++k) {
    const float sum = warp_sum(sums[k]);
    if (lane == 0 && k < images) y(first + k, oh, ow, f) = Y(sum + biases[filter]);
  }
}

// One thread per weight, which sums over the images.
template <class X, class Y>
__global__ void local_backward_weights_kernel(View<const X> x, View<const Y> dy, View<float> dweights,
                                              Window2 window) {
  const int i = global_thread();
  if (i >= dweights.size()) return;
  const auto [filter, p, q, c] = dweights.shape.pixel(i);
  const auto [zero, oh, ow, f] = Shape{1, dy.shape.h, dy.shape.w, dy.shape.c}.pixel(filter);
  const int h = window.h.start(oh) + p, w = window.w.start(ow) + q;
  if (h < 0 || h >= x.shape.h || w < 0 || w >= x.shape.w) return;
  float sum = 0;
  for (int n = 0; n < x.shape.n; ++n) sum += float(dy(n, oh, ow, f)) * float(x(n, h, w, c));
  dweights[i] += sum;
}

// One thread per value of an image, for a chunk of images, which collects from every window over it.
// Scattering from the outputs would need atomics, and their order, hence the last bits, would change from run
// to run.
template <class X, class Y>
__global__ void local_backward_input_kernel(View<const Y> dy, View<const float> weights, View<X> dx,
                                            Window2 window) {
  const int i = global_thread();
  const auto [chunk, h, w, c] = dx.shape.pixel(i);
  const int first = chunk * kImages, images = min(dx.shape.n - first, kImages);
  if (images <= 0) return;
  const int h0 = window.h.first_over(h), h1 = min(window.h.last_over(h), dy.shape.h - 1);
  const int w0 = window.w.first_over(w), w1 = min(window.w.last_over(w), dy.shape.w - 1);
  float sums[kImages] = {};
  for (int oh = h0; oh <= h1; ++oh)
    for (int ow = w0; ow <= w1; ++ow) {
      const int p = h - window.h.start(oh), q = w - window.w.start(ow), place = oh * dy.shape.w + ow;
      for (int f = 0; f < dy.shape.c; ++f) {
        const float weight = weights(place * dy.shape.c + f, p, q, c);
        for (int k = 0; k < images; ++k) sums[k] += weight * float(dy(first + k, oh, ow, f));
      }
    }
  for (int k = 0; k < images; ++k) {
    X& to = dx(first + k, h, w, c);
    to = X(float(to) + sums[k]);
  }
}

}  // namespace

void local_forward(Stream& s, Tensor x, View<const float> weights, View<const float> biases, Tensor y,
                   View<float>, Window2 window) {
  const int warps = biases.size() * chunks_of_images(x.shape.n);
  const Grid grid{dim3(unsigned((warps + kWarps - 1) / kWarps)), dim3(32 * kWarps)};
  with_types(x.type, y.type, [&](auto in, auto out) {
    using X = decltype(in);
    using Y = decltype(out);
    launch<local_forward_kernel<X, Y>>(s, grid, x.view<const X>(), weights, biases, y.view<Y>(), window);
  });
}

void local_backward_weights(Stream& s, Tensor x, Tensor dy, View<float> dweights, View<float>,
                            Window2 window) {
  with_types(x.type, dy.type, [&](auto in, auto out) {
    using X = decltype(in);
    using Y = decltype(out);
    launch<local_backward_weights_kernel<X, Y>>(s, one_thread_each(dweights.size()), x.view<const X>(),
                                                dy.view<const Y>(), dweights, window);
  });
}

void local_backward_input(Stream& s, Tensor dy, View<const float> weights, Tensor dx, View<float>,
                          Window2 window) {
  const int threads = dx.size() / dx.shape.n * chunks_of_images(dx.shape.n);
  with_types(dx.type, dy.type, [&](auto in, auto out) {
    using X = decltype(in);
    using Y = decltype(out);
    launch<local_backward_input_kernel<X, Y>>(s, one_thread_each(threads), dy.view<const Y>(), weights,
                                              dx.view<X>(), window);
  });
}

}  // namespace osprey::cuda
