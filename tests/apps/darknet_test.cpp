// Darknet's command lines: what was written for `darknet` gets what it expects.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/file.h"
#include "models/weights.h"
#include "tests/apps/command.h"
#include "tests/models/networks.h"
#include "tests/train/drawn.h"
#include "tests/train/drawn_colours.h"

namespace osprey {
namespace {

namespace fs = std::filesystem;

// In a folder of its own, where the current one is, as Darknet writes there.
class DarknetCommands : public testing::Test {
 protected:
  DarknetCommands() {
    PlannedNetwork network(drawn_cfg(3));
    save_weights(weights_, network, {});
    fs::current_path(fs::path(data_).parent_path());
  }
  ~DarknetCommands() override { fs::current_path(before_); }

  Said ran(const std::vector<std::string>& arguments, const std::string& in = "") {
    const Said said = osprey_command(arguments, in);
    EXPECT_EQ(said.status, 0) << said.err;
    return said;
  }

  fs::path before_ = fs::current_path();
  Temporary folder_;
  std::string data_ = draw_set(folder_, 6), cfg_ = folder_.write("t.cfg", drawn_cfg(3)),
              weights_ = folder_ / "t.weights", image_ = folder_ / "images/0.png";
};

// The numbers of a line "red: 40%\t(left_x:    3   top_y:   -2   width:   10   height:   12)".
struct FoundLine {
  char name[16];
  int percent = 0, left = 0, top = 0, width = 0, height = 0;
};
std::vector<FoundLine> found_lines(const std::string& out) {
  std::vector<FoundLine> found;
  for (const std::string& line : lines_of(out)) {
    FoundLine f;
    if (std::sscanf(line.c_str(), "%15[^:]: %d%%\t(left_x: %d   top_y: %d   width: %d   height: %d)", f.name,
                    &f.percent, &f.left, &f.top, &f.width, &f.height) == 6)
      found.push_back(f);
  }
  return found;
}

TEST_F(DarknetCommands, TestPrintsBoxesFromTheLeftAndWritesPictureJsonAndLabels) {
  const Said said = ran({"detector", "test", data_, cfg_, weights_, image_, "-thresh", "0.1", "-ext_output",
                         "-dont_show", "-out", "found.json", "-save_labels", "-i", "0"});
  expect_in(image_ + ": Predicted in ", said.out);
  expect_in(" milli-seconds.\n", said.out);
  const std::vector<FoundLine> found = found_lines(said.out);
  ASSERT_GT(found.size(), 1u) << said.out;
  for (size_t i = 1; i < found.size(); ++i) EXPECT_LE(found[i - 1].left, found[i].left);
  EXPECT_EQ(image_size("predictions.jpg"), std::pair(64, 64));

  const nlohmann::json all = nlohmann::json::parse(read_file("found.json", "JSON"));
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0]["frame_id"], 1);
  EXPECT_EQ(all[0]["filename"], image_);
  ASSERT_EQ(all[0]["objects"].size(), found.size());
  for (const nlohmann::json& object : all[0]["objects"]) {
    EXPECT_EQ(object["name"], object["class_id"] == 0 ? "red" : "blue");
    EXPECT_GT(object["confidence"].get<double>(), 0.1);
    const nlohmann::json& box = object["relative_coordinates"];
    const int left = int(std::lround(64 * (box["center_x"].get<double>() - box["width"].get<double>() / 2)));
    EXPECT_TRUE(std::any_of(found.begin(), found.end(), [&](const FoundLine& f) {
      return std::abs(f.left - left) <= 1 && f.name == object["name"].get<std::string>();
    })) << object;
  }
  const LabelFile labels = read_darknet_labels(folder_ / "images/0.txt", 2);
  EXPECT_FALSE(labels.labels.empty());
  EXPECT_LE(labels.labels.size(), found.size());

