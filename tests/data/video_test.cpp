// Videos that are written here and read back. Colours pass through YUV with chroma of half the size and
// through a lossy encoder, so they are compared by their mean.
#include "data/video.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <cmath>

#include "core/file.h"
#include "data/synth.h"
#include "tests/data/temporary.h"

namespace osprey {
namespace {

constexpr int kWidth = 96, kHeight = 64;

// A drawn scene with a white square that moves 4 pixels to the right each frame.
Image frame(int i, int width = kWidth, int height = kHeight) {
  static const Image scene = [] {
    SynthOptions options;
    options.width = options.height = 128;
    return draw_scene(options, 0).image;
  }();
  Image image(width, height, 3);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const bool in_square = x >= 4 * i && x < 4 * i + 16 && y >= 8 && y < 24;
      for (int c = 0; c < 3; ++c) image.at(y, x, c) = in_square ? 1 : scene.at(y, x, c);
    }
  return image;
}

void write_frames(const std::string& path, int count, double fps, int width = kWidth, int height = kHeight) {
  const auto writer = create_video(path, width, height, fps);
  for (int i = 0; i < count; ++i) writer->write(frame(i, width, height), i / fps);
  writer->finish();
}

std::vector<VideoFrame> all_frames(VideoReader& reader) {
  std::vector<VideoFrame> frames;
  while (auto frame = reader.next()) frames.push_back(std::move(*frame));
  return frames;
}

std::vector<VideoFrame> all_frames(const std::string& path, const VideoOptions& options = {}) {
  return all_frames(*open_video(path, options));
}

double difference(const ByteImage& bytes, const Image& image) {
  EXPECT_EQ(bytes.pixels.size(), image.pixels.size());
  double sum = 0;
  for (size_t i = 0; i < std::min(bytes.pixels.size(), image.pixels.size()); ++i)
    sum += std::abs(bytes.pixels[i] / 255. - image.pixels[i]);
  return sum / double(image.pixels.size());
}

// The mean error of a frame here is at most 0.013 with either encoder, and of its neighbour at least 0.024.
constexpr double kSame = 0.018;

TEST(Video, ReadsBackWhatItWrote) {
  const Temporary folder;
  for (const std::string name : {"a.mp4", "a.mkv", "a.avi", "a.mov"}) {
    SCOPED_TRACE(name);
    const std::string path = folder / name;
    const double fps = 30000. / 1001;
    write_frames(path, 20, fps);
    EXPECT_FALSE(std::filesystem::exists(path + ".part"));
    EXPECT_TRUE(is_video(path));
    const auto reader = open_video(path);
    EXPECT_EQ(reader->info().width, kWidth);
    EXPECT_EQ(reader->info().height, kHeight);
    EXPECT_NEAR(reader->info().fps, fps, 0.02);  // Matroska has milliseconds
    EXPECT_FALSE(reader->info().live);
    const std::vector<VideoFrame> frames = all_frames(*reader);
    ASSERT_EQ(frames.size(), 20u);
    EXPECT_FALSE(reader->cut_short());
    EXPECT_EQ(reader->broken(), 0);
    for (int i = 0; i < 20; ++i) {
      EXPECT_EQ(frames[size_t(i)].index, i);
      EXPECT_NEAR(frames[size_t(i)].seconds, i / fps, 0.001);
      EXPECT_LT(difference(frames[size_t(i)].image, frame(i)), kSame);
      EXPECT_GT(difference(frames[size_t(i)].image, frame(i + 1)), kSame);
    }
  }
}

TEST(Video, KeepsTheTimesOfImages) {
  const Temporary folder;
  const std::vector<double> times = {0, 0.04, 0.5, 0.52, 2.75};
  for (const std::string name : {"a.mp4", "a.mkv"}) {
    const auto writer = create_video(folder / name, kWidth, kHeight, 25);
    for (size_t i = 0; i < times.size(); ++i) writer->write(frame(int(i)), times[i]);
    writer->finish();
    const std::vector<VideoFrame> frames = all_frames(folder / name);
    ASSERT_EQ(frames.size(), times.size());
    for (size_t i = 0; i < times.size(); ++i) EXPECT_NEAR(frames[i].seconds, times[i], 0.001) << name;
  }
  // AVI has whole frames.
  const auto writer = create_video(folder / "a.avi", kWidth, kHeight, 25);
  for (size_t i = 0; i < times.size(); ++i) writer->write(frame(int(i)), times[i]);
  writer->finish();
  EXPECT_NEAR(all_frames(folder / "a.avi").back().seconds, times.back(), 0.04);
}

TEST(Video, AnOddSizeGrowsByOnePixel) {
  const Temporary folder;
  write_frames(folder / "odd.mp4", 3, 25, 61, 45);
  const std::vector<VideoFrame> frames = all_frames(folder / "odd.mp4");
  ASSERT_EQ(frames.size(), 3u);
  EXPECT_EQ(frames[0].image.width, 62);
  EXPECT_EQ(frames[0].image.height, 46);
  Image repeated(62, 46, 3);
  const Image odd = frame(1, 61, 45);
  for (int y = 0; y < 46; ++y)
    for (int x = 0; x < 62; ++x)
      for (int c = 0; c < 3; ++c) repeated.at(y, x, c) = odd.at(std::min(y, 44), std::min(x, 60), c);
  EXPECT_LT(difference(frames[1].image, repeated), kSame);
}

TEST(Video, SkipsFrames) {
  const Temporary folder;
  write_frames(folder / "a.mp4", 20, 25);
  const std::vector<VideoFrame> frames = all_frames(folder / "a.mp4", {.skip = 2});
  ASSERT_EQ(frames.size(), 7u);
  for (int i = 0; i < 7; ++i) {
    EXPECT_EQ(frames[size_t(i)].index, 3 * i);
    EXPECT_NEAR(frames[size_t(i)].seconds, 3 * i / 25., 0.001);
    EXPECT_LT(difference(frames[size_t(i)].image, frame(3 * i)), kSame);
  }
}

TEST(Video, ReadsAndWritesGrey) {
  const Temporary folder;
  Image grey(kWidth, kHeight, 1);
  for (size_t i = 0; i < grey.pixels.size(); ++i) grey.pixels[i] = float(i % kWidth) / kWidth;
  const auto writer = create_video(folder / "a.mp4", kWidth, kHeight, 25);
  writer->write(grey, 0);
  writer->finish();
  const std::vector<VideoFrame> frames = all_frames(folder / "a.mp4", {.channels = 1});
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].image.channels, 1);
  EXPECT_LT(difference(frames[0].image, grey), 0.01);
  expect_in("1 or 3 channels, not 4", error_of([&] { open_video(folder / "a.mp4", {.channels = 4}); }));
}

