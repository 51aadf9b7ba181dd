// Which truth each anchor is matched with, by the CPU's loops and by the kernels.
#include "core/box_coder.h"
#include "cuda/matching_atss.h"
#include "cuda/matching_max_iou.h"
#include "cuda/matching_paa.h"
#include "cuda/matching_ranking.h"
#include "cuda/matching_ssd.h"
#include "tests/cuda/matching_boxes.h"
#include "tests/golden/golden.h"

namespace osprey {
namespace {

std::vector<Box> boxes(const golden::Case& c, const std::string& name) {
  std::vector<Box> all;
  if (!c.has(name)) return all;
  const std::vector<float> corners = c.floats(name);
  for (size_t i = 0; i + 3 < corners.size(); i += 4)
    all.push_back({corners[i], corners[i + 1], corners[i + 2], corners[i + 3]});
  return all;
}

// mmdetection counts truths from 1: 0 is background, -1 ignored.
std::vector<int> counted_from_one(std::vector<int> match) {
  for (int& m : match) m = m >= 0 ? m + 1 : m == kBackground ? 0 : -1;
  return match;
}

// What a matcher reads and writes, for a mini-batch of one image.
struct OneImage {
  explicit OneImage(const golden::Case& c, Device device, const std::string& anchors_name = "anchors")
      : stream{device},
        anchors(boxes(c, anchors_name)),
        truths({boxes(c, "gt")}, int(boxes(c, "gt").size())),
        regions({boxes(c, "gt_ignore")}, 4),
        match(anchors.size()),
        overlap(anchors.size()),
        best(size_t(truths.lists.capacity())) {}

  template <class T>
  static View<T> row(std::vector<T>& values) {
    return {values.data(), {1, 1, 1, int(values.size())}};
  }
  void max_iou(MaxIouRule rule) {
    on(stream, cpu::max_iou_matching, cuda::max_iou_matching)(stream, test::same_for_all_images(anchors),
                                                              truths.lists, regions.lists, rule, row(best),
                                                              row(match), row(overlap));
  }