  // Without the option there is no more than the name, and a threshold of 1 finds nothing.
  const Said plain = ran({"detector", "test", data_, cfg_, weights_, image_, "-thresh", ".1"});
  EXPECT_EQ(plain.out.find("left_x"), std::string::npos);
  EXPECT_EQ(lines_of(plain.out).size(), 1 + found.size());
  EXPECT_EQ(lines_of(ran({"detector", "test", data_, cfg_, weights_, image_, "-thresh", "1"}).out).size(),
            1u);
}

TEST_F(DarknetCommands, TestReadsImagesFromStdin) {
  const std::string second = folder_ / "images/1.png";
  const Said said = ran({"detector", "test", "-dont_show", data_, cfg_, weights_, "-out", "a \"b\".json"},
                        image_ + "\r\n\n" + second + "\n");
  expect_in("Enter Image Path: " + image_ + ": Predicted", said.out);
  expect_in("Enter Image Path: " + second + ": Predicted", said.out);
  EXPECT_EQ(nlohmann::json::parse(read_file("a \"b\".json", "JSON")).size(), 2u);
  // One that cannot be read does not stop the others, and the exit status tells.
  const Said broken =
      osprey_command({"detector", "test", data_, cfg_, weights_}, "none.png\n" + second + "\n");
  EXPECT_EQ(broken.status, 1);
  expect_in(second + ": Predicted", broken.out);
  expect_in("none.png: cannot open the image", broken.err);
  expect_in("osprey: 1 of 2 images could not be used", broken.err);
}

TEST_F(DarknetCommands, TestHidesClassesAndNamesThePictureAsAsked) {
  folder_.write("t.names", "dont_show red\nblue\n");
  const Said said =
      ran({"detector", "test", data_, cfg_, weights_, image_, "-thresh", "0.1", "-out", "seen"});
  EXPECT_EQ(said.out.find("dont_show"), std::string::npos);
  expect_in("blue: ", said.out);
  EXPECT_TRUE(fs::exists("seen.jpg"));
  EXPECT_FALSE(fs::exists("predictions.jpg"));
}

TEST_F(DarknetCommands, DetectWithDarknetsOptionsIsDarknets) {
  const Said said = ran({"detect", cfg_, weights_, image_, "-thresh", "0.1"});
  expect_in("class 0: ", said.out);
  EXPECT_TRUE(fs::exists("predictions.jpg"));
}

TEST_F(DarknetCommands, MapPrintsTheFiguresOfEval) {
  const Said said = ran({"detector", "map", data_, cfg_, weights_, "-points", "11", "-iou_thresh", "0.3"});
  const Said json = ran(
      {"eval", cfg_, data_, weights_, "--metric", "map", "--points", "11", "--iou_thresh", "0.3", "--json"});
  const nlohmann::json figures = nlohmann::json::parse(json.out);
  expect_in(fmt::format("mean average precision (mAP@0.30) = {:f}, or ", figures["mAP"].get<double>()),
            said.out);
  expect_in("class_id = 1, name = blue, ap = ", said.out);
  expect_in(fmt::format(" TP = {}, FP = {}, FN = {}, average IoU = {:.2f} % \n", figures["TP"].get<int>(),
                        figures["FP"].get<int>(), figures["FN"].get<int>(),
                        100 * figures["average_iou"].get<double>()),
            said.out);
  expect_in("IoU threshold = 30 %, used 11 Recall-points \n", said.out);
}

