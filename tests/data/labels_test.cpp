#include "data/labels.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/data/temporary.h"

namespace osprey {
namespace {

const std::vector<std::string> kNames = {"cat", "dog", "left hand"};

// Boxes that are compared have gone through a few float operations on numbers of about 1.
constexpr float kNear = 1e-6f;

void expect_box(const CentreBox& b, float x, float y, float w, float h) {
  EXPECT_NEAR(b.x, x, kNear);
  EXPECT_NEAR(b.y, y, kNear);
  EXPECT_NEAR(b.w, w, kNear);
  EXPECT_NEAR(b.h, h, kNear);
}

TEST(DarknetLabels, ReadsWhatPeopleWrite) {
  Temporary folder;
  const LabelFile file = read_darknet_labels(folder.write("a.txt",
                                                          "\xEF\xBB\xBF"
                                                          "0 0.5 0.25 0.1 0.2 \r\n\r\n  2\t1 1 1.5 1e-1"),
                                             3);
  ASSERT_TRUE(file.problems.empty()) << file.problems[0].text();
  ASSERT_EQ(file.labels.size(), 2u);
  expect_box(file.labels[0].box, .5f, .25f, .1f, .2f);
  EXPECT_EQ(file.labels[1].class_id, 2);
  expect_box(file.labels[1].box, 1, 1, 1, .1f);  // a width above 1 is cut
}

TEST(DarknetLabels, EveryBadLineIsTold) {
  const std::pair<const char*, const char*> bad[] = {{"3 .5 .5 .1 .1", "class 3 is not in 0..2"},
                                                     {"-1 .5 .5 .1 .1", "class -1 is not"},
                                                     {"cat .5 .5 .1 .1", "`cat` is not a class"},
                                                     {"1.5 .5 .5 .1 .1", "`1.5` is not a class"},
                                                     {"0 .5 .5 .1", "found 4 fields"},
                                                     {"0 .5 .5 .1 .1 .9", "found 6 fields"},
                                                     {"0 .5 .5 .1 1O", "`1O` is not a number"},
                                                     {"0 nan .5 .1 .1", "`nan` is not a number"},
                                                     {"0 .5 inf .1 .1", "`inf` is not a number"},
                                                     {"0 .5 .5 0 .1", "size 0 x 0.1"},
                                                     {"0 .5 .5 .1 -1", "a box of size"},
                                                     {"0 1.2 .5 .1 .1", "outside the image"},
                                                     {"0 .5 0 .1 .1", "outside the image"},
                                                     {"99999999999 .5 .5 .1 .1", "is not a class number"},
                                                     {"0,.5,.5,.1,.1", "found 1 field"}};
  Temporary folder;
  for (const auto& [line, what] : bad) {
    const LabelFile file =
        read_darknet_labels(folder.write("a.txt", std::string("1 .5 .5 .1 .1\n") + line), 3);
    EXPECT_EQ(file.labels.size(), 1u) << line;
    ASSERT_EQ(file.problems.size(), 1u) << line;
    EXPECT_EQ(file.problems[0].line, 2);
    expect_in(what, file.problems[0].text());
    expect_in("a.txt:2: ", file.problems[0].text());
  }
}

TEST(LabelPaths, BothRules) {
  const auto first = [](const char* image) { return label_paths(image).at(0); };
  EXPECT_EQ(first("set/a.jpg"), "set/a.txt");
  EXPECT_EQ(first("/coco/images/train2017/a.jpg"), "/coco/labels/train2017/a.txt");
  EXPECT_EQ(first("/voc/JPEGImages/a.png"), "/voc/labels/a.txt");
  EXPECT_EQ(first("a.b/c.d.JPEG"), "a.b/c.d.txt");
  EXPECT_EQ(first("a.b/c"), "a.b/c.txt");
  // AlexeyAB's: beside the image; pjreddie's: the first "images"; then the last folder of that name.
  const std::vector<std::string> three = {"my_images/images/a.txt", "my_labels/images/a.txt",
                                          "my_images/labels/a.txt"};
  EXPECT_EQ(label_paths("my_images/images/a.webp"), three);
  EXPECT_EQ(label_paths("raw/a.png")[1], "labels/a.txt");
}

std::string voc(const std::string& objects,
                const std::string& size = "<size><width>100</width><height>50</height></size>") {
  return "<annotation>\n" + size + "\n" + objects + "\n</annotation>";
}

std::string object(const char* name, const char* box, const char* more = "") {
  int v[4];
  std::sscanf(box, "%d %d %d %d", &v[0], &v[1], &v[2], &v[3]);
  return fmt::format(
      "<object><name>{}</name>{}<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax>"
      "</bndbox></object>",
      name, more, v[0], v[1], v[2], v[3]);
}

TEST(VocLabels, CornersCountFromOneAndIncludeTheLast) {
  Temporary folder;
  const std::string text =
      voc(object("left hand", "1 1 100 50") + object("cat", "11 6 20 15", "<difficult>1</difficult>"));
  const LabelFile file = read_voc_labels(folder.write("a.xml", text), kNames);
  ASSERT_EQ(file.labels.size(), 2u);
  EXPECT_EQ(file.width, 100);
  EXPECT_EQ(file.height, 50);
  EXPECT_EQ(file.labels[0].class_id, 2);
  expect_box(file.labels[0].box, .5f, .5f, 1, 1);
  EXPECT_FALSE(file.labels[0].difficult);
  EXPECT_TRUE(file.labels[1].difficult);
  expect_box(file.labels[1].box, .15f, .2f, .1f, .2f);
}

TEST(VocLabels, BadObjectsAreToldByLine) {
  const std::pair<std::string, const char*> bad[] = {
      {object("cart", "1 1 9 9"), "`cart` is not in the names, did you mean `cat`?"},
      {object("cat", "9 1 9 9"), "an empty box of `cat`: 9, 1, 9, 9"},
      {object("cat", "9 9 1 1"), "an empty box"},
      {object("cat", "101 1 120 9"), "outside the image of 100x50"},
      {"<object><name>cat</name></object>", "without <bndbox>"},
      {"<object><name>cat</name><bndbox><xmin>a</xmin></bndbox></object>", "needs numbers"}};
  Temporary folder;
  for (const auto& [objects, what] : bad) {
    const LabelFile file =
        read_voc_labels(folder.write("a.xml", voc(object("dog", "1 1 9 9") + "\n" + objects)), kNames);
    EXPECT_EQ(file.labels.size(), 1u);
    ASSERT_EQ(file.problems.size(), 1u) << objects;
    EXPECT_EQ(file.problems[0].line, 4);
    expect_in(what, file.problems[0].text());
  }
}

TEST(VocLabels, BoxesAreCutAtTheEdge) {
  Temporary folder;
  const LabelFile file = read_voc_labels(folder.write("a.xml", voc(object("cat", "-9 1 50 90"))), kNames);
  ASSERT_EQ(file.labels.size(), 1u);
  expect_box(file.labels[0].box, .25f, .5f, .5f, 1);
}

TEST(VocLabels, FilesThatAreNone) {
  Temporary folder;
  const auto message = [&](const std::string& text) {
    return error_of([&] { read_voc_labels(folder.write("a.xml", text), kNames); });
  };
  expect_in("a.xml:2: not valid XML", message("<annotation>\n<object></annotation>"));
  expect_in("no <annotation>", message("<html></html>"));
  expect_in("<size>", message(voc("", "")));
  expect_in("<size>", message(voc("", "<size><width>0</width><height>9</height></size>")));
  EXPECT_EQ(read_voc_labels(folder.write("b.xml", voc("", "")), kNames, 7, 8).width, 7);
}

const char* const kCoco = R"({
 "images": [{"id": 7, "file_name": "a.jpg", "width": 200, "height": 100}, {"id": 5, "file_name": "b.jpg", "width": 10, "height": 10}],
 "categories": [{"id": 9, "name": "dog"}, {"id": 2, "name": "cat"}, {"id": 4, "name": "root"}],
 "annotations": [
  {"id": 1, "image_id": 7, "category_id": 9, "bbox": [20, 10.5, 40, 20], "area": 300.5, "iscrowd": 0, "segmentation": [[1, 2, 3]]},
  {"id": 2, "image_id": 7, "category_id": 2, "bbox": [0, 0, 200, 100], "iscrowd": 1},
  {"id": 3, "image_id": 5, "category_id": 4, "bbox": [5, 5, 10, 10]}]})";

