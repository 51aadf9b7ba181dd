// The kernels of docs/kernels.md: every version is right, in any order of threads, and the page shows what
// the program counts.
#include "bench/kernels/ladder.h"

#include <cstring>
#include <fstream>
#include <sstream>

#include "bench/kernels/ceilings.h"
#include "bench/kernels/counting.h"
#include "bench/kernels/report.h"
#include "core/error.h"
#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

using bench::Counts;
using bench::Ladder;
using bench::Version;

bool same_bits(const Values& a, const Values& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

class Ladders : public testing::Test {
 protected:
  void expect_right(const Ladder& ladder) {
    for (const Version& version : ladder.versions) {
      const Values forward = bench::result_of(s, ladder, version);
      in_all_orders([&] {
        EXPECT_EQ(bench::fault_of(s, ladder, version), "");
        const bool same = same_bits(bench::result_of(s, ladder, version), forward);
        EXPECT_TRUE(same || !version.repeats)
            << ladder.name << ", " << ladder.problem << ", " << version.name;
      });
    }
  }
  Counts count(const Ladder& ladder, int version) {
    ladder.result.write(s, ladder.before);
    bench::begin_counting();
    ladder.versions[version].run(s);
    return bench::end_counting();
  }

  Stream s = cuda::make_stream();
  ~Ladders() override { cuda::release_stream(s); }
};

TEST_F(Ladders, GemmIsRightInEveryVersion) {
  expect_right(bench::gemm_ladder(s, 1, 1, 1));
  expect_right(bench::gemm_ladder(s, 5, 7, 3));
  expect_right(bench::gemm_ladder(s, 65, 68, 20));  // a tile and a little, in packs
  expect_right(bench::gemm_ladder(s, 3, 66, 33));   // not in packs
}

TEST_F(Ladders, ConvolutionIsRightInEveryVersion) {
  expect_right(bench::convolution_ladder(s, {1, 1, 1, 1}, 1));
  expect_right(bench::convolution_ladder(s, {2, 3, 5, 4}, 8));
  expect_right(bench::convolution_ladder(s, {1, 9, 2, 3}, 5));
  expect_right(bench::convolution_ladder(s, {1, 9, 9, 12}, 36));  // tiles of pixels, filters and channels end
}

TEST_F(Ladders, BatchnormIsRightInEveryVersion) {
  expect_right(bench::batchnorm_ladder(s, {1, 1, 1, 1}));
  expect_right(bench::batchnorm_ladder(s, {2, 5, 3, 7}));
  expect_right(bench::batchnorm_ladder(s, {1, 3, 100, 36}));  // rows beyond 256, channels beyond 32
  expect_right(bench::batchnorm_ladder(s, {1, 37, 23, 4}));   // three chunks that differ in length
}

TEST_F(Ladders, ActivationIsRightInEveryVersion) {
  expect_right(bench::activation_ladder(s, {1, 1, 1, 1}));
  expect_right(bench::activation_ladder(s, {2, 5, 3, 7}));
  expect_right(bench::activation_ladder(s, {1, 7, 11, 12}));
  expect_right(bench::activation_ladder(s, {1, 1, 70, 136}));  // more than a tile of packs, and of rows
}

TEST_F(Ladders, MaxpoolIsRightInEveryVersion) {
  expect_right(bench::maxpool_ladder(s, {1, 1, 1, 1}, pooling_window(1, 1, 0)));
  expect_right(bench::maxpool_ladder(s, {2, 4, 5, 3}, pooling_window(2, 2, 1)));
  expect_right(bench::maxpool_ladder(s, {1, 5, 7, 8}, pooling_window(3, 1, 2)));
  expect_right(bench::maxpool_ladder(s, {1, 5, 4, 1}, pooling_window(2, 3, 0)));  // pixels under no window
}

TEST_F(Ladders, ScatteringChangesTheLastBitsWithTheOrderOfThreads) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "two host threads deal with blocks, in an order of their own";
#endif
  const Ladder ladder = bench::maxpool_ladder(s, {1, 9, 9, 8}, pooling_window(3, 1, 2));
  ASSERT_FALSE(ladder.versions[0].repeats);
  emulation::set_order(emulation::Order::forward);
  const Values forward = bench::result_of(s, ladder, ladder.versions[0]);
  emulation::set_order(emulation::Order::reverse);
  const Values reverse = bench::result_of(s, ladder, ladder.versions[0]);
  emulation::set_order(emulation::Order::forward);
  EXPECT_FALSE(same_bits(forward, reverse));
}

