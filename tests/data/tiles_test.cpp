// Images cut into tiles: they cover it, and each has its labels.
#include "data/tiles.h"

#include <gtest/gtest.h>

#include "core/file.h"
#include "tests/data/temporary.h"

namespace osprey {
namespace {

TEST(Tiles, CoverTheImageWithTheirOverlap) {
  const std::vector<std::tuple<int, int, int, float>> cases = {
      {1000, 700, 256, 0.2f}, {257, 256, 256, 0.5f}, {64, 3000, 64, 0.0f}, {5, 9, 4, 0.9f}};
  for (const auto& [width, height, size, overlap] : cases) {
    const std::vector<ImageWindow> tiles = tiles_of(width, height, {size, overlap});
    std::vector<int> seen(size_t(width) * size_t(height));
    for (size_t i = 0; i < tiles.size(); ++i) {
      const ImageWindow& t = tiles[i];
      ASSERT_TRUE(t.left >= 0 && t.top >= 0 && t.left + t.width <= width && t.top + t.height <= height);
      EXPECT_TRUE(t.width == std::min(size, width) && t.height == std::min(size, height));
      for (int y = t.top; y < t.top + t.height; ++y)
        for (int x = t.left; x < t.left + t.width; ++x) ++seen[size_t(y) * size_t(width) + size_t(x)];
      const bool same_row = i > 0 && t.top == tiles[i - 1].top;
      EXPECT_TRUE(!same_row || t.left - tiles[i - 1].left <= size - int(float(size) * overlap)) << i;
    }
    EXPECT_EQ(std::count(seen.begin(), seen.end(), 0), 0) << width << " x " << height;
  }
  EXPECT_EQ(tiles_of(100, 50, {200, 0.2f}).size(), 1u);
  EXPECT_EQ(tiles_of(201, 50, {200, 0.2f}).size(), 2u);
}

// Boxes of a 200 x 100 image, given by corners in pixels, as they come out in a tile of 100 x 100 at 100,0.
std::vector<Box> in_right_half(const std::vector<Box>& boxes) {
  std::vector<Label> labels;
  for (const Box& b : boxes) labels.push_back({1, centre(scaled(b, 1 / 200.0f, 1 / 100.0f))});
  std::vector<Box> found;
  for (const Label& label : labels_in(labels, 200, 100, {100, 0, 100, 100})) {
    EXPECT_EQ(label.class_id, 1);
    found.push_back(scaled(corners(label.box), 100, 100));
  }
  return found;
}

void expect_boxes(const std::vector<Box>& found, const std::vector<Box>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_NEAR(found[i].x1, expected[i].x1, 1e-3f);
    EXPECT_NEAR(found[i].y1, expected[i].y1, 1e-3f);
    EXPECT_NEAR(found[i].x2, expected[i].x2, 1e-3f);
    EXPECT_NEAR(found[i].y2, expected[i].y2, 1e-3f);
  }
}

TEST(Tiles, HaveTheLabelsThatLieInThem) {
  expect_boxes(in_right_half({{10, 10, 30, 40}}), {});
  expect_boxes(in_right_half({{110, 10, 130, 40}}), {{10, 10, 30, 40}});
  expect_boxes(in_right_half({{88, 10, 128, 40}}), {{0, 10, 28, 40}});  // cut: 28 of 40 columns are inside
  expect_boxes(in_right_half({{70, 10, 128, 40}}), {});                 // less than half is
  expect_boxes(in_right_half({{0, 0, 200, 100}}), {{0, 0, 100, 100}});  // exactly half is
}

class WrittenSet : public testing::Test {
 protected:
  // Grey of 60 x 40, each pixel its own column, with an object at 40..50 x 1..9.
  WrittenSet() {
    Image image(60, 40, 3);
    for (int y = 0; y < 40; ++y)
      for (int x = 0; x < 60; ++x)
        for (int c = 0; c < 3; ++c) image.at(y, x, c) = float(x) / 255;
    save_image(folder_ / "a.png", image);
    Sample sample;
    sample.image = folder_ / "a.png";
    sample.labels = {{0, centre(scaled(Box{40, 1, 50, 9}, 1 / 60.0f, 1 / 40.0f))}};
    set_.samples = {sample};
  }
  Temporary folder_;
  Dataset set_;
};

TEST_F(WrittenSet, HasPixelsAndLabels) {
  const WrittenTiles written = write_tiles(set_, {30, 0}, true, folder_ / "out", "train");
  EXPECT_EQ(written.tiles, 4);
  EXPECT_EQ(written.objects, 1);
  EXPECT_EQ(read_file(folder_ / "out/train.txt", "a list"),
            "train/a_0_0.png\ntrain/a_30_0.png\ntrain/a_0_10.png\ntrain/a_30_10.png\n");
  const ByteImage tile = load_bytes(folder_ / "out/train/a_30_0.png");
  ASSERT_EQ(std::pair(tile.width, tile.height), std::pair(30, 30));
  for (int x = 0; x < 30; ++x) EXPECT_EQ(tile.pixels[size_t(x) * 3], 30 + x);
  const LabelFile labels = read_darknet_labels(folder_ / "out/train/a_30_0.txt", 1);
  ASSERT_EQ(labels.labels.size(), 1u);
  expect_boxes({scaled(corners(labels.labels[0].box), 30, 30)}, {{10, 1, 20, 9}});
}

TEST_F(WrittenSet, LeavesOutBackgroundUnlessAskedFor) {
  const WrittenTiles written = write_tiles(set_, {30, 0}, false, folder_ / "out", "train");
  EXPECT_EQ(written.tiles, 1);
  EXPECT_EQ(read_file(folder_ / "out/train.txt", "a list"), "train/a_30_0.png\n");
}

TEST_F(WrittenSet, LeavesOutWhatDarknetLabelsCannotSay) {
  Label crowd = set_.samples[0].labels[0], difficult = crowd;
  crowd.crowd = true;
  difficult.difficult = true;
  set_.samples[0].labels.insert(set_.samples[0].labels.end(), {crowd, difficult});
  EXPECT_EQ(write_tiles(set_, {30, 0}, true, folder_ / "out", "train").objects, 1);
  set_.samples[0].labels = {crowd, difficult};
  EXPECT_EQ(write_tiles(set_, {30, 0}, false, folder_ / "out2", "train").tiles, 0);
}

TEST_F(WrittenSet, RefusesTwoImagesOfOneName) {
  set_.samples.push_back(set_.samples[0]);
  expect_in("another image has that name", error_of([&] {
              write_tiles(set_, {30, 0}, false, folder_ / "out", "train");
            }));
}

TEST_F(WrittenSet, GoesOnAfterAnImageThatCannotBeRead) {
  set_.samples.insert(set_.samples.begin(), Sample());
  set_.samples[0].image = folder_.write("broken.png", "no image");
  EXPECT_EQ(write_tiles(set_, {30, 0}, false, folder_ / "out", "train").tiles, 1);
}

}  // namespace
}  // namespace osprey