TEST(Coco, ClassesFollowTheNamesOrElseTheIds) {
  Temporary folder;
  const std::string path = folder.write("a.json", kCoco);
  const CocoSet all = read_coco(path, {}), some = read_coco(path, {"dog", "cat"});
  EXPECT_EQ(all.names, (std::vector<std::string>{"cat", "root", "dog"}));
  EXPECT_EQ(all.category_ids, (std::vector<int64_t>{2, 4, 9}));
  ASSERT_EQ(all.images.size(), 2u);
  ASSERT_EQ(all.images[0].labels.size(), 2u);
  const Label& dog = all.images[0].labels[0];
  EXPECT_EQ(dog.class_id, 2);
  EXPECT_EQ(dog.area, 300.5f);
  expect_box(dog.box, .2f, .205f, .2f, .2f);
  EXPECT_TRUE(all.images[0].labels[1].crowd);
  expect_box(all.images[1].labels[0].box, .75f, .75f, .5f, .5f);  // cut at the edge
  EXPECT_EQ(some.images[0].labels[0].class_id, 0);
  EXPECT_TRUE(some.images[1].labels.empty());
  EXPECT_TRUE(some.problems.empty());
}

TEST(Coco, BadAnnotationsAreTold) {
  const std::pair<const char*, const char*> bad[] = {
      {R"({"id": 8, "image_id": 1, "category_id": 1, "bbox": [1, 1, 0, 5]})", "annotation 8: an empty box"},
      {R"({"id": 8, "image_id": 1, "category_id": 1, "bbox": [1, 1, "4", 5]})", "`bbox` is not four numbers"},
      {R"({"id": 8, "image_id": 1, "category_id": 1, "bbox": [1, 1, 4]})", "`bbox` is not four numbers"},
      {R"({"id": 8, "image_id": 1, "category_id": 1})", "`bbox` is not four numbers"},
      {R"({"id": 8, "image_id": 2, "category_id": 1, "bbox": [1, 1, 4, 5]})", "there is no image 2"},
      {R"({"id": 8, "image_id": 1, "category_id": 3, "bbox": [1, 1, 4, 5]})", "there is no category 3"},
      {R"({"id": 8, "image_id": 1e300, "category_id": 1, "bbox": [1, 1, 4, 5]})", "needs `image_id`"},
      {R"({"id": 8, "image_id": 1, "category_id": 1, "bbox": [100, 1, 4, 5]})", "outside the image of 50x40"},
      {R"("x")", "annotation 0: needs `image_id`"}};
  Temporary folder;
  for (const auto& [record, what] : bad) {
    const std::string text =
        fmt::format(R"({{"images": [{{"id": 1, "file_name": "a", "width": 50, "height": 40}}],
        "categories": [{{"id": 1, "name": "x"}}], "annotations": [{}]}})",
                    record);
    const CocoSet set = read_coco(folder.write("a.json", text), {});
    ASSERT_EQ(set.problems.size(), 1u) << record;
    expect_in(what, set.problems[0].text());
    EXPECT_TRUE(set.images[0].labels.empty());
  }
}

