// The plan of memory: no two tensors that live at the same time may share a byte, whatever the network.
#include "models/memory_plan.h"

#include <gtest/gtest.h>

#include <set>

#include "core/random.h"

namespace osprey {
namespace {

constexpr Shape kShape = {1, 4, 4, 8};
const Tensor kInput(nullptr, kShape);

// Each buffer owns its bytes during its life: what brute force finds, whatever the planner believes.
void expect_no_overlap(const MemoryPlan& plan) {
  for (size_t a = 0; a < plan.buffers.size(); ++a) {
    const MemoryPlan::Buffer& x = plan.buffers[a];
    EXPECT_LE(x.offset + x.life.bytes, plan.bytes) << x.what;
    EXPECT_EQ(x.offset % kAlignment, 0u) << x.what;
    for (size_t b = 0; b < a; ++b) {
      const MemoryPlan::Buffer& y = plan.buffers[b];
      const bool live = x.life.first <= y.life.last && y.life.first <= x.life.last;
      const bool meet = x.offset < y.offset + y.life.bytes && y.offset < x.offset + x.life.bytes;
      EXPECT_FALSE(live && meet) << x.what << " and " << y.what;
    }
  }
}

// Plays a step on numbered stamps instead of numbers: every write stamps the tensor's buffer, every read must
// find the stamp of the layer that made it. Buffers that are shared by alias or in place keep the stamp of
// the last writer; their earlier readers must be done by then.
class Play {
 public:
  Play(const std::vector<LayerMemory>& layers, const MemoryPlan& plan, bool training)
      : layers_(layers), plan_(plan), n_(int(layers.size())), owner_(plan.bytes, -1) {
    stamp(plan_.input, kInputStamp);
    for (int i = 0; i < n_; ++i) forward(i);
    if (!training) return;
    for (int i = n_ - 1; i >= 0; --i)
      if (layers_[size_t(i)].differentiable) backward(i);
  }

 private:
  static constexpr int kInputStamp = 100000, kGradientStamp = 200000, kKeptStamp = 300000;

  void stamp(int buffer, int value) {
    if (buffer < 0) return;
    const MemoryPlan::Buffer& b = plan_.buffers[size_t(buffer)];
    std::fill_n(owner_.begin() + long(b.offset), b.life.bytes, value);
  }
  void expect(int buffer, const std::set<int>& allowed, const std::string& what) {
    const MemoryPlan::Buffer& b = plan_.buffers[size_t(buffer)];
    for (size_t i = b.offset; i < b.offset + b.life.bytes; ++i)
      ASSERT_TRUE(allowed.count(owner_[i])) << what << ": byte of " << owner_[i] << " in " << b.what;
  }
  // An output that shares its input's memory by alias is that input under another name.
  int root(int tensor) const {
    const LayerMemory& layer = layers_[size_t(tensor)];
    if (layer.alias < 0) return tensor;
    const int from = layer.inputs[size_t(layer.alias)];
    return from >= 0 && plan_.outputs[size_t(from)] == plan_.outputs[size_t(tensor)] ? root(from) : tensor;
  }
  std::set<int> names_of(int tensor) const {
    std::set<int> names;
    for (int i = 0; i < n_; ++i)
      if (root(i) == root(tensor)) names.insert(i);
    return names;
  }
  void expect_output(int tensor, const std::string& what) {
    if (tensor < 0)
      expect(plan_.input, {kInputStamp}, what);
    else
      expect(plan_.outputs[size_t(tensor)], names_of(tensor), what);
  }

  void forward(int i) {
    const LayerMemory& layer = layers_[size_t(i)];
    stamp(plan_.scratch, -2);
    for (int from : layer.inputs) expect_output(from, "forward of " + std::to_string(i));
    stamp(plan_.outputs[size_t(i)], i);
    for (int kept : plan_.kept[size_t(i)]) stamp(kept, kKeptStamp + i);
  }
  void backward(int i) {
    const LayerMemory& layer = layers_[size_t(i)];
    const std::string what = "backward of " + std::to_string(i);
    stamp(plan_.scratch, -2);
    for (int k : layer.backward_reads) expect_output(layer.inputs[size_t(k)], what);
    if (layer.backward_reads_output) expect_output(i, what);
    for (int kept : plan_.kept[size_t(i)]) expect(kept, {kKeptStamp + i}, what);
    if (plan_.gradients[size_t(i)] >= 0) expect(plan_.gradients[size_t(i)], {kGradientStamp + i}, what);
    for (size_t k = 0; k < layer.inputs.size(); ++k) {
      const int from = layer.inputs[k];
      if (from < 0 || plan_.gradients[size_t(from)] < 0 || !layers_[size_t(from)].differentiable) continue;
      if (plan_.first_writer[size_t(i)][k])
        stamp(plan_.gradients[size_t(from)], kGradientStamp + from);
      else
        expect(plan_.gradients[size_t(from)], {kGradientStamp + from}, what + ", which adds");
    }
  }