TEST_F(DarknetCommands, MapLeavesOutWhatIsDifficult) {
  // The same images without objects, and the objects as difficult ones: what finds one of them is dropped.
  std::string list;
  for (int i = 0; i < 6; ++i) {
    const std::string name = folder_ / ("bare/" + std::to_string(i));
    folder_.write("bare/" + std::to_string(i) + ".txt", "");
    fs::copy_file(folder_ / ("images/" + std::to_string(i) + ".png"), name + ".png");
    list += name + ".png\n";
  }
  const std::string bare =
      "classes=2\nvalid=" + folder_.write("bare.txt", list) + "\nnames=" + (folder_ / "t.names") + "\n";
  const auto detections = [&](const std::string& text) {
    const std::string data = folder_.write("bare.data", text);
    const std::string out = ran({"detector", "map", data, cfg_, weights_, "-iou_thresh", "0.01"}).out;
    const size_t at = out.find("detections_count = ");
    EXPECT_NE(at, std::string::npos);
    return std::stoi(out.substr(at + 19));
  };
  const int all = detections(bare), left = detections(bare + "difficult=" + (folder_ / "train.txt") + "\n");
  EXPECT_GT(left, 0);
  EXPECT_LT(left, all);
  folder_.write("one.txt", image_ + "\n");
  const std::string uneven =
      folder_.write("uneven.data", read_file(data_, "data") + "difficult=" + (folder_ / "one.txt") + "\n");
  expect_refused({"detector", "map", uneven, cfg_, weights_}, "`difficult` lists 1 images, `valid` 6");
}

TEST_F(DarknetCommands, ValidWritesAFileForEachClass) {
  ran({"detector", "valid", data_, cfg_, weights_, "-thresh", "0.2"});
  int lines = 0;
  for (const char* name : {"red", "blue"}) {
    const std::string path = std::string("results/comp4_det_test_") + name + ".txt";
    for (const std::string& line : lines_of(read_file(path, "results"))) {
      int image = -1;
      float score = 0, x1 = 0, y1 = 0, x2 = 0, y2 = 0;
      ASSERT_EQ(std::sscanf(line.c_str(), "%d %f %f %f %f %f", &image, &score, &x1, &y1, &x2, &y2), 6)
          << line;
      EXPECT_TRUE(image >= 0 && image < 6) << line;
      EXPECT_GT(score, 0.2f);
      EXPECT_TRUE(x1 >= 1 && y1 >= 1 && x2 <= 64 && y2 <= 64) << line;
      ++lines;
    }
  }
  EXPECT_GT(lines, 6);
  ran({"detector", "valid", data_, cfg_, weights_, "-out", "mine_"});
  EXPECT_TRUE(fs::exists("results/mine_red.txt"));
}

TEST_F(DarknetCommands, ValidWritesTheFormatsOfOtherEvaluators) {
  const auto data_for = [&](const std::string& eval) {
    return folder_.write(eval + ".data",
                         read_file(data_, "data") + "eval=" + eval + "\nresults=" + (folder_ / eval) + "\n");
  };
  ran({"detector", "valid", data_for("coco"), cfg_, weights_, "-thresh", "0.1"});
  const nlohmann::json coco = nlohmann::json::parse(read_file("coco/coco_results.json", "JSON"));
  ASSERT_GT(coco.size(), 6u);
  bool second = false;
  for (const nlohmann::json& d : coco) {
    EXPECT_LT(d["image_id"], 6);
    second |= d["category_id"] == 2;
    EXPECT_TRUE(d["category_id"] == 1 || d["category_id"] == 2);
    EXPECT_GE(d["bbox"][0].get<double>(), 0);
    EXPECT_LE(d["bbox"][0].get<double>() + d["bbox"][2].get<double>(), 64.001);
  }
  EXPECT_TRUE(second);
  ran({"detector", "valid", data_for("imagenet"), cfg_, weights_, "-thresh", "0.1"});
  EXPECT_EQ(lines_of(read_file("imagenet/imagenet-detection.txt", "results")).size(), coco.size());
  ran({"detector", "valid", data_for("bdd"), cfg_, weights_, "-thresh", "0.1"});
  const nlohmann::json bdd = nlohmann::json::parse(read_file("bdd/bdd_results.json", "JSON"));
  ASSERT_EQ(bdd.size(), coco.size());
  EXPECT_EQ(bdd[0]["name"], "0.png");
  ran({"detector", "valid", data_for("kitti"), cfg_, weights_, "-thresh", "0.1"});
  expect_in(" -1 -1 -10 ", read_file("kitti/0.txt", "results"));
  expect_refused({"detector", "valid", data_for("cocoo"), cfg_, weights_}, "did you mean `coco`?");
}

