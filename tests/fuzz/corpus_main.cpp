// Feeds files to a target, without libFuzzer: the kept inputs as a test of every build.
//   fuzz_TARGET FILE|FOLDER...
#include <cstdio>
#include <filesystem>
#include <vector>

#include "core/file.h"
#include "tests/fuzz/fuzz.h"

int main(int argc, char** argv) {
  namespace fs = std::filesystem;
  int fed = 0;
  const auto feed = [&](const fs::path& path) {
    std::fprintf(stderr, "%s\n", path.c_str());  // the last one named is the one that failed
    const std::string bytes = osprey::read_file(path.string(), "an input");
    // As libFuzzer does it: in memory that ends where the input ends, for the address sanitizer.
    const std::vector<uint8_t> exact(bytes.begin(), bytes.end());
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
    ++fed;
  };
  for (int i = 1; i < argc; ++i) {
    if (!fs::is_directory(argv[i])) {
      feed(argv[i]);
      continue;
    }
    for (const auto& entry : fs::directory_iterator(argv[i])) feed(entry.path());
  }
  std::fprintf(stderr, "%d inputs\n", fed);
  return fed > 0 ? 0 : 1;
}
