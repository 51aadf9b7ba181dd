#include "data/repeats.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "data/loader.h"
#include "tests/data/temporary.h"

namespace osprey {
namespace {

// Sixteen images: class 0 on all but the last, class 1 on four, class 2 on the last alone.
Dataset uneven() {
  Dataset set;
  set.names = {"a", "b", "c"};
  for (int i = 0; i < 16; ++i) {
    Sample sample;
    if (i < 15) sample.labels.push_back({0, {.5f, .5f, .4f, .4f}});
    if (i < 4) sample.labels.push_back({1, {.5f, .5f, .4f, .4f}});
    if (i == 15) sample.classes = {2};
    set.samples.push_back(sample);
  }
  return set;
}

TEST(Repeats, AreThoseOfAnImagesRarestClass) {
  const std::vector<float> factors = repeat_factors(uneven(), .5f, .5f);
  ASSERT_EQ(factors.size(), 16u);
  EXPECT_NEAR(factors[0], std::sqrt(.5 / .25), 1e-6);
  EXPECT_EQ(factors[7], 1);
  EXPECT_NEAR(factors[15], std::sqrt(.5 * 16), 1e-6);
  EXPECT_NEAR(repeat_factors(uneven(), .5f, 1)[15], 8, 1e-6);
  EXPECT_TRUE(repeat_factors(uneven(), 0, .5f).empty());
  EXPECT_TRUE(repeat_factors(uneven(), .05f, .5f).empty());  // no class is as rare
}

TEST(Repeats, AreKeptOnTheAverageInEpochsOfOneLength) {
  const std::vector<float> factors = {1, 2.5f, 1.25f, 3.25f};
  std::vector<int> counts(4);
  for (int k = 0; k < 100; ++k) {
    const std::vector<int> epoch = repeated(factors, (k + .5) / 100);
    ASSERT_EQ(epoch.size(), 8u);
    for (size_t i = 0; i < 4; ++i) {
      const auto times = std::count(epoch.begin(), epoch.end(), int(i));
      EXPECT_GE(times, std::floor(factors[i]));
      EXPECT_LE(times, std::ceil(factors[i]));
      counts[i] += int(times);
    }
  }
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(counts[i] / 100., factors[i], .02);
}

TEST(Repeats, RuleTheLoader) {
  Temporary folder;
  Dataset set;
  set.names = {"common", "rare"};
  for (int i = 0; i < 8; ++i) {
    Sample sample;
    sample.image = folder / fmt::format("{}.png", i);
    save_image(sample.image, Image(8, 8, 3));
    sample.classes = {i == 0};
    set.samples.push_back(sample);
  }
  LoaderOptions o;
  o.batch = 5;
  o.width = o.height = 8;
  o.classes = 2;
  o.repeat_threshold = o.repeat_power = 1;  // 8 times the rare one, 8 / 7 times each other
  Loader loader(set, o);
  int rare = 0;
  for (int step = 0; step < 32; ++step) {
    const Batch& batch = loader.next();
    for (size_t i = 0; i < 5; ++i) rare += batch.targets[2 * i + 1] == 1;
  }
  EXPECT_EQ(rare, 80);  // ten epochs of 16
}

}  // namespace
}  // namespace osprey
