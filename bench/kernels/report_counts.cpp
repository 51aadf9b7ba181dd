#include <fmt/format.h>

#include "bench/kernels/counting.h"
#include "bench/kernels/report.h"

namespace osprey::bench {

Size reported_size() { return Size::counted; }

std::string preface(Stream&) {
  return "Counted in the emulation; no time was measured. KiB are those that threads ask of global memory, "
         "and\n"
         "those that move in sectors of 32 bytes; requests are of warps; shared memory has requests, and "
         "the\n"
         "turns that they take.\n";
}

std::string report(Stream& s, const Ladder& ladder) {
  std::string text = fmt::format("**{}**, {}\n\n", ladder.name, ladder.problem);
  text +=
      "| version | kernels | blocks | KiB asked | KiB moved | requests | shared, turns | barriers | kflop "
      "| flop/byte |\n"
      "| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n";
  for (size_t i = 0; i < ladder.versions.size(); ++i) {
    ladder.result.write(s, ladder.before);
    begin_counting();
    ladder.versions[i].run(s);
    const Counts c = end_counting();
    text +=
        fmt::format("| {} {} | {} | {} | {:.0f} | {:.0f} | {} | {}, {} | {} | {:.0f} | {:.2f} |\n", i + 1,
                    ladder.versions[i].name, c.kernels, c.blocks,
                    double(c.read_bytes + c.written_bytes) / 1024, double(c.moved_bytes) / 1024, c.requests,
                    c.shared_requests, c.shared_turns, c.barriers, double(c.flops) / 1000, c.intensity());
  }
  return text;
}

}  // namespace osprey::bench
