#include "cuda/runtime.h"

#include "core/error.h"
#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

TEST(EmulatedRuntime, KeepsWhatIsCopiedToIt) {
  Stream s;
  const Values values = coarse_values(33, 1);
  const size_t bytes = values.size() * sizeof(float);
  void* memory = cuda::allocate(bytes);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % 256, 0u);
  Values back(values.size());
  cuda::copy(s, memory, values.data(), bytes);
  cuda::copy(s, back.data(), memory, bytes);
  cuda::synchronize(s);
  EXPECT_EQ(back, values);
  cuda::fill_zero(s, memory, bytes);
  cuda::copy(s, back.data(), memory, bytes);
  EXPECT_EQ(back, Values(values.size()));
  cuda::release(memory);
  cuda::release(nullptr);
}

TEST(EmulatedRuntime, HasNoDeviceToOffer) { EXPECT_EQ(cuda::device_count(), 0); }

}  // namespace
}  // namespace osprey::test
