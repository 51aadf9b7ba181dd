// Four real sets, each described in a few lines of .data, against the counts that came with them.
#include <gtest/gtest.h>

#include <cstdlib>
#include <numeric>

#include "data/dataset.h"
#include "data/image.h"
#include "data/loader.h"
#include "tests/data/temporary.h"

namespace osprey {
namespace {

std::string root_of(const std::string& set) {
  const char* given = std::getenv("OSPREY_SHARED");
  return (given ? std::string(given) : std::string(OSPREY_SOURCE_DIR "/../shared")) + "/datasets/" + set;
}

struct Splits {
  Dataset train, valid;

  int64_t boxes(size_t class_id) const {
    return train.report.boxes_per_class.at(class_id) + valid.report.boxes_per_class.at(class_id);
  }
  std::array<int64_t, 5> by_size() const {
    std::array<int64_t, 5> sum = train.report.boxes_by_size;
    for (size_t i = 0; i < 5; ++i) sum[i] += valid.report.boxes_by_size[i];
    return sum;
  }
};

Splits load(const std::string& set, const std::string& lines) {
  Temporary folder;
  const DataFile data = read_data_file(folder.write("a.data", "root = " + root_of(set) + "\n" + lines));
  return {load_dataset(data, Split::train), load_dataset(data, Split::valid)};
}

void expect_clean(const Report& report, int64_t images) {
  EXPECT_EQ(report.images, images);
  EXPECT_EQ(report.missing_images, 0);
  EXPECT_EQ(report.missing_labels, 0);
  EXPECT_EQ(report.negatives, 0);
}

// Training batches can be made of it, and nothing had to be replaced.
void expect_loads(const Dataset& set) {
  LoaderOptions o;
  o.batch = 8;
  o.width = o.height = 128;
  o.augment.jitter = .2f;
  o.augment.flip = o.augment.mosaic = true;
  Loader loader(set, o);
  int64_t boxes = 0;
  for (int i = 0; i < 4; ++i)
    for (const int count : loader.next().counts) boxes += count;
  EXPECT_GT(boxes, 0);
  EXPECT_EQ(loader.broken_images(), 0);
}

// 4888 objects, of which two have corners that coincide.
TEST(shared_data, BloodCellsInVoc) {
  const char* const common = "format = voc\nclass_names = RBC, WBC, Platelets\n";
  const Splits paths = load(
      "bccd", std::string(common) + "annotations = BCCD/Annotations\ntrain = train.txt\nvalid = val.txt");
  expect_clean(paths.train.report, 292);
  expect_clean(paths.valid.report, 72);
  EXPECT_EQ(paths.train.report.boxes + paths.valid.report.boxes, 4886);
  EXPECT_EQ(paths.train.report.problems.size() + paths.valid.report.problems.size(), 2u);
  EXPECT_EQ(paths.boxes(0), 4155 - 2);
  EXPECT_EQ(paths.boxes(1), 372);
  EXPECT_EQ(paths.boxes(2), 361);
  EXPECT_EQ(paths.train.samples[0].width, 640);
  expect_loads(paths.train);

  // The authors' own lists of names are the same split.
  const Splits names =
      load("bccd", std::string(common) +
                       "images = BCCD/JPEGImages\n"
                       "train = BCCD/ImageSets/Main/trainval.txt\nvalid = BCCD/ImageSets/Main/test.txt");
  EXPECT_EQ(names.train.report.boxes, paths.train.report.boxes);
  EXPECT_EQ(names.valid.report.boxes_per_class, paths.valid.report.boxes_per_class);
}

TEST(shared_data, FaceMasksInCoco) {
  const Splits set = load("facemask",
                          "format = coco\nclass_names = with_mask, without_mask, mask_weared_incorrect\n"
                          "train_images = train2017\ntrain_annotations = annotations/custom_train.json\n"
                          "valid_images = val2017\nvalid_annotations = annotations/custom_val.json");
  expect_clean(set.train.report, 677);
  expect_clean(set.valid.report, 171);
  EXPECT_EQ(set.boxes(0), 3184);
  EXPECT_EQ(set.boxes(1), 716);
  EXPECT_EQ(set.boxes(2), 121);
  EXPECT_EQ(set.by_size(), (std::array<int64_t, 5>{206, 924, 1599, 1039, 253}));
  expect_loads(set.train);
}

// One JSON file for both splits, which are lists.
TEST(shared_data, VehiclesInCocoByLists) {
  const Splits set = load("sat-vehicles",
                          "format = coco\nclass_names = small vehicle, large vehicle\n"
                          "train = train.txt\ntrain_annotations = valid/_annotations.coco.json\n"
                          "valid = val.txt\nvalid_annotations = valid/_annotations.coco.json");
  expect_clean(set.train.report, 57);
  expect_clean(set.valid.report, 18);
  EXPECT_EQ(set.boxes(0), 331);
  EXPECT_EQ(set.boxes(1), 142);
  EXPECT_EQ(set.by_size(), (std::array<int64_t, 5>{21, 312, 123, 17, 0}));
  expect_loads(set.train);
}

TEST(shared_data, CratersInCoco) {
  const Splits set = load("lunar-craters",
                          "format = coco\nclass_names = crater\n"
                          "train_annotations = valid/_annotations.trimmed.coco.json\n"
                          "valid_annotations = test/_annotations.trimmed.coco.json");
  expect_clean(set.train.report, 155);
  expect_clean(set.valid.report, 75);
  EXPECT_EQ(set.boxes(0), 5371);
  EXPECT_EQ(set.by_size(), (std::array<int64_t, 5>{3, 38, 688, 4206, 436}));
  expect_loads(set.train);
}

}  // namespace
}  // namespace osprey
