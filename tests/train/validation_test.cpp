// The loss on the validation list, and trainings that stop when nothing gets better.
#include "train/validation.h"

#include "core/file.h"
#include "tests/models/networks.h"
#include "tests/train/drawn.h"
#include "train/trainer.h"

namespace osprey {
namespace {

// Without batch norm, dropout and augmentation the training's own forward pass must tell the same loss.
TEST(ValidationLoss, IsTheTrainingsLossOfThoseImages) {
  const Temporary folder;
  const DataFile data = read_data_file(draw_set(folder, 6));
  const Dataset set = load_dataset(data, Split::valid);
  std::string cfg = drawn_cfg(5, "letter_box=1\nflip=0\nbatch=6\n");
  for (size_t at = 0; (at = cfg.find("batch_normalize=1\n")) != std::string::npos;) cfg.erase(at, 18);
  cfg.replace(cfg.find("jitter=0.1"), 10, "jitter=0.0");
  for (const Device device : {Device::cpu, Device::cuda}) {
    TrainOptions o;
    o.cfg = folder.write("t.cfg", cfg);
    o.data = data.path;
    o.out = folder / "out";
    o.max_batches = 1;
    o.device = device;
    o.map = false;
    Trainer(o).run();  // the first loss is that of the initial parameters
    NetworkOptions build;
    build.build.device = device;
    Network network(parse_cfg(cfg, "t.cfg"), build);
    network.plan(6, kDrawnSize, kDrawnSize);
    network.parameters().initialise(0);
    const double told = load_checkpoint(o.out + "/t_checkpoint.safetensors", network).history[0].loss;
    network.parameters().initialise(0);
    ValidationLoss validation(read_cfg(o.cfg), build, set);
    Step step;
    step.iteration = step.pass = 1;
    step.seen = 6;
    EXPECT_NEAR(validation.measure(network.parameters(), step), told, 1e-4 * told);
  }
}

// Batch norm goes by the rolling statistics, and no measurement moves them.
TEST(ValidationLoss, LeavesStatisticsAsTheyAre) {
  const Temporary folder;
  const Dataset set = load_dataset(read_data_file(draw_set(folder, 3)), Split::valid);
  PlannedNetwork network(drawn_cfg(5), 3, kDrawnSize, kDrawnSize);
  ValidationLoss validation(parse_cfg(drawn_cfg(5), "t.cfg"), {}, set);
  const double first = validation.measure(network.parameters(), {});
  EXPECT_GT(first, 0);
  EXPECT_EQ(validation.measure(network.parameters(), {}), first);
  for (const ParameterSpan& span : network.parameters().spans())
    if (span.name == "1.rolling_variance")
      for (float& v : network.parameters().value(span)) v *= 4;
  EXPECT_NE(validation.measure(network.parameters(), {}), first);
}

class Patience : public testing::Test {
 protected:
  TrainOptions options(int patience) {
    TrainOptions o;
    o.cfg = folder_.write("t.cfg", drawn_cfg(40, "burn_in=0\nlearning_rate=0\n"));
    o.data = data_;
    o.out = folder_ / "out";
    o.map_every = 4;
    o.patience = patience;
    return o;
  }

  Temporary folder_;
  std::string data_ = draw_set(folder_, 4);
};

// Statistics move the score a little at first; at a rate of 0 nothing gets better for long.
TEST_F(Patience, StopsATrainingThatDoesNotGetBetter) {
  const TrainResult result = Trainer(options(2)).run();
  EXPECT_TRUE(result.stopped_early);
  EXPECT_FALSE(result.interrupted);
  EXPECT_LT(result.iterations, 40);
  EXPECT_EQ(result.iterations % 4, 0);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "out/t_final.weights"));
  EXPECT_GE(result.measured.loss, 0);
  expect_in("loss on the validation list", read_file(folder_ / "out/chart.svg", "the chart"));
}

TEST_F(Patience, HasNoEndUnlessItIsAskedFor) {
  TrainOptions o = options(0);
  o.validation_loss = false;
  const TrainResult result = Trainer(o).run();
  EXPECT_EQ(result.iterations, 40);
  EXPECT_FALSE(result.stopped_early);
  EXPECT_EQ(result.measured.loss, -1);
}

}  // namespace
}  // namespace osprey
