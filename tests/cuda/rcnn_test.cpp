// The second stage's kernels against the CPU's loops, and the loss's slopes against differences.
#include "cuda/rcnn.h"

#include <functional>

#include "cuda/rcnn_ohem.h"
#include "cuda/roi_sampler.h"
#include "cuda/rois.h"
#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

// Runs on the CPU, then on the kernels in all orders; `tolerance` is relative to 1 and the value: the
// devices' exponentials differ in the last bits, and so do sums in another order.
void expect_agreement(const std::function<Values(Stream)>& run, float tolerance) {
  const Values want = run(Stream());
  in_all_orders([&] {
    const Values got = run(Stream{Device::cuda});
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < want.size(); ++i)
      ASSERT_LE(std::fabs(got[i] - want[i]), tolerance * std::max(1.0f, std::fabs(want[i])))
          << "at " << i << ": got " << got[i] << ", want " << want[i];
  });
}

Box some_box(uint64_t seed, int i) {
  Random random(seed, Purpose::test, 5, uint64_t(i));
  const float x = random.uniform(0, 20), y = random.uniform(0, 20);
  return {x, y, x + random.uniform(2, 12), y + random.uniform(2, 12)};
}

// A table of which the images are filled to different degrees, with all kinds of matches.
struct Problem {
  int images, places, most_truths;
  RcnnRule rule;
  Values table, logits, deltas;
  std::vector<Box> truth_boxes;
  std::vector<int> truth_labels, truth_counts;

  Problem(int images, int places, RcnnRule r) : images(images), places(places), most_truths(3), rule(r) {
    rule.width = rule.height = 32;
    const int rows = images * places;
    table.assign(size_t(rows) * kRoiEntries, 0);
    logits = coarse_values(int64_t(rows) * (rule.classes + 1), 3);
    deltas = coarse_values(int64_t(rows) * rule.deltas, 4);
    for (int n = 0; n < images; ++n) {
      truth_counts.push_back(most_truths - n % 2);
      for (int t = 0; t < most_truths; ++t) {
        truth_boxes.push_back(some_box(8, n * most_truths + t));
        truth_labels.push_back((n + t) % (rule.classes + 1));  // the last is a class that nobody has
      }
    }
    for (int row = 0; row < rows; ++row) {
      const int image = row / places, r = row % places;
      if (r >= places - image) {
        set_roi(view(table, {images, 1, places, kRoiEntries}), row, RoiRow());
        continue;
      }
      Box box = some_box(9, row);
      if (r == 2) box.x2 = box.x1;  // without area
      set_roi(view(table, {images, 1, places, kRoiEntries}), row, {box, .5f, r % 6 - 2});
    }
  }

  View<const float> rois() { return constant(table, {images, 1, places, kRoiEntries}); }
  View<const float> logit_rows() { return constant(logits, {images * places, 1, 1, rule.classes + 1}); }
  View<const float> delta_rows() { return constant(deltas, {images * places, 1, 1, rule.deltas}); }
  TruthLists truths() {
    const Shape shape = {images, 1, 1, most_truths};
    return {view(truth_boxes, shape), view(truth_labels, shape), view(truth_counts, {images, 1, 1, 1})};
  }
};

RcnnRule rule_of(int classes, int deltas, bool background_first) {
  RcnnRule rule;
  rule.classes = classes;
  rule.deltas = deltas;
  rule.background_first = background_first;
  rule.class_factor = .5f;
  rule.box_factor = 3;
  return rule;
}

std::vector<Problem> problems() {
  RcnnRule boxes = rule_of(4, 16, false);
  boxes.box_loss.on_deltas = false;
  RcnnRule small = rule_of(2, 4, true);
  small.min_size = 5;
  return {Problem(1, 1, rule_of(1, 4, false)), Problem(3, 9, rule_of(4, 20, true)), Problem(2, 40, boxes),
          Problem(2, 300, small), Problem(1, 5, rule_of(150, 600, false))};
}

struct Targets {
  std::vector<int> labels;
  Values truths, class_weights, box_weights;
  explicit Targets(int rows)
      : labels(size_t(rows), 77),
        truths(size_t(4 * rows), 77),
        class_weights(size_t(rows), 77),
        box_weights(size_t(rows), 77) {}
  RoiTargets view_of() {
    const int rows = int(labels.size());
    const Shape each = {rows, 1, 1, 1};
    return {view(labels, each), view(truths, {rows, 1, 1, 4}), view(class_weights, each),
            view(box_weights, each)};
  }
};

