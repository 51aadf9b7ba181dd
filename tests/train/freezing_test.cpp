// What is frozen does not move, statistics included; and it does move when its time has come.
#include <map>

#include "core/file.h"
#include "models/weights.h"
#include "tests/models/networks.h"
#include "tests/train/drawn.h"
#include "train/trainer.h"

namespace osprey {
namespace {

using Values = std::map<std::string, std::vector<float>>;

class FrozenLayers : public testing::Test {
 protected:
  // The cfg of tests/train/drawn.h with a key in one of its sections; 0 is the first convolution.
  std::string cfg_with(int layer, const std::string& key, int max_batches,
                       const std::string& net = "burn_in=0\n") {
    std::string cfg = drawn_cfg(max_batches, net);
    size_t at = cfg.find("[convolutional]\n");
    for (int i = 0; i < layer; ++i) at = cfg.find("[convolutional]\n", at + 1);
    cfg.insert(at + 16, key + "\n");
    return cfg;
  }
  // All parameters after a training, by name; `resume` goes on with the last one.
  Values train(const std::string& cfg, int64_t max_batches = 0, bool resume = false) {
    TrainOptions o;
    o.cfg = folder_.write("out/t.cfg", cfg);
    o.data = data_;
    o.out = folder_ / "out";
    o.map = false;
    o.max_batches = max_batches;
    o.resume = resume;
    o.device = device_;
    Trainer(o).run();
    return values_of(cfg, o.out + "/t_final.weights");
  }
  Values values_of(const std::string& cfg, const std::string& weights) {
    Network network(parse_cfg(cfg, "t.cfg"));
    network.plan(1, kDrawnSize, kDrawnSize);
    network.parameters().initialise(0);
    if (!weights.empty()) load_weights(weights, network, Coverage::whole);
    Values values;
    for (const ParameterSpan& span : network.parameters().spans())
      values[span.name] = copy_of(network.parameters().value(span));
    return values;
  }
  static void expect_moved(const Values& before, const Values& after, const std::string& layers_that_move,
                           const std::string& only = "") {
    for (const auto& [name, values] : before) {
      const bool moves = layers_that_move.find(name[0]) != std::string::npos &&
                         (only.empty() || name.find(only) != std::string::npos);
      EXPECT_EQ(values != after.at(name), moves) << name;
    }
  }

  Temporary folder_;
  std::string data_ = draw_set(folder_, 6);
  Device device_ = Device::cpu;
};

TEST_F(FrozenLayers, NothingMovesBeforeStopbackward) {
  const std::string cfg = cfg_with(1, "stopbackward=1", 4);
  expect_moved(values_of(cfg, ""), train(cfg), "235");
}

TEST_F(FrozenLayers, ALayerAloneCanBeFrozen) {
  const std::string cfg = cfg_with(2, "freeze=1", 4);
  expect_moved(values_of(cfg, ""), train(cfg), "0135");
}

TEST_F(FrozenLayers, TrainOnlyBnLeavesWeights) {
  const std::string cfg = cfg_with(3, "train_only_bn=1", 4);
  const Values before = values_of(cfg, ""), after = train(cfg);
  for (const auto& [name, values] : before)
    EXPECT_EQ(values != after.at(name), name[0] == '5' || !name.ends_with(".weights")) << name;
}

// Until an iteration, and from it on; the momentum of what was frozen has not grown meanwhile.
TEST_F(FrozenLayers, TimeComesByIterations) {
  for (const auto& [key, before_it, frozen] :
       {std::tuple{"stopbackward=4", 3, "01"}, {"dont_update=3", 3, "1"}, {"burnin_update=2", 3, "1"}}) {
    SCOPED_TRACE(key);
    const std::string cfg = cfg_with(1, key, 8, "burn_in=2\n");
    std::string moving = "01235";
    for (const char* layer = frozen; *layer; ++layer) moving.erase(moving.find(*layer), 1);
    const Values start = values_of(cfg, ""), held = train(cfg, before_it);
    expect_moved(start, held, moving);
    const Values later = train(cfg, before_it + 1, true);
    expect_moved(held, later, "01235");
    // As if it had never stopped: phases follow from the iteration.
    EXPECT_TRUE(later == train(cfg, before_it + 1));
  }
}

TEST_F(FrozenLayers, KernelsFreezeTheSame) {
  device_ = Device::cuda;
  const std::string cfg = cfg_with(1, "stopbackward=3", 4, "burn_in=0\noptimizer=adamw\n");
  const Values start = values_of(cfg, ""), held = train(cfg, 2);
  expect_moved(start, held, "235");
  expect_moved(held, train(cfg, 3, true), "01235");
}

}  // namespace
}  // namespace osprey
