// Fast R-CNN on proposals from files, from the first file to the last figure; and the files that [rpn] makes.
#include <gtest/gtest.h>

#include "cuda/guard.h"
#include "data/proposals.h"
#include "models/weights.h"
#include "tests/models/networks.h"
#include "tests/train/drawn.h"
#include "train/metrics/darknet_map.h"
#include "train/metrics/proposals.h"
#include "train/proposals.h"
#include "train/trainer.h"

namespace osprey {
namespace {

std::string net(int max_batches, const std::string& keys) {
  return "[net]\n" + keys +
         "width=64\nheight=64\nchannels=3\nbatch=4\nmomentum=0.9\ndecay=0.0001\nlearning_rate=0.02\n"
         "burn_in=20\npolicy=steps\nsteps=100000\nscales=.1\nflip=1\nmax_batches=" +
         std::to_string(max_batches) + "\n";
}
const std::string kBackbone =
    "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
    "[convolutional]\nbatch_normalize=1\nname=c2\nfilters=16\nsize=3\nstride=2\npad=1\nactivation=leaky\n";
std::string fast_rcnn(int max_batches, const std::string& keys = "", int num = 40) {
  return net(max_batches, keys) + kBackbone + "[proposals]\nname=proposals\nnum=" + std::to_string(num) +
         "\n[roi_sampler]\nname=rois\nnum=16\n"
         "[roi_pool]\nfrom=rois,c2\nsize=4\n"
         "[connected]\nname=features\ninit=he\noutput=32\nactivation=relu\n"
         "[connected]\nname=classes\noutput=3\nweights_deviation=.01\nactivation=linear\n"
         "[connected]\nname=boxes\nfrom=features\noutput=8\nweights_deviation=.001\nactivation=linear\n"
         "[rcnn]\nfrom=classes,boxes,rois\nclasses=2\njitter=0.1\n";
}

// Proposals of each drawn image: two near each object, and others anywhere.
void draw_proposals(const Temporary& folder, int count) {
  const std::string boxes = folder / "boxes";
  std::filesystem::create_directories(boxes);
  for (int i = 0; i < count; ++i) {
    Random random(6, Purpose::test, uint64_t(i));
    const std::string name = std::to_string(i);
    std::vector<ProposedBox> proposals;
    for (const Label& label : read_darknet_labels(folder / ("images/" + name + ".txt"), 2).labels)
      for (int k = 0; k < 2; ++k) {
        CentreBox box = label.box;
        box.x += box.w * random.uniform(-.15f, .15f), box.y += box.h * random.uniform(-.15f, .15f);
        box.w *= random.uniform(.85f, 1.2f), box.h *= random.uniform(.85f, 1.2f);
        proposals.push_back({box, .9f});
      }
    for (int k = 0; k < 20; ++k)
      proposals.push_back(
          {{random.uniform(), random.uniform(), random.uniform(.1f, .4f), random.uniform(.1f, .4f)}, .1f});
    write_proposals(boxes + "/" + name + ".txt", proposals);
  }
}

class FastRcnn : public testing::Test {
 protected:
  FastRcnn() { draw_proposals(folder_, kImages); }
  TrainOptions options(const std::string& cfg, const std::string& out) {
    TrainOptions o;
    o.cfg = folder_.write(out + "/t.cfg", cfg);
    o.data = with_proposals("boxes");
    o.out = folder_ / out;
    o.map = false;
    return o;
  }
  std::string with_proposals(const std::string& folder) {
    std::ifstream in(data_);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    return folder_.write("with_" + folder + ".data", text + "proposals=" + (folder_ / folder) + "\n");
  }
  Dataset set(const std::string& data) {
    Dataset dataset = load_dataset(read_data_file(data), Split::valid, true);
    return dataset;
  }

