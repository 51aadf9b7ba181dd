// Iterations of training on a device: graphs against kernels started one by one, devices and precisions
// against each other, and what is said when numbers stop being numbers. The device is emulated, and its
// memory guarded: a host that reads or writes it inside of an iteration ends the program.
#include <gtest/gtest.h>

#include <cmath>

#include "core/random.h"
#include "cuda/guard.h"
#include "layers/simd/outer_product.h"
#include "tests/data/temporary.h"
#include "train/iteration.h"

namespace osprey {
namespace {

// One of each kind of layer that detectors have, and random numbers that change from step to step.
std::string every_layer(int batch, int subdivisions) {
  return fmt::format("[net]\nbatch={}\nsubdivisions={}\n", batch, subdivisions) +
         "width=32\nheight=32\nchannels=3\nlearning_rate=0.01\nmax_batches=100\nmomentum=0.9\ndecay=0.001\n"
         "[convolutional]\nfilters=8\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n"
         "[maxpool]\nsize=2\nstride=2\n"
         "[convolutional]\nfilters=8\nsize=3\npad=1\ngroups=8\nbatch_normalize=1\nactivation=mish\n"
         "[shortcut]\nfrom=-2\nactivation=linear\n"
         "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n"
         "[convolutional]\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=swish\n"
         "[avgpool]\n"
         "[convolutional]\nfilters=8\nsize=1\nactivation=logistic\n"
         "[scale_channels]\nfrom=-3\n"
         "[dropout]\nprobability=0.3\n"
         "[reorg3d]\nstride=2\n"
         "[convolutional]\nfilters=16\nsize=1\nbatch_normalize=1\nactivation=leaky\n"
         "[upsample]\nstride=2\n"
         "[route]\nlayers=-1,5\n"
         "[convolutional]\nfilters=14\nsize=1\nactivation=linear\n"
         "[yolo]\nclasses=2\nnum=4\nmask=0,1\nanchors=6,6, 12,9, 20,24, 28,28\niou_loss=ciou\n"
         "[route]\nlayers=11\n"
         "[convolutional]\nfilters=14\nsize=1\nactivation=linear\n"
         "[yolo]\nclasses=2\nnum=4\nmask=2,3\nanchors=6,6, 12,9, 20,24, 28,28\n";
}

std::string map(const char* name, const char* from, int filters, const char* keys = "") {
  return fmt::format("[convolutional]\nname={}\nfrom={}\nfilters={}\nsize=3\npad=1\nactivation=linear\n{}",
                     name, from, filters, keys);
}

// Two levels of 8x8 and 4x4 cells, the finer one at a learnt length.
const std::string kTwoLevels =
    "[net]\nbatch=2\nwidth=32\nheight=32\nchannels=3\nlearning_rate=0.01\nmax_batches=100\n"
    "momentum=0.9\ndecay=0.001\n"
    "[convolutional]\nfilters=8\nsize=3\nstride=4\npad=1\nbatch_normalize=1\nactivation=leaky\n"
    "[l2norm]\nname=fine\nscale=5\n"
    "[convolutional]\nname=coarse\nfilters=8\nsize=3\nstride=2\npad=1\nbatch_normalize=1\n"
    "activation=leaky\n";

std::string ssd() {
  return kTwoLevels + map("fine_classes", "fine", 12) + map("coarse_classes", "coarse", 12) +
         map("fine_boxes", "fine", 16) + map("coarse_boxes", "coarse", 16) +
         "[ssd]\nclasses=2\nmin_sizes=8,16\n"
         "from=fine_classes,coarse_classes,fine_boxes,coarse_boxes\n";
}

// Weights that both levels share, and a matcher that looks at predictions.
std::string retina(const std::string& keys) {
  return kTwoLevels + map("fine_classes", "fine", 2, "bias_init=-2\n") +
         map("coarse_classes", "coarse", 2, "share=fine_classes\n") + map("fine_boxes", "fine", 4) +
         map("coarse_boxes", "coarse", 4, "share=fine_boxes\n") + map("fine_quality", "fine", 1) +
         map("coarse_quality", "coarse", 1, "share=fine_quality\n") +
         "[retina]\nclasses=2\nanchor_ratios=1\nscales_per_octave=1\nquality=iou\nbox_loss=giou\n"
         "from=fine_classes,coarse_classes,fine_boxes,coarse_boxes,fine_quality,coarse_quality\n" +
         keys;
}

// ATSS' head: a shared tower with group norm, and a scale for each level. The finer level is made of the
// other.
std::string atss() {
  const auto tower = [](const std::string& level, const char* from, const std::string& shares) {
    const auto keys = [&](const char* part) { return shares.empty() ? "" : "share=" + shares + part + "\n"; };
    const auto name = [&](const char* part) { return level + part; };
    return map(name("_sums").c_str(), from, 8, keys("_sums").c_str()) +
           "[group_norm]\nname=" + name("_tower") + "\ngroups=4\nactivation=relu\n" + keys("_tower") +
           map(name("_classes").c_str(), name("_tower").c_str(), 2, keys("_classes").c_str()) +
           map(name("_quality").c_str(), name("_tower").c_str(), 1, keys("_quality").c_str()) +
           map(name("_boxes").c_str(), name("_tower").c_str(), 4, keys("_boxes").c_str()) +
           "[scale]\nname=" + name("_scaled") + "\n";
  };
  std::string levels = kTwoLevels;
  levels.insert(levels.find("momentum"), "nesterov=1\n");
  return levels + "[deconvolutional]\nname=up\nfilters=8\nsize=2\nstride=2\nactivation=leaky\n" +
         "[shortcut]\nname=sum\nfrom=fine\nactivation=linear\n" + tower("fine", "sum", "") +
         tower("coarse", "coarse", "fine") +
         "[retina]\nclasses=2\nanchor_ratios=1\nscales_per_octave=1\nquality=centerness\nbox_loss=giou\n"
         "from=fine_classes,coarse_classes,fine_scaled,coarse_scaled,fine_quality,coarse_quality\n"
         "assigner=atss\nnormaliser=batch\n";
}

// Proposals, sampling and the second stage in one step. With all rows sampled, the order in which they are
// does not matter, as rounding may change it from device to device.
std::string faster_rcnn() {
  return kTwoLevels + map("fine_objects", "fine", 1) + map("coarse_objects", "coarse", 1) +
         map("fine_deltas", "fine", 4) + map("coarse_deltas", "coarse", 4) +
         "[rpn]\nname=proposals\nfrom=fine_objects,coarse_objects,fine_deltas,coarse_deltas\n"
         "anchor_ratios=1\nanchor_scale=2\npost_nms=80\nnms_threshold=0\n"
         "[roi_sampler]\nname=rois\nnum=0\n"
         "[roi_align]\nfrom=rois,fine,coarse\nsize=3\nsampling_ratio=2\ncanonical_size=12\n"
         "[connected]\nname=features\noutput=16\nactivation=relu\n"
         "[connected]\nname=classes\noutput=3\nactivation=linear\n"
         "[connected]\nname=boxes\nfrom=features\noutput=8\nactivation=linear\n"
         "[rcnn]\nfrom=classes,boxes,rois\nclasses=2\n";
}

struct Setting {
  Device device = Device::cuda;
  Precision precision = Precision::fp32;
  bool eager = false;
  int subdivisions = 1;
  float poison = 0;       // added to the first input of the last mini-batch
  bool ahead = false;     // the next mini-batch is brought while the device is at work
  int broken_layer = -1;  // its first parameter is not a number
  std::string cfg = {};   // instead of every_layer()
};

struct Trained {
  std::vector<float> values, losses;
};

void fill_images(Network& network, int64_t pass, float poison) {
  const View<float> input = network.input();
  Random random(5, Purpose::test, uint64_t(pass));
  for (float& v : input) v = random.uniform();
  input[0] += poison;
  const Truths& truths = network.truths();
  for (int n = 0; n < input.shape.n; ++n) {
    truths.counts[n] = 1 + (n + int(pass)) % 2;
    for (int t = 0; t < truths.counts[n]; ++t) {
      const float box[] = {random.uniform(.2f, .8f), random.uniform(.2f, .8f), random.uniform(.1f, .5f),
                           random.uniform(.1f, .5f), float(t % 2)};
      for (int e = 0; e < 5; ++e) truths.boxes(n, 0, t, e) = box[e];
    }
  }
}

class DeviceTraining : public testing::Test {
 protected:
  DeviceTraining() { emulation::guard_memory(true); }
  ~DeviceTraining() override { emulation::guard_memory(false); }

