// A checkpoint holds all of a training's state, bit for bit, and knows its network.
#include "train/checkpoint.h"

#include "core/file.h"
#include "models/safetensors.h"
#include "tests/data/temporary.h"
#include "tests/models/networks.h"

namespace osprey {
namespace {

const std::string kCfg =
    "[net]\nwidth=8\nheight=8\nchannels=3\n"
    "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\nactivation=leaky\n"
    "[convolutional]\nfilters=7\nsize=1\nactivation=linear\n"
    "[yolo]\nmask=0\nanchors=4,4\nnum=1\nclasses=2\n";

std::vector<float> all(const float* values, const Parameters& p) {
  std::vector<float> used;
  for (const ParameterSpan& s : p.spans())
    if (values != p.momentum() || s.info.role != Role::statistic)
      used.insert(used.end(), values + s.offset, values + s.offset + s.shape.elements());
  return used;
}

TEST(Checkpoint, ComesBackBitForBit) {
  const Temporary folder;
  PlannedNetwork network(kCfg), other(kCfg, 1, 0, 0, {}, 99);
  for (size_t i = 0; i < network.parameters().size(); ++i)
    network.parameters().momentum()[i] = 0.1f * float(i);
  TrainingState state;
  state.iteration = 1234567890123;
  state.seed = 0xFFFFFFFFFFFFFFFF;
  state.average_loss = 0.1 + 0.2;
  state.best_score = 0.7f;
  state.history = {{1, 2.5f, 2.4f, 1e-7f, -1}, {2, 2.25f, 2.1f, 1e-3f, 0.5f}};
  save_checkpoint(folder / "c", network, state);
  const TrainingState back = load_checkpoint(folder / "c", other);
  EXPECT_EQ(back.iteration, state.iteration);
  EXPECT_EQ(back.seed, state.seed);
  EXPECT_EQ(back.average_loss, state.average_loss);
  EXPECT_EQ(back.best_score, state.best_score);
  ASSERT_EQ(back.history.size(), 2u);
  EXPECT_EQ(back.history[1].iteration, 2);
  EXPECT_EQ(back.history[1].score, 0.5f);
  EXPECT_EQ(back.history[0].rate, 1e-7f);
  EXPECT_EQ(all(network.parameters().values(), network.parameters()),
            all(other.parameters().values(), other.parameters()));
  EXPECT_EQ(all(network.parameters().momentum(), network.parameters()),
            all(other.parameters().momentum(), other.parameters()));
}

// What Adam and the average of the parameters keep; an average that is not there begins with the next
// iteration.
TEST(Checkpoint, KeepsTheStateOfTheOptimizer) {
  const Temporary folder;
  const std::string adam = "adam=1\nema_alpha=0.9\nmax_batches=4000\n";
  std::string cfg = kCfg;
  cfg.insert(cfg.find("width"), adam);
  PlannedNetwork network(cfg), other(cfg), plain(kCfg);
  Optimizer optimizer(network.net(), network.parameters(), network.stream());
  float start = 0;
  for (const auto& [name, values] : optimizer.state())
    for (size_t i = 0; i < network.parameters().size(); ++i) values[i] = start += 0.25f;
  TrainingState state;
  state.iteration = 2500;
  save_checkpoint(folder / "c", network, state, &optimizer);
  Optimizer restored(other.net(), other.parameters(), other.stream());
  load_checkpoint(folder / "c", other, &restored);
  ASSERT_EQ(restored.state().size(), 2u);
  for (size_t k = 0; k < 2; ++k)
    for (const ParameterSpan& s : network.parameters().spans())
      for (size_t i = s.offset; i < s.offset + size_t(s.shape.elements()); ++i)
        ASSERT_EQ(restored.state()[k].second[i],
                  s.info.role == Role::statistic ? 0 : optimizer.state()[k].second[i]);
  EXPECT_TRUE(restored.has_average(2000));

  save_checkpoint(folder / "plain", plain, state);
  expect_in("has no `0.biases.squares`",
            error_of([&] { load_checkpoint(folder / "plain", other, &restored); }));
  cfg.replace(cfg.find("adam=1"), 6, "optimizer=rmsprop");
  PlannedNetwork turned(cfg);
  Optimizer rmsprop(turned.net(), turned.parameters(), turned.stream());
  expect_in("is of a training with optimizer=adam, and cannot go on with optimizer=rmsprop",
            error_of([&] { load_checkpoint(folder / "c", turned, &rmsprop); }));
  cfg.erase(cfg.find("optimizer=rmsprop"), 18);
  PlannedNetwork averaged(cfg);
  Optimizer late(averaged.net(), averaged.parameters(), averaged.stream());
  load_checkpoint(folder / "plain", averaged, &late);
  EXPECT_FALSE(late.has_average(2500));
  EXPECT_TRUE(late.has_average(2501));
}

TEST(Checkpoint, OfAnotherNetworkOrProgramIsRefused) {
  const Temporary folder;
  PlannedNetwork network(kCfg);
  save_checkpoint(folder / "c", network, {});
  std::string wider = kCfg;
  wider.replace(wider.find("filters=4"), 9, "filters=5");
  PlannedNetwork other(wider);
  expect_in("the network needs 1x1x1x5: the checkpoint of another network",
            error_of([&] { load_checkpoint(folder / "c", other); }));
  PlannedNetwork longer(kCfg + "[convolutional]\nfilters=7\nsize=1\n");
  expect_in("has no `3.biases`: the checkpoint of another network",
            error_of([&] { load_checkpoint(folder / "c", longer); }));
  write_safetensors(folder / "s", {});
  expect_in("is not a checkpoint of this program", error_of([&] { load_checkpoint(folder / "s", network); }));
  const std::string bytes = read_file(folder / "c", "checkpoint");
  folder.write("cut", bytes.substr(0, bytes.size() - 5));
  expect_in("was cut short", error_of([&] { load_checkpoint(folder / "cut", network); }));
  expect_in("cannot be opened", error_of([&] { load_checkpoint(folder / "none", network); }));
}

}  // namespace
}  // namespace osprey
