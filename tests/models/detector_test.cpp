// Detection by the kernels, emulated, against detection by the host.
#include "models/detector.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/random.h"
#include "cuda/emulation.h"
#include "models/network.h"
#include "tests/data/temporary.h"
#include "tests/models/networks.h"

namespace osprey {
namespace {

// The input of the network is that of its heads: of the first as it is, of the second twice as large.
std::string two_heads(int channels, const std::string& head, const std::string& last = "") {
  return "[net]\nbatch=1\nwidth=5\nheight=4\nchannels=" + std::to_string(channels) +
         "\n[maxpool]\nsize=1\nstride=1\n" + head + "\n[route]\nlayers=0\n[upsample]\nstride=2\n" + head +
         "\n" + last;
}
std::string one_head(int width, int height, int channels, const std::string& head) {
  return "[net]\nbatch=1\nwidth=" + std::to_string(width) + "\nheight=" + std::to_string(height) +
         "\nchannels=" + std::to_string(channels) + "\n[maxpool]\nsize=1\nstride=1\n" + head;
}

using Found = std::vector<std::vector<Detection>>;

struct Results {
  Found detector, host;  // the second from the same outputs of the heads
};

// Input values are multiples of 1/2, so that scores tie. Of several images the last has nothing; the others
// lie differently in the input, and have sizes of their own.
Results detected(const std::string& cfg, Device device, int batch, DetectorSettings settings, float highest,
                 int images_together = 0) {
  NetworkOptions options;
  options.build.training = false;
  options.build.device = device;
  options.images_together = images_together;
  Network network(parse_cfg(cfg, "t.cfg"), options);
  network.plan(batch, network.net().width, network.net().height);
  network.prepare();
  Detector detector(network, settings);
  const View<float> input = network.input();
  for (int i = 0; i < input.size(); ++i) {
    const float value = std::floor(Random(9, Purpose::test, 0, i).uniform(-2, highest) * 2) / 2;
    input[i] = batch > 1 && input.shape.pixel(i).n == batch - 1 ? -9 : value;
  }
  for (int n = 0; n < batch; ++n)
    detector.places()[n] = {{0, .125f * float(n), 1, 1 - .25f * float(n)}, float(100 + n), 60};
  Results results = {detector.run(), {}};
  std::vector<std::vector<float>> memory;
  std::vector<HeadOutput> heads;
  for (size_t i = 0; i < network.nodes().size(); ++i)
    if (const Head* head = network.nodes()[i].layer->head()) {
      memory.push_back(network.read(int(i)));
      heads.push_back({head, {memory.back().data(), network.output(int(i))}});
    }
  for (int n = 0; n < batch; ++n)
    results.host.push_back(detections(heads, n, settings, detector.places()[n], network.input().shape));
  return results;
}

// The same formulas in the same order of candidates, but a compiler may fuse other multiplications and
// additions: scores and boxes may be off by some units in the last place.
void expect_same(const Found& got, const Found& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t n = 0; n < want.size(); ++n) {
    SCOPED_TRACE("image " + std::to_string(n));
    ASSERT_EQ(got[n].size(), want[n].size());
    for (size_t i = 0; i < want[n].size(); ++i) {
      const Detection &g = got[n][i], &w = want[n][i];
      ASSERT_EQ(g.class_id, w.class_id) << "detection " << i;
      ASSERT_NEAR(g.score, w.score, 1e-6f) << "detection " << i;
      const float sizes[] = {g.box.x1 - w.box.x1, g.box.y1 - w.box.y1, g.box.x2 - w.box.x2,
                             g.box.y2 - w.box.y2};
      for (float off : sizes)
        ASSERT_LT(std::fabs(off), 2e-6f * (100 + std::fabs(w.box.x2))) << "detection " << i;
    }
  }
}

void expect_parity(const std::string& cfg, int batch, DetectorSettings settings, float highest = 2) {
  SCOPED_TRACE(cfg);
  for (auto order : {emulation::Order::forward, emulation::Order::reverse, emulation::Order::shuffled}) {
    emulation::set_order(order);
    const Results results = detected(cfg, Device::cuda, batch, settings, highest);
    EXPECT_FALSE(results.host[0].empty());
    if (batch > 1) {
      EXPECT_TRUE(results.host.back().empty());
    }
    expect_same(results.detector, results.host);
  }
  emulation::set_order(emulation::Order::forward);
  // On the CPU images that pass one by one are as those that run together.
  expect_same(detected(cfg, Device::cpu, batch, settings, highest, 1).detector,
              detected(cfg, Device::cpu, batch, settings, highest, batch).detector);
}

const std::string kYolo = "[yolo]\nnum=3\nanchors=1,1, 2,1, 2,3\n";
const std::string kRegion = "[region]\nnum=2\nanchors=1,2, 2,1\n";

// Two levels of 5x4 and 3x2 cells.
const std::string kSsd =
    "[net]\nbatch=1\nwidth=5\nheight=4\nchannels=12\n"
    "[maxpool]\nname=classes0\nsize=1\nstride=1\n"
    "[maxpool]\nname=classes1\nsize=2\nstride=2\n"
    "[convolutional]\nname=boxes0\nfrom=classes0\nfilters=16\nsize=1\nactivation=linear\n"
    "[convolutional]\nname=boxes1\nfrom=classes1\nfilters=16\nsize=1\nactivation=linear\n"
    "[ssd]\nfrom=classes0,classes1,boxes0,boxes1\nclasses=2\nmin_sizes=2,4\n";

TEST(Detector, FindsWhatTheHostFindsInTheBoxesOfSsd) {
  expect_parity(kSsd, 2, {.4f, .45f, {}});
  expect_parity(kSsd + "nms_top_k=3\n", 2, {.4f, .45f, {}});
  expect_parity(kSsd + "nms_top_k=0\n", 2, {.4f, .45f, {}});
  expect_parity(kSsd, 2, {.34f, 0, {}});  // an image without contrast says 1/3 of all
}

TEST(Detector, FindsWhatTheHostFinds) {
  const std::string yolo = kYolo + "classes=3\n";
  expect_parity(two_heads(24, yolo), 3, {.25f, .45f, {}});
  expect_parity(two_heads(24, yolo + "nms_kind=greedynms\n"), 3, {.1f, .3f, {}});
  expect_parity(two_heads(24, yolo + "nms_kind=diounms\nbeta_nms=0.8\n"), 3, {.25f, .3f, {}});
  expect_parity(two_heads(24, yolo), 2, {.25f, 0, {}});
  expect_parity(two_heads(6, kYolo + "classes=1\nmask=1\n"), 3, {.25f, .45f, {}});
  expect_parity(two_heads(85, kYolo + "classes=80\nmask=2\n"), 2, {.5f, .45f, {}});
  expect_parity(one_head(1, 1, 18, kYolo + "classes=1\n"), 1, {0, .45f, {}});
  expect_parity(two_heads(16, kRegion + "classes=3\nsoftmax=1\n"), 3, {.2f, .45f, {}});
  expect_parity(two_heads(16, kRegion + "classes=3\nsoftmax=1\nclassfix=-1\n"), 2, {.1f, .45f, {}});
}

TEST(Detector, FindsWhatTheHostFindsInDarknetsOtherHeads) {
  const std::string gaussian = "[Gaussian_yolo]\nnum=3\nanchors=1,1, 2,1, 2,3\nclasses=3\n";
  expect_parity(two_heads(36, gaussian), 3, {.1f, .45f, {}});
  expect_parity(two_heads(36, gaussian + "yolo_point=left_top\nnms_kind=cornersnms\n"), 2, {.2f, .3f, {}});
  const std::string detection = "[detection]\nside=3\nnum=2\nclasses=3\nsqrt=1\n";
  expect_parity(one_head(1, 3, 39, detection + "softmax=1\n"), 3, {.1f, .45f, {}});
  expect_parity(one_head(117, 1, 1, detection), 1, {.2f, .3f, {}});
  expect_parity(two_heads(16, kRegion + "classes=3\nsoftmax=1\nbackground=1\n"), 1, {.3f, .45f, {}});
}

TEST(Detector, FindsWhatTheHostFindsInATreeOfClasses) {
  const Temporary folder;
  const std::string tree =
      kRegion + "classes=7\ntree=" + folder.write("7.tree", "a -1\nb -1\nc 0\nd 0\ne 0\nf 3\ng 3\n") + "\n";
  expect_parity(two_heads(24, tree), 3, {.2f, .45f, {}, .5f});
  expect_parity(two_heads(24, tree), 2, {.1f, .45f, {}, .15f});
  expect_parity(two_heads(24, tree + "map=" + folder.write("3.map", "6\n0\n4\n") + "\n"), 3,
                {.2f, .45f, {}, .5f});
  // A lower threshold of the tree names children in place of parents.
  const auto most_special = [&](float threshold) {
    int highest = 0;
    const Results results = detected(two_heads(24, tree), Device::cuda, 1, {.1f, .45f, {}, threshold}, 2);
    for (const Detection& d : results.detector[0]) highest = std::max(highest, d.class_id);
    return highest;
  };
  EXPECT_LT(most_special(.99f), 5);
  EXPECT_GE(most_special(.1f), 5);
}

// Every kind, with classes apart or not; soft kinds with a threshold below which they let boxes fall.
TEST(Detector, FindsWhatTheHostFindsByEveryKind) {
  const std::string yolo = kYolo + "classes=3\n", region = kRegion + "classes=3\nsoftmax=1\n";
  for (const char* classes : {"nms_classes=1\n", "nms_classes=0\n"})
    for (const char* kind : {"hard", "diou", "nwd", "soft_linear", "soft_gaussian"}) {
      const std::string keys = std::string(classes) + "nms=" + kind + "\nnms_constant=3\n";
      expect_parity(two_heads(24, yolo + keys), 3, {.1f, {}, {}});
      expect_parity(two_heads(16, region + keys + "nms_min_score=.15\n"), 3, {.1f, .3f, {}});
    }
  expect_parity(two_heads(24, yolo + "nms_classes=0\n"), 2, {.25f, 0, {}});
  expect_parity(two_heads(24, yolo + "max_detections=7\n"), 3, {.1f, {}, NmsKind::soft_linear});
}

// Heads that list their best boxes only: fewer than they have, as many, and of several images.
TEST(Detector, FindsWhatTheHostFindsAmongTheBest) {
  const std::string maps =
      "[net]\nbatch=1\nwidth=8\nheight=8\nchannels=8\n[maxpool]\nsize=1\nstride=1\nname=c1\n"
      "[maxpool]\nsize=2\nstride=2\nname=c2\n";
  const std::string retina = maps +
                             "[retina]\nfrom=c1,c2,c1,c2\nclasses=4\nscales_per_octave=1\nanchor_sizes=2,4\n"
                             "anchor_ratios=1,2\n";
  for (const char* keys :
       {"nms_top_k=5\n", "nms_top_k=30\nmax_detections=20\n", "nms_top_k=100\nnms_classes=0\n",
        "nms_top_k=9\nnms=soft_gaussian\nnms_min_score=.3\n", "nms_top_k=0\n"})
    expect_parity(retina + keys, 3, {.25f, {}, {}});
}

// e^w of inputs up to 200 is infinite.
TEST(Detector, LeavesOutBoxesThatAreNotFinite) {
  const std::string cfg = one_head(4, 4, 24, kYolo + "classes=3\n");
  expect_parity(cfg, 2, {.25f, .45f, {}}, 200);
  const Results results = detected(cfg, Device::cuda, 1, {.25f, .45f, {}}, 200);
  for (const Detection& d : results.detector[0]) EXPECT_TRUE(std::isfinite(d.box.x2));
}

// 4800 rows, of which nearly all are listed: more than the kernels' lists have room for. And 8649 detections
// of 2883 rows, of which only 8192 have.
TEST(Detector, MoreThanTheListsHoldIsFoundToo) {
  for (const auto& [side, classes, nms] : {std::tuple(40, 1, .45f), std::tuple(31, 3, 0.f)}) {
    const std::string cfg =
        one_head(side, side, 3 * (5 + classes), kYolo + "classes=" + std::to_string(classes) + "\n");
    const Results results = detected(cfg, Device::cuda, 1, {.001f, nms, {}}, 2);
    EXPECT_GT(results.host[0].size(), classes == 1 ? 100u : 8192u);
    expect_same(results.detector, results.host);
  }
}

TEST(Detector, WorksOnTheCpu) {
  const Results results = detected(two_heads(24, kYolo + "classes=3\n"), Device::cpu, 2, {.25f, .45f, {}}, 2);
  EXPECT_FALSE(results.host[0].empty());
  expect_same(results.detector, results.host);
}

// The RoIs of an image are its own: those of a group are no other ones.
TEST(Detector, ImagesThatPassOneByOneHaveTheirOwnRois) {
  Found found[2];
  for (const int together : {1, 3}) {
    NetworkOptions options = inference();
    options.images_together = together;
    Network network(read_cfg(OSPREY_SOURCE_DIR "/cfg/faster-rcnn-tiny.cfg"), options);
    network.plan(3, 96, 64);
    EXPECT_EQ(network.passes(), 3 / together);
    randomise(network.parameters(), 7);
    network.prepare();
    Detector detector(network, {.05f, .5f, {}});
    fill_randomly(network.input().view<float>(), 3);
    found[together > 1] = detector.run();
  }
  for (const auto& of_image : found[0]) EXPECT_GT(of_image.size(), 5u);
  expect_same(found[0], found[1]);
}

TEST(Detector, NeedsHeadsThatFitTogether) {
  const auto error = [](const std::string& cfg) -> std::string {
    try {
      detected(cfg, Device::cuda, 1, {}, 2);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_NE(error(one_head(4, 4, 3, "")).find("the network has no head that detects"), std::string::npos);
  EXPECT_NE(error(two_heads(24, kYolo + "classes=3\n", "[route]\nlayers=0\n" + kRegion + "classes=7\n"))
                .find("the heads of the network have 3 and 7 classes"),
            std::string::npos);
}

// Of 80 classes at 416x416 and a mini-batch of 64: what detection adds to the memory of the network.
TEST(Detector, TakesLittleMemory) {
  NetworkOptions options;
  options.build.training = false;
  options.build.device = Device::cuda;
  Network network(parse_cfg(one_head(26, 26, 255, kYolo + "classes=80\n"), "t.cfg"), options);
  network.plan(64, 26, 26);
  EXPECT_LT(Detector(network, {}).device_bytes(), size_t(32) << 20);
}

}  // namespace
}  // namespace osprey