// Phones store what they held upright as a lying picture, and a matrix that says how to turn it.
TEST(Video, TurnsAsTheFileSays) {
  const Temporary folder;
  write_frames(folder / "a.mp4", 2, 25);
  const std::string upright = read_file(folder / "a.mp4", "a video");
  const Image stored = frame(0);
  struct Case {
    int a, b, c, d;  // (x, y) is shown at (a x + c y, b x + d y)
  };
  for (const Case m : {Case{0, 1, -1, 0}, Case{0, -1, 1, 0}, Case{-1, 0, 0, -1}, Case{-1, 0, 0, 1}}) {
    std::string bytes = upright;
    const size_t matrix = bytes.find("tkhd") + 44;
    const int values[] = {m.a, m.b, 0, m.c, m.d};
    for (size_t i = 0; i < 5; ++i)
      for (size_t b = 0; b < 4; ++b)
        bytes[matrix + 4 * i + b] = char(uint32_t(values[i] * 65536) >> (24 - 8 * b));
    const std::string path = folder.write("turned.mp4", bytes);
    const bool swaps = m.a == 0;
    Image shown(swaps ? kHeight : kWidth, swaps ? kWidth : kHeight, 3);
    for (int y = 0; y < kHeight; ++y)
      for (int x = 0; x < kWidth; ++x)
        for (int c = 0; c < 3; ++c)
          shown.at((m.b + m.d < 0 ? shown.height - 1 : 0) + m.b * x + m.d * y,
                   (m.a + m.c < 0 ? shown.width - 1 : 0) + m.a * x + m.c * y, c) = stored.at(y, x, c);
    const auto reader = open_video(path);
    EXPECT_EQ(reader->info().width, shown.width);
    EXPECT_EQ(reader->info().height, shown.height);
    EXPECT_LT(difference(reader->next()->image, shown), kSame) << m.a << m.b << m.c << m.d;
  }
}

TEST(Video, AFileThatEndsEarlyIsReadAsFarAsItGoes) {
  const Temporary folder;
  for (const std::string name : {"a.mkv", "a.avi"}) {
    SCOPED_TRACE(name);
    write_frames(folder / name, 200, 25);
    const std::string bytes = read_file(folder / name, "a video");
    const auto reader = open_video(folder.write("cut_" + name, bytes.substr(0, bytes.size() * 3 / 4)));
    const std::vector<VideoFrame> frames = all_frames(*reader);
    EXPECT_GT(frames.size(), 3u);
    EXPECT_LT(frames.size(), 200u);
    EXPECT_TRUE(reader->cut_short());
    const auto whole = open_video(folder / name);
    EXPECT_EQ(all_frames(*whole).size(), 200u);
    EXPECT_FALSE(whole->cut_short());
  }
  // MP4 has its table of contents at the end.
  write_frames(folder / "a.mp4", 30, 25);
  const std::string bytes = read_file(folder / "a.mp4", "a video");
  const std::string cut = folder.write("cut.mp4", bytes.substr(0, bytes.size() / 2));
  const std::string said = error_of([&] { open_video(cut); });
  expect_in(cut + ": not a video that can be read: ", said);
  expect_in("moov atom not found", said);
}

