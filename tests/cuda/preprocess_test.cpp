#include "cuda/preprocess.h"

#include "tests/cuda/kernel_test.h"

namespace osprey::test {
namespace {

std::vector<uint8_t> random_bytes(size_t count, uint64_t seed) {
  Random random(seed, Purpose::test);
  std::vector<uint8_t> bytes(count);
  for (uint8_t& byte : bytes) byte = uint8_t(random.bits());
  return bytes;
}

// A plan that shows the whole of an image on the whole of the input.
SamplePlan whole(int image_width, int image_height, int width, int height) {
  SamplePlan plan;
  plan.parts = 1;
  SamplePart& part = plan.part[0];
  part.shown = part.place = {0, 0, width, height};
  part.window = {0, 0, image_width, image_height};
  part.image_width = image_width;
  part.image_height = image_height;
  return plan;
}

// A 2x2 image on 3x3 pixels: corners are its pixels and between them are means. The last row takes its part
// of the row above alone, which here is all of it.
TEST(PreprocessKernel, ResizesWithAlignedCorners) {
  Stream s;
  const std::vector<uint8_t> bytes = {0, 255, 51, 102};
  SamplePlan plan = whole(2, 2, 3, 3);
  // clang-format off
  const Values want = {0,   .5f,  1,
                       .1f, .4f, .7f,
                       .2f, .3f, .4f};
  // clang-format on
  in_all_orders([&] {
    for (const bool mirror : {false, true}) {
      plan.part[0].mirror = mirror;
      Values y(9, NAN);
      cuda::preprocess(s, bytes.data(), &plan, view(y, {1, 3, 3, 1}));
      for (int i = 0; i < 9; ++i)
        EXPECT_NEAR(y[i], want[mirror ? i / 3 * 3 + 2 - i % 3 : i], 3 * 0x1p-24) << i;
    }
  });
}

TEST(PreprocessKernel, LetterboxesInGreyAndRepeatsEdges) {
  Stream s;
  const std::vector<uint8_t> bytes = {255};  // one white pixel, of which a window of five by three is shown
  SamplePlan plan = whole(1, 1, 4, 4);
  plan.part[0].place = {1, 0, 2, 4};
  plan.part[0].window = {-2, -1, 5, 3};
  plan.part[0].colour.exposure = .5f;  // of the grey, too
  Values y(16, NAN);
  cuda::preprocess(s, bytes.data(), &plan, view(y, {1, 4, 4, 1}));
  for (int i = 0; i < 16; ++i) EXPECT_NEAR(y[i], i % 4 == 1 || i % 4 == 2 ? .5f : .25f, 1e-6f) << i;
}

// Four images of one colour each, and a second sample behind them in the buffer.
TEST(PreprocessKernel, PutsAMosaicTogether) {
  Stream s;
  const std::vector<uint8_t> bytes = {51, 102, 153, 204, 0, 255};
  std::vector<SamplePlan> plans(2);
  plans[0].parts = 4;
  for (int i = 0; i < 4; ++i) {
    plans[0].part[i] = whole(1, 1, 5, 3).part[0];
    plans[0].part[i].shown = {i % 2 ? 2 : 0, i / 2 ? 1 : 0, i % 2 ? 3 : 2, i / 2 ? 2 : 1};
    plans[0].part[i].offset = i;
  }
  plans[1] = whole(2, 1, 5, 3);
  plans[1].part[0].offset = 4;
  in_all_orders([&] {
    Values y(30, NAN);
    cuda::preprocess(s, bytes.data(), plans.data(), view(y, {2, 3, 5, 1}));
    for (int i = 0; i < 15; ++i) {
      const int x = i % 5, row = i / 5;
      EXPECT_EQ(y[i], unit_value(bytes[(x >= 2) + 2 * (row >= 1)])) << i;
      EXPECT_EQ(y[15 + i], .25f * float(x)) << i;
    }
  });
}

// A part that shows its canvas from another pixel on.
TEST(PreprocessKernel, ShowsAPieceOfTheCanvas) {
  Stream s;
  const std::vector<uint8_t> bytes = random_bytes(6 * 5 * 3, 1);
  const SamplePlan plan = whole(6, 5, 6, 5);
  SamplePlan piece = plan;
  piece.parts = 2;
  piece.part[1] = piece.part[0];
  piece.part[0].shown = {0, 0, 6, 2};  // rows 3, 4, and below them 0, 1, 2
  piece.part[0].from_y = 3;
  piece.part[1].shown = {0, 2, 6, 3};
  Values y(90, NAN), moved(90, NAN);
  cuda::preprocess(s, bytes.data(), &plan, view(y, {1, 5, 6, 3}));
  cuda::preprocess(s, bytes.data(), &piece, view(moved, {1, 5, 6, 3}));
  for (int i = 0; i < 90; ++i) EXPECT_EQ(moved[i], y[(i + 3 * 18) % 90]) << i;
  for (int i = 0; i < 90; ++i) EXPECT_EQ(y[i], unit_value(bytes[i])) << i;  // of its own size: untouched
}

TEST(PreprocessKernel, RoundsToBf16Once) {
  Stream s;
  const std::vector<uint8_t> bytes = random_bytes(7 * 9 * 4, 2);
  for (const int channels : {1, 3, 4}) {
    SamplePlan plan = whole(7, 9, 5, 11);
    plan.part[0].colour = {.1f, 1.5f, .7f};
    const Shape shape{1, 11, 5, channels};
    Values y(shape.size(), NAN);
    std::vector<bf16> rounded(shape.size());
    cuda::preprocess(s, bytes.data(), &plan, view(y, shape));
    cuda::preprocess(s, bytes.data(), &plan, view(rounded, shape));
    for (int i = 0; i < shape.size(); ++i) EXPECT_EQ(float(rounded[i]), float(bf16(y[i]))) << i;
  }
}

// Red by a third of a turn is green; by two thirds, the other way, blue.
TEST(PreprocessKernel, TurnsHues) {
  Stream s;
  const std::vector<uint8_t> bytes = {255, 0, 0};
  for (const float hue : {1 / 3.f, -1 / 3.f}) {
    SamplePlan plan = whole(1, 1, 1, 1);
    plan.part[0].colour.hue = hue;
    Values y(3, NAN);
    cuda::preprocess(s, bytes.data(), &plan, view(y, {1, 1, 1, 3}));
    EXPECT_NEAR(y[0], 0, 1e-6f);
    EXPECT_NEAR(y[hue > 0 ? 1 : 2], 1, 1e-6f);
    EXPECT_NEAR(y[hue > 0 ? 2 : 1], 0, 1e-6f);
  }
}

}  // namespace
}  // namespace osprey::test
