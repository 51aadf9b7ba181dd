#include "data/classes.h"

#include <gtest/gtest.h>

#include "data/image.h"
#include "tests/data/temporary.h"

namespace osprey {
namespace {

using Classes = std::vector<int>;

TEST(Classes, ALabelIsAPartOfThePath) {
  const std::vector<std::string> labels = {"cat", "n01440764", "truck", "firetruck"};
  const auto found = [&](const std::string& path) { return classes_in_path(path, labels); };
  EXPECT_EQ(found("train/cat/0001.jpg"), Classes{0});
  EXPECT_EQ(found("val/ILSVRC2012_val_00000293_n01440764.JPEG"), Classes{1});
  EXPECT_EQ(found("train/dog/0001.jpg"), Classes{});
}

// Darknet takes all of them, and says so.
TEST(Classes, OfSeveralLabelsTheNearestToTheImageCounts) {
  const std::vector<std::string> labels = {"cat", "dog", "truck", "firetruck"};
  const auto found = [&](const std::string& path) { return classes_in_path(path, labels); };
  EXPECT_EQ(found("dogs-vs-cats/train/cat.17.jpg"), Classes{0});
  EXPECT_EQ(found("dog/cat/1.jpg"), Classes{0});           // the innermost folder
  EXPECT_EQ(found("truck/firetruck_01.jpg"), Classes{2});  // a whole folder
  EXPECT_EQ(found("cat/a_dog.jpg"), Classes{0});
  EXPECT_EQ(found("x/firetruck_01.jpg"), Classes{3});  // the longer of two
  EXPECT_EQ(found("x/cat_and_dog.jpg"), (Classes{0, 1}));
}

class ClassLists : public testing::Test {
 protected:
  ClassLists() {
    for (const char* name : {"set/red/0.png", "set/red/1.png", "set/blue/0.png", "set/other/0.png"}) {
      folder_.write(name, "");
      save_image(folder_ / name, Image(2, 2, 3));
    }
    folder_.write("names", "red\nblue\n");
  }
  DataFile data(const std::string& text) { return read_data_file(folder_.write("c.data", text)); }

  Temporary folder_;
};

TEST_F(ClassLists, FoldersAndListsGiveTheSameSet) {
  folder_.write("list.txt", "set/red/0.png\n\nset/red/1.png\nset/blue/0.png\nset/other/0.png\n");
  for (const char* train : {"list.txt", "set"}) {
    const Dataset set =
        load_classes(data(std::string("root=.\nnames=names\ntrain=") + train + "\n"), Split::train);
    ASSERT_EQ(set.samples.size(), 3u) << train;
    int red = 0;
    for (const Sample& s : set.samples) {
      ASSERT_EQ(s.classes.size(), 1u);
      EXPECT_EQ(s.classes[0], s.image.find("/red/") != std::string::npos ? 0 : 1);
      red += s.classes[0] == 0;
    }
    EXPECT_EQ(red, 2);
    EXPECT_EQ(set.report.images_per_class, (std::vector<int64_t>{2, 1}));
    ASSERT_EQ(set.report.problems.size(), 1u);  // told, not silently of no class
    expect_in("other/0.png: no label is a part of its path", set.report.problems[0].text());
  }
}

TEST_F(ClassLists, LabelsAreForPathsAndNamesForPeople) {
  folder_.write("labels", "red\nblue\n");
  folder_.write("people", "a tomato\nthe sky\n");
  const Dataset set =
      load_classes(data("root=.\nlabels=labels\nnames=people\nvalid=set\nclasses=2\n"), Split::valid);
  EXPECT_EQ(set.names[1], "the sky");
  EXPECT_EQ(set.samples[0].classes, Classes{1});  // blue/0.png comes first
  EXPECT_EQ(load_classes(data("root=.\nlabels=labels\nvalid=set\n"), Split::valid).names[1], "blue");
}

TEST_F(ClassLists, SeveralClassesAreTakenWhereTheyMayBe) {
  folder_.write("list.txt", "set/red/0.png\nset/red/1.png\n");
  folder_.write("digits", "red\n0\n1\n");
  const DataFile file = data("root=.\nnames=digits\ntrain=list.txt\n");
  EXPECT_EQ(load_classes(file, Split::train, true).samples[1].classes, (Classes{0, 2}));
  EXPECT_EQ(load_classes(file, Split::train).samples[1].classes, Classes{2});
}

TEST_F(ClassLists, FaultsAreToldInOneLine) {
  const auto message = [&](const std::string& text, bool strict = false) {
    return error_of([&] { load_classes(data(text), Split::train, false, strict); });
  };
  folder_.write("three", "red\nblue\ngreen\n");
  folder_.write("gap", "red\n\nblue\n");
  folder_.write("empty/readme", "");
  expect_in("no label is a part of its path", message("root=.\nnames=names\ntrain=set\n", true));
  expect_in("3 names, but 2 labels", message("root=.\nlabels=names\nnames=three\ntrain=set\n"));
  expect_in("gap:2: an empty label", message("root=.\nlabels=gap\ntrain=set\n"));
  expect_in("says classes = 3", message("root=.\nlabels=names\nclasses=3\ntrain=set\n"));
  expect_in("no image in this folder", message("root=.\nnames=names\ntrain=empty\n"));
  expect_in("has no image with a class", message("root=.\nnames=names\ntrain=set/other\n"));
  expect_in("learns from format=darknet", message("format=voc\nroot=.\nnames=names\ntrain=set\n"));
}

}  // namespace
}  // namespace osprey