  Stream stream;
  std::vector<Box> anchors;
  test::OwnBoxLists truths, regions;
  std::vector<int> match;
  std::vector<float> overlap, best;
};

MaxIouRule rule_of(const golden::Case& c) {
  MaxIouRule rule;
  rule.foreground = c.params().at("fg");
  rule.background = c.params().at("bg");
  rule.covered = c.param("ignore_iof", 1.f);
  return rule;
}

// torchvision's and mmdetection's answers to the same anchors. The latter's "minpos0" has no least overlap.
GOLDEN_ON_DEVICES(max_iou_matcher) {
  OneImage image(c, device);
  MaxIouRule rule = rule_of(c);
  const bool low = c.param("low_quality", false);
  if (c.has("tv_match")) {
    rule.low_quality = low ? LowQuality::own_truth : LowQuality::none;
    image.max_iou(rule);
    c.expect("tv_match", image.match);
  }
  if (low) rule.low_quality = LowQuality::their_truth;
  if (c.has("mmdet_gt_inds_minpos0")) {
    image.max_iou(rule);
    c.expect("mmdet_gt_inds_minpos0", counted_from_one(image.match));
  }
  rule.least = c.param("min_pos", rule.background);
  image.max_iou(rule);
  c.expect(c.has("gt_inds") ? "gt_inds" : "mmdet_gt_inds", counted_from_one(image.match));
  if (c.has("max_overlaps")) c.expect("max_overlaps", image.overlap);
}

SimilarityRule similarity_of(const golden::Case& c) {
  SimilarityRule rule;
  const std::string by = c.param("metric", std::string("nwd"));
  rule.by = by == "iou" ? Similarity::iou : by == "dotd" ? Similarity::dotd : Similarity::nwd;
  rule.constant = c.param("C", rule.constant);
  rule.eps = c.param("eps", rule.eps);
  return rule;
}

GOLDEN_ON_DEVICES(nwd_matcher) {
  OneImage image(c, device);
  MaxIouRule rule = rule_of(c);
  rule.similarity = similarity_of(c);
  rule.low_quality = c.param("low_quality", true) ? LowQuality::their_truth : LowQuality::none;
  rule.least = c.param("min_pos", rule.background);
  image.max_iou(rule);
  c.expect("gt_inds", counted_from_one(image.match));
  c.expect("max_overlaps", image.overlap);
}

GOLDEN_ON_DEVICES(ranking_assigner) {
  OneImage image(c, device);
  RankingRule rule;
  rule.similarity = similarity_of(c);
  rule.background = c.param("neg_below", rule.background);
  rule.covered = c.param("ignore_iof", 1.f);
  const int truths = image.truths.lists.capacity(), k = c.params().at("topk");
  std::vector<int> chosen(size_t(truths) * size_t(k));
  on(image.stream, cpu::ranking_matching, cuda::ranking_matching)(
      image.stream, test::same_for_all_images(image.anchors), image.truths.lists, image.regions.lists, rule,
      View<int>(chosen.data(), {1, 1, truths, k}), OneImage::row(image.match), OneImage::row(image.overlap));
  c.expect("gt_inds", counted_from_one(image.match));
  c.expect("max_overlaps", image.overlap);
}

GOLDEN_ON_DEVICES(ssd_matcher) {
  OneImage image(c, device);
  std::vector<int> chosen(size_t(image.truths.lists.capacity()));
  on(image.stream, cpu::ssd_matching, cuda::ssd_matching)(
      image.stream, test::same_for_all_images(image.anchors), image.truths.lists,
      c.params().at("iou").get<float>(), OneImage::row(chosen), OneImage::row(image.match),
      SsdMatching::each);
  c.expect("match", image.match);
}

AnchorLevels levels_of(const golden::Case& c) {
  AnchorLevels levels;
  for (int anchors : c.ints("num_level")) levels.add(anchors);
  return levels;
}

// Classes are counted from 1; 0 is background.
std::vector<int> classes_of(const golden::Case& c, const std::vector<int>& match, int background) {
  const std::vector<int> of_truths = c.ints("gt_labels");
  std::vector<int> classes;
  for (int m : match) classes.push_back(m >= 0 ? of_truths[size_t(m)] : background);
  return classes;
}

// Where an anchor is background, what it should regress to is undefined: as expected.
std::vector<float> inclusive_targets(const golden::Case& c, const OneImage& image) {
  const BoxCoder coder = {10, 5};
  const std::vector<Box> truths = boxes(c, "gt");
  std::vector<float> targets = c.floats("reg_targets");
  for (size_t a = 0; a < image.match.size(); ++a) {
    if (image.match[a] < 0) continue;
    const Deltas d =
        coder.encode(from_inclusive(truths[size_t(image.match[a])]), from_inclusive(image.anchors[a]));
    const float deltas[4] = {d.x, d.y, d.w, d.h};
    std::copy_n(deltas, 4, targets.begin() + 4 * int(a));
  }
  return targets;
}

// The authors' code takes boxes as inclusive; mmdetection does not, and its labels are -1 for background.
GOLDEN_ON_DEVICES(atss) {
  OneImage image(c, device);
  const AnchorLevels levels = levels_of(c);
  AtssRule rule;
  rule.inclusive = c.param("iou", std::string()) == "+1 convention";
  rule.inside = c.param("center_inside_min", rule.inside);
  const int truths = image.truths.lists.capacity(), k = c.params().at("topk");
  std::vector<int> candidates(size_t(truths * levels.count * k));
  on(image.stream, cpu::atss_matching, cuda::atss_matching)(
      image.stream, test::same_for_all_images(image.anchors), levels, image.truths.lists, rule,
      View<int>(candidates.data(), {1, truths, levels.count, k}), OneImage::row(image.best),
      OneImage::row(image.match), OneImage::row(image.overlap));
  c.expect("labels", classes_of(c, image.match, rule.inclusive ? 0 : -1));
  if (c.has("gt_inds")) c.expect("gt_inds", counted_from_one(image.match));
  if (c.has("max_overlaps")) c.expect("max_overlaps", image.overlap);
  if (c.has("reg_targets")) c.expect("reg_targets", inclusive_targets(c, image));
}

std::vector<int> paa_match(Device device, std::vector<int> first, const std::vector<float>& score,
                           const AnchorLevels& levels, int truths, int k, MixtureRule rule) {
  Stream s{device};
  std::vector<int> candidates(size_t(truths * levels.count * k)), ends(size_t(truths), 0),
      match(first.size());
  const test::OwnBoxLists lists({std::vector<Box>(size_t(truths))}, truths);
  on(s, cpu::paa_matching, cuda::paa_matching)(
      s, OneImage::row(first), View<const float>(score.data(), {1, 1, 1, int(score.size())}), levels,
      lists.lists, rule, View<int>(candidates.data(), {1, truths, levels.count, k}), OneImage::row(ends),
      OneImage::row(match));
  return match;
}

// The first matching is given: classes, 0 for background, and truths that hold only where it is not.
GOLDEN_ON_DEVICES(paa) {
  std::vector<int> first = c.ints("match");
  const std::vector<int> classes = c.ints("iou_label");
  for (size_t a = 0; a < first.size(); ++a)
    if (classes[a] <= 0) first[a] = kBackground;
  const std::vector<int> match = paa_match(device, first, c.floats("loss"), levels_of(c),
                                           int(boxes(c, "gt").size()), c.params().at("topk"), {});
  c.expect("labels", classes_of(c, match, 0));
}

// The fit by itself, and what a truth takes whose candidates have these losses.
GOLDEN_ON_DEVICES(gmm_split) {
  const std::vector<float> x = c.floats("losses");
  const int count = int(x.size());
  const MixtureRule rule = {c.params().at("tol"), c.params().at("max_iter"), c.params().at("reg_covar")};
  std::vector<Expectation> expected(x.size());
  MixtureFit fit(*std::min_element(x.begin(), x.end()), *std::max_element(x.begin(), x.end()));
  for (;; fit.improve(x.data(), expected.data(), count, rule)) {
    for (int i = 0; i < count; ++i) expected[i] = expectation(fit.mixture, x[i]);
    if (fit.done(rule)) break;
  }
  const TwoGaussians& m = fit.mixture;
  std::vector<int> component;
  std::vector<double> log_density;
  for (const Expectation& e : expected) {
    component.push_back(e.component());
    log_density.push_back(e.log_density);
  }
  c.expect("means", std::vector<double>{m.mean[0], m.mean[1]});
  c.expect("variances", std::vector<double>{m.variance[0], m.variance[1]});
  c.expect("weights", std::vector<double>{m.weight[0], m.weight[1]});
  c.expect("component", component);
  c.expect("log_density", log_density);
  c.expect_value("n_iter", fit.iterations);
  EXPECT_EQ(fit.converged, c.values().at("converged").get<bool>());

  AnchorLevels one_level;
  one_level.add(count);
  const std::vector<int> match =
      paa_match(device, std::vector<int>(x.size(), 0), x, one_level, 1, count, rule);
  c.expect_value("n_pos", double(std::count(match.begin(), match.end(), 0)));
}

}  // namespace
}  // namespace osprey