  const std::vector<LayerMemory>& layers_;
  const MemoryPlan& plan_;
  int n_;
  std::vector<int> owner_;
};

LayerMemory layer(std::vector<int> inputs, Shape output = kShape) {
  LayerMemory m;
  m.inputs = std::move(inputs);
  m.output = output;
  m.differentiable = true;
  return m;
}

void check(const std::vector<LayerMemory>& layers, bool training, bool keep_all = false) {
  const MemoryPlan plan = plan_memory(layers, kInput, training, keep_all);
  expect_no_overlap(plan);
  EXPECT_GE(plan.bytes, plan.peak);
  EXPECT_LE(plan.bytes, plan.without_sharing + plan.buffers.size() * kAlignment);
  Play(layers, plan, training);
}

TEST(MemoryPlan, AChainNeedsTwoBuffersAtATime) {
  std::vector<LayerMemory> layers;
  for (int i = 0; i < 10; ++i) layers.push_back(layer({i - 1}));
  check(layers, false);
  const size_t one = size_t(kShape.elements()) * sizeof(float);
  EXPECT_EQ(plan_memory(layers, kInput, false, false).bytes, 2 * one);
  EXPECT_EQ(plan_memory(layers, kInput, false, true).without_sharing, 11 * one);
}

TEST(MemoryPlan, InPlaceTakesTheInputsMemoryOnlyIfNobodyReadsItAgain) {
  std::vector<LayerMemory> layers = {layer({-1}), layer({0}), layer({1})};
  layers[1].in_place = 0;
  MemoryPlan plan = plan_memory(layers, kInput, false, false);
  EXPECT_EQ(plan.outputs[1], plan.outputs[0]);

  layers[2].inputs = {1, 0};  // layer 2 reads what 1 would write over
  plan = plan_memory(layers, kInput, false, false);
  EXPECT_NE(plan.outputs[1], plan.outputs[0]);

  layers[2].inputs = {1};
  layers[0].backward_reads_output = true;  // so does the backward call of 0
  EXPECT_EQ(plan_memory(layers, kInput, false, false).outputs[1], plan.outputs[0]);
  plan = plan_memory(layers, kInput, true, false);
  EXPECT_NE(plan.outputs[1], plan.outputs[0]);

  layers[0].backward_reads_output = false;
  layers[0].is_head = true;  // and whoever looks at a head after the step
  plan = plan_memory(layers, kInput, false, false);
  EXPECT_NE(plan.outputs[1], plan.outputs[0]);

  layers[0].is_head = false;
  layers[1].output = {1, 2, 2, 8};  // another size
  plan = plan_memory(layers, kInput, false, false);
  EXPECT_NE(plan.outputs[1], plan.outputs[0]);
}

TEST(MemoryPlan, TheNetworksInputIsNeverWrittenOver) {
  std::vector<LayerMemory> layers = {layer({-1}), layer({0})};
  layers[0].in_place = 0;
  EXPECT_NE(plan_memory(layers, kInput, false, false).outputs[0],
            plan_memory(layers, kInput, false, false).input);
}

TEST(MemoryPlan, AnAliasIsItsInputHoweverOftenThatIsRead) {
  std::vector<LayerMemory> layers = {layer({-1}), layer({0}), layer({0, 1}), layer({1, 2})};
  layers[1].alias = 0;
  const MemoryPlan plan = plan_memory(layers, kInput, false, false);
  EXPECT_EQ(plan.outputs[1], plan.outputs[0]);
  EXPECT_GE(plan.buffers[size_t(plan.outputs[0])].life.last, 3);
  check(layers, true);
  // With everything kept each layer has memory of its own.
  const MemoryPlan kept = plan_memory(layers, kInput, false, true);
  EXPECT_NE(kept.outputs[1], kept.outputs[0]);
}

TEST(MemoryPlan, ASliceLiesInTheTensorThatItIsAPartOf) {
  // 2 and 3 make the halves of 4; 1 is the second half of 0, which is a half of 5, of which 4 is the other.
  const Shape half = {1, 1, 1, 4}, whole = {1, 1, 1, 8};
  std::vector<LayerMemory> layers = {layer({-1}, whole), layer({0}, half),     layer({1}, half),
                                     layer({2}, half),   layer({3, 2}, whole), layer({0, 4}, {1, 1, 1, 16}),
                                     layer({5}, half)};
  const auto lies_in = [&](int slice, int of, size_t at) {
    layers[size_t(slice)].slice_of = of, layers[size_t(slice)].slice_at = at * sizeof(float);
  };
  lies_in(0, 5, 0), lies_in(1, 0, 4), lies_in(2, 4, 4), lies_in(3, 4, 0), lies_in(4, 5, 8);
  layers[5].is_head = true;
  const MemoryPlan plan = plan_memory(layers, kInput, false, false);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(plan.outputs[size_t(i)], plan.outputs[5]) << i;
  const auto at = [&](int i) { return plan.output_offsets[size_t(i)] / sizeof(float); };
  EXPECT_EQ((std::vector{at(0), at(1), at(2), at(3), at(4), at(5)}),
            (std::vector<size_t>{0, 4, 12, 8, 8, 0}));
  const MemoryPlan::Buffer& buffer = plan.buffers[size_t(plan.outputs[5])];
  EXPECT_EQ(buffer.life.bytes, 16 * sizeof(float));
  EXPECT_EQ(buffer.life.first, 0);  // with the first of its parts
  EXPECT_EQ(buffer.life.last, 7);
  expect_no_overlap(plan);

  // What may be written over what it reads has no slice to write over.
  layers[6].inputs = {4}, layers[6].output = whole, layers[6].in_place = 0, layers[5].is_head = false;
  const MemoryPlan other = plan_memory(layers, kInput, false, false);
  EXPECT_NE(other.outputs[6], other.outputs[4]);
}

TEST(MemoryPlan, AGradientStartsWithItsLastReader) {
  // 0 is read by 1, 2 and 3: the backward call of 3 comes first and overwrites, the others add.
  std::vector<LayerMemory> layers = {layer({-1}), layer({0}), layer({0}), layer({0, 1, 2})};
  const MemoryPlan plan = plan_memory(layers, kInput, true, false);
  EXPECT_EQ(plan.first_writer[3], (std::vector<bool>{true, true, true}));
  EXPECT_EQ(plan.first_writer[2], (std::vector<bool>{false}));
  EXPECT_EQ(plan.first_writer[1], (std::vector<bool>{false}));
  EXPECT_EQ(plan.first_writer[0], (std::vector<bool>{false}));  // the input of the network has no gradient
  EXPECT_EQ(plan.gradients[3], -1);                             // nobody reads layer 3
  check(layers, true);
}

TEST(MemoryPlan, LayersThatDoNotTrainHaveNoGradient) {
  std::vector<LayerMemory> layers = {layer({-1}), layer({0}), layer({1})};
  layers[0].differentiable = false;
  const MemoryPlan plan = plan_memory(layers, kInput, true, false);
  EXPECT_EQ(plan.gradients[0], -1);
  EXPECT_GE(plan.gradients[1], 0);
}

// Random networks with every rule mixed. Layers read up to three earlier ones.
std::vector<LayerMemory> random_network(uint64_t seed) {
  Random random(seed, Purpose::test);
  const int n = 2 + random.below(20);
  const Shape shapes[] = {kShape, {1, 2, 2, 8}, {2, 8, 8, 3}, {1, 1, 1, 5}};
  std::vector<LayerMemory> layers;
  for (int i = 0; i < n; ++i) {
    LayerMemory m = layer({}, shapes[random.below(4)]);
    const int reads = 1 + random.below(3);
    for (int k = 0; k < reads; ++k)
      m.inputs.push_back(k == 0 && random.chance(0.7f) ? i - 1 : random.below(i + 1) - 1);
    m.differentiable = random.chance(0.9f);
    m.is_head = i + 1 == n || random.chance(0.1f);
    for (int k = 0; k < reads; ++k)
      if (random.chance(0.4f)) m.backward_reads.push_back(k);
    m.backward_reads_output = random.chance(0.3f);
    const int shape_from = m.inputs[0];
    if (random.chance(0.4f)) {
      m.in_place = 0;
      if (shape_from >= 0 && random.chance(0.7f)) m.output = layers[size_t(shape_from)].output;
    } else if (random.chance(0.2f)) {
      m.alias = 0;
      m.output = shape_from < 0 ? kShape : layers[size_t(shape_from)].output;
    }
    if (random.chance(0.3f)) m.kept.push_back(size_t(1 + random.below(5000)));
    if (random.chance(0.3f)) m.scratch = size_t(1 + random.below(5000));
    layers.push_back(m);
  }
  return layers;
}

TEST(MemoryPlan, HoldsOnRandomNetworks) {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    SCOPED_TRACE(seed);
    const std::vector<LayerMemory> layers = random_network(seed);
    check(layers, false);
    check(layers, true);
    check(layers, true, true);
    if (testing::Test::HasFailure()) return;  // one example is enough
  }
}

TEST(MemoryPlan, ALayoutIsCloseToTheLeastThatAnyPlanNeeds) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const MemoryPlan plan = plan_memory(random_network(seed), kInput, true, false);
    EXPECT_LE(plan.bytes, plan.peak + plan.peak / 3) << seed;
  }
}

}  // namespace
}  // namespace osprey
