// Whole two-stage networks: RoIs from tables to heads and their gradients back to the backbone, on both
// devices.
#include <cmath>
#include <map>
#include <numeric>

#include "core/roi_table.h"
#include "cuda/emulation.h"
#include "cuda/matching.h"
#include "models/detector.h"
#include "tests/data/temporary.h"
#include "tests/models/networks.h"

namespace osprey {
namespace {

const std::string kNet = "[net]\nbatch=2\nwidth=32\nheight=32\nchannels=3\n";
// Maps of strides 4 and 8, and given RoIs. Nothing has a kink, so that differences measure gradients.
const std::string kBackbone =
    kNet +
    "[convolutional]\nfilters=6\nsize=3\nstride=2\npad=1\nactivation=mish\n"
    "[convolutional]\nname=c2\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=mish\n"
    "[convolutional]\nname=c3\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=mish\n"
    "[proposals]\nname=given\nnum=12\n";
const std::string kSampled = kBackbone + "[roi_sampler]\nname=rois\nnum=8\npositive_fraction=0.5\n";

std::string head(const std::string& number, const std::string& rois, int deltas, const std::string& rcnn,
                 const std::string& pool = "roi_align", const std::string& more = "") {
  return "[" + pool + "]\nfrom=" + rois + ",c2,c3\nsize=3\ncanonical_level=3\ncanonical_size=12\n" +
         "[connected]\noutput=16\nactivation=mish\n[connected]\nname=fc" + number +
         "\noutput=16\nactivation=mish\n[connected]\nname=classes" + number +
         "\noutput=4\nactivation=linear\n[connected]\nname=boxes" + number + "\nfrom=fc" + number +
         "\noutput=" + std::to_string(deltas) + "\nactivation=linear\n[rcnn]\nname=rcnn" + number +
         "\nclasses=3\nfrom=classes" + number + ",boxes" + number + "," + rois + more + "\n" + rcnn;
}
std::string toy(const std::string& rcnn = "", int deltas = 12, const std::string& pool = "roi_align") {
  return kSampled + head("", "rois", deltas, rcnn, pool);
}
// As ResNet "C4": a block of a backbone, with a stride and a shortcut, works on what is pooled of each RoI.
const std::string kBlockOnRois =
    kNet +
    "[convolutional]\nfilters=6\nsize=3\nstride=2\npad=1\nactivation=mish\n"
    "[convolutional]\nname=c2\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=mish\n"
    "[proposals]\nname=given\nnum=12\n[roi_sampler]\nname=rois\nnum=8\npositive_fraction=0.5\n"
    "[roi_align]\nfrom=rois,c2\nsize=4\n"
    "[convolutional]\nbatch_normalize=1\nfrozen=1\nfilters=6\nsize=1\nactivation=mish\n"
    "[convolutional]\nbatch_normalize=1\nfrozen=1\nfilters=6\nsize=3\nstride=2\npad=1\nactivation=mish\n"
    "[convolutional]\nbatch_normalize=1\nfrozen=1\nfilters=12\nsize=1\nactivation=linear\n"
    "[route]\nlayers=-4\n"
    "[convolutional]\nbatch_normalize=1\nfrozen=1\nfilters=12\nsize=1\nstride=2\nactivation=linear\n"
    "[shortcut]\nfrom=-3\nactivation=mish\n"
    "[avgpool]\nname=features\n[connected]\nname=classes\noutput=4\nactivation=linear\n"
    "[connected]\nname=boxes\nfrom=features\noutput=12\nactivation=linear\n"
    "[rcnn]\nclasses=3\nfrom=classes,boxes,rois\n";
// Three stages, the last of which averages the classes of all.
const std::string kCascade =
    kSampled + head("1", "rois", 4, "class_specific=0\nrefine=1\n") +
    "[roi_sampler]\nname=rois2\nnum=0\nforeground=0.6\nbackground=0.6\n" +
    head("2", "rois2", 4, "class_specific=0\nrefine=1\ncoder_centre=20\ncoder_size=10\n") +
    "[roi_sampler]\nname=rois3\nnum=0\nforeground=0.7\nbackground=0.7\n" +
    head("3", "rois3", 4, "class_specific=0\ncoder_centre=30\ncoder_size=15\n", "roi_align",
         ",classes1,classes2");

// All RoIs and truths go to the second stage, which learns from the worst alone.
std::string mined(const std::string& keys) {
  return kBackbone + "[roi_sampler]\nname=rois\nnum=20\npositive_fraction=1\nmax=3\n" +
         head("", "rois", 12, "max=3\n" + keys);
}

NetworkOptions on_device(Device device, bool training = true, Precision precision = Precision::fp32) {
  NetworkOptions options;
  options.build.training = training;
  options.build.device = device;
  options.precision = precision;
  return options;
}

// Images with truths, and RoIs about them and elsewhere; the second image has fewer of both.
void fill(Network& network, uint64_t seed = 5) {
  fill_randomly(network.input(), seed);
  network.step().seed = 11;
  network.step().pass = 3;
  const Truths& truths = network.truths();
  const Proposals& given = network.proposals();
  const bool with_truths = truths.boxes.size() > 0;  // a network for inference has no room for any
  for (int n = 0; n < network.input().shape.n; ++n) {
    const int objects = 3 - n % 2;
    if (with_truths) truths.counts[n] = objects;
    given.counts[n] = given.boxes.shape.w - 2 * n;
    for (int i = 0; i < given.counts[n]; ++i) {
      const int t = i % objects;
      const CentreBox object = {.25f + .25f * float(t), .3f + .2f * float(t), .2f + .15f * float(t), .4f};
      const float row[] = {object.x, object.y, object.w, object.h, float(t)};
      if (with_truths && i < objects) std::copy_n(row, 5, &truths.boxes(n, 0, i, 0));
      Random random(seed, Purpose::test, uint64_t(n), uint64_t(i));
      const float shift = i % 2 ? .03f : .3f;
      const float roi[] = {object.x + random.uniform(-shift, shift), object.y + random.uniform(-shift, shift),
                           object.w * random.uniform(.8f, 1.2f), object.h * random.uniform(.8f, 1.2f), .5f};
      std::copy_n(roi, 5, &given.boxes(n, 0, i, 0));
    }
  }
}

struct Pass {
  std::vector<LossReport> reports;
  std::map<std::string, std::vector<float>> gradients;

