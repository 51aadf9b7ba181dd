#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "train/metrics/coco.h"
#include "train/metrics/recorded.h"
#include "train/metrics/report.h"

namespace osprey {
namespace {

constexpr const char* kTruth = R"({
  "images": [{"id": 30, "width": 100, "height": 100}, {"id": 7, "width": 100, "height": 100}],
  "categories": [{"id": 9, "name": "dog"}, {"id": 2, "name": "cat"}],
  "annotations": [
    {"id": 1, "image_id": 30, "category_id": 9, "bbox": [1, 2, 30, 40], "area": 600, "iscrowd": 0},
    {"id": 2, "image_id": 7, "category_id": 2, "bbox": [1, 2, 30, 40], "iscrowd": 1, "difficult": true}]})";
constexpr const char* kDetections =
    R"([{"image_id": 30, "category_id": 9, "bbox": [1.5, 2, 30, 40], "score": 0.75}])";

class RecordedTest : public testing::Test {
 protected:
  const std::string prefix_ =
      (std::filesystem::temp_directory_path() / ("recorded_test_" + std::to_string(::getpid()))).string();
  const std::string truth_ = prefix_ + "_truth.json", detections_ = prefix_ + "_detections.json";
  void TearDown() override {
    std::remove(truth_.c_str());
    std::remove(detections_.c_str());
  }

  Recorded read(const std::string& truth, const std::string& detections) {
    std::ofstream(truth_) << truth;
    std::ofstream(detections_) << detections;
    return read_recorded(truth_, detections_);
  }
  // The error of a truth in which one text is replaced by another, less the file's name.
  std::string truth_error(const std::string& from, const std::string& to) {
    return error(replaced(kTruth, from, to), kDetections, truth_);
  }
  std::string detections_error(const std::string& from, const std::string& to) {
    return error(kTruth, replaced(kDetections, from, to), detections_);
  }

 private:
  static std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  }
  std::string error(const std::string& truth, const std::string& detections, const std::string& path) {
    try {
      read(truth, detections);
    } catch (const Error& e) {
      const std::string text = e.what();
      EXPECT_TRUE(text.starts_with(path)) << text;
      EXPECT_EQ(text.find('\n'), std::string::npos) << text;
      return text.substr(std::min(path.size(), text.size()));
    }
    return "no error";
  }
};

TEST_F(RecordedTest, ids_become_places_in_their_sorted_order) {
  const Recorded r = read(kTruth, kDetections);
  EXPECT_EQ(r.class_names, (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(r.images, 2);
  ASSERT_EQ(r.truths.size(), 2u);
  EXPECT_EQ(r.truths[0].image, 1);
  EXPECT_EQ(r.truths[0].class_id, 1);
  EXPECT_EQ(r.truths[0].object_area, 600);
  EXPECT_FALSE(r.truths[0].crowd);
  EXPECT_EQ(r.truths[1].object_area, 1200);  // without an area, the box's
  EXPECT_TRUE(r.truths[1].crowd);
  EXPECT_TRUE(r.truths[1].difficult);
  ASSERT_EQ(r.detections.size(), 1u);
  EXPECT_EQ(r.detections[0].image, 1);
  EXPECT_EQ(r.detections[0].score, 0.75);
  EXPECT_EQ(r.detections[0].box.x, 1.5);
}

TEST_F(RecordedTest, what_is_wrong_is_told_with_its_place) {
  EXPECT_EQ(truth_error(R"("images")", R"("pictures")"),
            R"(: no "images", expected COCO's ground truth with images, annotations and categories)");
  EXPECT_EQ(truth_error(R"("image_id": 7)", R"("image_id": 8)"),
            ": annotations[1]: image 8 is none of the ground truth's");
  EXPECT_EQ(truth_error(R"([1, 2, 30, 40])", R"([1, 2, 30])"),
            R"(: annotations[0]: "bbox" is [1,2,30], expected [x, y, width, height])");
  EXPECT_EQ(truth_error(R"("id": 7)", R"("id": 30)"), ": images[1]: id 30 is there twice");
  EXPECT_EQ(truth_error(R"("dog")", "null"), R"(: categories[0]: "name" is no text)");
  EXPECT_EQ(detections_error(R"("category_id": 9)", R"("category_id": 1)"),
            "[0]: category 1 is none of the ground truth's");
  EXPECT_EQ(detections_error(R"(, "score": 0.75)", ""), R"([0]: no "score")");
  EXPECT_EQ(detections_error("0.75", R"("high")"), R"([0]: "score" holds "high", expected a number)");
  EXPECT_EQ(detections_error("30, 40", "-30, 40"),
            R"([0]: "bbox" is [1.5,2,-30,40], expected [x, y, width, height] with sizes of 0 and more)");
  EXPECT_EQ(detections_error(R"([{"image_id": 30)", R"([7, {"image_id": 30)"), "[0]: expected an object");
  EXPECT_NE(detections_error(R"("score")", "score").find(": not JSON: parse error at line 1, column"),
            std::string::npos);
  EXPECT_THROW(read_recorded(truth_ + ".missing", detections_), Error);
  EXPECT_THROW(read(kTruth, "{}"), Error);
  EXPECT_THROW(read("[]", kDetections), Error);
  EXPECT_THROW(read("", ""), Error);
}

TEST_F(RecordedTest, every_truncation_is_an_error) {
  const std::string truth = kTruth, detections = kDetections;
  for (size_t size = 0; size < truth.size(); ++size)
    EXPECT_THROW(read(truth.substr(0, size), detections), Error);
  for (size_t size = 0; size < detections.size(); ++size)
    EXPECT_THROW(read(truth, detections.substr(0, size)), Error);
}

TEST(Report, json_has_the_keys_of_its_metric) {
  const TruthBox truth{0, 0, {0, 0, 10, 10}, false, false, 100};
  const DetectedBox found{0, 0, 0.9, {0, 0, 10, 10}};
  const std::string map = metrics_json(darknet_map({truth}, {found}, 1), {"a \"name\""});
  EXPECT_EQ(map.substr(0, 17), R"({"mAP":1.0,"TP":1)");
  EXPECT_NE(map.find(R"("per_class":{"a \"name\"":1.0})"), std::string::npos) << map;
  const std::string voc = metrics_json(voc_metrics({truth}, {found}, 2, VocPoints::eleven), {"x", "x"});
  EXPECT_EQ(voc, R"json({"mAP":1.0,"per_class":{"x":1.0,"x (1)":-1.0}})json");
  const std::string coco = metrics_json(coco_metrics({truth}, {found}, 1), {"\xe9"});  // Latin-1, not UTF-8
  for (const char* key :
       {"AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"}) {
    EXPECT_NE(coco.find("\"" + std::string(key) + "\":"), std::string::npos) << key;
  }
}

}  // namespace
}  // namespace osprey