Targets targets_of(Stream& s, Problem& p) {
  Targets targets(p.images * p.places);
  on(s, cpu::rcnn_targets, cuda::rcnn_targets)(s, p.rois(), p.truths(), p.rule, targets.view_of());
  on(s, cpu::rcnn_weights, cuda::rcnn_weights)(s, p.images, p.rule, targets.view_of());
  return targets;
}

void append(Values& to, const Values& more) { to.insert(to.end(), more.begin(), more.end()); }

TEST(Rcnn, TargetsAreThoseOfTheMatches) {
  Problem p(3, 9, rule_of(4, 20, true));
  Stream s;
  const Targets t = targets_of(s, p);
  int counted = 0;
  for (int row = 0; row < 27; ++row) {
    const int image = row / 9, r = row % 9, match = r % 6 - 2;
    const bool there = r < 9 - image;
    int want = RoiTargets::kNothing;
    if (there && match == kBackground) want = 0;
    if (there && match >= 0 && match < p.truth_counts[size_t(image)] && r != 2 &&
        p.truth_labels[size_t(image * 3 + match)] < 4)
      want = 1 + p.truth_labels[size_t(image * 3 + match)];
    EXPECT_EQ(t.labels[size_t(row)], want) << row;
    counted += want >= 0;
  }
  for (int row = 0; row < 27; ++row) {
    EXPECT_FLOAT_EQ(t.class_weights[size_t(row)], t.labels[size_t(row)] >= 0 ? .5f * 3 / float(counted) : 0);
    EXPECT_FLOAT_EQ(t.box_weights[size_t(row)], t.labels[size_t(row)] > 0 ? 3.f * 3 / float(counted) : 0);
  }
}

TEST(Rcnn, KernelsTeachAsTheCpuDoes) {
  for (Problem& p : problems()) {
    SCOPED_TRACE(p.images * 1000 + p.places);
    const int rows = p.images * p.places;
    expect_agreement(
        [&](Stream s) {
          Targets targets = targets_of(s, p);
          Values of_class = coarse_values(rows, 6), of_box(size_t(rows), 77), overlaps(size_t(rows), 77),
                 costs(size_t(rows), 77), ddeltas = coarse_values(int64_t(p.deltas.size()), 7);
          const Shape each = {rows, 1, 1, 1};
          const RoiLosses losses = {view(of_class, each), view(of_box, each), view(overlaps, each)};
          on(s, cpu::rcnn_box_losses, cuda::rcnn_box_losses)(s, p.delta_rows(), p.rois(), targets.view_of(),
                                                             p.rule, losses);
          LossReport report;
          report.loss = 2, report.matched = 1;  // a loss adds
          on(s, cpu::rcnn_report, cuda::rcnn_report)(s, targets.view_of(), losses, p.rule, view(costs, each),
                                                     &report);
          on(s, cpu::rcnn_box_backward, cuda::rcnn_box_backward)(s, p.delta_rows(), p.rois(),
                                                                 targets.view_of(), p.rule,
                                                                 view(ddeltas, {rows, 1, 1, p.rule.deltas}));
          Values all(targets.labels.begin(), targets.labels.end());
          for (const Values& v :
               {targets.truths, targets.class_weights, targets.box_weights, of_box, overlaps, costs, ddeltas})
            append(all, v);
          append(all, {float(report.loss), float(report.class_loss), float(report.box_loss),
                       float(report.iou), float(report.matched)});
          return all;
        },
        2e-6f);
  }
}

