// A convolution of 3x3 windows with zeros around the image, four times. Everything is NHWC; the weights lie
// as [3, 3, C, filters], filters side by side.
//
//   1  one thread per output         the formula
//   2  patches, then a product       a copy nine times as large as the image, and then the fast product
//   3  patches that are not stored   the product works out where each value of a patch lies in the image
//   4  a tile with its halo          each pixel is fetched once for all nine taps
#include "bench/kernels/ladder.h"
#include "bench/kernels/tile_product.cuh"

namespace osprey::bench {
namespace {

constexpr int kTaps = 3;  // of a window, along each axis

// What a window sees of the images; one channel, or N that lie side by side. Zeros around an image, and where
// a tile of pixels reaches beyond the last one.
struct Image {
  Global<const float> x;
  int images, height, width, channels;

  template <int N>
  __device__ Reals<N> pixel(int n, int h, int w, int ch) const {
    const bool inside = n < images && h >= 0 && h < height && w >= 0 && w < width && ch < channels;
    return x.pack_if<N>(inside, ((n * height + h) * width + w) * channels + ch);
  }
};

// 1. One thread per output. Neighbouring threads have neighbouring filters of one pixel: they read the
// weights in whole sectors and share the pixel. Two values cross the chip for each product.
__global__ void direct_kernel(Image image, Global<const float> weights, Global<float> y) {
  const int thread = global_thread();
  if (thread >= y.size()) return;
  const auto [n, oh, ow, filter] = y.view.shape.pixel(thread);
  const int filters = y.view.shape.c;
  Real sum = 0;
  for (int p = 0; p < kTaps; ++p)
    for (int q = 0; q < kTaps; ++q)
      for (int ch = 0; ch < image.channels; ++ch) {
        const int tap = (p * kTaps + q) * image.channels + ch;
        sum += image.pixel<1>(n, oh + p - 1, ow + q - 1, ch)[0] * weights.load(tap * filters + filter);
      }
  y.store(thread, sum);
}

// Row i, column k of the matrix whose rows are the patches under the window, one for each output pixel. This
// is the whole of a convolution's addressing: the products below differ in nothing else from a product.
struct Patches {
  Image image;