  static Trained train(const Setting& setting, int iterations) {
    NetworkOptions options;
    options.build.device = setting.device;
    options.precision = setting.precision;
    const std::string cfg = setting.cfg.empty() ? every_layer(2, setting.subdivisions) : setting.cfg;
    Network network(parse_cfg(cfg, "test.cfg"), options);
    network.plan(2 / setting.subdivisions, 32, 32);
    Parameters& p = network.parameters();
    p.initialise(3);
    for (const ParameterSpan& span : p.spans())
      if (span.layer == setting.broken_layer) p.value(span)[0] = NAN;
    p.upload();
    Optimizer optimizer(network.net(), network.parameters(), network.stream());
    TrainingStep step(network, optimizer, setting.eager);
    const std::vector<std::string> names = {"a.png", "b.png"};
    Trained result;
    int64_t pass = 0;
    for (int i = 1; i <= iterations; ++i) {
      const auto fill = [&](Network& n) -> const std::vector<std::string>& {
        const bool last = ++pass == int64_t(iterations) * setting.subdivisions;
        fill_images(n, pass, last ? setting.poison : 0);
        return names;
      };
      const IterationResult r = step.run(i, 7, fill, setting.ahead && i < iterations);
      result.losses.push_back(float(r.loss));
    }
    p.download();
    for (const ParameterSpan& span : p.spans())
      for (float v : p.value(span)) result.values.push_back(v);
    return result;
  }
};

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double worst = a.size() == b.size() ? 0 : INFINITY;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    worst = std::max(worst, std::fabs(double(a[i]) - b[i]));
  return worst;
}

TEST_F(DeviceTraining, TenReplaysOfTheGraphEqualTenStepsWithoutOne) {
  for (int subdivisions : {1, 2})
    for (Precision precision : {Precision::fp32, Precision::bf16}) {
      SCOPED_TRACE(fmt::format("subdivisions={} precision={}", subdivisions, int(precision)));
      const Trained replayed = train({Device::cuda, precision, false, subdivisions}, 10);
      const Trained eager = train({Device::cuda, precision, true, subdivisions}, 10);
      const Trained ahead = train({Device::cuda, precision, false, subdivisions, 0, true}, 10);
      EXPECT_EQ(ahead.values, eager.values);
      EXPECT_EQ(replayed.values, eager.values);
      EXPECT_EQ(replayed.losses, eager.losses);
    }
}

// Both sides add in float, in other orders. Batch norm over few values turns that into 1e-5 of a weight, and
// training, in which small differences grow, into ten times as much after ten steps.
TEST_F(DeviceTraining, TenStepsAreThoseOfTheCpu) {
  for (int subdivisions : {1, 2}) {
    const Trained cpu = train({Device::cpu, Precision::fp32, false, subdivisions}, 10);
    const Trained cuda = train({Device::cuda, Precision::fp32, false, subdivisions}, 10);
    EXPECT_LT(largest_difference(cuda.values, cpu.values), 1e-3);
    for (size_t i = 0; i < cpu.losses.size(); ++i)
      EXPECT_NEAR(cuda.losses[i], cpu.losses[i], 1e-4 * cpu.losses[i]) << "step " << i + 1;
  }
}

// The same for heads over levels. SSD's rows change places in the order of their losses, and PAA's groups
// theirs, only where these are as good as equal.
TEST_F(DeviceTraining, HeadsOverLevelsAreTheSameInAGraphAndOnTheCpu) {
  for (const std::string& cfg : {ssd(), retina("assigner=paa\n"), retina("assigner=atss\nnormaliser=batch\n"),
                                 retina("assigner=ota\nanchor_scale=1\n"), atss(), faster_rcnn()}) {
    SCOPED_TRACE(cfg.substr(cfg.size() - 60));
    Setting setting;
    setting.cfg = cfg;
    const Trained replayed = train(setting, 5);
    setting.eager = true;
    const Trained eager = train(setting, 5);
    EXPECT_EQ(replayed.values, eager.values);
    EXPECT_EQ(replayed.losses, eager.losses);
    setting.device = Device::cpu;
    const Trained cpu = train(setting, 5);
    EXPECT_LT(largest_difference(eager.values, cpu.values), 1e-3);
    for (size_t i = 0; i < cpu.losses.size(); ++i) {
      EXPECT_GT(cpu.losses[i], 0);
      EXPECT_NEAR(eager.losses[i], cpu.losses[i], 1e-3 * cpu.losses[i]) << "step " << i + 1;
    }
  }
}

// bf16 keeps 8 bits: the first loss is the same within 2^-8 per layer in a row, and all fall alike.
TEST_F(DeviceTraining, Bf16FollowsFp32) {
  const Trained full = train({}, 40), half = train({Device::cuda, Precision::bf16}, 40);
  EXPECT_NEAR(half.losses[0], full.losses[0], 0.03 * full.losses[0]);
  EXPECT_NE(half.losses[0], full.losses[0]);
  EXPECT_LT(full.losses.back(), 0.6f * full.losses[0]);
  EXPECT_NEAR(half.losses.back(), full.losses.back(), 0.15 * full.losses.back());
}

TEST_F(DeviceTraining, ALossThatIsNotFiniteNamesTheLayerAndTheImages) {
  for (Device device : {Device::cpu, Device::cuda})
    for (float poison : {float(NAN), float(INFINITY)}) {
      const std::string message = error_of([&] {
        train({device, Precision::fp32, false, 1, poison, true}, 3);
      });
      expect_in("iteration 3: the input is not finite, in a.png, b.png", message);
    }
  for (Device device : {Device::cpu, Device::cuda}) {
    const std::string message = error_of([&] { train({device, Precision::fp32, false, 1, 0, false, 5}, 3); });
    expect_in("iteration 1: layer 5 [convolutional], test.cfg:", message);
    expect_in("is the first whose output is not finite", message);
    expect_in("a.png, b.png", message);
  }
}

TEST_F(DeviceTraining, TheCpuHasBf16WhereItsProcessorHas) {
  expect_in("test.cfg: precision=tf32 needs --device cuda or --device emulated", error_of([&] {
              train({Device::cpu, Precision::tf32}, 1);
            }));
  const Setting bf16{Device::cpu, Precision::bf16};
  if (!simd::has_bf16_products()) {
    expect_in("precision=bf16: this processor has no instruction for it", error_of([&] { train(bf16, 1); }));
    return;
  }
  const Trained full = train({}, 40), half = train(bf16, 40);
  EXPECT_NE(half.losses, full.losses);
  EXPECT_NEAR(half.losses.back(), full.losses.back(), 0.15 * full.losses.back());
}

}  // namespace
}  // namespace osprey
