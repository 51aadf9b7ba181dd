// Convolutions that run as a chain, band by band, give what each gives by itself, to the last bit.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/parallel.h"
#include "layers/simd/outer_product.h"
#include "tests/models/networks.h"

namespace osprey {
namespace {

std::string convolution(int filters, const std::string& keys, const std::string& activation = "leaky") {
  return fmt::format("[convolutional]\nbatch_normalize=1\nfilters={}\nactivation={}\n{}\n", filters,
                     activation, keys);
}

std::string depthwise(int channels, const std::string& keys, const std::string& activation = "leaky") {
  return convolution(channels, fmt::format("groups={}\n{}", channels, keys), activation);
}

const std::string kNet = "[net]\nwidth=45\nheight=70\nchannels=6\n";

// Rows of 45 x 96 floats: a band is less than the image.
void expect_chained(const std::string& cfg, const std::vector<int>& chained_to, NetworkOptions options,
                    int batch) {
  SCOPED_TRACE(cfg);
  NetworkOptions keeping = options;
  keeping.keep_all = true;
  PlannedNetwork separate(cfg, batch, 0, 0, keeping);
  const std::vector<float> want = run(separate, 3);
  const int before = threads();
  for (const int count : {1, 2, 3}) {
    set_threads(count);
    PlannedNetwork chained(cfg, batch, 0, 0, options);
    for (size_t i = 0; i < chained_to.size(); ++i)
      EXPECT_EQ(chained.nodes()[i].chained_to, chained_to[i]) << i;
    EXPECT_EQ(run(chained, 3), want) << count << " threads";
    // Another size, smaller than a band, and back.
    chained.plan(1, 21, 20);
    chained.plan(batch, 45, 70);
    chained.prepare();
    EXPECT_EQ(run(chained, 3), want) << count << " threads, planned anew";
  }
  set_threads(before);
}

TEST(Chain, IsWhatEachConvolutionMakes) {
  std::vector<NetworkOptions> precisions = {inference()};
  if (simd::has_bf16_products()) {
    precisions.push_back(inference());
    precisions.back().precision = Precision::bf16;
  }
  for (const NetworkOptions& options : precisions) {
    expect_chained(
        kNet + convolution(96, "size=1") + depthwise(96, "size=3\npad=1") + convolution(16, "size=1"),
        {2, 2, -1}, options, 2);
    expect_chained(kNet + convolution(96, "size=1") + depthwise(96, "size=5\nstride=2\npad=1") +
                       convolution(8, "size=1"),
                   {2, 2, -1}, options, 1);
    // Rows that a window steps over, others that it does not reach, and a chain that ends in a narrow one.
    expect_chained(kNet + convolution(96, "size=1") + depthwise(96, "size=2\nstride=4"), {1, -1}, options, 1);
    expect_chained(kNet + convolution(96, "size=1") + depthwise(96, "size=3\npad=1\ndilation=3", "mish"),
                   {1, -1}, options, 2);
    // Windows that see nothing of the image.
    expect_chained(kNet + convolution(96, "size=1") + depthwise(96, "size=9\npadding=20"), {1, -1}, options,
                   1);
    // Windows of the wide ones, too; and several narrow ones after each other.
    expect_chained(kNet + convolution(96, "size=3\nstride=2\npad=1") + depthwise(96, "size=3\npad=1") +
                       depthwise(96, "size=3") + convolution(4, "size=5\nstride=2"),
                   {3, 3, 3, -1}, options, 1);
  }
}

TEST(Chain, AddsWhatItsLastConvolutionHasToAdd) {
  const std::string block = convolution(96, "size=1") + depthwise(96, "size=3\npad=1") +
                            convolution(8, "size=1") + "[dropout]\n[shortcut]\nfrom=-5\nactivation=leaky\n";
  expect_chained(kNet + convolution(8, "size=1") + block + block, {-1, 3, 3, -1, -1, -1, 8, 8, -1},
                 inference(), 2);
}

TEST(Chain, LeavesOutWhatOthersReadOrWhatIsNoWorthWhile) {
  const auto chained = [](const std::string& cfg, NetworkOptions options = inference()) {
    PlannedNetwork network(kNet + cfg, 1, 0, 0, options);
    std::vector<int> to;
    for (const Node& node : network.nodes()) to.push_back(node.chained_to);
    return to;
  };
  const std::string narrow = depthwise(96, "size=3\npad=1"), wide = convolution(96, "size=1");
  EXPECT_EQ(chained(wide + narrow), (std::vector<int>{1, -1}));
  EXPECT_EQ(chained(wide + wide), (std::vector<int>{-1, -1}));
  EXPECT_EQ(chained(wide + narrow + "[route]\nlayers=0\n"), (std::vector<int>{-1, -1, -1}));
  EXPECT_EQ(chained(wide + "[maxpool]\nsize=3\nstride=1\n" + narrow), (std::vector<int>{-1, -1, -1}));
  EXPECT_EQ(chained(wide + narrow, all_kept()), (std::vector<int>{-1, -1}));
  EXPECT_EQ(chained(wide + narrow, NetworkOptions()), (std::vector<int>{-1, -1}));  // in training
  // Winograd's algorithm has tiles of its own.
  EXPECT_EQ(chained(convolution(96, "size=3\npad=1") + narrow), (std::vector<int>{-1, -1}));
  // More weights than pixels.
  EXPECT_EQ(chained("[maxpool]\nsize=14\nstride=14\n" + convolution(960, "size=3\nstride=2\npad=1") +
                    depthwise(960, "size=3\npad=1")),
            (std::vector<int>{-1, -1, -1}));
}

// What lies between takes no memory of the plan.
TEST(Chain, KeepsItsEndAlone) {
  const std::string cfg =
      kNet + convolution(96, "size=1") + depthwise(96, "size=3\npad=1") + convolution(8, "size=1");
  PlannedNetwork network(cfg, 1, 0, 0, inference());
  EXPECT_LT(network.memory().bytes, size_t(45 * 70 * 96) * sizeof(float) / 2);
}

}  // namespace
}  // namespace osprey