  template <int N>
  __device__ Reals<N> pack(int i, int k) const {
    const int n = i / (image.height * image.width), oh = i / image.width % image.height, ow = i % image.width;
    const int ch = k % image.channels, q = k / image.channels % kTaps, p = k / image.channels / kTaps;
    return image.pixel<N>(p < kTaps ? n : 0, p < kTaps ? oh + p - 1 : -1, ow + q - 1, ch);
  }
};

// 2. One thread per pack of a patch: the patches as a matrix in memory. Then their product with the weights.
template <int N>
__global__ void gather_patches_kernel(Patches patches, Rows<float> matrix) {
  const int at = global_thread() * N;
  if (at >= matrix.values.size()) return;
  matrix.values.store(at, patches.pack<N>(at / matrix.columns, at % matrix.columns));
}

template <int N>
__global__ void __launch_bounds__(kThreads)
    product_kernel(Rows<const float> matrix, Rows<const float> weights, Rows<float> y) {
  double_buffered_product<N>(matrix, weights, y);
}

// 3. The same product, of patches that are nowhere.
template <int N>
__global__ void __launch_bounds__(kThreads)
    implicit_patches_kernel(Patches patches, Rows<const float> weights, Rows<float> y) {
  double_buffered_product<N>(patches, weights, y);
}

// 4. One block per 8 x 8 pixels and 32 filters; thread (x, y) makes the row y of pixels for filters 4x to
// 4x + 3. Eight channels at a time, the block brings in its pixels with the ring around them, 10 x 10, and
// the weights; all nine taps then find their pixel in shared memory, and a thread slides the window along
// its row in registers.
constexpr int kPixels = 8, kHalo = kPixels + kTaps - 1, kFilters = 32, kChannels = 8;

struct HaloTile {
  SharedTile<kHalo * kHalo, kChannels + 1> pixels;  // spare values put neighbouring rows into other banks
  SharedTile<kTaps * kTaps * kChannels, kFilters> weights;
};

struct Corner {  // of a block's tile of y
  int n, h, w, filter;
};

__device__ inline Corner corner_of_block(int height) {
  const int rows = (height + kPixels - 1) / kPixels;
  const int n = int(blockIdx.y) / rows, h = int(blockIdx.y) % rows * kPixels;
  return {n, h, int(blockIdx.x) * kPixels, int(blockIdx.z) * kFilters};
}

template <int N>
__device__ void load_halo_tile(const Image& image, const Rows<const float>& weights, const Corner& corner,
                               int first, HaloTile& tile) {
  const int thread = threadIdx.y * blockDim.x + threadIdx.x, threads = blockDim.x * blockDim.y;
  for (int t = thread; t < kHalo * kHalo * kChannels / N; t += threads) {
    const int ch = t % (kChannels / N) * N, at = t / (kChannels / N);
    const Reals<N> pack =
        image.pixel<N>(corner.n, corner.h + at / kHalo - 1, corner.w + at % kHalo - 1, first + ch);
    for (int k = 0; k < N; ++k) tile.pixels.store(at, ch + k, pack[k]);
  }
  for (int t = thread; t < kTaps * kTaps * kChannels * kFilters / N; t += threads) {
    const int filter = t % (kFilters / N) * N, row = t / (kFilters / N);
    const int ch = first + row % kChannels, tap = row / kChannels;
    const int k = ch < image.channels ? tap * image.channels + ch : weights.rows;  // beyond: zeros
    tile.weights.store(row, filter, weights.pack<N>(k, corner.filter + filter));
  }
}

// Adds what one channel brings to the thread's eight pixels and four filters.
__device__ inline void slide(const HaloTile& tile, int ch, Reals<4> (&sums)[kPixels]) {
  for (int p = 0; p < kTaps; ++p) {
    Real row[kHalo];
    UNROLL
    for (int w = 0; w < kHalo; ++w) row[w] = tile.pixels.load((int(threadIdx.y) + p) * kHalo + w, ch);
    UNROLL
    for (int q = 0; q < kTaps; ++q) {
      const Reals<4> weight = tile.weights.pack<4>((p * kTaps + q) * kChannels + ch, int(threadIdx.x) * 4);
      UNROLL
      for (int w = 0; w < kPixels; ++w) {
        UNROLL
        for (int f = 0; f < 4; ++f) sums[w][f] += row[w + q] * weight[f];
      }
    }
  }
}

template <int N>
__global__ void halo_kernel(Image image, Rows<const float> weights, Global<float> y) {
  HaloTile& tile = *dynamic_shared<HaloTile>();
  const Corner corner = corner_of_block(image.height);
  Reals<4> sums[kPixels] = {};
  for (int first = 0; first < image.channels; first += kChannels) {
    load_halo_tile<N>(image, weights, corner, first, tile);
    __syncthreads();  // the tile is whole
    for (int ch = 0; ch < kChannels; ++ch) slide(tile, ch, sums);
    __syncthreads();  // all have read it, so that the next channels may come
  }
  const int h = corner.h + int(threadIdx.y), filter = corner.filter + int(threadIdx.x) * 4;
  UNROLL
  for (int w = 0; w < kPixels; ++w) {
    if (h >= image.height || corner.w + w >= image.width) continue;
    const int at = y.view.shape.index(corner.n, h, corner.w + w, filter);
    UNROLL
    for (int f = 0; f < 4; f += N) {
      if (filter + f >= weights.columns) continue;
      Reals<N> pack;
      for (int k = 0; k < N; ++k) pack[k] = sums[w][f + k];
      y.store(at + f, pack);
    }
  }
}

Expected expected_convolution(const std::vector<float>& x, const std::vector<float>& weights, Shape in,
                              int filters) {
  Expected expected;
  std::vector<ExpectedSum> pixel;
  for (int i = 0; i < in.rows(); ++i) {
    const auto [n, oh, ow, zero] = Shape{in.n, in.h, in.w, 1}.pixel(i);
    pixel.assign(filters, {});
    for (int p = 0; p < kTaps; ++p)
      for (int q = 0; q < kTaps; ++q) {
        const int h = oh + p - 1, w = ow + q - 1;
        if (h < 0 || h >= in.h || w < 0 || w >= in.w) continue;
        for (int ch = 0; ch < in.c; ++ch) {
          const double value = x[in.index(n, h, w, ch)];
          const float* row = &weights[((p * kTaps + q) * in.c + ch) * size_t(filters)];
          for (int f = 0; f < filters; ++f) pixel[f].add(value * row[f]);
        }
      }
    for (const ExpectedSum& sum : pixel) {
      expected.values.push_back(sum.value);
      expected.bounds.push_back(sum.bound());
    }
  }
  return expected;
}

struct Layer {
  Shape in;
  int filters;
  DeviceValues<float> x, weights, patches, y;

