// Each finding of a check, in a set and a network that have just that fault.
#include "train/check.h"

#include <gtest/gtest.h>

#include "core/file.h"
#include "data/shapes.h"
#include "tests/train/drawn.h"

namespace osprey {
namespace {

class Check : public testing::Test {
 protected:
  Check() {
    draw_set(folder_, 12);
    std::string train, valid;
    for (int i = 0; i < 12; ++i) (i < 8 ? train : valid) += image(i) + "\n";
    folder_.write("train.txt", train);
    folder_.write("valid.txt", valid);
    write_data("");
    options_.cfg = folder_.write("t.cfg", cfg_);
    options_.data = folder_ / "t.data";
  }

  std::string image(int i) const { return folder_ / ("images/" + std::to_string(i) + ".png"); }
  std::string label_path(int i) const { return folder_ / ("images/" + std::to_string(i) + ".txt"); }
  void add_label(int i, const std::string& line) {
    folder_.write("images/" + std::to_string(i) + ".txt", read_file(label_path(i), "labels") + line + "\n");
  }
  void write_data(const std::string& more) {
    folder_.write("t.data", "classes=2\ntrain=" + (folder_ / "train.txt") + "\nvalid=" +
                                (folder_ / "valid.txt") + "\nnames=" + (folder_ / "t.names") + "\n" + more);
  }
  void change_cfg(const std::string& old, const std::string& replacement) {
    ASSERT_NE(cfg_.find(old), std::string::npos) << old;
    cfg_.replace(cfg_.find(old), old.size(), replacement);
    folder_.write("t.cfg", cfg_);
  }
  std::vector<Finding> findings() { return check_training(options_); }
  // The only finding of this kind.
  Finding finding(const std::string& what) {
    Finding found;
    int count = 0;
    for (const Finding& f : findings())
      if (f.what == what) found = f, ++count;
    EXPECT_EQ(count, 1) << what;
    return found;
  }
  void expect_finding(const std::string& what, Severity severity, int64_t count, const std::string& example) {
    SCOPED_TRACE(what);
    const Finding f = finding(what);
    EXPECT_EQ(f.severity, severity) << f.text;
    EXPECT_EQ(f.count, count) << f.text;
    ASSERT_FALSE(f.examples.empty());
    expect_in(example, f.examples[0]);
  }