TEST(Rcnn, KernelsGatherTheHardestAsTheCpuDoes) {
  for (Problem& p : problems()) {
    SCOPED_TRACE(p.images * 1000 + p.places);
    const int rows = p.images * p.places;
    expect_agreement(
        [&](Stream s) {
          Targets targets = targets_of(s, p);
          Values of_class = coarse_values(rows, 6), of_box = coarse_values(rows, 7), losses(size_t(rows), 77);
          std::vector<Box> boxes(static_cast<size_t>(rows));
          std::vector<int> counts(size_t(p.images), 77), match(size_t(rows), 77);
          const Shape each = {rows, 1, 1, 1}, places = {p.images, 1, 1, p.places};
          on(s, cpu::gather_hard_rois, cuda::gather_hard_rois)(
              s, p.rois(), targets.view_of(), RoiLosses{view(of_class, each), view(of_box, each), {}}, p.rule,
              HardRois{view(boxes, places), view(counts, {p.images, 1, 1, 1}), view(match, places),
                       view(losses, places)});
          for (int i = 0; i < rows; ++i) {
            const int label = targets.labels[size_t(i)];
            EXPECT_EQ(match[size_t(i)], label < 0                      ? kIgnored
                                        : label == p.rule.background() ? kBackground
                                                                       : 0);
            const float object = label == p.rule.background() ? 0 : 3 * of_box[size_t(i)];
            if (label < 0)
              EXPECT_EQ(losses[size_t(i)], SoftNmsRule::kGone);
            else
              EXPECT_NEAR(losses[size_t(i)], .5f * of_class[size_t(i)] + object, 1e-5f);
            losses[size_t(i)] = std::max(losses[size_t(i)], -1e9f);  // infinities have no difference
          }
          Values chosen = coarse_values(rows, 8);
          for (float& v : chosen) v = v > 0 ? 1.f : 0.f;
          on(s, cpu::keep_chosen, cuda::keep_chosen)(s, view(chosen, places), targets.view_of());
          Values all(targets.labels.begin(), targets.labels.end());
          for (int count : counts) all.push_back(float(count));
          for (const Box& b : boxes) append(all, {b.x1, b.y1, b.x2, b.y2});
          append(all, losses);
          return all;
        },
        2e-6f);
  }
}

// Without truths all RoIs that matching calls background teach that, and those that name truths nothing.
TEST(Rcnn, WithoutTruthsThereIsNoBoxLoss) {
  for (Problem& p : problems()) {
    SCOPED_TRACE(p.images * 1000 + p.places);
    p.truth_counts.assign(p.truth_counts.size(), 0);
    for (const Device device : {Device::cpu, Device::cuda}) {
      Stream s{device};
      const int rows = p.images * p.places;
      Targets targets = targets_of(s, p);
      Values ddeltas(p.deltas.size(), 0);
      on(s, cpu::rcnn_box_backward, cuda::rcnn_box_backward)(
          s, p.delta_rows(), p.rois(), targets.view_of(), p.rule, view(ddeltas, {rows, 1, 1, p.rule.deltas}));
      EXPECT_EQ(targets.box_weights, Values(size_t(rows), 0));
      EXPECT_EQ(ddeltas, Values(ddeltas.size(), 0));
      for (int row = 0; row < rows; ++row) {
        const int label = targets.labels[size_t(row)];
        EXPECT_TRUE(label == RoiTargets::kNothing || label == p.rule.background()) << row;
        EXPECT_EQ(targets.class_weights[size_t(row)] > 0, label != RoiTargets::kNothing) << row;
      }
    }
  }
}

// The boxes are of 4 to 144 pixels: the small ones gain by the share so far, and the share moves.
TEST(Rcnn, FeedbackWeighsSmallObjects) {
  for (Problem& p : problems()) {
    SCOPED_TRACE(p.images * 1000 + p.places);
    const int rows = p.images * p.places;
    Stream host;
    const Targets plain = targets_of(host, p);
    Values share = {0};
    p.rule.feedback.on = true;
    p.rule.feedback.rule.small_area = 64;
    p.rule.feedback.rule.enough = .9f;
    p.rule.feedback.share = view(share, {1, 1, 1, 1});
    const auto run = [&](Stream s) {
      share = {.3f};
      Targets targets = targets_of(s, p);
      const Shape each = {rows, 1, 1, 1};
      Values of_class = coarse_values(rows, 6), of_box(size_t(rows), 77), overlaps(size_t(rows), 77),
             costs(size_t(rows), 77);
      const RoiLosses losses = {view(of_class, each), view(of_box, each), view(overlaps, each)};
      on(s, cpu::rcnn_box_losses, cuda::rcnn_box_losses)(s, p.delta_rows(), p.rois(), targets.view_of(),
                                                         p.rule, losses);
      LossReport report;
      on(s, cpu::rcnn_report, cuda::rcnn_report)(s, targets.view_of(), losses, p.rule, view(costs, each),
                                                 &report);
      double small = 0, all = 0;
      for (int i = 0; i < rows; ++i) {
        const Box truth = box_of_row(constant(targets.truths, {rows, 1, 1, 4}), i);
        const float gain = area(truth) <= 64 ? 1 + (1 - .3f / .9f) * (1 - area(truth) / 64) : 1;
        EXPECT_FLOAT_EQ(targets.box_weights[size_t(i)], plain.box_weights[size_t(i)] * gain);
        if (plain.box_weights[size_t(i)] == 0) continue;
        all += of_box[size_t(i)];
        if (area(truth) <= 64) small += of_box[size_t(i)];
      }
      EXPECT_NEAR(share[0], small > 0 ? small / all : .3, 1e-6);
      return Values{share[0], float(report.box_loss)};
    };
    expect_agreement(run, 2e-6f);
  }
}