TEST_F(Ladders, AFaultIsNoticed) {
  Ladder ladder = bench::gemm_ladder(s, 2, 2, 2);
  const Version nothing = {"nothing", [](Stream&) {}};
  EXPECT_NE(bench::fault_of(s, ladder, nothing), "");  // the result is NaN
  ladder.expected.values[3] += 1e-5;
  EXPECT_EQ(
      bench::fault_of(s, ladder, ladder.versions[0]).find("gemm, 2 x 2, 2 deep, one thread per output: "),
      0u);
}

// By hand: each of 64 x 64 outputs reads a row and a column of 32; a warp has a value of a, which is one
// sector, and 32 neighbours in b, which are four; and 2 x 64 x 64 x 32 operations.
TEST_F(Ladders, CountsAreThoseOfPaperAndPencil) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "counts ask for one host thread";
#endif
  const Ladder ladder = bench::gemm_ladder(s, 64, 64, 32);
  const int outputs = 64 * 64, warps = outputs / 32;
  Counts c = count(ladder, 0);
  EXPECT_EQ(c.kernels, 1);
  EXPECT_EQ(c.blocks, 64 / 32 * (64 / 8));
  EXPECT_EQ(c.read_bytes, outputs * 32 * 2 * 4);
  EXPECT_EQ(c.written_bytes, outputs * 4);
  EXPECT_EQ(c.requests, warps * (2 * 32 + 1));
  EXPECT_EQ(c.moved_bytes, warps * (32 * (1 + 4) + 4) * 32);
  EXPECT_EQ(c.flops, outputs * 32 * 2);
  EXPECT_EQ(c.shared_requests + c.barriers, 0);
  // 16 blocks of 16 x 16 threads: two steps of two barriers, two writes and 2 x 16 reads.
  c = count(ladder, 1);
  EXPECT_EQ(c.barriers, 16 * 2 * 2);
  EXPECT_EQ(c.shared_requests, warps * 2 * (2 + 2 * 16));
  EXPECT_EQ(c.shared_turns, c.shared_requests);
  EXPECT_EQ(c.read_bytes, 2 * outputs * 32 * 4 / 16 * 2 / 2);
  // A block per channel uses 4 bytes of each sector of 32.
  const Ladder statistics = bench::batchnorm_ladder(s, {1, 16, 16, 8});
  c = count(statistics, 0);
  EXPECT_EQ(c.read_bytes, 2 * 256 * 8 * 4);
  EXPECT_EQ(c.moved_bytes, 8 * c.read_bytes + 2 * 8 * 32);
}

TEST_F(Ladders, TheProbesCopyAndAdd) {
  const Values x = bench::uniform_values(40, 1);
  const bench::DeviceValues<float> from(s, {1, 1, 1, 40}, x), to(s, {1, 1, 1, 40});
  bench::copy_probe(s, from.view(), to.view());
  EXPECT_EQ(to.read(s), x);
  bench::fma_probe(s, to.view(), 2);  // 1 -> 1.5 -> 1.75, eight times
  EXPECT_EQ(to.read(s), Values(40, 14.0f));
}

TEST_F(Ladders, ThePageShowsWhatTheProgramPrints) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "counts ask for one host thread";
#endif
  std::ifstream file(OSPREY_SOURCE_DIR "/docs/kernels.md");
  std::stringstream page;
  page << file.rdbuf();
  for (const std::string& name : bench::ladder_names()) {
    const std::string table = bench::report(s, bench::make_ladder(s, name, bench::Size::counted));
    EXPECT_NE(page.str().find(table), std::string::npos)
        << "docs/kernels.md does not hold what bench_kernels_emulated " << name << " prints:\n"
        << table;
  }
}

TEST_F(Ladders, AnUnknownNameIsTold) {
  try {
    bench::make_ladder(s, "gem", bench::Size::counted);
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "no kernel named gem; there are gemm convolution batchnorm activation maxpool");
  }
}

}  // namespace
}  // namespace osprey::test
