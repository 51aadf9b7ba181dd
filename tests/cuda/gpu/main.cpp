// Tests on a real GPU. The program is carried to machines that have nothing but the CUDA libraries, so it
// links everything else statically, and says what is missing.

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "core/error.h"
#include "cuda/libraries.h"
#include "cuda/runtime.h"

namespace osprey::test {
namespace {

// What keeps the tests from running; empty if nothing does.
std::string missing() try {
  if (cuda::device_count() == 0) return "gpu_tests needs a CUDA device, and there is none";
  return cuda::cudnn_available() ? cuda::cublaslt_missing() : cuda::cudnn_missing();
} catch (const Error& e) {
  return e.what();
}

}  // namespace
}  // namespace osprey::test

int main(int count, char** arguments) {
  using namespace osprey;
  testing::InitGoogleTest(&count, arguments);
  if (GTEST_FLAG_GET(list_tests)) return RUN_ALL_TESTS();
  if (const std::string reason = test::missing(); !reason.empty()) {
    std::fprintf(stderr, "%s\n", reason.c_str());
    return 1;
  }
  std::printf("cuDNN %s, cuBLASLt %s\n", cuda::cudnn_version().c_str(), cuda::cublaslt_version().c_str());
  // Choices of earlier runs would hide what is tested here.
  const auto cache = std::filesystem::temp_directory_path() / "osprey-gpu-tests";
  std::filesystem::remove_all(cache);
  setenv("XDG_CACHE_HOME", cache.c_str(), 1);
  const int result = RUN_ALL_TESTS();
  std::filesystem::remove_all(cache);
  return result;
}