TEST(Rcnn, KernelsDetectAndRefineAsTheCpuDoes) {
  for (Problem& p : problems()) {
    SCOPED_TRACE(p.images * 1000 + p.places);
    const int rows = p.images * p.places, boxes = p.rule.boxes_of_roi(), length = kClasses + p.rule.classes;
    Values others = coarse_values(int64_t(p.logits.size()), 12);
    expect_agreement(
        [&](Stream s) {
          RoiLogits logits;
          logits.of_stage[logits.count++] = p.logit_rows();
          if (p.places > 5) logits.of_stage[logits.count++] = constant(others, p.logit_rows().shape);
          Values y(size_t(rows * boxes * length), 77), refined(p.table.size(), 77);
          on(s, cpu::rcnn_rows, cuda::rcnn_rows)(s, logits, p.delta_rows(), p.rois(), p.rule,
                                                 view(y, {p.images, 1, p.places * boxes, length}));
          on(s, cpu::rcnn_refine, cuda::rcnn_refine)(s, p.logit_rows(), p.delta_rows(), p.rois(), p.rule,
                                                     view(refined, p.rois().shape));
          append(y, refined);
          return y;
        },
        2e-6f);
  }
}

TEST(Rcnn, RowsOfAClassHoldItsProbabilityAlone) {
  Problem p(1, 3, rule_of(2, 8, true));
  set_roi(view(p.table, {1, 1, 3, kRoiEntries}), 0, {{4, 8, 12, 24}, 1, kBackground});
  p.logits = {0, 1, 2, 0, 0, 0, 0, 0, 0};
  p.deltas.assign(24, 0);
  p.deltas[4] = 5;  // of the second class: half a width to the right
  RoiLogits logits;
  logits.of_stage[logits.count++] = p.logit_rows();
  Stream s;
  Values y(3 * 2 * 7);
  cpu::rcnn_rows(s, logits, p.delta_rows(), p.rois(), p.rule, view(y, {1, 1, 6, 7}));
  const float sum = 1 + std::exp(1.f) + std::exp(2.f);
  const Values want = {.25f,  .5f, .25f, .5f, std::exp(1.f) / sum, 1, 0,
                       .375f, .5f, .25f, .5f, std::exp(2.f) / sum, 0, 1};
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(y[i], want[i], 1e-6f) << i;
}

// Slopes of both kinds of loss: float differences over 2 / 64 err by 1e-6 * 32.
TEST(Rcnn, SlopesAreThoseOfTheLoss) {
  RcnnRule rule = rule_of(1, 4, false);
  for (int kind = -1; kind <= int(BoxLossRule::Kind::nwd); ++kind) {
    rule.box_loss.on_deltas = kind < 0;
    if (kind >= 0) rule.box_loss.of_boxes.kind = BoxLossRule::Kind(kind);
    if (rule.box_loss.of_boxes.kind == BoxLossRule::Kind::ciou)
      continue;  // not the whole derivative, by definition
    const Box roi = {3, 4, 15, 12}, truth = {4.3f, 3.1f, 13.2f, 12.7f};
    float d[] = {.31f, -.27f, .4f, .23f};
    const Deltas slopes = cost_of_roi(rule, deltas_at(d), roi, truth).slopes;
    const float got[] = {slopes.x, slopes.y, slopes.w, slopes.h};
    for (int i = 0; i < 4; ++i) {
      constexpr float kStep = 1.f / 64;
      const float at = d[i];
      d[i] = at + kStep;
      const float above = cost_of_roi(rule, deltas_at(d), roi, truth).loss;
      d[i] = at - kStep;
      const float below = cost_of_roi(rule, deltas_at(d), roi, truth).loss;
      d[i] = at;
      EXPECT_NEAR(got[i], (above - below) / (2 * kStep), 2e-4f) << "kind " << kind << ", delta " << i;
    }
  }
}