TEST(Coco, FilesThatAreNone) {
  Temporary folder;
  const auto message = [&](const std::string& text, const std::vector<std::string>& names = {}) {
    return error_of([&] { read_coco(folder.write("a.json", text), names); });
  };
  expect_in("a.json:2: not valid JSON", message("{\n \"images\": ["));
  expect_in("a number in it is too large", message("{\"images\": [1e+310]}"));
  expect_in("no list `images`", message("[]"));
  expect_in("no list `annotations`", message(R"({"images": []})"));
  expect_in("`categories` is empty", message(R"({"images": [], "annotations": [], "categories": []})"));
  expect_in("no category is called `dg`, did you mean `dog`?", message(kCoco, {"dg"}));
  expect_in(
      "needs `width`",
      message(
          R"({"images": [{"id": 1, "file_name": "a"}], "annotations": [], "categories": [{"id": 1, "name": "x"}]})"));
}

TEST(Labels, WritersAndReadersAgree) {
  Temporary folder;
  std::vector<Label> labels(2);
  labels[0] = {1, centre(scaled({10, 5, 30, 45}, 1 / 100.f, 1 / 50.f)), true, false, 0};
  labels[1] = {0, centre(scaled({0, 0, 100, 50}, 1 / 100.f, 1 / 50.f)), false, false, 0};
  write_darknet_labels(folder / "a.txt", labels);
  write_voc_labels(folder / "a.xml", "a<&>.jpg", 100, 50, labels, kNames);
  CocoSet set{kNames, {1, 2, 3}, {{9, "a.jpg", 100, 50, labels}}, {}};
  write_coco(folder / "a.json", set);
  const std::vector<Label> read[] = {read_darknet_labels(folder / "a.txt", 3).labels,
                                     read_voc_labels(folder / "a.xml", kNames).labels,
                                     read_coco(folder / "a.json", kNames).images.at(0).labels};
  for (const auto& back : read) {
    ASSERT_EQ(back.size(), 2u);
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(back[i].class_id, labels[i].class_id);
      expect_box(back[i].box, labels[i].box.x, labels[i].box.y, labels[i].box.w, labels[i].box.h);
    }
  }
  EXPECT_TRUE(read[1][0].difficult);
}

}  // namespace
}  // namespace osprey