TEST(Video, ABrokenFrameIsLeftOutAndCounted) {
  const Temporary folder;
  write_frames(folder / "a.avi", 30, 25);
  std::string bytes = read_file(folder / "a.avi", "a video");
  const size_t chunk = [&] {  // of the tenth frame
    size_t at = bytes.find("movi");
    for (int i = 0; i <= 10; ++i) at = bytes.find("00dc", at + 1);
    return at;
  }();
  for (size_t i = chunk + 8; i < chunk + 20; ++i) bytes[i] = char(0xff);
  const std::string path = folder.write("broken.avi", bytes);
  const auto reader = open_video(path);
  const std::vector<VideoFrame> frames = all_frames(*reader);
  EXPECT_GE(reader->broken(), 1);
  EXPECT_LE(reader->broken(), 3);
  EXPECT_EQ(int64_t(frames.size()) + reader->broken(), 30);
  for (const VideoFrame& f : frames) EXPECT_NE(f.index, 10);
  EXPECT_EQ(frames.back().index, 29);
  expect_in("frame 10 is broken: ", error_of([&] { all_frames(path, {.strict = true}); }));
}

TEST(Video, ReadingStopsWhenAsked) {
  const Temporary folder;
  write_frames(folder / "a.mp4", 20, 25);
  bool stop = false;
  const auto reader = open_video(folder / "a.mp4", {.stop = [&] { return stop; }});
  EXPECT_TRUE(reader->next());
  stop = true;
  EXPECT_FALSE(reader->next());
  EXPECT_FALSE(reader->cut_short());
}

TEST(Video, WhatIsNoVideoIsSaidInOneLine) {
  const Temporary folder;
  const std::string text = folder.write("a.mp4", "not a video at all\n"), none = folder / "none.mp4",
                    empty = folder.write("empty.mkv", "");
  expect_in(text + ": not a video that can be read: Invalid data", error_of([&] { open_video(text); }));
  expect_in(empty + ": not a video that can be read: ", error_of([&] { open_video(empty); }));
  expect_in(none + ": not a video that can be read: No such file", error_of([&] { open_video(none); }));
  expect_in("/dev/null: ", error_of([&] { open_video("/dev/null"); }));
}

TEST(Video, IsToldByNameOrFirstBytes) {
  const Temporary folder;
  write_frames(folder / "a.mp4", 2, 25);
  const std::string bytes = read_file(folder / "a.mp4", "a video");
  EXPECT_TRUE(is_video(folder.write("plain", bytes)));
  EXPECT_FALSE(is_video(folder.write("picture.jpg", bytes)));
  EXPECT_FALSE(is_video(folder.write("text", "some text")));
  EXPECT_FALSE(is_video(folder / "none"));
  EXPECT_TRUE(is_video("none/CLIP.MKV"));
  EXPECT_TRUE(is_video("rtsp://camera/stream"));
  EXPECT_TRUE(is_video("/dev/null") && is_camera("/dev/null"));
  EXPECT_TRUE(is_writable_video("x.mkv"));
  EXPECT_FALSE(is_writable_video("x.webm"));
  EXPECT_EQ(video_name("a/b.c.mp4"), "b.c");
  EXPECT_EQ(video_name("/dev/video0"), "video0");
  EXPECT_EQ(video_name("http://host/dir/clip.ts?key=a.b/c"), "clip");
  EXPECT_EQ(video_name("http://host/?x"), "video");
}

TEST(Video, WhatIsNotFinishedIsNotThere) {
  const Temporary folder;
  const std::string path = folder.write("a.mp4", "what was there");
  {
    const auto writer = create_video(path, kWidth, kHeight, 25);
    writer->write(frame(0), 0);
    EXPECT_TRUE(std::filesystem::exists(path + ".part"));
    expect_in("an image of 10x10x3 in a video of 96x64",
              error_of([&] { writer->write(Image(10, 10, 3), 1); }));
  }
  EXPECT_FALSE(std::filesystem::exists(path + ".part"));
  EXPECT_EQ(read_file(path, "text"), "what was there");
  expect_in("No such file", error_of([&] { create_video(folder / "no/folder.mp4", 8, 8, 25); }));
  expect_in("videos are written as .mp4", error_of([&] { create_video(folder / "a.webm", 8, 8, 25); }));
}

TEST(Video, AFullDiskIsAnError) {
  const Temporary folder;
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{4096, before.rlim_max};
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &small);
  const std::string said = error_of([&] { write_frames(folder / "a.mp4", 60, 25); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, handler);
  expect_in("a.mp4: cannot be written: File too large", said);
  EXPECT_FALSE(std::filesystem::exists(folder / "a.mp4"));
  EXPECT_FALSE(std::filesystem::exists(folder / "a.mp4.part"));
}

}  // namespace
}  // namespace osprey