TEST_F(DarknetCommands, RecallCountsTruthsImageByImage) {
  const Said said = ran({"detector", "recall", data_, cfg_, weights_});
  const std::vector<std::string> lines = lines_of(said.out);
  ASSERT_EQ(lines.size(), 6u);
  int image = -1, found = -1, truths = -1;
  float boxes = -1, overlap = -1, recall = -1;
  ASSERT_EQ(std::sscanf(lines[5].c_str(), "%d %d %d\tRPs/Img: %f\tIOU: %f%%\tRecall:%f%%", &image, &found,
                        &truths, &boxes, &overlap, &recall),
            6)
      << lines[5];
  EXPECT_EQ(image, 5);
  int labelled = 0;
  for (int i = 0; i < 6; ++i)
    labelled += int(read_darknet_labels(folder_ / ("images/" + std::to_string(i) + ".txt"), 2).labels.size());
  EXPECT_EQ(truths, labelled);
  EXPECT_NEAR(recall, 100.0 * found / truths, 0.006);
  EXPECT_GT(boxes, 1);
  EXPECT_GT(overlap, 20);  // of many boxes at such a threshold some lies near
}

TEST_F(DarknetCommands, CalcAnchorsWritesAnchorsAndCounters) {
  const Said said = ran(
      {"detector", "calc_anchors", data_, "-num_of_clusters", "3", "-width", "64", "-height", "64", "-show"});
  expect_in("-show has no effect on detector calc_anchors", said.err);
  int w[3], h[3];
  ASSERT_EQ(std::sscanf(read_file("anchors.txt", "anchors").c_str(), "%d,%d, %d,%d, %d,%d", &w[0], &h[0],
                        &w[1], &h[1], &w[2], &h[2]),
            6);
  for (int k = 0; k < 3; ++k) {  // as draw_set() draws them
    EXPECT_TRUE(w[k] >= 10 && w[k] <= 18) << w[k];
    EXPECT_TRUE(h[k] >= 10 && h[k] <= 29) << h[k];
    EXPECT_TRUE(k == 0 || w[k - 1] * h[k - 1] <= w[k] * h[k]);
  }
  expect_in("avg IoU = ", said.out);
  expect_in("anchors = " + read_file("anchors.txt", "anchors"), said.out);
  EXPECT_EQ(lines_of(read_file("counters_per_class.txt", "counters"))[0].find_first_not_of("0123456789, "),
            std::string::npos);
  // For the grid of [region], in cells.
  ran({"detector", "calc_anchors", data_, "-width", "13", "-height", "13"});
  expect_in(".", read_file("anchors.txt", "anchors"));
  expect_refused({"detector", "calc_anchors", data_}, "-width and -height are needed");
}

