// Where a [route] finds the channels that it puts side by side in its own memory, a network computes what it
// does with a tensor for each layer, to the last bit.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/parallel.h"
#include "layers/simd/outer_product.h"
#include "tests/models/networks.h"

namespace osprey {
namespace {

const std::string kNet = "[net]\nwidth=44\nheight=36\nchannels=6\n";

std::string convolution(int filters, int size, const std::string& keys = "") {
  return fmt::format("[convolutional]\nbatch_normalize=1\nfilters={}\nsize={}\npad=1\nactivation=leaky\n{}\n",
                     filters, size, keys);
}
std::string route(const std::string& layers, const std::string& keys = "") {
  return fmt::format("[route]\nlayers={}\n{}\n", layers, keys);
}

struct Cut {
  int layer, of, first;
};

std::vector<NetworkOptions> all_precisions() {
  std::vector<NetworkOptions> precisions = {inference()};
  if (simd::has_bf16_products()) {
    precisions.push_back(inference());
    precisions.back().precision = Precision::bf16;
  }
  return precisions;
}

void expect_cuts(const std::string& cfg, const std::vector<Cut>& cuts,
                 const std::vector<NetworkOptions>& precisions = all_precisions()) {
  SCOPED_TRACE(cfg);
  for (const NetworkOptions& options : precisions) {
    NetworkOptions keeping = options;
    keeping.keep_all = true;
    PlannedNetwork separate(kNet + cfg, 2, 0, 0, keeping);
    const std::vector<float> want = run(separate, 3);
    for (const Node& node : separate.nodes()) EXPECT_EQ(node.slice.of, -1);
    const int before = threads();
    for (const int count : {1, 3}) {
      set_threads(count);
      PlannedNetwork cut(kNet + cfg, 2, 0, 0, options);
      std::vector<int> of(cut.nodes().size(), -1), first(of.size(), 0);
      for (const Cut& c : cuts) of[size_t(c.layer)] = c.of, first[size_t(c.layer)] = c.first;
      for (size_t i = 0; i < of.size(); ++i) {
        EXPECT_EQ(cut.nodes()[i].slice.of, of[i]) << i;
        EXPECT_EQ(cut.nodes()[i].slice.first, first[i]) << i;
      }
      EXPECT_EQ(run(cut, 3), want) << count << " threads";
      cut.plan(1, 20, 12);
      cut.plan(2, 44, 36);
      cut.prepare();
      EXPECT_EQ(run(cut, 3), want) << count << " threads, planned anew";
    }
    set_threads(before);
  }
}

TEST(Slices, AreWhatARoutePutsSideBySide) {
  // A stage of YOLOv4-tiny: half of a layer's channels, two concatenations, and a pooling of the second.
  expect_cuts(convolution(32, 3) + route("-1", "groups=2\ngroup_id=1") + convolution(16, 3) +
                  convolution(16, 3) + route("-1,-2") + convolution(32, 1) + route("-6,-1") +
                  "[maxpool]\nsize=2\nstride=2\n" + convolution(10, 3),
              {{0, 6, 0}, {1, 0, 16}, {2, 4, 16}, {3, 4, 0}, {5, 6, 32}});
  // An upsampling beside what was there before, pooled in a convolution, and poolings of several sizes.
  expect_cuts(convolution(16, 3) + "[maxpool]\nsize=2\nstride=2\n" + convolution(24, 3, "stride=2") +
                  convolution(18, 1) + "[upsample]\nstride=2\n" + route("-1,1") + convolution(10, 3),
              {{0, 5, 18}, {4, 5, 0}});
  expect_cuts(convolution(16, 1) + "[maxpool]\nsize=5\nstride=1\n" + route("0") +
                  "[maxpool]\nsize=9\nstride=1\n" + route("-1,1,0") + convolution(10, 1),
              {{0, 4, 32}, {1, 4, 16}, {3, 4, 0}});
  // Of a concatenation within another, and of a slice of a slice.
  expect_cuts(convolution(16, 3) + convolution(16, 1) + route("0,1") + convolution(18, 1) + route("-1,2") +
                  route("2", "groups=2\ngroup_id=1") + route("-1", "groups=4\ngroup_id=2") +
                  convolution(20, 1) + route("-1,4") + convolution(10, 3),
              {{0, 2, 0}, {1, 2, 16}, {2, 4, 18}, {3, 4, 0}, {4, 8, 20}, {5, 2, 16}, {6, 5, 8}, {7, 8, 0}});
}

TEST(Slices, AreNotWhatSomebodyCannotRead) {
  // A layer in two concatenations, or twice in one, lies in one place, and is copied to the other.
  expect_cuts(convolution(16, 3) + route("-1,-1") + convolution(18, 1) + route("-1,0") + convolution(10, 1),
              {{0, 1, 0}, {2, 3, 0}});
  // A sum lies as its summands do (and in bf16 is rounded once instead of twice, where a convolution does
  // it).
  expect_cuts(convolution(16, 3) + convolution(16, 3) + "[shortcut]\nfrom=-2\nactivation=linear\n" +
                  convolution(18, 1) + route("-1,-2") + convolution(10, 1),
              {{3, 4, 0}}, {inference()});
  // An average wants its input whole.
  expect_cuts(convolution(16, 3) + "[avgpool]\n" + route("-2") + convolution(18, 1) + route("-1,0") +
                  convolution(10, 1),
              {{3, 4, 0}});
  // Depthwise windows, and the input of the network.
  expect_cuts(convolution(6, 1, "groups=6") + convolution(18, 1) + route("-2,-1") +
                  convolution(24, 3, "groups=24") + route("-1,-2") + convolution(10, 1),
              {{1, 2, 6}});
}

}  // namespace
}  // namespace osprey
