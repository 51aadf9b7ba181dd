#include "layers/nms/nms.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>

#include "core/random.h"

namespace osprey {
namespace {

Candidates list(int classes, std::vector<CentreBox> boxes, std::vector<float> probabilities) {
  return {classes, boxes, std::vector<float>(boxes.size(), 1.0f), std::move(probabilities)};
}

// a and b overlap by 0.6, b and c too, a and c by 1/3.
constexpr CentreBox kA = {.4f, .5f, .4f, .4f}, kB = {.5f, .5f, .4f, .4f}, kC = {.6f, .5f, .4f, .4f};

TEST(Nms, WhatIsSuppressedDoesNotSuppress) {
  Candidates found = list(1, {kA, kB, kC}, {.9f, .8f, .7f});
  nms(found, {.5f});
  EXPECT_EQ(found.probabilities, (std::vector<float>{.9f, 0, .7f}));
}

TEST(Nms, ClassesAreIndependent) {
  Candidates found = list(2, {kA, kB}, {.9f, .1f, .8f, .2f});
  nms(found, {.5f});
  EXPECT_EQ(found.probabilities, (std::vector<float>{.9f, 0, 0, .2f}));
}

TEST(Nms, OfEqualScoresTheFirstStays) {
  Candidates found = list(1, {kB, kA, kC}, {.5f, .5f, .5f});
  nms(found, {.5f});
  EXPECT_EQ(found.probabilities, (std::vector<float>{.5f, 0, 0}));
}

TEST(Nms, AnOverlapEqualToTheThresholdStays) {
  Candidates found = list(1, {{.5f, .5f, 1, 1}, {.25f, .5f, .5f, 1}}, {.9f, .8f});  // exactly 1/2
  nms(found, {.5f});
  EXPECT_EQ(found.probabilities, (std::vector<float>{.9f, .8f}));
  nms(found, {.49f});
  EXPECT_EQ(found.probabilities, (std::vector<float>{.9f, 0}));
}

TEST(Nms, BoxesWithoutAreaSuppressNothing) {
  Candidates found = list(1, {{.5f, .5f, 0, 0}, {.5f, .5f, 0, 0}}, {.9f, .8f});
  nms(found, {0});
  EXPECT_EQ(found.probabilities, (std::vector<float>{.9f, .8f}));
}

TEST(Nms, DropsCandidatesWithoutObjectness) {
  Candidates found = list(1, {kA, kB, kC}, {.9f, .8f, .7f});
  found.objectness[0] = 0;
  nms(found, {.5f});
  ASSERT_EQ(found.count(), 2);
  EXPECT_EQ(found.probabilities, (std::vector<float>{.8f, 0}));
}

TEST(Nms, DistanceSparesBoxesThatAreApart) {
  // Centres 0.1 apart; the enclosing box is 0.5 x 0.4: (d/c)^2 = 0.01 / 0.41.
  const Box a = corners(kA), b = corners(kB);
  EXPECT_NEAR(nms_overlap(a, b, NmsKind::standard, 2), .6, 1e-6);
  EXPECT_NEAR(nms_overlap(a, b, NmsKind::diou_power, 2), .6 - std::pow(.01 / .41, 2), 1e-6);
  EXPECT_NEAR(nms_overlap(a, b, NmsKind::greedy, 2), .6 - std::pow(.01 / .41, .6), 1e-6);  // 0.49; not beta
  Candidates found = list(1, {kA, kB}, {.9f, .8f});
  nms(found, {.5f, NmsKind::greedy});
  EXPECT_EQ(found.probabilities, (std::vector<float>{.9f, .8f}));
  nms(found, {.5f, NmsKind::diou_power, 2});
  EXPECT_EQ(found.probabilities, (std::vector<float>{.9f, 0}));
}

TEST(Nms, NotANumberComesLast) {
  const std::vector<Box> boxes = {{0, 0, 1, 1}, {5, 5, 6, 6}, {5, 5, 6, 6}};
  EXPECT_EQ(nms(boxes, {NAN, NAN, .5f}, .5f), (std::vector<int>{2, 0}));
}

TEST(Nms, NothingIsFine) {
  Candidates none;
  nms(none, {.5f});
  EXPECT_EQ(none.count(), 0);
  EXPECT_TRUE(nms(std::vector<Box>{}, {}, .5f).empty());
}

// An untrained network lists tens of thousands of boxes, of which a class is seen in some hundreds.
TEST(Nms, ManyCandidatesAreNotSlow) {
  Candidates found;
  found.classes = 80;
  for (int i = 0; i < 20000; ++i) {
    Random random(1, Purpose::test, 0, i);
    found.boxes.push_back(
        {random.uniform(), random.uniform(), random.uniform(0, .3f), random.uniform(0, .3f)});
    found.objectness.push_back(1);
    for (int c = 0; c < 80; ++c) found.probabilities.push_back(random.chance(.05f) ? random.uniform() : 0);
  }
  const auto start = std::chrono::steady_clock::now();
  nms(found, {.45f});
  // Some 0.1 s on one core; ten seconds would be another algorithm.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

}  // namespace
}  // namespace osprey