TEST_F(DarknetCommands, TrainPrintsItsLinesAndKeepsDarknetsFiles) {
  const std::string saving =
      folder_.write("saving.data", read_file(data_, "data") + "saveweights=2\nsavelast=1\n");
  const std::string cfg = folder_.write("t.v1.cfg", drawn_cfg(3, "burn_in=0\n"));
  const Said said = ran({"detector", "train", saving, cfg, "-dont_show", "-map", "-mAP_epochs", "1"});
  const std::vector<std::string> lines = lines_of(said.out);
  int count = 0;
  for (const std::string& line : lines) {
    int iteration = 0, images = 0;
    double loss = 0, average = 0, rate = 0, seconds = 0, hours = 0;
    if (std::sscanf(line.c_str(), " %d: %lf, %lf avg loss, %lf rate, %lf seconds, %d images, %lf hours left",
                    &iteration, &loss, &average, &rate, &seconds, &images, &hours) != 7)
      continue;
    EXPECT_EQ(iteration, ++count);
    EXPECT_EQ(images, 4 * count);
    EXPECT_GT(loss, 0);
    EXPECT_DOUBLE_EQ(rate, 0.01);
    EXPECT_TRUE(count > 1 || std::abs(loss - average) < 1e-4) << line;
  }
  EXPECT_EQ(count, 3);
  expect_in("Last accuracy mAP@0.50 = ", said.out);
  for (const char* name : {"t_last", "t_2", "t_final", "t_best"})
    EXPECT_TRUE(fs::exists(folder_ / ("backup/" + std::string(name) + ".weights"))) << name;
  EXPECT_FALSE(fs::exists("backup/t_1.weights"));

  // Going on counts from the weights' header; -clear does not.
  const std::string longer = folder_.write("t.cfg", drawn_cfg(5));
  const std::string last = folder_ / "backup/t_last.weights";
  const std::string more = ran({"detector", "train", saving, longer, last}).out;
  EXPECT_TRUE(lines_of(more).front().starts_with(" 4: ")) << more;
  const std::string anew = ran({"detector", "train", saving, longer, last, "-clear"}).out;
  EXPECT_TRUE(lines_of(anew).front().starts_with(" 1: ")) << anew;
}

TEST_F(DarknetCommands, ClassifiersAreTrainedMeasuredAndAsked) {
  const std::string data = draw_colours(folder_, 4), cfg = folder_.write("c.cfg", colours_cfg("burn_in=0\n"));
  const std::string trained =
      ran({"classifier", "train", data, cfg, "-topk", "-mAP_epochs", "5", "-dont_show"}).out;
  int count = 0;
  for (const std::string& line : lines_of(trained)) {
    int iteration = 0, images = 0;
    double epochs = 0, loss = 0, average = 0, rate = 0, seconds = 0, hours = 0;
    if (std::sscanf(line.c_str(), "%d, %lf: %lf, %lf avg, %lf rate, %lf seconds, %d images, %lf hours left",
                    &iteration, &epochs, &loss, &average, &rate, &seconds, &images, &hours) != 8)
      continue;
    EXPECT_EQ(iteration, ++count);
    EXPECT_EQ(images, 6 * count);
    EXPECT_NEAR(epochs, images / 12.0, 6e-4);  // of 12 images, with three digits
  }
  EXPECT_EQ(count, 40);
  expect_in("Last accuracy top-1 = ", trained);
  const std::string best = folder_ / "backup/c_best.weights";

  // The running averages end where eval ends.
  const std::vector<std::string> lines = lines_of(ran({"classifier", "valid", data, cfg, best}).out);
  ASSERT_EQ(lines.size(), 12u);
  int image = 0, k = 0;
  double top = 0, of_k = 0;
  ASSERT_EQ(std::sscanf(lines.back().c_str(), "%d: top 1: %lf, top %d: %lf", &image, &top, &k, &of_k), 4);
  EXPECT_EQ(image, 11);
  EXPECT_EQ(k, 2);
  const auto eval = nlohmann::json::parse(ran({"eval", cfg, data, best, "--json"}).out);
  EXPECT_NEAR(top, eval["top1"].get<double>(), 1e-6);
  EXPECT_NEAR(of_k, eval["top_k"].get<double>(), 1e-6);

  const std::string green = folder_ / "set/green/1.png";
  const Said said = ran({"classifier", "predict", data, cfg, best}, green + "\n");
  expect_in("Enter Image Path: " + green + ": Predicted in ", said.out);
  int names = 0;
  for (const char* name : {"\nred: 0.", "\ngreen: 0.", "\nblue: 0."})
    names += said.out.find(name) != std::string::npos;
  EXPECT_EQ(names, 2) << said.out;  // `top` of the .data file
  const std::string one = ran({"classifier", "predict", data, cfg, best, green, "-t", "1"}).out;
  EXPECT_EQ(lines_of(one).size(), 2u) << one;
}

