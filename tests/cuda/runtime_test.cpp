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

TEST(EmulatedRuntime, HasNoDeviceToOffer) {
  EXPECT_TRUE(cuda::emulated());
  EXPECT_EQ(cuda::device_count(), 0);
  EXPECT_EQ(cuda::device_name(), "emulation");
  EXPECT_GT(cuda::free_memory(), 0u);
}

TEST(EmulatedRuntime, StreamsOfTheDeviceDiffer) {
  Stream a = cuda::make_stream(), b = cuda::make_stream();
  EXPECT_EQ(a.device, Device::cuda);
  EXPECT_NE(a.handle, nullptr);
  EXPECT_NE(a.handle, b.handle);
  cuda::release_stream(a);
  cuda::release_stream(b);
  EXPECT_EQ(a.handle, nullptr);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they end the program instead
TEST(EmulatedRuntime, SaysHowMuchMemoryIsMissing) {
  for (auto allocate : {cuda::allocate, cuda::allocate_pinned}) try {
      allocate(size_t(1) << 60);
      FAIL() << "an exabyte was there";
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find("cannot allocate 1099511627776 MiB"), std::string::npos)
          << e.what();
    }
}
#endif

}  // namespace
}  // namespace osprey::test
