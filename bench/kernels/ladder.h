// A ladder: one computation, written several times, from the plain to the fast. All versions read the same
// device memory and leave their result in the same place.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/random.h"
#include "core/view.h"
#include "core/window.h"
#include "cuda/runtime.h"

namespace osprey::bench {

// Device memory that lives as long as the last copy of this.
template <class T>
class DeviceValues {
 public:
  DeviceValues(Stream& s, Shape shape) : shape_(shape), memory_(cuda::allocate(bytes()), cuda::release) {
    cuda::fill_zero(s, memory_.get(), bytes());
  }
  DeviceValues(Stream& s, Shape shape, const std::vector<T>& values) : DeviceValues(s, shape) {
    write(s, values);
  }

  View<T> view() const { return {static_cast<T*>(memory_.get()), shape_}; }
  size_t bytes() const { return sizeof(T) * size_t(shape_.elements()); }

  void write(Stream& s, const std::vector<T>& values) const {
    cuda::copy(s, memory_.get(), values.data(), bytes());
    cuda::synchronize(s);
  }
  std::vector<T> read(Stream& s) const {
    std::vector<T> values(size_t(shape_.elements()));
    cuda::copy(s, values.data(), memory_.get(), bytes());
    cuda::synchronize(s);
    return values;
  }

 private:
  Shape shape_;
  std::shared_ptr<void> memory_;
};

// What plain loops in double make of the inputs, and by how much a float result may differ.
struct Expected {
  std::vector<double> values, bounds;
};

// A sum of plain loops. Float sums of n terms err by about sqrt(n) half units of the sum of magnitudes, since
// roundings go both ways; twice that is allowed.
struct ExpectedSum {
  double value = 0, magnitude = 0;
  int64_t terms = 0;

  void add(double term) {
    value += term;
    magnitude += std::fabs(term);
    ++terms;
  }
  double bound() const { return 2 * std::sqrt(double(terms)) * 0x1p-24 * magnitude + 1e-30; }
};

struct Version {
  std::string name;                  // what it adds to the one before
  std::function<void(Stream&)> run;  // adds to the result, or overwrites it
  bool repeats = true;               // bit for bit, in any order of threads
};

struct Ladder {
  std::string name, problem;  // and its size, in words
  double flops, bytes;        // the least that any version must do, and must move from and to memory
  std::vector<float> before;  // what the result holds before a version runs
  DeviceValues<float> result;
  Expected expected;
  std::vector<Version> versions;
};

inline std::vector<float> uniform_values(int64_t count, uint64_t seed, float low = -1, float high = 1) {
  std::vector<float> values(count);
  for (size_t i = 0; i < values.size(); ++i) values[i] = Random(seed, Purpose::test, 0, i).uniform(low, high);
  return values;
}

// c [m, n] = a [m, k] b [k, n].
Ladder gemm_ladder(Stream&, int m, int n, int k);

// A convolution of 3x3 windows, stride 1, that keeps the size of the image.
Ladder convolution_ladder(Stream&, Shape x, int filters);

// Mean and variance of each channel.
Ladder batchnorm_ladder(Stream&, Shape x);

// Normalised by given statistics, scaled, shifted, and leaky.
Ladder activation_ladder(Stream&, Shape x);

// The gradient of maxpool, added to what there is.
Ladder maxpool_ladder(Stream&, Shape x, Window window);

// The five, in the order of docs/kernels.md, and each at two sizes: one that the emulation counts in a
// moment, and one that keeps a GPU busy. An Error tells the names if there is none such.
enum class Size { counted, timed };
const std::vector<std::string>& ladder_names();
Ladder make_ladder(Stream&, const std::string& name, Size);

std::vector<float> result_of(Stream&, const Ladder&, const Version&);

// Runs one version. Empty if the result is the expected one; else a line that says where it is not.
std::string fault_of(Stream&, const Ladder&, const Version&);

}  // namespace osprey::bench