  int taps() const { return kTaps * kTaps * in.c; }
  Image image() const { return {View<const float>(x.view()), in.n, in.h, in.w, in.c}; }
  Rows<const float> weight_rows() const { return {View<const float>(weights.view()), taps(), filters}; }
  Rows<float> patch_rows() const { return {patches.view(), in.rows(), taps()}; }
  Rows<const float> stored_patches() const { return {View<const float>(patches.view()), in.rows(), taps()}; }
  Rows<float> y_rows() const { return {y.view(), in.rows(), filters}; }
  Grid halo_tiles() const {
    return {dim3(blocks_of(in.w, kPixels), unsigned(in.n) * blocks_of(in.h, kPixels),
                 blocks_of(filters, kFilters)),
            dim3(kFilters / 4, kPixels), sizeof(HaloTile)};
  }
};

template <int N>
std::vector<Version> versions_of(const Layer& p) {
  const Grid tiles = one_block_per_tile(p.in.rows(), p.filters, 2 * sizeof(Strips));
  return {
      {"one thread per output",
       [=](Stream& s) {
         start<direct_kernel>(s, one_thread_each(p.y.view().size()), p.image(), p.weight_rows().values,
                              Global<float>(p.y.view()));
       }},
      {"patches, then a product",
       [=](Stream& s) {
         start<gather_patches_kernel<N>>(s, one_thread_each(p.patches.view().size() / N), Patches{p.image()},
                                         p.patch_rows());
         start<product_kernel<N>>(s, tiles, p.stored_patches(), p.weight_rows(), p.y_rows());
       }},
      {"patches that are not stored",
       [=](Stream& s) {
         start<implicit_patches_kernel<N>>(s, tiles, Patches{p.image()}, p.weight_rows(), p.y_rows());
       }},
      {"a tile with its halo",
       [=](Stream& s) {
         start<halo_kernel<N>>(s, p.halo_tiles(), p.image(), p.weight_rows(), Global<float>(p.y.view()));
       }},
  };
}

}  // namespace

Ladder convolution_ladder(Stream& s, Shape in, int filters) {
  const Shape weights_shape = {kTaps, kTaps, in.c, filters}, out = {in.n, in.h, in.w, filters};
  const auto x = uniform_values(in.size(), 1), weights = uniform_values(weights_shape.size(), 2);
  const Layer p = {in,
                   filters,
                   {s, in, x},
                   {s, weights_shape, weights},
                   {s, {in.n, in.h, in.w, kTaps * kTaps * in.c}},
                   {s, out}};
  return {"convolution",
          in.text() + ", " + std::to_string(filters) + " filters",
          2.0 * out.size() * p.taps(),
          4.0 * (double(in.size()) + weights_shape.size() + out.size()),
          std::vector<float>(size_t(out.size()), NAN),
          p.y,
          expected_convolution(x, weights, in, filters),
          in.c % 4 == 0 && filters % 4 == 0 ? versions_of<4>(p) : versions_of<1>(p)};
}

}  // namespace osprey::bench
