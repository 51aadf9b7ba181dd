#include <fmt/format.h>

#include "bench/kernels/ceilings.h"
#include "bench/kernels/gpu/clock.h"
#include "bench/kernels/report.h"

namespace osprey::bench {
namespace {

// Larger than any L2: what a version left there is gone before the next run.
constexpr int kFlushValues = 64 << 20;

struct Ceilings {
  double bytes_per_second, flops_per_second;
};

Ceilings measure_ceilings(Stream& s) {
  constexpr int kThreads = 1 << 20, kRounds = 4096;
  const DeviceValues<float> x(s, {1, 1, 1, kFlushValues}), y(s, {1, 1, 1, kFlushValues});
  const DeviceValues<float> sums(s, {1, 1, 1, kThreads});
  const auto nothing = [] {};
  const double copied = median_seconds(s, nothing, [&] { copy_probe(s, x.view(), y.view()); });
  const double added = median_seconds(s, nothing, [&] { fma_probe(s, sums.view(), kRounds); });
  return {2.0 * double(x.bytes()) / copied, 2.0 * kThreads * kChains * kRounds / added};
}

const Ceilings& ceilings(Stream& s) {
  static const Ceilings measured = measure_ceilings(s);
  return measured;
}

}  // namespace

Size reported_size() { return Size::timed; }

std::string preface(Stream& s) {
  const Ceilings& best = ceilings(s);
  return fmt::format(
      "{}: a copy moves {:.0f} GB/s, multiply-adds in registers make {:.1f} TFLOP/s (f32). Times are "
      "medians\n"
      "with a cold L2; GB/s and TFLOP/s count the least that any version must move and do.\n",
      cuda::device_name(), best.bytes_per_second / 1e9, best.flops_per_second / 1e12);
}

std::string report(Stream& s, const Ladder& ladder) {
  const Ceilings& best = ceilings(s);
  const DeviceValues<float> flush(s, {1, 1, 1, kFlushValues});
  std::string text = fmt::format("**{}**, {}\n\n", ladder.name, ladder.problem);
  text +=
      "| version | microseconds | GB/s | of a copy | TFLOP/s | of multiply-adds |\n"
      "| --- | --: | --: | --: | --: | --: |\n";
  for (size_t i = 0; i < ladder.versions.size(); ++i) {
    const Version& version = ladder.versions[i];
    const double seconds = median_seconds(
        s, [&] { cuda::fill_zero(s, flush.view().data, flush.bytes()); }, [&] { version.run(s); });
    const double bytes = ladder.bytes / seconds, flops = ladder.flops / seconds;
    text += fmt::format("| {} {} | {:.1f} | {:.0f} | {:.0f}% | {:.2f} | {:.0f}% |\n", i + 1, version.name,
                        seconds * 1e6, bytes / 1e9, 100 * bytes / best.bytes_per_second, flops / 1e12,
                        100 * flops / best.flops_per_second);
  }
  return text;
}

}  // namespace osprey::bench