  Temporary folder_;
  // A thousand iterations, so that nothing is wrong with the schedule.
  std::string cfg_ = drawn_cfg(1000, "steps=800\n");
  CheckOptions options_;
};

TEST_F(Check, OfWhatIsRightFindsNothing) {
  for (const Finding& f : findings()) EXPECT_EQ(f.severity, Severity::note) << f.text;
  expect_in("train: 8 images, ", findings()[0].text);
}

TEST_F(Check, FindsLabelsThatTrainingLeavesOut) {
  add_label(0, "2 0.5 0.5 0.2 0.2");
  add_label(0, "7 0.5 0.5 0.2 0.2");
  add_label(1, "1 0.5 1.5 0.2 0.2");
  add_label(2, "1 0.5 0.5 0 0.2");
  add_label(3, "1 0.5 0.5 0.2");
  expect_finding("unknown class", Severity::error, 2, "0.txt:");
  expect_finding("outside", Severity::error, 1, "1.txt:");
  expect_finding("no area", Severity::error, 1, "2.txt:");
  expect_finding("malformed", Severity::error, 1, "3.txt:");
}

TEST_F(Check, FindsBoxesThatAreOddInTheirImage) {
  add_label(0, "1 0.95 0.5 0.2 0.2");
  const std::string first = read_file(label_path(1), "labels");
  add_label(1, first.substr(0, first.find('\n')));
  add_label(2, "1 0.5 0.5 0.01 0.2");
  expect_finding("over the edge", Severity::warning, 1, "0.png: class 1 at 0.95 0.5, 0.2 x 0.2");
  expect_finding("box twice", Severity::warning, 1, "1.png");
  expect_finding("below a pixel", Severity::warning, 1, "2.png");
}

TEST_F(Check, TellsImagesWithoutLabelsFromEmptyOnes) {
  folder_.write("images/0.txt", "");
  std::filesystem::remove(label_path(1));
  expect_finding("no objects", Severity::note, 1, "0.png");
  expect_finding("unlabelled", Severity::error, 1, "1.png (tried ");
  options_.negatives = true;
  expect_finding("unlabelled", Severity::note, 1, "1.png");
}

TEST_F(Check, FindsImagesThatAreMissingBrokenOrListedAgain) {
  const std::string png = read_file(image(2), "an image");
  folder_.write("images/2.png", png.substr(0, png.size() / 2));
  folder_.write("train.txt", read_file(folder_ / "train.txt", "list") + image(3) + "\nnowhere.png\n");
  EXPECT_EQ(finding("missing image").count, 1);
  expect_finding("broken image", Severity::error, 1, "2.png");
  expect_finding("listed twice", Severity::warning, 1, "3.png");
}

TEST_F(Check, FindsTrainingImagesInTheValidationList) {
  folder_.write("valid.txt", image(0) + "\n" + image(11) + "\n");
  expect_finding("in both lists", Severity::warning, 1, "0.png");
  // Under another name.
  std::filesystem::copy_file(image(4), image(11), std::filesystem::copy_options::overwrite_existing);
  folder_.write("valid.txt", image(11) + "\n");
  expect_finding("in both lists", Severity::warning, 1, "11.png is " + image(4));
  folder_.write("t.data",
                "classes=2\ntrain=" + (folder_ / "train.txt") + "\nnames=" + (folder_ / "t.names") + "\n");
  EXPECT_EQ(finding("valid").severity, Severity::warning);
}

TEST_F(Check, FindsClassesThatNoImageShows) {
  for (int i = 0; i < 8; ++i) folder_.write("images/" + std::to_string(i) + ".txt", "0 0.5 0.5 0.2 0.3\n");
  expect_finding("class never seen", Severity::warning, 1, "blue");
  std::string many;
  for (int k = 0; k < 21; ++k) many += fmt::format("0 0.{} 0.5 0.2 0.3\n", 100 + 40 * k);
  folder_.write("images/0.txt", many + "1 0.5 0.5 0.2 0.3\n");
  expect_finding("rare class", Severity::note, 1, "blue: 1 boxes");
}

TEST_F(Check, FindsWhatIsWrongInTheCfg) {
  change_cfg("filters=14", "filters=15");
  const Finding cfg = finding("cfg");
  EXPECT_EQ(cfg.severity, Severity::error);
  expect_in("set its filters=14", cfg.text);
}

TEST_F(Check, FindsWhatDetectsAndCannotBeTrained) {
  change_cfg("[net]\n", "[net]\nmosaic=1\nletter_box=1\n");
  expect_in("t.cfg:3: [net] mosaic=1 and letter_box=1 do not go together", finding("cfg").text);
  change_cfg("mosaic=1\n", "subdivisions=3\n");
  expect_in("t.cfg:2: [net] subdivisions=3 must divide batch=", finding("cfg").text);
  change_cfg("subdivisions=3\nletter_box=1\n", "");
  change_cfg("[shortcut]", "[dropout]\ndropblock=1\n[shortcut]");
  expect_in("[dropout] dropblock=1 is not supported in training", finding("cfg").text);
  change_cfg("[dropout]\ndropblock=1\n", "");
  change_cfg("filters=8\n", "filters=8\ncbn=1\n");
  expect_in("[convolutional] cbn=1 is not supported in training", finding("cfg").text);
}

TEST_F(Check, FindsANumberOfClassesThatIsNotThatOfTheNames) {
  folder_.write("t.names", "red\nblue\ngreen\n");
  folder_.write("t.data", "train=" + (folder_ / "train.txt") + "\nnames=" + (folder_ / "t.names") + "\n");
  expect_in("its heads have classes=2, but ", finding("classes").text);
}

TEST_F(Check, FindsASchedulesSlips) {
  change_cfg("steps=800\n", "steps=1200\n");
  EXPECT_EQ(finding("steps").severity, Severity::warning);
  change_cfg("max_batches=1000", "max_batches=10");
  expect_in("shows each image 5 times", finding("max_batches").text);
}

TEST_F(Check, ComparesAnchorsWithTheBoxes) {
  EXPECT_EQ(finding("anchors").severity, Severity::note);
  change_cfg("anchors=14,14, 14,24", "anchors=60,60, 64,64");
  const Finding poor = finding("anchors");
  EXPECT_EQ(poor.severity, Severity::warning);
  // The clusters that it proposes are those of calc_anchors.
  const DataFile data = read_data_file(options_.data);
  const std::vector<BoxShape> boxes = box_shapes(load_dataset(data, Split::train), 64, 64);
  expect_in("anchors = " + anchors_text(cluster_shapes(boxes, 2)), poor.text);
  change_cfg("anchors=60,60, 64,64", "anchors=14,14, 64,64");
  change_cfg("mask=0,1", "mask=1");
  change_cfg("filters=14", "filters=7");
  expect_in("1 anchors overlap", finding("anchors").text);
}

TEST_F(Check, FindsObjectsThatAreTooSmallAndTooMany) {
  for (int k = 0; k < 3; ++k) add_label(k, "0 0.5 0.5 0.04 0.04");  // 2.6 of 64 pixels; cells have 8
  const Finding small = finding("small objects");
  EXPECT_EQ(small.count, 3);
  EXPECT_EQ(small.severity, Severity::warning);
  change_cfg("random=0\n", "random=0\nmax=1\n");
  expect_in("have more objects than the 1", finding("crowded").text);
}

TEST_F(Check, ProposesSubdivisionsThatFitTheMemory) {
  change_cfg("batch=4", "batch=64");
  options_.memory = size_t(1) << 40;
  const Finding enough = finding("memory");
  EXPECT_EQ(enough.severity, Severity::note);
  int needed = 0;  // MiB
  ASSERT_EQ(std::sscanf(enough.text.c_str(), "training in mini-batches of 64 needs %d MiB", &needed), 1);
  options_.memory = size_t(needed) << 19;
  const Finding some = finding("memory");
  EXPECT_EQ(some.severity, Severity::error);
  ASSERT_GT(some.count, 1);
  EXPECT_EQ(64 % some.count, 0);
  expect_in(fmt::format("subdivisions={} fits", some.count), some.text);
  change_cfg("batch=64\n", fmt::format("batch=64\nsubdivisions={}\n", some.count));
  EXPECT_EQ(finding("memory").severity, Severity::note);
  options_.memory = 1;
  expect_in("no subdivisions make it fit", finding("memory").text);
}

TEST(Shapes, AreClusteredByOverlap) {
  std::vector<BoxShape> shapes;
  for (int i = 0; i < 30; ++i) {
    const float wobble = 0.1f * float(i % 5);
    shapes.push_back({10 + wobble, 20 + wobble});
    shapes.push_back({40 + wobble, 30 - wobble});
    shapes.push_back({100 - wobble, 120});
  }
  const std::vector<BoxShape> three = cluster_shapes(shapes, 3);
  // Means of ten values 0, 0.1 .. 0.4.
  const BoxShape expected[] = {{10.2f, 20.2f}, {40.2f, 29.8f}, {99.8f, 120}};
  for (int k = 0; k < 3; ++k) {
    EXPECT_NEAR(three[size_t(k)].width, expected[k].width, 1e-4f);
    EXPECT_NEAR(three[size_t(k)].height, expected[k].height, 1e-4f);
  }
  EXPECT_GT(anchor_fit(shapes, three).mean_iou, 0.95);
  EXPECT_EQ(anchor_fit(shapes, three).reached, 1);
  EXPECT_EQ(anchors_text(three), " 10, 20,  40, 30, 100,120");
  // Same centre: 10 x 20 in 20 x 20 is half of it.
  EXPECT_FLOAT_EQ(shape_iou({10, 20}, {20, 20}), 0.5f);
  EXPECT_FLOAT_EQ(shape_iou({10, 20}, {20, 10}), 1.0f / 3);
  EXPECT_DOUBLE_EQ(anchor_fit({{10, 20}, {20, 20}}, {{20, 20}}).mean_iou, 0.75);
  EXPECT_EQ(anchor_fit({{10, 20}, {20, 20}}, {{20, 20}}, 0.6f).reached, 0.5);
  expect_in("4 anchors need boxes of as many different shapes: there are 3 boxes of 1 shapes", error_of([] {
              cluster_shapes({{1, 1}, {1, 1}, {1, 1}}, 4);
            }));
}

}  // namespace
}  // namespace osprey
