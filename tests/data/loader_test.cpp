#include "data/loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "data/render.h"
#include "tests/data/temporary.h"

namespace osprey {
namespace {

// Ten flat images, each with one box of its own number.
Dataset small_set(const Temporary& folder, int count = 10) {
  Dataset set;
  for (int i = 0; i < count; ++i) {
    Sample sample;
    sample.image = folder / fmt::format("{}.png", i);
    save_image(sample.image, Image(24 + i, 20, 3, float(i) / 20.f));
    sample.labels = {Label{i, {.5f, .5f, .4f, .4f}, false, false, 0}};
    set.samples.push_back(sample);
  }
  return set;
}

LoaderOptions options(int threads = 2) {
  LoaderOptions o;
  o.batch = 3;
  o.width = 32;
  o.height = 24;
  o.max_boxes = 5;
  o.seed = 7;
  o.threads = threads;
  o.augment.jitter = .2f;
  o.augment.exposure = 1.5f;
  o.augment.flip = true;
  o.augment.mosaic = true;
  o.size_of_step = [](int64_t step) { return std::pair(32 + 32 * int(step / 3 % 2), 24); };
  return o;
}

void expect_equal(const Batch& a, const Batch& b) {
  EXPECT_EQ(a.step, b.step);
  EXPECT_EQ(a.width, b.width);
  EXPECT_EQ(a.images, b.images);
  EXPECT_EQ(a.truths, b.truths);
  EXPECT_EQ(a.counts, b.counts);
  EXPECT_EQ(a.paths, b.paths);
}

std::vector<Batch> take(const Dataset& set, const LoaderOptions& o, int steps) {
  Loader loader(set, o);
  std::vector<Batch> batches;
  for (int i = 0; i < steps; ++i) batches.push_back(loader.next());
  return batches;
}

TEST(Loader, ShapesAndTruths) {
  Temporary folder;
  const Dataset set = small_set(folder);
  LoaderOptions o = options();
  o.augment = {};
  Loader loader(set, o);
  const Batch& batch = loader.next();
  EXPECT_EQ(batch.images.size(), size_t(3 * 24 * 32 * 3));
  ASSERT_EQ(batch.truths.size(), size_t(3 * 5 * 5));
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(batch.counts[size_t(i)], 1);
    const float* row = batch.truths.data() + i * 25;
    EXPECT_NEAR(row[0], .5f, 1e-6f);
    EXPECT_NEAR(row[3], .4f, 1e-6f);
    EXPECT_EQ(set.samples[size_t(row[4])].image, batch.paths[size_t(i)]);
    // PNG holds bytes; the image is flat.
    EXPECT_NEAR(batch.images[size_t(i) * 24 * 32 * 3 + 100], row[4] / 20, .5f / 255);
    EXPECT_TRUE(std::all_of(row + 5, row + 25, [](float v) { return v == 0; }));
  }
}

TEST(Loader, SameBatchesForAnyNumberOfThreads) {
  Temporary folder;
  const Dataset set = small_set(folder);
  const std::vector<Batch> one = take(set, options(1), 12), four = take(set, options(4), 12);
  for (size_t i = 0; i < 12; ++i) expect_equal(one[i], four[i]);
  EXPECT_EQ(one[2].width, 32);
  EXPECT_EQ(one[3].width, 64);
  EXPECT_NE(one[0].images, one[1].images);
}

// Bytes and plans make the pixels that the loader makes otherwise, for any number of threads.
TEST(Loader, DescribedBatchesHoldTheSameImages) {
  Temporary folder;
  const Dataset set = small_set(folder);
  LoaderOptions o = options(1);
  const std::vector<Batch> made = take(set, o, 6);
  o.described = true;
  const std::vector<Batch> one = take(set, o, 6);
  o.threads = 4;
  const std::vector<Batch> four = take(set, o, 6);
  for (size_t b = 0; b < 6; ++b) {
    EXPECT_TRUE(one[b].images.empty());
    EXPECT_EQ(one[b].bytes, four[b].bytes);
    EXPECT_EQ(one[b].truths, made[b].truths);
    EXPECT_EQ(one[b].paths, made[b].paths);
    std::vector<float> pixels(made[b].images.size());
    for (size_t i = 0; i < 3; ++i) {
      const SamplePlan& plan = one[b].plans[i];
      std::vector<Image> images;
      for (int k = 0; k < plan.parts; ++k) {
        const SamplePart& part = plan.part[k];
        const auto begin = one[b].bytes.begin() + ptrdiff_t(part.offset);
        images.push_back(unit_image({part.image_height,
                                     part.image_width,
                                     3,
                                     {begin, begin + part.image_height * part.image_width * 3}}));
      }
      render(plan, images, one[b].width, one[b].height, pixels.data() + i * pixels.size() / 3);
    }
    EXPECT_EQ(pixels, made[b].images);
  }
}

TEST(Loader, ResumesInTheMiddle) {
  Temporary folder;
  const Dataset set = small_set(folder);
  const std::vector<Batch> whole = take(set, options(), 12);
  LoaderOptions later = options();
  later.first_step = 7;
  later.prefetch = 1;
  const std::vector<Batch> rest = take(set, later, 5);
  for (size_t i = 0; i < 5; ++i) expect_equal(whole[i + 7], rest[i]);
}

TEST(Loader, MakesTheStepsThatAreWanted) {
  Temporary folder;
  const Dataset set = small_set(folder);
  const std::vector<Batch> whole = take(set, options(), 12);
  LoaderOptions some = options();
  some.first_step = 1;
  some.step_of = [](int64_t n) { return 3 * n + 2; };
  const std::vector<Batch> wanted = take(set, some, 3);
  for (size_t i = 0; i < 3; ++i) expect_equal(whole[3 * (i + 1) + 2], wanted[i]);
}

TEST(Loader, EveryEpochShowsEverySampleOnceInAnOrderOfItsOwn) {
  Temporary folder;
  const Dataset set = small_set(folder, 6);
  LoaderOptions o = options();
  o.augment = {};
  const std::vector<Batch> batches = take(set, o, 8);  // four epochs of two steps
  std::set<std::vector<std::string>> orders;
  for (size_t epoch = 0; epoch < 4; ++epoch) {
    std::vector<std::string> paths = batches[2 * epoch].paths;
    paths.insert(paths.end(), batches[2 * epoch + 1].paths.begin(), batches[2 * epoch + 1].paths.end());
    orders.insert(paths);
    EXPECT_EQ(std::set<std::string>(paths.begin(), paths.end()).size(), 6u);
  }
  EXPECT_GT(orders.size(), 1u);
  o.shuffle = false;
  EXPECT_EQ(take(set, o, 2)[1].paths[0], set.samples[3].image);
}

TEST(Loader, CrowdsAndDifficultBoxesAreLeftOut) {
  Temporary folder;
  Dataset set = small_set(folder, 1);
  set.samples[0].labels.push_back(Label{2, {.5f, .5f, .2f, .2f}, false, true, 0});
  set.samples[0].labels.push_back(Label{3, {.5f, .5f, .2f, .2f}, true, false, 0});
  LoaderOptions o = options();
  o.augment = {};
  EXPECT_EQ(take(set, o, 1)[0].counts[0], 1);
  o.difficult = true;
  EXPECT_EQ(take(set, o, 1)[0].counts[0], 2);
}

TEST(Loader, ABrokenImageIsReplacedByTheNext) {
  Temporary folder;
  const Dataset set = small_set(folder, 4);
  folder.write("2.png", "broken");
  LoaderOptions o = options();
  o.augment = {};
  o.shuffle = false;
  o.batch = 4;
  Loader loader(set, o);
  const Batch& batch = loader.next();
  EXPECT_EQ(batch.paths[2], set.samples[3].image);
  EXPECT_EQ(batch.truths[2 * 25 + 4], 3);  // with the labels of the image that is shown
  EXPECT_GE(loader.broken_images(), 1);
}

TEST(Loader, StrictTellsTheBrokenImageAndGoesOn) {
  Temporary folder;
  const Dataset set = small_set(folder, 6);
  folder.write("4.png", "broken");
  LoaderOptions o = options(3);
  o.augment = {};
  o.shuffle = false;
  o.strict = true;
  Loader loader(set, o);
  loader.next();
  expect_in("4.png: not a readable image", error_of([&] { loader.next(); }));
  EXPECT_EQ(loader.next().paths[0], set.samples[0].image);
}

TEST(Loader, NoImageAtAll) {
  Temporary folder;
  const Dataset set = small_set(folder, 3);
  for (int i = 0; i < 3; ++i) folder.write(fmt::format("{}.png", i), "broken");
  Loader loader(set, options());
  expect_in("none of the 3 images", error_of([&] { loader.next(); }));
}

TEST(Loader, ErrorsOfTheSizeFunctionArrive) {
  Temporary folder;
  const Dataset set = small_set(folder, 3);
  LoaderOptions o = options();
  o.size_of_step = [](int64_t step) { return std::pair(step == 1 ? 0 : 16, 16); };
  Loader loader(set, o);
  EXPECT_EQ(loader.next().width, 16);
  expect_in("step 1 asks for images of 0x16", error_of([&] { loader.next(); }));
  EXPECT_EQ(loader.next().step, 2);
}

TEST(Loader, ChecksItsOptions) {
  Temporary folder;
  const Dataset set = small_set(folder, 1);
  const auto message = [&](auto change) {
    LoaderOptions o = options();
    change(o);
    return error_of([&] { Loader loader(set, o); });
  };
  expect_in("batch", message([](LoaderOptions& o) { o.batch = 0; }));
  expect_in("thread", message([](LoaderOptions& o) { o.threads = 0; }));
  expect_in("0x24", message([](LoaderOptions& o) { o.width = 0; }));
  expect_in("first step", message([](LoaderOptions& o) { o.first_step = -1; }));
  const Dataset none;
  expect_in("no images", error_of([&] { Loader loader(none, options()); }));
}

TEST(Loader, EndsAtOnceThoughNobodyReads) {
  Temporary folder;
  const Dataset set = small_set(folder);
  for (int i = 0; i < 20; ++i) Loader loader(set, options(4));
}

}  // namespace
}  // namespace osprey
