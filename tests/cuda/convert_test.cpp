#include "cuda/convert.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

// Fewer values than a block has threads, as many, and a few more.
TEST(ConvertKernel, RoundsEveryValueToBf16AndBack) {
  Stream s;
  for (int count : {1, 255, 256, 301}) {
    Values x(count), want(count);
    for (int i = 0; i < count; ++i) {
      x[i] = Random(3, Purpose::test, 0, i).uniform(-4, 4);
      want[i] = float(bf16(x[i]));
    }
    in_all_orders([&] {
      std::vector<bf16> rounded(count, 7.0f);
      Values got(count, 7.0f);
      cuda::convert(s, view(x, {1, 1, 1, count}), channels(rounded));
      cuda::convert(s, channels(rounded), channels(got));
      EXPECT_EQ(got, want);
    });
  }
}

}  // namespace
}  // namespace osprey::test
