// The kernels of Darknet's heads against their CPU loops, in the emulation's three orders of threads.
#include <gtest/gtest.h>

#include <cmath>

#include "core/random.h"
#include "cuda/emulation.h"
#include "tests/data/temporary.h"
#include "tests/layers/harness.h"

namespace osprey {
namespace {

struct Case {
  std::string cfg;
  Shape shape;
};

constexpr int kTruths = 8;

// One class, several, and more than a warp has lanes; one cell and several; rows of 6, 8 and 85 numbers.
const std::string kYolo = "[yolo]\nmax=8\nnum=3\nanchors=4,4, 16,8, 12,20\n";
const std::string kRegion = "[region]\nmax=8\nnum=2\nanchors=1,2, 2,1\n";
const std::string kGaussian = "[Gaussian_yolo]\nmax=8\nnum=3\nanchors=4,4, 16,8, 12,20\n";
const std::string kDetection = "[detection]\nmax=8\nside=3\n";
const Case kCases[] = {
    {kYolo + "classes=1", {1, 1, 1, 18}},
    {kYolo + "classes=3\nmask=2,0\nscale_x_y=1.5", {2, 3, 2, 16}},
    {kYolo + "classes=80\nmask=2", {2, 2, 2, 85}},
    {kYolo + "classes=3\niou_loss=ciou\niou_thresh=.2\nignore_thresh=.3\nmax_delta=.5", {2, 3, 3, 24}},
    {kYolo + "classes=3\niou_loss=giou\niou_thresh=.1\niou_thresh_kind=diou\ndelta_normalizer=.3",
     {2, 3, 3, 24}},
    {kYolo + "classes=3\niou_loss=diou\ntruth_thresh=.2\nfocal_loss=1", {2, 3, 3, 24}},
    {kYolo + "classes=3\niou_thresh=.2\ntruth_thresh=.3\nobjectness_smooth=1\nignore_thresh=.1\n"
             "label_smooth_eps=.1",
     {2, 3, 3, 24}},
    {kYolo + "classes=3\ncounters_per_class=9,3,1\nmax_delta=5\ncls_normalizer=.7\niou_thresh=.2\n"
             "obj_normalizer=.4\niou_loss=iou\niou_normalizer=.2",
     {3, 2, 3, 24}},
    {kYolo + "classes=3\nnew_coords=1\niou_loss=ciou\niou_thresh=.2", {2, 3, 3, 24}},
    {kYolo + "classes=3\nscale_x_y=1.5\niou_loss=nwd\niou_normalizer=5\nsimilarity=nwd\niou_thresh=.2",
     {2, 3, 3, 24}},
    {kYolo + "classes=3\nfeedback=1\nfeedback_threshold=1\nfeedback_area=150", {2, 3, 3, 24}},
    {kYolo + "classes=3\niou_loss=giou\niou_thresh=.2\nfeedback=1\nfeedback_threshold=.9\n"
             "feedback_strength=3\nfeedback_momentum=.5\nfeedback_area=150",
     {2, 3, 3, 24}},
    {kYolo + "classes=3\nnew_coords=1\niou_loss=nwd\nnwd_constant=4\nmax_delta=.05", {2, 3, 3, 24}},
    {"[yolo]\nmax=8\nnum=3\nanchors=4,4, 8,8, 8,8\nclasses=3", {2, 3, 2, 24}},  // of equal anchors the first
    {kRegion + "classes=1\nsoftmax=1", {1, 1, 1, 12}},
    {kRegion + "classes=3\nsoftmax=1\nrescore=1\nbias_match=1\ncoord_scale=2\nobject_scale=5", {2, 3, 2, 16}},
    {kRegion + "classes=80\nsoftmax=1\nclass_scale=.5\nnoobject_scale=.5", {2, 2, 2, 170}},
    {kRegion + "classes=3\nclassfix=-1\nsoftmax=1\nfocal_loss=1", {2, 3, 2, 16}},
    {kRegion + "classes=3\nclassfix=1\nthresh=.2", {2, 3, 2, 16}},
    {kRegion + "classes=3\nclassfix=2\nthresh=.1\nsoftmax=1\nfocal_loss=1", {2, 3, 2, 16}},
    {kRegion + "classes=3\nbackground=1\nsoftmax=1\nthresh=.2\nobject_scale=3", {2, 3, 2, 16}},
    {kGaussian + "classes=1", {1, 1, 1, 30}},
    {kGaussian + "classes=3\nmask=2,0\nscale_x_y=1.5\nyolo_point=left_top\nuc_normalizer=.3", {2, 3, 2, 24}},
    {kGaussian + "classes=40\niou_loss=giou\nyolo_point=right_bottom", {2, 2, 2, 147}},
    {kGaussian + "classes=3\niou_loss=ciou\niou_thresh=.2\ntruth_thresh=.3\nignore_thresh=.2\nmax_delta=.4\n"
                 "objectness_smooth=1\ncounters_per_class=9,3,1",
     {2, 3, 3, 36}},
    {kDetection + "num=1\nclasses=1", {1, 1, 1, 54}},
    {kDetection + "num=2\nclasses=3\nrescore=1\nsqrt=1\ncoord_scale=5\nnoobject_scale=.5", {2, 1, 1, 117}},
    {kDetection + "num=3\nclasses=40\nsoftmax=1", {2, 1, 1, 495}},
    {kDetection + "num=2\nclasses=3\nforced=1", {2, 3, 3, 13}},
    {kDetection + "num=3\nclasses=3\nrandom=1", {2, 1, 1, 162}},
};

// Seven classes: 0 and 1, of which 0 has the children 2, 3, 4, and 3 has 5, 6.
const char* const kTree = "a -1\nb -1\nc 0\nd 0\ne 0\nf 3\ng 3\n";

// Image 0 has as many as there is room for, the next one less each, the last none. Several share a cell, some
// are equal in all, or in all but the class; the last places hold corners of the image, and some that cannot
// be learnt. Sizes are coarse, so that overlaps tie.
void fill_truths(SingleLayer& layer, int classes, uint64_t seed) {
  const int images = layer.output().n;
  ASSERT_EQ(layer.truth_capacity(), kTruths);
  for (int n = 0; n < images; ++n) {
    layer.truth_counts[n] = n == 0 ? kTruths : n == images - 1 ? 0 : kTruths - n;
    for (int t = 0; t < kTruths; ++t) {
      Random random(seed, Purpose::test, n, t / 2);
      float* truth = &layer.truths[(size_t(n) * kTruths + t) * 5];
      for (int e = 0; e < 4; ++e) truth[e] = float(1 + random.below(6)) / 8;
      if (t == kTruths - 1) truth[0] = truth[1] = 1;
      if (t == kTruths - 2) truth[0] = truth[1] = 0;
      if (t == kTruths - 3) truth[2] = 0;
      truth[4] = float(t == 1 ? random.below(classes) : t == kTruths - 4 ? classes : t % classes);
    }
  }
}

// The cases of trees and maps, which are files.
std::vector<Case> cases_with(const Temporary& folder) {
  const std::string tree = "\ntree=" + folder.write("7.tree", kTree);
  const std::string map = "\nmap=" + folder.write("3.map", "6\n0\n4\n");
  return {{kRegion + "classes=7" + tree, {2, 3, 2, 24}},
          {kRegion + "classes=7\nclassfix=2\nthresh=.1\nclass_scale=2" + tree, {2, 3, 2, 24}},
          {kRegion + "classes=7\nrescore=1" + tree + map, {2, 2, 2, 24}},
          {kRegion + "classes=7\nsoftmax=1" + map, {2, 2, 2, 24}},
          {kYolo + "classes=7\niou_thresh=.2" + map, {2, 2, 2, 36}}};
}

struct Told {
  Values y, delta, added;
  LossReport report;
};

Told run(const Case& test, Device device, int64_t seen, uint64_t seed) {
  SingleLayer layer(test.cfg, {test.shape}, device);
  layer.step.seen = seen;
  const size_t classes_at = test.cfg.find("classes=") + 8;
  fill_truths(layer, std::stoi(test.cfg.substr(classes_at)), seed);
  Values x = random_values(test.shape, seed);
  const bool activated = test.cfg.find("new_coords") != std::string::npos;
  for (float& v : x) v = activated ? std::round(v * 8) / 32 + .5f : std::round(v * 8) / 4;
  layer.report_before.loss = 3;  // not zero: heads add to the report of the step
  layer.report_before.iou = 2;
  Told result;
  // Feedback begins with the second step, and its share moves in each.
  if (test.cfg.find("feedback=1") != std::string::npos)
    for (int step = 0; step < 2; ++step) layer.forward(random_values(test.shape, seed + 10 + step));
  result.y = layer.forward(x);
  result.report = layer.report;
  const Values dy(x.size(), 0);
  result.added = layer.backward(dy, {random_values(test.shape, 5)})[0];
  result.delta = layer.backward_overwriting(dy)[0];
  return result;
}

// The same formulas, but a compiler may fuse other multiplications and additions: a few roundings of values
// up to 4, and for the sums over a softmax another order. The report adds in double, in another order.
constexpr Tolerance kRounding = {4e-6f, 2e-6f};

void expect_close(double got, double want) { EXPECT_NEAR(got, want, 1e-5 * std::fabs(want) + 1e-9); }

void expect_same_learning(const std::vector<Case>& cases) {
  for (const Case& test : cases) {
    for (const uint64_t seed : {3, 4, 5, 6}) {
      const int64_t seen = seed % 2 ? 0 : 20000;
      SCOPED_TRACE(test.cfg + "\non " + test.shape.text());
      const Told want = run(test, Device::cpu, seen, seed);
      EXPECT_GT(want.report.matched, 0);
      for (auto order : {emulation::Order::forward, emulation::Order::reverse, emulation::Order::shuffled}) {
        SCOPED_TRACE("order " + std::to_string(int(order)));
        emulation::set_order(order);
        const Told got = run(test, Device::cuda, seen, seed);
        expect_equal(got.y, want.y, kRounding);
        expect_equal(got.delta, want.delta, kRounding);
        expect_equal(got.added, want.added, kRounding);
        EXPECT_EQ(got.report.matched, want.report.matched);
        expect_close(got.report.loss, want.report.loss);
        expect_close(got.report.iou, want.report.iou);
        expect_close(got.report.box_loss, want.report.box_loss);
        expect_close(got.report.class_loss, want.report.class_loss);
        expect_close(got.report.objectness_loss, want.report.objectness_loss);
      }
      emulation::set_order(emulation::Order::forward);
    }
  }
}

TEST(HeadKernels, LearnWhatTheLoopsLearn) { expect_same_learning({std::begin(kCases), std::end(kCases)}); }

TEST(HeadKernels, LearnTreesAndMapsAsTheLoopsDo) {
  const Temporary folder;
  expect_same_learning(cases_with(folder));
}

// More slopes than one block sums, and a last part that is not full.
TEST(HeadKernels, ReportIsSummedOverAllParts) {
  const Case test = {kYolo + "classes=80", {2, 9, 7, 255}};
  const Told want = run(test, Device::cpu, 0, 4), got = run(test, Device::cuda, 0, 4);
  EXPECT_EQ(got.report.matched, want.report.matched);
  expect_close(got.report.loss, want.report.loss);
  expect_close(got.report.class_loss, want.report.class_loss);
  expect_close(got.report.iou, want.report.iou);
  expect_equal(got.delta, want.delta, kRounding);
}

}  // namespace
}  // namespace osprey