// What would be lost at the end is told at the beginning.
TEST_F(DarknetCommands, WhatCannotBeWrittenIsToldBeforeTheWork) {
  const Said said =
      osprey_command({"detector", "test", data_, cfg_, weights_, image_, "-out", "no/such/found.json"});
  EXPECT_EQ(said.status, 1);
  expect_in("no/such/found.json: cannot be written", said.err);
  EXPECT_EQ(said.out, "");
  const Said own = osprey_command({"detect", cfg_, weights_, image_, "--json", folder_ / "images"});
  EXPECT_EQ(own.status, 1);
  expect_in("is a folder, and cannot be written", own.err);
  EXPECT_EQ(own.out, "");

  folder_.write("same.names", "cell\ncell\n");
  const auto data = [&](const std::string& valid, const std::string& more) {
    return folder_.write("r.data", "classes=2\nvalid=" + valid + "\n" + more);
  };
  expect_refused({"detector", "valid",
                  data(folder_ / "train.txt", "names=" + (folder_ / "same.names") + "\n"), cfg_, weights_},
                 "comp4_det_test_cell.txt: two classes would share this file");
  fs::create_directory("more");
  fs::copy_file(image_, "more/0.png");
  folder_.write("two.txt", image_ + "\n" + image_ + "\n");
  const std::string names = "names=" + (folder_ / "t.names") + "\n";
  ran({"detector", "valid", data(folder_ / "two.txt", names + "eval=kitti\n"), cfg_, weights_});
  folder_.write("two.txt", image_ + "\nmore/0.png\n");
  expect_refused({"detector", "valid", data(folder_ / "two.txt", names + "eval=kitti\n"), cfg_, weights_},
                 "0.txt: two images would share this file");
  fs::copy_file(image_, "more/word.png");
  folder_.write("two.txt", image_ + "\nmore/word.png\n");
  const Said coco =
      osprey_command({"detector", "valid", data(folder_ / "two.txt", names + "eval=coco\n"), cfg_, weights_});
  EXPECT_EQ(coco.status, 1);
  expect_in("more/word.png: eval=coco needs the number", coco.err);
  EXPECT_EQ(coco.err.find("images"), coco.err.find("images have no labels")) << coco.err;
}

// A folder of a Darknet under Windows, as it is.
TEST_F(DarknetCommands, FilesFromWindowsAreRead) {
  std::string list = "\xEF\xBB\xBF";
  for (int i = 0; i < 6; ++i) list += "images\\" + std::to_string(i) + ".png\r\n";
  fs::create_directory("lists");
  folder_.write("lists/w.txt", list);
  const std::string data =
      folder_.write("w.data",
                    "classes = 2 # red and blue\r\ntest = lists\\none.txt\r\nvalid = lists\\w.txt\r\n"
                    "names = .\\t.names\r\nresults = win\\found\r\nbackup =\r\n");
  EXPECT_EQ(ran({"detector", "map", data, cfg_, weights_}).out,
            ran({"detector", "map", data_, cfg_, weights_}).out);
  expect_in("w.data:2: unknown key `test`", ran({"detector", "map", data, cfg_, weights_}).err);
  ran({"detector", "valid", data, cfg_, weights_});
  EXPECT_TRUE(fs::exists("win/found/comp4_det_test_red.txt"));
  expect_in("images/5.png: Predicted in", ran({"detector", "test", data, cfg_, weights_}, list).out);
  // Osprey's own commands take nothing for granted.
  expect_refused({"eval", cfg_, data, weights_}, "w.data:2: unknown key `test`");
}

