// Whole trainings of a tiny classifier, and what is measured of it.
#include "core/file.h"
#include "tests/models/networks.h"
#include "tests/train/drawn_colours.h"
#include "train/classifier.h"
#include "train/trainer.h"

namespace osprey {
namespace {

class ClassifierTraining : public testing::Test {
 protected:
  TrainOptions options(const std::string& cfg, const std::string& out = "out") {
    TrainOptions o;
    o.cfg = folder_.write(out + "/t.cfg", cfg);
    o.data = data_;
    o.out = folder_ / out;
    o.map_every = 20;
    return o;
  }

  Temporary folder_;
  std::string data_ = draw_colours(folder_, 8);
};

// What was seen is a top-1 of 1 with each ending.
TEST_F(ClassifierTraining, LearnsColours) {
  for (const char* end : {"[softmax]\n", "[softmax]\nnoloss=1\n[cost]\n", "[softmax]\n[cost]\ntype=sse\n"}) {
    const TrainOptions o = options(colours_cfg("mixup=1\nlabel_smooth_eps=0.1\nangle=10\nhue=.02\n", end));
    const TrainResult result = Trainer(o).run();
    EXPECT_GE(result.measured.score, .95f) << end;
    EXPECT_EQ(result.measured.k, 2);
    EXPECT_GE(result.measured.top_k, result.measured.score);
    EXPECT_STREQ(result.score_name, "top-1");
    for (const char* file : {"t_best.weights", "t_final.weights", "t_samples.jpg"})
      EXPECT_TRUE(std::filesystem::exists(o.out + "/" + file)) << file;
    expect_in("top-1 on the validation list", read_file(o.out + "/chart.svg", "the chart"));
  }
}

TEST_F(ClassifierTraining, IsTheSameForAnyNumberOfThreadsAndAfterAStop) {
  TrainOptions o = options(colours_cfg("cutmix=1\nmosaic=1\n"), "a");
  const auto weights = [&] {
    Trainer(o).run();
    return read_file(o.out + "/t_final.weights", "weights");
  };
  o.loader_threads = 1;
  const std::string one = weights();
  o.loader_threads = 3;
  EXPECT_TRUE(one == weights());
  o = options(colours_cfg("cutmix=1\nmosaic=1\n"), "b");
  o.max_batches = 15;
  weights();
  o.max_batches = 40;
  o.resume = true;
  EXPECT_TRUE(one == weights());
}

TEST_F(ClassifierTraining, OnTheEmulatedDeviceIsThatOfTheCpu) {
  TrainOptions o = options(colours_cfg("mixup=1\n"));
  o.max_batches = 5;
  const double cpu = Trainer(o).run().average_loss;
  o.device = Device::cuda;
  EXPECT_NEAR(Trainer(o).run().average_loss, cpu, 1e-4 * cpu);  // ten training steps agree to that
}

TEST_F(ClassifierTraining, WhatDoesNotFitIsSaidBeforeItBegins) {
  const auto message = [&](const std::string& cfg) {
    const TrainOptions o = options(cfg);
    return error_of([&] { Trainer(o).run(); });
  };
  std::string four = colours_cfg();
  four.replace(four.find("filters=3"), 9, "filters=4");
  expect_in("its last layer has 4 values, but", message(four));
  std::string map = colours_cfg();
  map.erase(map.find("[avgpool]\n"), 10);
  expect_in("a classifier's last layer has one value for each class", message(map));
  expect_in("max_crop=8 is below min_crop=16", message(colours_cfg("max_crop=8\n")));
}

// Two images of class 0 and one of class 2, judged by values that are set by hand.
TEST(Accuracy, CountsTheBestAndTheKBest) {
  Temporary folder;
  Dataset set;
  set.names = {"a", "b", "c"};
  for (const int c : {0, 0, 2}) {
    Sample sample;
    sample.image = folder / fmt::format("{}.png", set.samples.size());
    save_image(sample.image, Image(2, 2, 3, c == 2 ? 1.f : 0.f));
    sample.classes = {c};
    set.samples.push_back(sample);
  }
  Sample missing;
  missing.image = folder / "missing.png";
  missing.classes = {1};
  set.samples.push_back(missing);
  // Black: 1, 2, 0; white: 0, 1, 2 by falling value.
  NetworkOptions never = inference();
  Network network(
      parse_cfg("[net]\nwidth=2\nheight=2\n[convolutional]\nfilters=3\nsize=1\nactivation=linear\n"
                "[avgpool]\n",
                "t.cfg"),
      never);
  network.plan(2, 2, 2);
  const auto& spans = network.parameters().spans();
  const View<float> bias = network.parameters().value(spans[0]),
                    weights = network.parameters().value(spans[1]);
  const float biases[] = {1, 3, 2}, slopes[] = {9, 6, -1};
  for (int f = 0; f < 3; ++f) {
    bias[f] = biases[f];
    for (int c = 0; c < 3; ++c) weights[3 * f + c] = slopes[f] / 3;
  }
  network.parameters().upload();
  network.prepare();
  const Accuracy two = measure_accuracy(network, set, 2);
  EXPECT_EQ(two.images, 4);
  EXPECT_EQ(two.broken_images, 1);
  EXPECT_EQ(two.hits, 0);
  EXPECT_EQ(two.hits_of_k, 0);
  set.samples[0].classes = {1};
  set.samples[2].classes = {1};
  const Accuracy other = measure_accuracy(network, set, 2);
  EXPECT_EQ(other.hits, 1);
  EXPECT_EQ(other.hits_of_k, 2);
  EXPECT_DOUBLE_EQ(other.top1(), .25);
  EXPECT_EQ(other.images_per_class, (std::vector<int64_t>{1, 3, 0}));
  EXPECT_EQ(other.hits_per_class, (std::vector<int64_t>{0, 1, 0}));
  EXPECT_EQ(measure_accuracy(network, set, 9).k, 3);
}

TEST(Accuracy, OfEqualValuesTheFirstClassIsTheBest) {
  EXPECT_EQ(best_classes({.2f, .5f, .5f, .1f}, 3), (std::vector<int>{1, 2, 0}));
}

}  // namespace
}  // namespace osprey
