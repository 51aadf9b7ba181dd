#include "train/frames.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "tests/data/temporary.h"

namespace osprey {
namespace {

// Frames of one pixel, which is the number of the frame.
class Numbers : public VideoReader {
 public:
  explicit Numbers(int count, bool live = false) : count_(count) { info_.live = live; }

  const VideoInfo& info() const override { return info_; }
  int64_t broken() const override { return 0; }
  bool cut_short() const override { return false; }
  std::optional<VideoFrame> next() override {
    if (next_ == fails_at) fail("frame {} cannot be read", next_);
    if (next_ == count_) return std::nullopt;
    const int n = next_++;
    return VideoFrame{n, n / 10., {1, 1, 1, {uint8_t(n)}}};
  }

  int fails_at = -1;

 private:
  VideoInfo info_;
  int count_, next_ = 0;
};

// One object, of the class that the pixel says.
std::vector<std::vector<Detection>> classes_of(const std::vector<const ByteImage*>& images) {
  std::vector<std::vector<Detection>> found;
  for (const ByteImage* image : images) found.push_back({{image->pixels[0], 1.f, {}}});
  return found;
}

std::vector<int> counted(int count) {
  std::vector<int> all;
  for (int i = 0; i < count; ++i) all.push_back(i);
  return all;
}

TEST(Frames, AreDetectedInBatchesAndUsedInOrder) {
  for (const int batch : {1, 4, 7}) {
    Numbers video(50);
    std::vector<int> used, batches;
    detect_frames(
        video, {batch, 0},
        [&](const auto& images) {
          batches.push_back(int(images.size()));
          return classes_of(images);
        },
        [&](const VideoFrame& frame, const std::vector<Detection>& found) {
          ASSERT_EQ(found.size(), 1u);
          EXPECT_EQ(found[0].class_id, frame.index);
          used.push_back(int(frame.index));
        });
    EXPECT_EQ(used, counted(50));
    for (size_t i = 0; i + 1 < batches.size(); ++i) EXPECT_EQ(batches[i], batch);
    EXPECT_EQ(batches.back(), 50 % batch ? 50 % batch : batch);
  }
}

TEST(Frames, EndAfterAsManyAsWanted) {
  Numbers video(50);
  std::vector<int> used;
  detect_frames(video, {4, 10}, classes_of,
                [&](const VideoFrame& f, const auto&) { used.push_back(int(f.index)); });
  EXPECT_EQ(used, counted(10));
}

TEST(Frames, ErrorsOfEachThreadAreThrown) {
  Numbers broken(50);
  broken.fails_at = 20;
  std::vector<int> used;
  const auto use = [&](const VideoFrame& f, const auto&) { used.push_back(int(f.index)); };
  EXPECT_EQ(error_of([&] { detect_frames(broken, {3, 0}, classes_of, use); }), "frame 20 cannot be read");
  EXPECT_EQ(used, counted(20));  // those before it are used

  Numbers video(5000);
  int calls = 0;
  const auto no_detector = [&](const auto& images) {
    if (++calls == 3) fail("cannot detect");
    return classes_of(images);
  };
  EXPECT_EQ(error_of([&] { detect_frames(video, {1, 0}, no_detector, use); }), "cannot detect");

  Numbers again(5000);
  int detected = 0;
  const auto count = [&](const auto& images) {
    ++detected;
    return classes_of(images);
  };
  const auto no_use = [](const VideoFrame& f, const auto&) {
    if (f.index == 2) fail("cannot write");
  };
  EXPECT_EQ(error_of([&] { detect_frames(again, {1, 0}, count, no_use); }), "cannot write");
  EXPECT_LT(detected, 100);  // nobody would use them
}

TEST(Frames, OfALiveVideoTheNewestAreNext) {
  Numbers camera(200, true);
  std::vector<int> used;
  detect_frames(
      camera, {},
      [](const auto& images) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        return classes_of(images);
      },
      [&](const VideoFrame& f, const auto&) { used.push_back(int(f.index)); });
  EXPECT_LT(used.size(), 100u);
  EXPECT_TRUE(std::is_sorted(used.begin(), used.end()));
  EXPECT_EQ(used.back(), 199);
}

}  // namespace
}  // namespace osprey