  double loss() const {
    double sum = 0;
    for (const LossReport& r : reports) sum += r.loss;
    return sum;
  }
};

double loss_of(Network& network) {
  network.clear_losses();
  network.forward();
  Pass pass{network.losses(), {}};
  return pass.loss();
}

Pass training_pass(Network& network) {
  network.parameters().zero_gradients();
  network.clear_losses();
  network.forward();
  network.backward();
  network.wait();
  Pass pass{network.losses(), {}};
  network.parameters().download_gradients();
  for (const ParameterSpan& span : network.parameters().spans())
    pass.gradients[span.name] = copy_of(network.parameters().gradient(span));
  return pass;
}

int index_of(const Network& network, const std::string& name) {
  for (size_t i = 0; i < network.nodes().size(); ++i)
    if (network.nodes()[i].name == name) return int(i);
  ADD_FAILURE() << "no layer is called " << name;
  return 0;
}
std::vector<RoiRow> table_of(const Network& network, const std::string& name) {
  const int layer = index_of(network, name);
  const std::vector<float> values = network.read(layer);
  const View<const float> table = {values.data(), network.nodes()[size_t(layer)].output};
  std::vector<RoiRow> rows;
  for (int i = 0; i < table.shape.rows(); ++i) rows.push_back(roi_of_row(table, i));
  return rows;
}

NetworkOptions keeping_all(NetworkOptions options) {
  options.keep_all = true;
  return options;
}

TEST(TwoStage, ProposalsBecomeATableOfBoxesWithinTheInput) {
  for (Device device : {Device::cpu, Device::cuda}) {
    PlannedNetwork network(kNet + "[convolutional]\nfilters=1\n[proposals]\nnum=4\nname=given\n", 2, 32, 16,
                           keeping_all(on_device(device, false)));
    const Proposals& given = network.proposals();
    ASSERT_EQ(given.boxes.shape, (Shape{2, 1, 4, 5}));
    const float rows[][5] = {{.5f, .5f, .5f, .25f, .9f},
                             {1.5f, .5f, .5f, .5f, .8f},  // outside
                             {.5f, .5f, 0, .5f, .7f},     // without area
                             {.125f, .5f, .5f, 2, .6f}};  // hangs over three edges
    for (int r = 0; r < 4; ++r) std::copy_n(rows[r], 5, &given.boxes(0, 0, r, 0));
    given.counts[0] = 4;
    given.counts[1] = 0;
    network.forward();
    const std::vector<RoiRow> table = table_of(network, "given");
    ASSERT_EQ(table.size(), 8u);
    const auto expect_box = [](const RoiRow& roi, Box want, float score) {
      EXPECT_EQ(roi.box.x1, want.x1);
      EXPECT_EQ(roi.box.y1, want.y1);
      EXPECT_EQ(roi.box.x2, want.x2);
      EXPECT_EQ(roi.box.y2, want.y2);
      EXPECT_EQ(roi.score, score);
      EXPECT_EQ(roi.match, kBackground);
    };
    expect_box(table[0], {8, 6, 24, 10}, .9f);
    expect_box(table[1], {0, 0, 12, 16}, .6f);
    for (size_t r = 2; r < 8; ++r) EXPECT_EQ(table[r].match, kNoRoi) << r;
  }
}

TEST(TwoStage, SamplerTakesPositivesFirstAndTruthsAmongThem) {
  for (Device device : {Device::cpu, Device::cuda}) {
    PlannedNetwork network(toy(), 2, 32, 32, keeping_all(on_device(device)));
    fill(network);
    network.forward();
    const std::vector<RoiRow> rois = table_of(network, "rois");
    ASSERT_EQ(rois.size(), 16u);
    for (int n = 0; n < 2; ++n) {
      const Truths& truths = network.truths();
      int positives = 0, last_positive = -1;
      for (int r = 0; r < 8; ++r) {
        const RoiRow& roi = rois[size_t(8 * n + r)];
        ASSERT_NE(roi.match, kIgnored);
        ASSERT_LT(roi.match, truths.counts[n]);
        float best = 0;
        for (int t = 0; t < truths.counts[n]; ++t) {
          const float* b = &truths.boxes(n, 0, t, 0);
          const float overlap = iou(roi.box, scaled(corners({b[0], b[1], b[2], b[3]}), 32, 32));
          best = std::max(best, overlap);
          if (t == roi.match) {
            EXPECT_GE(overlap, .5f);
          }
        }
        if (roi.match == kBackground) {
          EXPECT_LT(best, .5f);
        }
        if (roi.match >= 0) ++positives, last_positive = r;
      }
      EXPECT_EQ(positives, 4) << "half of 8, and there are as many";
      EXPECT_EQ(last_positive, 3);
    }
  }
}

TEST(TwoStage, SamplerDrawsAnewInEachPass) {
  PlannedNetwork network(toy(), 2, 32, 32, keeping_all(on_device(Device::cpu)));
  fill(network);
  const auto draw = [&](int64_t pass) {
    network.step().pass = pass;
    network.forward();
    return network.read(index_of(network, "rois"));
  };
  const std::vector<float> first = draw(1);
  EXPECT_NE(draw(2), first);
  EXPECT_EQ(draw(1), first);
}

TEST(TwoStage, WithoutTruthsAllIsBackgroundAndBackgroundBelowTheLeastIsIgnored) {
  for (const std::string key : {"", "background_low=0.1\n"}) {
    PlannedNetwork network(kBackbone + "[roi_sampler]\nname=rois\nnum=8\n" + key + head("", "rois", 12, ""),
                           2, 32, 32, keeping_all(on_device(Device::cpu)));
    fill(network);
    network.truths().counts[0] = network.truths().counts[1] = 0;
    network.forward();
    for (const RoiRow& roi : table_of(network, "rois"))
      EXPECT_EQ(roi.match, key.empty() ? kBackground : kNoRoi);
    if (key.empty()) continue;
    const Pass pass = training_pass(network);
    EXPECT_EQ(pass.loss(), 0);
    for (const auto& [name, gradient] : pass.gradients)
      for (float g : gradient) ASSERT_EQ(g, 0) << name;
  }
}

// Each RoI is pooled from the map that its size asks for, and from no other.
TEST(TwoStage, RoisArePooledFromTheMapOfTheirLevel) {
  for (const std::string pool : {"roi_align", "roi_pool"})
    for (Device device : {Device::cpu, Device::cuda}) {
      const std::string keys = "size_h=2\nsize_w=3\ncanonical_level=3\ncanonical_size=12\n";
      PlannedNetwork network(kBackbone + "[" + pool + "]\nname=both\nfrom=given,c2,c3\n" + keys + "[" + pool +
                                 "]\nname=fine\nfrom=given,c2\n" + keys + "[" + pool +
                                 "]\nname=coarse\nfrom=given,c3\n" + keys,
                             2, 32, 32, keeping_all(on_device(device, false)));
      fill(network);
      network.forward();
      const auto read = [&](const std::string& name) { return network.read(index_of(network, name)); };
      const std::vector<float> both = read("both"), fine = read("fine"), coarse = read("coarse");
      const std::vector<RoiRow> rois = table_of(network, "given");
      ASSERT_EQ(network.nodes()[4].output, (Shape{24, 2, 3, 8}));
      const size_t values = 2 * 3 * 8;
      int of_fine = 0, of_coarse = 0;
      for (size_t r = 0; r < rois.size(); ++r) {
        const bool there = rois[r].match != kNoRoi, small = std::sqrt(area(rois[r].box)) < 12;
        of_fine += there && small;
        of_coarse += there && !small;
        for (size_t i = r * values; i < (r + 1) * values; ++i)
          ASSERT_EQ(both[i], !there ? 0 : small ? fine[i] : coarse[i]) << "RoI " << r;
      }
      EXPECT_GT(of_fine, 2);
      EXPECT_GT(of_coarse, 2);
    }
}

// The report's loss against every parameter, by central differences: what is matched and chosen depends on
// the RoIs alone, which are given. Forward passes in float leave noise of about 1e-6 / 1e-2.
void expect_gradient(const std::string& cfg) {
  SCOPED_TRACE(cfg);
  PlannedNetwork network(cfg, 2, 32, 32, on_device(Device::cpu));
  fill(network);
  const Pass pass = training_pass(network);
  EXPECT_GT(pass.reports.back().matched, 2);
  constexpr float kStep = 1e-2f;
  for (const ParameterSpan& span : network.parameters().spans()) {
    if (span.info.role == Role::statistic) continue;  // frozen batch norm's
    const View<float> value = network.parameters().value(span);
    const std::vector<float>& got = pass.gradients.at(span.name);
    double largest = 0;
    for (int i = 0; i < value.size(); i += 1 + value.size() / 40) {
      const float before = value[i];
      value[i] = before + kStep;
      const double above = loss_of(network);
      value[i] = before - kStep;
      const double below = loss_of(network);
      value[i] = before;
      const double want = (above - below) / (2 * kStep);
      largest = std::max(largest, std::fabs(want));
      ASSERT_NEAR(got[size_t(i)], want, 2e-3 * std::max(1.0, std::fabs(want))) << span.name << " at " << i;
    }
    EXPECT_GT(largest, 1e-3) << span.name << " is not taught";
  }
}

TEST(TwoStage, GradientOfTheBackboneIsThatOfTheLoss) {
  expect_gradient(toy());
  expect_gradient(toy("box_loss=giou\nbackground=first\nbox_weight=3\nclass_weight=0.5\n", 16));
  expect_gradient(toy("class_specific=0\nsmooth_l1_beta=1\n", 4, "roi_pool"));
  expect_gradient(kBlockOnRois);
  expect_gradient(mined("sampler=ohem\nnum=6\nhard_nms=1\n"));
}

// Float sums in another order: a few units in the last place of the largest.
void expect_parity(const std::string& cfg) {
  SCOPED_TRACE(cfg);
  PlannedNetwork on_cpu(cfg, 2, 32, 32, on_device(Device::cpu));
  fill(on_cpu);
  const Pass want = training_pass(on_cpu);
  for (auto order : {emulation::Order::forward, emulation::Order::reverse, emulation::Order::shuffled}) {
    emulation::set_order(order);
    PlannedNetwork network(cfg, 2, 32, 32, on_device(Device::cuda));
    fill(network);
    const Pass got = training_pass(network);
    for (size_t i = 0; i < want.reports.size(); ++i) {
      EXPECT_NEAR(got.reports[i].loss, want.reports[i].loss, 1e-5 * std::fabs(want.reports[i].loss));
      EXPECT_NEAR(got.reports[i].iou, want.reports[i].iou, 1e-5 * std::fabs(want.reports[i].iou));
      EXPECT_EQ(got.reports[i].matched, want.reports[i].matched);
    }
    for (const auto& [name, gradient] : want.gradients) {
      float largest = 0;
      for (float g : gradient) largest = std::max(largest, std::fabs(g));
      for (size_t i = 0; i < gradient.size(); ++i)
        ASSERT_NEAR(got.gradients.at(name)[i], gradient[i], 2e-5f * largest + 1e-7f) << name << " at " << i;
    }
  }
  emulation::set_order(emulation::Order::forward);
}

TEST(TwoStage, DevicesTeachTheSame) {
  expect_parity(toy());
  expect_parity(toy("box_loss=nwd\nbackground=first\n", 16, "roi_pool"));
  expect_parity(kCascade);
  expect_parity(kBlockOnRois);
  expect_parity(mined("sampler=ohem\nnum=6\n"));
}

TEST(TwoStage, Bf16TeachesNearlyTheSame) {
  PlannedNetwork in_floats(toy(), 2, 32, 32, on_device(Device::cuda));
  PlannedNetwork network(toy(), 2, 32, 32, on_device(Device::cuda, true, Precision::bf16));
  EXPECT_EQ(network.nodes()[size_t(index_of(network, "c2"))].output_type, Type::bf16);
  EXPECT_EQ(network.nodes()[size_t(index_of(network, "rois"))].output_type, Type::f32);
  EXPECT_EQ(network.nodes()[size_t(index_of(network, "rois")) + 1].output_type, Type::bf16);
  fill(in_floats);
  fill(network);
  const Pass want = training_pass(in_floats), got = training_pass(network);
  EXPECT_NEAR(got.loss(), want.loss(), .02 * want.loss());  // some dozen roundings of 2^-8, which average out
  for (const auto& [name, gradient] : want.gradients) {
    const std::vector<float>& other = got.gradients.at(name);
    const auto dot = [](const auto& a, const auto& b) {
      return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
    };
    EXPECT_GT(dot(gradient, other), .99 * std::sqrt(dot(gradient, gradient) * dot(other, other))) << name;
  }
}

// What each RoI costs, of the first image, where all of them learn: the losses by which they are ranked,
// times the factor that makes their mean.
struct Ranked {
  std::vector<RoiRow> rois;
  std::vector<float> costs;
};
Ranked ranked(const std::string& keys) {
  PlannedNetwork network(mined(keys), 2, 32, 32, keeping_all(on_device(Device::cpu)));
  fill(network);
  network.forward();
  Ranked all{table_of(network, "rois"), network.read(int(network.nodes().size()) - 1)};
  all.rois.resize(20);
  all.costs.resize(20);
  return all;
}

// The places with the largest costs, none of which overlaps one before by more than `most`.
std::vector<size_t> hardest(const Ranked& all, size_t count, float most) {
  std::vector<size_t> order, chosen;
  for (size_t i = 0; i < all.rois.size(); ++i)
    if (all.rois[i].match != kNoRoi) order.push_back(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return all.costs[a] > all.costs[b]; });
  for (const size_t i : order) {
    const bool beside = std::any_of(chosen.begin(), chosen.end(), [&](size_t better) {
      return iou(all.rois[i].box, all.rois[better].box) > most;
    });
    if (!beside && chosen.size() < count) chosen.push_back(i);
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

TEST(TwoStage, OhemTeachesTheRoisThatDoWorst) {
  const Ranked all = ranked("");
  for (const auto& [most, number] : {std::pair(1.f, 5), {.7f, 5}, {.3f, 3}, {.7f, 100}}) {
    SCOPED_TRACE(most);
    const std::vector<size_t> want = hardest(all, size_t(number), most);
    for (Device device : {Device::cpu, Device::cuda}) {
      PlannedNetwork network(mined(fmt::format("sampler=ohem\nnum={}\nhard_nms={}\n", number, most)), 2, 32,
                             32, keeping_all(on_device(device)));
      fill(network);
      network.forward();
      const std::vector<float> costs = network.read(int(network.nodes().size()) - 1);
      std::vector<size_t> got;
      double mean = 0;
      for (size_t i = 0; i < 20; ++i)
        if (costs[i] > 0) got.push_back(i), mean += costs[i];
      EXPECT_EQ(got, want);
      EXPECT_GT(mean, 0);
    }
  }
  EXPECT_NE(hardest(all, 5, 1), hardest(all, 5, .7f)) << "suppression is not tested";
  EXPECT_LT(hardest(all, 100, .7f).size(), hardest(all, 100, 1).size());
}

// As in mmdetection, objects have a part of their own.
TEST(TwoStage, OhemCanChooseObjectsApart) {
  const Ranked all = ranked("");
  PlannedNetwork network(mined("sampler=ohem\nnum=6\nhard_nms=1\npositive_fraction=0.5\n"), 2, 32, 32,
                         keeping_all(on_device(Device::cpu)));
  fill(network);
  network.forward();
  const std::vector<float> costs = network.read(int(network.nodes().size()) - 1);
  for (const bool object : {false, true}) {
    Ranked kind;
    std::vector<size_t> places, got;
    for (size_t i = 0; i < 20; ++i) {
      if (all.rois[i].match == kNoRoi || (all.rois[i].match >= 0) != object) continue;
      kind.rois.push_back(all.rois[i]);
      kind.costs.push_back(all.costs[i]);
      if (costs[i] > 0) got.push_back(kind.rois.size() - 1);
    }
    EXPECT_EQ(got, hardest(kind, 3, 1)) << (object ? "objects" : "background");
    EXPECT_GT(kind.rois.size(), 3u);
  }
}

// The mean is over those that learn: a network that learns from one RoI of each image has the worst ones'
// loss.
TEST(TwoStage, OhemTakesTheMeanOverThoseThatLearn) {
  const std::string most = "sampler=ohem\nhard_nms=1\nnum=";
  double loss[3];
  const int numbers[] = {1, 2, 1000};
  for (int k = 0; k < 3; ++k) {
    PlannedNetwork network(mined(most + std::to_string(numbers[k]) + "\n"), 2, 32, 32,
                           on_device(Device::cpu));
    fill(network);
    loss[k] = loss_of(network);
  }
  EXPECT_GT(loss[0], loss[1]);
  EXPECT_GT(loss[1], loss[2]);
  PlannedNetwork network(mined(""), 2, 32, 32, on_device(Device::cpu));
  fill(network);
  EXPECT_NEAR(loss[2], loss_of(network), 1e-5 * loss[2]);  // all of them, by another way
}

TEST(TwoStage, TrainingLowersTheLoss) {
  for (const std::string& cfg : {toy(), kCascade}) {
    PlannedNetwork network(cfg, 2, 32, 32, on_device(Device::cpu));
    fill(network);
    const double first = loss_of(network);
    for (int step = 0; step < 100; ++step) {
      const Pass pass = training_pass(network);
      for (const ParameterSpan& span : network.parameters().spans())
        for (int i = 0; i < span.shape.size(); ++i)
          network.parameters().value(span)[i] -= .1f * pass.gradients.at(span.name)[size_t(i)];
    }
    EXPECT_LT(loss_of(network), .5 * first);
  }
}

TEST(TwoStage, SaysWhetherProposalsAreToBeGiven) {
  const PlannedNetwork network(toy(), 2, 32, 32, on_device(Device::cpu, false));
  EXPECT_TRUE(network.takes_proposals());
  EXPECT_EQ(network.proposal_capacity(), 12);
  const PlannedNetwork without(kNet + "[convolutional]\nfilters=1\n");
  EXPECT_FALSE(without.takes_proposals());
  EXPECT_EQ(without.proposal_capacity(), 0);
}

// In detection the sampler lets all RoIs pass, and what the kernels list is what the host decodes.
TEST(TwoStage, DetectionsOfBothDevicesAgree) {
  for (const std::string& cfg : {toy(), toy("class_specific=0\n", 4), kCascade, kBlockOnRois}) {
    SCOPED_TRACE(cfg);
    std::vector<std::vector<Detection>> of_device[2];
    for (Device device : {Device::cpu, Device::cuda}) {
      PlannedNetwork network(cfg, 2, 32, 32, on_device(device, false));
      fill(network);
      Detector detector(network, {.2f, .5f, {}});
      of_device[int(device)] = detector.run();
    }
    for (size_t n = 0; n < 2; ++n) {
      const auto &want = of_device[0][n], &got = of_device[1][n];
      EXPECT_GT(want.size(), 2u);
      ASSERT_EQ(got.size(), want.size());
      for (size_t i = 0; i < want.size(); ++i) {
        EXPECT_EQ(got[i].class_id, want[i].class_id);
        EXPECT_NEAR(got[i].score, want[i].score, 1e-5f);
        EXPECT_NEAR(got[i].box.x1, want[i].box.x1, 1e-5f);
        EXPECT_NEAR(got[i].box.y2, want[i].box.y2, 1e-5f);
        EXPECT_LE(want[i].box.x2, 1.00001f) << "boxes are clipped to the image, here of one pixel";
      }
    }
  }
}

TEST(TwoStage, RefinedRoisAreThoseOfTheDeltas) {
  PlannedNetwork network(kCascade, 2, 32, 32, keeping_all(on_device(Device::cpu, false)));
  fill(network);
  network.forward();
  const std::vector<RoiRow> before = table_of(network, "rois"), after = table_of(network, "rcnn1");
  const std::vector<float> deltas = network.read(index_of(network, "boxes1"));
  int moved = 0;
  for (size_t r = 0; r < before.size(); ++r) {
    if (before[r].match == kNoRoi) {
      EXPECT_EQ(after[r].match, kNoRoi);
      continue;
    }
    const float* d = &deltas[4 * r];
    const CentreBox a = centre(before[r].box);
    const CentreBox want = {a.x + d[0] / 10 * a.w, a.y + d[1] / 10 * a.h, a.w * std::exp(d[2] / 5),
                            a.h * std::exp(d[3] / 5)};
    const Box inside = corners(want);
    EXPECT_NEAR(after[r].box.x1, std::max(inside.x1, 0.f), 1e-4f);
    EXPECT_NEAR(after[r].box.y2, std::min(inside.y2, 32.f), 1e-4f);
    EXPECT_EQ(after[r].match, kBackground);
    moved += after[r].box.x1 != before[r].box.x1;
  }
  EXPECT_GT(moved, 10);
}

TEST(TwoStage, WorkIsCountedForAllRoisOfAnImage) {
  PlannedNetwork network(toy(), 2, 32, 32, on_device(Device::cpu));
  const auto& nodes = network.nodes();
  const int first = index_of(network, "rois") + 2;
  EXPECT_EQ(nodes[size_t(first)].layer->summary().flops, 8 * 2.0 * (3 * 3 * 8) * 16);
  EXPECT_EQ(nodes[0].layer->summary().flops, 2.0 * 27 * 6 * 16 * 16);
}

std::string error(const std::string& cfg) {
  return error_of([&] {
    Network network = network_of(cfg);
    network.plan(2, 32, 32);
  });
}

TEST(TwoStage, MessagesSayWhatIsExpected) {
  expect_in("[roi_align] from must name a layer that makes RoIs and then one or more maps",
            error(kBackbone + "[roi_align]\nfrom=given\n"));
  expect_in(
      "[roi_align] input 1 of `from` must be a layer that makes RoIs, such as [rpn] or [proposals], not",
      error(kBackbone + "[roi_align]\nfrom=c2,given\n"));
  expect_in("[roi_align] the maps must come finest first",
            error(kBackbone + "[roi_align]\nfrom=given,c3,c2\n"));
  expect_in("[roi_sampler] background must not be more than foreground",
            error(kBackbone + "[roi_sampler]\nbackground=0.6\n"));
  expect_in("[rcnn] input 2 must have 12 channels, not 8", error(toy("", 8)));
  expect_in(
      "[rcnn] input 1 must have a row for each of 2 x 12 RoIs, but is 16x1x1x4",
      error(kSampled + head("", "rois", 12, "").replace(head("", "rois", 12, "").rfind("rois"), 4, "given")));
  expect_in("num needs sampler=ohem here; [roi_sampler] has keys of its own", error(toy("num=64\n")));
  expect_in("[proposals] from has no meaning here", error(kBackbone + "[proposals]\nfrom=c2\n"));
}

}  // namespace
}  // namespace osprey
