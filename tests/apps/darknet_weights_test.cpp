// Darknet's commands on files of weights.
#include <gtest/gtest.h>

#include "core/file.h"
#include "models/weights.h"
#include "tests/apps/command.h"
#include "tests/models/networks.h"
#include "tests/train/drawn.h"

namespace osprey {
namespace {

class DarknetWeights : public testing::Test {
 protected:
  DarknetWeights() {
    WeightsHeader header;
    header.seen = 77;
    PlannedNetwork first(drawn_cfg(3)), second(drawn_cfg(3), 1, 0, 0, {}, 8);
    save_weights(a_, first, header);
    save_weights(b_, second, header);
  }
  std::string made(const std::vector<std::string>& arguments, const std::string& file) {
    const Said said = osprey_command(arguments);
    EXPECT_EQ(said.status, 0) << said.err;
    return read_file(file, "weights");
  }
  static float number(const std::string& bytes, size_t at) {
    float value;
    std::memcpy(&value, bytes.data() + at, sizeof(value));
    return value;
  }

  Temporary folder_;
  std::string cfg_ = folder_.write("t.cfg", drawn_cfg(3)), a_ = folder_ / "a.weights",
              b_ = folder_ / "b.weights", out_ = folder_ / "out.weights";
};

TEST_F(DarknetWeights, PartialKeepsTheFirstLayersAndForgetsTheImages) {
  const std::string all = read_file(a_, "weights");
  const std::string some = made({"partial", cfg_, a_, out_, "2"}, out_);
  // Biases, scales, means, variances and weights of two layers of 8 and of 16 filters.
  EXPECT_EQ(some.size(), 20u + 4 * (4 * 8 + 8 * 27 + 4 * 16 + 16 * 72));
  EXPECT_EQ(some.substr(20), all.substr(20, some.size() - 20));
  EXPECT_EQ(some.substr(12, 8), std::string(8, '\0'));
  // Layers count as the .cfg's sections do: the fifth has no weights.
  EXPECT_EQ(made({"partial", cfg_, a_, out_, "4"}, out_), made({"partial", cfg_, a_, out_, "5"}, out_));
  expect_refused({"partial", cfg_, a_, out_, "8"}, "LAYERS is a number from 1 to 7");
  made({"partial", cfg_, a_, out_, "2"}, out_);
  expect_refused({"partial", cfg_, out_, folder_ / "more", "3"}, "holds only the first 2 layers, not 3");
  expect_refused({"partial", cfg_, a_, out_}, "partial: LAYERS is missing");
}

TEST_F(DarknetWeights, AverageIsTheMeanOfTheFiles) {
  const std::string a = read_file(a_, "weights"), b = read_file(b_, "weights");
  const std::string mean = made({"average", cfg_, out_, a_, b_, b_}, out_);
  ASSERT_EQ(mean.size(), a.size());
  for (size_t at = 20; at < mean.size(); at += 4) {
    const float expected = (number(a, at) + 2 * number(b, at)) / 3;
    ASSERT_NEAR(number(mean, at), expected, 1e-6f * (1 + std::abs(expected))) << at;
  }
  expect_refused({"average", cfg_, out_}, "average: expected CFG OUT WEIGHTS WEIGHTS ...");
}

// A classifier of three classes, and a detector of them with two anchors.
TEST_F(DarknetWeights, OneoffGivesTheClassesOfAClassifierToEachAnchor) {
  const std::string trunk =
      "[net]\nwidth=8\nheight=8\n[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\nactivation="
      "leaky\n"
      "[convolutional]\nactivation=linear\nsize=1\nfilters=";
  const std::string classifier_cfg = trunk + "3\n[avgpool]\n[softmax]\n",
                    head = "[region]\nnum=2\nclasses=3\nanchors=1,1,2,2\n";
  PlannedNetwork classifier(classifier_cfg, 1, 0, 0, {}, 5);
  const std::string cfg = folder_.write("d.cfg", trunk + "16\n" + head), file = folder_ / "c.weights";
  save_weights(file, classifier, {});
  const std::string from = read_file(file, "weights");
  const Said said = osprey_command({"oneoff", cfg, file, out_});
  ASSERT_EQ(said.status, 0) << said.err;
  EXPECT_EQ(said.out, "16\n" + out_ + "\n");

  const std::string to = read_file(out_, "weights");
  constexpr size_t kFirst = 20 + 4 * (4 * 4 + 4 * 27), kRow = 4 * 4;  // bytes
  ASSERT_EQ(to.size(), kFirst + 16 * 4 + 16 * kRow);
  EXPECT_EQ(to.substr(20, kFirst - 20), from.substr(20, kFirst - 20));
  const size_t weights = kFirst + 16 * 4;
  for (const size_t anchor : {0, 8}) {
    EXPECT_EQ(to.substr(kFirst + 4 * (anchor + 5), 3 * 4), from.substr(kFirst, 3 * 4));
    EXPECT_EQ(to.substr(weights + (anchor + 5) * kRow, 3 * kRow), from.substr(kFirst + 3 * 4, 3 * kRow));
  }
  EXPECT_EQ(to.substr(weights, 5 * kRow), to.substr(weights + 8 * kRow, 5 * kRow));
  EXPECT_NE(number(to, weights), 0);
  expect_refused({"oneoff", cfg, a_, out_}, "a.weights: is longer than the network");
  expect_refused({"oneoff", cfg_, a_, out_}, "a.weights: is longer than the network");
  expect_refused({"oneoff", folder_.write("c.cfg", classifier_cfg), file, out_},
                 "must end with a [convolutional]");
}

TEST_F(DarknetWeights, OthersChangeWhatTheySay) {
  const std::string a = read_file(a_, "weights");
  // In the file an output's weights are three planes, of red, green and blue; four arrays of 8 are before.
  const std::string swapped = made({"rgbgr", cfg_, a_, out_}, out_);
  EXPECT_EQ(swapped.size(), a.size());
  EXPECT_EQ(swapped.substr(0, 20), a.substr(0, 20));  // the images seen, too
  const size_t weights = 20 + 4 * 4 * 8, plane = 4 * 9;
  EXPECT_EQ(swapped.substr(weights, plane), a.substr(weights + 2 * plane, plane));
  EXPECT_EQ(swapped.substr(weights + plane, plane), a.substr(weights + plane, plane));
  EXPECT_EQ(made({"rgbgr", cfg_, out_, out_}, out_), a);

  const std::string rescaled = made({"rescale", cfg_, a_, out_}, out_);
  EXPECT_EQ(number(rescaled, weights), 2 * number(a, weights));
  EXPECT_EQ(made({"reset", cfg_, a_, out_}, out_).size(), a.size());

  std::string plain_text = drawn_cfg(3);
  for (size_t at; (at = plain_text.find("batch_normalize=1\n")) != std::string::npos;)
    plain_text.erase(at, 18);
  const std::string plain = folder_.write("plain.cfg", plain_text), image = folder_ / "images/0.png";
  draw_set(folder_, 1);
  made({"denormalize", cfg_, a_, out_}, out_);
  const Said before = osprey_command({"detect", cfg_, a_, image, "--thresh", "0.1"});
  const Said after = osprey_command({"detect", plain, out_, image, "--thresh", "0.1"});
  EXPECT_EQ(after.status, 0) << after.err;
  EXPECT_GT(lines_of(before.out).size(), 2u);
  EXPECT_EQ(before.out, after.out);

  const Said told = osprey_command({"statistics", cfg_, a_});
  EXPECT_EQ(told.status, 0) << told.err;
  expect_in("0.rolling_variance", told.out);
  EXPECT_EQ(lines_of(told.out).size(), 1u + 4 * 5 + 2);
}

}  // namespace
}  // namespace osprey
