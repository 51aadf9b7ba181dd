// Videos through `osprey detect` and `osprey detector demo`.
#include "data/video.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/file.h"
#include "models/weights.h"
#include "tests/apps/command.h"
#include "tests/models/networks.h"
#include "tests/train/drawn.h"

namespace osprey {
namespace {

namespace fs = std::filesystem;
constexpr int kFrames = 6;
constexpr double kFps = 10;

class VideoCommands : public testing::Test {
 protected:
  VideoCommands() {
    PlannedNetwork network(drawn_cfg(3));
    save_weights(weights_, network, {});
    video_ = made("clip.mp4", kFrames);
  }

  // Shows the drawn images over and over.
  std::string made(const std::string& name, int frames) {
    std::vector<Image> images;
    for (int i = 0; i < 6; ++i) images.push_back(load_image(folder_ / fmt::format("images/{}.png", i)));
    const auto writer = create_video(folder_ / name, kDrawnSize, kDrawnSize, kFps);
    for (int i = 0; i < frames; ++i) writer->write(images[size_t(i) % 6], i / kFps);
    writer->finish();
    return folder_ / name;
  }

  std::vector<std::string> command(std::vector<std::string> more) {
    std::vector<std::string> all = {"detect", cfg_,      weights_,           "--thresh",
                                    "0.1",    "--names", folder_ / "t.names"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  Said ran(const std::vector<std::string>& arguments) {
    const Said said = osprey_command(arguments);
    EXPECT_EQ(said.status, 0) << said.err;
    return said;
  }

  Temporary folder_;
  std::string data_ = draw_set(folder_, 6), cfg_ = folder_.write("t.cfg", drawn_cfg(3)),
              weights_ = folder_ / "t.weights", video_;
};

std::vector<nlohmann::json> json_lines(const std::string& text) {
  std::vector<nlohmann::json> all;
  for (const std::string& line : lines_of(text)) all.push_back(nlohmann::json::parse(line));
  return all;
}

std::vector<VideoFrame> all_frames(const std::string& path) {
  const auto reader = open_video(path);
  std::vector<VideoFrame> frames;
  while (auto frame = reader->next()) frames.push_back(std::move(*frame));
  EXPECT_FALSE(reader->cut_short());
  return frames;
}

TEST_F(VideoCommands, DetectFindsInEachFrameWhatItFindsInThatImage) {
  // The frames as the network gets them, as images of their own.
  std::string list;
  const std::vector<VideoFrame> frames = all_frames(video_);
  ASSERT_EQ(frames.size(), size_t(kFrames));
  for (const VideoFrame& frame : frames) {
    const std::string path = folder_ / fmt::format("frame_{}.png", frame.index);
    save_image(path, unit_image(frame.image));
    list += path + "\n";
  }
  const std::string of_images = folder_ / "images.json", of_video = folder_ / "video.jsonl";
  ran(command({folder_.write("list.txt", list), "--json", of_images}));
  const nlohmann::json images = nlohmann::json::parse(read_file(of_images, "JSON"));

  const Said said = ran(command({video_, "--json", of_video, "--out", folder_ / "out", "--batch", "4"}));
  EXPECT_EQ(said.out, "");
  expect_in("clip.mp4: 6 frames, ", said.err);
  expect_in(" frames per second, written to " + (folder_ / "out/clip.mp4"), said.err);
  const std::vector<nlohmann::json> lines = json_lines(read_file(of_video, "JSON lines"));
  ASSERT_EQ(lines.size(), size_t(kFrames));
  size_t found = 0;
  for (int i = 0; i < kFrames; ++i) {
    const nlohmann::json &line = lines[size_t(i)], &image = images[size_t(i)];
    EXPECT_EQ(line["video"], video_);
    EXPECT_EQ(line["frame"], i);
    EXPECT_NEAR(line["time"].get<double>(), i / kFps, 1e-3);
    EXPECT_EQ(line["width"], kDrawnSize);
    EXPECT_EQ(line["height"], kDrawnSize);
    ASSERT_EQ(line["detections"].size(), image["detections"].size());
    for (size_t d = 0; d < line["detections"].size(); ++d) {
      const nlohmann::json &here = line["detections"][d], &there = image["detections"][d];
      EXPECT_EQ(here["class_id"], there["class_id"]);
      // A batch of four may add in another order than one image.
      EXPECT_NEAR(here["score"].get<double>(), there["score"].get<double>(), 1e-4);
      for (size_t k = 0; k < 4; ++k)
        EXPECT_NEAR(here["box"][k].get<double>(), there["box"][k].get<double>(), 1e-2);
      ++found;
    }
  }
  EXPECT_GT(found, 0u);  // random weights find something at 0.1

  // Boxes are drawn on what is written: it is not the video that was read.
  const std::vector<VideoFrame> written = all_frames(folder_ / "out/clip.mp4");
  ASSERT_EQ(written.size(), size_t(kFrames));
  double change = 0;
  for (int i = 0; i < kFrames; ++i) {
    EXPECT_NEAR(written[size_t(i)].seconds, i / kFps, 1e-3);
    const auto &a = written[size_t(i)].image.pixels, &b = frames[size_t(i)].image.pixels;
    ASSERT_EQ(a.size(), b.size());
    for (size_t k = 0; k < a.size(); ++k) change += std::abs(int(a[k]) - int(b[k]));
  }
  EXPECT_GT(change / double(kFrames * frames[0].image.pixels.size()), 10);
}

TEST_F(VideoCommands, DetectPrintsLinesSkipsAndStops) {
  const auto frames_of = [](const Said& said) {
    std::vector<int> frames;
    for (const nlohmann::json& line : json_lines(said.out)) frames.push_back(line["frame"]);
    return frames;
  };
  EXPECT_EQ(frames_of(ran(command({video_}))), (std::vector{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(frames_of(ran(command({video_, "--frame-skip", "1"}))), (std::vector{0, 2, 4}));
  EXPECT_EQ(frames_of(ran(command({video_, "--max-frames", "2", "--out", folder_ / "two.mkv"}))),
            (std::vector{0, 1}));
  EXPECT_EQ(all_frames(folder_ / "two.mkv").size(), 2u);
  // Frames are left out, and the rest keep their times.
  ran(command({video_, "--frame-skip", "2", "--out", folder_ / "skipped.mp4"}));
  const std::vector<VideoFrame> skipped = all_frames(folder_ / "skipped.mp4");
  ASSERT_EQ(skipped.size(), 2u);
  EXPECT_NEAR(skipped[1].seconds, 3 / kFps, 1e-3);
}

TEST_F(VideoCommands, DetectTakesSeveralVideosAndTiles) {
  const std::string other = made("clip.avi", 3), json = folder_ / "all.jsonl";
  ran(command({video_, other, "--tile", "48", "--json", json, "--out", folder_ / "out"}));
  EXPECT_EQ(json_lines(read_file(json, "JSON lines")).size(), 9u);
  EXPECT_EQ(all_frames(folder_ / "out/clip.mp4").size(), 6u);
  EXPECT_EQ(all_frames(folder_ / "out/clip.avi").size(), 3u);
  // One that is broken does not stop the other.
  const Said said = osprey_command(command({folder_.write("bad.mp4", "text"), video_}));
  EXPECT_EQ(said.status, 1);
  EXPECT_EQ(json_lines(said.out).size(), 6u);
  expect_in("osprey: 1 of 2 videos could not be read", said.err);
}

TEST_F(VideoCommands, DetectSaysInOneLineWhatIsWrong) {
  const std::string image = folder_ / "images/0.png", text = folder_.write("bad.mp4", "text");
  expect_refused(command({text}), text + ": not a video that can be read: ");
  expect_refused(command({folder_ / "none.mp4"}), "No such file");
  expect_refused(command({"/dev/null"}), "/dev/null: ");
  expect_refused(command({image, video_}), "images and videos need a run each");
  expect_refused(command({image, "--frame-skip", "1"}), "--frame-skip and --max-frames are for videos");
  expect_refused(command({video_, "--out", folder_ / "no/folder/a.mp4"}), "No such file");
  expect_refused(command({video_, "--json", folder_ / "no/folder/a.json"}), "No such file");
  expect_refused(command({video_, "--out", folder_ / "."}), "is the video that is read");
  expect_refused(command({video_, video_, "--out", folder_ / "one.mp4"}), "there are several videos");
  EXPECT_EQ(all_frames(video_).size(), size_t(kFrames));
}

TEST_F(VideoCommands, AVideoThatWasCutShortIsDoneAsFarAsItGoes) {
  const std::string whole = read_file(made("long.mkv", 300), "a video");
  const std::string cut = folder_.write("cut.mkv", whole.substr(0, whole.size() * 3 / 4));
  const Said said = osprey_command(command({cut, "--out", folder_ / "out"}));
  EXPECT_EQ(said.status, 1);
  expect_in("cut.mkv: the file is cut short", said.err);
  const size_t frames = json_lines(said.out).size();
  EXPECT_GT(frames, 30u);
  EXPECT_LT(frames, 300u);
  EXPECT_EQ(all_frames(folder_ / "out/cut.mkv").size(), frames);
}

TEST_F(VideoCommands, CtrlCFinishesTheFile) {
  constexpr int kMany = 8000;
  const std::string json = folder_ / "found.jsonl", out = folder_ / "out.mp4";
  const pid_t process = start_osprey(command({made("many.avi", kMany), "--json", json, "--out", out}),
                                     folder_ / "stdout", folder_ / "err");
  for (int ms = 0; ms < 60000 && (!fs::exists(json) || fs::file_size(json) == 0); ++ms)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ::kill(process, SIGINT);
  EXPECT_EQ(wait_for(process), 0) << read_file(folder_ / "err", "output");
  const size_t frames = json_lines(read_file(json, "JSON lines")).size();
  EXPECT_GT(frames, 0u);
  EXPECT_LT(frames, size_t(kMany)) << "it ended before the signal";
  EXPECT_EQ(all_frames(out).size(), frames);
}

// As Darknet prints it, and as scripts read it.
TEST_F(VideoCommands, DemoPrintsAndWritesWhatDarknetDoes) {
  const std::string out = folder_ / "out.avi", json = folder_ / "found.json";
  const Said said =
      ran({"detector", "demo", data_, cfg_, weights_, video_, "-thresh", "0.1", "-ext_output", "-dont_show",
           "-out_filename", out, "-prefix", folder_ / "frame", "-json_file_output", json, "-i", "0"});
  expect_in("Demo\nvideo file: " + video_ + "\n", said.out);
  expect_in("input video stream closed. \noutput_video_writer closed. \n", said.out);
  int objects = 0, rates = 0, boxes = 0;
  for (const std::string& line : lines_of(said.out)) {
    double fps = -1, average = -1;
    objects += line == "Objects:";
    boxes += line.find("left_x: ") != std::string::npos;
    if (std::sscanf(line.c_str(), "FPS:%lf \t AVG_FPS:%lf", &fps, &average) != 2) continue;
    EXPECT_GT(fps, 0);
    EXPECT_GE(average, 0);
    ++rates;
  }
  EXPECT_EQ(objects, kFrames);
  EXPECT_EQ(rates, kFrames);
  const nlohmann::json all = nlohmann::json::parse(read_file(json, "JSON"));
  ASSERT_EQ(all.size(), size_t(kFrames));
  int in_json = 0;
  for (int i = 0; i < kFrames; ++i) {
    EXPECT_EQ(all[size_t(i)]["frame_id"], i + 1);
    EXPECT_EQ(all[size_t(i)]["filename"], video_);
    in_json += int(all[size_t(i)]["objects"].size());
    EXPECT_EQ(image_size(folder_ / fmt::format("frame_{:08}.jpg", i + 1)), std::pair(kDrawnSize, kDrawnSize));
  }
  EXPECT_EQ(boxes, in_json);
  EXPECT_GT(boxes, 0);
  const auto written = open_video(out);
  EXPECT_NEAR(written->info().fps, kFps, 1e-6);
  EXPECT_EQ(all_frames(out).size(), size_t(kFrames));
}

TEST_F(VideoCommands, DemoKnowsDarknetsOptions) {
  const auto count = [](const std::string& out, const std::string& part) {
    int n = 0;
    for (size_t at = out.find(part); at != std::string::npos; at = out.find(part, at + 1)) ++n;
    return n;
  };
  const auto demo = [&](std::vector<std::string> more) {
    std::vector<std::string> all = {"detector", "demo", data_, cfg_, weights_};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  EXPECT_EQ(count(ran(demo({video_, "-s", "2"})).out, "AVG_FPS"), 2);
  EXPECT_EQ(count(ran(demo({video_, "-benchmark"})).out, "Objects:"), 0);
  folder_.write("t.names", "dont_show red\nblue\n");
  const Said hidden = ran(demo({video_, "-thresh", "0.1"}));
  EXPECT_EQ(count(hidden.out, "dont_show"), 0);
  EXPECT_GT(count(hidden.out, "blue: "), 0);
  expect_in("-avgframes has no effect on detector demo", ran(demo({video_, "-avgframes", "3"})).err);
  // A second is up before so many frames are.
  constexpr int kMany = 8000;
  const std::string many = made("many.avi", kMany);
  const Said limited = ran(demo({many, "-time_limit_sec", "1", "-out_filename", folder_ / "limited.mp4"}));
  EXPECT_LT(count(limited.out, "AVG_FPS"), kMany);
  EXPECT_EQ(size_t(count(limited.out, "AVG_FPS")), all_frames(folder_ / "limited.mp4").size());

  expect_refused(demo({video_, "-mjpeg_port", "8090"}), "-mjpeg_port: frames are not served");
  expect_refused(demo({video_, "-json_port", "8070"}), "-json_file_output");
  expect_refused(demo({"-c", "97"}), "/dev/video97");
}

}  // namespace
}  // namespace osprey