  static constexpr int kImages = 8;
  Temporary folder_;
  std::string data_ = draw_set(folder_, kImages);
};

// A minute of one core at most; what was seen is a mAP of 0.95 to 1.
TEST_F(FastRcnn, LearnsFromProposalsInFiles) {
  TrainOptions o = options(fast_rcnn(400), "out");
  o.map = true;
  o.map_every = 400;
  const TrainResult result = Trainer(o).run();
  EXPECT_EQ(result.iterations, 400);
  EXPECT_GE(result.measured.score, .85f);

  // Elsewhere than about the objects there is nothing to find: without them nothing is found.
  for (int i = 0; i < kImages; ++i)
    folder_.write("boxes/" + std::to_string(i) + ".txt", "0.99 0.99 0.02 0.02\n");
  NetworkOptions build = inference();
  Network network(read_cfg(o.cfg), build);
  network.plan(3, 64, 64);
  load_weights(o.out + "/t_final.weights", network, Coverage::whole);
  network.prepare();
  Dataset dataset = set(o.data);
  find_proposals(dataset, read_data_file(o.data));
  const Evaluated found = detect_all(network, dataset, map_options(Fit::stretch));
  EXPECT_LT(darknet_map(found.truths, found.detections, 2).map, .3);
}

// The device's memory is guarded, so that proposals reach it by copies alone. Mosaics and margins, too.
TEST_F(FastRcnn, TrainsOnADeviceAsOnTheCpu) {
  for (const std::string keys : {"", "subdivisions=2\nletter_box=1\n", "mosaic=1\n"}) {
    SCOPED_TRACE(keys);
    std::vector<double> losses;
    std::vector<std::vector<float>> values;
    for (Device device : {Device::cpu, Device::cuda}) {
      TrainOptions o = options(fast_rcnn(4, keys), device == Device::cpu ? "cpu" : "device");
      o.device = device;
      emulation::guard_memory(device != Device::cpu);
      losses.push_back(Trainer(o).run().average_loss);
      emulation::guard_memory(false);
      Network network(read_cfg(o.cfg));
      network.plan(1, 64, 64);
      load_weights(o.out + "/t_final.weights", network, Coverage::whole);
      values.emplace_back();
      for (const ParameterSpan& span : network.parameters().spans())
        for (float v : network.parameters().value(span)) values.back().push_back(v);
    }
    EXPECT_GT(losses[0], 0);
    EXPECT_NEAR(losses[1], losses[0], 1e-4 * losses[0]);  // sums of floats in other orders
    for (size_t i = 0; i < values[0].size(); ++i) ASSERT_NEAR(values[1][i], values[0][i], 1e-4) << i;
  }
}

// Given to a network in one mini-batch and alone, stretched and with margins, on both devices.
TEST_F(FastRcnn, DetectsInTheProposalsOfEachImage) {
  const std::string cfg = fast_rcnn(1);
  Dataset dataset = set(with_proposals("boxes"));
  find_proposals(dataset, read_data_file(with_proposals("boxes")));
  for (Fit fit : {Fit::stretch, Fit::letterbox}) {
    std::vector<std::vector<DetectedBox>> found;
    for (const auto& [device, batch] : {std::pair(Device::cpu, 1), {Device::cpu, 3}, {Device::cuda, 3}}) {
      NetworkOptions build = inference();
      build.build.device = device;
      PlannedNetwork network(cfg, batch, 64, 96, build);
      found.push_back(detect_all(network, dataset, {{.2f, {}, {}}, fit}).detections);
    }
    ASSERT_GT(found[0].size(), 20u);
    for (size_t k = 1; k < 3; ++k) {
      ASSERT_EQ(found[k].size(), found[0].size());
      for (size_t i = 0; i < found[0].size(); ++i) {
        EXPECT_EQ(found[k][i].image, found[0][i].image);
        EXPECT_NEAR(found[k][i].score, found[0][i].score, 1e-5);
        EXPECT_NEAR(found[k][i].box.x, found[0][i].box.x, 1e-3);
        EXPECT_NEAR(found[k][i].box.height, found[0][i].box.height, 1e-3);
      }
    }
  }
}

TEST_F(FastRcnn, RefusesSetsWithoutProposals) {
  TrainOptions o = options(fast_rcnn(1), "out");
  std::filesystem::remove(folder_ / "boxes/3.txt");
  expect_in("boxes/3.txt: this file of proposals is missing", error_of([&] { Trainer trainer(o); }));
  o.data = data_;
  expect_in("the network has [proposals], but `proposals = FOLDER` is missing",
            error_of([&] { Trainer trainer(o); }));
  PlannedNetwork network(fast_rcnn(1), 1, 64, 64, inference());
  ImageDetector detector(network, {});
  const ByteImage image = load_bytes(folder_ / "images/0.png");
  expect_in("the network has [proposals], but none were given", error_of([&] { detector.detect({&image}); }));
}

std::string with_rpn() {
  return net(1, "") + kBackbone +
         "[convolutional]\nname=o\nfilters=2\nsize=1\nactivation=linear\n"
         "[convolutional]\nfrom=c2\nname=d\nfilters=8\nsize=1\nactivation=linear\n"
         "[rpn]\nfrom=o,d\nanchor_sizes=16\nanchor_ratios=1,2\npost_nms_test=20\n";
}

// The files hold what is proposed, whatever the margins in the network input, and Fast R-CNN trains on them.
TEST_F(FastRcnn, TrainsOnWhatAnRpnProposes) {
  PlannedNetwork network(with_rpn(), 3, 64, 96, inference());
  Dataset dataset = set(data_);
  EXPECT_EQ(write_all_proposals(network, dataset, Fit::letterbox, folder_ / "made"), 0);
  const std::string data = with_proposals("made");
  find_proposals(dataset, read_data_file(data));
  const Evaluated proposed = propose_all(network, dataset, Fit::letterbox);
  size_t i = 0;
  for (int image = 0; image < kImages; ++image) {
    float last = 1;
    for (const auto& [box, score] : read_proposals(dataset.samples[size_t(image)].proposals)) {
      const DetectedBox& want = proposed.detections.at(i++);
      EXPECT_EQ(want.image, image);
      EXPECT_NEAR(want.score, score, 1e-5);
      EXPECT_NEAR(want.box.x, 64 * corners(box).x1, 1e-2);  // six digits
      EXPECT_NEAR(want.box.width, 64 * box.w, 1e-2);
      EXPECT_LE(score, last);
      last = score;
    }
  }
  EXPECT_EQ(i, proposed.detections.size());
  EXPECT_GT(i, 40u);
  TrainOptions o = options(fast_rcnn(2), "out");
  o.data = data;
  EXPECT_EQ(Trainer(o).run().iterations, 2);
}

// It is told before anything is written.
TEST_F(FastRcnn, ImagesOfOneNameCannotShareAFile) {
  PlannedNetwork network(with_rpn(), 1, 64, 64, inference());
  Dataset dataset = set(data_);
  std::filesystem::create_directories(folder_ / "other");
  std::filesystem::copy_file(folder_ / "images/0.png", folder_ / "other/0.png");
  dataset.samples[1].image = folder_ / "other/0.png";
  expect_in("would both be here",
            error_of([&] { write_all_proposals(network, dataset, Fit::stretch, folder_ / "none"); }));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "none"));
}

TEST_F(FastRcnn, ImagesThatCannotBeReadHaveNoFile) {
  PlannedNetwork network(with_rpn(), 3, 64, 64, inference());
  const Dataset dataset = set(data_);
  folder_.write("images/2.png", "no image");
  EXPECT_EQ(write_all_proposals(network, dataset, Fit::stretch, folder_ / "made"), 1);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "made/2.txt"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "made/3.txt"));
}

}  // namespace
}  // namespace osprey
