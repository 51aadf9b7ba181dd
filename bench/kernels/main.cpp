// bench_kernels [NAME...]: checks each version of the kernels against plain loops, and reports on them.
#include <cstdio>
#include <exception>

#include "bench/kernels/report.h"
#include "core/error.h"

namespace osprey::bench {
namespace {

// A ladder each of whose versions was found right.
Ladder checked_ladder(Stream& s, const std::string& name, Size size) {
  const Ladder ladder = make_ladder(s, name, size);
  for (const Version& version : ladder.versions)
    if (const std::string fault = fault_of(s, ladder, version); !fault.empty()) fail("{}", fault);
  return ladder;
}

// A wrong version is told at the small size, before the plain loops take seconds over the large one.
void run(Stream& s, const std::string& name) {
  if (reported_size() != Size::counted) checked_ladder(s, name, Size::counted);
  std::printf("%s\n", report(s, checked_ladder(s, name, reported_size())).c_str());
}

}  // namespace
}  // namespace osprey::bench

int main(int count, char** arguments) {
  using namespace osprey;
  try {
    std::vector<std::string> names(arguments + 1, arguments + count);
    if (names.empty()) names = bench::ladder_names();
    Stream s = cuda::make_stream();
    std::printf("%s\n", bench::preface(s).c_str());
    for (const std::string& name : names) bench::run(s, name);
    cuda::release_stream(s);
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bench_kernels: %s\n", e.what());
    return 1;
  }
}
