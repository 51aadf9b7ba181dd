#include "data/dataset.h"

#include <gtest/gtest.h>

#include "data/image.h"
#include "tests/data/temporary.h"

namespace osprey {
namespace {

void image_at(const Temporary& folder, const std::string& name, int width = 20, int height = 10) {
  folder.write(name, "");  // for its folders
  save_image(folder / name, Image(width, height, 3, .5f));
}

TEST(DataFile, ReadsDarknets) {
  Temporary folder;
  const DataFile data = read_data_file(
      folder.write("a.data",
                   "\xEF\xBB\xBF"
                   "# a comment\r\nclasses= 2\r\n train = my set/train.txt  \r\nvalid=v.txt\n"
                   "names = a.names\nbackup = /b c/d\neval=coco\ntop=5\nsaveweights=0\n; another\n"));
  EXPECT_EQ(data.classes, 2);
  EXPECT_EQ(data.train, "my set/train.txt");
  EXPECT_EQ(data.backup, "/b c/d");
  EXPECT_EQ(data.eval, "coco");
  EXPECT_EQ(data.top, 5);
  EXPECT_EQ(data.saveweights, 0);
  EXPECT_LT(data.savelast, 0);
  EXPECT_EQ(data.format, Format::darknet);
}

TEST(DataFile, Messages) {
  Temporary folder;
  const std::pair<const char*, const char*> bad[] = {
      {"classes = 2\ntrian = a", "a.data:2: unknown key `trian`, did you mean `train`?"},
      {"classes = two", "a.data:1: classes needs a whole number of at least 1 and at most 100000, not `two`"},
      {"classes = 100001",
       "a.data:1: classes needs a whole number of at least 1 and at most 100000, not `100001`"},
      {"classes = 0", "at least 1 and at most 100000, not `0`"},
      {"\nclasses", "a.data:2: expected `key = value`, found `classes`"},
      {"train =", "a.data:1: train has no value"},
      {"format = vok", "format is darknet, voc or coco, not `vok`, did you mean `voc`?"},
      {"class_names = a,,b", "empty name"},
      {"names = a\nclass_names = b", "not in both"}};
  for (const auto& [text, what] : bad)
    expect_in(what, error_of([&] { read_data_file(folder.write("a.data", text)); }));
  expect_in("gone.data: cannot be opened: No such file",
            error_of([&] { read_data_file(folder / "gone.data"); }));
}

TEST(DataFile, NamesMustBeAsManyAsClasses) {
  Temporary folder;
  folder.write("a.names", "one\r\ntwo words\r\n\r\n");
  const DataFile two = read_data_file(folder.write("a.data", "classes = 2\nnames = a.names"));
  EXPECT_EQ(read_names(two), (std::vector<std::string>{"one", "two words"}));
  const DataFile three = read_data_file(folder.write("b.data", "classes = 3\nnames = a.names"));
  expect_in("a.names: 2 names, but", error_of([&] { read_names(three); }));
  const DataFile none = read_data_file(folder.write("c.data", "classes = 3"));
  expect_in("no names of classes", error_of([&] { read_names(none); }));
  const DataFile lost = read_data_file(folder.write("d.data", "names = lost.names"));
  const std::string message = error_of([&] { read_names(lost); });
  expect_in("names = lost.names: there is no such file", message);
  expect_in(folder / "lost.names", message);
}

// Four images: labelled (one line bad), empty label file, no label file, not there at all.
DataFile mixed(const Temporary& folder) {
  for (const char* name : {"set/a.png", "set/b.png", "set/images/c.png"}) image_at(folder, name);
  folder.write("set/a.txt", "0 .5 .5 .2 .2\n7 .5 .5 .2 .2\n1 .5 .5 .4 .4\n1 .2 .2 .1 .1\n");
  folder.write("set/b.txt", "");
  folder.write("set/train.txt", "a.png \r\n\r\nset/b.png\nimages/c.png\nd.png\n");
  return read_data_file(folder.write("a.data", "classes = 2\nclass_names = x, y\ntrain = set/train.txt\n"));
}

TEST(Dataset, CountsWhatIsThereAndWhatIsNot) {
  Temporary folder;
  const Dataset set = load_dataset(mixed(folder), Split::train);
  ASSERT_EQ(set.samples.size(), 3u);  // found beside the list and beside the .data file
  EXPECT_EQ(set.samples[0].labels.size(), 3u);
  EXPECT_TRUE(set.samples[1].labelled);
  EXPECT_FALSE(set.samples[2].labelled);
  EXPECT_EQ(set.report.images, 3);
  EXPECT_EQ(set.report.boxes, 3);
  EXPECT_EQ(set.report.boxes_per_class, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(set.report.negatives, 1);
  EXPECT_EQ(set.report.missing_labels, 1);
  EXPECT_EQ(set.report.missing_images, 1);
  ASSERT_EQ(set.report.problems.size(), 1u);
  expect_in("a.txt:2: class 7 is not in 0..1", set.report.problems[0].text());
  expect_in("1 images have no label file", set.report.text(set.names));
}

TEST(Dataset, PjreddiesLabelFolderIsFound) {
  Temporary folder;
  const DataFile data = mixed(folder);
  folder.write("set/labels/c.txt", "1 .5 .5 .2 .2");
  EXPECT_EQ(load_dataset(data, Split::train).samples[2].labels.size(), 1u);
}

TEST(Dataset, StrictRefusesEachFault) {
  Temporary folder;
  const DataFile data = mixed(folder);
  const auto message = [&] { return error_of([&] { load_dataset(data, Split::train, true); }); };
  expect_in("a.txt:2: class 7", message());
  folder.write("set/a.txt", "");
  expect_in("c.png: no labels (tried ", message());
  expect_in("set/labels/c.txt", message());
  folder.write("set/images/c.txt", "");
  expect_in("there is no image d.png", message());
  image_at(folder, "set/d.png");
  folder.write("set/d.txt", "");
  EXPECT_EQ(load_dataset(data, Split::train, true).samples.size(), 4u);
}

TEST(Dataset, ListsThatAreNone) {
  Temporary folder;
  const auto message = [&](const std::string& text) {
    const DataFile data = read_data_file(folder.write("a.data", "class_names = x\n" + text));
    return error_of([&] { load_dataset(data, Split::train); });
  };
  expect_in("`train = LIST` is missing", message(""));
  expect_in("train = gone.txt: there is no such file", message("train = gone.txt"));
  folder.write("empty.txt", "\n \n");
  expect_in("the list of images is empty", message("train = empty.txt"));
  folder.write("lost.txt", "x/y.png\n");
  expect_in("no image of the train set was found; the first one missing: x/y.png",
            message("train = lost.txt"));
  expect_in("`train_annotations = JSON` is missing", message("format = coco"));
  // What the system cannot even look up is missing like all else.
  const std::string endless(5000, 'x');
  expect_in(": there is no such file or folder (tried", message("train = " + endless));
  folder.write("endless.txt", endless + "\n");
  expect_in("no image of the train set was found; the first one missing: xxx",
            message("train = endless.txt"));
}

TEST(Dataset, ASplitIsThereByItsListOrByItsAnnotations) {
  Temporary folder;
  const auto data = [&](const std::string& content) {
    return read_data_file(folder.write("a.data", content));
  };
  EXPECT_TRUE(data("train = a.txt\n").has(Split::train));
  EXPECT_FALSE(data("train = a.txt\n").has(Split::valid));
  const DataFile coco = data("format = coco\nvalid_annotations = a.json\n");
  EXPECT_TRUE(coco.has(Split::valid));
  EXPECT_FALSE(coco.has(Split::train));
}

TEST(Dataset, ANameWithAZeroByteIsMissing) {
  Temporary folder;
  image_at(folder, "a.png");
  folder.write("list.txt", std::string("a.png\na.png\0.jpg\n", 17));
  const DataFile data = read_data_file(folder.write("a.data", "class_names = x\ntrain = list.txt\n"));
  const Dataset set = load_dataset(data, Split::train);
  EXPECT_EQ(set.samples.size(), 1u);
  EXPECT_EQ(set.report.missing_images, 1);
}

TEST(Dataset, VocByNamesAndByPaths) {
  Temporary folder;
  image_at(folder, "JPEGImages/a.jpg");
  image_at(folder, "JPEGImages/b.png");
  folder.write("Annotations/a.xml",
               "<annotation><size><width>20</width><height>10</height></size><object><name>x</"
               "name><bndbox><xmin>1</xmin>"
               "<ymin>1</ymin><xmax>10</xmax><ymax>10</ymax></bndbox></object></annotation>");
  folder.write("Annotations/b.xml", "<annotation>");
  folder.write("names.txt", "a 1\nb -1\n");
  folder.write("paths.txt", "JPEGImages/a.jpg\nJPEGImages/b.png\n");
  const DataFile data = read_data_file(folder.write(
      "a.data",
      "format = voc\nclass_names = x\ntrain = names.txt\nvalid = paths.txt\nimages = JPEGImages\n"));
  for (const Split split : {Split::train, Split::valid}) {
    const Dataset set = load_dataset(data, split);
    ASSERT_EQ(set.samples.size(), 2u);
    ASSERT_EQ(set.samples[0].labels.size(), 1u);
    EXPECT_EQ(set.samples[0].width, 20);
    EXPECT_EQ(set.report.boxes_by_size[1], 1);  // 10x10 pixels
    EXPECT_FALSE(set.samples[1].labelled);      // broken XML
    ASSERT_EQ(set.report.problems.size(), 1u);
    expect_in("b.xml:1: not valid XML", set.report.problems[0].text());
  }
}

TEST(Dataset, CocoByFolderAndByList) {
  Temporary folder;
  image_at(folder, "pictures/a.png");
  image_at(folder, "pictures/b.png");
  folder.write("all.json", R"({"images": [{"id": 3, "file_name": "a.png", "width": 20, "height": 10},
      {"id": 4, "file_name": "b.png", "width": 20, "height": 10}, {"id": 5, "file_name": "c.png", "width": 20, "height": 10}],
      "categories": [{"id": 6, "name": "x"}], "annotations": [{"id": 1, "image_id": 4, "category_id": 6, "bbox": [0, 0, 4, 4]}]})");
  folder.write("valid.txt", "pictures/b.png\n");
  const DataFile data =
      read_data_file(folder.write("a.data",
                                  "format = coco\ntrain_annotations = all.json\nvalid_annotations = "
                                  "all.json\nimages = pictures\nvalid = valid.txt\n"));
  const Dataset train = load_dataset(data, Split::train), valid = load_dataset(data, Split::valid);
  EXPECT_EQ(train.names, std::vector<std::string>{"x"});
  EXPECT_EQ(train.samples.size(), 2u);
  EXPECT_EQ(train.report.missing_images, 1);
  EXPECT_EQ(train.report.negatives, 1);
  ASSERT_EQ(valid.samples.size(), 1u);
  EXPECT_EQ(valid.samples[0].coco_id, 4);
  EXPECT_EQ(valid.samples[0].labels.size(), 1u);
  EXPECT_EQ(valid.coco_categories, std::vector<int64_t>{6});
  EXPECT_EQ(valid.report.boxes_by_size[0], 1);
}

}  // namespace
}  // namespace osprey