TEST(RoiSampler, CandidatesAreRoisThenTruthsAndComeBackAsTheyWere) {
  for (const int places : {1, 7, 300})
    for (const int room : {places, places + 2, places + 3}) {
      Problem p(2, places, rule_of(1, 4, false));
      const int rows = 2 * room, chosen = 4;
      std::vector<int> named;
      for (int i = 0; i < 2 * chosen; ++i) named.push_back(i % 4 == 3 ? -1 : (i * 5) % room);
      expect_agreement(
          [&](Stream s) {
            std::vector<Box> boxes(size_t(rows), Box{7, 7, 7, 7});
            Values scores(size_t(rows), 77), overlap = coarse_values(rows, 3), some(8 * kRoiEntries, 77),
                                             all(size_t(2 * places * kRoiEntries), 77);
            std::vector<int> counts(2, 77), match;
            for (int i = 0; i < rows; ++i) match.push_back(i % 4 - 1);
            const Shape shape = {2, 1, 1, room};
            const RoiCandidates c = {view(boxes, shape), view(scores, shape), view(counts, {2, 1, 1, 1})};
            on(s, cpu::gather_candidates, cuda::gather_candidates)(s, p.rois(), p.truths().lists(), c);
            on(s, cpu::ignore_candidates, cuda::ignore_candidates)(s, c, constant(overlap, shape), .25f,
                                                                   view(match, shape));
            on(s, cpu::write_samples, cuda::write_samples)(s, c, view(match, shape),
                                                           view(named, {2, 1, 1, chosen}),
                                                           view(some, {2, 1, chosen, kRoiEntries}));
            on(s, cpu::write_samples, cuda::write_samples)(s, c, view(match, shape), View<int>(),
                                                           view(all, {2, 1, places, kRoiEntries}));
            Values result(counts.begin(), counts.end());
            for (int m : match) result.push_back(float(m));
            for (const Box& b : boxes) append(result, {b.x1, b.y1, b.x2, b.y2});
            for (const Values& v : {scores, some, all}) append(result, v);
            return result;
          },
          0);
    }
  // What the loops do: the second image has a place that is not filled, and the truths follow at once.
  Problem p(2, 4, rule_of(1, 4, false));
  std::vector<Box> boxes(12);
  Values scores(12);
  std::vector<int> counts(2);
  Stream s;
  cpu::gather_candidates(s, p.rois(), p.truths().lists(),
                         {view(boxes, {2, 1, 1, 6}), view(scores, {2, 1, 1, 6}), view(counts, {2, 1, 1, 1})});
  EXPECT_EQ(counts, (std::vector<int>{6, 5}));  // 4 + 2 of the 3; 3 + 2
  EXPECT_EQ(scores, (Values{.5f, .5f, .5f, .5f, 1, 1, .5f, .5f, .5f, 1, 1, 0}));
  EXPECT_EQ(boxes[9].x1, p.truth_boxes[3].x1);
  EXPECT_EQ(area(boxes[11]), 0);
}

TEST(Rois, KernelsReadAndWriteTablesAsTheCpuDoes) {
  for (const int given : {1, 5, 300})
    for (const int places : {1, 4, 290}) {
      Values boxes = coarse_values(int64_t(2) * given * 5, 3);  // many have no area, or lie outside
      std::vector<int> counts = {given, given / 2};
      expect_agreement(
          [&](Stream s) {
            Values table(size_t(2 * places * kRoiEntries), 77);
            std::vector<Box> unpacked(size_t(2 * places));
            std::vector<int> filled(2, 77);
            on(s, cpu::table_of_proposals, cuda::table_of_proposals)(
                s, Proposals{view(boxes, {2, 1, given, 5}), view(counts, {2, 1, 1, 1})}, 32.f, 16.f,
                view(table, {2, 1, places, kRoiEntries}));
            on(s, cpu::unpack_rois, cuda::unpack_rois)(s, view(table, {2, 1, places, kRoiEntries}),
                                                       view(unpacked, {2, 1, 1, places}),
                                                       view(filled, {2, 1, 1, 1}));
            Values result = table;
            for (const Box& b : unpacked) append(result, {b.x1, b.y1, b.x2, b.y2});
            append(result, {float(filled[0]), float(filled[1])});
            return result;
          },
          0);
    }
}

}  // namespace
}  // namespace osprey::test
