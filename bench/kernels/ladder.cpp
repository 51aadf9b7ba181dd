#include "bench/kernels/ladder.h"

#include <fmt/format.h>

#include "core/error.h"

namespace osprey::bench {

std::vector<float> result_of(Stream& s, const Ladder& ladder, const Version& version) {
  ladder.result.write(s, ladder.before);
  version.run(s);
  return ladder.result.read(s);
}

std::string fault_of(Stream& s, const Ladder& ladder, const Version& version) {
  const std::vector<float> got = result_of(s, ladder, version);
  const Expected& want = ladder.expected;
  for (size_t i = 0; i < got.size(); ++i)
    if (!(std::fabs(got[i] - want.values[i]) <= want.bounds[i]))  // NaN is a fault, too
      return fmt::format("{}, {}, {}: value {} is {}, expected {} +- {}", ladder.name, ladder.problem,
                         version.name, i, got[i], want.values[i], want.bounds[i]);
  return "";
}

const std::vector<std::string>& ladder_names() {
  static const std::vector<std::string> names = {"gemm", "convolution", "batchnorm", "activation", "maxpool"};
  return names;
}

Ladder make_ladder(Stream& s, const std::string& name, Size size) {
  const bool large = size == Size::timed;
  const Window window = pooling_window(3, 2, 2);
  if (name == "gemm") return large ? gemm_ladder(s, 2048, 2048, 1024) : gemm_ladder(s, 128, 128, 128);
  if (name == "convolution")
    return large ? convolution_ladder(s, {8, 52, 52, 128}, 128) : convolution_ladder(s, {1, 16, 16, 32}, 64);
  if (name == "batchnorm") return batchnorm_ladder(s, large ? Shape{16, 208, 208, 64} : Shape{2, 32, 32, 64});
  if (name == "activation")
    return activation_ladder(s, large ? Shape{16, 208, 208, 64} : Shape{2, 32, 32, 64});
  if (name == "maxpool")
    return large ? maxpool_ladder(s, {16, 208, 208, 64}, window) : maxpool_ladder(s, {1, 32, 32, 32}, window);
  std::string known;
  for (const std::string& n : ladder_names()) known += " " + n;
  fail("no kernel named {}; there are{}", name, known);
}

}  // namespace osprey::bench