TEST_F(DarknetCommands, ADataFileWithoutNamesOrValidationImagesIsEnough) {
  const std::string data = folder_.write("bare.data", "classes=2\ntrain=" + (folder_ / "train.txt") + "\n");
  const Said said = ran({"detector", "map", data, cfg_, weights_});
  expect_in("class_id = 1, name = 1, ap = ", said.out);
  expect_in("no `names`: the classes are told by their numbers", said.err);
  const Said trained = ran({"detector", "train", data, cfg_, "-map", "-clear"});
  expect_in(" mean average precision (mAP@0.50) = ", trained.out);
  expect_in("the validation list has only images that are trained on", trained.err);
}

// Batch norm over mini-batches, blocks that are dropped, and how batches are divided matter to training
// alone.
TEST_F(DarknetCommands, WhatCannotBeTrainedDetects) {
  std::string text = drawn_cfg(3, "subdivisions=16\n");
  const auto replace = [&](const std::string& old, const std::string& replacement) {
    ASSERT_NE(text.find(old), std::string::npos) << old;
    text.replace(text.find(old), old.size(), replacement);
  };
  const auto refused_at = [&](const std::string& why) {
    expect_refused({"detector", "train", data_, folder_.write("u.cfg", text), "-clear"}, why);
  };
  refused_at("u.cfg:2: [net] subdivisions=16 must divide batch=4");
  replace("batch_normalize=1", "cbn=1");
  replace("[shortcut]\nfrom=-2", "[dropout]\ndropblock=1\n[shortcut]\nfrom=-3");
  EXPECT_EQ(ran({"detector", "map", data_, folder_.write("u.cfg", text), weights_}).out,
            ran({"detector", "map", data_, cfg_, weights_}).out);
  replace("subdivisions=16\n", "");
  refused_at("[convolutional] cbn=1 is not supported in training");
  replace("cbn=1", "batch_normalize=1");
  refused_at("[dropout] dropblock=1 is not supported in training");
}

TEST_F(DarknetCommands, WhatIsWrongIsTold) {
  expect_refused({"detector"}, "detector: expected one of train, test, demo, map");
  expect_refused({"detector", "tset"}, "there is no `tset`, did you mean `test`?");
  expect_refused({"classifier", "predcit", data_, cfg_}, "there is no `predcit`, did you mean `predict`?");
  expect_refused({"classifier", "valid10", data_, cfg_}, "use: classifier valid");
  expect_refused({"classifier", "predict", data_, cfg_, weights_, image_}, "the network detects");
  expect_refused({"rnn", "train", cfg_}, "recurrent networks are not there");
  expect_refused({"detector", "test", data_, cfg_, weights_, image_, "-tresh", "0.1"},
                 "unknown option -tresh, did you mean `-thresh`?");
  expect_refused({"detector", "test", data_, cfg_, weights_, image_, "-thresh"}, "-thresh needs a value");
  expect_refused({"detector", "test", data_, cfg_, weights_, image_, "-thresh", "high"},
                 "-thresh needs a number from 0 to 1, not `high`");
  expect_refused({"detector", "test", data_},
                 "detector test: CFG is missing: expected DATA CFG WEIGHTS IMAGE");
  expect_refused({"detector", "test", data_, cfg_, weights_, image_, "more"}, "`more` is too much");
  expect_refused({"detector", "test", data_, cfg_, weights_, "none.png"}, "none.png: cannot open the image");
  expect_refused({"detector", "map", data_, cfg_, weights_, "-points", "7"}, "points=7");
  EXPECT_EQ(osprey_command({"detector", "map", data_, cfg_, weights_, "-points", "7"}).out, "");
  expect_refused({"detector", "test", data_, cfg_, weights_, image_, "-benchmark"}, "osprey bench");
  const Said said = ran({"detector", "test", data_, cfg_, weights_, image_, "-points", "11"});
  expect_in("-points has no effect on detector test", said.err);
}

}  // namespace
}  // namespace osprey
