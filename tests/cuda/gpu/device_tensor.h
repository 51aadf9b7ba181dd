// What the tests on a real GPU share: tensors that live there, and convolution as plain loops, in double, on
// the host.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <utility>
#include <vector>

#include "core/random.h"
#include "core/tensor.h"
#include "cuda/convolution_ways.h"
#include "cuda/runtime.h"

namespace osprey::test {

using Values = std::vector<float>;

// Multiples of 1/8 from [-1, 1): exact in bf16 and TF32, and so are their products' sums in f32. So whatever
// a kernel does in which order, only the rounding of its result may show.
inline Values coarse_values(int64_t count, uint64_t seed) {
  Values v(count);
  for (size_t i = 0; i < v.size(); ++i)
    v[i] = std::floor(Random(seed, Purpose::test, 0, i).uniform(-8, 8)) / 8;
  return v;
}
// With all 24 bits, of which TF32 would keep 11.
inline Values fine_values(int64_t count, uint64_t seed) {
  Values v(count);
  for (size_t i = 0; i < v.size(); ++i) v[i] = Random(seed, Purpose::test, 0, i).uniform(-1, 1);
  return v;
}

class DeviceBytes {
 public:
  explicit DeviceBytes(size_t bytes) : data_(cuda::allocate(bytes ? bytes : 1)) {}
  ~DeviceBytes() { cuda::release(data_); }
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;
  void* data() const { return data_; }

 private:
  void* data_;
};

class DeviceTensor {
 public:
  DeviceTensor(Shape shape, Type type, const Values& values)
      : bytes_(size_t(shape.elements()) * bytes_of(type)), tensor_(bytes_.data(), shape, type) {
    set(values);
  }

  operator Tensor() const { return tensor_; }
  template <class T>
  View<T> view() const {
    return tensor_.view<T>();
  }

  void set(const Values& values) {
    ASSERT_EQ(int64_t(values.size()), tensor_.shape.elements());
    if (tensor_.type == Type::f32) return upload(values);
    upload(std::vector<bf16>(values.begin(), values.end()));
  }
  Values get() const {
    if (tensor_.type == Type::f32) return download<float>();
    const auto rounded = download<bf16>();
    return Values(rounded.begin(), rounded.end());
  }

 private:
  template <class T>
  void upload(const std::vector<T>& values) {
    Stream s{Device::cuda, nullptr};
    cuda::copy(s, tensor_.data, values.data(), values.size() * sizeof(T));
    cuda::synchronize(s);
  }
  template <class T>
  std::vector<T> download() const {
    std::vector<T> values(tensor_.shape.elements());
    Stream s{Device::cuda, nullptr};
    cuda::copy(s, values.data(), tensor_.data, values.size() * sizeof(T));
    cuda::synchronize(s);
    return values;
  }

  DeviceBytes bytes_;
  Tensor tensor_;
};

// A sum, with what its rounding is measured by.
struct Sum {
  double value = 0, magnitude = 0;
  int terms = 0;
  void add(double term) {
    value += term;
    magnitude += std::fabs(term);
    ++terms;
  }
};
using Sums = std::vector<Sum>;

// All three directions by one walk over the products.
struct ConvolutionSums {
  Sums y, dx, dweights;

  ConvolutionSums(const cuda::ConvolutionProblem& p, const Values& x, const Values& weights, const Values& dy)
      : y(p.y().elements()), dx(p.x.elements()), dweights(p.weights().elements()) {
    const Shape out = p.y(), in = p.x, w = p.weights();
    const Window &wh = p.convolution.window.h, &ww = p.convolution.window.w;
    for (int i = 0; i < out.size(); ++i) {
      const auto [n, oh, ow, f] = out.pixel(i);
      const int first = f / (out.c / p.convolution.groups) * w.c;
      for (int r = 0; r < wh.size; ++r)
        for (int s = 0; s < ww.size; ++s) {
          const int h = wh.start(oh) + r * wh.dilation, v = ww.start(ow) + s * ww.dilation;
          if (h < 0 || h >= in.h || v < 0 || v >= in.w) continue;
          for (int c = 0; c < w.c; ++c) {
            const int from = in.index(n, h, v, first + c), weight = w.index(f, r, s, c);
            y[i].add(double(x[from]) * weights[weight]);
            dx[from].add(double(dy[i]) * weights[weight]);
            dweights[weight].add(double(dy[i]) * x[from]);
          }
        }
    }
  }
};

}  // namespace osprey::test
