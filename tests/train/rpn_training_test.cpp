// [rpn] in a network of two levels with a shared head: gradients from its loss to the weights of the
// backbone, training on a device, and that it learns to propose.
#include "cuda/guard.h"
#include "tests/train/backbone_gradient.h"
#include "tests/train/drawn.h"
#include "train/iteration.h"
#include "train/metrics/proposals.h"
#include "train/proposals.h"

namespace osprey {
namespace {

// Levels of strides 8 and 16; `size` of the images.
std::string cfg(int size, const std::string& keys) {
  const auto head = [](const std::string& level, const std::string& share) {
    const auto layer = [&](const std::string& name, const std::string& from, int filters,
                           const std::string& activation) {
      return "[convolutional]\nname=" + name + level + "\nfrom=" + from + level +
             "\nsize=1\nfilters=" + std::to_string(filters) + "\nactivation=" + activation + "\n" +
             (share.empty() ? "" : "share=" + name + share + "\n");
    };
    return layer("tower", "p", 16, "mish") + layer("objects", "tower", 2, "linear") +
           layer("deltas", "tower", 8, "linear");
  };
  return fmt::format("[net]\nwidth={0}\nheight={0}\nchannels=3\nbatch=4\nlearning_rate=0.02\nmomentum=0.9\n",
                     size) +
         "decay=0\nmax_batches=1000\n"
         "[convolutional]\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=mish\n"
         "[convolutional]\nfilters=16\nsize=3\nstride=2\npad=1\nactivation=mish\n"
         "[convolutional]\nname=p3\nfilters=16\nsize=3\nstride=2\npad=1\nactivation=mish\n"
         "[convolutional]\nname=p4\nfilters=16\nsize=3\nstride=2\npad=1\nactivation=mish\n" +
         head("3", "") + head("4", "3") +
         "[rpn]\nfrom=objects3,objects4,deltas3,deltas4\nanchor_ratios=1,2\nanchor_scale=2\nanchor_offset=."
         "5\n" +
         "num=32\npost_nms=50\n" + keys;
}

int rpn_of(const Network& network) { return int(network.nodes().size()) - 1; }

TEST(RpnTraining, GradientsReachTheBackbone) {
  for (const std::string keys : {"smooth_l1_beta=1\n", "box_loss=giou\nbox_weight=2\n"}) {
    SCOPED_TRACE(keys);
    PlannedNetwork network(cfg(32, keys), 4);
    fill_randomly(network.input(), 3);
    put_truths(network, 3, 2);
    expect_gradients_of_the_backbone(network, rpn_of(network));
  }
}

void fill_drawn(Network& network, int64_t pass) {
  const View<float> input = network.input();
  Random random(5, Purpose::test, uint64_t(pass));
  for (float& v : input) v = random.uniform(.4f, .6f);
  for (int n = 0; n < input.shape.n; ++n) {
    network.truths().counts[n] = n % 3;  // none too
    for (int t = 0; t < n % 3; ++t) {
      const float box[] = {random.uniform(.2f, .8f), random.uniform(.2f, .8f), random.uniform(.2f, .5f),
                           random.uniform(.2f, .5f), float(t % 2)};
      for (int e = 0; e < 5; ++e) network.truths().boxes(n, 0, t, e) = box[e];
    }
  }
}

struct Trained {
  std::vector<float> values, losses, table;
};

Trained train(Device device, Precision precision, bool eager, int iterations) {
  NetworkOptions options;
  options.build.device = device;
  options.precision = precision;
  Network network(parse_cfg(cfg(32, ""), "t.cfg"), options);
  network.plan(4, 32, 32);
  network.parameters().initialise(3);
  network.parameters().upload();
  Optimizer optimizer(network.net(), network.parameters(), network.stream());
  TrainingStep step(network, optimizer, eager);
  const std::vector<std::string> names(4, "drawn");
  Trained trained;
  for (int i = 1; i <= iterations; ++i) {
    const auto fill = [&](Network& n) -> const std::vector<std::string>& {
      fill_drawn(n, i);
      return names;
    };
    trained.losses.push_back(float(step.run(i, 7, fill).loss));
  }
  network.parameters().download();
  for (const ParameterSpan& span : network.parameters().spans())
    for (float v : network.parameters().value(span)) trained.values.push_back(v);
  trained.table = network.read(rpn_of(network));
  return trained;
}

// The device's memory is guarded, and the step a graph: no decision of the host within it.
TEST(RpnTraining, StepsOnADeviceAreThoseOfTheCpu) {
  const Trained cpu = train(Device::cpu, Precision::fp32, true, 6);
  emulation::guard_memory(true);
  const Trained replayed = train(Device::cuda, Precision::fp32, false, 6);
  const Trained eager = train(Device::cuda, Precision::fp32, true, 6);
  const Trained half = train(Device::cuda, Precision::bf16, false, 6);
  emulation::guard_memory(false);
  EXPECT_EQ(replayed.values, eager.values);
  EXPECT_EQ(replayed.losses, eager.losses);
  EXPECT_EQ(replayed.table, eager.table);
  ASSERT_EQ(replayed.values.size(), cpu.values.size());
  // Sums of floats in other orders.
  for (size_t i = 0; i < cpu.values.size(); ++i) ASSERT_NEAR(replayed.values[i], cpu.values[i], 1e-4) << i;
  for (size_t i = 0; i < cpu.losses.size(); ++i) {
    EXPECT_NEAR(replayed.losses[i], cpu.losses[i], 1e-4 * cpu.losses[i]);
    EXPECT_NEAR(half.losses[i], cpu.losses[i], .05 * cpu.losses[i]);  // 8 bits in each of six layers
  }
}

// Rectangles on grey. What is proposed before training, by random weights, finds few of them.
TEST(RpnTraining, LearnsToPropose) {
  const Temporary folder;
  const Dataset dataset = load_dataset(read_data_file(draw_set(folder, 8)), Split::train, true);
  Network network(parse_cfg(cfg(kDrawnSize, ""), "t.cfg"));
  network.plan(4, kDrawnSize, kDrawnSize);
  network.parameters().initialise(3);
  NetworkOptions options;
  options.build.training = false;
  Network evaluation(parse_cfg(cfg(kDrawnSize, "post_nms_test=10\n"), "t.cfg"), options);
  evaluation.plan(4, kDrawnSize, kDrawnSize);
  const auto recall = [&] {
    evaluation.parameters().take_values(network.parameters());
    evaluation.prepare();
    const Evaluated found = propose_all(evaluation, dataset, Fit::stretch);
    return proposal_recall(found.truths, found.detections, 8);
  };
  const ProposalRecall before = recall();
  ImageFeed feed(network, Fit::stretch);
  Optimizer optimizer(network.net(), network.parameters(), network.stream());
  TrainingStep step(network, optimizer);
  const std::vector<std::string> names(4, "drawn");
  std::vector<ByteImage> images;
  for (const Sample& sample : dataset.samples) images.push_back(load_bytes(sample.image));
  double first = 0, last = 0;
  for (int i = 1; i <= 300; ++i) {
    const auto fill = [&](Network& n) -> const std::vector<std::string>& {
      std::vector<const ByteImage*> some;
      for (int k = 0; k < 4; ++k) {
        const size_t which = size_t(4 * i + k) % 8;
        some.push_back(&images[which]);
        const std::vector<Label>& labels = dataset.samples[which].labels;
        n.truths().counts[k] = int(labels.size());
        for (size_t t = 0; t < labels.size(); ++t) {
          const CentreBox b = labels[t].box;
          const float values[] = {b.x, b.y, b.w, b.h, float(labels[t].class_id)};
          std::copy(values, values + 5, &n.truths().boxes(k, 0, int(t), 0));
        }
      }
      feed.give(some);
      return names;
    };
    last = step.run(i, 7, fill).loss;
    if (i == 1) first = last;
  }
  const ProposalRecall after = recall();
  EXPECT_LT(last, .5 * first);
  EXPECT_GT(after.recall50, .9);
  EXPECT_GT(after.ar100, before.ar100 + .2);
}

}  // namespace
}  // namespace osprey
