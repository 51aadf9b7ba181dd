// osprey propose, and the commands that read what it wrote.
#include <gtest/gtest.h>

#include "core/file.h"
#include "models/weights.h"
#include "tests/apps/command.h"
#include "tests/models/networks.h"
#include "tests/train/drawn.h"

namespace osprey {
namespace {

const std::string kBackbone =
    "[net]\nwidth=64\nheight=64\nchannels=3\nbatch=2\nlearning_rate=0.01\nmax_batches=3\n"
    "[convolutional]\nname=c2\nfilters=8\nsize=3\nstride=4\npad=1\nactivation=leaky\n";
const std::string kRpn = kBackbone +
                         "[convolutional]\nname=o\nfilters=1\nsize=1\nactivation=linear\n"
                         "[convolutional]\nfrom=c2\nname=d\nfilters=4\nsize=1\nactivation=linear\n"
                         "[rpn]\nfrom=o,d\nanchor_sizes=16\nanchor_ratios=1\npost_nms_test=10\n";
const std::string kFastRcnn =
    kBackbone +
    "[proposals]\nname=proposals\nnum=6\n[roi_sampler]\nname=rois\nnum=8\n[roi_pool]\nfrom=rois,c2\nsize=3\n"
    "[connected]\nname=features\noutput=8\nactivation=relu\n"
    "[connected]\nname=classes\noutput=3\nactivation=linear\n"
    "[connected]\nfrom=features\nname=boxes\noutput=8\nactivation=linear\n"
    "[rcnn]\nfrom=classes,boxes,rois\nclasses=2\n";

class Propose : public testing::Test {
 protected:
  std::string weights_of(const std::string& cfg) {
    PlannedNetwork network(cfg, 1, 0, 0, inference());
    const std::string path = folder_ / "t.weights";
    save_weights(path, network, {});
    return path;
  }

  Temporary folder_;
  std::string data_ = draw_set(folder_, 4), fast_ = folder_.write("fast.cfg", kFastRcnn),
              rpn_ = folder_.write("rpn.cfg", kRpn), boxes_ = folder_ / "boxes",
              image_ = folder_ / "images/0.png";
};

TEST_F(Propose, WritesWhatTrainEvalAndDetectRead) {
  const Said made =
      osprey_command({"propose", rpn_, weights_of(kRpn), data_, "--out", boxes_, "--batch", "3"});
  ASSERT_EQ(made.status, 0) << made.err;
  for (int i = 0; i < 4; ++i)
    EXPECT_FALSE(read_file(boxes_ + "/" + std::to_string(i) + ".txt", "proposals").empty()) << i;
  const std::string data =
                        folder_.write("with.data", read_file(data_, "data") + "proposals=" + boxes_ + "\n"),
                    out = folder_ / "out", weights = out + "/fast_final.weights";
  const Said trained = osprey_command({"train", fast_, data, "--out", out});
  ASSERT_EQ(trained.status, 0) << trained.err;
  expect_in("raise num=6 in [proposals]", trained.err);
  const Said evaluated = osprey_command({"eval", fast_, data, weights, "--metric", "voc"});
  EXPECT_EQ(evaluated.status, 0) << evaluated.err;
  const Said detected = osprey_command({"detect", fast_, weights, image_, "--proposals", boxes_});
  EXPECT_EQ(detected.status, 0) << detected.err;
  expect_in(image_ + ": ", detected.out);
  EXPECT_EQ(osprey_command({"bench", fast_, weights, "--iterations", "1"}).status, 0);
}

TEST_F(Propose, ExplainsWhatIsMissing) {
  const std::string weights = weights_of(kFastRcnn);
  expect_refused({"detect", fast_, weights, image_}, "give --proposals FOLDER");
  expect_refused({"detect", fast_, weights, image_, "--proposals", boxes_},
                 "boxes/0.txt: this file of proposals is missing, of " + image_);
  expect_refused({"eval", fast_, data_, weights}, "`proposals = FOLDER` is missing");
  expect_refused({"train", fast_, data_, "--out", folder_ / "out"}, "`proposals = FOLDER` is missing");
  expect_refused({"forward", fast_, weights, "--input", image_, "--dump", folder_ / "dump"},
                 "the network has [proposals]");
  expect_refused({"propose", fast_, weights, data_, "--out", boxes_}, "the network has [proposals] itself");
  EXPECT_FALSE(std::filesystem::exists(boxes_));
  folder_.write("boxes/0.txt", "0.5 0.5 0.2\n");
  expect_refused({"detect", fast_, weights, image_, "--proposals", boxes_},
                 "boxes/0.txt:1: expected `x y w h` or `x y w h score`, found 3 fields");
  PlannedNetwork plain(drawn_cfg(3));
  save_weights(folder_ / "plain.weights", plain, {});
  expect_refused({"propose", folder_.write("plain.cfg", drawn_cfg(3)), folder_ / "plain.weights", data_,
                  "--out", folder_ / "none"},
                 "the network has no [rpn]");
}

}  // namespace
}  // namespace osprey
