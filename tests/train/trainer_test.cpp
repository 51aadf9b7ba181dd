// Whole trainings of a tiny detector: it learns, and nothing but what should matter changes a weight.
#include "train/trainer.h"

#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>

#include "core/file.h"
#include "core/parallel.h"
#include "models/weights.h"
#include "tests/train/drawn.h"

namespace osprey {
namespace {

class Training : public testing::Test {
 protected:
  TrainOptions options(const std::string& cfg, const std::string& out) {
    TrainOptions o;
    o.cfg = folder_.write(out + "/t.cfg", cfg);
    o.data = data_;
    o.out = folder_ / out;
    o.map = false;
    return o;
  }
  // The bytes of the final weights.
  std::string train(const TrainOptions& o) {
    Trainer(o).run();
    return read_file(o.out + "/t_final.weights", "weights");
  }

  Temporary folder_;
  std::string data_ = draw_set(folder_, 12);
};

// Seconds on one core; what was seen is a mAP of 0.99 to 1.
TEST_F(Training, LearnsADozenImagesByHeart) {
  TrainOptions o = options(drawn_cfg(400, "batch=12\n"), "out");
  o.map = true;
  o.map_every = 200;
  const TrainResult result = Trainer(o).run();
  EXPECT_EQ(result.iterations, 400);
  EXPECT_FALSE(result.interrupted);
  EXPECT_GE(result.measured.score, 0.9f);
  EXPECT_GE(result.best_score, result.measured.score);

  Network network(read_cfg(o.cfg));
  network.plan(1, 64, 64);
  const std::vector<HistoryPoint> history =
      load_checkpoint(o.out + "/t_checkpoint.safetensors", network).history;
  ASSERT_EQ(history.size(), 400u);
  EXPECT_LT(history.back().average_loss, history.front().loss / 10);
  EXPECT_EQ(history[398].score, -1);
  EXPECT_EQ(history[399].score, result.measured.score);
  for (const char* file :
       {"t_last.weights", "t_best.weights", "t_final.weights", "chart.svg", "report.html", "t_samples.jpg"})
    EXPECT_TRUE(std::filesystem::exists(o.out + "/" + file)) << file;
  EXPECT_EQ(load_weights(o.out + "/t_final.weights", network, Coverage::whole).header.seen, 400u * 12);
}

TEST_F(Training, IsTheSameForOneSeedAndAnotherForAnother) {
  TrainOptions o = options(drawn_cfg(12), "a");
  const std::string once = train(o);
  EXPECT_TRUE(once == train(o));
  o.seed = 1;
  EXPECT_FALSE(once == train(o));
}

TEST_F(Training, DoesNotDependOnTheLoadersThreads) {
  TrainOptions o = options(drawn_cfg(12), "a");
  o.loader_threads = 1;
  const std::string one = train(o);
  o.loader_threads = 3;
  EXPECT_TRUE(one == train(o));
}

TEST_F(Training, IsNotChangedByMeasuring) {
  TrainOptions o = options(drawn_cfg(12, "burn_in=0\n"), "a");
  const std::string plain = train(o);
  o.map = true;
  o.map_every = 3;
  o.save_every = 2;
  EXPECT_TRUE(plain == train(o));
}

// Half of a training, stopped as Ctrl-C does, and the rest.
TEST_F(Training, GoesOnAfterAStopAsIfItHadNeverStopped) {
  const std::string cfg = drawn_cfg(2000);
  TrainOptions o = options(cfg, "stopped");
  o.save_every = 1000000;
  std::jthread interrupt([&] {
    // Training has begun when its first batch is drawn.
    while (!std::filesystem::exists(o.out + "/t_samples.jpg"))
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    std::raise(SIGINT);
  });
  const TrainResult first = Trainer(o).run();
  interrupt.join();
  ASSERT_TRUE(first.interrupted);
  ASSERT_LT(first.iterations, 1900);
  EXPECT_TRUE(std::filesystem::exists(o.out + "/t_last.weights"));
  EXPECT_FALSE(std::filesystem::exists(o.out + "/t_final.weights"));
  o.max_batches = first.iterations + 15;  // enough to see
  o.resume = true;
  const std::string resumed = train(o);

  TrainOptions whole = options(cfg, "whole");
  whole.max_batches = o.max_batches;
  EXPECT_TRUE(resumed == train(whole));
}

// The state of each optimizer is in the checkpoint.
TEST_F(Training, WithAnyOptimizerGoesOnAsIfItHadNeverStopped) {
  const std::string rate = "learning_rate=0.001\n";
  int count = 0;
  std::string last = train(options(drawn_cfg(12, rate), "sgd"));
  for (const char* optimizer : {"nesterov=1\n", "adam=1\n", "optimizer=adamw\n", "optimizer=rmsprop\n"}) {
    const std::string cfg = drawn_cfg(12, optimizer + rate);
    TrainOptions o = options(cfg, fmt::format("parts{}", count));
    o.max_batches = 5;
    const std::string part = train(o);
    o.max_batches = 12;
    o.resume = true;
    const std::string resumed = train(o), whole = train(options(cfg, fmt::format("whole{}", count++)));
    EXPECT_TRUE(resumed == whole) << optimizer;
    EXPECT_FALSE(part == whole) << optimizer;
    EXPECT_FALSE(whole == last) << optimizer;
    last = whole;
  }
}

// A training that is at iteration 2005 of 2008, with an average from before.
TEST_F(Training, WritesTheAverageOfItsParameters) {
  TrainOptions o = options(drawn_cfg(2008, "ema_alpha=0.5\n"), "a");
  Network network(read_cfg(o.cfg));
  network.plan(4, kDrawnSize, kDrawnSize);
  network.parameters().initialise(0);
  Optimizer optimizer(network.net(), network.parameters(), network.stream());
  std::fill_n(optimizer.state()[0].second, network.parameters().size(), 0.25f);
  TrainingState state;
  state.iteration = 2005;
  save_checkpoint(o.out + "/t_checkpoint.safetensors", network, state, &optimizer);
  o.resume = true;
  train(o);
  load_weights(o.out + "/t_ema.weights", network, Coverage::whole);
  EXPECT_EQ(network.parameters().value(network.parameters().spans()[0])[5], 0.25f);
  load_weights(o.out + "/t_final.weights", network, Coverage::whole);
  EXPECT_NE(network.parameters().value(network.parameters().spans()[0])[5], 0.25f);
}

TEST_F(Training, NumbersThatAreNotFiniteNameTheLayerAndTheImages) {
  TrainOptions o = options(drawn_cfg(50, "learning_rate=1e30\nburn_in=0\n"), "a");
  const std::string message = error_of([&] { Trainer(o).run(); });
  expect_in("not finite", message);
  expect_in("layer ", message);
  expect_in(o.cfg + ":", message);
  expect_in(".png", message);
  EXPECT_EQ(message.find('\n'), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(o.out + "/t_final.weights"));
}

// Statistics move the score a little at first; at a rate of 0 nothing gets better for long.
TEST_F(Training, StopsWhenItsPatienceIsOver) {
  TrainOptions o = options(drawn_cfg(60, "burn_in=0\nlearning_rate=0\n"), "a");
  o.map = true;
  o.map_every = 4;
  o.patience = 2;
  const TrainResult result = Trainer(o).run();
  EXPECT_TRUE(result.stopped_early);
  EXPECT_FALSE(result.interrupted);
  EXPECT_LT(result.iterations, 60);
  EXPECT_EQ(result.iterations % 4, 0);
  EXPECT_TRUE(std::filesystem::exists(o.out + "/t_final.weights"));
  o.patience = 0;
  EXPECT_EQ(Trainer(o).run().iterations, 60);
}

TEST_F(Training, RunsAtSeveralScales) {
  // At ten times the rate five of twelve seeds end in infinities.
  TrainOptions o = options(drawn_cfg(135, "batch=2\nlearning_rate=0.001\n", "random=1\n"), "a");
  EXPECT_EQ(Trainer(o).run().iterations, 135);
  o.map = true;  // measured at the network's own size
  o.max_batches = 3;
  EXPECT_GE(Trainer(o).run().measured.score, 0);
}

TEST_F(Training, OfSubdivisionsAddsUpGradients) {
  // Without batch norm, whose statistics are those of a mini-batch, the parts of a batch are its sum. Without
  // augmentation, which draws by mini-batch, both see the same pixels.
  auto cfg = [](const char* parts) {
    std::string text = drawn_cfg(8, std::string("flip=0\nbatch=4\nsubdivisions=") + parts + "\n");
    text.replace(text.find("jitter=0.1"), 10, "jitter=0.0");
    for (size_t at = 0; (at = text.find("batch_normalize=1\n")) != std::string::npos;) text.erase(at, 18);
    return text;
  };
  const std::string one = train(options(cfg("1"), "one")), four = train(options(cfg("4"), "four"));
  ASSERT_EQ(one.size(), four.size());
  std::vector<float> a((one.size() - 20) / 4), b(a.size());
  std::memcpy(a.data(), one.data() + 20, 4 * a.size());
  std::memcpy(b.data(), four.data() + 20, 4 * b.size());
  for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-4f) << i;  // float sums in another order
}

TEST_F(Training, WhatCannotBeTrainedIsSaidBeforeItBegins) {
  auto message = [&](const std::string& cfg, const std::string& weights = "") {
    TrainOptions o = options(cfg, "bad");
    o.weights = weights;
    return error_of([&] { Trainer trainer(o); });
  };
  expect_in("track is not supported in training yet", message(drawn_cfg(5, "track=1\n")));
  expect_in("cutmix=1 is for classifiers", message(drawn_cfg(5, "cutmix=1\n")));
  expect_in("max_batches says how long to train", message(drawn_cfg(0)));
  expect_in("nothing to train for",
            message("[net]\nwidth=64\nheight=64\nmax_batches=5\n[convolutional]\nfilters=3\n"));
  std::string three = drawn_cfg(5);
  three.replace(three.find("classes=2"), 9, "classes=3");
  three.replace(three.find("filters=14"), 10, "filters=16");
  expect_in("its heads have classes=3, but", message(three));
  expect_in("[contrastive] embeddings are not trained here: remove this section",
            message(drawn_cfg(5) + "\n[contrastive]\nclasses=9\n"));
  expect_in("cannot be opened", message(drawn_cfg(5), folder_ / "none.weights"));
  TrainOptions o = options(drawn_cfg(5), "fresh");
  o.resume = true;
  expect_in("cannot be opened", error_of([&] { Trainer trainer(o); }));
  o.resume = false;
  o.out = folder_.write("a_file", "") + "/out";
  expect_in("the folder for weights cannot be made", error_of([&] { Trainer trainer(o); }));
}

}  // namespace
}  // namespace osprey
